"""dns-reply-wrong-source: a DNS container is asked by the host's address and answers from its own."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    container_subject,
    model,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """DNS probes whose answer came from another address than the one asked."""
    for answer in case.answers.values():
        if answer.probe.kind not in ("dns", "udp") or answer.positive or not answer.source:
            continue
        facts = case.facts(answer.probe.vantage.host)
        sender = answer.source.partition(" ")[0]
        found = facts.holder(sender)
        asker = facts.container(answer.probe.vantage.container)
        if sender == answer.probe.address or asker is None or found is None:
            continue
        paths = tuple(p for p in case.paths if p.source is asker and answer in p.answers)
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, asker),
            affects=affected(facts, asker),
            summary=(
                f"{asker.name} asks {answer.probe.address} for names and {found[0].name} answers from {sender}, which "
                f"resolvers throw away."
            ),
            evidence=(Evidence(fact=f"answer of {answer.probe.address}:53", value=f"from {answer.source}", source="probe"),),
            fixes=(_fix(facts, asker, found[0], answer.probe.address, sender),),
            hop="name",
            explains=paths,
        )


def _fix(facts: HostFacts, asker: model.Container, server: model.Container, asked: str, address: str) -> Fix:
    summary = f"Let {asker.name} ask {server.name} at its own address {address} (--dns {address}), or run that in host mode."
    if asked not in asker.dns:
        return Fix(summary=summary, runnable=False)
    servers = tuple(address if server == asked else server for server in asker.dns)
    return remedy.alter(facts, asker, summary=summary, dns=servers)


check = Check(
    cause="dns-reply-wrong-source",
    title="The DNS answer comes from another address",
    subjects=("container", "service"),
    find=find,
    phrases=("reply from unexpected source",),
)
