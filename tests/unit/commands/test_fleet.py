"""Many hosts on one command line: bundles gathered in a directory, and hosts behind ssh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor.__main__ import run
from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.report import plan
from dockernet_doctor.report.model import Invocation
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.model import Compose, Snapshot
from dockernet_doctor.snapshot.pseudonymised import pseudonymise
from tests.unit.diagnosis.fleets import address, fleet, with_rule

Capture = pytest.CaptureFixture[str]


def report(capture: Capture) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(capture.readouterr().out)
    return parsed


def gathered(directory: Path, hosts: list[Snapshot]) -> str:
    for snapshot in hosts:
        bundle.save(str(directory / f"{snapshot.name}.bundle"), bundle.Bundle(snapshot=snapshot))
    return str(directory)


def test_twenty_bundles_in_one_command_and_the_fault_between_two_of_them(tmp_path: Path, capsys: Capture) -> None:
    hosts = fleet(20)
    hosts[10] = with_rule(hosts[10], f"INPUT -s {address(4)}/32 -p udp -m udp --dport 4789 -j DROP")
    directory = gathered(tmp_path, hosts)
    repeated = [word for snapshot in hosts for word in ("--bundle", str(tmp_path / f"{snapshot.name}.bundle"))]
    reports = []
    for bundles in (["--bundle", directory], repeated):
        assert run(["reach", "c4@h4", "c11@h11:80", *bundles, "--format", "json"]) == 1
        reports.append(report(capsys))
    for parsed in reports:
        assert [host["name"] for host in parsed["hosts"]] == [f"h{n}" for n in range(1, 21)]
        (finding,) = parsed["findings"]
        assert finding["id"].startswith("overlay-port-blocked=rule:")
        assert finding["subject"]["host"] == "h11"
        assert [(a["name"], a["host"]) for a in finding["affects"]] == [("c4", "h4")]
        assert "h4" in finding["summary"]
        assert finding["fixes"][0]["host"] == "h11"
    assert run(["reach", "c4@h4", "c12:80@h12", "--bundle", directory]) == 0
    assert capsys.readouterr().out.startswith("✓ c4@h4 should reach c12:80@h12")


def test_all_twenty_are_checked_at_once(tmp_path: Path, capsys: Capture) -> None:
    hosts = fleet(20)
    hosts[10] = with_rule(hosts[10], f"INPUT -s {address(4)}/32 -p udp -m udp --dport 4789 -j DROP")
    assert run(["check", "--bundle", gathered(tmp_path, hosts), "--format", "json"]) == 1
    loud = [f for f in report(capsys)["findings"] if f["severity"] != "info"]
    assert [(f["cause"], f["subject"]["host"]) for f in loud] == [("overlay-port-blocked", "h11")]


def test_a_container_that_only_one_host_has_needs_no_host(tmp_path: Path, capsys: Capture) -> None:
    directory = gathered(tmp_path, fleet(3))
    assert run(["reach", "c2", "c3:80", "--bundle", directory]) == 0
    assert capsys.readouterr().out.startswith("✓ c2@h2 should reach c3:80")


def test_a_container_is_meant_on_its_host(tmp_path: Path, capsys: Capture) -> None:
    directory = gathered(tmp_path, [*(replace(host, name=name) for host, name in zip(fleet(2)[1:] * 2, "ab", strict=True))])

    def hosts(verb: str, member: str, *names: str) -> set[str]:
        assert run([verb, *names, "--bundle", directory, "--format", "json"]) == 0
        found: list[dict[str, Any]] = report(capsys)[member]
        return {str(item.get("host") or item["source"].partition("@")[2]) for item in found}

    for verb, member in (("check", "paths"), ("ports", "ports")):
        assert hosts(verb, member, "pub") == {"a", "b"}
        assert hosts(verb, member, "pub@b") == {"b"}
        assert hosts(verb, member, "pub@b", "pub@a") == {"a", "b"}
        assert run([verb, "none@b", "--bundle", directory]) == 3
        assert "no container is named none" in capsys.readouterr().out
        assert run([verb, "pub@c", "--bundle", directory]) == 2
        assert "no host that is read is called 'c': there is a and b" in capsys.readouterr().err


def test_a_service_stands_for_its_members(tmp_path: Path, capsys: Capture) -> None:
    hosts = []
    for host in fleet(3):
        members = {f"c{host.name[1:]}": "api", "pub": "web"}
        containers = [
            replace(c, compose=Compose(project="shop", service=members[c.name])) if c.name in members else c
            for c in host.containers
        ]
        hosts.append(replace(host, containers=tuple(containers)))
    directory = gathered(tmp_path, hosts)

    def sources(question: list[str]) -> list[str]:
        assert run([*question, "--bundle", directory, "--format", "json"]) == 0
        return [path["source"] for path in report(capsys)["paths"]]

    for word in ("api", "shop/api", "service:api"):
        assert sources(["reach", f"{word}@h2", "c3:80@h3"]) == ["c2@h2"]
        assert run(["check", f"{word}@h2", "--bundle", directory]) == 0
        assert "the container api" not in capsys.readouterr().out
    assert run(["reach", "api", "c3:80@h3", "--bundle", directory]) == 2
    assert "say api@h2 or api@h3" in capsys.readouterr().err
    assert run(["reach", "nobody@h2", "c3:80@h3", "--bundle", directory]) == 3


def test_pseudonyms_of_two_bundles_are_not_compared(tmp_path: Path, capsys: Capture) -> None:
    directory = gathered(tmp_path, fleet(2))
    path = str(tmp_path / "h2.bundle")
    bundle.save(path, pseudonymise(bundle.load(path)).bundle)
    assert run(["check", "--bundle", path]) == 0
    capsys.readouterr()
    assert run(["check", "--bundle", directory]) == 2
    assert " has pseudonyms" in capsys.readouterr().err


def test_a_directory_is_no_bundle_to_collect_from(tmp_path: Path, capsys: Capture) -> None:
    assert run(["collect", str(tmp_path / "one"), "--bundle", gathered(tmp_path, fleet(2))]) == 2
    assert "one host" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "passed"), [([], False), (["--no-probes"], True)])
def test_hosts_behind_ssh_are_read_together_and_send_nothing_where_nothing_may_be_sent(
    more: list[str], passed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    gathered(tmp_path, fleet(2))
    ssh = tmp_path / "ssh"
    ssh.write_text(
        f"#!/bin/sh\nfor word; do case $prior in --) host=$word;; esac; prior=$word; done\n"
        f'echo "$word" >> {tmp_path}/asked\ncat {tmp_path}/$host.bundle\n'
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    arguments = ["reach", "local_cont@h1", "c2:80@h2", "--host", "ssh://ops@h1", "--host", "ssh://h2", *more]
    assert run([*arguments, "--format", "json"]) == 0
    assert [host["name"] for host in report(capsys)["hosts"]] == ["h1", "h2"]
    asked = (tmp_path / "asked").read_text().splitlines()
    assert all(line.startswith("dockernet-doctor collect -") for line in asked)
    assert ["--no-probes" in line for line in asked] == [passed, passed]


def test_a_host_that_ssh_does_not_get_to_says_so_and_nothing_of_its_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    gathered(tmp_path, fleet(1))
    ssh = tmp_path / "ssh"
    said = "ops@far: Permission denied (publickey)."
    ssh.write_text(
        f"#!/bin/sh\nfor word; do case $prior in --) host=$word;; esac; prior=$word; done\n"
        f'[ $host = h1 ] || {{ echo "{said}" >&2; exit 255; }}\n'
        f"echo Welcome; cat {tmp_path}/$host.bundle\n"  # as a login script that does not look whether anybody reads
    )
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    hosts = ["--host", "ssh://h1", "--host", "ssh://ops@far", "--format", "json"]
    assert run(["check", *hosts]) == 3
    parsed = report(capsys)
    assert [host["name"] for host in parsed["hosts"]] == ["h1", "far"]
    assert [f for f in parsed["findings"] if f["severity"] != "info"] == []
    (spot,) = parsed["blind_spots"]
    assert (spot["host"], spot["why"]) == ("far", said.rstrip("."))
    assert run(["reach", "host@far", "web:80@far", *hosts]) == 3
    assert report(capsys)["verdict"] == "unknown"
    assert run(["check", "--host", "ssh://ops:pl4nted@h1"]) == 2
    assert "pl4nted" not in capsys.readouterr().err


def test_plan_lists_the_cluster_store_that_reading_would_ask() -> None:
    snapshot = fleet(1)[0]
    assert snapshot.engine
    engine = replace(snapshot.engine, version="20.10.24", cluster_store="etcd://10.99.0.9:2379,10.99.0.10:2379")
    invocation = Invocation(verb="plan", arguments=("check",), only=(), skip=(), fail_on="error", probes=True)
    live = plan.build(Case.of([replace(snapshot, source="live", engine=engine)]), [], invocation)
    assert [(p.probe, p.target) for p in live.probes] == [("store", "10.99.0.9:2379"), ("store", "10.99.0.10:2379")]
    assert "10.99.0.10:2379" in plan.text(live)
    assert plan.build(Case.of([replace(snapshot, source="bundle", engine=engine)]), [], invocation).probes == ()
