"""listener-ipv4-only: dialled by IPv6, on a network that has it, while the service listens on 0.0.0.0 only."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    UNSPECIFIED,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    affected,
    mapping_text,
    model,
    port_subject,
    probe_evidence,
    remedy,
    who,
)

from ._listening import Ending, at, bindings_of, endings


def find(case: Case) -> Iterator[Finding]:
    """Paths to an IPv6 address of a container whose service has an IPv4 socket only."""
    for ending in endings(case, "ipv4-only"):
        facts, container = ending.facts, ending.container
        yield Finding(
            severity="warning",
            confidence="proven",
            subject=port_subject(facts, container, ending.port, ending.protocol),
            affects=affected(facts, container),
            summary=(
                f"{container}:{ending.port} cannot be reached by IPv6 from {who(ending.path)}: its service listens on "
                f"0.0.0.0 only, and {container} has the address {ending.address}."
            ),
            evidence=(
                *(
                    Evidence(fact="listener", value=at(li.address, li.port), source=f"sockets of {container.name}")
                    for li in ending.elsewhere
                ),
                *_published(ending),
                *probe_evidence(ending.path),
            ),
            fixes=_fixes(ending),
            hop="listener",
            explains=(ending.path,),
        )


def _published(ending: Ending) -> Iterator[Evidence]:
    if ending.published:
        source = f"inspection of {ending.container.name}"
        yield Evidence(fact="published", value=mapping_text(ending.published), source=source)


def _fixes(ending: Ending) -> tuple[Fix, ...]:
    container = ending.container
    by_service = Fix(
        summary=f"Let the service in {container} listen on :: (which takes IPv4 too) instead of 0.0.0.0.",
        impacts=("restarts-container",),
        runnable=False,
    )
    if not ending.published:
        return (by_service,)
    bindings = bindings_of(container, ending.published)
    only4 = [
        model.PortBinding(port=b.port, protocol=b.protocol, host_ip="0.0.0.0", host_port=b.host_port)
        for b in bindings
        if b.host_ip in ("", *UNSPECIFIED)
    ]
    summary = f"Publish it on IPv4 only, where it works, so that clients do not try IPv6 at {container}."
    return (by_service, *remedy.republish(ending.facts, container, add=only4[:1], remove=bindings, summary=summary))


check = Check(
    cause="listener-ipv4-only",
    title="The service does not listen on the IPv6 address that it is published for",
    subjects=("port",),
    needs=("engine", "host.network", "listener"),
    find=find,
    phrases=("recv failure: connection reset by peer", "connection reset by peer", "works by 127.0.0.1 and not by localhost"),
)
