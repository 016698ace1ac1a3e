"""Findings that are meant to be so: accepted in a configuration file, by a baseline, or by a label at the thing itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timezone
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from msgspec import Struct

from dockernet_doctor.diagnosis.finding import Finding
from dockernet_doctor.snapshot.model import ACCEPT_LABEL

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.case import Case
    from dockernet_doctor.diagnosis.check import Registered

COMMAND_LINE = "command line"
"""The origin of --only and --skip."""
IN_THE_BASELINE = "in the baseline"
"""The reason of what an older report had."""
_LABELLED = ("container", "port", "network")


class Acceptance(Struct, frozen=True, kw_only=True):
    """What is accepted, and by whom.

    cause, subject  globs; the subject's is held against `KIND:NAME@HOST`, as ids have it, `KIND:NAME` and `NAME`
    until           the last day, as 2026-12-31; None for ever
    origin          the file or the label that says so
    """

    cause: str
    subject: str = "*"
    reason: str
    until: str | None = None
    origin: str

    def expired(self, today: date) -> bool:
        return self.until is not None and self.until < today.isoformat()

    def fits(self, finding: Finding) -> bool:
        subject = finding.id.partition("=")[2]
        named = (subject, subject.removesuffix(f"@{finding.subject.host}"), finding.subject.name)
        return fnmatchcase(finding.cause, self.cause) and any(fnmatchcase(name, self.subject) for name in named)


class Suppressed(Struct, frozen=True, kw_only=True):
    """A finding that is listed and does not count."""

    finding: Finding
    reason: str
    until: str | None = None
    origin: str


def accepted(
    case: Case, findings: Iterable[Finding], acceptances: Sequence[Acceptance], registered: Mapping[str, Registered]
) -> Iterator[Suppressed]:
    """The findings that are accepted: by the first acceptance that fits, else by the label of what they are about."""
    today = datetime.now(timezone.utc).date()
    valid = [acceptance for acceptance in acceptances if not acceptance.expired(today)]
    labels = _labels(case)
    for finding in findings if valid or labels else ():
        if by := next((acceptance for acceptance in valid if acceptance.fits(finding)), None):
            yield Suppressed(finding=finding, reason=by.reason, until=by.until, origin=by.origin)
        elif _is_labelled(finding, labels, registered):
            origin = f"label {ACCEPT_LABEL} of {finding.subject.name}"
            yield Suppressed(finding=finding, reason="accepted by its label", origin=origin)


def _labels(case: Case) -> dict[tuple[str, str], tuple[str, ...]]:
    """Host and id of each container and network with a label → the causes that it accepts."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for facts in case.hosts:
        found |= {(facts.name, container.id): container.accepts for container in facts.containers if container.accepts}
        found |= {(facts.name, network.id): network.accepts for network in facts.snapshot.networks if network.accepts}
    return found


def _is_labelled(
    finding: Finding, labels: Mapping[tuple[str, str], tuple[str, ...]], registered: Mapping[str, Registered]
) -> bool:
    """True where the container or network, or the container of the port, accepts the cause.

    Whoever makes a container sets its labels, and so may its image: they accept nothing that exposes a service, and nothing
    that is wrong with the daemon or the host.
    """
    subject, entry = finding.subject, registered.get(finding.cause)
    exposes = entry is not None and entry.check.exposes
    return finding.cause in labels.get((subject.host, subject.id), ()) and subject.kind in _LABELLED and not exposes
