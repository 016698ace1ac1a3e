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
    Path,
    affected,
    container_subject,
    model,
    obstacles,
    remedy,
    sufferers,
    unreached,
)


def find(case: Case) -> Iterator[Finding]:
    """Probes whose answer came from another address than the one asked, and paths of which that is predicted."""
    for path, obstacle in case.broken_by(obstacles.AnsweredByAnother):
        if not any(answer.source for answer in path.answers):
            yield _foretold(case.facts(path.host), path, obstacle)
    for answer in case.answers.values():
        if answer.probe.kind not in ("dns", "udp") or answer.result not in ("timeout", "no-reply") or not answer.source:
            continue
        facts = case.facts(answer.probe.vantage.host)
        sender = answer.source.partition(" ")[0]
        found = facts.holder(sender)
        asker = facts.container(answer.probe.vantage.container)
        if sender == answer.probe.address or asker is None:
            continue
        proxied = found is None and facts.is_own(sender) and facts.is_own(answer.probe.address)
        if found is None and not proxied:
            continue
        who = found[0].name if found else "docker-proxy"
        port = answer.probe.port or 53
        wanted = f"{answer.probe.address} for names" if port == 53 else f"{answer.probe.address}:{port} by UDP"
        paths = tuple(p for p in case.paths if p.source is asker and answer in p.answers)
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, asker),
            affects=affected(facts, asker),
            summary=(
                f"{asker} asks {wanted} and {who} answers from {sender}, which {'resolvers' if port == 53 else 'clients'} "
                f"throw away."
            ),
            evidence=(
                Evidence(fact=f"answer of {answer.probe.address}:{port}", value=f"from {answer.source}", source="probe"),
            ),
            fixes=(_fix(facts, asker, found[0] if found else None, answer.probe.address, sender),),
            hop="name" if port == 53 else "answer",
            explains=paths,
        )


def _foretold(facts: HostFacts, path: Path, obstacle: obstacles.AnsweredByAnother) -> Finding:
    published = f"Publish the port of {obstacle.container} on {obstacle.asked} alone: then docker-proxy answers from there."
    return Finding(
        severity="error",
        confidence="likely",
        subject=container_subject(facts, obstacle.container),
        affects=sufferers(path),
        summary=f"{unreached(path)}: docker-proxy answers from {obstacle.source}, not from {obstacle.asked}, and clients throw "
        "that away.",
        evidence=(Evidence(fact="address of the answer", value=obstacle.source, source="routes of the host"),),
        fixes=(Fix(summary=f"{published} Or let clients ask {obstacle.source}.", runnable=False),),
        hop="answer",
        explains=(path,),
    )


def _fix(facts: HostFacts, asker: model.Container, server: model.Container | None, asked: str, address: str) -> Fix:
    flag = f" (--dns {address})" if asked in asker.dns else ""
    summary = f"Let {asker} ask {address}{flag}, {facts.here}'s address on its own network: docker-proxy answers from there."
    if server is not None:
        summary = f"Let {asker} ask {server.name} at its own address {address} (--dns {address}), or run that in host mode."
    if asked not in asker.dns:
        return Fix(summary=summary, runnable=False)
    servers = tuple(address if server == asked else server for server in asker.dns)
    return remedy.alter(facts, asker, summary=summary, dns=servers)


check = Check(
    cause="dns-reply-wrong-source",
    title="The answer to a datagram comes from another address",
    subjects=("container", "service"),
    needs=("engine", "host.network", "probe"),
    find=find,
    phrases=("reply from unexpected source",),
)
