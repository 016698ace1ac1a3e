"""The recorded hosts of 29.7.2, nftables beside iptables, with faults made by editing their rules: both show the same cause."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from msgspec.structs import replace

from dockernet_doctor.diagnosis.finding import Finding
from dockernet_doctor.diagnosis.run import diagnose
from dockernet_doctor.snapshot.model import (
    Container,
    Daemon,
    Engine,
    EngineProblem,
    Link,
    LogLine,
    Network,
    Route,
    Snapshot,
    State,
    Subnet,
    TextFile,
)
from tests.corpus import Case, cases, replay
from tests.unit.checks.hosts import REGISTRY, host, member, reach, snapshot

Item = dict[str, Any]
CAUSE = "docker-rules-missing"
FRONT = "br-be6c5dc6f3a2"  # of the network front


@cache
def recorded(backend: str) -> Case:
    """What check asked of the host; without answers, which tell of the rules as they were."""
    [found] = [c for c in cases("engine29") if c.case.startswith(f"engine29/{backend}/recorded@") and not c.questions]
    return replace(found, answers=())


def edited(case: Case, edit: Callable[[str, str], str]) -> Case:
    """The host with its dumps of rules changed: `edit` takes the tool and its text."""
    [before] = case.snapshots
    assert before.host is not None
    stack = before.host.stack
    assert stack is not None
    assert stack.firewall is not None
    dumps = tuple(replace(dump, text=edit(dump.tool, dump.text)) for dump in stack.firewall)
    assert dumps != stack.firewall
    changed = replace(before.host, stack=replace(stack, firewall=dumps))
    return replace(case, snapshots=(replace(before, host=changed),))


def without_rules(gone: Callable[[Item], bool]) -> Case:
    """The nftables host less the rules that `gone` knows."""

    def edit(tool: str, text: str) -> str:
        items = json.loads(text)["nftables"] if tool == "nft" else []
        return json.dumps({"nftables": [i for i in items if not ("rule" in i and gone(i["rule"]))]}) if items else text

    return edited(recorded("nftables"), edit)


def without_lines(part: str) -> Case:
    """The iptables host less the lines that hold `part`."""

    def edit(tool: str, text: str) -> str:
        kept = [line for line in text.splitlines() if part not in line]
        return text if tool == "nft" else "\n".join(kept) + "\n"

    return edited(recorded("iptables"), edit)


def found(case: Case) -> dict[str, Item]:
    """Cause → the finding, of those that are no mere info."""
    return {f["cause"]: f for f in replay(case)["findings"] if f["severity"] != "info"}


def missing(case: Case) -> list[str]:
    return [e["value"] for e in found(case)[CAUSE]["evidence"] if e["fact"] == "missing"]


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_untouched_host_misses_nothing(backend: str) -> None:
    assert CAUSE not in found(recorded(backend))


@pytest.mark.parametrize(
    ("gone", "line", "what"),
    [
        (lambda r: r.get("comment") == "DNAT", "-j DNAT", "DNAT of 0.0.0.0:8080/tcp to 172.18.0.2:80 (network front)"),
        (lambda r: r.get("comment") == "MASQUERADE", "-j MASQUERADE", "MASQUERADE of 172.18.0.0/16 (network front)"),
        (
            lambda r: r["chain"] == f"filter-forward-in__{FRONT}" and "172.18.0.2" in json.dumps(r),
            "-A DOCKER -d 172.18.0.2/32",
            "the rule that lets 172.18.0.2:80/tcp in (network front)",
        ),
    ],
    ids=["dnat", "masquerade", "accept"],
)
def test_a_part_that_is_gone_is_missed_by_name_with_either_backend(gone: Callable[[Item], bool], line: str, what: str) -> None:
    assert what in missing(without_rules(gone))
    assert what in missing(without_lines(line))


def test_a_bridge_that_the_maps_no_longer_know_is_missed() -> None:
    def edit(tool: str, text: str) -> str:
        document = json.loads(text)
        for table_map in (item["map"] for item in document["nftables"] if "map" in item):
            table_map["elem"] = [element for element in table_map["elem"] if element[0] != FRONT]
        return json.dumps(document)

    assert missing(edited(recorded("nftables"), edit)) == [
        f"the element {FRONT} of the map {part}-jumps (network front)"
        for part in ("filter-forward-in", "filter-forward-out", "nat-postrouting-in", "nat-postrouting-out")
    ]


def test_a_base_chain_that_jumps_nowhere_is_missed() -> None:
    case = without_rules(lambda rule: rule["chain"] in ("filter-FORWARD", "nat-PREROUTING") and rule["family"] == "ip")
    assert missing(case) == [
        "the jump from filter-FORWARD by the map filter-forward-in-jumps (ip docker-bridges)",
        "the jump from filter-FORWARD by the map filter-forward-out-jumps (ip docker-bridges)",
        "the jump from nat-PREROUTING to nat-prerouting-and-output",
    ]


def test_a_flushed_chain_of_a_bridge_is_missed() -> None:
    case = without_rules(lambda rule: rule["chain"] == f"filter-forward-out__{FRONT}")
    assert missing(case) == [f"the rules of filter-forward-out__{FRONT} (network front)"]


def test_tables_that_are_gone_are_missed_whole() -> None:
    def edit(tool: str, text: str) -> str:
        return json.dumps({"nftables": []})

    assert missing(edited(recorded("nftables"), edit)) == ["the table ip docker-bridges", "the table ip6 docker-bridges"]


def test_the_drop_of_what_is_not_published_is_for_want_of_the_accept() -> None:
    case = without_rules(lambda r: r["chain"] == f"filter-forward-in__{FRONT}" and "172.18.0.2" in json.dumps(r))
    [path] = replay(replace(case, questions=(("outside", "web:80"),)))["paths"]
    assert path["verdict"] == "unreachable"
    assert list(found(replace(case, questions=(("outside", "web:80"),)))) == [CAUSE]


def in_sandbox_of(name: str, gone: Callable[[Item], bool]) -> Case:
    """The nftables host with rules gone from the sandbox of this container."""
    case = recorded("nftables")
    [before] = case.snapshots

    def without(container: Container) -> Container:
        sandbox = container.sandbox
        assert sandbox is not None
        assert sandbox.stack.firewall is not None
        [dump] = sandbox.stack.firewall
        items = json.loads(dump.text)["nftables"]
        text = json.dumps({"nftables": [i for i in items if not ("rule" in i and gone(i["rule"]))]})
        assert text != dump.text
        stack = replace(sandbox.stack, firewall=(replace(dump, text=text),))
        return replace(container, sandbox=replace(sandbox, stack=stack))

    containers = tuple(without(c) if c.name == name else c for c in before.containers)
    return replace(case, snapshots=(replace(before, containers=containers),))


def test_rules_of_a_sandbox_are_missed_one_by_one() -> None:
    assert "embedded-dns-broken" not in found(recorded("nftables"))
    for words, protocol, chain in (
        ("the DNAT of 127.0.0.11:53/udp", "udp", "dns-dnat"),
        ("the SNAT of its answers (udp)", "udp", "dns-snat"),
        ("the DNAT of 127.0.0.11:53/tcp", "tcp", "dns-dnat"),
        ("the SNAT of its answers (tcp)", "tcp", "dns-snat"),
    ):
        case = in_sandbox_of("web", lambda r, p=protocol, c=chain: r["chain"] == c and p in json.dumps(r))  # type: ignore[misc]
        finding = found(case)["embedded-dns-broken"]
        assert [e["value"] for e in finding["evidence"] if e["fact"] == "missing"] == [words]
        assert words in finding["summary"]
        # without the part for TCP the short names are answered still
        assert finding["severity"] == ("error" if protocol == "udp" else "warning")


IPV4_OFF = (
    'failed to start daemon: Error initializing network controller: error creating default "bridge" network: '
    "IPv4 forwarding is disabled: check your host's firewalling and set sysctl net.ipv4.ip_forward=1, "
    "or disable this check using daemon option --ip-forward=false"
)
IPV6_OFF = "IPv6 global forwarding is disabled: check your host's firewalling and set sysctls net.ipv6.conf.all.forwarding=1"


def failing(text: str, *, sysctls: dict[str, str], up: bool, settings: str = "") -> Snapshot:
    """A host whose daemon said that at its last start or since; `settings` is its daemon.json."""
    line = LogLine(time="2026-01-01T12:00:00Z", level="error" if up else "fatal", text=text)
    started = (LogLine(time="2026-01-01T11:00:00Z", level="info", text="API listen on /run/docker.sock"),) if up else ()
    files = (TextFile(path="/etc/docker/daemon.json", kind="daemon.json", text=settings),) if settings else ()
    daemon = Daemon(pid=1 if up else None, readable=True, log=(*started, line), files=files, service_state="active")
    on = host()
    assert on.stack is not None
    on = replace(on, stack=replace(on.stack, sysctls=on.stack.sysctls | sysctls))
    engine = Engine(version="29.7.2", firewall_backend="nftables") if up else None
    problem = None if up else EngineProblem(kind="no-socket", detail="no such file or directory")
    return replace(snapshot(on=on, daemon=daemon, networks=()), engine=engine, problem=problem)


def told(of: Snapshot) -> dict[str, Finding]:
    return {finding.cause: finding for finding in diagnose([of], registry=REGISTRY).findings}


def test_a_daemon_that_finds_forwarding_off_does_not_start() -> None:
    findings = told(failing(IPV4_OFF, sysctls={"net.ipv4.ip_forward": "0"}, up=False))
    root = findings["nftables-needs-forwarding"]
    assert "does not start" in root.summary
    assert root.fixes[0].commands[0] == "sysctl -w net.ipv4.ip_forward=1"
    assert root.fixes[0].commands[-1] == "systemctl restart docker"
    assert findings["daemon-not-running"].because_of == root.id


def test_ipv6_needs_both_settings() -> None:
    off = {"net.ipv6.conf.all.forwarding": "0", "net.ipv6.conf.default.forwarding": "0"}
    finding = told(failing(f"Handler for POST returned error: {IPV6_OFF}", sysctls=off, up=True))["nftables-needs-forwarding"]
    assert "refuses networks with IPv6" in finding.summary
    commands = " ".join(finding.fixes[0].commands)
    assert "net.ipv6.conf.all.forwarding=1" in commands
    assert "net.ipv6.conf.default.forwarding=1" in commands


def test_forwarding_that_is_on_again_is_no_fault() -> None:
    assert "nftables-needs-forwarding" not in told(failing(IPV4_OFF, sysctls={"net.ipv4.ip_forward": "1"}, up=False))


def test_a_node_of_a_swarm_does_not_start_with_nftables() -> None:
    text = "failed to start daemon: --firewall-backend=nftables is incompatible with swarm mode"
    findings = told(failing(text, sysctls={}, up=False, settings='{"firewall-backend": "nftables"}\n'))
    root = findings["nftables-refuses-swarm"]
    assert root.id == "nftables-refuses-swarm=daemon:h@h"
    assert findings["daemon-not-running"].because_of == root.id
    assert "nftables-refuses-swarm" not in told(failing(text, sysctls={}, up=False))


# --- causes that no recorded host has: constructed


def on_a_macvlan(*, version: str = "29.7.2", gateway: str | None = None, subnet: str = "10.99.0.0/24") -> Snapshot:
    """A container on a macvlan network of the host's own LAN."""
    lan = Network(id="n1", name="lan", driver="macvlan", subnets=(Subnet(subnet=subnet, gateway=gateway),))
    web = member(2, "web", 80)
    assert web.sandbox is not None
    routes: tuple[Route, ...] = (Route(family=4, destination=subnet, link="eth0"),)
    routes += (Route(family=4, destination="0.0.0.0/0", gateway=gateway, link="eth0"),) if gateway else ()
    address = replace(web.sandbox.stack.addresses[0], address=subnet.replace("0/24", "9"), prefix=24)
    stack = replace(web.sandbox.stack, routes=routes, addresses=(address,))
    endpoint = replace(web.endpoints[0], network="lan", ipv4=address.address)
    web = replace(web, network_mode="lan", sandbox=replace(web.sandbox, stack=stack), endpoints=(endpoint,))
    return replace(snapshot(web, networks=(lan,)), engine=Engine(version=version))


def test_a_macvlan_without_a_gateway_leads_nowhere() -> None:
    of = on_a_macvlan()
    finding = told(of)["macvlan-needs-gateway"]
    assert (finding.severity, finding.id) == ("info", "macvlan-needs-gateway=network:lan@h")  # it may be meant
    assert "--gateway 10.99.0.2" in " ".join(finding.fixes[0].commands)  # the host's own router
    [asked] = reach("web", "203.0.113.9:80", of).findings
    assert (asked.cause, asked.severity) == ("macvlan-needs-gateway", "error")
    elsewhere = told(on_a_macvlan(subnet="10.5.0.0/24"))["macvlan-needs-gateway"]
    assert not elsewhere.fixes[0].runnable
    for healthy in (on_a_macvlan(gateway="10.99.0.2"), on_a_macvlan(version="28.5.2")):
        assert "macvlan-needs-gateway" not in told(healthy)


def test_a_name_of_the_world_and_the_version_that_does_not_resolve_it() -> None:
    of = replace(snapshot(member(2, "web", 80)), engine=Engine(version="29.1.0"))
    finding = told(of)["engine-bug-known"]
    assert (finding.severity, finding.confidence) == ("info", "possible")
    assert "fixed in 29.1.1" in finding.summary
    for version in ("29.0.4", "29.1.1", "29.1.10", "28.5.2"):
        assert "engine-bug-known" not in told(replace(of, engine=Engine(version=version)))


def test_an_error_text_and_the_versions_that_say_it() -> None:
    state = State(status="created", error="failed to set up container networking: bridge port not forwarding")
    of = replace(snapshot(member(2, "web", state=state)), engine=Engine(version="28.0.4"))
    findings = told(of)
    assert findings["engine-bug-known"].severity == "error"
    assert "engine-bug-known" not in told(replace(of, engine=Engine(version="28.1.1")))


def test_wsl2_is_told_by_its_kernel_and_mirrored_mode_by_its_interface() -> None:
    def wsl(kernel: str, *names: str) -> Snapshot:
        on = host()
        assert on.stack is not None
        links = (*on.stack.links, *(Link(index=9 + i, name=name) for i, name in enumerate(names)))
        return snapshot(on=replace(on, kernel=kernel, stack=replace(on.stack, links=links)), networks=())

    kernel = "6.6.87.2-microsoft-standard-WSL2"
    assert told(wsl(kernel, "loopback0"))["wsl2-mirrored"].severity == "info"
    assert "wsl2-mirrored" not in told(wsl(kernel))
    assert "wsl2-mirrored" not in told(wsl("6.12.0", "loopback0"))
