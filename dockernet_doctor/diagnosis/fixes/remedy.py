"""Fixes, ready to run: what a check recommends for the container, network, daemon or kernel setting at hand.

Each function takes the facts of the host and returns one `Fix`, or several with the best first. Those that change a
container choose the form by what made it: an edit of its compose file, `docker service update`, or the container made
anew (`recreate`). Commands follow the contract of `Fix`: POSIX sh, real names, each line run by its own `sh -c`. They are
made by `dockernet_doctor.shell`, never by formatting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from dockernet_doctor.diagnosis.change import Change, Commands, FirewallChange, PolicyRemoval, in_namespace
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Fix
from dockernet_doctor.diagnosis.fixes.compose_file import compose_edit, compose_join, compose_renew, joined
from dockernet_doctor.diagnosis.fixes.former_self import Substitution
from dockernet_doctor.diagnosis.fixes.recreate import publish_flag, recreate
from dockernet_doctor.diagnosis.fixes.recreate_network import recreate_network
from dockernet_doctor.diagnosis.fixes.settings import edit_daemon_json, restart_daemon, service_command, set_sysctl
from dockernet_doctor.netfilter.change import Way, undo, undo_policy
from dockernet_doctor.netfilter.ipsec import selector
from dockernet_doctor.netfilter.model import Decision
from dockernet_doctor.notation import listed
from dockernet_doctor.regex import regex
from dockernet_doctor.shell import Command, command, line, operands, output, unsayable
from dockernet_doctor.snapshot.model import Container, IpsecPolicy, PortBinding, Process, Reference

__all__ = [
    "Substitution",
    "after",
    "allow",
    "alter",
    "compose_edit",
    "edit_daemon_json",
    "end_listener",
    "enter_namespace",
    "firewall_change",
    "join_network",
    "joining",
    "point_at",
    "publish_flag",
    "recreate",
    "recreate_network",
    "remove_policy",
    "republish",
    "resettle",
    "restart",
    "restart_daemon",
    "service_command",
    "service_update",
    "set_sysctl",
    "start",
    "unpause",
]

_HOST_WORD = regex("(?:host|addr)[a-z]*$|server$", re.IGNORECASE)


def republish(
    facts: HostFacts,
    container: Container,
    add: Sequence[PortBinding] = (),
    remove: Sequence[PortBinding] = (),
    *,
    summary: str = "",
) -> tuple[Fix, ...]:
    """Publish the bindings `add` and give up those of `remove` (as `Container.bindings` holds them).

    The ports of a container that lives in the namespace of another are published at that one.
    """
    owner = facts.namespace_owner(container) or container
    summary = summary or _republishing(owner, add, remove)
    if owner.swarm:
        flags = [word for b in remove for word in ("--publish-rm", _service_port(facts, owner, b))]
        flags += [word for b in add for word in ("--publish-add", _service_port(facts, owner, b))]
        return (service_update(facts, owner, *flags, summary=summary),)
    if owner.compose:
        removed, added = tuple(map(publish_flag, remove)), tuple(map(publish_flag, add))
        return (compose_edit(facts, owner, summary=summary, remove={"ports": removed}, add={"ports": added}),)
    kept = [b for b in owner.bindings if b not in remove]
    return (recreate(facts, owner, summary=summary, publish=[*kept, *(b for b in add if b not in kept)]),)


def end_listener(process: Process, port: int) -> Command:
    """Ends a process of the host if it still has that name and that port: its number may be another's by now, and a bundle may
    say any."""
    pid = str(process.pid)
    if process.pid == 1:
        return unsayable("process 1 is the system's own")
    comm = output(command("cat", f"/proc/{pid}/comm"))
    holds = line("{} | grep -q {}", command("ss", "-Hlntup", f"sport = :{port}"), f"pid={pid},")
    return line("[ {} = {} ] && {} && kill {}", comm, process.name, holds, pid)


def alter(
    facts: HostFacts,
    container: Container,
    *,
    summary: str,
    hostname: str | None = None,
    add_hosts: Sequence[str] = (),
    remove_hosts: Sequence[str] = (),
    dns: Sequence[str] | None = None,
) -> Fix:
    """Recreate the container with these changes (see `recreate`), or as it is where there are none."""
    if container.swarm:
        flags = [word for host in add_hosts for word in ("--host-add", host)]
        flags += [word for host in remove_hosts for word in ("--host-rm", host)]
        flags += [word for server in dns or () if server not in container.dns for word in ("--dns-add", server)]
        flags += [word for server in container.dns if dns is not None and server not in dns for word in ("--dns-rm", server)]
        flags += ["--hostname", hostname] if hostname else []
        return service_update(facts, container, *(flags or ["--force"]), summary=summary)
    if container.compose is None:
        return recreate(
            facts,
            container,
            summary=summary,
            hostname=hostname,
            add_hosts=add_hosts,
            remove_hosts=remove_hosts,
            dns=dns,
        )
    old = {
        "hostname": container.hostname if hostname is not None and container.hostname != container.id[:12] else "",
        "extra_hosts": tuple(remove_hosts),
        "dns": container.dns if dns is not None else (),
    }
    new = {
        "hostname": hostname or "",
        "extra_hosts": tuple(add_hosts),
        "dns": tuple(dns or ()),
    }
    remove, add = ({k: v for k, v in block.items() if v} for block in (old, new))
    return (
        compose_edit(facts, container, summary=summary, remove=remove, add=add)
        if remove or add
        else compose_renew(facts, container, summary)
    )


def point_at(
    facts: HostFacts,
    container: Container,
    reference: Reference | None,
    host: str,
    port: int | None = None,
    *,
    networks: Sequence[str] = (),
    add_hosts: Sequence[str] = (),
    summary: str = "",
) -> Fix:
    """Let a setting of the container name `host` (and `port`, where that changes) instead of what it names now.

    The container is recreated, on `networks` too and with `add_hosts`. Without a reference, with one that stands in a label or
    a health check, for what Swarm made, or where the compose file does not say it plainly, it is said in words.
    """
    old = (reference.host if reference else "", reference.port if reference else None)
    said = f"{host}:{port or old[1]}" if port or old[1] else host
    summary = summary or f"Change {setting(container, reference)} to {said}."
    if reference is not None and reference.where == "environment" and container.compose:
        added, externals = joined(facts, container, networks) if networks else ((), [])
        add = {key: values for key, values in (("networks", added), ("extra_hosts", add_hosts)) if values}
        pointed = list(_pointed(reference, reference.key, host, port))
        fix = compose_edit(facts, container, summary=summary, add=add, externals=externals, substitutions=pointed)
        if fix.runnable:
            return fix
    if reference is None or container.swarm or container.compose or reference.where not in ("environment", "command"):
        join = [c for n in networks for f in join_network(facts, container, n)[:1] for c in f.commands] if networks else []
        unseen = reference is None or reference.where == "log"
        return Fix(summary=summary, commands=tuple(join), impacts=() if unseen else ("recreates-container",), runnable=False)
    variable = reference.key if reference.where == "environment" else ""
    return recreate(
        facts,
        container,
        summary=f"{summary} This recreates {container}.",
        networks=networks,
        add_hosts=add_hosts,
        substitutions=list(_pointed(reference, variable, host, port)),
    )


def setting(container: Container, reference: Reference | None) -> str:
    """The place to change, for a sentence."""
    if reference is None:
        return "what you dial"
    return f"the configuration of {container}" if reference.where == "log" else f"{reference.key} of {container}"


def _pointed(reference: Reference, variable: str, host: str, port: int | None) -> Iterator[Substitution]:
    """The setting's text with the new host, and the new port where that is another: behind it, or in the variable beside it."""
    old, old_port = reference.host, reference.port
    said = f"{host}:{port or old_port}"
    pairs = [(f"{old}:{old_port}", said)] if old_port else []
    if port is None or old_port in (None, port):
        pairs.append((old, host))
    elif reference.scheme:
        pairs += [(f"//{old}", f"//{said}"), (f"@{old}", f"@{said}")]  # the scheme's own port was meant
    elif variable:
        pairs.append((old, host))
        beside = _HOST_WORD.sub(lambda word: "port" if word[0].islower() else "PORT", variable)
        if beside != variable:
            yield Substitution(variable=beside, pairs=((str(old_port), str(port)),))
    yield Substitution(variable=variable, pairs=tuple(pairs))


def resettle(facts: HostFacts, *containers: Container) -> tuple[str, tuple[Change, ...]]:
    """A custom network for all of them: its name, and the changes that make it (where there is none) and connect them."""
    tasks = [c for c in containers if c.swarm]  # services take networks of the Swarm only
    driver, mixed = "overlay" if tasks else "bridge", bool(tasks) and len(tasks) < len(containers)
    own = [n for n in facts.networks.values() if n.has_dns and n.driver == driver and not n.ingress]
    own = [n for n in own if n.attachable or not mixed]
    custom = sorted(own, key=lambda n: n.internal)
    attached = {c.id: {n.id for n in facts.networks_of(c)} for c in containers}
    shared = next((n.name for n in custom if any(n.id in ids for ids in attached.values())), None)
    name, number = shared or "app", 2
    while shared is None and name in facts.networks:
        name, number = f"app-{number}", number + 1
    kind = ["-d", driver, *(["--attachable"] if mixed else [])] if tasks else []
    changes: tuple[Change, ...] = ()
    if shared is None:
        made = command("docker", "network", "create", *kind, *operands(name))
        changes = (Commands(forth=(made,), back=(command("docker", "network", "rm", *operands(name)),)),)
    for container in containers:
        if shared is None or facts.networks[shared].id not in attached[container.id]:
            changes += joining(facts, container, name)
    return name, changes


def joining(facts: HostFacts, container: Container, network: str, *, aliases: Sequence[str] = ()) -> tuple[Change, ...]:
    """What connects the container to the network now (see `join_network`), to be made together with something else."""
    return _changes(join_network(facts, container, network, aliases=aliases)[0])


def after(changes: Sequence[Change], fix: Fix) -> Fix:
    """The fix with these changes before its own."""
    whole = Fix.of(
        *changes,
        *_changes(fix),
        summary=fix.summary,
        impacts=fix.impacts,
        lasts=fix.lasts,
        runnable=fix.runnable,
        also=fix.also,
    )
    return replace(whole, edits=fix.edits, host=fix.host)


def _changes(fix: Fix) -> tuple[Change, ...]:
    return fix.changes or (Commands(forth=fix.commands, back=fix.undo),)


def join_network(
    facts: HostFacts,
    container: Container,
    network: str,
    *,
    aliases: Sequence[str] = (),
    address: str | None = None,
    gateway_priority: int | None = None,
    summary: str = "",
) -> tuple[Fix, ...]:
    """Connect the container to a network. `gateway_priority` is known from engine 28 on.

    `none` is left first, since it shuts out every other network; a container in mode `host` must be recreated, and for one
    in the namespace of another that other is connected. What Compose made is connected at once, and for good by the edit that
    comes second.
    """
    container = facts.namespace_owner(container) or container
    summary = summary or f"Connect {container} to the network {network}."
    if container.swarm:
        return (service_update(facts, container, "--network-add", network, summary=summary),)
    if container.network_mode == "host" or container.network_mode.startswith("container:"):
        if not container.compose:
            return (recreate(facts, container, summary=summary, network=network),)
        added, externals = joined(facts, container, [network])
        mode = {"network_mode": _compose_mode(facts, container)}
        return (compose_edit(facts, container, summary=summary, remove=mode, add={"networks": added}, externals=externals),)
    flags = [word for alias in aliases for word in ("--alias", alias)]
    flags += ["--ip6" if ":" in address else "--ip", address] if address else []
    flags += [f"--gw-priority={gateway_priority}"] if gateway_priority is not None else []
    attached = {e.network for e in container.endpoints}
    left = [n for n in ("none", network) if n in attached]
    now = Fix.of(
        *(_disconnection(container, n) for n in left),
        _connection(container, network, *flags),
        summary=summary,
        impacts=("changes-network",),
        lasts="until-restart" if container.compose else "permanent",
    )
    return (now, compose_join(facts, container, network, aliases, summary)) if container.compose else (now,)


def _connection(container: Container, network: str, *flags: str) -> Commands:
    names = operands(network, container.name)
    return Commands(
        forth=(command("docker", "network", "connect", *flags, *names),),
        back=(command("docker", "network", "disconnect", *names),),
    )


def _disconnection(container: Container, network: str) -> Commands:
    """Taken back with the aliases and the address that somebody gave the endpoint."""
    endpoint = next((e for e in container.endpoints if e.network == network), None)
    flags = [word for alias in endpoint.aliases for word in ("--alias", alias)] if endpoint else []
    flags += ["--ip", endpoint.requested_ipv4] if endpoint and endpoint.requested_ipv4 else []
    made = _connection(container, network, *flags)
    return Commands(forth=made.back, back=made.forth)


def service_update(facts: HostFacts, container: Container, *flags: str, summary: str) -> Fix:
    """`docker service update` for the service of a Swarm task; runnable where this host is a manager."""
    engine = facts.snapshot.engine
    service = operands(_service(container))
    return Fix.of(
        Commands(
            forth=(command("docker", "service", "update", *flags, *service),),
            back=(command("docker", "service", "rollback", *service),),
        ),
        summary=summary,
        impacts=("recreates-container",),
        runnable=engine is not None and engine.swarm.manager,
    )


def start(container: Container, *, summary: str = "") -> Fix:
    """Start a container that is not running."""
    name = operands(container.name)
    change = Commands(forth=(command("docker", "start", *name),), back=(command("docker", "stop", *name),))
    return Fix.of(change, summary=summary or f"Start {container}.", impacts=())


def unpause(container: Container) -> Fix:
    """Let a paused container go on."""
    name = operands(container.name)
    change = Commands(forth=(command("docker", "unpause", *name),), back=(command("docker", "pause", *name),))
    return Fix.of(change, summary=f"Unpause {container}.", impacts=(), lasts="until-restart")


def thaw(container: Container) -> Fix:
    """Let a container go on that was frozen past Docker, by the freezer of its cgroup (v1, else v2)."""
    pid = str(container.state.pid)
    change = Commands(forth=(_freezer(pid, "THAWED", "0"),), back=(_freezer(pid, "FROZEN", "1"),))
    return Fix.of(change, summary=f"Thaw {container}.", impacts=(), lasts="until-restart")


def _freezer(pid: str, old: str, new: str) -> Command:
    return line(
        "v1=$(sed -n 's/.*:freezer://p' /proc/{}/cgroup); v2=$(sed -n 's/^0:://p' /proc/{}/cgroup); "
        'if [ -n "$v1" ]; then echo {} > "/sys/fs/cgroup/freezer$v1/freezer.state"; '
        'else echo {} > "/sys/fs/cgroup$v2/cgroup.freeze"; fi',
        pid,
        pid,
        old,
        new,
    )


def go_on(process: Process, *, summary: str) -> Fix:
    """Let a process go on that a signal stopped."""
    pid = str(process.pid)
    change = Commands(forth=(command("kill", "-CONT", pid),), back=(command("kill", "-STOP", pid),))
    return Fix.of(change, summary=summary, impacts=(), lasts="until-restart")


def signal_on(container: Container) -> Fix:
    """Let the first process of a container go on, which a signal stopped."""
    name = operands(container.name)
    change = Commands(
        forth=(command("docker", "kill", "-s", "CONT", *name),), back=(command("docker", "kill", "-s", "STOP", *name),)
    )
    return Fix.of(change, summary=f"Let the process of {container} go on.", impacts=(), lasts="until-restart")


def restart(facts: HostFacts, container: Container, *, summary: str = "") -> Fix:
    """Restart a container and who shares its namespace, which is another after it; a Swarm task by its service."""
    summary = summary or f"Restart {container}."
    if container.swarm:
        return service_update(facts, container, "--force", summary=summary)
    sharing = [c.name for c in facts.sharing.get(container.id, ())]
    if sharing:
        summary += f" Then restart {listed(sharing)}, to join its new namespace."
    commands = tuple(command("docker", "restart", *operands(name)) for name in (container.name, *sharing))
    return Fix(summary=summary, commands=commands, impacts=("restarts-container",))


def enter_namespace(container: Container, *words: str) -> Command:
    """A program of the host, run in the container's network namespace."""
    return in_namespace(container.name, *words)


def allow(decision: Decision) -> Iterator[Fix]:
    """Ways to let the packet of a decision pass, the best first."""
    if decision.rule is not None:
        yield from map(firewall_change, undo(decision.rule, decision.packet, chain=decision.chain))
    elif decision.chain is not None and decision.packet is not None:
        yield from map(firewall_change, undo_policy(decision.chain, decision.packet, docker_user=False))


def firewall_change(way: Way, *others: Way, inside: Container | None = None) -> Fix:
    """A change of the firewall as a fix, together with the edits of other ways that are not the same.

    How long it lasts is known to the one who made the way; in the namespace of a container, no longer than that runs. What
    keeps it on this host joins it later (`keeping`).
    """
    edits = (*way.edits, *dict.fromkeys(edit for other in others for edit in other.edits if edit not in way.edits))
    more = ", and likewise on the other paths" if len(edits) > len(way.edits) else ""
    return Fix.of(
        *(FirewallChange(edit=edit, inside=inside.name if inside else "") for edit in edits),
        summary=f"{way.summary[0].upper()}{way.summary[1:]}{more}.",
        impacts=("changes-firewall",),
        lasts="until-restart" if inside else way.lasts,
        also="; ".join(dict.fromkeys(said.also for said in (way, *others) if said.also)),
    )


def _republishing(owner: Container, add: Sequence[PortBinding], remove: Sequence[PortBinding]) -> str:
    added, removed = (", ".join(map(publish_flag, bindings)) for bindings in (add, remove))
    change = f"{added} instead of {removed}" if add and remove else added or removed
    verb = "Publish" if add else "No longer publish"
    return f"{verb} {change} at {owner}."


def _service(container: Container) -> str:
    return container.swarm.service if container.swarm else container.name


def _service_port(facts: HostFacts, container: Container, binding: PortBinding) -> str:
    # without the mode, or with the wrong one, --publish-rm removes nothing and says nothing
    service = next((s for s in facts.snapshot.services if s.name == _service(container)), None)
    modes = {port[3] for port in service.ports if port[1] == binding.port} if service else set()
    only_host = bool(container.bindings) or (service is not None and service.endpoint_mode == "dnsrr")
    mode = modes.pop() if len(modes) == 1 else "host" if only_host else "ingress"
    published = f"published={binding.host_port}," if binding.host_port else ""
    return f"{published}target={binding.port},protocol={binding.protocol},mode={mode}"


def _compose_mode(facts: HostFacts, container: Container) -> str:
    owner = facts.namespace_owner(container)
    if owner is None or owner is container:
        return container.network_mode
    shared = owner.compose and container.compose and owner.compose.project == container.compose.project
    return f"service:{owner.compose.service}" if shared and owner.compose else f"container:{owner.name}"


def remove_policy(policy: IpsecPolicy) -> Fix:
    """Take an IPsec policy away that blocks; whatever made it may make it again."""
    return Fix.of(
        PolicyRemoval(policy=policy),
        summary=f"Remove the IPsec policy {' '.join(selector(policy))}.",
        impacts=("changes-firewall",),
        lasts="until-reboot",
        also="all else that the policy blocks",
    )
