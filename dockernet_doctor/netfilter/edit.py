"""Edits of a firewall as typed values: each gives its commands, the commands that take it back, and the dumps as they are
once it was made."""

from __future__ import annotations

import re
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
from msgspec.structs import replace

from dockernet_doctor.netfilter.iptables import lines, rule_line
from dockernet_doctor.netfilter.iptables_syntax import words
from dockernet_doctor.netfilter.model import Backend, Chain, Rule
from dockernet_doctor.regex import regex
from dockernet_doctor.shell import Command, command, glued, line, nft, output, shown, unsayable
from dockernet_doctor.snapshot.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dockernet_doctor.netfilter.model import Packet
    from dockernet_doctor.shell import Nft
    from dockernet_doctor.snapshot.model import FirewallDump


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """The packets that an accept is for; None and "" ask for nothing. `answers`: of connections that are open already."""

    family: int = 4
    source: str = ""
    destination: str = ""
    in_interface: str | None = None
    out_interface: str | None = None
    protocol: str = ""
    sport: int | None = None
    dport: int | None = None
    answers: bool = False

    @classmethod
    def of(cls, packet: Packet, *, ports_of_bridge: bool = False, tracked: bool = True) -> Traffic:
        """Packets like this one: of a request those to its port, of an answer those from its port.

        `ports_of_bridge`: told by the ports of the bridge, as chains of the family bridge see them. `tracked`: where the
        chain asks after connections are known.
        """
        inside, outside = packet.in_interface, packet.out_interface
        if ports_of_bridge:
            inside, outside = packet.physdev_in, packet.physdev_out
        has_ports = packet.protocol in ("tcp", "udp")
        within = inside is not None and inside == outside and packet.dport is None and packet.sport is None
        if within:  # a bridge that is not Docker's: what its machines send one another
            return cls(family=packet.family, in_interface=inside, out_interface=outside)
        answer = packet.reply and packet.sport is not None and has_ports
        return cls(
            family=packet.family,
            source=packet.source if answer and packet.source not in _ANYWHERE else "",
            destination="" if answer or packet.destination in _ANYWHERE else packet.destination,
            in_interface=inside,
            out_interface=outside,
            protocol="" if packet.protocol == "all" else packet.protocol,
            sport=packet.sport if answer else None,
            dport=packet.dport if has_ports and not answer else None,
            answers=answer and tracked,
        )

    def words(self, *, saved: bool = False) -> list[str]:
        """The matches of a rule of iptables: as one types them, or `saved`, as iptables-save prints them."""
        bits = "/128" if self.family == 6 else "/32"
        pairs = [("-s", self.source), ("-d", self.destination)]
        found = [w for flag, a in pairs if a for w in (flag, f"{a}{bits}" if saved and "/" not in a else a)]
        found += ["-i", self.in_interface] if self.in_interface else []
        found += ["-o", self.out_interface] if self.out_interface else []
        found += ["-p", "ipv6-icmp" if saved and self.protocol == "icmpv6" else self.protocol] if self.protocol else []
        found += ["-m", self.protocol] if saved and (self.sport or self.dport) else []
        found += ["--sport", str(self.sport)] if self.sport is not None else []
        found += ["--dport", str(self.dport)] if self.dport is not None else []
        return [*found, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED"] if self.answers else found

    def nft(self) -> Nft:
        """The same, and its accept, in the language of nft."""
        ip = "ip" if self.family == 4 else "ip6"
        parts = [nft('iifname "{}"', self.in_interface)] if self.in_interface else []
        parts += [nft('oifname "{}"', self.out_interface)] if self.out_interface else []
        parts += [nft("{} saddr {}", ip, self.source)] if self.source else []
        parts += [nft("{} daddr {}", ip, self.destination)] if self.destination else []
        parts += [nft("{} sport {}", self.protocol, str(self.sport))] if self.sport is not None else []
        parts += [nft("{} dport {}", self.protocol, str(self.dport))] if self.dport is not None else []
        if self.protocol and self.sport is None and self.dport is None:
            parts.append(nft("meta l4proto {}", self.protocol))
        parts += [nft("ct state established,related")] if self.answers else []
        return reduce(lambda one, other: nft("{} {}", one, other), [*parts, nft("accept")])

    def expressions(self) -> list[dict[str, Any]]:
        """The same as `nft -j list ruleset` shows it."""
        ip = "ip" if self.family == 4 else "ip6"
        asked: list[tuple[dict[str, Any], Any]] = [
            ({"meta": {"key": "iifname"}}, self.in_interface),
            ({"meta": {"key": "oifname"}}, self.out_interface),
            ({"payload": {"protocol": ip, "field": "saddr"}}, _value(self.source)),
            ({"payload": {"protocol": ip, "field": "daddr"}}, _value(self.destination)),
            ({"payload": {"protocol": self.protocol, "field": "sport"}}, self.sport),
            ({"payload": {"protocol": self.protocol, "field": "dport"}}, self.dport),
            ({"meta": {"key": "l4proto"}}, self.protocol if self.sport is None and self.dport is None else None),
        ]
        found = [{"match": {"op": "==", "left": left, "right": right}} for left, right in asked if right]
        state = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}
        return [*found, *([state] if self.answers else []), {"accept": None}]


_ANYWHERE = ("0.0.0.0", "::", "0.0.0.0/0", "::/0")


def _value(address: str) -> Any:
    network, _, bits = address.partition("/")
    return {"prefix": {"addr": network, "len": int(bits)}} if bits else address


class RuleEdit(msgspec.Struct, frozen=True, kw_only=True):
    """One edit of one chain.

    backend, family, table, chain  where it is made
    program                        the words that begin a command of iptables about that table
    """

    backend: Backend
    family: str
    table: str
    chain: str
    program: tuple[str, ...] = ()
    needs: ClassVar[str] = ""  # a program that not every host has

    @property
    def commands(self) -> tuple[Command, ...]:
        raise NotImplementedError

    @property
    def undo(self) -> tuple[Command, ...]:
        """What takes it back; () where nothing does."""
        raise NotImplementedError

    def applied(self, dumps: Sequence[FirewallDump]) -> tuple[FirewallDump, ...]:
        """The dumps of the namespace as they are once it was made."""
        return tuple(self._of_dump(dump) for dump in dumps)

    def _of_dump(self, dump: FirewallDump) -> FirewallDump:
        if dump.tool == "nft" and self.backend in ("nft", "iptables-nft"):
            return replace(dump, text=_of_json(dump.text, self._in_nft))
        if self.backend != "nft" and dump.tool == self.backend and dump.family == (6 if self.family == "ip6" else 4):
            return replace(dump, text="\n".join(self._in_table(_Text(dump.text, self.table, self.chain))))
        return dump

    def _in_table(self, text: _Text) -> list[str]:
        raise NotImplementedError

    def _in_nft(self, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _is_here(self, it: dict[str, Any]) -> bool:
        return (it.get("family"), it.get("table"), it.get("chain")) == (self.family, self.table, self.chain)

    @property
    def _place(self) -> tuple[Nft, ...]:
        return tuple(nft("{}", name) for name in (self.family, self.table, self.chain))


class Acceptance(RuleEdit, frozen=True, kw_only=True):
    """An accept ahead of all that decides at the chain."""

    traffic: Traffic

    @property
    def commands(self) -> tuple[Command, ...]:
        if self.backend == "nft":
            return (command("nft", "insert", "rule", *self._place, self.traffic.nft()),)
        return (command(*self.program, "-I", chain_word(self.chain), *self.traffic.words(), "-j", "ACCEPT"),)

    @property
    def undo(self) -> tuple[Command, ...]:
        if self.backend == "nft":
            listing = command("nft", "-a", "list", "chain", *self._place)
            number = line("{} | grep -m 1 -F -e {} | sed {}", listing, self.traffic.nft(), "s/.*# handle //")
            return (command("nft", "delete", "rule", *self._place, "handle", output(number)),)
        return (command(*self.program, "-D", chain_word(self.chain), *self.traffic.words(), "-j", "ACCEPT"),)

    def kept_by_firewalld(self, verb: Literal["add", "remove"]) -> Command:
        """The command by which firewalld has the same rule again after its next reload, or has it no more."""
        family = "ipv6" if self.family == "ip6" else "ipv4"
        place = (family, self.table, chain_word(self.chain), "0")
        return command(
            "firewall-cmd", "--permanent", "--direct", f"--{verb}-rule", *place, *self.traffic.words(), "-j", "ACCEPT"
        )

    def _in_table(self, text: _Text) -> list[str]:
        saved = " ".join(("-A", self.chain, *self.traffic.words(saved=True), "-j", "ACCEPT"))
        return [*text.lines[: text.first], saved, *text.lines[text.first :]]

    def _in_nft(self, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        expressions = self.traffic.expressions() if self.backend == "nft" else []  # only as many rules as iptables prints
        made = {"family": self.family, "table": self.table, "chain": self.chain, "handle": 0, "expr": expressions}
        first = next((i for i, o in enumerate(objects) if self._is_here(o.get("rule", {}))), len(objects))
        return [*objects[:first], {"rule": made}, *objects[first:]]


class Removal(RuleEdit, frozen=True, kw_only=True):
    """The end of a rule, and of its copies in the chain. `places`: the 1-based positions of all of them."""

    rule: Rule
    places: tuple[int, ...]
    next_handle: int | None = None  # nft: that of the rule behind it, None where it is the last

    @property
    def commands(self) -> tuple[Command, ...]:
        if self.backend == "nft":
            return (command("nft", "delete", "rule", *self._place, "handle", str(self.rule.handle)),)
        return (_deletion(self.rule, self.program),) * len(self.places)

    @property
    def undo(self) -> tuple[Command, ...]:
        rule = self.rule
        if MASK in rule.text:
            return ()
        if self.backend == "nft":
            expressions = bytes(rule.expressions)
            if b'"xt"' in expressions or MASK.encode() in expressions:
                return ()
            where: dict[str, Any] = {"family": self.family, "table": self.table, "chain": self.chain}
            where |= {"handle": self.next_handle} if self.next_handle is not None else {}
            where |= {"comment": rule.comment} if rule.comment else {}
            made = {"rule": {**where, "expr": _RAW.decode(expressions)}}
            verb = "insert" if self.next_handle is not None else "add"
            document = msgspec.json.encode({"nftables": [{verb: made}]}).decode()
            return (line("printf %s {} | nft -j -f -", document),)
        spelt = _spelt(rule)
        if _strange(spelt) or self.chain.startswith(("-", "!")):
            return ()
        return tuple(command(*self.program, "-I", self.chain, str(place), *spelt) for place in self.places)

    def _in_table(self, text: _Text) -> list[str]:
        gone = {text.rules[place - 1] for place in self.places if place <= len(text.rules)}
        return [text_line for number, text_line in enumerate(text.lines) if number not in gone]

    def _in_nft(self, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        here = [number for number, it in enumerate(objects) if self._is_here(it.get("rule", {}))]
        gone = {here[place - 1] for place in self.places if place <= len(here)}
        return [it for number, it in enumerate(objects) if number not in gone]


class PolicyAccepts(RuleEdit, frozen=True, kw_only=True):
    """The policy ACCEPT for a base chain whose policy is DROP."""

    @property
    def commands(self) -> tuple[Command, ...]:
        return (self._set(accept=True),)

    @property
    def undo(self) -> tuple[Command, ...]:
        return (self._set(accept=False),)

    def _set(self, *, accept: bool) -> Command:
        if self.backend == "nft":
            policy = nft("accept") if accept else nft("drop")
            return command("nft", nft("chain {} {} {} {{ policy {}; }}", *self._place, policy))
        return command(*self.program, "-P", chain_word(self.chain), "ACCEPT" if accept else "DROP")

    def _in_table(self, text: _Text) -> list[str]:
        head = f":{self.chain} "
        return [
            re.sub(r"(?<= )DROP", "ACCEPT", it) if number in text.table and it.startswith(head) else it
            for number, it in enumerate(text.lines)
        ]

    def _in_nft(self, objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
        def changed(it: dict[str, Any]) -> dict[str, Any]:
            chain = it.get("chain", {})
            same = (chain.get("family"), chain.get("table"), chain.get("name")) == (self.family, self.table, self.chain)
            return {"chain": chain | {"policy": "accept"}} if same else it

        return list(map(changed, objects))


class UfwDefault(PolicyAccepts, frozen=True, kw_only=True):
    """The same in ufw's own words, which it keeps: by itself it sets the policy again at each reload."""

    needs: ClassVar[str] = "ufw"

    def _set(self, *, accept: bool) -> Command:
        way = {"INPUT": "incoming", "OUTPUT": "outgoing", "FORWARD": "routed"}[self.chain]
        return command("ufw", "default", "allow" if accept else "deny", way)


class UfwRule(Acceptance, frozen=True, kw_only=True):
    """An accept in ufw's own words, which it keeps."""

    needs: ClassVar[str] = "ufw"

    @property
    def commands(self) -> tuple[Command, ...]:
        return (self._said("prepend", "allow"),)

    @property
    def undo(self) -> tuple[Command, ...]:
        return (self._said("delete", "allow"),)

    def _said(self, *verb: str) -> Command:
        at = self.traffic
        route = ["route"] if at.in_interface and at.out_interface else []
        rule = ["in", "on", at.in_interface] if at.in_interface else []
        rule += ["out", "on", at.out_interface] if at.out_interface else []
        spoken = at.protocol in ("tcp", "udp")
        rule += ["proto", at.protocol] if spoken else []
        rule += ["from", "any", "to", at.destination or "any"]
        rule += ["port", str(at.dport)] if at.dport is not None and spoken else []
        dashed = next((word for word in rule if word.startswith("-")), None)
        if dashed is not None:
            return unsayable(f"ufw has no way to write the name {shown(dashed)}")
        return command("ufw", *route, *verb, *rule)


class FirewalldPort(Acceptance, frozen=True, kw_only=True):
    """A port that firewalld opens in the zone of the interface, now and for good."""

    needs: ClassVar[str] = "firewall-cmd"

    @property
    def commands(self) -> tuple[Command, ...]:
        return self._said("add")

    @property
    def undo(self) -> tuple[Command, ...]:
        return self._said("remove")

    def _said(self, verb: str) -> tuple[Command, ...]:
        asked = command("firewall-cmd", glued("--get-zone-of-interface=", self.traffic.in_interface or "lo"))
        zone = glued("--zone=", output(line("{} 2>/dev/null || firewall-cmd --get-default-zone", asked)))
        port = f"--{verb}-port={self.traffic.dport}/{self.traffic.protocol}"
        return command("firewall-cmd", zone, port), command("firewall-cmd", "--permanent", zone, port)


def removal(rule: Rule, chain: Chain | None, default: Backend) -> Removal:
    """The edit that ends a rule of this chain."""
    places = [other.position for other in chain.rules if other.line == rule.line] if chain and rule.line else []
    after = next((other for other in chain.rules if other.position == rule.position + 1), None) if chain else None
    return Removal(
        **_at(rule, default),
        rule=rule,
        places=tuple(places) or (rule.position,),
        next_handle=after.handle if after else None,
    )


def accepting(chain: Chain, default: Backend) -> PolicyAccepts:
    """The edit that gives this base chain the policy ACCEPT."""
    return PolicyAccepts(**_at(chain, default))


def accepting_by_ufw(chain: Chain, default: Backend) -> UfwDefault:
    """The same by ufw, whose policy it is."""
    return UfwDefault(**_at(chain, default))


def acceptance(at: Rule | Chain, chain: str, traffic: Traffic, default: Backend) -> Acceptance:
    """An accept in the chain of that name, of the table where `at` stands."""
    return Acceptance(**{**_at(at, default), "chain": chain}, traffic=traffic)


def by_ufw(at: Rule | Chain, traffic: Traffic, default: Backend) -> UfwRule:
    """An accept of ufw's, in the chain that holds what its user asked for."""
    way = "forward" if traffic.in_interface and traffic.out_interface else "output" if traffic.out_interface else "input"
    chain = f"{'ufw6' if traffic.family == 6 else 'ufw'}-user-{way}"
    return UfwRule(**{**_at(at, default), "chain": chain}, traffic=traffic)


def by_firewalld(at: Rule | Chain, traffic: Traffic, default: Backend) -> FirewalldPort:
    """A port that firewalld opens: as if the chain that decides now accepted it."""
    return FirewalldPort(**_at(at, default), traffic=traffic)


def _at(it: Rule | Chain, default: Backend) -> dict[str, Any]:
    chain = it.chain if isinstance(it, Rule) else it.name
    program = () if it.backend == "nft" else _program(it, default)
    return {"backend": it.backend, "family": it.family, "table": it.table, "chain": chain, "program": program}


def _program(of: Rule | Chain, default: Backend) -> tuple[str, ...]:
    """The words that begin a command about the rule or chain."""
    name = "ip6tables" if of.family == "ip6" else "iptables"
    program = name if of.backend == default else f"{name}-{of.backend.removeprefix('iptables-')}"
    return (program,) if of.table == "filter" else (program, "-t", of.table)


# --- rules of iptables as words -----------------------------------------------------------------------------------------


def chain_word(name: str) -> str:
    """A chain for iptables, which refuses to make one of which it takes the name for an option or a negation."""
    return unsayable(f"iptables has no way to write the name {shown(name)}") if name.startswith(("-", "!")) else name


def _spelt(rule: Rule) -> list[str]:
    return [word for word, _ in [*words(rule.line)][2:]]


def _deletion(rule: Rule, program: tuple[str, ...]) -> Command:
    spelt = _spelt(rule)
    if strange := _strange(spelt):
        return unsayable(f"iptables would take {shown(strange)} of that rule for an option of its own")
    listing = command(*program, "-S", chain_word(rule.chain))
    number = None
    if MASK in rule.line:
        number = line("{} | grep ^-A | grep -nx -m 1 -e {} | cut -d: -f1", listing, _like(rule.line))
    elif rule.backend == "iptables-nft" and rule.asks(*_NOT_BY_TEXT):
        number = line("{} | grep ^-A | grep -nxF -m 1 -e {} | cut -d: -f1", listing, rule.line)
    if number is not None:
        return command(*program, "-D", chain_word(rule.chain), output(number))
    return command(*program, "-D", chain_word(rule.chain), *spelt)


def _strange(spelt: list[str]) -> str | None:
    """A word that no listing has among the matches of a rule: --modprobe, however short, runs a program, joined or not."""
    before = ""
    for word in spelt:
        if before == "--comment":
            before = ""
        elif _OPTION.match(word):
            return word
        else:
            before = word
    return None


_OPTION = regex(r"--mo(d(p(r(o(be?)?)?)?)?)?(=|$)|-(?![sdiopmjgfc]$|-|[0-9]|$)")

_NOT_BY_TEXT = ("connlimit", "recent")
"""Matches of which iptables-nft (1.8.9) does not recognise what it printed itself: such a rule goes by its number."""


def _like(line: str) -> str:
    """A basic regular expression for the rule as it is: where a secret is masked, within one word, anything may stand."""
    pattern, in_quotes = "", False
    for before in line.split(MASK)[:-1]:
        in_quotes ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        pattern += re.sub(r"[\\.*\[\]^$]", r"\\\g<0>", before) + ('[^"]*' if in_quotes else '[^ "]*')
    return pattern + re.sub(r"[\\.*\[\]^$]", r"\\\g<0>", line.rsplit(MASK, maxsplit=1)[-1])


# --- dumps --------------------------------------------------------------------------------------------------------------


class _Text:
    """A dump of iptables-save, and where in it a chain's rules stand."""

    def __init__(self, text: str, table: str, chain: str) -> None:
        self.lines = [*lines(text)]
        starts = [number for number, it in enumerate(self.lines) if it == f"*{table}"]
        start = starts[0] if starts else len(self.lines)
        end = next((n for n, it in enumerate(self.lines[start:], start) if it == "COMMIT"), len(self.lines))
        self.table = range(start, end)
        own = (f"-A {chain}", f"-A {chain} ")
        self.rules = [n for n in self.table if (it := rule_line(self.lines[n])) == own[0] or it.startswith(own[1])]
        self.first = self.rules[0] if self.rules else end


def _of_json(text: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> str:
    """The dump with changed objects; as it is where it is no JSON of nft."""
    try:
        document = msgspec.json.decode(text, type=dict[str, list[dict[str, Any]]])
        return msgspec.json.encode({"nftables": change(document["nftables"])}).decode()
    except (msgspec.DecodeError, KeyError, AttributeError, RecursionError):
        return text


_RAW = msgspec.json.Decoder()
