"""overlay-not-attachable: a plain container on an overlay that is for services only."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, affected, model, network_subject, shell

_TEXT = r"network (\S+) not manually attachable"


def find(case: Case) -> Iterator[Finding]:
    """Containers that did not start since their overlay takes services only."""
    for facts in case.hosts:
        for container in facts.containers:
            match = re.search(_TEXT, container.state.error) if not container.state.running else None
            if match is None:
                continue
            network = facts.networks.get(match[1])
            yield Finding(
                severity="error",
                confidence="proven",
                subject=network_subject(facts, network or model.Network(id="", name=match[1], driver="overlay")),
                affects=affected(facts, container),
                summary=f"{container} cannot join the network {match[1]}: it is for services only (no --attachable).",
                evidence=(
                    Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}"),
                    *(
                        (Evidence(fact="Attachable", value=str(network.attachable).lower(), source=f"network {network.name}"),)
                        if network
                        else ()
                    ),
                ),
                fixes=tuple(_fixes(facts, network, match[1], container)),
                hop="target",
                explains=tuple(p for p in case.paths if p.host == facts.name and container in (p.target, p.source)),
            )


def _fixes(facts: HostFacts, network: model.Network | None, name: str, container: model.Container) -> Iterator[Fix]:
    engine = facts.snapshot.engine
    manager = engine is not None and engine.swarm.manager
    used = any(network is not None and network.id in s.networks for s in facts.snapshot.services)
    start = shell.command("docker", "start", *shell.operands(container.name))
    if not used:
        options = [
            word
            for k, v in (network.options if network else {}).items()
            if "vxlanid_list" not in k
            for word in ("--opt", f"{k}={v}")
        ]
        subnets = [word for s in (network.subnets if network else ()) for word in _subnet(s)]
        make = shell.command(
            "docker", "network", "create", "-d", "overlay", "--attachable", *options, *subnets, *shell.operands(name)
        )
        yield Fix(
            summary=f"Recreate {name}, which no service uses, with --attachable, and start {container}.",
            commands=(shell.then(shell.command("docker", "network", "rm", *shell.operands(name)), make), start),
            impacts=("changes-network",),
            runnable=manager,
        )
    beside = f"{name}-attachable"
    yield Fix(
        summary=f"Create {beside} for plain containers, and start {container} there.",
        commands=(
            shell.command("docker", "network", "create", "-d", "overlay", "--attachable", *shell.operands(beside)),
            shell.command("docker", "network", "disconnect", "-f", *shell.operands(name, container.name)),
            shell.command("docker", "network", "connect", *shell.operands(beside, container.name)),
            start,
        ),
        impacts=("changes-network",),
        runnable=manager,
    )


def _subnet(subnet: model.Subnet) -> list[str]:
    return ["--subnet", subnet.subnet, *(["--gateway", subnet.gateway] if subnet.gateway else [])]


check = Check(
    cause="overlay-not-attachable",
    title="A plain container on an overlay for services only",
    subjects=("network",),
    needs=("engine",),
    find=find,
    phrases=("not manually attachable", "could not attach to network"),
)
