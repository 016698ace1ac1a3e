"""embedded-dns-broken: 127.0.0.11 refuses or does not answer, as when the rules of the sandbox were flushed."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Answer,
    Case,
    Check,
    Evidence,
    Finding,
    HostFacts,
    Path,
    Probe,
    affected,
    container_subject,
    model,
    names,
    obstacles,
    probe_evidence,
    remedy,
    unanswered_name,
)

from ._words import resolv_evidence


def probes(case: Case) -> Iterator[Probe]:
    """Ask 127.0.0.11 where its rules or its socket are missing; its own id is a name that each container has."""
    for facts, container in case.running():
        if suspicious(facts, container):
            yield _probe(case, facts, container)


def find(case: Case) -> Iterator[Finding]:
    """Containers whose embedded DNS does not answer, and the names they asked it for."""
    explained: dict[tuple[str, str], list[Path]] = {}
    for path, _obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("embedded-silent",)):
        facts = case.facts(path.host)
        if path.source is not None:
            explained.setdefault((facts.name, path.source.id), []).append(path)
    for facts, container in case.running():
        paths = tuple(explained.get((facts.name, container.id), ()))
        odd = suspicious(facts, container)
        answer = case.answer(_probe(case, facts, container)) if odd else None
        answered = answer is not None and answer.sent and not unanswered_name.failed(answer.result)
        if odd and not paths and (answered or answer is None) and names.missing_dns(container) and names.redirected(container):
            yield _of_long_answers(facts, container)
        elif paths or (odd and not answered and ((answer is not None and answer.sent) or not case.probing)):
            yield _finding(facts, container, paths, None if answered else answer)


def suspicious(facts: HostFacts, container: model.Container) -> bool:
    """True if it should ask 127.0.0.11, and the way there is visibly not complete."""
    if facts.namespace_lost(container) or not unanswered_name.has_embedded(facts, container):
        return False  # shared-namespace-lost, loopback-nameserver
    conf = names.resolv_conf(facts, container)
    stack = container.sandbox.stack if container.sandbox else None
    if conf is None or stack is None or names.EMBEDDED not in conf.nameservers or container.network_mode == "host":
        return False
    deaf = stack.listeners is not None and not any(li.address == names.EMBEDDED for li in stack.listeners)
    return bool(names.missing_dns(container)) or deaf


def _probe(case: Case, facts: HostFacts, container: model.Container) -> Probe:
    vantage = case.vantage(facts, container)
    return Probe(kind="dns", vantage=vantage, address=names.EMBEDDED, port=53, name=container.id[:12])


def _finding(facts: HostFacts, container: model.Container, paths: tuple[Path, ...], answer: Answer | None) -> Finding:
    owner = facts.namespace_owner(container) or container
    gone = names.missing_dns(container) or ()
    result = answer.result if answer and answer.sent else next((a.result for p in paths for a in p.answers if a.sent), "")
    noted = f" ({result})" if result else ""
    why = f"{gone[0].what} is missing from its network namespace" if gone else f"it gives no answer{noted}"
    return Finding(
        severity="error",
        confidence="proven" if result else "likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} cannot resolve names at Docker's DNS, 127.0.0.11: {why}.",
        evidence=(
            *resolv_evidence(facts, container),
            *_rules_evidence(container),
            *([Evidence(fact="127.0.0.11:53", value=result, source="probe")] if result else []),
            *probe_evidence(*paths),
        ),
        fixes=(remedy.restart(facts, owner, summary=f"Restart {owner}: the engine writes the rules again."),),
        hop="name",
        explains=paths,
    )


def _of_long_answers(facts: HostFacts, container: model.Container) -> Finding:
    """Short names are answered, by UDP; what is gone serves answers that are too long for it."""
    owner = facts.namespace_owner(container) or container
    [first, *_] = names.missing_dns(container) or ()
    return Finding(
        severity="warning",
        confidence="likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} gets no long answers from Docker's DNS, which come by TCP: {first.what} is gone from its "
        "network namespace.",
        evidence=(*resolv_evidence(facts, container), *_rules_evidence(container)),
        fixes=(remedy.restart(facts, owner, summary=f"Restart {owner}: the engine writes the rules again."),),
        hop="name",
    )


def _rules_evidence(container: model.Container) -> tuple[Evidence, ...]:
    stack = container.sandbox.stack if container.sandbox else None
    native = stack is not None and any(dump.tool == "nft" and "docker-dns" in dump.text for dump in stack.firewall or ())
    source = f"{'nft list table ip docker-dns' if native else 'iptables-save'} in {container.name}"
    gone = names.missing_dns(container) or ()
    return tuple(Evidence(fact="missing", value=part.what, source=source) for part in gone) or (
        Evidence(fact="rules for 127.0.0.11:53", value="present", source=source),
    )


check = Check(
    cause="embedded-dns-broken",
    title="Docker's DNS at 127.0.0.11 does not answer",
    subjects=("container", "service"),
    needs=("engine", "sandbox.network", "sandbox.firewall", "sandbox.files", "name"),
    find=find,
    probes=probes,
    phrases=(
        "127.0.0.11:53: connection refused",
        "127.0.0.11:53: i/o timeout",
        "connection timed out; no servers could be reached",
        "temporary failure in name resolution",
    ),
)
