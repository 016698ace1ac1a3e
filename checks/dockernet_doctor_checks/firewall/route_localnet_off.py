"""route-localnet-off: without docker-proxy, 127.0.0.1:PORT needs route_localnet on the bridge (userland-proxy=false)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Finding, affected, host_subject, remedy

from ._without_proxy import evidence, stuck


def find(case: Case) -> Iterator[Finding]:
    """Paths from the host to 127.0.0.1 that the kernel does not let out by the bridge."""
    for path, obstacle in stuck(case, "route-localnet"):
        facts = case.facts(path.host)
        network = next((n for n in facts.networks_of(obstacle.container) if n.bridge and n is path.network), None)
        network = network or next((n for n in facts.networks_of(obstacle.container) if n.bridge), None)
        if network is None:
            continue
        key = f"net.ipv4.conf.{network.bridge}.route_localnet"
        yield Finding(
            severity="error",
            confidence="proven",
            subject=host_subject(facts),
            affects=affected(facts, obstacle.container),
            summary=(
                f"{path.destination.address}:{path.destination.port} on {facts.name} does not reach {obstacle.container}: "
                f"docker-proxy is off, and {key} is 0."
            ),
            evidence=evidence(facts, key, "0", (path,)),
            fixes=(remedy.set_sysctl(facts, key, "1", before="0"),),
            hop="mapping",
            explains=(path,),
        )


check = Check(
    cause="route-localnet-off",
    title="localhost is not routed to the bridge",
    subjects=("host",),
    needs=("mapping", "engine", "daemon.process", "daemon.files", "host.files"),
    find=find,
    phrases=("route_localnet", "works from outside but not from localhost", "martian source 127.0.0.1"),
)
