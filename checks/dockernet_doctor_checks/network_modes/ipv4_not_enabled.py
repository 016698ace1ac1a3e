"""ipv4-not-enabled: IPv4 is asked for on a network that was created without it (`--ipv4=false`, engines from 28)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    HostFacts,
    Path,
    affected,
    mapping_text,
    model,
    network_subject,
    obstacles,
    probe_evidence,
    remedy,
    wanted,
    who,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths to an IPv4 address out of containers that have none, and to their ports by IPv4."""
    for path, obstacle in case.broken_by(obstacles.NoAddressOfFamily):
        if obstacle.family == 4 and obstacle.network is not None:
            summary = f"{obstacle.container} cannot reach {wanted(path)} over IPv4"
            yield _finding(case.facts(path.host), path, obstacle.container, obstacle.network, summary)
    for path, elsewhere in case.broken_by(obstacles.PublishedElsewhere, reasons=("no-ipv4",)):
        facts, name, port = case.facts(path.host), elsewhere.container.name, elsewhere.published[0]
        summary = f"{name}:{port.port} cannot be reached over IPv4 from {who(path)} at port {port.host_port}"
        texts = map(mapping_text, elsewhere.published)
        published = (Evidence(fact="published", value=text, source=f"inspection of {name}") for text in texts)
        yield _finding(facts, path, elsewhere.container, facts.networks_of(elsewhere.container)[0], summary, *published)


def _finding(
    facts: HostFacts, path: Path, container: model.Container, network: model.Network, summary: str, *more: Evidence
) -> Finding:
    joined = f"Connect {container} to the network bridge as well, which has IPv4."
    return Finding(
        severity="error",
        confidence="proven",
        subject=network_subject(facts, network),
        affects=affected(facts, container),
        summary=f"{summary}: the network {network.name} of {container} was created without IPv4.",
        evidence=(
            Evidence(fact="EnableIPv4", value="false", source=f"inspection of network {network.name}"),
            *more,
            *probe_evidence(path),
        ),
        fixes=remedy.join_network(facts, container, "bridge", summary=joined),
        hop=path.broken.hop if path.broken else None,
        explains=(path,),
    )


check = Check(
    cause="ipv4-not-enabled",
    title="The network was created without IPv4",
    subjects=("network",),
    needs=("engine", "publish"),
    find=find,
    phrases=("network is unreachable",),
)
