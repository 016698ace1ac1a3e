"""What stands in which box of a drawn map: networks with their containers, for every format that draws.

A container of several networks stands in its first; a line leads to each other. Hosts of a hundred containers are folded by
Compose project.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from dockernet_doctor.notation import UNSPECIFIED, bracketed

from .map_model import Map, MapContainer, MapFinding, MapNetwork, by_port, drawn, facts_of, is_open_to_others
from .model import ReportHost
from .words import count

FOLDED_FROM = 100
"""Containers of one host from which those without findings are drawn as one box a Compose project."""

_FEW_PORTS = 4


class Cell(Struct, frozen=True, kw_only=True):
    """What stands in one place of a grid: a container, or several of a project."""

    name: str
    state: str
    lines: tuple[str, ...]
    others: tuple[tuple[str, str], ...]  # the further networks, and its address there
    ports: tuple[tuple[str, bool], ...]  # what is published, and whether other machines get there
    findings: tuple[MapFinding, ...]

    @property
    def title(self) -> str:
        return self.name if self.state == "running" else f"{self.name} ({self.state})"

    @property
    def is_faulty(self) -> bool:
        return _is_faulty(self.findings)

    @property
    def is_up(self) -> bool:
        return self.state in ("running", "paused", "restarting")


class Box(Struct, frozen=True, kw_only=True):
    """A network with those that stand in it."""

    name: str
    facts: str
    cells: tuple[Cell, ...]
    also: tuple[str, ...]  # those that stand in another network
    findings: tuple[MapFinding, ...]

    @property
    def is_faulty(self) -> bool:
        return _is_faulty(self.findings)


def _is_faulty(findings: tuple[MapFinding, ...]) -> bool:
    return any(finding.severity == "error" for finding in findings)


def title_of(host: ReportHost) -> str:
    return f"host {host.name}" + (f", Docker {host.engine.version}" if host.engine else ": its daemon did not answer")


def boxes(picture: Map, host: str) -> Iterator[Box]:
    """The networks of a host that are worth drawing; those on none come last."""
    containers = [c for c in picture.containers if c.host == host]
    networks = [n for n in drawn(picture) if n.host == host]
    known = {n.name for n in networks}
    found = {
        name: [f for f in picture.findings if f.host == host and f.container == name] for name in {c.name for c in containers}
    }
    folded = len(containers) >= FOLDED_FROM
    standing: dict[str, list[MapContainer]] = {}
    for container in containers:
        first = next((a.network for a in container.attachments if a.network in known), "")
        standing.setdefault(first, []).append(container)
    for network in networks:
        here = standing.get(network.name, [])
        elsewhere = [c for c in containers if c not in here for a in c.attachments if a.network == network.name]
        yield Box(
            name=network.name,
            facts=facts_of(network),
            cells=tuple(_cells(here, known, found, network.name, folded=folded)),
            also=tuple(_also(elsewhere, network, folded=folded)),
            findings=tuple(f for f in picture.findings if f.host == host and f.network == network.name),
        )
    if loners := standing.get("", []):
        cells = tuple(_cells(loners, known, found, "", folded=folded))
        yield Box(name="on no network of their own", facts="", cells=cells, also=(), findings=())


def _also(elsewhere: Sequence[MapContainer], network: MapNetwork, *, folded: bool) -> Iterator[str]:
    if not elsewhere:
        return
    if folded and len(elsewhere) > _FEW_PORTS:
        yield f"also {count(len(elsewhere), 'container')} of other networks"
        return
    for container in elsewhere:
        address = next((a.ipv4 or a.ipv6 or "" for a in container.attachments if a.network == network.name), "")
        yield f"also {container.name} {address}".rstrip()


def _cells(
    containers: Sequence[MapContainer],
    known: set[str],
    found: dict[str, list[MapFinding]],
    network: str,
    *,
    folded: bool,
) -> Iterator[Cell]:
    """One a container; where they are folded, one for those of a project that are in one state and have the same causes."""
    alike: dict[tuple[str, ...], list[MapContainer]] = {}
    for container in containers:
        causes = sorted({finding.cause for finding in found[container.name]})
        alone = () if folded and container.project else (container.name,)
        alike.setdefault((container.project, container.state, *causes, *alone), []).append(container)
    for members in alike.values():
        first = members[0]
        further = [a for c in members for a in c.attachments if a.network in known - {network}]
        others = {a.network: (a.ipv4 or a.ipv6 or "") if len(members) == 1 else "" for a in further}
        ports = [port for container in members for port in _ports(container)]
        findings = {finding.cause: finding for container in members for finding in found[container.name]}
        if len(members) == 1:
            line = next(((a.ipv4 or a.ipv6 or "-") for a in first.attachments if a.network == network), first.mode)
        else:
            line = count(len(members), "container")
            if len(ports) > _FEW_PORTS:
                ports = [(count(len(ports), "published port"), any(outside for _, outside in ports))]
        yield Cell(
            name=first.name if len(members) == 1 else first.project,
            state=first.state,
            lines=(line,),
            others=tuple(others.items()),
            ports=tuple(ports),
            findings=tuple(findings.values()),
        )


def _ports(container: MapContainer) -> Iterator[tuple[str, bool]]:
    """`*:8080 → 80/tcp`, and whether other machines get there."""
    for same in by_port(container.ports):
        addresses = ["*" if not port.host_ip or port.host_ip in UNSPECIFIED else port.host_ip for port in same]
        places = ", ".join(dict.fromkeys(map(bracketed, addresses)))
        yield f"{places}:{same[0].host_port} → {same[0].port}/{same[0].protocol}", is_open_to_others(same)
