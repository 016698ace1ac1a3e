"""Dumps of real hosts: three engines with the same containers, and rules that hold every match and expression.

Each engine has the networks bridge (web, 172.17.0.2, 8080→80), app (api, 172.18.0.2, 127.0.0.1:9000→90 and 5353→53/udp),
inside (internal: db, 172.19.0.2), quiet (icc off), six (172.21.0.0/16 and fd00:5::/64: v6, 8086→80).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dockernet_doctor.netfilter import combine, locality, parse_iptables_save, parse_nft_json
from dockernet_doctor.netfilter.docker import Bridge, Published
from dockernet_doctor.netfilter.model import Context, Packet, Route, Ruleset

DATA = Path(__file__).parent / "data"
ENGINES = ("docker-20", "docker-26", "docker-28")
BRIDGES = {
    "docker-20": ("docker0", "br-17284fad5e01", "br-d668213590b0", "br-d1f1db132e10", "br-3c9d568d6edf"),
    "docker-26": ("docker0", "br-6c8a6ba08a44", "br-7d6c985878d4", "br-f67197e13a02", "br-0a08572ad8c1"),
    "docker-28": ("docker0", "br-c984a8671868", "br-5fdc6d5ee5db", "br-6df7e6d7ed75", "br-ea389d3a6761"),
}
"""Of bridge, app, inside, quiet and six."""
HOST = "10.99.0.5"


def sections(name: str) -> dict[str, str]:
    """The outputs that a recording holds, by command."""
    parts = (DATA / f"{name}.txt").read_text().split("==> ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2] for part in parts}


def rulesets(name: str, change: Callable[[str], str] = str) -> tuple[Ruleset, ...]:
    """The recording, read; `change` edits the dump of iptables first."""
    found = sections(name)
    dumps = [
        parse_iptables_save(change(found[command]), 4 if command.startswith("iptables") else 6, "iptables-nft")
        for command in ("iptables-save -c", "ip6tables-save -c")
        if command in found
    ]
    return combine(dumps, parse_nft_json(found["nft -j list ruleset"]))


def bridges(engine: str) -> list[Bridge]:
    names = BRIDGES[engine]
    web = Published(
        protocol="tcp",
        host_address="0.0.0.0",
        host_port=8080,
        container_address="172.17.0.2",
        container_port=80,
        container="web",
    )
    api = Published(protocol="tcp", host_address="127.0.0.1", host_port=9000, container_address="172.18.0.2", container_port=90)
    dns = Published(protocol="udp", host_address="0.0.0.0", host_port=5353, container_address="172.18.0.2", container_port=53)
    six = Published(protocol="tcp", host_address="::", host_port=8086, container_address="fd00:5::2", container_port=80)
    return [
        Bridge(network="bridge", interface=names[0], subnets=("172.17.0.0/16",), published=(web,)),
        Bridge(network="app", interface=names[1], subnets=("172.18.0.0/16",), published=(api, dns)),
        Bridge(network="inside", interface=names[2], subnets=("172.19.0.0/16",), internal=True),
        Bridge(network="quiet", interface=names[3], subnets=("172.20.0.0/16",)),
        Bridge(network="six", interface=names[4], subnets=("172.21.0.0/16", "fd00:5::/64"), published=(six,)),
    ]


def context(engine: str) -> Context:
    """The host as it was: its own addresses, and a route to each bridge."""
    gateways = {f"172.{number}.0.": name for number, name in zip(range(17, 22), BRIDGES[engine], strict=True)}

    def route(packet: Packet) -> Route:
        if packet.destination in own or packet.destination.startswith("127."):
            return Route(kind="local")
        found = next((name for prefix, name in gateways.items() if packet.destination.startswith(prefix)), "eth1")
        return Route(kind="forward", out_interface=found)

    own = {HOST, *(f"{prefix}1" for prefix in gateways)}
    return Context(locality=locality(own), route=route)
