"""listener-on-other-address: the service listens on one of its container's addresses only, and another one is dialled."""

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
    port_subject,
    probe_evidence,
    who,
)

from ._listening import at, endings


def find(case: Case) -> Iterator[Finding]:
    """Paths to a port that has listeners, none of them at the address dialled."""
    for ending in endings(case, "other-address"):
        facts, container = ending.facts, ending.container
        bound = sorted({li.address for li in ending.elsewhere})
        networks = {address: e.network for e in facts.endpoints(container) for address in (e.ipv4, e.ipv6) if address}
        where = listed(f"{a} ({networks[a]})" if a in networks else a for a in bound)
        dialled = f"{ending.address} ({networks[ending.address]})" if ending.address in networks else ending.address
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, ending.port, ending.protocol),
            affects=affected(facts, container),
            summary=(
                f"{container}:{ending.port} cannot be reached from {who(ending.path)} at {dialled}: its service listens "
                f"on {where} only."
            ),
            evidence=(
                *(
                    Evidence(fact="listener", value=at(li.address, li.port), source=f"sockets of {container.name}")
                    for li in ending.elsewhere
                ),
                Evidence(
                    fact="addresses",
                    value=", ".join(f"{a} on {n}" for a, n in networks.items()),
                    source=f"inspection of {container.name}",
                ),
                *probe_evidence(ending.path),
            ),
            fixes=(
                Fix(
                    summary=(
                        f"Let the service in {container} listen on 0.0.0.0 too, or have :: take IPv4 (bindv6only 0)."
                        if set(bound) == {"::"}
                        else f"Let the service in {container} listen on 0.0.0.0 (or ::) instead of {', '.join(bound)}."
                    ),
                    impacts=("restarts-container",),
                    runnable=False,
                ),
            ),
            hop="listener",
            explains=(ending.path,),
        )


check = Check(
    cause="listener-on-other-address",
    title="The service listens on one of the container's addresses only",
    subjects=("port",),
    needs=("listener",),
    podman=True,
    find=find,
    phrases=("connection refused", "works on one network and is refused on the other"),
)
