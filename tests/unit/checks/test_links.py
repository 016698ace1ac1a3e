"""Ports of bridges, gateways and addresses that are not what they seem, each with its healthy twin."""

from __future__ import annotations

import ipaddress

import pytest
from dockernet_doctor_checks.addressing import (
    bridge_skips_container,
    container_interface_down,
    route_missing,
    subnet_overlap,
    veth_detached,
)
from dockernet_doctor_checks.firewall import icc_disabled
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.check import Check
from dockernet_doctor.diagnosis.finding import Finding
from dockernet_doctor.diagnosis.paths.walk import walk
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.snapshot.model import (
    Address,
    Container,
    Endpoint,
    ForwardingEntry,
    Host,
    Link,
    Neighbour,
    Network,
    NetworkStack,
    Route,
    Sandbox,
    Snapshot,
    State,
    Subnet,
)
from tests.unit.checks import hosts

APP = Network(
    id="n1", name="app", driver="bridge", bridge="app0", subnets=(Subnet(subnet="172.18.0.0/16", gateway="172.18.0.1"),)
)


def member(name: str, number: int, *, gateway: str = "172.18.0.1", met: bool = False) -> Container:
    address = f"172.18.0.{number}"
    stack = NetworkStack(
        links=(Link(index=1, name="lo"), Link(index=2, name="eth0", kind="veth", peer_index=number, mac="02:00:00:00:00:02")),
        addresses=(Address(link="eth0", address=address, prefix=16, family=4),),
        routes=(
            Route(family=4, destination="172.18.0.0/16", link="eth0"),
            Route(family=4, destination="0.0.0.0/0", gateway=gateway, link="eth0"),
        ),
        neighbours=(Neighbour(family=4, link="eth0", address=gateway, mac="02:00:00:00:00:99"),) if met else (),
        listeners=(),
    )
    return Container(
        id=f"{number:02x}" * 32,
        name=name,
        network_mode="app",
        state=State(status="running", running=True, pid=number),
        endpoints=(Endpoint(network="app", network_id="n1", ipv4=address, ipv4_prefix=16, ipv4_gateway="172.18.0.1"),),
        sandbox=Sandbox(pid=number, namespace=number, stack=stack),
    )


def found(
    check: Check,
    question: str,
    *members: Container,
    lan: str = "10.99.0.3/24",
    forwarding: tuple[ForwardingEntry, ...] = (),
    **ports: bool,
) -> list[Finding]:
    """Of a host whose eth1 has the address `lan`; `ports` holds of the bridge ports of all members."""
    links = [Link(index=1, name="lo"), Link(index=90, name="app0", kind="bridge"), Link(index=91, name="eth1")]
    for one in members:
        port = Link(index=one.state.pid or 0, name=f"veth{one.state.pid}", kind="veth", master="app0")
        links.append(replace(port, **ports))
    eth1 = ipaddress.ip_interface(lan)
    stack = NetworkStack(
        links=tuple(links),
        addresses=(
            Address(link="app0", address="172.18.0.1", prefix=16, family=4),
            Address(link="eth1", address=str(eth1.ip), prefix=eth1.network.prefixlen, family=4),
        ),
        routes=(
            Route(family=4, destination="172.18.0.0/16", link="app0", source="172.18.0.1"),
            Route(family=4, destination=str(eth1.network), link="eth1", source=str(eth1.ip)),
            Route(family=4, destination="0.0.0.0/0", gateway="10.99.0.2", link="eth1"),
        ),
        forwarding=forwarding,
        listeners=(),
        firewall=(),
    )
    snapshot = Snapshot(
        name="h", taken_at="2026-01-01T00:00:00Z", endpoint="", networks=(APP,), containers=members, host=Host(stack=stack)
    )
    source, target = question.split()
    case = Case.of((snapshot,), asked=True)
    case = replace(case, paths=tuple(walk(case, Question(source=parse_source(source), target=parse_target(target)))))
    assert check.find is not None
    return list(check.find(case))


def test_a_port_that_the_bridge_blocks_is_cut_off() -> None:
    web = member("web", 2)
    assert found(veth_detached.check, "host web:80", web) == []
    (finding,) = found(veth_detached.check, "host web:80", web, blocked=True)
    assert finding.fixes[0].commands == ("ip link set veth2 type bridge_slave state 3",)
    # a port without carrier is disabled by the bridge, and only then
    assert found(veth_detached.check, "host web:80", web, blocked=True, carrier=False) == []


def test_isolated_ports_keep_members_apart() -> None:
    pair = member("web", 2), member("cli", 3)
    assert found(icc_disabled.check, "cli container:web:80", *pair) == []
    (finding,) = found(icc_disabled.check, "cli container:web:80", *pair, isolated=True)
    assert (finding.severity, len(finding.fixes[0].commands)) == ("error", 2)
    (meant,) = found(icc_disabled.check, "host web:80", *pair, isolated=True)
    assert meant.severity == "info"


@pytest.mark.parametrize(
    ("cli", "lost"),
    [
        (member("cli", 3), False),
        (member("cli", 3, gateway="172.18.0.77"), True),
        (member("cli", 3, gateway="172.18.0.77", met=True), False),  # a machine on the bridge that Docker does not know
        (member("cli", 3, gateway="172.18.0.2"), False),  # another container, such as a VPN's
    ],
)
def test_a_gateway_that_nobody_is(cli: Container, *, lost: bool) -> None:
    findings = found(route_missing.check, "cli 203.0.113.5:443", member("web", 2), cli)
    assert [f.affects[0].name for f in findings] == (["cli"] if lost else [])
    if lost:
        assert "no default route except one via 172.18.0.77, which nobody has" in findings[0].summary
        assert len(findings[0].explains) == 1


def test_an_address_of_the_lan_that_a_container_has_is_the_lan_machine_to_others() -> None:
    web = member("web", 2)
    mistaken = found(subnet_overlap.check, "host 172.18.0.2:5432", web, lan="172.16.0.200/12")
    assert len(mistaken[0].explains) == 1
    assert "172.18.0.2 of eth1, which this host dials, is taken to be web" in mistaken[0].summary
    assert found(subnet_overlap.check, "host 172.18.0.2:5432", web) == []


MAC = "02:00:00:00:00:02"


@pytest.mark.parametrize(
    ("entry", "lost"),
    [
        (ForwardingEntry(bridge="app0", port="eth1", mac=MAC, state="static"), True),
        (ForwardingEntry(bridge="app0", port="app0", mac=MAC, state="permanent"), True),
        (ForwardingEntry(bridge="app0", port="veth2", mac=MAC, state="static"), False),
        (ForwardingEntry(bridge="app0", port="eth1", mac=MAC, state="learned"), False),  # the next frame moves it
        (ForwardingEntry(bridge="other", port="eth1", mac=MAC, state="static"), False),
        (ForwardingEntry(bridge="app0", port="eth1", mac="02:00:00:00:00:77", state="static"), False),
    ],
)
def test_an_entry_that_somebody_set_leads_frames_elsewhere(entry: ForwardingEntry, *, lost: bool) -> None:
    findings = found(bridge_skips_container.check, "host web:80", member("web", 2), forwarding=(entry,))
    assert [f.subject.name for f in findings] == (["web"] if lost else [])
    if lost:
        how = "eth1 master" if entry.port == "eth1" else "app0 self"
        assert findings[0].fixes[0].commands == (f"bridge fdb del {MAC} dev {how}",)
        assert len(findings[0].explains) == 1


def test_a_port_that_neither_learns_nor_is_flooded_gets_nothing() -> None:
    web = member("web", 2)
    assert found(bridge_skips_container.check, "host web:80", web, learning=False) == []
    assert found(bridge_skips_container.check, "host web:80", web, flooded=False) == []
    known = (ForwardingEntry(bridge="app0", port="veth2", mac=MAC, state="learned"),)
    assert found(bridge_skips_container.check, "host web:80", web, learning=False, flooded=False, forwarding=known) == []
    (finding,) = found(bridge_skips_container.check, "host web:80", web, learning=False, flooded=False)
    assert finding.fixes[0].commands == ("ip link set veth2 type bridge_slave learning on flood on",)
    assert finding.fixes[0].undo == ("ip link set veth2 type bridge_slave learning off flood off fdb_flush",)


def test_who_gets_no_broadcasts_is_not_found_by_neighbours() -> None:
    pair = member("web", 2), member("cli", 3)
    findings = found(bridge_skips_container.check, "cli container:web:80", *pair, broadcasts=False)
    assert [f.fixes[0].commands for f in findings] == [("ip link set veth2 type bridge_slave bcast_flood on",)]
    assert found(bridge_skips_container.check, "host web:80", *pair, broadcasts=False) == []  # the bridge asks all ports


def test_without_arp_nobody_is_found() -> None:
    web = member("web", 2)
    assert web.sandbox is not None
    assert found(container_interface_down.check, "host web:80", web) == []
    stack = web.sandbox.stack
    deaf = replace(stack, links=(stack.links[0], replace(stack.links[1], arp=False)))
    (finding,) = found(container_interface_down.check, "host web:80", replace(web, sandbox=replace(web.sandbox, stack=deaf)))
    assert "ARP is off on eth0" in finding.summary
    assert finding.fixes[0].commands[0].endswith("-n ip link set dev eth0 arp on")


@pytest.mark.parametrize(("scope", "value", "loud"), [("eth0", "8", True), ("all", "8", True), ("eth0", "2", False)])
def test_an_interface_that_answers_no_arp_request_is_not_found(scope: str, value: str, loud: bool) -> None:
    """8 is no answer at all; 1 and 2, as load balancers have it, keep to the addresses of the interface."""
    web, key = member("web", 2), f"net.ipv4.conf.{scope}.arp_ignore"
    assert web.sandbox is not None
    deaf = replace(web, sandbox=replace(web.sandbox, stack=replace(web.sandbox.stack, sysctls={key: value})))
    said = found(container_interface_down.check, "host web:80", deaf)
    assert ["eth0 answers no ARP request" in finding.summary for finding in said] == [True] * loud
    assert [finding.fixes[0].commands[0].endswith(f"-n sysctl -w {key}=0") for finding in said] == [True] * loud


@pytest.mark.parametrize(("value", "loud"), [("8", True), ("1", False)])
def test_a_bridge_that_answers_no_arp_request_is_no_gateway(value: str, loud: bool) -> None:
    key = "net.ipv4.conf.app0.arp_ignore"
    web = hosts.member(2, "web", 80)
    machine = hosts.host(web)
    assert machine.stack is not None
    stack = replace(machine.stack, sysctls={**machine.stack.sysctls, key: value})
    said = [f for f in hosts.check(web, on=replace(machine, stack=stack)) if f.cause == "bridge-down"]
    assert ["answers no ARP request" in finding.summary for finding in said] == [True] * loud
    assert [finding.fixes[0].commands[0] for finding in said] == [f"sysctl -w {key}=0"] * loud
