"""The walk: a question's ways, hop by hop, with what the snapshot predicts and what the probes saw (design, *The walk*).

`dials` turns a question into what would really be dialled (name, address, port); `flow` predicts the packet's way; here both
become a `Path`, and the answers are laid over it. The first broken hop carries the obstacle.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.clients import ClientClass, client_classes
from dockernet_doctor.diagnosis.facts.docker_rules import masquerades
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.listeners import binds
from dockernet_doctor.diagnosis.facts.protocols import protocol_of
from dockernet_doctor.diagnosis.facts.routing import within
from dockernet_doctor.diagnosis.facts.seen import rests_on, unseen_anywhere
from dockernet_doctor.diagnosis.path import (
    HOPS,
    Apart,
    Basis,
    Clients,
    Destination,
    Dropped,
    Hop,
    HopStatus,
    HostsApart,
    LinkBroken,
    NameMisleads,
    NameUnanswered,
    NextHopSilent,
    NoAnswer,
    NoMasquerade,
    NotTranslated,
    Obstacle,
    Path,
    Paused,
    Samples,
    Verdict,
)
from dockernet_doctor.diagnosis.paths import filtering, names
from dockernet_doctor.diagnosis.paths import other_hosts as fleet
from dockernet_doctor.diagnosis.paths.clients import admitted_classes, is_by_design, tell_apart, together
from dockernet_doctor.diagnosis.paths.destination import dials
from dockernet_doctor.diagnosis.paths.destination.model import Dial
from dockernet_doctor.diagnosis.paths.mtu import black_hole, size_probes
from dockernet_doctor.diagnosis.paths.packet import flow
from dockernet_doctor.diagnosis.paths.packet.sender import uplink_and_client
from dockernet_doctor.diagnosis.paths.packet.trail import Sender, Trail
from dockernet_doctor.diagnosis.paths.reasons import dropping_rule, unanswered_name, with_reason
from dockernet_doctor.diagnosis.question import Question
from dockernet_doctor.netfilter.describe import describe_decision
from dockernet_doctor.notation import bracketed
from dockernet_doctor.probe.model import SILENT, Answer, Probe, is_lost
from dockernet_doctor.snapshot.model import Container, Family

#: That of a datagram which a rule of the sender's own machine drops or rejects.
STOPPED = "unreachable-prohibited"


def walk(case: Case, question: Question) -> list[Path]:
    """All paths of one question, as far as they are known now. `Path.probes` is what would settle them."""
    paths: list[Path] = []
    first: list[Path] = []
    for dial in dials(case, question):
        if dial.second and not case.asked:
            continue
        found = _of_clients(case, question, dial)
        if not dial.second:
            first = found
        elif not _fares_otherwise(first, found):
            continue
        paths += found
    return paths


def _fares_otherwise(first: list[Path], second: list[Path]) -> bool:
    """True if the second family is open where the first is not, or stopped on its way where the first is open. Where nothing
    listens on it who dials is refused at once, and takes the first."""
    verdicts = [{path.verdict for path in paths} for paths in (first, second)]
    if verdicts == [{"unreachable"}, {"reachable"}]:
        return True
    return verdicts == [{"reachable"}, {"unreachable"}] and all(path.broken and path.broken.hop == "filter" for path in second)


def _of_clients(case: Case, question: Question, dial: Dial) -> list[Path]:
    """The dial's path; where another machine was asked about, one for each fate that its clients meet, the broken first."""
    first = _path(case, question, dial)
    if not case.asked or question.source.kind != "outside" or dial.address is None or dial.far or dial.obstacle or dial.unknown:
        return [first]
    found = [(first.clients, first)]
    known = set(first.clients)
    for some in client_classes(dial.facts, 6 if ":" in dial.address else 4):
        if some.clients not in known:
            theirs = replace(dial, address=_dialled_by(question, dial, some))
            path = _path(case, question, theirs, some)
            if first.broken is not None or not is_by_design(dial.facts, path, some):
                found.append(((some.clients,), path))
    for some in admitted_classes(dial.facts, first):
        path = _path(case, question, dial, some)
        if path.broken is None:
            found.append(((some.clients,), path))
    return together(found)


def _dialled_by(question: Question, dial: Dial, some: ClientClass) -> str | None:
    """The address that clients dial: the one that was asked for, else the host's on the interface by which they come in."""
    if question.target.kind == "address" or (dial.published is not None and not binds(dial.published.host_ip, some.own)):
        return dial.address
    return some.own if dial.address in dial.facts.uplink_addresses else dial.address


def _path(case: Case, question: Question, dial: Dial, some: ClientClass | None = None) -> Path:
    """The path of one dial; of clients of one class, where another machine is meant."""
    facts = dial.facts
    trail = Trail(
        published=dial.published,
        network=dial.network,
        container=dial.target,
        endpoint=dial.endpoint,
    )
    for hop, text in dial.predicted.items():
        trail.say(hop, text)
    _behind_name(facts, dial, trail)
    if dial.obstacle is not None:
        obstacle = dial.obstacle
        if isinstance(obstacle, NameUnanswered):
            obstacle = replace(obstacle, reason=unanswered_name.reason_of(facts, dial.source, obstacle))
        trail.stop(dial.hop, obstacle, dial.predicted.get(dial.hop, ""))
    elif dial.unknown:
        trail.doubt(*dial.unknown)
    elif dial.address is not None and dial.port is not None:
        outside = question.source.kind == "outside"
        sender = Sender(container=dial.source, outside=outside)
        if some is not None:
            sender = replace(sender, address=some.address, interface=some.clients.interface)
        elif first := _first_clients(case, question, dial):
            sender = replace(sender, address=uplink_and_client(facts, dial.address)[1], interface=first[0].interface)
        flow(facts, sender, dial.address, dial.port, dial.protocol or question.target.protocol, trail)
        if outside and ((case.asked and some is None) or isinstance(trail.obstacle, Dropped)):
            tell_apart(facts, dial.address, dial.port, dial.protocol or question.target.protocol, trail)
        fleet.follow(case, facts, dial.source, dial.address, dial.port, dial.protocol or question.target.protocol, trail)
    connects = _probes(case, question, dial, trail)
    backends = _behind_proxy(case, dial, trail, connects)
    probes = (*connects, *backends)
    answers = tuple(a for probe in (*dial.probes, *probes) if (a := case.answer(probe)))
    end = _end_answer(answers, probes, backends)
    sizes = _sizes(case, dial, trail, end)
    if sizes and not trail.ended:
        _black_hole(case, dial, trail)
    hops, verdict, basis = _judge(question, dial, trail, answers, end)
    target = trail.container or dial.target
    if verdict != "reachable" or basis != "probed":
        hops = _with_unseen(case, dial, trail, target, hops)
    host = _host(dial, trail)
    path = Path(
        question=question,
        host=host,
        source=dial.source,
        source_host=facts.name if host != facts.name else "",
        asker=_asker(question, dial),
        target=target,
        target_host=trail.far or dial.far,
        destination=Destination(
            name=dial.name,
            address=dial.address,
            family=_family(dial.address),
            port=dial.port,
            protocol=dial.protocol or question.target.protocol,
        ),
        container_port=trail.port if trail.port is not None else dial.container_port,
        published=trail.published,
        proxied=trail.backend is not None,
        endpoint=trail.endpoint,
        network=trail.network,
        hops=hops,
        verdict=verdict,
        basis=basis,
        samples=_samples(answers, connects or (dial.probes if case.repetitions > 1 else ()), backends, held=_is_held(trail)),
        probes=(*dial.probes, *probes, *sizes),
        answers=answers,
        contradiction=_predicted_break(trail) if verdict == "reachable" else None,
        undecided=trail.undecided if verdict == "unknown" else None,
        large=trail.large if verdict == "reachable" else None,
        clients=_first_clients(case, question, dial) if some is None else (some.clients,),
        note=dial.note,
    )
    return with_reason(case.facts(host), path)


def _first_clients(case: Case, question: Question, dial: Dial) -> tuple[Clients, ...]:
    """Those among whom the machine is that stands for `outside`."""
    if not case.asked or question.source.kind != "outside" or dial.address is None:
        return ()
    uplink, client = uplink_and_client(dial.facts, dial.address)
    classes = client_classes(dial.facts, 6 if ":" in dial.address else 4) if client else ()
    there = [c.clients for c in classes if c.clients.interface == uplink and any(within(client, p) for p in c.clients.prefixes)]
    return tuple(sorted(there, key=lambda c: c.via != "")[:1])


def _asker(question: Question, dial: Dial) -> str:
    if dial.source is not None:
        return str(dial.source)
    return dial.facts.here if question.source.kind == "host" else "other machines"


def _behind_name(facts: HostFacts, dial: Dial, trail: Trail) -> None:
    """A name without an answer since the questions do not come out to the servers: what stops them is the cause."""
    obstacle, source = dial.obstacle, dial.source
    if not isinstance(obstacle, NameUnanswered) or obstacle.result in ("", "nxdomain") or obstacle.meant or source is None:
        return
    if obstacle.resolver == "upstream" and obstacle.result in ("servfail", "refused"):
        return  # that is the server's own answer; Docker's DNS says so for one that does not answer
    if obstacle.resolver == "embedded" and names.redirected(source) is False:
        return
    servers = names.servers_of(facts, source)
    stops = [stop for server in servers if (stop := filtering.before_server(facts, source, server))]
    if stops and len(stops) == len(servers):
        stopped, why = stops[0]
        trail.stop("name", replace(stopped, proven=True), f"{servers[0].address} is asked: {why}")


def _predicted_break(trail: Trail) -> Hop | None:
    obstacle = trail.obstacle
    if obstacle is None or trail.hop is None:
        return None
    if isinstance(obstacle, NextHopSilent):
        return None  # it was silent when it was last asked, and answers now
    if isinstance(obstacle, NoMasquerade) and not masquerades(obstacle.network):
        return None  # whoever made the network so has given the others a route back, and nothing on this host tells of it
    if isinstance(obstacle, NameMisleads) and obstacle.by == "hosts":
        return None  # somebody's entry that answers is meant so
    return Hop(hop=trail.hop, status="broken", predicted=trail.predicted.get(trail.hop, ""), obstacle=obstacle)


def _host(dial: Dial, trail: Trail) -> str:
    """Where the path ends or is broken: what is said of it is said of that host."""
    if isinstance(trail.obstacle, HostsApart):
        return trail.obstacle.where
    return dial.at or trail.far or dial.facts.name


def _probes(case: Case, question: Question, dial: Dial, trail: Trail) -> tuple[Probe, ...]:
    """What settles the path: the connection itself, from where the source stands. Nothing is sent for `outside`.

    With counters where they may tell what a rule decided that nobody can foretell.
    """
    if dial.address is None or dial.port is None or question.source.kind == "outside":
        return ()
    if dial.source is not None and not (dial.source.state.running and not dial.source.frozen):
        return ()
    protocol = dial.protocol or question.target.protocol
    if protocol not in ("tcp", "udp"):
        return ()
    first = Probe(
        kind="tcp" if protocol == "tcp" else "udp",
        vantage=case.vantage(dial.facts, dial.source),
        address=dial.address,
        port=dial.port,
        counters=case.asked or trail.undecided is not None,
    )
    if case.repetitions <= 1:
        return (first,)
    return tuple(replace(first, sample=number) for number in range(case.repetitions))


def _behind_proxy(case: Case, dial: Dial, trail: Trail, connects: tuple[Probe, ...]) -> tuple[Probe, ...]:
    """docker-proxy accepts whether or not the container answers, so what stands behind it is dialled as the proxy does."""
    if trail.backend is None or not connects or connects[0].kind != "tcp":
        return ()
    address, port = trail.backend
    if trail.container is not None and protocol_of(trail.container, port) == "mysql":
        # it counts broken handshakes and blocks who made many: it is dialled once, and what it says by itself proves that it is
        # there
        first = case.answer(connects[0])
        if first is None or first.spoke:
            return ()
    # RootlessKit's namespace, where a rootless daemon's proxy is, is not entered: then the container dials its own address
    vantage = case.vantage(dial.facts, trail.container if dial.facts.apart else None)
    return (Probe(kind="tcp", vantage=vantage, address=address, port=port, counters=connects[0].counters),)


def _sizes(case: Case, dial: Dial, trail: Trail, end: Answer | None) -> tuple[Probe, ...]:
    """A connection that opens proves small packets only: large ones are tried where it leaves this host."""
    if not case.asked or dial.source is None or dial.address is None or not trail.beyond or end is None or not end.positive:
        return ()
    return size_probes(case, dial.facts, dial.source, dial.address)


def _black_hole(case: Case, dial: Dial, trail: Trail) -> None:
    assert dial.source is not None
    assert dial.address is not None
    found = black_hole(case, dial.facts, dial.source, dial.address)
    if found is not None:
        trail.stop(
            "link",
            LinkBroken(
                where=dial.source.name,
                problem="mtu",
                name=found.link.name,
                network=trail.network,
                container=dial.source,
                link=found.link,
                passed=found.passed,
                proven=True,
            ),
            f"{found.link.name} sends up to {found.mtu} bytes; {found.passed} arrive at {dial.address}, {found.mtu} vanish",
        )


def _end_answer(answers: tuple[Answer, ...], probes: tuple[Probe, ...], backends: tuple[Probe, ...]) -> Answer | None:
    """The answer that speaks for the path: the worst of a repeated question. That docker-proxy accepts proves nothing while
    what stands behind it could not be asked."""
    ends = [a for a in answers if a.probe in probes and a.sent]
    if backends and not any(a.probe in backends for a in ends):
        ends = [a for a in ends if not a.positive]
    return next((a for a in ends if not a.positive), ends[0] if ends else None)


def _is_held(trail: Trail) -> bool:
    """True if the kernel completes handshakes there, and nobody takes the connection."""
    return isinstance(trail.obstacle, Paused) or (isinstance(trail.obstacle, NotTranslated) and trail.obstacle.held)


def _samples(
    answers: tuple[Answer, ...], probes: tuple[Probe, ...], backends: tuple[Probe, ...], *, held: bool
) -> Samples | None:
    ends = [a for a in answers if a.probe in probes and a.sent]
    if not ends:
        return None
    served = not held and (not backends or any(a.positive for a in answers if a.probe in backends))
    positive = [a for a in ends if a.positive and served]
    counts: dict[str, tuple[int, int]] = {}
    for answer in ends:
        sent, answered = counts.get(answer.probe.address, (0, 0))
        counts[answer.probe.address] = (sent + 1, answered + (answer in positive))
    return Samples(
        sent=len(ends),
        answered=len(positive),
        latency_ms=tuple(a.latency_ms for a in positive if a.latency_ms is not None),
        addresses=counts,
    )


class _Judged(Struct, frozen=True):
    hop: str | None
    obstacle: Obstacle | None
    verdict: Verdict
    probed: bool


def _judge(
    question: Question, dial: Dial, trail: Trail, answers: tuple[Answer, ...], end: Answer | None
) -> tuple[tuple[Hop, ...], Verdict, Basis]:
    lossy = end is not None and not end.positive and any(a.positive and a.probe.kind == end.probe.kind for a in answers)
    judged = _by_counter(dial.facts, trail, answers) or _confirm(question, trail, end, lossy=lossy)
    seen = _observed(answers)
    last = judged.hop or (dial.unknown[0] if dial.unknown else HOPS[-1])
    reached = HOPS[: HOPS.index(last) + 1]
    hops = tuple([_hop(name, judged, dial, trail, seen, end) for name in reached]) + _NOT_REACHED[len(reached) :]
    return hops, judged.verdict, "probed" if judged.probed else "predicted"


def _by_counter(facts: HostFacts, trail: Trail, answers: tuple[Answer, ...]) -> _Judged | None:
    """What drops or rejects it, where nobody can foretell a match that decides, such as one for a rate.

    Its counter moved while packets were lost; or it has none, and several were lost, or the way ends on this host.
    """
    if trail.undecided is None or trail.obstacle is not None:
        return None
    missed = [answer for answer in answers if is_lost(answer)]
    silent = [a for a in missed if a.positive or a.result in (*SILENT, STOPPED)]
    told = [a for a in missed if not (a.positive or a.result in SILENT)]
    back = trail.undecided.packet is not None and trail.undecided.packet.reply  # who rejects an answer tells who sent it
    lost = {"drop": silent, "reject": silent if back else told}
    stops = [stop for stop in trail.undecided.stops if lost[stop.verdict]]
    counts = [filtering.moved(answers, stop) for stop in stops]
    counted = max(counts, default=0)
    if not counted:
        needed = 2 if trail.beyond or all(answer.positive for answer in missed) else 1
        stops = [s for s in stops if s.rule and s.rule.packets is None and len(lost[s.verdict]) >= needed]
        counts = [0] * len(stops)
    if not stops:
        return None
    stop = stops[counts.index(counted)]
    dropped = Dropped(
        reason=dropping_rule.reason_of(facts, "host", stop),
        where="host",
        decision=stop,
        direction="reply" if back else "request",
        network=trail.network,
        counted=counted,
        proven=bool(counted),
    )
    trail.say("filter", f"{describe_decision(stop)} {stop.verdict}s some {'answers' if back else 'packets'}")
    return _Judged("filter", dropped, "unreachable", True)


def _confirm(question: Question, trail: Trail, end: Answer | None, *, lossy: bool) -> _Judged:
    """Prediction and observation together; `lossy` where others of the same kind were answered."""
    if isinstance(trail.obstacle, (NameMisleads, Apart)) and trail.obstacle.proven:
        # whoever answers there, it is not the one that was meant
        return _Judged(trail.hop, trail.obstacle, "unreachable", end is not None)
    if _is_held(trail):
        return _Judged(trail.hop, trail.obstacle, "unreachable", end is not None)
    if isinstance(trail.obstacle, LinkBroken) and trail.obstacle.problem == "mtu":
        return _Judged(trail.hop, trail.obstacle, "unreachable", True)
    if end is not None and end.positive:
        return _Judged(None, None, "reachable", True)
    if isinstance(trail.obstacle, NameMisleads) and trail.obstacle.by == "hosts" and end is None:
        return _Judged(None, None, "unknown", False)
    if trail.obstacle is not None:
        settled = end is not None and end.result != "no-reply"
        obstacle = replace(trail.obstacle, proven=True) if settled else trail.obstacle
        return _Judged(trail.hop, obstacle, "unreachable", settled)
    if end is None or (end.result == "no-reply" and not lossy and not end.source):
        known = not trail.unknown and not (trail.beyond and question.source.kind != "outside")
        return _Judged(None, None, "reachable" if known else "unknown", False)
    if trail.diverted is not None:
        hop = "filter" if isinstance(trail.diverted, NoMasquerade) else "mapping"
        return _Judged(hop, replace(trail.diverted, proven=True), "unreachable", True)
    return _Judged("answer", NoAnswer(answer=end, beyond=trail.beyond, proven=True), "unreachable", True)


def _with_unseen(case: Case, dial: Dial, trail: Trail, target: Container | None, hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
    """The hops, each with the areas that it rests on and that were not seen; an answer to a probe needs none of them."""
    near, far = dial.facts, case.facts(trail.far or dial.far or dial.facts.name)
    if not (unseen_anywhere(near) or unseen_anywhere(far)):
        return hops

    def areas(hop: str) -> Iterator[str]:
        if hop != "listener":
            yield from rests_on(near, hop, dial.source)
        if hop != "name" and not trail.beyond:
            yield from rests_on(far, hop, target)

    judged = (hop.status not in ("not-reached", "not-applicable") for hop in hops)
    return tuple(
        replace(hop, unseen=frozenset(areas(hop.hop))) if is_judged else hop
        for hop, is_judged in zip(hops, judged, strict=True)
    )


_NOT_REACHED = tuple(Hop(hop=name, status="not-reached") for name in HOPS)


def _hop(name: str, judged: _Judged, dial: Dial, trail: Trail, seen: dict[str, str], end: Answer | None) -> Hop:
    predicted, observed = trail.predicted.get(name, ""), seen.get(name, "")
    if judged.hop == name:
        if not observed and end is not None:
            observed = answer_text(end)
        return Hop(hop=name, status="broken", predicted=predicted, observed=observed, obstacle=judged.obstacle)
    if name in dial.not_applicable:
        return _plain(name, "not-applicable", "", "")
    status: HopStatus = "ok"
    if name in trail.unknown and not (end is not None and end.positive):
        status, predicted = "unknown", trail.unknown[name]
    elif name == "answer" and not judged.probed:
        status = "unknown" if judged.verdict == "unknown" else "ok"
        deciding = f"{dial.facts.name} and {trail.far} decide" if trail.far else f"{dial.facts.here} decides"
        predicted = predicted or ("" if judged.verdict == "unknown" else f"as far as {deciding}")
    elif name in ("mapping", "publish") and not predicted:
        status = "not-applicable"
    return _plain(name, status, predicted, observed)


@lru_cache(maxsize=1024)
def _plain(name: str, status: HopStatus, predicted: str, observed: str) -> Hop:
    """A hop that nothing stands in the way of: the same on many paths, and handed over to another process once."""
    return Hop(hop=name, status=status, predicted=predicted, observed=observed)


def _observed(answers: tuple[Answer, ...]) -> dict[str, str]:
    seen: dict[str, str] = {}
    for answer in answers:
        hop = "name" if answer.probe.kind == "dns" else "answer"
        text = answer_text(answer)
        if text not in seen.get(hop, ""):
            seen[hop] = f"{seen[hop]}, {text}" if hop in seen else text
    return seen


def answer_text(answer: Answer) -> str:
    """`127.0.0.1:8080 open`, `db → 172.18.0.3`, `db: nxdomain from 127.0.0.11`"""
    probe = answer.probe
    if probe.kind == "dns":
        if answer.addresses:
            return f"{probe.name} → {', '.join(answer.addresses)}"
        said = f"no {probe.record} record" if answer.result == "reply" else answer.result
        return f"{probe.name}: {said} from {probe.address}"
    where = bracketed(probe.address)
    stranger = f" (an answer came from {answer.source})" if answer.result == "no-reply" and answer.source else ""
    return f"{where}:{probe.port}{'/udp' if probe.kind == 'udp' else ''} {answer.result}{stranger}"


def _family(address: str | None) -> Family | None:
    return None if address is None else 6 if ":" in address else 4
