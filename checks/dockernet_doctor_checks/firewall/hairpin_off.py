"""hairpin-off: without docker-proxy, a container reaches itself by its published port only over a hairpin bridge port."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Finding,
    HostFacts,
    Path,
    addressing,
    affected,
    container_subject,
    daemon,
    model,
    remedy,
)

from ._without_proxy import evidence, stuck


def find(case: Case) -> Iterator[Finding]:
    """Containers that publish ports, whose bridge port does not send back what came from it."""
    broken: dict[tuple[str, str], list[Path]] = {}
    for path, obstacle in stuck(case, "hairpin"):
        broken.setdefault((path.host, obstacle.container.id), []).append(path)
    for facts in case.hosts:
        for container in facts.running:
            paths = tuple(broken.get((facts.name, container.id), ()))
            at_stake = paths or (container.ports and daemon.without_proxy(facts))
            port = _port(facts, container) if at_stake else None
            if port is not None:
                yield _finding(facts, container, port, paths)


def _port(facts: HostFacts, container: model.Container) -> model.Link | None:
    inner = container.sandbox.stack.links if container.sandbox else ()
    ports = [port for link in inner if (port := facts.host_side(link)) and port.master in facts.bridges]
    return next((port for port in ports if port.hairpin is False), None)


def _finding(facts: HostFacts, container: model.Container, port: model.Link, paths: tuple[Path, ...]) -> Finding:
    return Finding(
        severity="error" if paths else "warning",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(
            f"{container} cannot reach itself by its published port: docker-proxy is off, and its bridge port "
            f"{port.name} has hairpin off."
        ),
        evidence=evidence(facts, f"hairpin of {port.name} ({port.master})", "off", paths),
        fixes=(
            addressing.networking(
                addressing.of_port(port.name, "hairpin", "on", back="off"),
                summary=f"Turn hairpin on for {port.name}.",
                lasts="until-restart",
            ),
            remedy.restart(facts, container, summary="Or restart the container: Docker recreates its bridge port."),
        ),
        hop="mapping",
        explains=paths,
    )


check = Check(
    cause="hairpin-off",
    title="A container cannot reach itself by its published port",
    subjects=("container",),
    needs=("engine", "daemon.process", "daemon.files", "host.network", "sandbox.network", "mapping"),
    find=find,
    phrases=("hairpin", "hairpin_mode", "container cannot reach itself"),
)
