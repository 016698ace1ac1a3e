"""A container's network without any right to enter it: /proc/PID/net may be read by everybody.

It tells listeners, addresses, routes of the main table and the names of the links; neither their state nor rules,
neighbours, sysctls and firewall. Slower than netlink by far, so only for those who may not use that.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Address, Link, Listener, NetworkStack, Protocol, Route
from dockernet_doctor.snapshot.sock_diag import parse_proc_sockets, read_proc

T = TypeVar("T")


def read_stack_of(pid: int) -> tuple[int, NetworkStack] | None:
    """A number that stands for the namespace, and its stack as far as it shows; None where even that is hidden.

    The number is the inode of a file of /proc that each namespace has for itself: equal for processes that share one,
    but not the inode of the namespace, which this process may not know.
    """
    try:
        identity = os.stat(f"/proc/{pid}/net/dev").st_ino  # noqa: PTH116
    except OSError:
        return None
    texts = {name: read_proc(f"/proc/{pid}/net/{name}") for name in FILES}
    devices = texts["dev"]
    if devices is None:
        return None
    routes = parse_route(texts["route"] or "") + parse_ipv6_route(texts["ipv6_route"] or "")
    stack = NetworkStack(
        links=parse_dev(devices),
        addresses=parse_fib_trie(texts["fib_trie"] or "", routes) + parse_if_inet6(texts["if_inet6"] or ""),
        routes=routes,
        listeners=_listeners(texts),
    )
    return identity, stack


FILES = ("dev", "route", "ipv6_route", "fib_trie", "if_inet6", "tcp", "tcp6", "udp", "udp6")
_SOCKETS: tuple[tuple[str, Protocol], ...] = (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"))


def _listeners(texts: dict[str, str | None]) -> tuple[Listener, ...] | None:
    if texts["tcp"] is None:
        return None
    return tuple(listener for name, protocol in _SOCKETS for listener in parse_proc_sockets(texts[name] or "", protocol))


def parse_dev(text: str) -> tuple[Link, ...]:
    """/proc/net/dev, which knows the names; the position stands for the index, `up` is taken for granted."""
    names = [line.rpartition(":")[0].strip(" ") for line in text.split("\n")[2:] if ":" in line]
    return tuple(Link(index=number, name=name) for number, name in enumerate(names, 1))


def parse_route(text: str) -> tuple[Route, ...]:
    """/proc/net/route: the main table of IPv4."""
    return tuple(_each(text.split("\n")[1:], _route))


def parse_ipv6_route(text: str) -> tuple[Route, ...]:
    """/proc/net/ipv6_route, without the entries that only repeat the addresses."""
    return tuple(_each(text.split("\n"), _ipv6_route))


def parse_if_inet6(text: str) -> tuple[Address, ...]:
    """/proc/net/if_inet6"""
    return tuple(_each(text.split("\n"), _inet6_address))


def parse_fib_trie(text: str, routes: tuple[Route, ...]) -> tuple[Address, ...]:
    """/proc/net/fib_trie: the local addresses of IPv4, their links and prefixes by the routes to their networks."""
    found: dict[str, Address] = {"127.0.0.1": Address(link="lo", address="127.0.0.1", prefix=8, family=4, scope="host")}
    candidate = ""
    for line in text.split("\n"):
        words = line.split()
        if words[:1] == ["|--"] and len(words) > 1:
            candidate = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"] and not candidate.startswith("127."):
            with suppress(ValueError):  # no address: a trie that this kernel writes otherwise
                link, prefix = _connected(candidate, routes)
                found[candidate] = Address(link=link, address=candidate, prefix=prefix, family=4)
    return tuple(found.values())


def _connected(address: str, routes: tuple[Route, ...]) -> tuple[str, int]:
    for route in routes:
        if route.family == 4 and route.link and route.gateway is None:
            network = ipaddress.ip_network(route.destination, strict=False)
            if ipaddress.ip_address(address) in network:
                return route.link, network.prefixlen
    return "", 32


_UP, _GATEWAY, _REJECT, _ANYCAST, _LOCAL = 0x1, 0x2, 0x200, 0x100000, 0x80000000


def _route(fields: list[str]) -> Route | None:
    link, destination, gateway, flags, _, _, metric, mask = fields[:8]
    bits = int(flags, 16)
    if not bits & _UP:
        return None
    return Route(
        family=4,
        destination=f"{_ipv4(destination)}/{int(mask, 16).bit_count()}",
        link=None if link == "*" else link,
        gateway=_ipv4(gateway) if bits & _GATEWAY else None,
        metric=int(metric),
        kind="unreachable" if bits & _REJECT else "blackhole" if link == "*" else "unicast",
    )


def _ipv6_route(fields: list[str]) -> Route | None:
    destination, length, _, _, gateway, metric, _, _, flags, link = fields[:10]
    bits = int(flags, 16)
    if not bits & (_UP | _REJECT) or bits & (_LOCAL | _ANYCAST) or destination.startswith("ff") or metric == "ffffffff":
        return None
    return Route(
        family=6,
        destination=f"{_ipv6(destination)}/{int(length, 16)}",
        link=link,
        gateway=_ipv6(gateway) if bits & _GATEWAY else None,
        metric=int(metric, 16),
        kind="unreachable" if bits & _REJECT else "unicast",
    )


def _inet6_address(fields: list[str]) -> Address | None:
    address, _, length, scope, _, link = fields[:6]
    return Address(
        link=link,
        address=_ipv6(address),
        prefix=int(length, 16),
        family=6,
        scope={"10": "host", "20": "link"}.get(scope, "global"),
    )


def _each(lines: list[str], parse: Callable[[list[str]], T | None]) -> list[T]:
    found = []
    for line in lines:
        try:
            record = parse(_WHITE.split(line.strip("\t ")))
        except (ValueError, OSError, struct.error):
            continue  # a line that this kernel writes otherwise
        if record is not None:
            found.append(record)
    return found


_WHITE = regex(r"[\t ]+")  # names may hold what else Python takes for white space, or for the end of a line


def _ipv4(digits: str) -> str:
    """Printed as a number in host order."""
    return socket.inet_ntop(socket.AF_INET, struct.pack("=I", int(digits, 16)))


def _ipv6(digits: str) -> str:
    return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
