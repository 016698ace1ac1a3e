"""The rules of a namespace as the kernel holds them, without starting a program.

Nearly every sandbox holds no rules, or those that send 127.0.0.11:53 to Docker's resolver. Running iptables-save or nft in
each of 200 sandboxes would cost more than everything else together, so these shapes are read here by a dump of nf_tables
and written the way `iptables-save -c` or, for Docker 29's own nftables, `nft -j list ruleset` write them. Whatever else is
found, and legacy iptables, is left to the programs (`firewall.read_sandbox_firewall`). Layouts:
linux/netfilter/nf_tables.h, xt_tcpudp.h, nf_nat.h.
"""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain

import msgspec

from dockernet_doctor.decoding import as_text
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import FirewallDump
from dockernet_doctor.snapshot.netlink import NETLINK_NETFILTER, Netlink, attributes, request
from dockernet_doctor.snapshot.sock_diag import read_proc

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
        rules = _nft_dump(netlink, RULES_REQUEST)
    if (text := nat_as_text(chains, rules)) is not None:
        return (FirewallDump(tool="iptables-nft", family=4, text=text),)
    if (text := docker_dns_as_json(chains, rules)) is not None:
        return (FirewallDump(tool="nft", family=None, text=text),)
    return None


def legacy_tables(family: int) -> tuple[str, ...]:
    """Tables that legacy iptables has in this thread's namespace; asking iptables-legacy itself would create them."""
    text = read_proc(f"/proc/thread-self/net/ip{'6' if family == 6 else ''}_tables_names")
    return tuple((text or "").split())


def nft_tables(netlink: Netlink) -> set[tuple[str, str]]:
    """(family, name) of the tables of nf_tables; empty where the kernel has no nf_tables. Raises OSError (EPERM)."""
    return {
        (_NFT_FAMILIES.get(data[0], str(data[0])), _string(attributes(data, 4)[1]))
        for data in _nft_dump(netlink, TABLES_REQUEST)
    }


def devices(netlink: Netlink) -> dict[tuple[str, str, str], list[str]]:
    """The interfaces that chains are hooked to, by family, table and name of those that are. Raises OSError."""
    found = {}
    for data in _nft_dump(netlink, CHAINS_REQUEST):
        chain = attributes(data, 4)
        hook = attributes(chain.get(4, b""))
        names = [_string(hook[3])] if 3 in hook else [_string(name) for name in _each(hook.get(4, b""))]
        if names:
            found[_NFT_FAMILIES.get(data[0], str(data[0])), _string(chain[1]), _string(chain[3])] = names
    return found


def _each(nest: bytes) -> Iterator[bytes]:
    """The values of attributes of one kind."""
    while len(nest) >= 4:
        (size,) = struct.unpack_from("=H", nest)
        if size < 4:
            return
        yield nest[4:size]
        nest = nest[(size + 3) & ~3 :]


def _nft_dump(netlink: Netlink, question: bytes) -> tuple[bytes, ...]:
    try:
        return netlink.dump(question)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT, errno.ENOENT):
            return ()  # this kernel has no nf_tables
        raise


# --- nf_tables --------------------------------------------------------------------------------------------------------

_NFT_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}


def nat_as_text(chain_messages: Iterable[bytes], rule_messages: Iterable[bytes]) -> str | None:
    """Both dumps as `iptables-save -c` prints them, but for its comments; None for anything but a plain `ip nat`."""
    try:
        chains = _nft_chains(tuple(chain_messages))
        rules: dict[str, list[str]] = {name: [] for name in chains}
        for message in rule_messages:
            name, rule = _nft_rule(message)
            rules[name].append(rule)
    except _NOT_UNDERSTOOD:
        return None
    return "\n".join(["*nat", *chains.values(), *chain.from_iterable(rules.values()), "COMMIT", ""])


def docker_dns_as_json(chain_messages: Iterable[bytes], rule_messages: Iterable[bytes]) -> str | None:
    """Both dumps as `nft -j list ruleset` prints them; None for anything but rules of Docker 29 in `ip docker-dns`."""
    table = {"family": "ip", "name": _DNS_TABLE}
    try:
        chains = [{"chain": _dns_chain(message)} for message in chain_messages]
        rules = [{"rule": _dns_rule(message)} for message in rule_messages]
    except _NOT_UNDERSTOOD:
        return None
    return msgspec.json.encode({"nftables": [{"table": table}, *chains, *rules]}).decode()


class _UnfamiliarError(Exception):
    """Something that only the program can print."""


_PLAIN_NAME = regex(r"[!-~]+")  # the kernel takes any bytes for one
_NOT_UNDERSTOOD = (_UnfamiliarError, KeyError, struct.error, IndexError)


@lru_cache(maxsize=64)
def _nft_chains(messages: tuple[bytes, ...]) -> dict[str, str]:
    """The chains of `ip nat`, each with its line; the same four in nearly every sandbox, hence the cache."""
    found = dict(map(_nft_chain, messages))
    built_in = {name: found.get(name, f":{name} ACCEPT [0:0]") for name in BUILT_IN}
    return built_in | {name: found[name] for name in sorted(found) if name not in built_in}


def _nft_chain(data: bytes) -> tuple[str, str]:
    """Name and line of a chain of `ip nat`. Raises _UnfamiliarError for any other."""
    found = attributes(data, 4)
    name = _string(found[3])
    if not _PLAIN_NAME.fullmatch(name):
        raise _UnfamiliarError
    if _NFT_FAMILIES.get(data[0]) != "ip" or _string(found[1]) != "nat":
        raise _UnfamiliarError
    if 4 not in found:  # NFTA_CHAIN_HOOK
        return name, f":{name} - [0:0]"
    if name not in BUILT_IN:
        raise _UnfamiliarError
    policy = "ACCEPT" if _number(found.get(5, b"\1")) == 1 else "DROP"
    counter = attributes(found.get(8, b""))
    return name, f":{name} {policy} [{_number(counter.get(2, b''))}:{_number(counter.get(1, b''))}]"


@lru_cache(maxsize=1024)
def _nft_rule(data: bytes) -> tuple[str, str]:
    """Chain and line of a rule; raises _UnfamiliarError for one that iptables does not write for Docker's resolver.

    Those without a port of the resolver are the same in every sandbox, hence the cache.
    """
    found = attributes(data, 4)
    rule = _RULE.fullmatch(found.get(4, b""))
    if rule is None:
        raise _UnfamiliarError
    octets, packets, source, destination, protocol, from_port, to_port, match, ports, target, revision, value, jump = (
        rule.groups(b"")
    )
    name = _string(found[2])
    parts = [f"[{_number(packets)}:{_number(octets)}] -A {name}"]
    parts += [f"-s {socket.inet_ntoa(source)}/32"] if source else []
    parts += [f"-d {socket.inet_ntoa(destination)}/32"] if destination else []
    if protocol:
        word = _PROTOCOLS[protocol[0]]
        parts.append(f"-p {word}")
        parts += [f"-m {word} --sport {_number(from_port)}"] if from_port else []
        parts += [f"-m {word} --dport {_number(to_port)}"] if to_port else []
        parts += [f"-m {word} {_match_ports(match, ports)}"] if match else []
    parts.append("-j " + (_string(jump) if jump else _xt_target(_string(target), _number(revision), value)))
    return name, " ".join(parts)


def _attribute(kind: int, value: bytes) -> bytes:
    """A pattern for an attribute, of one for its value."""
    return b".." + re.escape(struct.pack("=H", kind)) + value


def _nest(kind: int, *attributes: bytes) -> bytes:
    """A pattern for an attribute that holds others, which kernels before 5.2 do not flag."""
    plain, flagged = (re.escape(struct.pack("=H", kind | flag)) for flag in (0, 0x8000))
    return b"..(?:%b|%b)%b" % (plain, flagged, b"".join(attributes))


def _expression(name: bytes, *attributes: bytes) -> bytes:
    """A pattern for one expression of a rule, its attributes in the order in which the kernel tells them."""
    return _nest(1, _attribute(1, name + rb"\0+"), _nest(2, *attributes))


def _payload(base: int, offset: bytes, size: int) -> bytes:
    return _expression(
        b"payload", _attribute(1, _ANY), _attribute(2, _be32(base)), _attribute(3, offset), _attribute(4, _be32(size))
    )


def _equals(value: bytes) -> bytes:
    return _expression(b"cmp", _attribute(1, _ANY), _attribute(2, _be32(0)), _nest(3, _attribute(1, value)))


def _be32(value: int) -> bytes:
    return re.escape(struct.pack(">I", value))


_ANY = b".{4}"
_NETWORK, _TRANSPORT, _META_L4PROTO, _NFT_JUMP = 1, 2, 16, 0xFFFFFFFD
_PROTOCOLS = {6: "tcp", 17: "udp"}
_PAD = b"(?:%b)?" % _attribute(3, b"")  # before a number of 64 bits, where the processor wants it aligned
_COUNTER = _expression(b"counter", _PAD, _attribute(1, b"(.{8})"), _PAD, _attribute(2, b"(.{8})"))
# What iptables makes of the options that Docker uses; `_nft_rule` takes the groups apart.
_CONDITIONS = (
    _COUNTER,
    _payload(_NETWORK, _be32(12), 4) + _equals(b"(.{4})"),
    _payload(_NETWORK, _be32(16), 4) + _equals(b"(.{4})"),
    b"(?:%b|%b)"
    % (_expression(b"meta", _attribute(2, _be32(_META_L4PROTO)), _attribute(1, _ANY)), _payload(_NETWORK, _be32(9), 1))
    + _equals(b"(.)..."),
    _payload(_TRANSPORT, _be32(0), 2) + _equals(b"(..).."),
    _payload(_TRANSPORT, _be32(2), 2) + _equals(b"(..).."),
    _expression(b"match", _attribute(1, rb"(tcp|udp)\0"), _attribute(2, _ANY), _attribute(3, b"(.{9,32}?)")),
)
_TARGETS = (
    _expression(b"target", _attribute(1, rb"([DS]NAT)\0{4}"), _attribute(2, b"(.{4})"), _attribute(3, b"(.+)")),
    _expression(
        b"immediate", _attribute(1, _ANY), _nest(2, _nest(2, _attribute(1, _be32(_NFT_JUMP)), _attribute(2, rb"([^\0]+)\0+")))
    ),
)
_RULE = regex(b"(?s)(?:%b)*(?:%b)" % (b"|".join(_CONDITIONS), b"|".join(_TARGETS)))


# --- Docker 29's table `ip docker-dns` --------------------------------------------------------------------------------

_DNS_TABLE = "docker-dns"
_HOOKS = {3: "output", 4: "postrouting"}
_ADDRESS_FIELDS = {12: "saddr", 16: "daddr"}
_PORT_FIELDS = {0: "sport", 2: "dport"}


def _dns_chain(data: bytes) -> dict[str, str | int]:
    """A chain that translates addresses, as nft tells it. Raises _UnfamiliarError for any other."""
    found = attributes(data, 4)
    hook = attributes(found[4])
    if _string(found[7]) != "nat":
        raise _UnfamiliarError
    return _dns_place(data, found[1]) | {
        "name": _plain(found[3]),
        "handle": _number(found[2]),
        "type": "nat",
        "hook": _HOOKS[_number(hook[1])],
        "prio": int.from_bytes(hook[2], "big", signed=True),
        "policy": "accept" if _number(found[5]) == 1 else "drop",
    }


def _dns_rule(data: bytes) -> dict[str, object]:
    """A rule that translates what goes to the resolver, or comes from it. Raises _UnfamiliarError for any other."""
    found = attributes(data, 4)
    rule = _DNS_RULE.fullmatch(found[4])
    if rule is None:
        raise _UnfamiliarError
    at, address, protocol, port_at, port, octets, packets, to_address, to_port, from_port = rule.groups(b"")
    target: dict[str, object] = {"snat": {"port": _number(from_port)}}
    if to_address:
        target = {"dnat": {"addr": socket.inet_ntoa(to_address), "port": _number(to_port)}}
    return _dns_place(data, found[1]) | {
        "chain": _plain(found[2]),
        "handle": _number(found[3]),
        "expr": [
            _is("ip", _ADDRESS_FIELDS[_number(at)], socket.inet_ntoa(address)),
            _is(_PROTOCOLS[protocol[0]], _PORT_FIELDS[_number(port_at)], _number(port)),
            {"counter": {"packets": _number(packets), "bytes": _number(octets)}},
            target,
        ],
    }


def _dns_place(data: bytes, table: bytes) -> dict[str, str | int]:
    if _NFT_FAMILIES.get(data[0]) != "ip" or _string(table) != _DNS_TABLE:
        raise _UnfamiliarError
    return {"family": "ip", "table": _DNS_TABLE}


def _is(protocol: str, field: str, value: str | int) -> dict[str, object]:
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": field}}, "right": value}}


def _plain(name: bytes) -> str:
    if not _PLAIN_NAME.fullmatch(text := _string(name)):
        raise _UnfamiliarError
    return text


def _immediate(register: int, value: bytes) -> bytes:
    return _expression(b"immediate", _attribute(1, _be32(register)), _nest(2, _attribute(1, value)))


def _nat(kind: int, flags: int, *registers: int) -> bytes:
    """An address of IPv4 translated; registers: of the lowest and highest address, where there is one, then of the ports."""
    told = b"".join(
        _attribute(at, _be32(register)) for at, register in zip(range(7 - len(registers), 7), registers, strict=True)
    )
    return _expression(b"nat", _attribute(1, _be32(kind)), _attribute(2, _be32(2)), told, _attribute(7, _be32(flags)))


_DNS_RULE = regex(
    b"(?s)"
    + b"".join(
        (
            _payload(_NETWORK, b"(.{4})", 4) + _equals(b"(.{4})"),
            _expression(b"meta", _attribute(2, _be32(_META_L4PROTO)), _attribute(1, _ANY)) + _equals(b"(.)..."),
            _payload(_TRANSPORT, b"(.{4})", 2) + _equals(b"(..).."),
            _COUNTER,
            b"(?:%b|%b)"
            % (
                _immediate(1, b"(.{4})") + _immediate(2, b"(..)..") + _nat(1, 3, 1, 1, 2, 2),
                _immediate(1, b"(..)..") + _nat(0, 2, 1, 1),
            ),
        )
    )
)


# --- matches and targets of x_tables inside nf_tables ----------------------------------------------------------------


def _match_ports(name: bytes, data: bytes) -> str:
    """xt_tcp and xt_udp: source ports, destination ports, for tcp an option and flags, then what is inverted."""
    low_s, high_s, low_d, high_d = struct.unpack_from("=HHHH", data)
    if any(data[8:12] if name == b"tcp" else data[8:9]):
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
    return as_text(value.rstrip(b"\0"))


def _number(value: bytes) -> int:
    return int.from_bytes(value, "big")
