"""host-port-in-use: a container cannot start since another container or process has its host port (article rule 6)."""

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
    Path,
    affected,
    listed,
    mapping_text,
    model,
    obstacles,
    port_subject,
    remedy,
    shell,
    stopped,
)

from ._host_port import Holder, Refusal, holder, overlap, refusal
from ._listening import at, free_port

# Programs whose purpose is to serve on the host: not to be ended for a container's sake.
_SERVICES = """
    apache2 caddy chronyd containerd cupsd dnsmasq dockerd envoy exim4 haproxy httpd lighttpd mariadbd master memcached mongod
    mysqld named nginx ntpd postgres redis-server rpcbind smbd sshd systemd systemd-resolve systemd-resolved traefik unbound
"""
SERVICES = frozenset(_SERVICES.split())
# What programs say, and the port where they do: "listen tcp :80: bind: address already in use", "EADDRINUSE … 0.0.0.0:80".
# compiled where a program ended, which few did
_IN_USE = r"(?i)address (?:is )?already in use|EADDRINUSE|port \d+ (?:is|was) already in use"
_PORT = r"(?i)(?:\d\.\d{1,3}\.\d{1,3}|[\]*:]|null|(?<=\s)):(\d{2,5})\b(?!:\d)|', (\d{2,5})\)|\bport:? (\d{2,5})\b"
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
    for facts, container in case.containers():
        yield from _in_its_namespace(case, facts, container)


def _in_its_namespace(case: Case, facts: HostFacts, container: model.Container) -> Iterator[Finding]:
    """A program that ended since its port has a listener already: of the host in mode host, or of a container whose network
    it shares. The port is one that its log says, or that its image exposes."""
    owner, by_host = facts.namespace_owner(container), facts.in_host_mode(container)
    shared = owner is not None and owner is not container and owner.state.running
    said = [line for line in container.log_tail if re.search(_IN_USE, line)]
    if owner is None or not said or not (shared or by_host):
        return
    if not container.state.restarting and (container.state.running or stopped.by_design(container)):
        return  # in a new life the listener may be its own
    stack = facts.machine if by_host else owner.sandbox.stack if owner.sandbox else None
    ports = {int(port) for line in said for found in re.findall(_PORT, line) for port in found if port}
    ports = ports or {port for port, _protocol in container.exposed}
    held = next((li for li in (stack.listeners if stack else None) or () if li.port in ports), None)
    if held is None:
        return
    listener = f"{at(held.address, held.port)}/{held.protocol}"
    where = facts.here if by_host else f"the network that it shares with {owner}"
    whose = _listening(facts, container, owner, held)
    paths = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id == container.id)
    yield Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, held.port, held.protocol),
        affects=affected(facts, container),
        summary=f"{container} cannot listen on port {held.port}/{held.protocol} of {where}: {whose} already uses it.",
        evidence=(
            Evidence(fact="log", value=said[-1], source=f"log of {container.name}"),
            Evidence(fact="listener", value=f"{listener}, {whose}", source=f"sockets of {where}"),
        ),
        fixes=(Fix(summary=f"Configure {container} to listen on another port.", runnable=False),),
        hop="target" if paths else "listener",
        explains=paths,
    )


def _listening(facts: HostFacts, container: model.Container, owner: model.Container, held: model.Listener) -> str:
    """Whose socket it is, or which containers it may be of: owners of sockets inside containers are not looked for."""
    by = facts.container(held.process.container) if held.process and held.process.container else None
    if by is not None or facts.in_host_mode(container):
        return _name(facts, Holder(by, None, held))
    mates = [str(c) for c in facts.running if c is not container and facts.namespace_owner(c) is owner]
    return listed(mates, "or")


def _finding(facts: HostFacts, refused: Refusal, held: Holder | None, paths: tuple[Path, ...]) -> Finding:
    container = refused.container
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, refused.container_port, refused.protocol),
        affects=affected(facts, container),
        summary=_summary(facts, refused, held),
        evidence=(
            Evidence(fact="State.Error", value=container.state.error, source=f"inspection of {container.name}"),
            *_evidence(facts, held),
        ),
        fixes=_fixes(facts, refused, held),
        hop="target" if paths else "publish",
        explains=paths,
    )


def _summary(facts: HostFacts, refused: Refusal, held: Holder | None) -> str:
    name, wanted = str(refused.container), refused.binding.host_port if refused.binding else ""
    if "-" in wanted:
        return (
            f"{name} cannot start: all its host ports {wanted}/{refused.protocol} are held, the first by {_name(facts, held)}."
        )
    return f"{name} cannot start: its host port {refused.port}/{refused.protocol} is held by {_name(facts, held)}."


def _name(facts: HostFacts, held: Holder | None) -> str:
    if held is None:
        return "an unknown process"
    if held.container:
        return f"the container {held.container}"
    process = held.listener.process if held.listener else None
    return f"{process.name} (pid {process.pid})" if process else f"a process of {facts.here}"


def _evidence(facts: HostFacts, held: Holder | None) -> Iterator[Evidence]:
    if held and held.published and held.container:
        yield Evidence(fact="published", value=mapping_text(held.published), source=f"inspection of {held.container.name}")
    if held and held.listener:
        where = at(held.listener.address, held.listener.port)
        yield Evidence(
            fact="listener", value=f"{where}/{held.listener.protocol}, {_name(facts, held)}", source="sockets of the host"
        )


def _fixes(facts: HostFacts, refused: Refusal, held: Holder | None) -> tuple[Fix, ...]:
    elsewhere = _elsewhere(facts, refused, held)
    freed = _freed(refused, held)
    process = held.listener.process if held and held.listener and not held.container else None
    if process and not _is_service(process):
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


def _is_service(process: model.Process) -> bool:
    return process.name in SERVICES and process.of_daemon is not False


def _freed(refused: Refusal, held: Holder | None) -> tuple[Fix, ...]:
    """Have the holder let go, and start the container."""
    name = str(refused.container)
    start = shell.command("docker", "start", *shell.operands(refused.container.name))
    if held is None:
        return (
            Fix(
                summary=f"Find what holds the port (ss -lptn 'sport = :{refused.port}'), end it, start {name}.", runnable=False
            ),
        )
    if held.container:
        stop = shell.command("docker", "stop", *shell.operands(held.container.name))
        return (Fix(summary=f"Stop {held.container}, which has the port, and start {name}.", commands=(stop, start)),)
    process = held.listener.process if held.listener else None
    if process is None:
        return ()
    if process.name in RESOLVED:
        text = f"Set DNSStubListener=no in /etc/systemd/resolved.conf, restart systemd-resolved, and start {name}."
        return (Fix(summary=text, runnable=False),)
    if _is_service(process):
        return (
            Fix(
                summary=f"Make {process.name} (pid {process.pid}) release port {refused.port}, and start {name}.",
                runnable=False,
            ),
        )
    pid = str(process.pid)
    end = remedy.end_listener(process, refused.port)
    wait = shell.line("for i in 1 2 3 4 5; do kill -0 {} 2>/dev/null || break; sleep 1; done; {}", pid, start)
    return (
        Fix(summary=f"End {process.name} (pid {process.pid}), which has the port, and start {name}.", commands=(end, wait)),
    )


check = Check(
    cause="host-port-in-use",
    title="Another container or process has the host port",
    subjects=("port",),
    needs=("engine", "host.network", "host.sockets", "target", "sandbox.network"),
    podman=True,
    find=find,
    frequent=True,
    phrases=(
        "port is already allocated",
        "bind: address already in use",
        "failed to bind host port … address already in use",
        "failed programming external connectivity on endpoint … failed to bind host port … address already in use",
        "failed to bind … address already in use",
        "create listen socket: address already in use",
        "ports are not available",
        "error starting userland proxy",
        "all ports are allocated",
        "bind() to … failed (98: address already in use)",
        "[errno 98] address already in use",
        "listen eaddrinuse: address already in use",
        "is already in use by service … as an ingress port",
    ),
    article=(6,),
)
