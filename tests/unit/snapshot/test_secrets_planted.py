"""No secret leaves the host, in whatever form and wherever it was planted; and what a diagnosis needs stays readable."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from dockernet_doctor.__main__ import run
from dockernet_doctor.snapshot import bundle, last_look
from dockernet_doctor.snapshot.compose_files import masked
from dockernet_doctor.snapshot.daemon_files import without_secrets
from dockernet_doctor.snapshot.firewall import without_secrets as without_secrets_of_rules
from dockernet_doctor.snapshot.model import Daemon, Host, Snapshot, TextFile
from dockernet_doctor.snapshot.references import believed, of_value
from dockernet_doctor.snapshot.secrets import scrub
from tests import corpus

from . import planted
from .replay import RECORDED

ID = "3f2a9d0e5b6c7d8e9f3f2a9d0e5b6c7d8e9f3f2a9d0e5b6c7d8e9f3f2a9d0e5b"


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    with pytest.MonkeyPatch.context() as patch:
        return planted.snapshot(tmp_path_factory.mktemp("host"), patch)


def out(text: str) -> list[str]:
    """The cells of the table whose secret is in a text."""
    found = []
    for secret, cells in planted.planted().items():
        if secret in text and (not secret.isdecimal() or re.search(rf"(?<![0-9a-f.]){secret}(?![0-9a-f])", text)):
            found += cells
    return found


def test_the_table_is_large_and_its_readers_have_all_been_asked(snapshot: Snapshot) -> None:
    assert len(planted.planted()) >= 2400
    kinds = {file.kind for file in (*snapshot.daemon.files, *snapshot.compose_files)}
    assert kinds == {"unit", "drop-in", "environment", "daemon.json", "compose"}
    ours = [container for container in snapshot.containers if container.name.startswith("planted")]
    assert len(ours) == len(planted.FORMS)
    assert all(container.log_tail and container.state.error and container.state.health for container in ours)
    assert len(snapshot.daemon.log) >= len(planted.FORMS) / 2
    assert snapshot.host is not None
    assert all(dump.text.count("10.9.") or dump.tool == "nft" for dump in snapshot.host.stack.firewall or ())


def test_no_planted_secret_is_in_a_snapshot(snapshot: Snapshot) -> None:
    assert out(msgspec.json.encode(snapshot).decode()) == []


@pytest.mark.parametrize("name", ["text", "json", "markdown", "html", "junit"])
def test_no_planted_secret_is_in_a_report(
    name: str, snapshot: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "h1.bundle"
    bundle.save(str(path), bundle.Bundle(snapshot=snapshot))
    assert run(["check", "--bundle", str(path), "--format", name, "-v"]) in (0, 1)
    shown = capsys.readouterr()
    assert "planted1" in shown.out
    assert out(gzip.decompress(path.read_bytes()).decode() + shown.out + shown.err) == []


HARMLESS = [
    "dial tcp 172.18.0.3:5432: connect: connection refused",
    "dial tcp: lookup db on 127.0.0.11:53: no such host",
    "connect ECONNREFUSED 10.0.0.5:6379",
    "Error: getaddrinfo ENOTFOUND cache cache:6379",
    "listen tcp 0.0.0.0:8080: bind: address already in use",
    "nginx: [emerg] host not found in upstream \"api\" in /etc/nginx/conf.d/default.conf:12",
    'connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://172.18.0.4:8000/"',
    "Connection to node -1 (kafka/172.18.0.5:9092) could not be established. Broker may not be available.",
    "advertised.listeners=PLAINTEXT://kafka:9092,OUTSIDE://localhost:29092",
    f"network {ID} not found",
    "pull access denied for registry.example/team/app, repository does not exist or may require 'docker login'",
    f"image registry.example/team/app:1.27@sha256:{ID} not found",
    "FATAL: password authentication failed for user \"app\"",
    "Access denied for user 'root'@'172.18.0.1' (using password: YES)",
    "error: the password is required",
    "error: token is expired, and the secret was rejected",
    "password for admin is not set",
    "exit status 137 (0x89), signal 9, errno 111",
    "container 02:42:ac:12:00:03 on br-3f2a9d0e5b6c at fe80::42:acff:fe12:3%eth0",
    "docker run -d -p8080:80 -p 127.0.0.1:53:53/udp -u 1000:1000 -path /x -pid 1 nginx:1.27",
    "time=\"2025-11-25T22:00:00Z\" level=error msg=\"failed to bind\"",
    "/usr/lib/python3.12/site-packages/urllib3/connectionpool.py:789: MaxRetryError",
    "x509: certificate is valid for db.example, not 10.0.0.5",
    "root@web:/# nc -vz db 5432",
    "upstream timed out (110: Operation timed out) while reading response header from upstream",
    "WARNING: bridge-nf-call-iptables is disabled",
]  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_texts_stay(text: str) -> None:
    assert scrub(text, ids=True) == text


@pytest.mark.parametrize(
    ("key", "value", "names", "kept"),
    [
        ("LOGIN", "admin:12345", (), False),
        ("SETTING", "bob:12345", (), False),
        ("SETTING", "bob:12345", ("bob",), True),  # a host of that name
        ("CACHE", "cahce:6379", (), True),  # a wrong name at a service's port
        ("SETTING", "admin:8080", (), False),
        ("BACKEND_ADDR", "apii:12345", (), True),
        ("SETTING", "10.0.0.5:12345", (), True),
        ("SETTING", "db.example:12345", (), True),
    ],
)
def test_what_is_believed_to_be_an_address(key: str, value: str, names: tuple[str, ...], kept: bool) -> None:
    assert bool(believed(of_value("environment", key, value), names)) is kept


RULES = """*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -s 10.9.0.0/24 -m comment --comment "the \\"api\\" token=hunter2 of bob" -j DROP
-A FORWARD -s 10.9.1.0/24 -m comment --comment token=hunter2 -j DROP
-A FORWARD -s 10.9.2.0/24 -m comment --comment "cali:Zb1cC0dE2fGh3iJk" -m comment --comment "db to api" -j ACCEPT
COMMIT
"""


def test_rules_stay_rules() -> None:
    kept = without_secrets_of_rules(RULES)
    assert "hunter2" not in kept
    assert kept.count("\n") == RULES.count("\n")
    assert '--comment "the \\"api\\" token=*** of bob" -j DROP' in kept
    assert '--comment "db to api" -j ACCEPT' in kept


def test_json_stays_json() -> None:
    rule = {"rule": {"comment": 'password: "hunter2" of \\ "x"', "handle": 1}}
    assert json.loads(without_secrets_of_rules(json.dumps(rule)))["rule"]["comment"] == 'password: "***" of \\ "x"'


def test_a_daemon_json_keeps_what_bears_on_the_network() -> None:
    settings: dict[str, Any] = {
        "bip": "10.1.0.1/24", "log-opts": {"max-size": "10m", "vendor": "hunter2", "gelf-address": "udp://1.2.3.4:12201"},
        "labels": ["token=hunter2", "rack=a1"], "hosts": ["tcp://0.0.0.0:2376"], "tlskey": "/etc/docker/key.pem",
        "registry-mirrors": ["https://me:hunter2@mirror.example"], "dns": ["1.1.1.1"],
    }  # fmt: skip
    kept = json.loads(without_secrets(json.dumps(settings, indent=2), "daemon.json"))
    assert "hunter2" not in json.dumps(kept)
    assert kept["log-opts"] == {"max-size": "10m", "vendor": "***", "gelf-address": "udp://1.2.3.4:12201"}
    assert kept["labels"] == ["token=***", "rack=a1"]
    assert kept["registry-mirrors"] == ["https://***@mirror.example"]
    assert {key: kept[key] for key in ("bip", "hosts", "tlskey", "dns")} == {
        key: settings[key] for key in ("bip", "hosts", "tlskey", "dns")
    }


def test_of_variables_those_stay_that_the_daemon_may_need() -> None:
    unit = "Environment=\"A=hunter2\" HTTP_PROXY=http://me:hunter2@proxy:3128 'DOCKER_OPTS=--icc=false --mtu 1400' B=\n"
    kept = "Environment=\"A=***\" HTTP_PROXY=http://***@proxy:3128 'DOCKER_OPTS=--icc=false --mtu 1400' B=\n"
    assert without_secrets(unit, "unit") == kept
    shell = '# x\nEXTRA="--bip=10.1.0.1/24"\nexport LICENCE="two words"\nULIMIT=hunter2\n'
    assert without_secrets(shell, "defaults") == '# x\nEXTRA="--bip=10.1.0.1/24"\nexport LICENCE="***"\nULIMIT=***\n'


NETWORKS = """\
services:
  web:
    networks:
      app: {aliases: [www], driver_opts: {vendor: hunter2, com.docker.network.endpoint.ifname: eth7}}
networks:
  app:
    name: shop_app
    driver: macvlan
    driver_opts: {parent: eth0, vendor.key: hunter2}
    labels: {owner: hunter2}
    ipam: {driver: x, options: {k: hunter2}, config: [{subnet: 10.1.0.0/24, aux_addresses: {router: 10.1.0.2}}]}
"""


def test_of_networks_the_files_keep_what_changes_need() -> None:
    assert masked(NETWORKS) == NETWORKS.replace("hunter2", '"***"')


@pytest.mark.parametrize("name", ["fleet-manager.bundle", "fleet-worker.bundle"])
def test_the_rules_find_nothing_in_what_was_recorded(name: str) -> None:
    """Rules of real hosts hold no secrets: all of them are read as before."""
    made = bundle.load(str(RECORDED / name))
    assert made.snapshot.host is not None
    for dump in made.snapshot.host.stack.firewall or ():
        assert without_secrets_of_rules(dump.text) == dump.text


def test_the_last_look_finds_what_a_reader_forgot(snapshot: Snapshot) -> None:
    """A record that came around the readers, with each form in a place of free text."""
    texts = tuple(f"error: {planted.text(form, 'a field without a reader')}" for form in planted.FORMS)
    host = Host(hostname="ghp_0123456789abcdefghijABCDEFGHIJ456789", kernel_log=texts)
    files = (TextFile(path="/etc/docker/daemon.json", kind="daemon.json", text='{"labels": ["token=hunter2"]}'),)
    forgotten = replace(snapshot, host=host, daemon=Daemon(files=files))
    made, places = last_look.masked(bundle.Bundle(snapshot=forgotten))
    assert places == ("kernel_log of h1", "a line of /etc/docker/daemon.json")
    assert made.snapshot.removed[-2:] == places
    assert made.snapshot.host is not None
    assert made.snapshot.host.hostname == host.hostname  # a name is no secret
    left = [
        form for form in planted.FORMS if planted.secret(form, "a field without a reader") in str(made.snapshot.host.kernel_log)
    ]
    assert left == ["user and digits, no key"]  # it may be a host and its port
    assert made.snapshot.daemon.files[0].text == '{"labels": ["token=***"]}'
    assert made.snapshot.containers == snapshot.containers


def test_the_last_look_finds_nothing_in_what_was_recorded() -> None:
    """Hosts of the lab in every state: names, ids, rules and errors stay as they are."""
    seen = 0
    for case in itertools.islice(corpus.cases(), 0, None, 7):
        for recorded in case.snapshots:
            assert last_look.masked(bundle.Bundle(snapshot=recorded, answers=case.answers))[1] == ()
            seen += 1
    assert seen > 50


def test_collect_says_what_was_masked_late(snapshot: Snapshot, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ("error: the admin password is hunter2",)
    old, new = tmp_path / "old.bundle", tmp_path / "new.bundle"
    bundle.save(str(old), bundle.Bundle(snapshot=replace(snapshot, host=Host(kernel_log=texts))))
    assert run(["--bundle", str(old), "collect", str(new)]) == 0
    shown = capsys.readouterr()
    assert shown.err.startswith("also masked, as it looked like a secret: kernel_log of h1\n")
    assert "hunter2" not in shown.err + gzip.decompress(new.read_bytes()).decode()
    assert "kernel_log of h1" in bundle.load(str(new)).snapshot.removed


HARD = [
    "x-keykey",
    "-u==",
    "a:(=",
    "sqlcmd ",
    "-U",
    "a:=",
    "--user=",
    "<key>",
    "('key', ",
    "mc set http://a a ",
    "htpasswd -b a ",
]


@pytest.mark.parametrize("piece", HARD)
def test_a_text_of_hard_pieces_is_soon_looked_over(piece: str) -> None:
    """4,096 characters, as many as are looked at of a line of a log, took 1.1 s of the processor."""
    text = f"private key mysql redis ldap login bearer x-author credential {piece * (4096 // len(piece))}"
    before = time.process_time()
    scrub(text)
    assert time.process_time() - before < 0.3
