"""port-bound-to-loopback: published on 127.0.0.1 or ::1 only, so other machines cannot come in (article rule 10)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Finding,
    affected,
    is_loopback,
    model,
    port_subject,
    probe_evidence,
    remedy,
    who,
)

from ._binding import HOST_BINDING, Elsewhere, bindings_of, elsewhere, evidence


def find(case: Case) -> Iterator[Finding]:
    """Paths that stop at `publish` since every mapping of the port is on a loopback address."""
    for found in elsewhere(case, "loopback"):
        container, published = found.container, found.published[0]
        opened = _open(found)
        others = {str(p.host_port) for p in found.published} - {opened.host_port}  # stay as they are
        port = f"{container}:{published.port}" + ("" if published.protocol == "tcp" else f"/{published.protocol}")
        source = f"{who(found.path)} at {found.dialled}" if found.dialled else who(found.path)
        yield Finding(
            severity="error" if case.asked else "info",
            confidence="proven",
            subject=port_subject(found.facts, container, published.port, published.protocol),
            affects=affected(found.facts, container),
            summary=(
                f"{port} cannot be reached from {source}: its port {published.host_port} "
                f"is published on {published.host_ip} only."
            ),
            evidence=(*evidence(found), *probe_evidence(found.path)),
            fixes=remedy.republish(
                found.facts,
                container,
                add=[opened],
                remove=[b for b in bindings_of(found) if b.host_port not in others],
            ),
            hop="publish",
            explains=(found.path,),
        )


def _open(found: Elsewhere) -> model.PortBinding:
    published = found.published[0]
    # where the network itself binds to loopback, only a written address is stronger
    by_network = any(is_loopback(n.options.get(HOST_BINDING, "")) for n in found.facts.networks_of(found.container))
    return model.PortBinding(
        port=published.port,
        protocol=published.protocol,
        host_ip="0.0.0.0" if by_network else "",
        host_port=str(published.host_port),
    )


check = Check(
    cause="port-bound-to-loopback",
    title="A port published on loopback only is closed to other machines",
    subjects=("port",),
    needs=("engine", "host.network", "publish"),
    podman=True,
    find=find,
    phrases=("works on localhost but not from outside", "connection refused"),
    article=(10,),
)
