"""auto-named-container: a name that Docker made up changes at each recreation, and on 20.10 does not resolve (rule 24)."""

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
    names,
    obstacles,
    probe_evidence,
    remedy,
    shell,
)


def find(case: Case) -> Iterator[Finding]:
    """Containers whose name is Docker's and that have no alias; an error where such a name was asked for in vain."""
    asked: dict[tuple[str, str], list[Path]] = {}
    for path, obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("generated-name",)):
        facts = case.facts(path.host)
        if obstacle.meant is not None:
            asked.setdefault((facts.name, obstacle.meant.id), []).append(path)
    for facts, container in case.running():
        if container.compose or container.swarm or not names.is_generated_name(container.name):
            continue
        paths = tuple(asked.get((facts.name, container.id), ()))
        if paths or not _has_alias(container):
            yield _finding(facts, container, paths)


def _has_alias(container: model.Container) -> bool:
    return any(alias != container.id[:12] for endpoint in container.endpoints for alias in endpoint.aliases)


def _finding(facts: HostFacts, container: model.Container, paths: tuple[Path, ...]) -> Finding:
    sources = [p.source for p in paths if p.source is not None]
    what = "does not resolve on this engine" if facts.generation < (25, 0) else "changes at every recreation"
    asks = f"{sources[0].name} cannot resolve {container}: " if sources else ""
    return Finding(
        severity="error" if paths else "info",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, *sources) if sources else affected(facts, container),
        summary=f"{asks}{container} is a generated name, which {what}.",
        evidence=(
            Evidence(fact="name", value=container.name, source=f"inspection of {container.name}"),
            *probe_evidence(*paths),
        ),
        fixes=_fixes(facts, container, paths),
        hop="name" if paths else None,
        explains=paths,
    )


def _fixes(facts: HostFacts, container: model.Container, paths: tuple[Path, ...]) -> tuple[Fix, ...]:
    """What was asked for in vain becomes an alias; else a name has to be chosen by somebody."""
    source = next((p.source for p in paths if p.source is not None), None)
    network = next((n for n in facts.common_networks(source, container) if n.has_dns), None) if source else None
    if network is not None:
        summary = f"Give {container} its own name as an alias on {network.name}."
        return remedy.join_network(facts, container, network.name, aliases=(container.name,), summary=summary)
    rename = shell.command("docker", "rename", *shell.operands(container.name, "NAME"))
    return (Fix(summary=f"Give it a name of your own: {rename}.", runnable=False),)


check = Check(
    cause="auto-named-container",
    title="A generated name changes with every recreation",
    subjects=("container",),
    needs=("engine", "name"),
    find=find,
    phrases=("bad address", "could not resolve host"),
    article=(24,),
)
