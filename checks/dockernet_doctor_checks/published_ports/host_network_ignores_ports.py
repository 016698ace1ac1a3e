"""host-network-ignores-ports: `-p` with `--network host` is discarded (article rule 33, all engines)."""

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
    listed,
    model,
    probe_evidence,
    remedy,
)

from ._listening import endings, listening_text


def find(case: Case) -> Iterator[Finding]:
    """Containers in mode host with bindings: an error where a host port that was asked for has no listener."""
    asked: dict[tuple[str, str], list[Path]] = {}
    for ending in endings(case, "host-mode"):
        asked.setdefault((ending.facts.name, ending.container.id), []).append(ending.path)
    for facts, container in case.running():
        if container.network_mode == "host" and container.bindings:
            yield _finding(facts, container, tuple(asked.get((facts.name, container.id), ())))


def _finding(facts: HostFacts, container: model.Container, paths: tuple[Path, ...]) -> Finding:
    mappings = listed(map(remedy.publish_flag, container.bindings))
    dead = sorted({int(b.host_port) for b in container.bindings if _is_dead(facts, b)})
    effect = f"; nothing listens on host port {listening_text(dead)}" if dead else ""
    listeners = facts.listeners(container) or ()
    own = sorted({li.port for li in listeners if li.process and li.process.container == container.id})
    number = f" ({listening_text(own)})" if own else ""
    where = Fix(summary=f"Or keep mode host without -p, and dial the port that the service listens on{number}.", runnable=False)
    return Finding(
        severity="error" if dead or paths else "info",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} is in network mode host, which ignores its published port {mappings}{effect}.",
        evidence=(
            Evidence(fact="NetworkMode", value="host", source=f"inspection of {container.name}"),
            Evidence(fact="PortBindings", value=mappings, source=f"inspection of {container.name}"),
            *probe_evidence(*paths),
        ),
        fixes=(_own_network(facts, container), where),
        hop="publish" if paths else None,
        explains=paths,
    )


def _is_dead(facts: HostFacts, binding: model.PortBinding) -> bool:
    """A host port other than the container's own that nothing of the host listens on."""
    if not binding.host_port.isdecimal() or int(binding.host_port) == binding.port:
        return False
    listeners = facts.stack.listeners if facts.stack else None
    if listeners is None:
        return False
    return not any(li.port == int(binding.host_port) and li.protocol == binding.protocol for li in listeners)


def _own_network(facts: HostFacts, container: model.Container) -> Fix:
    summary = f"Give {container} a network of its own, where its published ports work."
    if container.compose:
        return remedy.compose_edit(facts, container, summary=summary, remove={"network_mode": "host"})
    return remedy.recreate(facts, container, summary=summary, network_mode="bridge")


check = Check(
    cause="host-network-ignores-ports",
    title="Network mode host ignores published ports",
    subjects=("container", "service"),
    needs=("engine", "host.network", "host.sockets", "listener"),
    podman=True,
    find=find,
    phrases=(
        "published ports are discarded when using host network mode",
        "host network_mode is incompatible with port_bindings",
    ),
    article=(33,),
)
