"""random-host-port: the engine chose the host port, and chooses another at the next start (article rule 7)."""

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
    mapping_text,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    shell,
    wanted,
)

from ._host_port import is_random, meant


def find(case: Case) -> Iterator[Finding]:
    """Ports published without a host port; an error where a question dials a number that is nobody's (any more)."""
    dialled: set[tuple[str, str, int]] = set()
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        found = meant(case, path, obstacle)
        if not found or found.kind != "random" or not found.published:
            continue
        facts, container, published = case.facts(path.host), found.container, found.published
        dialled.add((facts.name, container.id, published.port))
        yield Finding(
            severity="error",
            confidence="likely",
            subject=port_subject(facts, container, published.port, published.protocol),
            affects=affected(facts, container),
            summary=(
                f"Nothing listens at {wanted(path)}: the host port of {container}:{published.port} is chosen at "
                f"each start, and is {published.host_port} now."
            ),
            evidence=(*_evidence(container, published), *probe_evidence(path)),
            fixes=_fixes(facts, container, published, obstacle.port),
            hop="listener",
            explains=(path,),
        )
    for facts, container in case.running():
        for published in container.ports:
            if is_random(container, published) and (facts.name, container.id, published.port) not in dialled:
                yield _info(facts, container, published)


def _info(facts: HostFacts, container: model.Container, published: model.PublishedPort) -> Finding:
    return Finding(
        severity="info",
        confidence="proven",
        subject=port_subject(facts, container, published.port, published.protocol),
        affects=affected(facts, container),
        summary=(
            f"The host port of {container}:{published.port} is chosen at each start: {published.host_port} now, another "
            f"after a restart."
        ),
        evidence=tuple(_evidence(container, published)),
        fixes=_fixes(facts, container, published, published.host_port),
    )


def _evidence(container: model.Container, published: model.PublishedPort) -> Iterator[Evidence]:
    source = f"inspection of {container.name}"
    asked = "PublishAllPorts" if container.publish_all else f"HostPort of {published.port}/{published.protocol}"
    yield Evidence(fact=asked, value="true" if container.publish_all else '""', source=source)
    yield Evidence(fact="published now", value=mapping_text(published), source=source)


def _fixes(facts: HostFacts, container: model.Container, published: model.PublishedPort, host_port: int) -> tuple[Fix, ...]:
    bindings = [b for b in container.bindings if b.port == published.port and b.protocol == published.protocol]
    host_ip = bindings[0].host_ip if bindings else ""
    fixed = model.PortBinding(port=published.port, protocol=published.protocol, host_ip=host_ip, host_port=str(host_port))
    command = shell.command("docker", "port", *shell.operands(container.name))
    return (
        *remedy.republish(facts, container, add=[fixed], remove=bindings),
        Fix(summary=f"Look up the current port whenever you need it: {command}.", runnable=False),
    )


check = Check(
    cause="random-host-port",
    title="The host port is chosen at each start",
    subjects=("port",),
    needs=("engine", "host.network", "sandbox.network", "listener"),
    podman=True,
    find=find,
    phrases=("connection refused", "port changes after restart"),
    article=(7, 13),
)
