"""From the host, or from another machine: by a published port, an address, or a name that the host resolves."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.diagnosis.asked_for import containers
from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import NameUnanswered
from dockernet_doctor.diagnosis.paths.destination.by_address import ports_of_host, to_address
from dockernet_doctor.diagnosis.paths.destination.by_mesh import service_of
from dockernet_doctor.diagnosis.paths.destination.by_name import unresolved_text
from dockernet_doctor.diagnosis.paths.destination.model import Dial
from dockernet_doctor.diagnosis.paths.destination.published import published_or_direct
from dockernet_doctor.diagnosis.paths.destination.target import is_far, members_asked, no_answer_read, no_such_container
from dockernet_doctor.diagnosis.paths.names import resolve
from dockernet_doctor.diagnosis.question import Question, Target


def from_host_or_outside(case: Case, facts: HostFacts, question: Question) -> Iterator[Dial]:
    target, outside = question.target, question.source.kind == "outside"
    base = Dial(facts=facts, name=str(target))
    if is_far(facts, target):
        far = case.facts(target.host)
        local = replace(question, source=replace(question.source, kind="outside", host=far.name))
        for dial in from_host_or_outside(case, far, local):
            yield replace(dial, facts=facts, far=far.name, at=far.name if dial.obstacle else "")
        return
    if target.kind == "host":
        address = next(iter(facts.uplink_addresses), None) if outside else "127.0.0.1"
        yield from ports_of_host(base, facts, target, address, outside=outside)
        six = next((a for a in facts.uplink_addresses if ":" in a), None) if outside else None
        if six and six != address:
            yield from ports_of_host(replace(base, second=True), facts, target, six, outside=outside)
        return
    if target.kind == "address":
        yield from to_address(base, facts, target, target.name, outside=outside)
        return
    container = facts.container(target.name) if target.kind in ("plain", "container") else None
    of_service = container is None and target.kind == "plain" and containers([facts], target.name)
    if target.kind == "service" or of_service:
        for member, asked in members_asked(facts, target):
            yield from published_or_direct(base, facts, member, asked, outside=outside)
        return
    if container is not None or target.kind == "container" or (target.kind == "plain" and service_of(facts, target.name)):
        yield from published_or_direct(base, facts, container, target, outside=outside)
        return
    yield from _named_by_host(case, base, facts, target, outside=outside)


def _named_by_host(case: Case, base: Dial, facts: HostFacts, target: Target, *, outside: bool) -> Iterator[Dial]:
    if target.name == "localhost" and not outside:
        yield from to_address(base, facts, target, "127.0.0.1")
        return
    if "." not in target.name and target.kind == "plain":
        yield no_such_container(base, facts, target.name)
        return
    if outside:  # each has resolvers of its own, which nobody asks
        yield replace(base, unknown=("name", f"what {target.name} is to other machines is not known here: ask for the address"))
        return
    found = resolve(case, facts, None, target.name)
    named = replace(base, probes=found.probes)
    if found.addresses:
        for address in found.addresses:
            yield from to_address(named, facts, target, address)
    elif found.result:
        yield replace(
            named,
            hop="name",
            obstacle=NameUnanswered(
                name=target.name, resolver="upstream", result=found.result, servers=found.servers, proven=True
            ),
            predicted={"name": unresolved_text(found, target.name)},
        )
    else:
        yield replace(named, unknown=("name", no_answer_read(facts, target.name)))
