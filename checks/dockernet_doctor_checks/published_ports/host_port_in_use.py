"""host-port-in-use: a container cannot start since another container or process has its host port (article rule 6)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    mapping_text,
    model,
    obstacles,
    port_subject,
    remedy,
)

from ._host_port import Holder, Refusal, holder, overlap, refusal
from ._listening import at, free_port

# Programs whose purpose is to serve on the host: not to be ended for a container's sake.
_SERVICES = """
    apache2 caddy chronyd containerd cupsd dnsmasq dockerd envoy exim4 haproxy httpd lighttpd mariadbd master memcached mongod
    mysqld named nginx ntpd postgres redis-server rpcbind smbd sshd systemd systemd-resolve systemd-resolved traefik unbound
"""
SERVICES = frozenset(_SERVICES.split())
RESOLVED = ("systemd-resolve", "systemd-resolved")


def find(case: Case) -> Iterator[Finding]:
    """Containers whose last start failed for a port that is still held; whose holder cannot be seen, where nothing can."""
    for facts, container in case.containers():
        refused = refusal(container)
        if refused is None or refused.kind == "no-address":
            continue
        held = holder(facts, refused)
        blind = facts.machine is None or facts.machine.listeners is None
        if held is None and not blind:
            continue  # free again, or orphan-port-allocation
        paths = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id == container.id)
        yield _finding(facts, refused, held, paths)


def _finding(facts: HostFacts, refused: Refusal, held: Holder | None, paths: tuple[Path, ...]) -> Finding:
    container = refused.container
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, refused.container_port, refused.protocol),
        affects=affected(facts, container),
        summary=_summary(refused, held),
        evidence=(
            Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}"),
            *_evidence(held),
        ),
        fixes=_fixes(facts, refused, held),
        hop="target" if paths else "publish",
        explains=paths,
    )


def _summary(refused: Refusal, held: Holder | None) -> str:
    name, wanted = refused.container.name, refused.binding.host_port if refused.binding else ""
    if "-" in wanted:
        return f"{name} cannot start: all its host ports {wanted}/{refused.protocol} are held, the first by {_name(held)}."
    return f"{name} cannot start: its host port {refused.port}/{refused.protocol} is held by {_name(held)}."


def _name(held: Holder | None) -> str:
    if held is None:
        return "something that could not be seen"
    if held.container:
        return f"the container {held.container.name}"
    process = held.listener.process if held.listener else None
    return f"{process.name} (pid {process.pid})" if process else "a process of this host"


def _evidence(held: Holder | None) -> Iterator[Evidence]:
    if held and held.published and held.container:
        yield Evidence(fact="published", value=mapping_text(held.published), source=f"inspection of {held.container.name}")
    if held and held.listener:
        where = at(held.listener.address, held.listener.port)
        yield Evidence(fact="listener", value=f"{where}/{held.listener.protocol}, {_name(held)}", source="sockets of the host")


def _fixes(facts: HostFacts, refused: Refusal, held: Holder | None) -> tuple[Fix, ...]:
    elsewhere = _elsewhere(facts, refused, held)
    freed = _freed(refused, held)
    process = held.listener.process if held and held.listener and not held.container else None
    if process and process.name not in SERVICES:
        return (*freed, *elsewhere)
    return (*elsewhere, *freed)


def _elsewhere(facts: HostFacts, refused: Refusal, held: Holder | None) -> tuple[Fix, ...]:
    """Another host port; or, where the holder has one address only, the same port on this host's own."""
    binding = refused.binding
    if binding is None:
        return ()
    uplink = next((a for a in facts.uplink_addresses if ":" not in a), "")
    listener = held.listener if held else None
    container = refused.container
    stale = [b for b in container.bindings if b.host_port == binding.host_port and b.protocol == binding.protocol]
    if listener and uplink and not binding.host_ip and not overlap(listener.address, uplink) and listener.address != "::":
        moved = [b for b in container.bindings if b.host_port == binding.host_port and not b.host_ip]
        right = [_with(b, host_ip=uplink) for b in moved]
        return remedy.republish(facts, container, add=right, remove=moved)
    port = str(free_port(facts, refused.port + 1 if refused.port >= 1024 else refused.port + 8000, refused.protocol))
    return remedy.republish(facts, container, add=[_with(b, host_port=port) for b in stale], remove=stale)


def _with(binding: model.PortBinding, *, host_ip: str = "", host_port: str = "") -> model.PortBinding:
    return model.PortBinding(
        port=binding.port,
        protocol=binding.protocol,
        host_ip=host_ip or binding.host_ip,
        host_port=host_port or binding.host_port,
    )


def _freed(refused: Refusal, held: Holder | None) -> tuple[Fix, ...]:
    """Have the holder let go, and start the container."""
    name = refused.container.name
    start = remedy.quoted("docker", "start", name)
    if held is None:
        return (
            Fix(
                summary=f"Find what holds the port (ss -lptn 'sport = :{refused.port}'), end it, start {name}.", runnable=False
            ),
        )
    if held.container:
        stop = remedy.quoted("docker", "stop", held.container.name)
        return (Fix(summary=f"Stop {held.container.name}, which has the port, and start {name}.", commands=(stop, start)),)
    process = held.listener.process if held.listener else None
    if process is None:
        return ()
    if process.name in RESOLVED:
        text = f"Set DNSStubListener=no in /etc/systemd/resolved.conf, restart systemd-resolved, and start {name}."
        return (Fix(summary=text, runnable=False),)
    if process.name in SERVICES:
        return (
            Fix(
                summary=f"Have {process.name} (pid {process.pid}) give up port {refused.port}, and start {name}.",
                runnable=False,
            ),
        )
    end = f'[ "$(cat /proc/{process.pid}/comm)" = {remedy.quoted(process.name)} ] && kill {process.pid}'
    wait = f"for i in 1 2 3 4 5; do kill -0 {process.pid} 2>/dev/null || break; sleep 1; done; {start}"
    return (
        Fix(summary=f"End {process.name} (pid {process.pid}), which has the port, and start {name}.", commands=(end, wait)),
    )


check = Check(
    cause="host-port-in-use",
    title="Another container or process has the host port",
    subjects=("port",),
    find=find,
    frequent=True,
    phrases=(
        "port is already allocated",
        "bind: address already in use",
        "failed to bind host port … address already in use",
        "failed programming external connectivity on endpoint … failed to bind host port … address already in use",
        "ports are not available",
        "error starting userland proxy",
        "all ports are allocated",
        "bind() to … failed (98: address already in use)",
        "is already in use by service … as an ingress port",
    ),
    article=(6,),
)
