"""`reach --trace`: the packet followed through the interfaces of its way, why the kernel dropped it, and that in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from dockernet_doctor.deadline import OutOfTimeError, until
from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.routing import lookup
from dockernet_doctor.diagnosis.finding import Evidence, Finding
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.diagnosis.run import Diagnosis, HostBlindSpot
from dockernet_doctor.notation import listed
from dockernet_doctor.probe import drops
from dockernet_doctor.probe.capture import CapturePoint, Sighting, trace
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import SILENT, Probe, Vantage
from dockernet_doctor.probe.schedule import ResolveVantage
from dockernet_doctor.report.words import count
from dockernet_doctor.snapshot.model import BlindSpot, Link
from dockernet_doctor.snapshot.namespace import NamespaceError

MOST_PATHS = 4


def traced(diagnosis: Diagnosis, resolve: ResolveVantage, progress: Callable[[str], None], end: float) -> Diagnosis:
    """The diagnosis with what the captures saw: as evidence of the finding that breaks the path, else as the path's note.

    Paths that are not followed by `end` of time.monotonic() are blind spots.
    """
    paths, findings, spots = list(diagnosis.case.paths), diagnosis.findings, []
    for index, path in enumerate(paths[:MOST_PATHS]):
        probe = next((probe for probe in path.probes if probe.kind in ("tcp", "udp")), None)
        if probe is None:
            continue
        progress(f"following {path.destination.name}")
        points = [*capture_points(diagnosis.case, path)]
        try:
            with until(end):
                followed = trace(replace(probe, counters=False, sample=0), [p for p, _ in points], resolve)
                dropped = drops.reasons(probe, resolve) if followed.answer.result in SILENT else ()
        except (NotSentError, NamespaceError) as error:
            spots.append(_blind(path, probe, str(error), "run it as root"))
            continue
        except drops.UnreadableError as error:
            dropped = ()
            spots.append(_blind(path, probe, f"the kernel's reasons for drops cannot be read: {error}", error.remedy))
        except OutOfTimeError:
            spots.append(_blind(path, probe, "the time of the run was over", "give it more: --timeout 2m"))
            continue
        spots += [
            _blind(path, probe, f"{count(sighting.garbled, 'frame')} on {words} could not be understood", "")
            for sighting, (_, words) in zip(followed.sightings, points, strict=True)
            if sighting.garbled
        ]
        seen = Evidence(fact="trace:", value=in_words(followed.sightings, [words for _, words in points]), source="captures")
        reasons = [
            Evidence(fact="dropped by the kernel:", value=drops.in_words(reason), source="trace point skb:kfree_skb")
            for reason in dropped
        ]
        findings, used = _with_evidence(findings, path, [seen, *reasons])
        if not used:
            told = [seen.value, *(f"{reason.fact} {reason.value}" for reason in reasons)]
            paths[index] = replace(path, note="; ".join(filter(None, (path.note, *told))))
    case = replace(diagnosis.case, paths=tuple(paths))
    return replace(diagnosis, case=case, findings=findings, blind_spots=(*diagnosis.blind_spots, *spots))


def capture_points(case: Case, path: Path) -> Iterator[tuple[CapturePoint, str]]:
    """Where the packet should come by, in order, with words for people. Only interfaces that the snapshot holds."""
    facts = case.facts(path.host)
    return iter(dict([*_leaving(facts, path), *_arriving(facts, path)]).items())


def _leaving(facts: HostFacts, path: Path) -> Iterator[tuple[CapturePoint, str]]:
    """From the source to the host's own interfaces."""
    address = path.destination.address
    if not address:
        return
    stack = path.source.sandbox.stack if path.source and path.source.sandbox else None if path.source else facts.stack
    taken = lookup(stack, address).link if stack else None
    if not taken:
        return
    if not path.source:
        yield CapturePoint(Vantage(facts.name), taken), taken
        return
    yield CapturePoint(Vantage(facts.name, path.source.id), taken), f"{taken} of {path.source.name}"
    link = next((link for link in stack.links if link.name == taken), None) if stack else None
    if link:
        yield from _host_side(facts, link, path)


def _arriving(facts: HostFacts, path: Path) -> Iterator[tuple[CapturePoint, str]]:
    """From the host's own interfaces to the target; docker-proxy makes a connection of its own, which is not followed."""
    target = facts.sandbox_link(path.target, path.endpoint) if path.target and path.endpoint else None
    if path.target and target:
        if not path.proxied:
            yield from reversed([*_host_side(facts, target, path)])
            yield CapturePoint(Vantage(facts.name, path.target.id), target.name), f"{target.name} of {path.target.name}"
    elif facts.stack and path.destination.address:
        taken = lookup(facts.stack, path.destination.address).link
        if taken:
            yield CapturePoint(Vantage(facts.name), taken), taken


def _host_side(facts: HostFacts, link: Link, path: Path) -> Iterator[tuple[CapturePoint, str]]:
    """The veth, and its bridge where the packet is routed: what a bridge only passes on is not seen on itself."""
    veth = facts.host_side(link)
    if veth is None:
        return
    yield CapturePoint(Vantage(facts.name), veth.name), f"{veth.name} (the host's end)"
    networks = {network.id for network in facts.networks_of(path.source)} if path.source else set()
    bridged = path.network is not None and path.network.id in networks
    if veth.master and not bridged:
        yield CapturePoint(Vantage(facts.name), veth.master), veth.master


def in_words(sightings: Sequence[Sighting], words: Sequence[str]) -> str:
    """`seen on eth0 of api and br-1; not seen on eth0 of db; answered by RST on eth0 of api`"""
    seen = [name for sighting, name in zip(sightings, words, strict=True) if sighting.seen]
    missed = [name for s, name in zip(sightings, words, strict=True) if not s.seen and not s.problem]
    blind = [f"{name} ({s.problem})" for s, name in zip(sightings, words, strict=True) if s.problem]
    answers = [
        f"{packet.what} from {packet.source} on {name}"
        for sighting, name in zip(sightings, words, strict=True)
        for packet in sighting.packets
        if packet.reply and not packet.what.startswith("ARP")
    ]
    parts = [
        f"the packet was seen on {listed(seen)}" if seen else "the packet was seen nowhere",
        f"not seen on {listed(missed, 'or')}" if missed else "",
        f"answered: {answers[0]}" if answers else "no answer came",
        f"not looked at: {listed(blind)}" if blind else "",
    ]
    return ", ".join(part for part in parts if part)


def _with_evidence(findings: tuple[Finding, ...], path: Path, seen: Sequence[Evidence]) -> tuple[tuple[Finding, ...], bool]:
    """The findings, the first one that explains the path with this evidence; and whether there is one."""
    of_path = next((finding for finding in findings if path in finding.explains), None)
    changed = (replace(f, evidence=(*f.evidence, *seen)) if f is of_path else f for f in findings)
    return tuple(changed), of_path is not None


def _blind(path: Path, probe: Probe, why: str, remedy: str) -> HostBlindSpot:
    spot = BlindSpot(area="probe", what=f"the packet's way to {path.destination.name}", why=why, remedy=remedy)
    return HostBlindSpot(host=probe.vantage.host, spot=spot)
