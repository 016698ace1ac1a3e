"""vxlan-port-taken: UDP 4789 is used by something else on this host (NSX, Proxmox SDN, a foreign VXLAN)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    addressing,
    affected,
    cluster,
    daemon,
    host_subject,
    model,
    remedy,
    shell,
)

_TEXT = r"(vxlan|overlay|sandbox).*address already in use"


def find(case: Case) -> Iterator[Finding]:
    """A host on which Docker could not open its VXLAN port, as a container's error or the log says."""
    for facts in case.hosts:
        hurt = [c for c in facts.containers if not c.state.running and re.search(_TEXT, c.state.error)]
        line = daemon.logged(facts, _TEXT)
        if not hurt and line is None:
            continue
        port = _port(facts)
        holder = _holder(facts, port)
        if not hurt and not holder:
            continue  # it was so once
        by = _name(holder) if holder else "something else"
        yield Finding(
            severity="error",
            confidence="proven" if holder else "likely",
            subject=host_subject(facts),
            affects=affected(facts, *hurt),
            summary=f"UDP {port} of {facts.name}, which overlay networks need, is in use by {by}: containers cannot join them.",
            evidence=(
                *(Evidence(fact="State.Error", value=c.state.error, source=f"inspection of {c.name}") for c in hurt[:3]),
                *((Evidence(fact=f"udp {port}", value=_name(holder), source="sock_diag, rtnetlink"),) if holder else ()),
                *daemon.log_evidence(facts, line),
            ),
            fixes=tuple(_fixes(port, holder)),
            hop="target" if hurt else None,
            explains=tuple(p for p in case.paths if p.host == facts.name and p.target in hurt)
            + cluster.paths_across(case, facts),
        )


def _port(facts: HostFacts) -> int:
    engine = facts.snapshot.engine
    return (engine.swarm.data_path_port if engine else 0) or cluster.VXLAN


def _holder(facts: HostFacts, port: int) -> model.Process | model.Link | None:
    """A process, or a VXLAN interface of the host's own; Docker's own interfaces live in namespaces of their own."""
    if facts.stack is None:
        return None
    for listener in facts.stack.listeners or ():
        if listener.protocol == "udp" and listener.port == port and listener.process is not None:
            return listener.process
    return next((link for link in facts.stack.links if link.kind == "vxlan" and link.vxlan_port == port), None)


def _name(holder: model.Process | model.Link) -> str:
    return f"{holder.name} (pid {holder.pid})" if isinstance(holder, model.Process) else f"the interface {holder.name}"


def _fixes(port: int, holder: model.Process | model.Link | None) -> Iterator[Fix]:
    if isinstance(holder, model.Process):
        yield Fix(
            summary=f"End {_name(holder)}, and start the containers again.",
            commands=(remedy.end_listener(holder, port),),
            runnable=True,
        )
    elif holder:
        link = ("link", "set", holder.name)
        summary = f"Take {holder.name} down, and start the containers again."
        down = addressing.ip(*link, "down", back=(*link, "up"))
        yield addressing.networking(down, summary=summary, lasts="until-reboot")
    yield Fix(
        summary=f"Or give Swarm another port: every node leaves, and it is created again with --data-path-port {port + 1}.",
        commands=(
            shell.command("docker", "swarm", "leave", "--force"),
            shell.command("docker", "swarm", "init", "--data-path-port", str(port + 1)),
        ),
        impacts=("changes-network",),
        runnable=False,
    )


check = Check(
    cause="vxlan-port-taken",
    title="The VXLAN port is taken by something else",
    subjects=("host",),
    needs=("engine", "log", "host.network", "host.sockets"),
    find=find,
    phrases=(
        "vxlan interface creation failed",
        "error creating vxlan interface",
        "failed to set link up: address already in use",
    ),
)
