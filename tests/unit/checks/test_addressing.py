"""Addresses and links that the lab cannot have: full bridges and tables, exhausted pools; each with its healthy twin."""

from __future__ import annotations

import pytest
from dockernet_doctor_checks.addressing import (
    address_pool_exhausted,
    bridge_down,
    bridge_full,
    container_interface_down,
    ipv6_ra_ignored,
    neighbour_table_full,
    route_missing,
    stale_neighbour,
    static_address_taken,
    wrong_gateway_network,
)
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.finding import Finding
from dockernet_doctor.probe.model import Answer
from dockernet_doctor.snapshot.model import (
    Address,
    Container,
    Daemon,
    Endpoint,
    Engine,
    Host,
    Link,
    LogLine,
    Neighbour,
    Network,
    NetworkStack,
    Route,
    Sandbox,
    Snapshot,
    State,
    Subnet,
)

APP = Network(id="a" * 64, name="app", driver="bridge", bridge="br-app", subnets=(Subnet(subnet="10.20.0.0/16"),))


def refused(error: str) -> Container:
    endpoint = Endpoint(network="app", network_id=APP.id, requested_ipv4="10.20.0.9")
    return Container(id="c" * 64, name="web", state=State(status="created", error=error, exit_code=128), endpoints=(endpoint,))


def case(*containers: Container, networks: tuple[Network, ...] = (APP,), host: Host | None = None, **engine: object) -> Case:
    return Case.of(
        [
            Snapshot(
                name="h1",
                taken_at="2026-01-01T00:00:00Z",
                endpoint="unix:///var/run/docker.sock",
                engine=Engine(version="28.5.2", **engine),  # type: ignore[arg-type]
                containers=containers,
                networks=networks,
                host=host,
            )
        ]
    )


def bridged(ports: int) -> Host:
    links = [Link(index=1, name="br-app", kind="bridge")]
    links += [Link(index=n + 2, name=f"veth{n}", kind="veth", master="br-app") for n in range(ports)]
    return Host(stack=NetworkStack(links=tuple(links)))


@pytest.mark.parametrize(("ports", "severity"), [(900, None), (1000, "warning"), (1023, "error")])
def test_ports_of_a_bridge_are_counted(ports: int, severity: str | None) -> None:
    found = list(bridge_full.find(case(host=bridged(ports))))
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_a_bridge_that_refused_a_port_is_full() -> None:
    error = "failed to create endpoint web on network app: adding interface veth1 to bridge br-app failed: exchange full"
    found = list(bridge_full.find(case(refused(error))))
    assert [(f.severity, f.affects[0].name) for f in found] == [("error", "web")]
    assert not list(bridge_full.find(case(refused("port is already allocated"))))


@pytest.mark.parametrize("limit", ["3", "1024"])
def test_the_neighbour_table_stands_at_its_limit(limit: str) -> None:
    from dockernet_doctor.snapshot.model import Neighbour

    entries = tuple(Neighbour(family=4, link="br-app", address=f"10.20.0.{n}", mac="02:42:00:00:00:01") for n in range(3))
    stack = NetworkStack(neighbours=entries, sysctls={"net.ipv4.neigh.default.gc_thresh3": limit})
    found = list(neighbour_table_full.find(case(host=Host(stack=stack))))
    assert bool(found) is (limit == "3")


@pytest.mark.parametrize("heard", [True, False])
def test_a_default_route_is_lost_only_where_a_router_advertised_it(heard: bool) -> None:
    """An IPv6 network beside a uplink with an address and no router is as common as it is healthy."""
    stack = NetworkStack(
        links=(Link(index=2, name="eth0"),),
        addresses=(Address(link="eth0", address="2001:db8::5", prefix=64, family=6),),
        routes=(Route(family=4, destination="0.0.0.0/0", gateway="10.0.0.1", link="eth0"),),
        sysctls={"net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.eth0.accept_ra": "1"},
    )
    host = Host(stack=stack, advertised_links=("eth0",) if heard else ())
    six = Network(id="6" * 64, name="six", driver="bridge", ipv6=True)
    assert bool(list(ipv6_ra_ignored.find(case(networks=(six,), host=host)))) is heard


def test_a_table_that_overflowed_is_full_no_more() -> None:
    """The kernel's log tells of the last day, a daemon's of months: the table as it is counts, and what was said lately."""
    said = "could not add neighbor entry for endpoint 1: no buffer space available"
    overflow = Host(kernel_log=("[ 9.0] neighbour: arp_cache: neighbor table overflow!",))
    assert [f.severity for f in neighbour_table_full.find(case(host=overflow))] == ["warning"]
    for day, count in (("2025-12-31T20:00:00Z", 1), ("2025-11-30T20:00:00Z", 0)):
        snapshot = case().hosts[0].snapshot
        logged = Case.of([replace(snapshot, daemon=Daemon(log=(LogLine(text=said, time=day),)))])
        assert len(list(neighbour_table_full.find(logged))) == count


@pytest.mark.parametrize(("answer", "leads_nowhere"), [("reply", False), ("timeout", True)])
def test_a_bare_network_leads_out_where_the_gateway_answers_to_it(answer: str, *, leads_nowhere: bool) -> None:
    subnets = (Subnet(subnet="10.20.0.0/16", gateway="10.20.0.1"),)
    bare = replace(APP, options={"com.docker.network.bridge.enable_ip_masquerade": "false"}, subnets=subnets)
    other = Network(id="b" * 64, name="back", driver="bridge", bridge="br-back")
    sandbox = Sandbox(
        pid=7,
        namespace=7,
        stack=NetworkStack(
            links=(Link(index=2, name="eth0", kind="veth"),),
            addresses=(Address(link="eth0", address="10.20.0.2", prefix=16, family=4),),
            routes=(Route(family=4, destination="0.0.0.0/0", gateway="10.20.0.1", link="eth0"),),
        ),
    )
    web = Container(
        id="c" * 64,
        name="web",
        state=State(status="running", running=True, pid=7),
        network_mode="app",
        endpoints=(
            Endpoint(network="app", network_id=bare.id, ipv4="10.20.0.2", ipv4_gateway="10.20.0.1"),
            Endpoint(network="back", network_id=other.id, ipv4="10.21.0.2", ipv4_gateway="10.21.0.1"),
        ),
        sandbox=sandbox,
    )
    uplink = Route(family=4, destination="0.0.0.0/0", gateway="203.0.113.1", link="eth0")
    made = case(
        web, networks=(bare, other), host=Host(stack=NetworkStack(links=(Link(index=2, name="eth0"),), routes=(uplink,)))
    )
    (probe,) = wrong_gateway_network.probes(made)
    assert (probe.kind, probe.address) == ("icmp", "203.0.113.1")
    made = replace(made, answers={probe: Answer(probe=probe, result=answer)})
    assert bool(list(wrong_gateway_network.find(made))) is leads_nowhere


@pytest.mark.parametrize("without", [True, False])
def test_a_bridge_that_was_told_to_have_no_address_has_not_lost_it(*, without: bool) -> None:
    options = {"com.docker.network.bridge.inhibit_ipv4": "true"} if without else {}
    network = replace(APP, options=options, subnets=(Subnet(subnet="10.20.0.0/16", gateway="10.20.0.254"),))
    endpoint = Endpoint(network="app", network_id=APP.id, ipv4="10.20.0.2", ipv4_gateway="10.20.0.254")
    web = Container(
        id="c" * 64, name="web", state=State(status="running", running=True), network_mode="app", endpoints=(endpoint,)
    )
    found = list(bridge_down.find(case(web, networks=(network,), host=bridged(1))))
    assert [f.severity for f in found] == ([] if without else ["error"])


def pools(taken: int) -> list[Finding]:
    networks = tuple(
        Network(id=str(n) * 64, name=f"n{n}", driver="bridge", subnets=(Subnet(subnet=f"10.9.{n}.0/24"),)) for n in range(taken)
    )
    return list(address_pool_exhausted.find(case(networks=networks, default_address_pools=(("10.9.0.0/22", 24),))))


def test_small_default_pools_are_exhausted_by_their_last_network() -> None:
    assert not pools(3)
    (found,) = pools(4)
    assert (found.subject.kind, found.severity) == ("daemon", "warning")
    assert found.fixes[0].edits[0].diff.count("10.9.0.0/22") == 1


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        ("Address already in use", True),
        ("failed to set up container networking: Address already in use", True),
        ("failed to bind host port for 0.0.0.0:80:172.17.0.2:80/tcp: address already in use", False),
        ("Error starting userland proxy: listen tcp4 0.0.0.0:80: bind: address already in use", False),
    ],
)
def test_an_address_is_not_a_port(error: str, ours: bool) -> None:
    assert bool(list(static_address_taken.find(case(refused(error))))) is ours


@pytest.mark.parametrize(
    ("started", "policy", "whole", "torn"),
    [
        ("2025-12-31T23:59:58Z", "always", False, True),  # it may have ended, and be started again at this moment
        ("2025-12-31T23:59:58Z", "no", False, False),
        ("2025-12-31T23:59:55Z", "always", False, False),
        ("2025-12-31T23:59:58Z", "no", True, True),  # its end of the veth was read, and the host's was not
        ("2025-12-31T23:00:00Z", "no", True, False),
    ],
)
def test_a_link_that_was_read_while_its_container_came_or_went_is_not_missing(
    started: str, policy: str, *, whole: bool, torn: bool
) -> None:
    inner = (Link(index=2, name="eth0", kind="veth", mac="02:42:0a:14:00:02", peer_index=9),) if whole else ()
    stack = NetworkStack(links=inner, addresses=(Address(link="eth0", address="10.20.0.2", prefix=16, family=4),))
    web = Container(
        id="c" * 64,
        name="web",
        network_mode="app",
        restart_policy=policy,
        state=State(status="running", running=True, pid=2, started_at=started),
        endpoints=(Endpoint(network="app", network_id=APP.id, ipv4="10.20.0.2", mac="02:42:0a:14:00:02"),),
        sandbox=Sandbox(pid=2, namespace=2, stack=stack),
    )
    found = list(container_interface_down.find(case(web, host=bridged(0))))
    assert bool(found) is not torn


@pytest.mark.parametrize(
    ("mac", "old"),
    [
        ("02:42:0a:14:00:02", False),
        ("02:42:0a:14:00:99", True),
        ("02:42:0a:14:00:01", False),  # the bridge's: proxy_arp
    ],
)
def test_a_stale_neighbour_in_the_table_of_another_container(mac: str, *, old: bool) -> None:
    def member(number: int, name: str, *neighbours: Neighbour) -> Container:
        own = f"02:42:0a:14:00:0{number}"
        stack = NetworkStack(
            links=(Link(index=2, name="eth0", kind="veth", mac=own, peer_index=number),),
            addresses=(Address(link="eth0", address=f"10.20.0.{number}", prefix=16, family=4),),
            neighbours=neighbours,
        )
        return Container(
            id=str(number) * 64,
            name=name,
            network_mode="app",
            state=State(status="running", running=True, pid=number),
            endpoints=(Endpoint(network="app", network_id=APP.id, ipv4=f"10.20.0.{number}", mac=own),),
            sandbox=Sandbox(pid=number, namespace=number, stack=stack),
        )

    api = member(3, "api", Neighbour(family=4, link="eth0", address="10.20.0.2", mac=mac, state="permanent"))
    host = Host(stack=NetworkStack(links=(Link(index=7, name="br-app", mac="02:42:0a:14:00:01"),)))
    found = list(stale_neighbour.find(case(member(2, "web"), api, host=host)))
    assert [(f.subject.name, f.fixes[0].commands[0].rpartition("ip neigh ")[2]) for f in found] == (
        [("api", "del 10.20.0.2 dev eth0")] if old else []
    )


@pytest.mark.parametrize(
    ("kind", "others", "commands"),
    [
        ("unicast", (), None),
        ("blackhole", (), 4),  # and its own routes again
        ("blackhole", (Route(family=4, destination="0.0.0.0/0", gateway="10.20.0.1", link="eth0", metric=9),), 1),
    ],
)
def test_a_default_route_that_refuses_is_none(kind: str, others: tuple[Route, ...], commands: int | None) -> None:
    default = Route(family=4, destination="0.0.0.0/0", kind=kind)
    if kind == "unicast":
        default = replace(default, gateway="10.20.0.1", link="eth0")
    stack = NetworkStack(
        links=(Link(index=2, name="eth0", kind="veth", mac="02:42:0a:14:00:02", peer_index=2),),
        addresses=(Address(link="eth0", address="10.20.0.2", prefix=16, family=4),),
        routes=(Route(family=4, destination="10.20.0.0/16", link="eth0"), default, *others),
    )
    api = Container(
        id="c" * 64,
        name="api",
        network_mode="app",
        state=State(status="running", running=True, pid=2),
        endpoints=(Endpoint(network="app", network_id=APP.id, ipv4="10.20.0.2", ipv4_prefix=16, ipv4_gateway="10.20.0.1"),),
        sandbox=Sandbox(pid=2, namespace=2, stack=stack),
    )
    found = list(route_missing.find(case(api, host=bridged(1))))
    assert [len(f.fixes[0].commands) for f in found] == ([commands] if commands else [])
    assert all("route del blackhole 0.0.0.0/0" in f.fixes[0].commands[0] for f in found)
