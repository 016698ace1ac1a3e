"""port-bound-to-other-interface: published on an address of this host other than the one dialled (article rule 11)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    affected,
    listed,
    model,
    port_subject,
    probe_evidence,
    remedy,
    who,
)

from ._binding import Elsewhere, elsewhere, evidence


def find(case: Case) -> Iterator[Finding]:
    """Paths that stop at `publish` since the port is bound to another address."""
    for found in elsewhere(case, "other"):
        container, published = found.container, found.published[0]
        addresses = listed(dict.fromkeys(p.host_ip for p in found.published))
        dialled = found.dialled or f"the addresses that they use for {found.facts.here}"
        yield Finding(
            severity="error" if case.asked else "info",
            confidence="proven",
            subject=port_subject(found.facts, container, published.port, published.protocol),
            affects=affected(found.facts, container),
            summary=(
                f"{container}:{published.port} cannot be reached from {who(found.path)} at {dialled}: its port "
                f"{published.host_port} is published on {addresses} only."
            ),
            evidence=(
                *evidence(found),
                Evidence(fact="addresses", value=", ".join(found.facts.uplink_addresses), source="the host's interfaces"),
                *probe_evidence(found.path),
            ),
            fixes=_fixes(found),
            hop="publish",
            explains=(found.path,),
        )


def _fixes(found: Elsewhere) -> tuple[Fix, ...]:
    published = found.published[0]
    address = found.dialled or next(iter(found.facts.uplink_addresses), "")
    this_one_too = model.PortBinding(
        port=published.port, protocol=published.protocol, host_ip=address, host_port=str(published.host_port)
    )
    that_one = Fix(summary=f"Dial {published.host_ip}:{published.host_port}, where it is published.", runnable=False)
    return (*remedy.republish(found.facts, found.container, add=[this_one_too]), that_one)


check = Check(
    cause="port-bound-to-other-interface",
    title="The port is published on another address of this host",
    subjects=("port",),
    needs=("engine", "host.network", "publish"),
    podman=True,
    find=find,
    phrases=("connection refused", "works on one ip address of the host and not on the other"),
    article=(11,),
)
