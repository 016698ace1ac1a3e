"""Healthy hosts of any size, for tests of how work grows: each dimension is an argument of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from dockernet_doctor.snapshot import model

_UPLINK, _ROUTER = "192.0.2.10", "192.0.2.1"
_FIRST_NETWORK = int(IPv4Address("10.16.0.0"))
_SIZE = 12  # bits of an address that its network leaves to members
_FIRST_PORT, _FIRST_HOST_PORT = 8000, 10000


def grown(
    *,
    name: str = "host",
    containers: int = 8,
    networks: int = 2,
    ports: int = 1,
    aliases: int = 0,
    settings: int = 1,
    rules: int = 0,
) -> model.Snapshot:
    """A host of engine 28.5 with iptables.

    Container N is on network N modulo `networks`, listens on `ports` ports, all published, has `aliases` names beside its own,
    and dials the next on its network by `settings` settings. `rules` are the user's own, in DOCKER-USER.
    """
    nets = [_network(number, range(number, containers, networks)) for number in range(networks)]
    members = [_container(number, containers, networks, ports, aliases, settings) for number in range(containers)]
    return model.Snapshot(
        name=name,
        taken_at="2026-01-02T00:00:00Z",
        endpoint="unix:///run/docker.sock",
        engine=model.Engine(version="28.5.2", name=name, containers_running=containers, firewall_backend="iptables"),
        networks=tuple(nets),
        containers=tuple(members),
        host=model.Host(
            hostname=name,
            stack=_stack(nets, members, rules),
            resolv_conf=model.ResolvConf(nameservers=("192.0.2.53",)),
        ),
        daemon=model.Daemon(pid=1, readable=True, arguments=("dockerd",)),
    )


def _gateway(network: int) -> str:
    return _address(network, 1)


def _address(network: int, place: int) -> str:
    return str(IPv4Address(_FIRST_NETWORK + (network << _SIZE) + place))


def _subnet(network: int) -> str:
    return f"{_address(network, 0)}/{32 - _SIZE}"


def _network(number: int, members: Sequence[int]) -> model.Network:
    found = [
        model.Member(container_id=_id(member), name=f"app{member}", endpoint_id=_id(member), ipv4=_address(number, place + 2))
        for place, member in enumerate(members)
    ]
    return model.Network(
        id=f"{number:064x}",
        name=f"net{number}",
        driver="bridge",
        bridge=f"br-{number}",
        subnets=(model.Subnet(subnet=_subnet(number), gateway=_gateway(number)),),
        members=tuple(found),
    )


def _id(container: int) -> str:
    return f"{container:012x}" + "c" * 52


def _container(number: int, containers: int, networks: int, ports: int, aliases: int, settings: int) -> model.Container:
    network, place = number % networks, number // networks
    following = number + networks if number + networks < containers else network
    address = _address(network, place + 2)
    published = range(_FIRST_HOST_PORT + number * ports, _FIRST_HOST_PORT + (number + 1) * ports)
    names = (f"app{number}", *(f"app{number}-{alias}" for alias in range(aliases)))
    endpoint = model.Endpoint(
        network=f"net{network}",
        network_id=f"{network:064x}",
        endpoint_id=_id(number),
        ipv4=address,
        ipv4_prefix=32 - _SIZE,
        ipv4_gateway=_gateway(network),
        aliases=names[1:],
        dns_names=names,
    )
    inside = range(_FIRST_PORT, _FIRST_PORT + max(ports, 1))
    return model.Container(
        id=_id(number),
        name=f"app{number}",
        image="app",
        state=model.State(status="running", running=True, pid=1000 + number, started_at="2026-01-01T00:00:00Z"),
        network_mode=f"net{network}",
        endpoints=(endpoint,),
        bindings=tuple(
            model.PortBinding(port=_FIRST_PORT + port, protocol="tcp", host_port=str(host_port))
            for port, host_port in enumerate(published)
        ),
        ports=tuple(
            model.PublishedPort(port=_FIRST_PORT + port, protocol="tcp", host_ip="0.0.0.0", host_port=host_port)
            for port, host_port in enumerate(published)
        ),
        references=tuple(
            model.Reference(where="environment", key=f"UPSTREAM_{setting}_HOST", host=f"app{following}", port=_FIRST_PORT)
            for setting in range(settings)
        ),
        options=(),
        sandbox=model.Sandbox(
            pid=1000 + number,
            namespace=5000 + number,
            stack=_sandbox_stack(number, network, address, inside),
            resolv_conf=model.ResolvConf(nameservers=("127.0.0.11",), options=("ndots:0",)),
            hosts=(model.HostsEntry(address="127.0.0.1", names=("localhost",)),),
        ),
    )


def _sandbox_stack(number: int, network: int, address: str, ports: range) -> model.NetworkStack:
    return model.NetworkStack(
        links=(
            model.Link(index=1, name="lo"),
            model.Link(index=2, name="eth0", kind="veth", peer_index=10_000 + number),
        ),
        addresses=(
            model.Address(link="lo", address="127.0.0.1", prefix=8, family=4, scope="host"),
            model.Address(link="eth0", address=address, prefix=32 - _SIZE, family=4),
        ),
        routes=(
            model.Route(family=4, destination=_subnet(network), link="eth0", source=address),
            model.Route(family=4, destination="0.0.0.0/0", link="eth0", gateway=_gateway(network)),
        ),
        listeners=(
            *(model.Listener(protocol="tcp", family=4, address="0.0.0.0", port=port) for port in ports),
            model.Listener(protocol="tcp", family=4, address="127.0.0.11", port=44447),
            model.Listener(protocol="udp", family=4, address="127.0.0.11", port=40875),
        ),
        firewall=(model.FirewallDump(tool="iptables-nft", family=4, text=_RESOLVER_RULES),),
    )


_RESOLVER_RULES = """\
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER_OUTPUT - [0:0]
:DOCKER_POSTROUTING - [0:0]
-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT
-A POSTROUTING -d 127.0.0.11/32 -j DOCKER_POSTROUTING
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p tcp -m tcp --dport 53 -j DNAT --to-destination 127.0.0.11:44447
-A DOCKER_OUTPUT -d 127.0.0.11/32 -p udp -m udp --dport 53 -j DNAT --to-destination 127.0.0.11:40875
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p tcp -m tcp --sport 44447 -j SNAT --to-source :53
-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 40875 -j SNAT --to-source :53
COMMIT
"""


def _stack(networks: Sequence[model.Network], containers: Sequence[model.Container], rules: int) -> model.NetworkStack:
    """The host's own: a bridge for each network, a veth for each container, a docker-proxy for each published port."""
    proxies = (
        model.Listener(
            protocol="tcp",
            family=4,
            address="0.0.0.0",
            port=published.host_port,
            process=model.Process(pid=100_000 + published.host_port, name="docker-proxy", of_daemon=True),
        )
        for container in containers
        for published in container.ports
    )
    bridges = [(model.Link(index=10 + n, name=f"br-{n}", kind="bridge"), _gateway(n), _subnet(n)) for n in range(len(networks))]
    return model.NetworkStack(
        links=(
            model.Link(index=1, name="lo"),
            model.Link(index=2, name="eth0"),
            *(bridge for bridge, _, _ in bridges),
            *(
                model.Link(
                    index=10_000 + n,
                    name=f"veth{n:x}",
                    kind="veth",
                    master=f"br-{n % len(networks)}",
                    peer_index=2,
                    hairpin=False,
                    isolated=False,
                    blocked=False,
                )
                for n in range(len(containers))
            ),
        ),
        addresses=(
            model.Address(link="lo", address="127.0.0.1", prefix=8, family=4, scope="host"),
            model.Address(link="eth0", address=_UPLINK, prefix=24, family=4),
            *(model.Address(link=bridge.name, address=address, prefix=32 - _SIZE, family=4) for bridge, address, _ in bridges),
        ),
        routes=(
            model.Route(family=4, destination="0.0.0.0/0", link="eth0", gateway=_ROUTER),
            model.Route(family=4, destination="192.0.2.0/24", link="eth0", source=_UPLINK),
            *(
                model.Route(family=4, destination=subnet, link=bridge.name, source=address)
                for bridge, address, subnet in bridges
            ),
        ),
        rules=(
            model.RoutingRule(family=4, priority=0, table=255),
            model.RoutingRule(family=4, priority=32766, table=254),
            model.RoutingRule(family=4, priority=32767, table=253),
        ),
        listeners=tuple(proxies),
        sysctls={
            "net.ipv4.ip_forward": "1",
            "net.bridge.bridge-nf-call-iptables": "1",
            "net.ipv4.conf.all.rp_filter": "0",
            "net.ipv4.ip_local_port_range": "32768 60999",
        },
        firewall=(model.FirewallDump(tool="iptables-nft", family=4, text=_rules(networks, containers, rules)),),
    )


def _rules(networks: Sequence[model.Network], containers: Sequence[model.Container], rules: int) -> str:
    """What iptables-save prints of an engine 28.5, which has a rule or two for each network, container and port."""
    bridges = [f"br-{n}" for n in range(len(networks))]
    homes = [(f"br-{n % len(networks)}", str(c.endpoints[0].ipv4), c.ports) for n, c in enumerate(containers)]
    return "\n".join(
        (
            "*raw",
            ":PREROUTING ACCEPT [0:0]",
            *(f"-A PREROUTING -d {address}/32 ! -i {bridge} -j DROP" for bridge, address, _ in homes),
            "COMMIT",
            "*filter",
            ":INPUT ACCEPT [0:0]",
            ":FORWARD DROP [0:0]",
            ":OUTPUT ACCEPT [0:0]",
            *(f":{chain} - [0:0]" for chain in _CHAINS),
            "-A FORWARD -j DOCKER-USER",
            "-A FORWARD -j DOCKER-FORWARD",
            *(f"-A DOCKER-USER -s 198.18.{n >> 8 & 255}.{n & 255}/32 -j DROP" for n in range(rules)),
            *_accepted(homes),
            *(f"-A DOCKER ! -i {bridge} -o {bridge} -j DROP" for bridge in bridges),
            *(f"-A DOCKER-BRIDGE -o {bridge} -j DOCKER" for bridge in bridges),
            *(f"-A DOCKER-CT -o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT" for bridge in bridges),
            "-A DOCKER-FORWARD -j DOCKER-CT",
            "-A DOCKER-FORWARD -j DOCKER-ISOLATION-STAGE-1",
            "-A DOCKER-FORWARD -j DOCKER-BRIDGE",
            *(f"-A DOCKER-FORWARD -i {bridge} -j ACCEPT" for bridge in bridges),
            *(f"-A DOCKER-ISOLATION-STAGE-1 -i {bridge} ! -o {bridge} -j DOCKER-ISOLATION-STAGE-2" for bridge in bridges),
            *(f"-A DOCKER-ISOLATION-STAGE-2 -o {bridge} -j DROP" for bridge in bridges),
            "COMMIT",
            "*nat",
            ":PREROUTING ACCEPT [0:0]",
            ":INPUT ACCEPT [0:0]",
            ":OUTPUT ACCEPT [0:0]",
            ":POSTROUTING ACCEPT [0:0]",
            ":DOCKER - [0:0]",
            "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
            "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER",
            *(f"-A POSTROUTING -s {_subnet(n)} ! -o {bridge} -j MASQUERADE" for n, bridge in enumerate(bridges)),
            *(f"-A DOCKER -i {bridge} -j RETURN" for bridge in bridges),
            *_translated(homes),
            "COMMIT",
            "",
        )
    )


_CHAINS = (
    "DOCKER",
    "DOCKER-BRIDGE",
    "DOCKER-CT",
    "DOCKER-FORWARD",
    "DOCKER-ISOLATION-STAGE-1",
    "DOCKER-ISOLATION-STAGE-2",
    "DOCKER-USER",
)

_Home = tuple[str, str, tuple[model.PublishedPort, ...]]
"""Bridge, address and published ports of a container."""


def _accepted(homes: Sequence[_Home]) -> Iterator[str]:
    for bridge, address, ports in homes:
        for port in ports:
            yield f"-A DOCKER -d {address}/32 ! -i {bridge} -o {bridge} -p tcp -m tcp --dport {port.port} -j ACCEPT"


def _translated(homes: Sequence[_Home]) -> Iterator[str]:
    for bridge, address, ports in homes:
        for port in ports:
            to = f"{address}:{port.port}"
            yield f"-A DOCKER ! -i {bridge} -p tcp -m tcp --dport {port.host_port} -j DNAT --to-destination {to}"
