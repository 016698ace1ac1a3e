"""The rules of a namespace as the kernel holds them, without starting a program.

Nearly every sandbox holds no rules, or the six that send 127.0.0.11:53 to Docker's resolver. Running iptables-save in
each of 200 sandboxes would cost more than everything else together, so those two shapes are read here by a dump of
nf_tables and written the way `iptables-save -c` writes them. Whatever else is found, and legacy iptables, is left to
the programs (`firewall.read_sandbox_firewall`). Layouts: linux/netfilter/nf_tables.h, xt_tcpudp.h, nf_nat.h.
"""

# Plain strings instead of Path objects: this is the hot path, and it opens thousands of files of /proc.
# ruff: noqa: PTH123
from __future__ import annotations

import errno
import socket
import struct
from dataclasses import dataclass, field

from dockernet_doctor.snapshot.model import FirewallDump
from dockernet_doctor.snapshot.netlink import NETLINK_NETFILTER, Netlink, attributes, request

IPTABLES_TABLES = frozenset({"raw", "mangle", "nat", "filter", "security"})
BUILT_IN = {"nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"), "filter": ("INPUT", "FORWARD", "OUTPUT")}


def read_simple_firewall() -> tuple[FirewallDump, ...] | None:
    """The dumps of the calling thread's namespace; () where it has no rules, None where a program must be asked.

    Raises OSError where this process may not ask (CAP_NET_ADMIN in that namespace).
    """
    if legacy_tables(4) or legacy_tables(6):
        return None
    with Netlink(NETLINK_NETFILTER) as netlink:
        tables = nft_tables(netlink)
        if not tables:
            return ()
        text = _nft_nat(netlink) if tables == {("ip", "nat")} else None
    return None if text is None else (FirewallDump(tool="iptables-nft", family=4, text=text),)


def legacy_tables(family: int) -> tuple[str, ...]:
    """Tables that legacy iptables has in this thread's namespace; asking iptables-legacy itself would create them."""
    try:
        with open(f"/proc/thread-self/net/ip{'6' if family == 6 else ''}_tables_names", encoding="ascii") as file:
            return tuple(file.read().split())
    except OSError:
        return ()


def nft_tables(netlink: Netlink) -> set[tuple[str, str]]:
    """(family, name) of the tables of nf_tables; empty where the kernel has no nf_tables. Raises OSError (EPERM)."""
    try:
        answers = netlink.dump(_nft_request(_GETTABLE))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.ENOENT):
            return set()
        raise
    return {
        (_NFT_FAMILIES.get(data[offset], str(data[offset])), _string(attributes(data, offset + 4, end)[1]))
        for data, offset, end in answers
    }


# --- text -------------------------------------------------------------------------------------------------------------


@dataclass
class _Rule:
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


@dataclass
class _Chain:
    policy: str = "-"
    packets: int = 0
    bytes: int = 0
    rules: list[_Rule] = field(default_factory=list)


def _save_text(chains: dict[str, _Chain]) -> str:
    built_in = {name: chains.get(name, _Chain(policy="ACCEPT")) for name in BUILT_IN["nat"]}
    ordered = built_in | {name: chains[name] for name in sorted(chains) if name not in built_in}
    lines = ["*nat"]
    lines += [f":{name} {chain.policy} [{chain.packets}:{chain.bytes}]" for name, chain in ordered.items()]
    lines += [rule.text(name) for name, chain in ordered.items() for rule in chain.rules]
    return "\n".join([*lines, "COMMIT", ""])


class _UnfamiliarError(Exception):
    """Something that only the program can print."""


# --- nf_tables --------------------------------------------------------------------------------------------------------

_NFT_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_GETTABLE, _GETCHAIN, _GETRULE = 1, 4, 7


def _nft_request(command: int) -> bytes:
    return request((10 << 8) | command, bytes(4))  # NFNL_SUBSYS_NFTABLES; nfgenmsg with AF_UNSPEC: every family


def _nft_nat(netlink: Netlink) -> str | None:
    chains: dict[str, _Chain] = {}
    try:
        for data, offset, end in netlink.dump(_nft_request(_GETCHAIN)):
            found = attributes(data, offset + 4, end)
            chains[_string(found[3])] = _nft_chain(found)
        for data, offset, end in netlink.dump(_nft_request(_GETRULE)):
            found = attributes(data, offset + 4, end)
            chains[_string(found[2])].rules.append(_nft_rule(found.get(4, b"")))
    except (_UnfamiliarError, KeyError, struct.error, IndexError, UnicodeDecodeError):
        return None
    return _save_text(chains)


def _nft_chain(found: dict[int, bytes]) -> _Chain:
    if 4 not in found:  # NFTA_CHAIN_HOOK
        return _Chain()
    if _string(found[3]) not in BUILT_IN["nat"]:
        raise _UnfamiliarError
    chain = _Chain(policy="ACCEPT" if _be32(found.get(5, b"\0\0\0\1")) == 1 else "DROP")
    if 8 in found:
        chain.bytes, chain.packets = _counter(found[8])
    return chain


def _nft_rule(expressions: bytes) -> _Rule:
    rule = _Rule()
    loaded = ("", 0, 0)  # what register 1 holds: (base, offset, length)
    for value in _elements(expressions):
        expression = attributes(value, 0, len(value))
        name, data = _string(expression[1]), attributes(expression[2], 0, len(expression[2]))
        if name == "meta" and _be32(data[2]) == _META_L4PROTO:
            loaded = ("l4proto", 0, 1)
        elif name == "payload" and 5 not in data:
            loaded = ("network" if _be32(data[2]) == 1 else "transport", _be32(data[3]), _be32(data[4]))
        elif name == "cmp" and _be32(data[2]) == 0:
            _compare(rule, loaded, attributes(data[3], 0, len(data[3]))[1])
        elif name == "counter":
            rule.bytes, rule.packets = struct.unpack(">Q", data[1])[0], struct.unpack(">Q", data[2])[0]
        elif name == "match":
            _match(rule, _string(data[1]), data[3])
        elif name in ("target", "immediate"):
            rule.target = _xt_target(_string(data[1]), _be32(data[2]), data[3]) if name == "target" else _jump(data)
        else:
            raise _UnfamiliarError
    if not rule.target:
        raise _UnfamiliarError
    return rule


_META_L4PROTO = 16
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


def _counter(data: bytes) -> tuple[int, int]:
    found = attributes(data, 0, len(data))
    return struct.unpack(">Q", found[1])[0], struct.unpack(">Q", found[2])[0]


# --- matches and targets of x_tables inside nf_tables ----------------------------------------------------------------


def _match(rule: _Rule, name: str, data: bytes) -> None:
    """xt_tcp and xt_udp: source ports, destination ports, for tcp an option and flags, then what is inverted."""
    low_s, high_s, low_d, high_d = struct.unpack_from("=HHHH", data)
    rest = data[8:12] if name == "tcp" else data[8:9]
    if name not in ("tcp", "udp") or any(rest):
        raise _UnfamiliarError
    if (low_s, high_s) == (0, 65535) and low_d == high_d:
        rule.ports = f"--dport {low_d}"
    elif (low_d, high_d) == (0, 65535) and low_s == high_s:
        rule.ports = f"--sport {low_s}"
    else:
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
