"""One base chain and one packet: every outcome that remains possible.

An unknown match splits the way in two. Both are followed in one pass: what a rule may do is noted, and the next rule is
asked as well. Where all outcomes agree in the end, the unknown match did not matter.

Thousands of packets come to the same chains. What a walk asked of its packet, and what was answered, decided it: so a packet
that answers as another did is not walked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain as chained
from typing import Any, NamedTuple

import msgspec

from dockernet_doctor.netfilter.iptables_rules import Head, read_head, tail_steps
from dockernet_doctor.netfilter.model import Chain, Decision, Rule, Table, Translation, Unknown
from dockernet_doctor.netfilter.nft_rules import rule_steps
from dockernet_doctor.netfilter.records import NOT_UNDERSTOOD
from dockernet_doctor.netfilter.terms import Choice, Doubt, Effect, Match, Nat, State, Step, Verdict, address_number, always
from dockernet_doctor.once import once_for_each

NEXT, RETURN, END = 1, 2, 4
MAX_DEPTH = 40
MAX_RULES = 1_000_000
"""Bounds for a dump that no kernel would have taken."""
MOST_ASKED = 32
"""As many answers are remembered: what asks more may do so differently for each packet, and there are thousands."""


Final = Verdict | Nat | Doubt


def decide(chain: Chain, table: Table, state: State) -> Decision:
    """What the chain, one of the table's, does to the packet; where a rule of it has an effect, the state is changed."""
    state.sets = table.sets
    way = chain.name, state.protocol, state.inside, state.outside
    known = _known(table).get(way)
    while isinstance(known, _Asked):
        known = known.answers.get(known.ask(state))
    if known is not None:
        return msgspec.structs.replace(known, packet=state.packet)
    walk = Walk(table, state)
    decision = walk.decide(chain)
    if walk.repeatable and decision.verdict != "unknown" and len(walk.asked) < MOST_ASKED:
        answers, answer = _known(table), way
        for ask, next_answer in walk.asked:
            asked = answers.setdefault(answer, _Asked(ask, {}))
            assert isinstance(asked, _Asked)
            answers, answer = asked.answers, next_answer
        answers[answer] = decision
    return decision


class _Asked(NamedTuple):
    """What a walk asks next of a packet, and by each answer what it asks then, or what was decided."""

    ask: Callable[[State], Any]
    answers: dict[Any, _Asked | Decision]


@once_for_each
def _known(_table: Table) -> dict[Any, _Asked | Decision]:
    """What chains of the table ask and decide, by the chain, and by protocol and interfaces of the packet."""
    return {}


class Outcome(msgspec.Struct, frozen=True):
    verdict: str
    rule: Rule | None = None
    reject_with: str | None = None
    translation: Translation | None = None
    unknown: Unknown | None = None
    policy: str | None = None

    @property
    def effect(self) -> tuple[Any, ...]:
        """What tells two outcomes apart."""
        made = self.translation
        return self.verdict, (made.kind, made.address, made.port) if made else None


class Walk:
    """The walk of one packet through one base chain."""

    def __init__(self, table: Table, state: State) -> None:
        self.table, self.state = table, state
        self.outcomes: list[Outcome] = []
        self.trace: list[Rule] = []
        self.doubts: list[Unknown] = []
        self.visited = 0
        self.may_be_gone = False
        """The packet may have been accepted already: what rules change from here on is not sure for later chains."""
        self.asked: list[tuple[Callable[[State], Any], Any]] = []
        """What was asked of the packet beside its protocol and interfaces, and what was answered."""
        self.repeatable = True
        """Nothing but the answers decided, and no rule had an effect."""

    def decide(self, chain: Chain) -> Decision:
        if self._chain(chain, True, 0) & (NEXT | RETURN):
            self._policy(chain)
        return self._decision(chain)

    def _ask(self, question: Callable[[State], Any]) -> Any:
        answer = question(self.state)
        self.asked.append((question, answer))
        return answer

    def _policy(self, chain: Chain) -> None:
        # A chain that is no base chain falls back to its caller; asked for by itself, that is neither.
        verdict = "drop" if (chain.policy or "").upper() == "DROP" else "accept"
        self.outcomes.append(Outcome(verdict, policy=chain.name if chain.policy else None))

    def _decision(self, chain: Chain) -> Decision:
        last, trace, packet = self.outcomes[-1], tuple(self.trace), self.state.packet
        agree = len(self.outcomes) == 1 or len({outcome.effect for outcome in self.outcomes}) == 1
        if agree and last.verdict != "unknown":
            return Decision(
                verdict=last.verdict,  # type: ignore[arg-type]
                rule=last.rule,
                policy=last.policy,
                reject_with=last.reject_with,
                translation=last.translation,
                possible=(last.verdict,),
                chain=chain,
                trace=trace,
                packet=packet,
            )
        verdicts = [outcome.verdict for outcome in self.outcomes]
        possible = sorted({v for v in verdicts if v != "unknown"} | ({"accept", "drop"} if "unknown" in verdicts else set()))
        blame = next((o.unknown for o in self.outcomes if o.unknown and o.effect != last.effect), None)
        blame = blame or next((o.unknown for o in self.outcomes if o.unknown), None)
        blame = blame or (self.doubts[0] if self.doubts else None)
        return Decision(
            verdict="unknown",
            rule=blame.rule if blame else None,
            unknown=blame,
            possible=tuple(possible),
            stops=tuple(self._stop(outcome, chain) for outcome in self.outcomes if _may_stop(outcome, chain)),
            chain=chain,
            trace=trace,
            packet=packet,
        )

    def _stop(self, outcome: Outcome, chain: Chain) -> Decision:
        return Decision(
            verdict="drop" if outcome.verdict == "unknown" else outcome.verdict,  # type: ignore[arg-type]
            rule=outcome.rule,
            policy=outcome.policy,
            reject_with=outcome.reject_with,
            unknown=outcome.unknown if outcome.verdict == "unknown" else None,
            chain=chain,
            packet=self.state.packet,
        )

    def _chain(self, chain: Chain | None, sure: bool, depth: int) -> int:
        """Which ways out of the chain are open: NEXT where it may fall through to its caller, END where it may decide."""
        if chain is None or depth > MAX_DEPTH or self.visited > MAX_RULES:
            return self._beyond(None, "a chain that is not there, or chains without end")
        ways, state = 0, self.state
        self.visited += len(chain.rules)
        for rule, head in self._near(chain.rules):
            doubt = None
            for test in head.between:
                truth = test(state)
                if truth is False:
                    break
                if truth is None:
                    doubt = Unknown(what=rule.text, rule=rule)
            else:
                if not all(map(self._ask, head.addresses)):
                    continue
                found = self._rule(rule, sure, doubt, depth)
                if found & RETURN:
                    ways |= NEXT
                    sure = False
                ways |= found & END
                if not found & NEXT:
                    return ways
        return ways | NEXT

    def _rule(self, rule: Rule, sure: bool, doubt: Unknown | None, depth: int) -> int:
        try:
            return self._read(rule, sure, doubt, depth)
        except NOT_UNDERSTOOD:  # of a set or a map, which is read when a packet is looked up in it
            self.repeatable = False
            return self._beyond(rule, f"not understood: {rule.text}") | NEXT

    def _read(self, rule: Rule, sure: bool, doubt: Unknown | None, depth: int) -> int:
        for step in _steps(rule):
            if isinstance(step, Verdict):
                return self._final(rule, step, sure, doubt, depth)
            if isinstance(step, Match):
                truth = self._ask(step.test)
                if truth is False:
                    return NEXT
                if truth is None:
                    doubt = doubt or Unknown(what=step.what, rule=rule)
            elif isinstance(step, Effect):
                self.repeatable = False
                step.apply(self.state, sure and doubt is None and not self.may_be_gone)
            elif isinstance(step, Choice):
                return self._choice(rule, step, sure, doubt, depth)
            else:
                return self._final(rule, step, sure, doubt, depth)
        if doubt is None:
            self.trace.append(rule)
        return NEXT

    def _choice(self, rule: Rule, step: Choice, sure: bool, doubt: Unknown | None, depth: int) -> int:
        ways = 0
        for truth, verdict in self._ask(step.entries):
            if truth is False:
                continue
            here = doubt or (None if truth else Unknown(what=step.what, rule=rule))
            ways |= self._final(rule, verdict, sure, here, depth)
            if truth:
                return ways
        return ways | NEXT

    def _final(self, rule: Rule, step: Final, sure: bool, doubt: Unknown | None, depth: int) -> int:
        """The ways that open where the last step of a rule is taken, or may be."""
        if doubt is None:
            self.trace.append(rule)
            return self._taken(rule, step, sure, None, depth)
        ways = self._taken(rule, step, False, doubt, depth)
        if ways & (RETURN | END):
            self.doubts.append(doubt)
        return ways | NEXT

    def _taken(self, rule: Rule, step: Final, sure: bool, doubt: Unknown | None, depth: int) -> int:
        if not sure and (not isinstance(step, Verdict) or step.kind == "accept"):
            self.may_be_gone = True
        if isinstance(step, Nat):
            return self._nat(rule, step, doubt)
        if isinstance(step, Doubt):
            return self._beyond(rule, step.what)
        if step.kind in ("jump", "goto"):
            return self._jump(rule, step, sure, doubt, depth)
        if step.kind in ("return", "continue"):
            return RETURN if step.kind == "return" else NEXT
        self.outcomes.append(Outcome(step.kind, rule, step.reject_with, unknown=doubt))
        return END

    def _jump(self, rule: Rule, step: Verdict, sure: bool, doubt: Unknown | None, depth: int) -> int:
        target = self.table.chains.get(step.target)
        if target is None:
            return self._beyond(rule, f"-j {step.target}")
        before = len(self.outcomes)
        found = self._chain(target, sure, depth + 1)
        if doubt is not None:
            self.outcomes[before:] = [
                msgspec.structs.replace(outcome, unknown=outcome.unknown or doubt) for outcome in self.outcomes[before:]
            ]
        if step.kind == "goto" and found & NEXT:
            return RETURN | found & END
        return found

    def _beyond(self, rule: Rule | None, what: str) -> int:
        """Something outside the rules decides: any verdict, or the next rule."""
        unknown = Unknown(what=what, rule=rule)
        self.doubts.append(unknown)
        self.outcomes.append(Outcome("unknown", rule, unknown=unknown))
        return END

    def _nat(self, rule: Rule, step: Nat, doubt: Unknown | None) -> int:
        resolved = self._ask(step.resolve)
        if resolved is False:
            return NEXT
        kind = step.kind
        if kind == "netmap":
            kind = "snat" if self.state.hook in ("postrouting", "input") else "dnat"
        if resolved is None:
            return self._beyond(rule, step.what)
        address, port = resolved
        if kind in ("redirect", "masquerade") and address is None:
            address = self._ask(partial(_own_address, kind))
            if address is None and kind == "redirect":
                return self._beyond(rule, step.what)
        _ensure_possible(address, port, self.state.family)
        made = Translation(kind=kind, rule=rule, address=address, port=port)
        self.outcomes.append(Outcome("accept", rule, translation=made, unknown=doubt))
        return END

    def _near(self, rules: tuple[Rule, ...]) -> Sequence[tuple[Rule, Head]]:
        """The rules that may match, in order. Docker's chains grow by a rule for each container, port and bridge: those for
        others are skipped. Interfaces need not be asked for: what is known of a chain is known by them."""
        headed = _headed(rules)
        if len(rules) < LONG:
            return headed
        index = _index(rules)
        ways = index.inside.get(self.state.inside, ()), index.outside.get(self.state.outside, ())
        return [headed[place] for place in sorted(chained(index.others, *ways, self._ask(index.meant)))]


LONG = 16
"""Rules of a chain that are worth an index."""


def _may_stop(outcome: Outcome, chain: Chain) -> bool:
    """True if the packet may end there; what is handed to a program, as by NFQUEUE, is lost where that lets nothing pass."""
    handed = outcome.verdict == "unknown" and outcome.rule is not None and chain.type != "nat" and chain.table != "nat"
    return handed or outcome.verdict in ("drop", "reject")


def _ensure_possible(address: str | None, port: int | None, family: int) -> None:
    """ValueError where no packet of the family can get these by translation."""
    if address is not None and (":" in address) != (family == 6):
        raise ValueError(f"not of IPv{family}: {address}")
    if address is not None:
        address_number(address)
    if port is not None and not 0 <= port < 65536:
        raise ValueError(f"no port: {port}")


def _own_address(kind: str, state: State) -> str | None:
    """REDIRECT takes the address of the interface that the packet came in by, MASQUERADE that of the way out."""
    if kind == "redirect" and state.local:
        return "127.0.0.1" if state.family == 4 else "::1"
    if state.context is None:
        return None
    interface = state.inside if kind == "redirect" else state.outside
    if kind == "masquerade" and interface == "lo":
        return None  # inet_select_addr takes an address of some other interface
    return state.context.interface_address(interface, state.packet.family)


class _Index(NamedTuple):
    """Positions of rules: by the one address and the one port that each is for, None for any; of those for all of them by the
    mask and value of their sources, else by the one interface to come in by, else to go out by; and the others."""

    heads: list[Head]
    places: dict[int | None, dict[int | None, list[int]]]
    sources: dict[int, dict[int, list[int]]]
    inside: dict[str | None, list[int]]
    outside: dict[str | None, list[int]]
    others: list[int]

    def meant(self, state: State) -> tuple[int, ...]:
        """The rules for the packet's addresses or port that may match it by protocol and interfaces.

        All rules for a port where the packet's is not known.
        """
        port = state.packet.dport
        found: list[int] = []
        for ports in (self.places.get(state.destination), self.places.get(None)):
            if ports is not None:
                found += chained.from_iterable(ports.values() if port is None else (ports.get(port, ()), ports.get(None, ())))
        for mask, values in self.sources.items():
            found += values.get(state.source & mask, ())
        return tuple([p for p in found if all(test(state) is not False for test in self.heads[p].between)])


@once_for_each
def _index(rules: tuple[Rule, ...]) -> _Index:
    index = _Index([head for _, head in _headed(rules)], {}, {}, {}, {}, [])
    for place, head in enumerate(index.heads):
        if head.address is not None or head.port is not None:
            index.places.setdefault(head.address, {}).setdefault(head.port, []).append(place)
        elif head.source is not None:
            value, mask = head.source
            index.sources.setdefault(mask, {}).setdefault(value, []).append(place)
        elif head.inside is not None:
            index.inside.setdefault(head.inside, []).append(place)
        elif head.outside is not None:
            index.outside.setdefault(head.outside, []).append(place)
        else:
            index.others.append(place)
    return index


@once_for_each
def _headed(rules: tuple[Rule, ...]) -> tuple[tuple[Rule, Head], ...]:
    return tuple((rule, _head(rule)) for rule in rules)


def _head(rule: Rule) -> Head:
    try:
        return read_head(rule) if rule.line else _NATIVE
    except NOT_UNDERSTOOD:
        return _NATIVE


_NATIVE = Head((), (), None, None, None, None, None, "")
"""The head of a native rule, all of whose matches are steps."""


@once_for_each
def _steps(rule: Rule) -> tuple[Step, ...]:
    """Read when a packet comes so far."""
    try:
        return tail_steps(read_head(rule).tail, rule.family) if rule.line else rule_steps(bytes(rule.expressions))
    except NOT_UNDERSTOOD:
        return _not_understood(rule)


def _not_understood(rule: Rule) -> tuple[Step, ...]:
    what = f"not understood: {rule.text}"
    return Match(always(None), what), Doubt(what)
