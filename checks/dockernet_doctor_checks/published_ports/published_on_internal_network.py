"""published-on-internal-network: a port is published by a container that has no network leading out, so nothing happens."""

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
    bound_elsewhere,
    daemon,
    dockerd,
    listed,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    who,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths that stop at a mapping asked for and not made, in containers on internal networks only, or on none at all."""
    for path, obstacle in case.broken_by(obstacles.PublishedInVain):
        facts = case.facts(path.host)
        container, port = obstacle.container, obstacle.port
        networks = facts.networks_of(container)
        if any(not n.internal for n in networks) or bound_elsewhere.routed_networks(facts, container):
            continue
        if container.network_mode == "none" and networks:
            continue  # none-network
        names = listed(n.name for n in networks)
        what = f"is on the internal network {names} only" if names else "is on no network"
        asked = [b for b in container.bindings if b.port == port and b.protocol == obstacle.protocol] or container.bindings
        mapping = listed(map(remedy.publish_flag, asked))
        inner = asked[0].port if asked else port
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, inner, obstacle.protocol),
            affects=affected(facts, container),
            summary=(
                f"{container}:{inner} cannot be reached from {who(path)}: {container} {what},"
                f" where publishing {mapping} has no effect."
            ),
            evidence=(
                Evidence(fact="PortBindings", value=mapping, source=f"inspection of {container.name}"),
                Evidence(fact="NetworkSettings.Ports", value="no host port", source=f"inspection of {container.name}"),
                *(Evidence(fact="Internal", value="true", source=f"inspection of network {n.name}") for n in networks),
                *probe_evidence(path),
            ),
            fixes=_fixes(facts, container, networks),
            hop="publish",
            explains=(path,),
        )


def _fixes(facts: HostFacts, container: model.Container, networks: tuple[model.Network, ...]) -> tuple[Fix, ...]:
    default = daemon.option(facts, "bridge")
    if default is not None and default.value == "none" and "bridge" not in facts.networks and not networks:
        out = f"Remove the option bridge=none, and recreate {container}, which has had no network since."
        without, again = dockerd.set_option(facts, "bridge", None, summary=out), remedy.alter(facts, container, summary=out)
        commands, impacts = (*without.commands, *again.commands), dict.fromkeys((*without.impacts, *again.impacts))
        runnable = without.runnable and again.runnable
        return (Fix(summary=out, commands=commands, edits=without.edits, impacts=tuple(impacts), runnable=runnable),)
    if networks:
        summary = f"Connect {container} to the network bridge as well: it leads out, and ports are published there."
        return remedy.join_network(facts, container, "bridge", summary=summary)
    home = facts.networks.get(container.network_mode)
    return remedy.join_network(facts, container, home.name if home and not home.internal else "bridge")


check = Check(
    cause="published-on-internal-network",
    title="Publishing has no effect on an internal network",
    subjects=("port",),
    needs=("engine", "daemon.process", "daemon.files", "publish"),
    find=find,
    phrases=("port published but not listed in docker ps", "connection refused"),
)
