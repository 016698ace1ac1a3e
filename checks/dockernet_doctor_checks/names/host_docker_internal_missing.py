"""host-docker-internal-missing: `host.docker.internal` is used and nothing maps it; only Docker Desktop does by itself."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
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
)

from ._words import setting_of


def probes(case: Case) -> Iterator[Probe]:
    """Asks whether a resolver knows the name, for settings that name no port and so are no question."""
    for facts, container, reference in _named(case):
        yield from names.resolve(case, facts, container, reference.host).probes


def find(case: Case) -> Iterator[Finding]:
    """Paths that stop at that name, and settings with it that nothing resolves."""
    asked = set()
    for path, obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("host-name",)):
        facts = case.facts(path.host)
        if path.source is not None:
            asked.add(path.source.id)
            proven = obstacle.proven or obstacle.resolver == "none"
            yield _finding(facts, path.source, obstacle.name, setting_of(path), (path,), proven=proven)
    for facts, container, reference in _named(case):
        found = names.resolve(case, facts, container, reference.host)
        if container.id not in asked and not found.addresses and (found.result or found.by == "none"):
            yield _finding(facts, container, reference.host, reference, (), proven=True)


def _named(case: Case) -> Iterator[tuple[HostFacts, model.Container, model.Reference]]:
    for facts, container in case.running():
        if container.sandbox is None or container.sandbox.hosts is None:
            continue
        for reference in container.references:
            named = reference.host.lower() in names.HOST_NAMES and reference.where in ("environment", "command")
            if named and reference.key.upper() != "NO_PROXY":
                yield facts, container, reference


def _finding(
    facts: HostFacts,
    container: model.Container,
    name: str,
    reference: model.Reference | None,
    paths: tuple[Path, ...],
    *,
    proven: bool,
) -> Finding:
    setting = f" ({reference.key})" if reference else ""
    return Finding(
        severity="error",
        confidence="proven" if proven else "likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} dials {name}{setting}, but nothing defines that name: on Linux, Docker does not.",
        evidence=(
            Evidence(
                fact="extra hosts", value=", ".join(container.extra_hosts) or "none", source=f"inspection of {container.name}"
            ),
            *probe_evidence(*paths),
        ),
        fixes=(
            remedy.alter(
                facts,
                container,
                summary=f"Recreate {container} with {name} mapped to {facts.here}.",
                add_hosts=(f"{name}:host-gateway",),
            ),
        ),
        hop="name",
        explains=paths,
    )


check = Check(
    cause="host-docker-internal-missing",
    title="host.docker.internal is not mapped",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.files", "name", "probe"),
    find=find,
    probes=probes,
    phrases=(
        "cannot resolve host.docker.internal",
        "name of docker desktop unresolved",
        "host.docker.internal: name or service not known",
        "can't reach database server at host.docker.internal",
    ),
)
