"""Edits of a firewall as typed values: each gives its commands, the commands that take it back, and the dumps as they are
once it was made."""

from __future__ import annotations

import re
from functools import reduce
from itertools import chain as chained
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
from msgspec.structs import replace

from dockernet_doctor.netfilter.iptables import lines, rule_line
from dockernet_doctor.netfilter.iptables_syntax import words
from dockernet_doctor.netfilter.model import Backend, Chain, Rule
from dockernet_doctor.notation import UNSPECIFIED
from dockernet_doctor.regex import regex
from dockernet_doctor.shell import Command, command, glued, line, nft, output, shown, unsayable
from dockernet_doctor.snapshot.secrets import MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        if packet.arp:
            return cls(family=packet.family, protocol="arp")
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
        if self.protocol == "arp":
            parts.append(nft("arp htype 1"))
        elif self.protocol and self.sport is None and self.dport is None:
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
            ({"payload": {"protocol": "arp", "field": "htype"}}, 1 if self.protocol == "arp" else None),
            (
                {"meta": {"key": "l4proto"}},
                self.protocol if self.sport is None and self.dport is None and self.protocol != "arp" else None,
            ),
        ]
        found = [{"match": {"op": "==", "left": left, "right": right}} for left, right in asked if right]
        state = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}
        return [*found, *([state] if self.answers else []), {"accept": None}]


_ANYWHERE = (*UNSPECIFIED, "0.0.0.0/0", "::/0")


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

    def shows_in(self, dump: FirewallDump) -> bool:
        if dump.tool == "nft":
            return self.backend in ("nft", "iptables-nft")
        return self.backend != "nft" and dump.tool == self.backend and dump.family == (6 if self.family == "ip6" else 4)

    def in_lines(self, dump: _Lines) -> None:
        """Makes it in a dump of iptables-save."""
        raise NotImplementedError

    def in_objects(self, dump: _Objects) -> None:
        """Makes it in a dump of nft."""
        raise NotImplementedError

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

    @property
    def in_nft(self) -> Nft:
        """The line of a file of nft that makes it."""
        return nft("insert rule {} {} {} {}", *self._place, self.traffic.nft())

    @property
    def saved(self) -> str:
        """The rule as iptables-save prints it."""
        return " ".join(("-A", self.chain, *self.traffic.words(saved=True), "-j", "ACCEPT"))

    def kept_by_firewalld(self, verb: Literal["add", "remove"]) -> Command:
        """The command by which firewalld has the same rule again after its next reload, or has it no more."""
        family = "ipv6" if self.family == "ip6" else "ipv4"
        place = (family, self.table, chain_word(self.chain), "0")
        return command(
            "firewall-cmd", "--permanent", "--direct", f"--{verb}-rule", *place, *self.traffic.words(), "-j", "ACCEPT"
        )

    def in_lines(self, dump: _Lines) -> None:
        dump.rules(self).insert(0, self.saved)

    def in_objects(self, dump: _Objects) -> None:
        expressions = self.traffic.expressions() if self.backend == "nft" else []  # only as many rules as iptables prints
        made = {"family": self.family, "table": self.table, "chain": self.chain, "handle": 0, "expr": expressions}
        dump.rules(self).insert(0, {"rule": made})


class Removal(RuleEdit, frozen=True, kw_only=True):
    """The end of a rule, and of its copies in the chain. `places`: the 1-based positions of all of them."""

    rule: Rule
    places: tuple[int, ...]
    among: int = 0  # as many rules as its chain has; 0 where that is not known

    @property
    def commands(self) -> tuple[Command, ...]:
        if self.backend == "nft":
            return (self._by_handle(),)
        return (_deletion(self.rule, self.program),) * len(self.places)

    @property
    def undo(self) -> tuple[Command, ...]:
        rule = self.rule
        if MASK in rule.text:
            return ()
        if self.backend == "nft":
            return self._added_again()
        spelt = _spelt(rule)
        if _strange(spelt) or self.chain.startswith(("-", "!")):
            return ()
        return tuple(command(*self.program, "-I", self.chain, str(place), *spelt) for place in self.places)

    def _by_handle(self) -> Command:
        """Deletes the rule of nft if its handle still shows it: once a table was loaded again, others have the handles."""
        handle = str(self.rule.handle)
        listing = command("nft", "-a", "list", "chain", *self._place)
        deletion = command("nft", "delete", "rule", *self._place, "handle", handle)
        counted = [more for part in nft_parts(self.rule) for more in ((part, None) if part == "counter" else (part,))]
        return line("{} | grep {} && {}", listing, _grep([*counted, f"# handle {handle}"]), deletion)

    def _added_again(self) -> tuple[Command, ...]:
        """What gives the chain of nft the same rule at the same place: in nft's own words where that is sure, else as JSON."""
        rule, number = self.rule, self.rule.position - 1
        is_last = rule.position >= self.among
        verb, place = ("add", ()) if is_last else ("insert", ("index", str(number)))
        parts = [part for part in nft_parts(rule) if part is not None]
        if parts and len(parts) == len(nft_parts(rule)):
            return (
                command("nft", verb, "rule", *self._place, *place, reduce(lambda one, other: nft("{} {}", one, other), parts)),
            )
        expressions = bytes(rule.expressions)
        if b'"xt"' in expressions or MASK.encode() in expressions:
            return ()
        where: dict[str, Any] = {"family": self.family, "table": self.table, "chain": self.chain}
        where |= {} if is_last else {"index": number}
        where |= {"comment": rule.comment} if rule.comment else {}
        made = {"rule": {**where, "expr": _RAW.decode(expressions)}}
        document = msgspec.json.encode({"nftables": [{verb: made}]}).decode()
        return (line("printf %s {} | nft -j -f -", document),)

    def in_lines(self, dump: _Lines) -> None:
        self._end(dump.rules(self))

    def in_objects(self, dump: _Objects) -> None:
        self._end(dump.rules(self))

    def _end(self, rules: list[Any]) -> None:
        for place in sorted(self.places, reverse=True):
            del rules[place - 1 : place]


class PolicyAccepts(RuleEdit, frozen=True, kw_only=True):
    """The policy ACCEPT for a base chain whose policy is DROP."""

    @property
    def in_nft(self) -> Nft:
        """The line of a file of nft that makes it."""
        return nft("chain {} {} {} {{ policy accept; }}", *self._place)

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

    def in_lines(self, dump: _Lines) -> None:
        dump.accept(self)

    def in_objects(self, dump: _Objects) -> None:
        dump.accept(self)


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
    chain = chain if chain and chain.name == rule.chain else None
    places = [other.position for other in chain.rules if other.line == rule.line] if chain and rule.line else []
    return Removal(
        **_at(rule, default),
        rule=rule,
        places=tuple(places) or (rule.position,),
        among=len(chain.rules) if chain else 0,
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


# --- rules of nft as words ----------------------------------------------------------------------------------------------


def nft_parts(rule: Rule) -> list[Nft | None]:
    """The rule word by word as nft both prints and reads it; None for a part that this release may write in other words."""
    parts = [_said(expression) for expression in _EXPRESSIONS.decode(bytes(rule.expressions))]
    if rule.comment:
        comment = nft('comment "{}"', rule.comment)
        parts.append(None if comment.unsayable or MASK in rule.comment else comment)
    return parts


def _said(expression: Any) -> Nft | None:
    match expression:
        case {"accept": None} | {"drop": None} | {"return": None} | {"continue": None}:
            said = nft("{}", *expression)
        case {"reject": None}:
            said = nft("reject")
        case {"counter": {"packets": int()}}:
            said = nft("counter")
        case {"jump": {"target": str(chain)}} | {"goto": {"target": str(chain)}}:
            said = nft("{} {}", *expression, chain)
        case {"match": {"op": "==" | "in" | "!=" as sign, "left": left, "right": right}}:
            field, value = _field(left), _right(left, right)
            if field is None or value is None:
                return None
            said = nft("{} != {}", field, value) if sign == "!=" else nft("{} {}", field, value)
        case _:
            return None
    return None if said.unsayable else said


def _field(left: Any) -> Nft | None:
    match left:
        case {"payload": {"protocol": "tcp" | "udp" | "sctp" | "th" as protocol, "field": "sport" | "dport" as field}}:
            return nft("{} {}", protocol, field)
        case {"payload": {"protocol": "ip" | "ip6" as protocol, "field": "saddr" | "daddr" | "protocol" | "nexthdr" as field}}:
            return nft("{} {}", protocol, field)
        case {"payload": {"protocol": "icmp" | "icmpv6" as protocol, "field": "type"}}:
            return nft("{} type", protocol)
        case {"meta": {"key": "iif" | "oif" | "iifname" | "oifname" as key}}:
            return nft("{}", key)
        case {"meta": {"key": "l4proto"}}:
            return nft("meta l4proto")
        case {"ct": {"key": "state", **more}} if not more:
            return nft("ct state")
    return None


def _right(left: Any, right: Any) -> Nft | None:
    match right:
        case str() if right.startswith("@"):
            return nft("@{}", right[1:])
        case str():
            is_link = "meta" in left and left["meta"]["key"] != "l4proto"
            return nft('"{}"', right) if is_link else nft("{}", right)
        case int() if not isinstance(right, bool):
            return nft("{}", str(right))
        case {"prefix": {"addr": str(address), "len": int(bits)}}:
            return nft("{}/{}", address, str(bits))
        case {"range": [first, last]} if ends := _all_said(left, [first, last]):
            return nft("{}-{}", *ends)
        case {"set": [_, *_] as elements} if said := _all_said(left, elements):
            return nft("{{ {} }}", reduce(lambda one, other: nft("{}, {}", one, other), said))
        case [_, *_] if said := _all_said(left, right):
            return reduce(lambda one, other: nft("{},{}", one, other), said)
    return None


def _all_said(left: Any, values: list[Any]) -> list[Nft]:
    """All of the values; [] where one of them is not sure."""
    said = [value for one in values if (value := _right(left, one)) is not None]
    return said if len(said) == len(values) else []


def _grep(parts: Sequence[str | None]) -> str:
    """A basic regular expression for a line that ends with these words; in the place of None anything may stand."""
    like = "" if parts[0] is None else "^[[:space:]]*"
    for before, part in pairwise([None, *parts]):
        if part is not None:
            like += f"{' ' if before else ''}{_literal(part)}"
        elif before is not None:
            like += ".*"
    return f"{like}$"


def _literal(text: str) -> str:
    """Text for grep, as itself."""
    return re.sub(r"[\\.*\[\]^$]", r"\\\g<0>", text)


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
    elif rule.asks(*_NOT_BY_TEXT):
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
"""Matches of which iptables (1.8.9, of either backend) does not recognise what it printed: such a rule goes by its number."""


def _like(line: str) -> str:
    """A basic regular expression for the rule as it is: where a secret is masked, within one word, anything may stand."""
    pattern, in_quotes = "", False
    for before in line.split(MASK)[:-1]:
        in_quotes ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        pattern += _literal(before) + ('[^"]*' if in_quotes else '[^ "]*')
    return pattern + _literal(line.rsplit(MASK, maxsplit=1)[-1])


# --- dumps --------------------------------------------------------------------------------------------------------------


def edited(dumps: Sequence[FirewallDump], edits: Sequence[RuleEdit]) -> tuple[FirewallDump, ...]:
    """The dumps of one namespace as they are once the edits were made, in their order. Each is read once for all of them."""
    return tuple(_edited(dump, [edit for edit in edits if edit.shows_in(dump)]) for dump in dumps)


def _edited(dump: FirewallDump, edits: list[RuleEdit]) -> FirewallDump:
    if not edits:
        return dump
    if dump.tool != "nft":
        text = _Lines(dump.text)
        for edit in edits:
            edit.in_lines(text)
        return replace(dump, text=text.written)
    try:
        objects = _Objects(dump.text)
        for edit in edits:
            edit.in_objects(objects)
        return replace(dump, text=objects.written)
    except (msgspec.DecodeError, KeyError, AttributeError, RecursionError):
        return dump  # no JSON of nft


class _Lines:
    """A dump of iptables-save, table by table: in each part of one the lines of a head, or the rules of a chain."""

    def __init__(self, text: str) -> None:
        self._tables: dict[str, list[list[str]]] = {}
        self._rules: dict[tuple[str, str], list[str]] = {}
        table, head = "", list[str]()
        for it in lines(text):
            if it.startswith("*"):
                table, head = it[1:], [*head, it] if not table else [it]
                self._tables.setdefault(table, []).append(head)
            elif it == "COMMIT":
                table, head = "", []
            elif table and (rule := rule_line(it)).startswith("-A "):
                self._of(table, rule.split(" ", 2)[1]).append(it)
            else:
                head.append(it)
        self._rest = [] if table else head

    def _of(self, table: str, chain: str) -> list[str]:
        rules = self._rules.get((table, chain))
        if rules is None:
            rules = self._rules[table, chain] = []
            if table in self._tables:
                self._tables[table].append(rules)
        return rules

    def rules(self, edit: RuleEdit) -> list[str]:
        """The rules of the edit's chain, to be changed."""
        return self._of(edit.table, edit.chain)

    def accept(self, edit: RuleEdit) -> None:
        """Gives the chain of the edit the policy ACCEPT."""
        for head in self._tables.get(edit.table, ())[:1]:
            head[:] = [re.sub(r"(?<= )DROP", "ACCEPT", it) if it.startswith(f":{edit.chain} ") else it for it in head]

    @property
    def written(self) -> str:
        tables = ([*chained(*parts), "COMMIT"] for parts in self._tables.values())
        return "\n".join((*chained(*tables), *self._rest))


class _Objects:
    """A dump of nft: in each part an object, or the rules of a chain. Raises what msgspec does where it is none."""

    def __init__(self, text: str) -> None:
        document = msgspec.json.decode(text, type=dict[str, list[dict[str, Any]]])
        self._parts: list[list[dict[str, Any]]] = []
        self._rules: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        self._chains: dict[tuple[Any, ...], dict[str, Any]] = {}
        for it in document["nftables"]:
            if (rule := it.get("rule")) is not None:
                self._of((rule.get("family"), rule.get("table"), rule.get("chain"))).append(it)
                continue
            self._parts.append([it])
            if (base := it.get("chain")) is not None:
                self._chains[base.get("family"), base.get("table"), base.get("name")] = base

    def _of(self, place: tuple[Any, ...]) -> list[dict[str, Any]]:
        rules = self._rules.get(place)
        if rules is None:
            rules = self._rules[place] = []
            self._parts.append(rules)
        return rules

    def rules(self, edit: RuleEdit) -> list[dict[str, Any]]:
        """The rules of the edit's chain, to be changed."""
        return self._of((edit.family, edit.table, edit.chain))

    def accept(self, edit: RuleEdit) -> None:
        """Gives the chain of the edit the policy accept."""
        base = self._chains.get((edit.family, edit.table, edit.chain))
        if base is not None:
            base["policy"] = "accept"

    @property
    def written(self) -> str:
        return msgspec.json.encode({"nftables": [*chained(*self._parts)]}).decode()


_RAW = msgspec.json.Decoder()
_EXPRESSIONS = msgspec.json.Decoder(list[Any])
