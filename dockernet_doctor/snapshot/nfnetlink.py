"""The rules of a namespace as the kernel holds them, without starting a program.

Nearly every sandbox holds no rules, or the six that send 127.0.0.11:53 to Docker's resolver. Running iptables-save in
each of 200 sandboxes would cost more than everything else together, so those two shapes are read here by a dump of
nf_tables and written the way `iptables-save -c` writes them. Whatever else is found, and legacy iptables, is left to
the programs (`firewall.read_sandbox_firewall`). Layouts: linux/netfilter/nf_tables.h, xt_tcpudp.h, nf_nat.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from msgspec import Struct

from dockernet_doctor.snapshot.model import FirewallDump
from dockernet_doctor.snapshot.netlink import NETLINK_NETFILTER, Message, Netlink, attributes, read_proc, request

IPTABLES_TABLES = frozenset({"raw", "mangle", "nat", "filter", "security"})
BUILT_IN = ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")


# NFNL_SUBSYS_NFTABLES with NFT_MSG_GETTABLE, GETCHAIN, GETRULE; an nfgenmsg of zeros asks for every family.
TABLES_REQUEST, CHAINS_REQUEST, RULES_REQUEST = (request((10 << 8) | command, bytes(4)) for command in (1, 4, 7))


def read_simple_firewall() -> tuple[FirewallDump, ...] | None:
    """The dumps of the calling thread's namespace; () where it has no rules, None where a program must be asked.

    Raises OSError where this process may not ask (CAP_NET_ADMIN in that namespace).
    """
    if legacy_tables(4) or legacy_tables(6):
        return None
    with Netlink(NETLINK_NETFILTER) as netlink:
        chains = _nft_dump(netlink, CHAINS_REQUEST)  # a table without a chain decides nothing
        if not chains:
            return ()
        text = nat_as_text(chains, _nft_dump(netlink, RULES_REQUEST))
    return None if text is None else (FirewallDump(tool="iptables-nft", family=4, text=text),)


def legacy_tables(family: int) -> tuple[str, ...]:
    """Tables that legacy iptables has in this thread's namespace; asking iptables-legacy itself would create them."""
    text = read_proc(f"/proc/thread-self/net/ip{'6' if family == 6 else ''}_tables_names")
    return tuple((text or "").split())


def nft_tables(netlink: Netlink) -> set[tuple[str, str]]:
    """(family, name) of the tables of nf_tables; empty where the kernel has no nf_tables. Raises OSError (EPERM)."""
    return {
        (_NFT_FAMILIES.get(data[offset], str(data[offset])), _string(attributes(data, offset + 4, end)[1]))
        for data, offset, end in _nft_dump(netlink, TABLES_REQUEST)
    }


def _nft_dump(netlink: Netlink, question: bytes) -> list[Message]:
    try:
        return netlink.dump(question)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.ENOENT):
            return []  # this kernel has no nf_tables
        raise


# --- text -------------------------------------------------------------------------------------------------------------


class _Rule(Struct):
    source: str = ""
    destination: str = ""
    protocol: str = ""
    ports: str = ""
    target: str = ""
    packets: int = 0
    bytes: int = 0

    def text(self, chain: str) -> str:
        parts = [f"[{self.packets}:{self.bytes}] -A {chain}"]
        parts += [f"-s {self.source}/32"] if self.source else []
        parts += [f"-d {self.destination}/32"] if self.destination else []
        parts += [f"-p {self.protocol}"] if self.protocol else []
        parts += [f"-m {self.protocol} {self.ports}"] if self.ports else []
        return " ".join([*parts, f"-j {self.target}"])


class _Chain(Struct):
    policy: str = "-"
    packets: int = 0
    bytes: int = 0
    rules: list[_Rule] = []


def _save_text(chains: dict[str, _Chain]) -> str:
    built_in = {name: chains.get(name, _Chain(policy="ACCEPT")) for name in BUILT_IN}
    ordered = built_in | {name: chains[name] for name in sorted(chains) if name not in built_in}
    lines = ["*nat"]
    lines += [f":{name} {chain.policy} [{chain.packets}:{chain.bytes}]" for name, chain in ordered.items()]
    lines += [rule.text(name) for name, chain in ordered.items() for rule in chain.rules]
    return "\n".join([*lines, "COMMIT", ""])


class _UnfamiliarError(Exception):
    """Something that only the program can print."""


# --- nf_tables --------------------------------------------------------------------------------------------------------

_NFT_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}


def nat_as_text(chain_messages: Iterable[Message], rule_messages: Iterable[Message]) -> str | None:
    """Both dumps as `iptables-save -c` prints them, but for its comments; None for anything but a plain `ip nat`."""
    chains: dict[str, _Chain] = {}
    try:
        for data, offset, end in chain_messages:
            name, policy, packets, octets = _nft_chain(data[offset:end])
            chains[name] = _Chain(policy, packets, octets)
        for data, offset, end in rule_messages:
            found = attributes(data, offset + 4, end)
            chains[_string(found[2])].rules.append(_nft_rule(found.get(4, b"")))
    except _NOT_UNDERSTOOD:
        return None
    return _save_text(chains)


_NOT_UNDERSTOOD = (_UnfamiliarError, KeyError, struct.error, IndexError, UnicodeDecodeError)


@lru_cache(maxsize=1024)
def _nft_chain(data: bytes) -> tuple[str, str, int, int]:
    """Name, policy, packets and bytes of a chain of `ip nat`. Raises _UnfamiliarError for any other."""
    found = attributes(data, 4, len(data))
    name = _string(found[3])
    if _NFT_FAMILIES.get(data[0]) != "ip" or _string(found[1]) != "nat":
        raise _UnfamiliarError
    if 4 not in found:  # NFTA_CHAIN_HOOK
        return name, "-", 0, 0
    if name not in BUILT_IN:
        raise _UnfamiliarError
    policy = "ACCEPT" if _be32(found.get(5, b"\0\0\0\1")) == 1 else "DROP"
    counter = attributes(found.get(8, b""), 0, len(found.get(8, b"")))
    return name, policy, _be64(counter.get(2, b"")), _be64(counter.get(1, b""))


@lru_cache(maxsize=1024)
def _nft_rule(expressions: bytes) -> _Rule:
    rule = _Rule()
    loaded = ("", 0, 0)  # what the register holds: base, offset, length
    for element in _elements(expressions):
        what, value = _expression(element)
        if what == "load":
            loaded = value
        elif what == "cmp":
            _compare(rule, loaded, value)
        elif what == "counter":
            rule.bytes, rule.packets = value
        elif what == "match":
            rule.ports = value
        else:
            rule.target = value
    if not rule.target:
        raise _UnfamiliarError
    return rule


@lru_cache(maxsize=4096)
def _expression(element: bytes) -> tuple[str, Any]:
    """One expression: ("load", (base, offset, length)), ("cmp", bytes), ("counter", (bytes, packets)), ("match", ports)
    or ("target", text). Nearly all of them are the same in every sandbox, hence the cache. Raises _UnfamiliarError."""
    expression = attributes(element, 0, len(element))
    name, data = _string(expression[1]), attributes(expression[2], 0, len(expression[2]))
    match name:
        case "meta" if _be32(data[2]) == _META_L4PROTO:
            return "load", ("l4proto", 0, 1)
        case "payload" if 5 not in data:
            return "load", (_BASES[_be32(data[2])], _be32(data[3]), _be32(data[4]))
        case "cmp" if _be32(data[2]) == 0:
            return "cmp", attributes(data[3], 0, len(data[3]))[1]
        case "counter":
            return "counter", (_be64(data[1]), _be64(data[2]))
        case "match":
            return "match", _match_ports(_string(data[1]), data[3])
        case "target":
            return "target", _xt_target(_string(data[1]), _be32(data[2]), data[3])
        case "immediate":
            return "target", _jump(data)
    raise _UnfamiliarError


_META_L4PROTO = 16
_BASES = {1: "network", 2: "transport"}
_PROTOCOLS = {6: "tcp", 17: "udp"}


def _compare(rule: _Rule, loaded: tuple[str, int, int], value: bytes) -> None:
    match loaded:
        case ("network", 12, 4):
            rule.source = socket.inet_ntoa(value)
        case ("network", 16, 4):
            rule.destination = socket.inet_ntoa(value)
        case ("l4proto", _, _) | ("network", 9, 1):
            rule.protocol = _PROTOCOLS[value[0]]
        case ("transport", 0 | 2 as side, 2):
            rule.ports = f"--{'d' if side else 's'}port {int.from_bytes(value, 'big')}"
        case _:
            raise _UnfamiliarError


def _jump(data: dict[int, bytes]) -> str:
    value = attributes(data[2], 0, len(data[2]))[2]  # NFTA_DATA_VERDICT
    verdict = attributes(value, 0, len(value))
    if _be32(verdict[1]) != 0xFFFFFFFD:  # NFT_JUMP
        raise _UnfamiliarError
    return _string(verdict[2])


def _elements(data: bytes) -> list[bytes]:
    found, offset = [], 0
    while offset + 4 <= len(data):
        length = struct.unpack_from("=H", data, offset)[0]
        if length < 4:
            break
        found.append(data[offset + 4 : offset + length])
        offset += (length + 3) & ~3
    return found


# --- matches and targets of x_tables inside nf_tables ----------------------------------------------------------------


def _match_ports(name: str, data: bytes) -> str:
    """xt_tcp and xt_udp: source ports, destination ports, for tcp an option and flags, then what is inverted."""
    low_s, high_s, low_d, high_d = struct.unpack_from("=HHHH", data)
    rest = data[8:12] if name == "tcp" else data[8:9]
    if name not in ("tcp", "udp") or any(rest):
        raise _UnfamiliarError
    if (low_s, high_s) == (0, 65535) and low_d == high_d:
        return f"--dport {low_d}"
    if (low_d, high_d) == (0, 65535) and low_s == high_s:
        return f"--sport {low_s}"
    raise _UnfamiliarError


def _xt_target(name: str, revision: int, data: bytes) -> str:
    """DNAT and SNAT to one address, one port or both."""
    if (name, revision) == ("DNAT", 2):  # nf_nat_range2
        flags, low, high, low_port, high_port = struct.unpack_from("=I4s12x4s12x2s2s", data)
    elif (name, revision) in (("DNAT", 0), ("SNAT", 0)):  # nf_nat_ipv4_multi_range_compat
        count, flags, low, high, low_port, high_port = struct.unpack_from("=II4s4s2s2s", data)
        if count != 1:
            raise _UnfamiliarError
    elif (name, revision) in (("SNAT", 1), ("DNAT", 1)):  # nf_nat_range
        flags, low, high, low_port, high_port = struct.unpack_from("=I4s12x4s12x2s2s", data)
    else:
        raise _UnfamiliarError
    by_address, by_port = flags & 1, flags & 2
    if flags & ~3 or not flags or (by_address and low != high) or (by_port and low_port != high_port):
        raise _UnfamiliarError
    address = socket.inet_ntoa(low) if by_address else ""
    port = f":{int.from_bytes(low_port, 'big')}" if by_port else ""
    return f"{name} --to-{'destination' if name == 'DNAT' else 'source'} {address}{port}"


def _string(value: bytes) -> str:
    return value.rstrip(b"\0").decode("ascii")


def _be32(value: bytes) -> int:
    return int.from_bytes(value[:4], "big")


def _be64(value: bytes) -> int:
    return int.from_bytes(value[:8], "big")
