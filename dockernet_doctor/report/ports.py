"""What `ports` prints: published ports × addresses of the host."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Literal

from msgspec import Struct

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.ports import NotInForce, PortMatrix, PortRow, leads_nowhere
from dockernet_doctor.moments import now
from dockernet_doctor.notation import bracketed, is_loopback

from .hosts import report_hosts, report_unexamined
from .model import TOOL, Invocation, ReportBlindSpot, ReportHost, Tool
from .status import CLEAR, FOUND, NOT_EXAMINED
from .words import count, sentence, unseen, visible


class PortsReport(Struct, frozen=True, kw_only=True):
    schema: Literal["dockernet-doctor/ports/1"]
    tool: Tool
    taken_at: str
    duration_s: float
    invocation: Invocation
    hosts: tuple[ReportHost, ...]
    complete: bool  # every host and container asked for was examined
    ports: tuple[PortRow, ...]
    not_in_force: tuple[NotInForce, ...]
    blind_spots: tuple[ReportBlindSpot, ...]


def build(
    case: Case,
    found: PortMatrix,
    invocation: Invocation,
    *,
    duration_s: float,
) -> PortsReport:
    unexamined = report_unexamined(case)
    spots = [
        ReportBlindSpot(area=spot.area, host=host, what=spot.what, why=spot.why, remedy=spot.remedy, hides=())
        for host, spot in found.blind_spots
    ]
    return PortsReport(
        schema="dockernet-doctor/ports/1",
        tool=TOOL,
        taken_at=now(),
        duration_s=round(duration_s, 3),
        invocation=invocation,
        hosts=report_hosts(case),
        complete=not unexamined,
        ports=found.rows,
        not_in_force=found.not_in_force,
        blind_spots=(*spots, *unexamined),
    )


def exit_status(report: PortsReport, *, lost: bool, strict: bool = False) -> int:
    """0; 1 where a published port leads nowhere, or one that was to be published is missed (`lost`); 3 where not all that was
    asked for was examined, which outranks 1. `--fail-on never` gives no 1."""
    if not report.complete or (strict and report.blind_spots):
        return NOT_EXAMINED
    return FOUND if (lost or _dead(report)) and report.invocation.fail_on != "never" else CLEAR


def text(report: PortsReport) -> str:
    """A block for each published port, a line for each address of the host."""
    lines: list[str] = []
    several = len(report.hosts) > 1
    for _, group in groupby(report.ports, key=_published_port):
        rows = list(group)
        lines += [_heading(rows[0], several), *_table(rows), ""]
    for missing in report.not_in_force:
        lines += [sentence(visible(f"{missing.container}: {missing.binding} is not published: {missing.why}"))]
    if report.not_in_force:
        lines.append("")
    lines += [f"Not seen: {visible(unseen(spot))}" for spot in report.blind_spots]
    return "\n".join((*lines, _summary(report))) + "\n"


def _published_port(row: PortRow) -> tuple[str, str, int, str, int]:
    return row.host, row.container, row.port, row.protocol, row.host_port


def _heading(row: PortRow, several: bool) -> str:
    where = f" on {row.host}" if several else ""
    how = {"fixed": "", "random": " (random: another after a restart)"}.get(row.asked, f" ({row.asked}: the first free)")
    return visible(f"{row.container}{where}: {row.port}/{row.protocol} is published at {row.host_port}{how}")


def _table(rows: list[PortRow]) -> Iterator[str]:
    from tabulate import tabulate

    cells = [
        (
            visible(bracketed(row.address)),
            visible(_holder(row)),
            row.expected_here,
            "–" if is_loopback(row.address) else row.expected_outside,
            (row.observed or "–") + (" ✗" if row.agrees is False else ""),
        )
        for row in rows
    ]
    headers = ("address", "bound by", "from here", "from outside", "seen")
    for line in tabulate(cells, headers=headers, tablefmt="plain", disable_numparse=True).splitlines():
        yield f"  {line.rstrip()}"
    for note in _notes(rows):
        yield f"  {visible(note)}"


def _notes(rows: list[PortRow]) -> Iterator[str]:
    """What is not as expected, and why an address that is published on is not reached, each reason once with its addresses."""
    reasons: dict[tuple[str, str], list[PortRow]] = {}
    for row in rows:
        if row.agrees is False:
            because = f" ({row.why_here})" if row.why_here else ""
            yield f"✗ {row.address}: {row.observed}, where {row.expected_here} was expected{because}"
        elif row.published and row.expected_here == "unreachable" and row.why_here:
            reasons.setdefault(("", row.why_here), []).append(row)
        elif row.published and row.expected_outside == "unreachable" and row.why_outside and not is_loopback(row.address):
            reasons.setdefault((" from outside", row.why_outside), []).append(row)
    for (where, why), reached in reasons.items():
        holder = next((row.bound_by.process for row in reached if row.observed == "open" and row.bound_by), "")
        open_is = f" (open is {holder} alone)" if holder and not where else ""
        addresses = ", ".join(dict.fromkeys(bracketed(row.address) for row in reached))
        yield f"{addresses} unreachable{where}{open_is}: {sentence(why)}"


def _holder(row: PortRow) -> str:
    if row.bound_by:
        name = row.bound_by.process
        if row.bound_by.container and row.bound_by.container != row.container:
            name = f"{name} of {row.bound_by.container}"
        return f"{name} ({row.bound_by.pid})"
    if row.bound:
        return "a socket"
    if not row.published:
        return "–"
    return "unknown" if row.bound is None else "firewall rules alone"


def _dead(report: PortsReport) -> int:
    """How many of the published ports lead nowhere."""
    return sum(leads_nowhere(rows) for _, rows in groupby(report.ports, key=_published_port))


def _summary(report: PortsReport) -> str:
    ports = {_published_port(row) for row in report.ports}
    if not ports:
        return "No container publishes a port."
    wrong = sum(row.agrees is False for row in report.ports)
    dead = _dead(report)
    more = len(report.not_in_force)
    found = f"{count(dead, 'leads', 'lead')} nowhere" if dead else "" if more else "nothing unexpected"
    found = ", ".join(filter(None, (found, f"{count(more, 'more is', 'more are')} not published" if more else "")))
    if wrong:
        found = f"{count(wrong, 'address does', 'addresses do')} not behave as expected"
    addresses = count(len({(row.host, row.address) for row in report.ports}), "address", "addresses")
    return f"{count(len(ports), 'published port')} at {addresses}: {found}. From outside: predicted."
