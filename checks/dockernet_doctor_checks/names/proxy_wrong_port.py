"""proxy-wrong-port: VIRTUAL_PORT, or the port label of a proxy, names a port without a listener (unseen)."""

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
    is_loopback,
    model,
    remedy,
)

from ._proxies import told_ports


def find(case: Case) -> Iterator[Finding]:
    """Containers that listen, but not at the port which they tell the proxy."""
    for facts, container in case.running():
        told = told_ports(container)
        listeners = facts.listeners(container, "tcp") if told else ()
        if not listeners or container.network_mode == "host":
            continue  # nothing read, or not up yet
        ports = {li.port for li in listeners}
        open_ports = sorted({li.port for li in listeners if not is_loopback(li.address)})
        for reference in told:
            if open_ports and reference.port not in ports:  # what listens on loopback only, the proxy's way there shows
                yield _finding(facts, container, reference, open_ports)


def _finding(facts: HostFacts, container: model.Container, reference: model.Reference, open_ports: list[int]) -> Finding:
    listed = ", ".join(map(str, open_ports))
    return Finding(
        severity="error",
        confidence="likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(
            f"{container}: {reference.key} tells the proxy port {reference.port}, where nothing listens; it listens on "
            f"{listed}."
        ),
        evidence=(
            Evidence(fact=reference.key, value=str(reference.port), source=f"{reference.where} of {container.name}"),
            Evidence(fact="listening on", value=listed, source=f"sockets of {container.name}"),
        ),
        fixes=(_fix(facts, container, reference, open_ports[0]),),
    )


def _fix(facts: HostFacts, container: model.Container, reference: model.Reference, port: int) -> Fix:
    summary = f"Set {reference.key} of {container} to {port}, and recreate it."
    if container.compose or container.swarm or reference.where != "environment":
        return Fix(summary=summary, impacts=("recreates-container",), runnable=False)
    change = remedy.Substitution(variable=reference.key, pairs=((str(reference.port), str(port)),))
    return remedy.recreate(facts, container, summary=summary, substitutions=[change])


check = Check(
    cause="proxy-wrong-port",
    title="The proxy uses a port where nothing listens",
    subjects=("container", "service"),
    needs=("engine", "sandbox.network"),
    find=find,
    phrases=(
        "502 bad gateway",
        "bad gateway",
        "404 page not found",
        "503 service unavailable",
        "503 service temporarily unavailable",
    ),
)
