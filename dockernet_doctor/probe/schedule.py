"""Sends the probes that checks want: each once, side by side, within one deadline, and never a negative taken at once.

A first round trip screens; what was answered no, or not at all, is asked again once before it counts. What cannot be
sent is answered "not-sent" with the reason, which is a blind spot and no fault.
"""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.netfilter.model import Ruleset
from dockernet_doctor.probe import arp, counters, dns, greet, http, icmp, scan, tcp, udp
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import OUT_OF_TIME, SILENT, Answer, CounterMove, Probe, ProbeKind, Vantage, is_lost
from dockernet_doctor.probe.steps import Enter, Loop, Steps, finish
from dockernet_doctor.snapshot.model import Snapshot
from dockernet_doctor.snapshot.namespace import NamespaceError, inside, namespace_of

AT_ONCE = 256
AT_ONCE_PER_DESTINATION = 8
ASK_AGAIN_AFTER_S = 0.2

_FINAL = frozenset({"not-sent", "too-big"})


class Ask(Protocol):
    def __call__(self, probe: Probe, enter: Enter, patience_s: float, /) -> Steps[Answer]: ...


class Manner(NamedTuple):
    """How a kind is asked: by what, and how many seconds of silence are waited for at first and when asked again."""

    ask: Ask
    patience_s: tuple[float, ...]


#: The kernel gives up on a neighbour three seconds after it was first needed. The two attempts together pass that, so
#: that "no such machine" is told from "no answer" at the second one.
MANNERS: dict[ProbeKind, Manner] = {
    "tcp": Manner(tcp.ask, (1.3, 3.5)),
    "udp": Manner(udp.ask, (1.0, 2.5)),
    "dns": Manner(dns.ask, (2.5, 4.5)),
    "icmp": Manner(icmp.ask, (1.0, 2.5)),
    "arp": Manner(arp.ask, (0.5, 1.0)),
    "http": Manner(http.ask, (3.5, 3.5)),
    "greet": Manner(greet.ask, (2.0, 3.5)),
    "scan": Manner(scan.ask, (15.0,)),
}

#: Where a vantage point is: a way into its namespace. Raises NotSentError or NamespaceError where there is none.
ResolveVantage = Callable[[Vantage], Enter]


class Gate(Protocol):
    """`permission.Permission`: whether a probe may be sent, and what DNS answers add to that."""

    def __call__(self, probe: Probe) -> str: ...

    def learn(self, answer: Answer) -> None: ...


class _Job(Struct, frozen=True, kw_only=True, eq=False):
    probe: Probe
    due: float
    last: bool  # whatever the answer is, it counts
    patience_s: float
    first: Answer | None = None

    @property
    def destination(self) -> tuple[str, int]:
        return self.probe.address, self.probe.port


class Scheduler:
    """Holds the answers of one run of the tool; `run` is called once for each round.

    resolve_vantage  see `vantages`
    deadline         time.monotonic() seconds: what was not answered by then is "not-sent", out of time
    gate             see `permission.Permission`
    rulesets         `counters.read`: the host's firewall with its counters, for probes with `counters`
    on_progress      receives (probes answered, probes wanted) of a round
    """

    def __init__(
        self,
        resolve_vantage: ResolveVantage,
        *,
        deadline: float,
        gate: Gate | None = None,
        rulesets: Callable[[], tuple[Ruleset, ...]] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.answers: dict[Probe, Answer] = {}
        self._resolve = resolve_vantage
        self._deadline = deadline
        self._gate = gate
        self._rulesets = rulesets
        self._on_progress = on_progress
        self._done = self._wanted = 0

    def run(self, probes: Iterable[Probe], *, interval_s: float = 0.0) -> dict[Probe, Answer]:
        """The answers to these probes; one that was answered before is not sent again.

        Probes that differ in `sample` alone are a series: one every `interval_s` seconds, and none of them asked again,
        since a single failure is what is looked for.
        """
        wanted = dict.fromkeys(probes)
        series = {replace(probe, sample=0) for probe in wanted if probe.sample}
        start = time.monotonic()
        jobs = []
        for probe in wanted:
            if probe in self.answers:
                continue
            patience = MANNERS[probe.kind].patience_s
            if replace(probe, sample=0) in series:
                due = start + probe.sample * interval_s
                jobs.append(_Job(probe=probe, due=due, last=True, patience_s=patience[-1]))
            else:
                jobs.append(_Job(probe=probe, due=start, last=len(patience) == 1, patience_s=patience[0]))
        self._done, self._wanted = 0, len(jobs)
        allowed = [job for job in jobs if self._permitted(job.probe)]
        sampled = [job.probe for job in allowed if job.probe.counters and replace(job.probe, sample=0) in series]
        before = self._rulesets() if self._rulesets and sampled else ()
        self._side_by_side(allowed)
        if before and self._rulesets:
            self._note_moved(sampled, counters.moved(before, self._rulesets()))
        self._name_rules([job.probe for job in jobs])
        return {probe: self.answers[probe] for probe in wanted}

    def _permitted(self, probe: Probe) -> bool:
        reason = self._gate(probe) if self._gate else ""
        if reason:
            self._record(not_sent(probe, reason))
        return not reason

    def _note_moved(self, sampled: list[Probe], moved: tuple[CounterMove, ...]) -> None:
        """What moved during a series, with the first of its answers that tells of a loss: asked again, it might pass."""
        lost = next((self.answers[probe] for probe in sampled if is_lost(self.answers[probe])), None)
        if lost is not None:
            self.answers[lost.probe] = replace(lost, moved=moved)

    def _name_rules(self, probes: list[Probe]) -> None:
        """Ask once more, between two readings of the counters, what failed and has `counters`; of a series the first.

        One at a time, with nothing else of ours under way: what moved is this probe (or a stranger's packet).
        """
        if not self._rulesets:
            return
        failed: dict[Probe, Answer] = {}
        for probe in probes:
            answer = self.answers[probe]
            if probe.counters and answer.sent and not answer.positive and not answer.moved:
                failed.setdefault(replace(probe, sample=0), answer)
        for answer in failed.values():
            patience = MANNERS[answer.probe.kind].patience_s[0]
            if time.monotonic() + patience >= self._deadline:
                return
            before = self._rulesets()
            again = finish(self._guarded(answer.probe, patience))
            moved = counters.moved(before, self._rulesets())
            if not again.positive:
                self.answers[answer.probe] = replace(answer, moved=moved)
            elif not answer.probe.sample:
                self.answers[answer.probe] = settled(answer, again)

    def _side_by_side(self, jobs: list[_Job]) -> None:
        waiting = sorted(jobs, key=_due)
        under_way: dict[Probe, _Job] = {}
        busy: Counter[tuple[str, int]] = Counter()

        def finished(job: _Job, answer: Answer) -> None:
            del under_way[job.probe]
            busy[job.destination] -= 1
            if answer.positive or answer.result in _FINAL or job.last:
                self._record(settled(job.first, answer))
                return
            again = replace(
                job,
                due=time.monotonic() + ASK_AGAIN_AFTER_S,
                last=True,
                patience_s=MANNERS[job.probe.kind].patience_s[-1],
                first=answer,
            )
            bisect.insort(waiting, again, key=_due)

        with Loop() as loop:
            while (waiting or under_way) and (now := time.monotonic()) < self._deadline:
                # what cannot be sent ends at once and makes room: so until nothing starts any more
                while startable := _startable(waiting, now, AT_ONCE - len(under_way), busy):
                    for job in startable:
                        waiting.remove(job)
                        under_way[job.probe] = job
                        loop.start(self._guarded(job.probe, job.patience_s), partial(finished, job))
                due = [job.due for job in waiting if job.due > now]
                if under_way or due:
                    loop.turn(min([self._deadline, *due[:1]]))
        for job in (*under_way.values(), *waiting):
            self._record(settled(job.first, not_sent(job.probe, OUT_OF_TIME)))

    def _guarded(self, probe: Probe, patience_s: float) -> Steps[Answer]:
        try:
            enter = self._resolve(probe.vantage)
            return (yield from MANNERS[probe.kind].ask(probe, enter, patience_s))
        except (NotSentError, NamespaceError) as error:
            return not_sent(probe, str(error))
        except OSError as error:
            return not_sent(probe, error.strerror or str(error))

    def _record(self, answer: Answer) -> None:
        self.answers[answer.probe] = answer
        if self._gate and answer.addresses:
            self._gate.learn(answer)
        self._done += 1
        if self._on_progress:
            self._on_progress(self._done, self._wanted)


def vantages(snapshots: Iterable[Snapshot]) -> ResolveVantage:
    """The ways into the namespaces of live hosts on this machine: the host's is the one that this process is in."""
    hosts = {snapshot.name: snapshot for snapshot in snapshots}

    def resolve(vantage: Vantage) -> Enter:
        snapshot = hosts.get(vantage.host)
        if snapshot is None or snapshot.source == "bundle":
            raise NotSentError("a bundle cannot be probed")
        if not snapshot.local:
            raise NotSentError("the daemon runs on another machine")
        return _into(snapshot, vantage.container) if vantage.container else nullcontext

    return resolve


def _into(snapshot: Snapshot, container_id: str) -> Enter:
    container = next((c for c in snapshot.containers if c.id == container_id), None)
    if container is None or not container.state.pid:
        raise NotSentError("the container does not run")
    sandbox = container.sandbox
    pid = sandbox.pid if sandbox else container.state.pid
    if sandbox and namespace_of(pid) != sandbox.namespace:
        raise NotSentError(f"{container.name} was restarted meanwhile")
    return lambda: inside(pid)


def not_sent(probe: Probe, why: str) -> Answer:
    return Answer(probe=probe, result="not-sent", attempts=0, detail=why)


def settled(first: Answer | None, second: Answer) -> Answer:
    """The one answer of two attempts: late success wins, a "no" outweighs silence, an unsent second proves nothing."""
    if first is None:
        return second
    if not second.sent:
        return second if first.result in SILENT else replace(first, detail=_joined(first.detail, "not asked again"))
    if second.result == first.result:
        return replace(second, attempts=2)
    if second.result in SILENT and first.result not in SILENT:
        return replace(first, attempts=2, detail=_joined(first.detail, f"then {second.result}"))
    return replace(second, attempts=2, detail=_joined(second.detail, f"at first {first.result}"))


def _joined(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _due(job: _Job) -> float:
    return job.due


def _startable(waiting: list[_Job], now: float, room: int, busy: Counter[tuple[str, int]]) -> list[_Job]:
    """Jobs that are due and find room, which they take in `busy`."""
    found: list[_Job] = []
    for job in waiting:
        if job.due > now or len(found) >= room:
            break
        if busy[job.destination] < AT_ONCE_PER_DESTINATION:
            busy[job.destination] += 1
            found.append(job)
    return found
