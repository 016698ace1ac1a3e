"""Random rule sets, as an operator might have them but worse: iptables (nft and legacy) and native nft, IPv4 and IPv6."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from tests.lab.router import RECEIVERS, ROUTER, SENDERS

Family = Literal[4, 6]
CT_STATES = ("NEW", "RELATED,ESTABLISHED", "DNAT", "INVALID", "NEW,DNAT", "UNTRACKED", "SNAT")
PORTS = (22, 53, 80, 443, 8080)
IPSETS = """create A4 hash:ip family inet
add A4 10.2.0.2
add A4 10.1.0.3
create N4 hash:net family inet
add N4 10.2.0.0/24
add N4 10.2.0.4/31 nomatch
create P4 hash:ip,port family inet
add P4 10.2.0.3,tcp:80
add P4 10.2.0.2,udp:53
create X4 hash:net,port family inet
add X4 10.2.0.0/30,tcp:80-443
create B4 bitmap:port range 0-9000
add B4 80
add B4 8080
create A6 hash:ip family inet6
add A6 fd02::2
add A6 fd01::3
create N6 hash:net family inet6
add N6 fd02::/64
add N6 fd02::4/127 nomatch
create P6 hash:ip,port family inet6
add P6 fd02::3,tcp:80
create L4 list:set size 8
add L4 A4
add L4 N4
"""


class Dice:
    def __init__(self, seed: str, family: Family) -> None:
        self.random = random.Random(seed)
        self.family = family

    def one(self, choices: Sequence[str]) -> str:
        return self.random.choice(list(choices))

    def chance(self, part: float) -> bool:
        return self.random.random() < part

    def bang(self, part: float = 0.25) -> str:
        return "! " if self.chance(part) else ""

    def source(self) -> str:
        wide = {4: ("10.1.0.0/24", "10.0.0.0/8", "10.1.0.2/31"), 6: ("fd01::/64", "fd00::/8", "fd01::2/127")}
        return self.one((*SENDERS[self.family], *wide[self.family]))

    def destination(self) -> str:
        odd = {4: ("10.2.0.0/24", "10.2.0.2/31", "10.0.0.4/255.0.0.4"), 6: ("fd02::/64", "fd02::2/127", "fd02::4/ffff::4")}
        return self.one((*RECEIVERS[self.family], *ROUTER[self.family], *odd[self.family]))

    def ports(self, dash: str = ":") -> str:
        return self.one(("80", "53", "22", f"80{dash}443", f"1{dash}1023", f"8000{dash}9000"))


# --- iptables


def iptables_rules(seed: str, family: Family) -> str:
    """What `iptables-restore` (4) or `ip6tables-restore` (6) takes."""
    dice = Dice(seed, family)
    tables = {
        "raw": _raw(dice),
        "mangle": _mangle(dice),
        "nat": _nat(dice),
        "filter": _filter(dice),
    }
    return "".join(f"*{name}\n{body}COMMIT\n" for name, body in tables.items() if name == "filter" or dice.chance(0.6))


def _filter(dice: Dice) -> str:
    lines = [f":{chain} {'DROP' if dice.chance(0.15) else 'ACCEPT'} [0:0]" for chain in ("INPUT", "FORWARD", "OUTPUT")]
    lines += [f":U{number} - [0:0]" for number in (1, 2, 3)]
    for chain, most in (("FORWARD", 9), ("INPUT", 5), ("OUTPUT", 5), ("U1", 5), ("U2", 4), ("U3", 3)):
        for _ in range(dice.random.randint(1, most)):
            later = [f"-j U{n}" for n in (1, 2, 3) if not chain.startswith("U") or n > int(chain[1])]
            gone = [f"-g U{n}" for n in (1, 2, 3) if not chain.startswith("U") or n > int(chain[1])][:1]
            targets = ["-j ACCEPT", "-j DROP", "-j REJECT", "-j LOG", "-j RETURN", "", "-j ACCEPT", *later, *gone]
            lines.append(f"-A {chain} {_matches(dice, chain)}{dice.one(targets)}".rstrip())
    return "\n".join(lines) + "\n"


def _raw(dice: Dice) -> str:
    lines = [":PREROUTING ACCEPT [0:0]", ":OUTPUT ACCEPT [0:0]"]
    for _ in range(dice.random.randint(0, 3)):
        lines.append(f"-A PREROUTING {_matches(dice, 'RAW')}{dice.one(('-j DROP', '-j CT --notrack', '-j ACCEPT'))}")
    return "\n".join(lines) + "\n"


def _mangle(dice: Dice) -> str:
    lines = [f":{chain} ACCEPT [0:0]" for chain in ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")]
    marks = ("--set-xmark 0x1/0x1", "--set-mark 0x6", "--or-mark 0x2", "--and-mark 0x3", "--xor-mark 0x5")
    for chain in ("PREROUTING", "FORWARD", "OUTPUT", "POSTROUTING"):
        for _ in range(dice.random.randint(0, 3)):
            target = dice.one(
                (f"-j MARK {dice.one(marks)}", "-j CONNMARK --save-mark", "-j CONNMARK --set-mark 0x4", "-j ACCEPT")
            )
            if dice.chance(0.1):
                target = "-j DROP"
            lines.append(f"-A {chain} {_matches(dice, chain)}{target}")
    return "\n".join(lines) + "\n"


def _nat(dice: Dice) -> str:
    lines = [f":{chain} ACCEPT [0:0]" for chain in ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")]
    lines.append(":TOOK - [0:0]")
    for chain in ("PREROUTING", "TOOK", "OUTPUT"):
        for _ in range(dice.random.randint(0, 3)):
            matches = _matches(dice, "PREROUTING" if chain == "TOOK" else chain, protocol=dice.one(("tcp", "udp")))
            address = dice.one(RECEIVERS[dice.family])
            host = f"[{address}]" if dice.family == 6 else address
            targets = [
                f"-j DNAT --to-destination {host}:{dice.one(('80', '8080'))}",
                f"-j DNAT --to-destination {address}",
                "-j RETURN",
            ]
            targets += (
                ["-j REDIRECT --to-ports 8080"] * (chain != "OUTPUT") + ["-j TOOK"] * (chain == "PREROUTING") + ["-j ACCEPT"]
            )
            lines.append(f"-A {chain} {matches}{dice.one(targets)}")
    for _ in range(dice.random.randint(0, 3)):
        target = dice.one(("-j MASQUERADE", f"-j SNAT --to-source {ROUTER[dice.family][1]}", "-j ACCEPT"))
        lines.append(f"-A POSTROUTING {_matches(dice, 'POSTROUTING')}{target}")
    return "\n".join(lines) + "\n"


def _matches(dice: Dice, chain: str, protocol: str = "") -> str:
    parts = []
    if dice.chance(0.25):
        parts.append(f"{dice.bang()}-s {dice.source()}")
    if dice.chance(0.35):
        parts.append(f"{dice.bang()}-d {dice.destination()}")
    if dice.chance(0.2) and chain in ("FORWARD", "INPUT", "PREROUTING", "RAW"):
        parts.append(f"{dice.bang()}-i {dice.one(('r0', 'r+', 'r1', 'lo'))}")
    if dice.chance(0.2) and chain in ("FORWARD", "OUTPUT", "POSTROUTING"):
        parts.append(f"{dice.bang()}-o {dice.one(('r1', 'r+', 'r0', 'lo'))}")
    protocol = protocol or (dice.one(("tcp", "udp", "tcp", "udp", "icmp")) if dice.chance(0.5) else "")
    parts.append(_protocol(dice, protocol))
    if dice.family == 4 and dice.chance(0.03):
        parts.append(f"{dice.bang()}-f")
    for _ in range(dice.random.choice((0, 0, 0, 1, 1, 2))):
        parts.append(_extra(dice, protocol))
    return " ".join(part for part in parts if part) + " "


def _protocol(dice: Dice, protocol: str) -> str:
    if protocol == "icmp":
        six = dice.family == 6
        name, kind = ("ipv6-icmp", "icmp6 --icmpv6-type") if six else ("icmp", "icmp --icmp-type")
        return f"-p {name}" + (
            f" -m {kind} {dice.one(('128', '129') if six else ('8', '0', 'any'))}" if dice.chance(0.5) else ""
        )
    if not protocol:
        return f"! -p {dice.one(('tcp', 'udp'))}" if dice.chance(0.1) else ""
    parts = [f"-p {protocol}"]
    if dice.chance(0.5):
        parts.append(f"-m {protocol} {dice.bang()}--dport {dice.ports()}")
    elif dice.chance(0.2):
        parts.append(f"-m {protocol} {dice.bang()}--sport {dice.one(('1024:65535', '1:1023', '20000:20500'))}")
    elif dice.chance(0.3):
        ports = dice.one(("22,80", "80:443", "53,8000:9000"))
        parts.append(f"-m multiport {dice.bang()}--{dice.one(('dports', 'sports', 'ports'))} {ports}")
    if protocol == "tcp" and dice.chance(0.15):
        parts.append(
            dice.one(("-m tcp --syn", "-m tcp ! --syn", "-m tcp --tcp-flags SYN,ACK SYN", "-m tcp --tcp-flags ALL ACK"))
        )
    return " ".join(parts)


def _extra(dice: Dice, protocol: str) -> str:
    family = dice.family
    choices = [
        f"-m conntrack {dice.bang()}--ctstate {dice.one(CT_STATES)}",
        f"-m conntrack {dice.bang()}--ctorigdst {dice.one((*RECEIVERS[family], *ROUTER[family]))}",
        "-m conntrack --ctdir ORIGINAL",
        f"-m conntrack --ctorigdstport {dice.ports()}" if protocol in ("tcp", "udp") else "-m conntrack --ctdir REPLY",
        f"-m addrtype {dice.bang()}--dst-type {dice.one(('LOCAL', 'UNICAST', 'LOCAL,BROADCAST' if family == 4 else 'LOCAL'))}",
        f"-m addrtype {dice.bang()}--src-type {dice.one(('LOCAL', 'UNICAST'))}",
        f"-m mark {dice.bang()}--mark {dice.one(('0x1/0x1', '0x6', '0x2/0x2', '0x0', '0x4/0xf'))}",
        f"-m connmark {dice.bang()}--mark {dice.one(('0x0', '0x4', '0x1/0x1'))}",
        f"-m set {dice.bang()}--match-set A{family} {dice.one(('src', 'dst'))}",
        f"-m set {dice.bang()}--match-set N{family} {dice.one(('src', 'dst'))}",
        f"-m set {dice.bang()}--match-set P{family} {dice.one(('dst,dst', 'src,dst'))}",
        '-m comment --comment "it\'s a \\"test\\" -j DROP"',
        f"-m pkttype {dice.bang()}--pkt-type {dice.one(('unicast', 'broadcast'))}",
        "-m limit --limit 1/hour --limit-burst 1",
        "-m statistic --mode random --probability 0.5",
    ]
    if family == 4:
        choices += [
            f"-m set {dice.bang()}--match-set {dice.one(('X4 dst,dst', 'B4 dst', 'L4 dst', 'L4 src'))}",
            f"-m iprange {dice.bang()}--{dice.one(('dst-range 10.2.0.1-10.2.0.3', 'src-range 10.1.0.3-10.1.0.9'))}",
            "-m state --state NEW",
        ]
    return dice.one(choices)


# --- nft


def nft_rules(seed: str) -> str:
    """What `nft -f` takes: one to three tables of their own."""
    dice = Dice(seed, 4)
    return "".join(_nft_table(dice, number) for number in range(dice.random.randint(1, 2)))


def _nft_table(dice: Dice, number: int) -> str:
    family = dice.one(("inet", "inet", "ip", "ip6"))
    dice.family = 6 if family == "ip6" else 4
    sets = "\n".join(_nft_sets(family))
    chains = [_nft_chain(dice, family, "late", ""), _nft_chain(dice, family, "sub", "")]
    hooks = ("forward", "prerouting", "input", "output", "postrouting", "forward")
    for index, hook in enumerate(dice.random.sample(hooks, 3)):
        at = dice.one(("filter", "mangle", "-10", "5", "raw" if hook in ("prerouting", "output") else "filter"))
        at = {"filter": "0", "mangle": "-150", "raw": "-300"}.get(at, at)
        policy = "drop" if dice.chance(0.1) else "accept"
        chains.append(_nft_chain(dice, family, f"{hook}{index}", f"type filter hook {hook} priority {at}; policy {policy};"))
    if dice.chance(0.6):
        chains.append(_nft_nat(dice, family, "prerouting", -100))
        chains.append(_nft_nat(dice, family, "postrouting", 100))
    return f"table {family} t{number} {{\n{sets}\n{''.join(chains)}}}\n"


def _nft_sets(family: str) -> list[str]:
    four = [
        "set hosts { type ipv4_addr; flags interval; elements = { 10.2.0.2-10.2.0.3, 10.1.0.3 } }",
        "set pairs { type ipv4_addr . inet_service; flags interval; elements = { 10.2.0.0/30 . 80-443, 10.2.0.4 . 22 } }",
        (
            "map wards { type ipv4_addr : verdict; flags interval;"
            " elements = { 10.2.0.2 : drop, 10.2.0.3 : jump late, 10.2.0.4/31 : accept } }"
        ),
    ]
    six = [
        "set hosts6 { type ipv6_addr; flags interval; elements = { fd02::2-fd02::3, fd01::3 } }",
        "set pairs6 { type ipv6_addr . inet_service; elements = { fd02::2 . 80, fd02::3 . 53 } }",
    ]
    both = [
        "set kinds { typeof meta l4proto . th dport; elements = { tcp . 80, udp . 53 } }",
        "map doors { type inet_service : verdict; elements = { 22 : drop, 80 : continue, 443 : return } }",
        'set names { type ifname; elements = { "r0", "lo" } }',
        "chain late { }",
    ]
    return [*(four if family != "ip6" else []), *(six if family != "ip" else []), *both]


def _nft_chain(dice: Dice, family: str, name: str, hook: str) -> str:
    lines = [f"  chain {name} {{", f"    {hook}"]
    lines += [f"    {_nft_rule(dice, family, name, hook)}" for _ in range(dice.random.randint(1, 7 if hook else 3))]
    return "\n".join(lines) + "\n  }\n"


def _nft_rule(dice: Dice, family: str, chain: str, hook: str) -> str:
    rule = NftRule(dice, family, hook)
    for _ in range(dice.random.choice((1, 1, 2, 2, 3))):
        rule.add_match()
    if chain != "late" and dice.chance(0.12) and rule.fits(None, "tcp"):
        return rule.ending("tcp dport vmap @doors")
    if chain != "late" and family != "ip6" and dice.chance(0.08) and rule.fits("ip", None):
        return rule.ending("ip daddr vmap @wards")
    if "priority -300" in hook and dice.chance(0.2):
        return rule.ending("notrack")
    marks = ["meta mark set 0x1", "meta mark set meta mark | 0x2", "ct mark set 0x4"]
    verdicts = ["accept", "drop", "counter accept", "log", "return", *marks]
    if hook and "routing" not in hook:
        verdicts.append("reject")
    later = {"late": [], "sub": ["jump late"]}.get(chain, ["jump sub", "goto sub", "jump late", "accept"])
    return rule.ending(dice.one([*verdicts, *later]))


def _nft_nat(dice: Dice, family: str, hook: str, priority: int) -> str:
    lines = [f"  chain nat_{hook} {{", f"    type nat hook {hook} priority {priority};"]
    for _ in range(dice.random.randint(0, 3)):
        rule = NftRule(dice, family, f"nat {hook}")
        version = dice.one({"inet": ("ip", "ip6")}.get(family, (family,)))
        rule.version, rule.protocol = version, dice.one(("tcp", "udp"))
        rule.add_match()
        rule.parts.append(dice.one(("tcp dport 80", "tcp dport 22") if rule.protocol == "tcp" else ("udp dport { 53, 443 }",)))
        address = dice.one(RECEIVERS[4 if version == "ip" else 6])
        host = address if version == "ip" else f"[{address}]"
        targets = [f"dnat {version} to {host}:8080", f"dnat {version} to {address}", "redirect to :8080", "accept"]
        if version == "ip" and rule.protocol == "tcp":
            targets.append("dnat ip to tcp dport map { 80 : 10.2.0.4, 22 : 10.2.0.5 }")
        if hook == "postrouting":
            targets = ["masquerade", f"snat {version} to {ROUTER[4 if version == 'ip' else 6][1]}", "accept"]
        lines.append(f"    {rule.ending(dice.one(targets))}")
    return "\n".join(lines) + "\n  }\n"


class NftRule:
    """A rule in the making: nft refuses matches that contradict each other."""

    def __init__(self, dice: Dice, family: str, hook: str) -> None:
        self.dice, self.hook = dice, hook
        self.version: str | None = None if family == "inet" else family
        self.protocol: str | None = None
        self.parts: list[str] = []

    def fits(self, version: str | None, protocol: str | None) -> bool:
        return self.version in (None, version or self.version) and self.protocol in (None, protocol or self.protocol)

    def add_match(self) -> None:
        text, version, protocol = self.dice.random.choice([c for c in self._candidates() if self.fits(c[1], c[2])])
        self.version, self.protocol = self.version or version, self.protocol or protocol
        self.parts.append(text)

    def ending(self, verdict: str) -> str:
        return " ".join([*self.parts, verdict])

    def _candidates(self) -> list[tuple[str, str | None, str | None]]:
        dice, sign = self.dice, "!= " if self.dice.chance(0.25) else ""
        equal = sign or "== "
        four = ("10.2.0.0/24", "10.2.0.2/31", "{ 10.2.0.2, 10.2.0.4/31 }", "@hosts", "10.2.0.1-10.2.0.3")
        six = ("fd02::/64", "{ fd02::2, fd02::4/127 }", "@hosts6", "fd02::1-fd02::3")
        found: list[tuple[str, str | None, str | None]] = [
            (f"ip daddr {sign}{dice.one((*RECEIVERS[4], *four))}", "ip", None),
            (f"ip daddr {sign}{dice.one((*RECEIVERS[4], *four))}", "ip", None),
            (f"ip saddr {sign}{dice.one((*SENDERS[4], '10.1.0.0/24', '@hosts'))}", "ip", None),
            (f"ip saddr & 0.0.0.1 {equal}0.0.0.1", "ip", None),
            (f"ip daddr . tcp dport {sign}@pairs", "ip", "tcp"),
            (f"ip protocol {sign}tcp", "ip", "tcp"),
            ("ip protocol icmp", "ip", "icmp"),
            ("icmp type { echo-request, echo-reply }", "ip", "icmp"),
            (f"ct original ip daddr {sign}10.2.0.2", "ip", None),
            (f"ip6 daddr {sign}{dice.one((*RECEIVERS[6], *six))}", "ip6", None),
            (f"ip6 saddr {sign}{dice.one((*SENDERS[6], 'fd01::/64', '@hosts6'))}", "ip6", None),
            (f"ip6 daddr . th dport {sign}@pairs6", "ip6", None),
            (f"ip6 nexthdr {sign}tcp", "ip6", "tcp"),
            ("icmpv6 type echo-request", "ip6", "icmpv6"),
            (f"tcp dport {sign}{dice.one(('80', '22', '80-443', '{ 22, 80, 8000-9000 }'))}", None, "tcp"),
            (f"tcp flags & (syn | ack) {equal}syn", None, "tcp"),
            ("tcp flags syn", None, "tcp"),
            (f"udp dport {sign}{dice.one(('53', '{ 53, 443 }'))}", None, "udp"),
            (f"th sport {dice.one(('>= 1024', '< 1024', '20000-20500'))}", None, None),
            (f"meta l4proto {sign}tcp", None, "tcp"),
            ("meta l4proto . th dport @kinds", None, None),
            (f"ct state {sign}{dice.one(('new', 'invalid', '{ new, established }'))}", None, None),
            (f"ct state {dice.one(('established,related', 'new,untracked', 'untracked'))}", None, None),
            (f"ct status {dice.one(('dnat', 'snat', '& (dnat|snat) == 0'))}", None, None),
            (f"ct direction {dice.one(('original', 'reply'))}", None, None),
            (f"ct mark {sign}{dice.one(('0x0', '0x4'))}", None, None),
            (f"meta mark {sign}{dice.one(('0x1', '0x0', '0x6'))}", None, None),
            (f"meta mark & 0x2 {equal}0x2", None, None),
            (f"iifname {sign}{dice.one(('r0', 'r*', 'lo', '@names'))}", None, None),
            (f"fib daddr type {sign}{dice.one(('local', 'unicast', '{ local, broadcast }'))}", None, None),
            ("meta pkttype unicast", None, None),
            ("limit rate 1/hour burst 1 packets", None, None),
            ("numgen random mod 2 0", None, None),
        ]
        if any(name in self.hook for name in ("forward", "output", "postrouting")):
            found.append((f"oifname {sign}{dice.one(('r1', 'r*', 'lo'))}", None, None))
        return found
