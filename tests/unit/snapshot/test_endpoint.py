from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from dockernet_doctor.snapshot.client import read_client
from dockernet_doctor.snapshot.endpoint import (
    DaemonEndpoint,
    EndpointError,
    choose,
    collect_over_ssh,
    local_socket,
    normal_url,
    refused_choice,
    ssh_command,
)

from .replay import recording, replayed


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """The environment of a user with two contexts, of which `prod` is current."""
    for name, host in (("prod", "ssh://ops@prod"), ("lan", "tcp://10.0.0.5:2376")):
        meta = tmp_path / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        meta.mkdir(parents=True)
        (meta / "meta.json").write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))
    tls = tmp_path / "contexts" / "tls" / hashlib.sha256(b"lan").hexdigest() / "docker"
    tls.mkdir(parents=True)
    (tls / "ca.pem").write_text("")
    (tmp_path / "config.json").write_text('{"currentContext": "prod", "auths": {"x": {"auth": "c2VjcmV0"}}}')
    return {"DOCKER_CONFIG": str(tmp_path)}


def test_who_decides(env: dict[str, str]) -> None:
    def chosen(host: str | None = None, context: str | None = None, **more: str) -> tuple[str, str]:
        found = choose(host, context, env | more)
        return found.url, found.chosen_by

    assert chosen() == ("ssh://ops@prod", "current context")
    assert chosen(DOCKER_CONTEXT="lan") == ("tcp://10.0.0.5:2376", "DOCKER_CONTEXT")
    assert chosen(DOCKER_CONTEXT="lan", DOCKER_HOST="unix:///x") == ("unix:///x", "DOCKER_HOST")
    assert chosen("10.0.0.9", DOCKER_HOST="unix:///x") == ("tcp://10.0.0.9:2375", "--host")
    assert chosen(None, "lan", DOCKER_HOST="unix:///x") == ("tcp://10.0.0.5:2376", "--context")
    assert chosen(None, "default", DOCKER_HOST="unix:///x") == ("unix:///x", "--context")
    Path(env["DOCKER_CONFIG"], "config.json").write_text("no JSON")
    assert chosen(XDG_RUNTIME_DIR="/nowhere") == ("unix:///var/run/docker.sock", "default")


def test_what_docker_refuses(env: dict[str, str]) -> None:
    with pytest.raises(EndpointError, match="cannot be given together"):
        choose("unix:///x", "prod", env)
    with pytest.raises(EndpointError, match=r"'gone'.*lan, prod"):
        choose(None, "gone", env)


def test_tls(env: dict[str, str]) -> None:
    found = choose(None, "lan", env).tls
    assert found is not None
    assert found.authority.endswith("/docker/ca.pem")
    assert (found.certificate, found.verify) == ("", True)
    authority = Path(found.authority)
    asked = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(authority.parent)}
    found = choose(None, None, {"DOCKER_HOST": "tcp://h", **asked}).tls
    assert found is not None
    assert found.verify
    assert choose("tcp://h", None, {}).tls is None
    assert choose(None, None, asked).url == "tcp://localhost:2376"
    assert choose("unix:///run/x.sock", None, asked).tls is None
    authority.unlink()
    for elsewhere in ({"DOCKER_HOST": "tcp://h"}, {}):  # docker refuses to ask that one, too
        with pytest.raises(EndpointError, match=r"DOCKER_TLS_VERIFY is set, and there is no .*/docker/ca\.pem"):
            choose(None, None, {**elsewhere, **asked})


@pytest.mark.parametrize(
    ("asked", "url"),
    [
        ("unix:///run/x.sock", "unix:///run/x.sock"), ("unix://", "unix:///var/run/docker.sock"),
        ("10.0.0.5", "tcp://10.0.0.5:2375"),
        (":2375", "tcp://127.0.0.1:2375"), ("tcp://h:1/", "tcp://h:1"), ("tcp://[fd00::1]", "tcp://[fd00::1]:2375"),
        ("http://h:1", "tcp://h:1"), ("ssh://u@h:22", "ssh://u@h:22"),
    ],
)  # fmt: skip
def test_addresses(asked: str, url: str) -> None:
    assert normal_url(asked) == url
    assert normal_url("tcp://h", tls=True) == "tcp://h:2376"


@pytest.mark.parametrize("asked", ["unix://run/x", "npipe:////./x", "tcp://", "ssh://", "tcp://h:99999", "tcp://a b", "/run/x"])
def test_what_is_no_address(asked: str) -> None:
    with pytest.raises(EndpointError):
        normal_url(asked)


def test_ssh_gets_no_option_from_a_url() -> None:
    command = ssh_command("ssh://ops@h:2222/run/my docker.sock", 20)
    assert command[command.index("--") :] == [
        "--", "h", "dockernet-doctor collect - --timeout 20 --host 'unix:///run/my docker.sock'",
    ]  # fmt: skip
    assert command[command.index("-l") + 1] == "ops"
    assert command[command.index("-p") + 1] == "2222"
    with pytest.raises(EndpointError, match=r"ssh://\*\*\*@h "):
        ssh_command("ssh://u:secret@h", 5)


@pytest.mark.parametrize(
    "host", ["-oProxyCommand=x", "a@-oProxyCommand=x", "-lroot@h", "h`id`", "$(id)@h", "u;id@h", "h|id", "'h", "-"]
)
def test_what_a_proxy_command_of_ssh_would_hand_to_a_shell_is_refused(host: str) -> None:
    with pytest.raises(EndpointError, match="is no name for ssh"):
        ssh_command(f"ssh://{host}", 5)


@pytest.mark.parametrize(
    "host", ["h", "10.0.0.1", "[fe80::1%25eth0]", "ops.team@web-1.example", "corp\\me@h", "me@corp.example@h"]
)
def test_what_ssh_calls_hosts_and_users_is_taken(host: str) -> None:
    assert ssh_command(f"ssh://{host}", 5)[0] == "ssh"


def test_ssh_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ssh"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for script, said in (("echo 'Permission denied' >&2; exit 255", "Permission denied"), ("exit 127", "not installed there")):
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        with pytest.raises(EndpointError, match=said):
            collect_over_ssh("ssh://h", 5)


def test_the_single_file_is_sent_run_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for ssh, which has the far side's shell run the command."""
    far, program, sent = tmp_path / "far", tmp_path / "ssh", tmp_path / "file"
    far.mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(far))
    program.write_text('#!/bin/sh\nfor last; do :; done; exec sh -c "$last"\n')
    program.chmod(0o755)
    sent.write_text(
        f'#!/bin/sh\nls -d "$TMPDIR/dockernet-doctor" > {tmp_path}/ran; echo "$@" >> {tmp_path}/ran; echo gone >&2\n'
    )
    with pytest.raises(EndpointError, match="gone"):
        collect_over_ssh("ssh://h", 5, send=str(sent))
    place, arguments = (tmp_path / "ran").read_text().splitlines()
    assert place.startswith(f"{far}/")
    assert arguments == "collect - --timeout 4"
    assert list(far.iterdir()) == []
    (tmp_path / "uname").write_text("#!/bin/sh\necho Linux aarch64\n")
    (tmp_path / "uname").chmod(0o755)
    with pytest.raises(EndpointError, match="is for x86-64 Linux, and this is Linux aarch64"):
        collect_over_ssh("ssh://h", 5, send=str(sent))
    assert list(far.iterdir()) == []


def test_other_daemons_are_asked_where_another_than_the_local_one_is_meant(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with replayed(tmp_path / "s", recording("28.5")["answers"]) as (local, requests):
        meta = tmp_path / "contexts" / "meta" / "here"
        meta.mkdir()
        (meta / "meta.json").write_text(json.dumps({"Name": "here", "Endpoints": {"docker": {"Host": local.url}}}))
        found = read_client(choose(None, None, env), env)
        other = next(item for item in found.others if item.origin == "context here")
        assert {"web", "db"} <= set(other.containers)
        assert "frontend" not in other.containers
        assert {method for method, _ in requests} == {"GET"}
    assert [(item.name, item.current) for item in found.contexts] == [("here", False), ("lan", False), ("prod", True)]
    assert found.chosen_by == "current context"


def test_no_secret_of_the_environment_is_kept() -> None:
    found = read_client(choose(None, None, {"DOCKER_HOST": "tcp://u:secret@h:1"}), {"DOCKER_HOST": "tcp://u:secret@h:1"})
    assert "secret" not in str(found)


@pytest.mark.parametrize("url", ["ssh://[::1", "ssh://h:99999", "ssh://h:²", "ssh://user:secret@[::1"])
def test_an_ssh_url_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(EndpointError) as caught:
        ssh_command(url, 5.0)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["tcp://[::1", "tcp://h:65536", "unix:///a\0b", "tcp://h\n:1", "\udcff", "tcp://" + "h" * 5 + ":²"]
)
def test_an_address_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(EndpointError):
        normal_url(url)


def test_bytes_of_the_environment_that_are_no_text_become_text(tmp_path: Path) -> None:
    env = {"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "\udcff", "DOCKER_MACHINE_NAME": "m\udcfe"}
    with pytest.raises(EndpointError):
        choose(env=env)
    refused_choice(env).context.encode()
    assert read_client(DaemonEndpoint(url=f"unix://{local_socket(env)}"), env).environment["DOCKER_MACHINE_NAME"] == r"m\xfe"


def test_a_context_with_an_address_that_cannot_be_is_left_out(tmp_path: Path) -> None:
    meta = tmp_path / "contexts" / "meta" / "x"
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text('{"Name": "odd", "Endpoints": {"docker": {"Host": "unix:///a\\u0000b"}}}')
    with pytest.raises(EndpointError, match="does not exist"):
        choose(context="odd", env={"DOCKER_CONFIG": str(tmp_path)})
