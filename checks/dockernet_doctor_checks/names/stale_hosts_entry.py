"""stale-hosts-entry: /etc/hosts (extra_hosts, --link) maps a name to an address that is not its container's (rule 18)."""

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
    container_subject,
    is_loopback,
    model,
    names,
    obstacles,
    probe_evidence,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Every hosts file with an entry that points beside its container, and the paths that took it."""
    explained: dict[tuple[str, str], list[Path]] = {}
    for path, obstacle in case.broken_by(obstacles.NameMisleads):
        if obstacle.by == "hosts" and path.source is not None:
            explained.setdefault((path.host, path.source.id), []).append(path)
    for facts, container in case.running():
        if facts.namespace_lost(container):
            continue  # the file is of the container whose namespace it shared
        paths = explained.get((facts.name, container.id), [])
        for entry, target in stale(facts, container):
            mine = tuple(p for p in paths if p.destination.address == entry.address)
            if mine or not (target is container and _has_another(facts, container, entry)):
                yield _finding(facts, container, entry, target, mine)
        if paths:
            yield from _beside(facts, container, paths)


def _beside(facts: HostFacts, container: model.Container, paths: list[Path]) -> Iterator[Finding]:
    """Entries that hide a container of a shared network behind loopback or the container's own hostname, or behind an
    address of no network here that fails."""
    for entry in (container.sandbox.hosts or ()) if container.sandbox else ():
        known = {name.lower() for name in entry.names}
        mine = tuple(
            p for p in paths if p.destination.address == entry.address and p.question.target.name.rstrip(".").lower() in known
        )
        target = names.meant(facts, mine[0].question.target.name, container) if mine else None
        if mine and (facts.network_containing(entry.address) is None or _is_own(facts, container, entry)):
            yield _finding(facts, container, entry, target, mine)


def _is_own(facts: HostFacts, container: model.Container, entry: model.HostsEntry) -> bool:
    return any(entry.address in (e.ipv4, e.ipv6) for e in facts.endpoints(container))


def stale(facts: HostFacts, container: model.Container) -> Iterator[tuple[model.HostsEntry, model.Container | None]]:
    """Entries for container addresses that are wrong, and the container that the name means, where one is known."""
    for entry in (container.sandbox.hosts or ()) if container.sandbox else ():
        network = facts.network_containing(entry.address)
        if network is None or facts.is_own(entry.address) or entry.address in {s.gateway for s in network.subnets}:
            continue
        if _is_own(facts, container, entry) or facts.held_elsewhere(network, entry.address):
            continue
        found = facts.holder(entry.address)
        holder = found[0] if found else None
        owners = {n: t for n in entry.names if (t := names.meant(facts, n, container)) is not None}
        if any(facts.namespace_owner(t) is holder for t in owners.values()) and holder is not None:
            continue
        target = next(iter(owners.values()), None)
        if target is not None and not target.state.running and holder is None:
            continue  # it comes back to an address when it is started: container-not-running
        if target is not None or holder is None:
            yield entry, target


def _has_another(facts: HostFacts, container: model.Container, entry: model.HostsEntry) -> bool:
    """True if a further line gives its own name an address that it has: 20.10 leaves the line of a network
    that the container left, and whoever asks gets both."""
    own = {a for e in facts.endpoints(container) for a in (e.ipv4, e.ipv6)}
    lines = (container.sandbox.hosts or ()) if container.sandbox else ()
    return any(line.address in own and set(line.names) & set(entry.names) for line in lines)


def _finding(
    facts: HostFacts,
    container: model.Container,
    entry: model.HostsEntry,
    target: model.Container | None,
    paths: tuple[Path, ...],
) -> Finding:
    found = facts.holder(entry.address)
    own = _is_own(facts, container, entry)
    itself = own or is_loopback(entry.address)
    ours = facts.network_containing(entry.address) is not None
    if itself:
        whose = f"{container} itself" + (", by its hostname" if _is_hostname(container, entry) else "")
    elif found:
        whose = f"the address of {found[0]} now"
    else:
        whose = "nobody's address now" if ours else "no container's address"
    now = f"; {target} is at {address}" if target and (address := _address(facts, container, target)) else ""
    name = paths[0].question.target.name if paths else entry.names[0]
    return Finding(
        severity="error",
        confidence="proven" if ours or itself else "likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} resolves {name} to {entry.address} from its /etc/hosts, which is {whose}{now}.",
        evidence=(
            Evidence(
                fact=f"{entry.address} {' '.join(entry.names)}",
                value=f"held by {found[0].name}" if found else "held by nobody",
                source=f"/etc/hosts of {container.name}",
            ),
            *probe_evidence(*paths),
        ),
        fixes=tuple(_fixes(facts, container, entry, target)),
        hop="name",
        explains=paths,
    )


def _is_hostname(container: model.Container, entry: model.HostsEntry) -> bool:
    return bool(container.hostname) and container.hostname.lower() in {name.lower() for name in entry.names}


def _address(facts: HostFacts, container: model.Container, target: model.Container) -> str:
    shared = {n.id for n in facts.common_networks(container, target)}
    endpoints = sorted(facts.endpoints(target), key=lambda e: e.network_id not in shared)
    return next((e.ipv4 or e.ipv6 or "" for e in endpoints if e.ipv4 or e.ipv6), "")


def _fixes(
    facts: HostFacts, container: model.Container, entry: model.HostsEntry, target: model.Container | None
) -> Iterator[Fix]:
    if any(link.alias in entry.names or (target and link.target == target.name) for link in container.links):
        yield remedy.alter(facts, container, summary=f"Recreate {container}, so that its link is resolved again.")
        return
    written = tuple(h for h in container.extra_hosts if h.partition(":")[0] in entry.names)
    if not written and _is_own(facts, container, entry) and _is_hostname(container, entry):
        summary = f"Recreate {container} without the hostname {container.hostname}, which is another container's name."
        if container.swarm or container.network_mode.startswith("container:"):
            yield Fix(summary=summary, runnable=False)
        else:
            yield remedy.alter(facts, container, summary=summary, hostname="")
        return
    address = _address(facts, container, target) if target else ""
    own_file = "/etc/hosts" not in container.mounts and not container.network_mode.startswith("container:")
    if not written and own_file:
        # the engine rewrites the file at each start (all engines); what somebody added by hand is gone then
        yield remedy.restart(facts, container, summary=f"Restart {container}: the engine rewrites /etc/hosts.")
        return
    if not written or target is None or not address:
        summary = f"Take the entry {entry.address} {' '.join(entry.names)} out of the settings of {container}."
        yield Fix(summary=summary, runnable=False)
        return
    wanted = {h.partition(":")[0] for h in written}
    served = {n for e in _shared(facts, container, target) for n in names.embedded_names(target, e)}
    add = tuple(f"{n}:{address}" for n in sorted(wanted) if n.lower() not in served)
    how = f"with {target}'s address {address}" if add else "without the entry: Docker's DNS knows the name"
    summary = f"Recreate {container} {how}."
    yield remedy.alter(facts, container, summary=summary, add_hosts=add, remove_hosts=written)


def _shared(facts: HostFacts, container: model.Container, target: model.Container) -> Iterator[model.Endpoint]:
    shared = {n.id for n in facts.common_networks(container, target) if n.has_dns}
    yield from (e for e in target.endpoints if (n := facts.network_of(e)) and n.id in shared)


check = Check(
    cause="stale-hosts-entry",
    title="A hosts entry points to an address its container no longer has",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "sandbox.files", "name"),
    find=find,
    phrases=("cannot link to a non running container", "no route to host", "connection refused"),
    article=(18, 21),
)
