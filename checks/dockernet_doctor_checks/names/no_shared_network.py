"""no-shared-network: source and target are on disjoint networks (article rules 3, 19, 23 and 25)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    cluster,
    container_subject,
    filtering,
    fleet,
    model,
    name_servers,
    names,
    obstacles,
    probe_evidence,
    remedy,
    routing,
    shell,
    stopped,
    unanswered_name,
)

from ._words import maps, networks_evidence

APART = ("apart", "service-apart", "no-network")
_End = tuple[HostFacts, model.Container]


def find(case: Case) -> Iterator[Finding]:
    """Names that belong to a container elsewhere, containers dialled outright, and addresses behind Docker's isolation."""
    for path, _obstacle in case.broken_by(obstacles.Obstacle):
        facts = case.facts(path.host)
        pair = _pair(facts, path)
        if pair is None:
            yield from _behind(facts, path)
            continue
        source, target = pair
        if path.target_host:
            yield _across_hosts(case, path, source, target)
            continue
        ours, theirs = _names(facts, source), _names(facts, target)
        if facts.in_host_mode(source) or facts.in_host_mode(target):
            continue
        if facts.common_networks(source, target):
            dialled = path.network or facts.network_containing(path.destination.address or "")
            if dialled is not None and isinstance(path.obstacle, (obstacles.Dropped, obstacles.NoCommonNetwork)):
                yield _other_address(facts, path, dialled, source, target)
            continue
        if any(unanswered_name.without_network(facts, c) not in ("", "no-network") for c in (source, target)):
            continue
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source} cannot reach {target}: they share no network ({source} is on "
                f"{', '.join(ours) or 'none at all'}, {target} on {', '.join(theirs) or 'none at all'})."
            ),
            evidence=(networks_evidence(facts, source), networks_evidence(facts, target), *probe_evidence(path)),
            fixes=tuple(_fixes(facts, path, source, target)),
            hop=path.broken.hop if path.broken else None,
            explains=(path,),
        )
    for path, alone in case.broken_by(obstacles.NoNetwork):
        facts = case.facts(path.host)
        if _pair(facts, path) is None and unanswered_name.without_network(facts, alone.container) == "no-network":
            yield _of_none(facts, path, alone.container)
    yield from _services(case)
    yield from _servers(case)
    for one in stopped.ended(case):
        yield from _of_ended(one)


def _of_ended(one: stopped.Ended) -> Iterator[Finding]:
    """A program that ended without a container which it names, and shares no network with."""
    facts, source = one.facts, one.container
    target = names.meant(facts, one.reference.host, source)
    if target is None or target is source or not target.state.running or maps(source, one.reference.host):
        return
    apart = not facts.common_networks(source, target)
    if not apart or any(facts.in_host_mode(c) or not _names(facts, c) for c in (source, target)):
        return
    said = f"{source} is on {', '.join(_names(facts, source))}, {target} on {', '.join(_names(facts, target))}"
    theirs = next((n for n in _names(facts, target) if n != "bridge"), None)
    fixes = remedy.join_network(facts, source, theirs) if theirs else ()
    again = remedy.restart(facts, source).commands if not source.swarm else ()
    yield Finding(
        severity="error",
        confidence="likely",
        subject=container_subject(facts, source),
        affects=affected(facts, source),
        summary=f"{source} crashes when it cannot reach {target} ({one.reference.key}): they share no network ({said}).",
        evidence=(*one.evidence, networks_evidence(facts, source), networks_evidence(facts, target)),
        fixes=tuple(fix.followed_by(*again) if fix.runnable else fix for fix in fixes),
        hop="target" if one.paths else "name",
        explains=one.paths,
    )


def _servers(case: Case) -> Iterator[Finding]:
    """DNS servers that are containers of other networks: a name that failed so, and in `check` whoever gets no answer."""
    for path, _dropped in case.broken_by(obstacles.Dropped):
        facts, source = case.facts(path.host), path.source
        for server in names.servers_of(facts, source) if source and path.broken and path.broken.hop == "name" else ():
            if source is not None and (holder := _holder_apart(facts, source, server)) is not None:
                yield _of_server(facts, source, holder, (path,))
    for facts, container, server, _result in name_servers.silent(case) if not case.asked else ():
        if (holder := _holder_apart(facts, container, server)) is not None:
            yield _of_server(facts, container, holder)


def _of_server(facts: HostFacts, container: model.Container, holder: model.Container, paths: tuple[Path, ...] = ()) -> Finding:
    alike = [c for c in facts.running if names.servers_of(facts, c) == names.servers_of(facts, container)]
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, *(c for c in alike if not facts.common_networks(c, holder))),
        summary=(
            f"{container} cannot reach {holder}, its DNS server: they share no network ({container} is on "
            f"{', '.join(_names(facts, container))}, {holder} on {', '.join(_names(facts, holder))})."
        ),
        evidence=(
            networks_evidence(facts, container),
            networks_evidence(facts, holder),
            *probe_evidence(*paths),
        ),
        fixes=remedy.join_network(facts, container, _names(facts, holder)[0]),
        hop="name",
        explains=paths,
    )


def _holder_apart(facts: HostFacts, container: model.Container, server: names.Server) -> model.Container | None:
    """The container whose address a DNS server has, where Docker keeps its network from that of who asks."""
    found = facts.holder(server.address)
    halt = filtering.before_server(facts, container, server) if found else None
    if found is None or halt is None or not isinstance(halt[0], obstacles.Dropped) or not is_isolation(halt[0]):
        return None
    return None if facts.common_networks(container, found[0]) else found[0]


def _services(case: Case) -> Iterator[Finding]:
    """Names of Swarm services that run on other hosts only, and are on none of the source's networks."""
    for path, unknown in case.broken_by(obstacles.NameUnanswered, obstacles.NoSuchTarget):
        assert isinstance(unknown, (obstacles.NameUnanswered, obstacles.NoSuchTarget))
        facts = case.facts(path.host)
        if (source := path.source) is None or path.target_host:
            continue
        if isinstance(unknown, obstacles.NameUnanswered) and (unknown.meant is not None or unknown.reason not in APART):
            continue
        if service := unanswered_name.service_elsewhere(facts, source, unknown.name):
            yield _of_a_service(facts, path, source, service)


def _of_a_service(facts: HostFacts, path: Path, source: model.Container, service: model.Service) -> Finding:
    """A Swarm service whose tasks run on other hosts: a manager knows its networks all the same."""
    theirs = [n for n in facts.snapshot.networks if n.id in service.networks and not n.ingress]
    ours = [n for n in facts.networks_of(source) if n.driver != "null"]
    open_to = [n for n in theirs if source.swarm or _open(n)]
    overlay = next((n for n in ours if n.driver == "overlay"), None)
    said = ", ".join(n.name for n in ours) or "none at all"
    if open_to:
        fixes = remedy.join_network(facts, source, open_to[0].name)
    elif overlay is not None:
        add = shell.command(
            "docker", "service", "update", "--detach", "--network-add", overlay.name, *shell.operands(service.name)
        )
        summary = f"Connect {service.name} to the network {overlay.name}."
        fixes = (Fix(summary=summary, commands=(add,), impacts=("recreates-container",)),)
    else:
        fixes = (Fix(summary=f"Create an attachable overlay network for {source} and {service.name}.", runnable=False),)
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, source),
        affects=affected(facts, source),
        summary=(
            f"{source} cannot reach the service {service.name}: they share no network ({source} is on {said}, "
            f"{service.name} on {', '.join(n.name for n in theirs) or 'no overlay of its own'})."
        ),
        evidence=(networks_evidence(facts, source), *probe_evidence(path)),
        fixes=fixes,
        hop=path.broken.hop if path.broken else None,
        explains=(path,),
    )


def _across_hosts(case: Case, path: Path, source: model.Container, target: model.Container) -> Finding:
    """Two containers of different hosts: only an overlay network can be shared."""
    here, there = case.facts(path.source_host or path.host), case.facts(path.target_host)
    ours, theirs = _names(here, source), _names(there, target)
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(here, source),
        affects=affected(here, source),
        summary=(
            f"{source} on {here.name} cannot reach {target} on {there.name}: they share no overlay network "
            f"({source} is on {', '.join(ours) or 'none at all'}, {target} on {', '.join(theirs) or 'none at all'})."
        ),
        evidence=(networks_evidence(here, source), networks_evidence(there, target)),
        fixes=_joining_an_overlay(case, (here, source), (there, target)),
        hop="network",
        explains=(path,),
    )


def _joining_an_overlay(case: Case, source: _End, target: _End) -> tuple[Fix, ...]:
    """The overlay network of one is joined by the other, where their hosts are of one cluster: a worker needs not list it."""
    for (host, joining), (other, member) in ((source, target), (target, source)):
        for network in cluster.overlays(other) if other in fleet.mates(case, host) else ():
            if network in other.networks_of(member) and _open(network):
                return tuple(replace(fix, host=host.name) for fix in remedy.join_network(host, joining, network.name))
    names = f"{source[1].name} and {target[1].name}"
    return (Fix(summary=f"Create an attachable overlay network on a manager, and connect {names} to it.", runnable=False),)


def _open(network: model.Network) -> bool:
    """True if plain containers may join: those of a cluster store always, Swarm's where they are attachable."""
    return network.attachable or network.scope == "global"


def _other_address(
    facts: HostFacts, path: Path, network: model.Network, source: model.Container, target: model.Container
) -> Finding:
    """The address of a container on a network that the source is not on, while another one is shared."""
    shared = facts.common_networks(source, target)[0]
    there = next((e.ipv4 or e.ipv6 for e in facts.endpoints(target) if facts.network_of(e) is shared), None)
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, source),
        affects=affected(facts, source),
        summary=(
            f"{source} cannot reach {target} at {path.destination.address}: that is its address on {network.name}, "
            f"which {source} is not on; on {shared.name}, which both are on, it has {there or 'another'}."
        ),
        evidence=(networks_evidence(facts, source), networks_evidence(facts, target), *probe_evidence(path)),
        fixes=remedy.join_network(facts, source, network.name),
        hop=path.broken.hop if path.broken else None,
        explains=(path,),
    )


def _of_none(facts: HostFacts, path: Path, container: model.Container) -> Finding:
    """A container that was disconnected from all its networks, and the host or another machine at the other end."""
    where = _home(facts, container)
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} is connected to no network: nothing reaches it and it reaches nothing.",
        evidence=(networks_evidence(facts, container), *probe_evidence(path)),
        fixes=remedy.join_network(facts, container, where),
        hop="network",
        explains=(path,),
    )


def _home(facts: HostFacts, container: model.Container) -> str:
    """The network that it was created on, where that is still there, else `bridge`."""
    mode = container.network_mode
    home = facts.networks.get(mode) or next((n for n in facts.snapshot.networks if n.id == mode), None)
    return home.name if home and home.driver != "null" else "bridge"


def _pair(facts: HostFacts, path: Path) -> tuple[model.Container, model.Container] | None:
    obstacle = path.obstacle
    if isinstance(obstacle, obstacles.NoCommonNetwork):
        return obstacle.source, obstacle.target
    if path.source is None:
        return None
    if isinstance(obstacle, obstacles.NoNetwork):
        return (path.source, path.target) if path.target and path.target is not path.source else None
    if isinstance(obstacle, obstacles.NameUnanswered) and obstacle.meant is not None:
        return (path.source, obstacle.meant) if obstacle.reason in APART else None
    if isinstance(obstacle, obstacles.Dropped) and path.target is not None and is_isolation(obstacle):
        return path.source, path.target
    if isinstance(obstacle, obstacles.Dropped) and is_isolation(obstacle) and path.destination.port:
        # translated at its published port, where no docker-proxy takes what comes from another bridge
        published = facts.published_on(path.destination.port, path.destination.protocol)
        return (path.source, published[0][0]) if published and facts.is_own(path.destination.address or "") else None
    return None


_APART_BY_NFTABLES = ("DROP DIRECT ACCESS", "UNPUBLISHED PORT DROP", "INTERNAL NETWORK INGRESS", "INTERNAL NETWORK EGRESS")


def is_isolation(obstacle: obstacles.Dropped) -> bool:
    """Docker's own rules that keep networks apart: DOCKER-ISOLATION-STAGE-2, from 28 the end of DOCKER and raw, and of 29's
    nftables those whose comment says so."""
    rule = obstacle.decision.rule
    if obstacle.where != "host" or rule is None or obstacle.reason == "foreign":
        return False
    if rule.backend == "nft":
        return obstacle.reason == "docker" and rule.comment in _APART_BY_NFTABLES
    if rule.chain.startswith("DOCKER-ISOLATION"):
        return True
    return (rule.table, rule.chain) in (("filter", "DOCKER"), ("raw", "PREROUTING"))


def _behind(facts: HostFacts, path: Path) -> Iterator[Finding]:
    """What a route of the host leads to through a container of another network: the clients of a VPN, say."""
    source, address, obstacle = path.source, path.destination.address, path.obstacle
    if not isinstance(obstacle, obstacles.Dropped) or not is_isolation(obstacle) or path.target or not source:
        return
    if not facts.stack or not address or facts.in_host_mode(source):
        return
    found = routing.lookup(facts.stack, address)
    holder = facts.holder(found.gateway) if found.gateway else None
    if holder is None or found.route is None or found.gateway is None or found.route.destination.endswith("/0"):
        return
    if facts.common_networks(source, holder[0]):
        return
    router, network = holder[0], holder[1].network
    way = routing.route_text(found.route)
    joined = remedy.join_network(facts, source, network)
    through = remedy.enter_namespace(source, "ip", "route", "add", found.route.destination, "via", found.gateway)
    yield Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, source),
        affects=affected(facts, source),
        summary=(
            f"{source} cannot reach {address}, which is behind {router}: they share no network ({source} is on "
            f"{', '.join(_names(facts, source)) or 'none at all'}, {router} on {', '.join(_names(facts, router))}), and "
            f"Docker keeps networks apart."
        ),
        evidence=(
            Evidence(fact="route", value=way, source="rtnetlink"),
            networks_evidence(facts, source),
            networks_evidence(facts, router),
            *probe_evidence(path),
        ),
        fixes=tuple(
            replace(
                fix,
                summary=f"{fix.summary.rstrip('.')}, and send it there by {router}.",
                commands=(*fix.commands, through),
                lasts="until-restart",
            )
            for fix in joined
            if fix.runnable
        )
        or joined,
        hop="filter",
        explains=(path,),
    )


def _names(facts: HostFacts, container: model.Container) -> list[str]:
    return [n.name for n in facts.networks_of(container) if n.driver != "null"]


def _fixes(facts: HostFacts, path: Path, source: model.Container, target: model.Container) -> Iterator[Fix]:
    """The source joins a custom network of the target; where that is on `bridge` alone, the target joins the source's, as a
    Swarm service does where its own networks are not open to plain containers."""
    theirs = (n for n in facts.networks_of(target) if n.name != "bridge" and not n.ingress)
    custom = sorted((n for n in theirs if source.swarm or n.driver != "overlay" or _open(n)), key=lambda n: n.internal)
    overlay = next((n for n in facts.networks_of(source) if n.driver == "overlay"), None)
    obstacle = path.obstacle
    if custom:
        yield from remedy.join_network(facts, source, custom[0].name)
    elif target.swarm and overlay is not None:
        yield from remedy.join_network(facts, target, overlay.name)
    elif isinstance(obstacle, obstacles.NameUnanswered):
        network, changes = remedy.resettle(facts, source, target)
        if obstacle.name.lower() != target.name.lower():
            changes = remedy.joining(facts, target, network, aliases=(obstacle.name,))
        yield Fix.of(*changes, summary=f"Connect {target} to the network {network}.", impacts=("changes-network",))
    else:
        yield from remedy.join_network(facts, source, "bridge")


check = Check(
    cause="no-shared-network",
    title="Source and target share no network",
    subjects=("container",),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "host.network",
        "host.conntrack",
        "host.resolver",
        "firewall",
        "sandbox.network",
        "sandbox.firewall",
        "sandbox.files",
        "answer",
    ),
    podman=True,
    find=find,
    frequent=True,
    phrases=(
        "could not resolve host",
        "bad address",
        "name or service not known",
        "temporary failure in name resolution",
        "no route to host",
        "destination host unreachable",
        "host not found in upstream",
        "plain name left unresolved by docker",
    ),
    article=(3, 19, 23, 25),
)
