"""One base chain and one packet: every outcome that remains possible.

An unknown match splits the way in two. Both are followed in one pass: what a rule may do is noted, and the next rule is
asked as well. Where all outcomes agree in the end, the unknown match did not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain as chained
from typing import Any, NamedTuple

import msgspec

from dockernet_doctor.netfilter.iptables_rules import head_tests, only_for, tail_steps
from dockernet_doctor.netfilter.model import Chain, Decision, Rule, Table, Translation, Unknown
from dockernet_doctor.netfilter.nft_rules import rule_steps
from dockernet_doctor.netfilter.terms import Choice, Doubt, Effect, Match, Nat, State, Step, Verdict
from dockernet_doctor.once import once_for_each

NEXT, RETURN, END = 1, 2, 4
MAX_DEPTH = 40
MAX_RULES = 1_000_000
"""Bounds for a dump that no kernel would have taken."""


Final = Verdict | Nat | Doubt


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
        self.general = True
        """No rule was asked for more than protocol, interfaces and the state of the connection."""

    def decide(self, chain: Chain) -> Decision:
        state, packet, known = self.state, self.state.packet, _known(chain)
        asked = (
            state.hook, state.inside, state.outside, state.protocol, state.ctstate, state.tracked, state.doubtful_tracking,
            packet.dnat, packet.snat, packet.reply,
        )  # fmt: skip
        if asked in known:
            return msgspec.structs.replace(known[asked], packet=packet)
        state.sets = self.table.sets
        ways = self._chain(chain, True, 0)
        if ways & (NEXT | RETURN):
            self._policy(chain)
        decision = self._decision(chain)
        if self.general and decision.verdict != "unknown":
            known[asked] = decision
        return decision

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
            stops=tuple(self._stop(outcome, chain) for outcome in self.outcomes if outcome.verdict in ("drop", "reject")),
            chain=chain,
            trace=trace,
            packet=packet,
        )

    def _stop(self, outcome: Outcome, chain: Chain) -> Decision:
        return Decision(
            verdict=outcome.verdict,  # type: ignore[arg-type]
            rule=outcome.rule,
            policy=outcome.policy,
            reject_with=outcome.reject_with,
            chain=chain,
            packet=self.state.packet,
        )

    def _chain(self, chain: Chain | None, sure: bool, depth: int) -> int:
        """Which ways out of the chain are open: NEXT where it may fall through to its caller, END where it may decide."""
        if chain is None or depth > MAX_DEPTH or self.visited > MAX_RULES:
            return self._beyond(None, "a chain that is not there, or chains without end")
        ways, state = 0, self.state
        self.visited += len(chain.rules)
        for rule in self._asked(chain.rules):
            cache = rule.cache or _read_head(rule)
            doubt = None
            for test in cache[0]:
                truth = test(state)
                if truth is False:
                    break
                if truth is None:
                    doubt = Unknown(what=rule.text, rule=rule)
            else:
                if cache[1]:
                    self.general = False
                    if not all(test(state) for test in cache[1]):
                        continue
                found = self._rule(rule, cache[2] if len(cache) == 3 else _read_tail(rule), sure, doubt, depth)
                if found & RETURN:
                    ways |= NEXT
                    sure = False
                ways |= found & END
                if not found & NEXT:
                    return ways
        return ways | NEXT

    def _rule(self, rule: Rule, steps: tuple[Step, ...], sure: bool, doubt: Unknown | None, depth: int) -> int:
        for step in steps:
            if isinstance(step, Verdict):
                return self._final(rule, step, sure, doubt, depth)
            self.general = self.general and isinstance(step, Match) and step.general
            if isinstance(step, Match):
                truth = step.test(self.state)
                if truth is False:
                    return NEXT
                if truth is None:
                    doubt = doubt or Unknown(what=step.what, rule=rule)
            elif isinstance(step, Effect):
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
        for truth, verdict in step.entries(self.state):
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
        resolved = step.resolve(self.state)
        if resolved is False:
            return NEXT
        kind = step.kind
        if kind == "netmap":
            kind = "snat" if self.state.hook in ("postrouting", "input") else "dnat"
        if resolved is None:
            return self._beyond(rule, step.what)
        address, port = resolved
        if kind in ("redirect", "masquerade") and address is None:
            address = self._own_address(kind)
            if address is None and kind == "redirect":
                return self._beyond(rule, step.what)
        made = Translation(kind=kind, rule=rule, address=address, port=port)
        self.outcomes.append(Outcome("accept", rule, translation=made, unknown=doubt))
        return END

    def _own_address(self, kind: str) -> str | None:
        """REDIRECT takes the address of the interface that the packet came in by, MASQUERADE that of the way out."""
        state = self.state
        if kind == "redirect" and state.local:
            return "127.0.0.1" if state.family == 4 else "::1"
        if state.context is None:
            return None
        interface = state.inside if kind == "redirect" else state.outside
        if kind == "masquerade" and interface == "lo":
            return None  # inet_select_addr takes an address of some other interface
        return state.context.interface_address(interface, state.family)

    def _asked(self, rules: tuple[Rule, ...]) -> Sequence[Rule]:
        """The rules that may match, in order. Docker's chains grow by a rule for each container, port and bridge: those for
        others are skipped."""
        if len(rules) < LONG:
            return rules
        state = self.state
        near = _between(rules, state)
        if len(near) < LONG:
            return near
        self.general = False
        index, wanted = _index(rules), (state.destination, state.packet.dport)
        if wanted not in index.chosen:
            index.chosen[wanted] = [rules[place] for place in sorted(index.places(*wanted))]
        return index.chosen[wanted]


LONG = 16
"""Rules of a chain that are worth an index."""


@once_for_each
def _known(_chain: Chain) -> dict[tuple[str | int | bool, ...], Decision]:
    """What the base chain decided about packets, where it asked for nothing but what is in the key."""
    return {}


def _between(rules: tuple[Rule, ...], state: State) -> tuple[Rule, ...]:
    """The rules that may match a packet of this protocol between these interfaces."""
    known, way = _by_way(rules), (state.protocol, state.inside, state.outside)
    if way not in known:
        found = tuple(rule for rule in rules if all(test(state) is not False for test in (rule.cache or _read_head(rule))[0]))
        known[way] = rules if len(found) == len(rules) else found
    return known[way]


@once_for_each
def _by_way(_rules: tuple[Rule, ...]) -> dict[tuple[int, str, str], tuple[Rule, ...]]:
    return {}


class _Index(NamedTuple):
    """Positions of rules: by the one address or port that each is for, and the others; and what was chosen of them."""

    addresses: dict[int, list[int]]
    ports: dict[int, list[int]]
    others: list[int]
    chosen: dict[tuple[int, int | None], list[Rule]]

    def places(self, address: int, port: int | None) -> list[int]:
        """Of the rules that may match; one for any port where it is not known."""
        by_port = self.ports.get(port, ()) if port is not None else chained.from_iterable(self.ports.values())
        return [*self.others, *self.addresses.get(address, ()), *by_port]


@once_for_each
def _index(rules: tuple[Rule, ...]) -> _Index:
    index = _Index({}, {}, [], {})
    for place, rule in enumerate(rules):
        address, port = only_for(rule)
        if address is not None:
            index.addresses.setdefault(address, []).append(place)
        elif port is not None:
            index.ports.setdefault(port, []).append(place)
        else:
            index.others.append(place)
    return index


def _read_head(rule: Rule) -> list[Any]:
    """Fills the rule's cache: general tests, tests of addresses, the steps after them; a fourth entry while these are text."""
    cache = rule.cache
    if rule.line:
        cache.extend((*head_tests(rule), None))
    else:
        cache.extend(((), (), rule_steps(rule)))
    return cache


def _read_tail(rule: Rule) -> tuple[Step, ...]:
    cache = rule.cache
    cache[2] = tail_steps(rule, cache[2])
    del cache[3]
    steps: tuple[Step, ...] = cache[2]
    return steps
