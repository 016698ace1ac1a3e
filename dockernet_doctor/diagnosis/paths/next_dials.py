"""The dial after the first: what a service hands its clients is walked from each client that reached it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.diagnosis.paths.names import is_address, meant
from dockernet_doctor.diagnosis.paths.walk import walk
from dockernet_doctor.diagnosis.question import Question, Target
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.once import once_for_each
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Container, HandedOut

# sentinelEvent of Redis: "+monitor master NAME ADDRESS PORT quorum 2", "+switch-master NAME OLD PORT NEW PORT"
_MASTER = regex(r"\+(?:monitor master \S+|switch-master \S+ \S+ \d+) (?P<host>[0-9A-Fa-f.:]+) (?P<port>\d{1,5})(?: |$)")


class NextDial(Struct, frozen=True, kw_only=True):
    """A client that reached a service, and what it was told to dial next.

    first   the path by which it came
    paths   the ways to what was handed out; of other machines none where they dial themselves or a name of Docker's
    """

    facts: HostFacts
    service: Container
    handed: HandedOut
    first: Path
    port: int
    paths: tuple[Path, ...] = ()

    @property
    def astray(self) -> bool:
        """True if no way leads to a service that handed it out: all are broken, or end at somebody else's."""
        if not self.paths:
            return True
        return all(path.verdict == "unreachable" or self._at_another(path) for path in self.paths)

    def _at_another(self, path: Path) -> bool:
        """True if it ends at a container that hands nothing out: the client's own loopback, most often."""
        target = path.target or (path.source if is_loopback(path.destination.address) else None)
        return target is not None and target is not self.service and not handed_out(target)


@once_for_each
def next_dials(case: Case) -> tuple[NextDial, ...]:
    """The next dials of the clients that came through: in a question whoever asked, else containers whose settings name the
    service."""
    if not any(handed_out(container) for _, container in case.containers()):
        return ()
    return tuple(_next_dials(case))


def _next_dials(case: Case) -> Iterator[NextDial]:
    for path in case.paths:
        service, question = path.target, path.question
        if service is None or not handed_out(service) or path.verdict == "unreachable" or path.source is service:
            continue
        if not (case.asked or question.reference is not None) or path.container_port is None:
            continue
        if question.reference is not None and question.reference.direct:
            continue
        facts = case.facts(path.host)
        for handed in _told(service, path.container_port):
            port = handed.port or path.destination.port
            if port is not None:
                yield NextDial(
                    facts=facts,
                    service=service,
                    handed=handed,
                    first=path,
                    port=port,
                    paths=tuple(_walked(case, facts, path, handed, port)),
                )


def _told(service: Container, port: int) -> list[HandedOut]:
    """What a client of this port is handed: by its listener where that is known. One of several that it may be is enough."""
    handed_on = handed_out(service)
    known = [handed for handed in handed_on if handed.of is not None]
    of_port = [handed for handed in known if handed.of == port]
    return of_port or ([] if known else list(handed_on))


@once_for_each
def handed_out(service: Container) -> tuple[HandedOut, ...]:
    """What its settings say that it hands out; of a Redis Sentinel the master's address, by the last word of its log."""
    said = [found for line in service.log_tail if "master" in line and (found := _MASTER.search(line))]
    if not said:
        return service.hands_out
    host, port = said[-1]["host"], int(said[-1]["port"])
    return (*service.hands_out, HandedOut(where="log", key="sentinel monitor", host=host, port=port))


def _walked(case: Case, facts: HostFacts, first: Path, handed: HandedOut, port: int) -> Iterator[Path]:
    source = first.question.source
    if source.kind == "outside" and (is_loopback(handed.host) or _is_of_docker(facts, handed.host)):
        return
    kind = "address" if is_address(handed.host) else "name"
    target = Target(kind=kind, name=handed.host, port=port, host=facts.name)  # type: ignore[arg-type]
    yield from walk(case, Question(source=source, target=target, origin="handed-out"))


def _is_of_docker(facts: HostFacts, name: str) -> bool:
    """True if only Docker's DNS knows the name."""
    return not is_address(name) and ("." not in name or meant(facts, name) is not None)
