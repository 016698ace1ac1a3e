"""Podman's socket, as Podman 5.8.6 and 4.3.1 answered (tests/corpus, module podman)."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from dockernet_doctor import shell
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes.podman import in_words_of_podman
from dockernet_doctor.diagnosis.path import NameUnanswered
from dockernet_doctor.diagnosis.paths.reasons.unanswered_name import dns_broken
from dockernet_doctor.snapshot import engine, podman, wire
from dockernet_doctor.snapshot.model import BlindSpot, Network, Snapshot
from tests.corpus import Case, cases, replay


@pytest.fixture(scope="module")
def host() -> Snapshot:
    return recorded("5.8.6")[0].snapshots[0]


def recorded(name: str) -> list[Case]:
    """The cases of the host or state of this name."""
    return [case for case in cases("podman") if name in case.case]


def networks(snapshot: Snapshot) -> dict[str, Network]:
    return {network.name: network for network in snapshot.networks}


def test_its_bridges_are_those_that_hold_the_gateways(host: Snapshot) -> None:
    guessed = tuple(replace(network, bridge=f"br-{network.id[:12]}", ipv4=False) for network in host.networks)
    adapted = podman.adapted(replace(host, networks=guessed))
    assert {name: network.bridge for name, network in networks(adapted).items()} == {"app": "podman1", "podman": "podman0"}
    assert all(network.ipv4 for network in adapted.networks)


def test_what_is_docker_s_stays_as_it_is(host: Snapshot) -> None:
    assert host.engine is not None
    docker = replace(host, engine=replace(host.engine, root_dir="/var/lib/docker", product=""))
    assert podman.adapted(docker) is docker


@pytest.mark.parametrize(("components", "product"), [(["Podman Engine", "Conmon"], "podman"), (["Engine", "containerd"], "")])
def test_its_version_names_it(components: list[str], product: str) -> None:
    version = wire.Version(Version="5.8.6", ApiVersion="1.44", Components=[wire.Component(Name=name) for name in components])
    assert engine._engine(version, wire.Info(), ()).product == product


def test_docker_s_checks_say_nothing_of_it_and_the_report_says_so() -> None:
    report = next(replay(case) for case in recorded("5.8.6") if not case.questions)
    assert not report["complete"]
    assert report["blind_spots"][0]["why"].endswith("Docker's checks do not apply to these")
    assert {check["result"] for check in report["checks"] if check["cause"] == "docker-rules-missing"} == {"not-applicable"}
    assert {finding["cause"] for finding in report["findings"]} == {
        "podman-socket",
        "container-not-running",  # of db, whose command was wrong
        "container-port-mismatch",  # of lo, published at 81, where it listens on 80
        "port-bound-to-loopback",
    }


def test_names_are_answered_at_the_gateway() -> None:
    (path,) = next(replay(case) for case in recorded("5.8.6") if case.questions == (("web", "lo:80"),))["paths"]
    assert {hop["hop"]: hop["status"] for hop in path["hops"]}["name"] == "ok"
    assert path["verdict"] == "reachable"


def test_it_has_no_daemon_whose_files_could_be_missed(host: Snapshot) -> None:
    blind = replace(host, blind_spots=(BlindSpot(area="daemon", what="the daemon's files and process", why="unknown"),))
    assert podman.adapted(blind).blind_spots == ()


def test_its_dns_is_not_broken_since_nothing_is_redirected_to_it(host: Snapshot) -> None:
    facts = HostFacts(host)
    source = next(container for container in facts.containers if container.name == "web")
    unasked = NameUnanswered(name="lo", resolver="embedded", result="")
    assert not dns_broken(facts, source, unasked)


def test_its_default_network_has_no_dns(host: Snapshot) -> None:
    assert {name: network.has_dns for name, network in networks(host).items()} == {"app": True, "podman": False}
    custom = replace(networks(host)["podman"], bridge="br-0123456789ab")  # Docker's, by a name of the user's
    assert custom.has_dns


@pytest.mark.parametrize(
    ("words", "of_podman"),
    [
        (("docker", "start", "db"), "podman start db"),
        (("docker", "network", "connect", "app", "db"), "podman network connect app db"),
        (("docker", "network", "connect", "none", "db"), None),
        (("docker", "network", "connect", "app", "docker db"), None),
        (("docker", "update", "--restart=no", "db"), None),
        (("docker", "compose", "up", "-d", "db"), None),
        (("systemctl", "restart", "docker"), None),
        (("sysctl", "-w", "net.ipv4.ip_forward=1"), "sysctl -w net.ipv4.ip_forward=1"),
        (("sed", "-i", "s/0/1/", "/etc/sysctl.d/99-docker.conf"), "sed -i s/0/1/ /etc/sysctl.d/99-docker.conf"),
    ],
)
def test_fixes_are_made_by_its_own_program(words: tuple[str, ...], of_podman: str | None) -> None:
    fix = in_words_of_podman(Fix(summary="Do it.", commands=(shell.command(*words),)))
    assert (fix.runnable, fix.commands) == ((True, (of_podman,)) if of_podman else (False, ()))


def test_healthy_hosts_of_bookworm_s_podman_are_silent() -> None:
    checked = [replay(case) for case in recorded("/healthy@podman4") if not case.questions]
    assert len(checked) == 4
    assert [finding["id"] for report in checked for finding in report["findings"] if finding["severity"] != "info"] == []


def test_what_keeps_a_published_port_of_bookworm_s_podman_shut_is_named() -> None:
    broken = [replay(case) for case in recorded("/broken@podman4") if ("outside", "web:80") in case.questions]
    assert {report["findings"][0]["cause"] for report in broken} == {"firewall-drops-traffic", "no-listener"}
