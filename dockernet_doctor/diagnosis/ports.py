"""Published port × address of the host: what is bound, by whom, what is expected from here and from another machine, and
what was seen. The experiment of the article (*Binding ports*) as a matrix.

An open port that docker-proxy holds proves docker-proxy and nothing behind it: it neither confirms nor contradicts what
is expected of the container.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.listeners import best_listener, binds, is_docker_proxy, is_dockerd
from dockernet_doctor.diagnosis.paths.walk import walk
from dockernet_doctor.notation import UNSPECIFIED, bracketed, is_loopback, listed
from dockernet_doctor.probe.model import NO_NMAP, Answer, Probe, Vantage
from dockernet_doctor.snapshot.model import BlindSpot, Container, Family, Listener, PortBinding, Protocol, PublishedPort

from .case import Case
from .path import Path
from .question import Question, Source, SourceKind, Target

Expected = Literal["reachable", "unreachable", "unknown"]


class BoundBy(Struct, frozen=True, kw_only=True):
    """Who holds the socket. `container` is set where the process lives in one, or is the docker-proxy of one."""

    process: str
    pid: int
    container: str | None = None


class PortRow(Struct, frozen=True, kw_only=True):
    """One published port at one address of the host."""

    host: str
    container: str
    port: int
    protocol: Protocol
    host_port: int
    asked: str  # how it was published: fixed, random, or a range of host ports of which this one was free
    address: str
    family: Family
    interface: str | None  # that has the address; None where the host's links could not be read
    published: bool  # a mapping covers this address
    bound: bool | None  # a socket of the host listens there; None where that could not be read
    bound_by: BoundBy | None
    expected_here: Expected
    expected_outside: Expected  # predicted from what this host decides
    why_here: str  # what stands in the way; "" where nothing does
    why_outside: str
    observed: str  # tcp: open, closed, filtered; udp: reply, no-reply, unreachable-…; "" where nothing was asked
    agrees: bool | None  # observed and expected_here; None where one of them tells nothing


class NotInForce(Struct, frozen=True, kw_only=True):
    """A port that was to be published and is not."""

    host: str
    container: str
    binding: str  # as `docker run -p` takes it
    why: str


#: Areas of blind spots on which it depends what is expected of a port; what the daemon's files and logs say does not matter.
_DECIDING = ("engine", "host", "firewall", "sandbox")


class PortMatrix(Struct, frozen=True, kw_only=True):
    rows: tuple[PortRow, ...]
    not_in_force: tuple[NotInForce, ...]
    lost: bool  # one of these is missed: in mode host a listener may serve the port all the same
    blind_spots: tuple[tuple[str, BlindSpot], ...]  # with the host's name


def wanted(case: Case) -> list[Probe]:
    """One scan of each address of each live host for all published TCP ports, and one datagram for each UDP port."""
    probes: dict[Probe, None] = {}
    for facts in case.hosts:
        mapped = [mapping for container, mapping in _mappings(case, facts)]
        tcp = sorted({mapping.host_port for mapping in mapped if mapping.protocol == "tcp"})
        udp = sorted({mapping.host_port for mapping in mapped if mapping.protocol == "udp"})
        for address in _addresses(facts, mapped):
            vantage = Vantage(facts.name)
            if tcp:
                probes[_scan(vantage, address, tcp)] = None
            probes.update((Probe(kind="udp", vantage=vantage, address=address, port=port), None) for port in udp)
    return list(probes)


def instead_of_scans(answers: Iterable[Answer]) -> list[Probe]:
    """A connection to each port of the scans that want the program nmap, which is not there."""
    scans = [answer.probe for answer in answers if answer.detail == NO_NMAP]
    return [
        Probe(kind="tcp", vantage=scan.vantage, address=scan.address, port=int(port))
        for scan in scans
        for port in scan.ports.split(",")
    ]


def matrix(case: Case, answers: Mapping[Probe, Answer]) -> PortMatrix:
    """The rows in the order of containers, ports and addresses. `case` holds no answers: it predicts."""
    seen = _observations(answers.values())
    rows: list[PortRow] = []
    for facts in case.hosts:
        mappings = list(_mappings(case, facts))
        addresses = _addresses(facts, [mapping for _, mapping in mappings])
        for container, host_port, group in _grouped(mappings):
            rows += [_row(case, facts, container, host_port, group, address, seen) for address in addresses]
    missing = [(facts, *found) for facts in case.hosts for found in _not_in_force(case, facts)]
    return PortMatrix(
        rows=tuple(rows),
        not_in_force=tuple(
            NotInForce(host=facts.name, container=c.name, binding=_flag(b), why=_why_missing(facts, c, b))
            for facts, c, b in missing
        ),
        lost=any(not _is_served(facts, container, binding) for facts, container, binding in missing),
        blind_spots=(
            *((f.name, spot) for f in case.hosts for spot in f.snapshot.blind_spots if spot.area in _DECIDING),
            *_blind_spots(answers.values()),
        ),
    )


_Observed = Mapping[tuple[str, str, str, int], str]  # host, address, protocol, port
_Mapped = tuple[Container, PublishedPort]


def _mappings(case: Case, facts: HostFacts) -> Iterator[_Mapped]:
    """In force, with a host port (routed networks of engine 28 have none)."""
    for container in sorted(facts.running, key=lambda c: c.name):
        if not case.subjects or case.is_subject(container.name, facts.name):
            for mapping in sorted(container.ports, key=lambda p: (p.port, p.protocol, p.host_port, p.host_ip)):
                if mapping.host_port:
                    yield container, mapping


def _grouped(mappings: Iterable[_Mapped]) -> Iterator[tuple[Container, int, list[PublishedPort]]]:
    """The mappings of one port of a container to one host port are one: 0.0.0.0 and [::], or several addresses."""
    groups: dict[tuple[str, int, str, int], list[_Mapped]] = {}
    for container, mapping in mappings:
        groups.setdefault((container.id, mapping.port, mapping.protocol, mapping.host_port), []).append((container, mapping))
    for (_, _, _, host_port), members in groups.items():
        yield members[0][0], host_port, [mapping for _, mapping in members]


def _addresses(facts: HostFacts, mappings: Iterable[PublishedPort]) -> list[str]:
    """Loopback, the uplink's, and those that are published on; IPv4 first."""
    own = facts.own_addresses
    found = dict.fromkeys(["127.0.0.1", *facts.uplink_addresses])
    if "::1" in own:
        found["::1"] = None
    found.update((m.host_ip, None) for m in mappings if m.host_ip not in ("", *UNSPECIFIED))
    return sorted(found, key=lambda address: (":" in address, not is_loopback(address)))


def _scan(vantage: Vantage, address: str, ports: list[int]) -> Probe:
    return Probe(kind="scan", vantage=vantage, address=address, ports=",".join(map(str, ports)))


_AS_NMAP = {"open": "open", "accepted-then-closed": "open", "refused": "closed", "reset": "closed", "timeout": "filtered"}


def leads_nowhere(rows: Iterable[PortRow]) -> bool:
    """True if all that is known of a published port says that nobody gets anywhere by it: from here and from outside, at each
    address that it is published on; or it was seen shut where it was to be open."""
    published = [row for row in rows if row.published]
    shut = any(row.agrees is False and row.expected_here == "reachable" for row in published)
    return shut or all(row.expected_here == row.expected_outside == "unreachable" for row in published)


def _observations(answers: Iterable[Answer]) -> _Observed:
    """What the host saw; of a bundle the connections that were tried when it was made."""
    seen: dict[tuple[str, str, str, int], str] = {}
    for answer in answers:
        probe = answer.probe
        if probe.kind == "tcp" and answer.sent and not probe.vantage.container and answer.result in _AS_NMAP:
            seen.setdefault((probe.vantage.host, probe.address, "tcp", probe.port), _AS_NMAP[answer.result])
        if probe.kind == "udp" and answer.sent:
            seen[probe.vantage.host, probe.address, "udp", probe.port] = answer.result
        seen.update(((probe.vantage.host, probe.address, "tcp", p.port), p.state) for p in answer.ports)
    return seen


def _row(
    case: Case,
    facts: HostFacts,
    container: Container,
    host_port: int,
    group: list[PublishedPort],
    address: str,
    seen: _Observed,
) -> PortRow:
    mapping = group[0]
    protocol = mapping.protocol
    published = any(binds(member.host_ip, address) for member in group)
    listeners = facts.stack.listeners if facts.stack else None
    listener = best_listener(listeners, address, host_port, protocol)
    bound_by = _bound_by(facts, container, listener, published)
    here, why_here = _expected(case, facts, "host", address, host_port, protocol)
    if protocol == "udp" and here == "reachable" and _answers_from_elsewhere(facts, listener, address):
        here, why_here = "unreachable", "docker-proxy listens on all addresses and answers from 127.0.0.1"
    outside, why_outside = _expected(case, facts, "outside", address, host_port, protocol)
    observed = seen.get((facts.name, address, protocol, host_port), "")
    return PortRow(
        host=facts.name,
        container=container.name,
        port=mapping.port,
        protocol=protocol,
        host_port=host_port,
        asked=_asked(container, mapping),
        address=address,
        family=6 if ":" in address else 4,
        interface=_interface(facts, address),
        published=published,
        bound=None if listeners is None else listener is not None,
        bound_by=bound_by,
        expected_here=here,
        expected_outside=outside,
        why_here=why_here,
        why_outside=why_outside,
        observed=observed,
        agrees=_agrees(here, observed, held=published and _may_be_held(listener)),
    )


def _expected(
    case: Case, facts: HostFacts, source: SourceKind, address: str, port: int, protocol: Protocol
) -> tuple[Expected, str]:
    if source == "outside" and is_loopback(address):
        return "unreachable", "a loopback address"
    question = Question(
        source=Source(kind=source, host=facts.name),
        target=Target(kind="address", name=address, port=port, protocol=protocol, host=facts.name),
    )
    paths = walk(case, question)
    if not paths:
        return "unknown", ""
    path = paths[0]
    if path.verdict == "reachable":
        return "reachable", ""
    return ("unreachable" if path.verdict == "unreachable" else "unknown"), _why(path)


def _answers_from_elsewhere(facts: HostFacts, listener: Listener | None, address: str) -> bool:
    """Loopback is not translated, and docker-proxy on 0.0.0.0 answers UDP from the address that the route prefers.

    Seen on 20.10 and 26.1; on 28.5 it answers from the address that was asked.
    """
    if facts.generation >= (28, 0):
        return False
    proxied = listener is not None and listener.process is not None and is_docker_proxy(listener.process)
    return proxied and address.startswith("127.") and address not in ("127.0.0.1", listener.address if listener else "")


def _why(path: Path) -> str:
    hop = path.broken or next((hop for hop in path.hops if hop.status == "unknown"), None)
    return hop.predicted if hop else ""


def _agrees(expected: Expected, observed: str, *, held: bool) -> bool | None:
    """`held` by Docker for a container: then that the port opens tells nothing of the container."""
    if expected == "unknown" or observed in ("", "no-reply", "not-sent", "timeout", "open|filtered"):
        return None
    came_through = observed in ("open", "reply")
    if came_through and expected == "unreachable" and held:
        return None
    return came_through == (expected == "reachable")


def _may_be_held(listener: Listener | None) -> bool:
    """True if Docker may hold the socket itself, whoever serves behind it."""
    process = listener.process if listener else None
    return process is None or is_docker_proxy(process) or is_dockerd(process)


def _bound_by(facts: HostFacts, container: Container, listener: Listener | None, published: bool) -> BoundBy | None:
    if listener is None or listener.process is None:
        return None
    process = listener.process
    holder = facts.container(process.container) if process.container else None
    if holder is None and is_docker_proxy(process) and published:
        holder = container
    return BoundBy(process=process.name, pid=process.pid, container=holder.name if holder else None)


def _interface(facts: HostFacts, address: str) -> str | None:
    if not facts.stack:
        return None
    found = next((a.link for a in facts.stack.addresses if a.address == address), None)
    return "lo" if found is None and is_loopback(address) else found


def _asked(container: Container, mapping: PublishedPort) -> str:
    same = (mapping.port, mapping.protocol)
    given = [binding.host_port for binding in container.bindings if (binding.port, binding.protocol) == same]
    if str(mapping.host_port) in given:
        return "fixed"
    for first, dash, last in (host_port.partition("-") for host_port in given):
        if dash and int(first) <= mapping.host_port <= int(last):
            return f"range {first}-{last}"
    return "random" if container.publish_all or {"", "0"} & set(given) else "fixed"


def _not_in_force(case: Case, facts: HostFacts) -> Iterator[tuple[Container, PortBinding]]:
    for container in facts.containers:
        if case.subjects and not case.is_subject(container.name, facts.name):
            continue
        if container.state.running or container.state.error:
            for binding in container.bindings:
                if not any((p.port, p.protocol) == (binding.port, binding.protocol) for p in container.ports):
                    yield container, binding


def _flag(binding: PortBinding) -> str:
    published = ":".join(part for part in (bracketed(binding.host_ip), binding.host_port, str(binding.port)) if part)
    return f"{published}/{binding.protocol}"


def _why_missing(facts: HostFacts, container: Container, binding: PortBinding) -> str:
    return container.state.refusal or f"the engine published nothing ({_why_nothing(facts, container, binding)})"


def _is_served(facts: HostFacts, container: Container, binding: PortBinding) -> bool:
    """True if a container in mode host, which ignores the mapping, or whatever is there, listens on the host port that was
    asked for."""
    listeners = facts.stack.listeners if facts.stack else None
    if not container.state.running or not facts.in_host_mode(container):
        return False
    return listeners is None or any((str(li.port), li.protocol) == (binding.host_port, binding.protocol) for li in listeners)


def _why_nothing(facts: HostFacts, container: Container, binding: PortBinding) -> str:
    networks = facts.networks_of(container)
    names = listed(network.name for network in networks)
    if networks and all(network.internal for network in networks):
        return f"{names} is internal"
    if ":" in binding.host_ip and networks and not any(network.ipv6 for network in networks):
        return f"{names} has no IPv6, and no docker-proxy runs"
    return f"network mode {container.network_mode}"


def _blind_spots(answers: Iterable[Answer]) -> Iterator[tuple[str, BlindSpot]]:
    unsent: dict[tuple[str, str], list[str]] = {}
    for answer in answers:
        if not answer.sent and answer.detail != NO_NMAP:  # connections take its place
            unsent.setdefault((answer.probe.vantage.host, answer.detail), []).append(answer.probe.address)
    for (host, why), addresses in unsent.items():
        what = f"the ports of {', '.join(dict.fromkeys(addresses))} as seen from this host"
        yield host, BlindSpot(area="probe", what=what, why=why)
