"""route-missing: inside the container there is no default route, or no route to its own network."""

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
    addressing,
    affected,
    container_subject,
    links,
    model,
    obstacles,
    probe_evidence,
    remedy,
    routing,
)

from ._ends import problem_of


def find(case: Case) -> Iterator[Finding]:
    """Containers that a question found without a route, and those that have a gateway and no route by it."""
    for facts in case.hosts:
        asked: dict[str, list[tuple[Path, obstacles.NoRoute]]] = {}
        for path, obstacle in case.broken_by(obstacles.NoRoute):
            if path.host == facts.name and obstacle.where != "host" and obstacle.container:
                asked.setdefault(obstacle.container.id, []).append((path, obstacle))
        for container in facts.running:
            found = asked.get(container.id, [])
            lacking = _lacking(facts, container)
            if found or lacking:
                yield _finding(facts, container, found, lacking)


def _lacking(facts: HostFacts, container: model.Container) -> str:
    """What the container should have a route to, by the gateway that the engine gave it, and has none to."""
    stack = facts.stack_of(container)
    mode = container.network_mode
    if stack is None or container.sandbox is None or mode in ("host", "none") or mode.startswith("container:"):
        return ""
    if not any(link.mac for link in stack.links if link.name != "lo"):
        return ""
    for family, somewhere in routing.ANYWHERE.items():
        endpoint = addressing.gateway_endpoint(facts, container, family)
        if endpoint is None and all(route.family != family for route in stack.routes):
            continue  # most have no IPv6
        way = routing.lookup(stack, somewhere)
        if way.kind in ("unicast", "local"):
            if gateway := links.nobodys_gateway(facts, stack, way.route):
                return f"default route but one by {gateway}, which nobody has"
            continue
        network = facts.network_of(endpoint) if endpoint else None
        if network is not None and network.driver == "bridge" and (family == 4 or network.ipv6) and _whole(facts, container):
            if way.kind != "none":
                return f"default route but one of the kind {way.kind}"
            return "default" if family == 4 else "default (IPv6)"
    return ""


def _whole(facts: HostFacts, container: model.Container) -> bool:
    """Whether its links are well: else the routes are gone with them, see container-interface-down."""
    pairs = [(e, n) for e in container.endpoints if (n := facts.network_of(e))]
    return all(problem_of(facts, container, e, n) is None for e, n in pairs)


def _finding(
    facts: HostFacts, container: model.Container, found: list[tuple[Path, obstacles.NoRoute]], lacking: str
) -> Finding:
    paths = tuple(path for path, _o in found)
    kind = next((o.kind for _p, o in found if o.kind != "none"), "")
    destination = next((o.destination for _p, o in found), "")
    back = any(p.source is not container and (p.source is None or o.destination) for p, o in found)
    if kind:
        what = f"it has a route of the kind {kind} to {destination}"
    elif lacking.startswith("default route"):
        what = f"it has no {lacking}"
    elif lacking:
        what = f"it has no {'IPv6 ' if 'IPv6' in lacking else ''}default route"
    else:
        what = f"it has no route {'back ' if back else ''}to {destination}"
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container.name} cannot answer or leave beyond its own network: {what}.",
        evidence=(
            Evidence(fact="routes", value=_routes(facts, container), source=f"rtnetlink in {container.name}"),
            *(e for path in paths for e in probe_evidence(path)),
        ),
        fixes=_fixes(facts, container, found, kind),
        hop="route",
        explains=paths,
    )


def _routes(facts: HostFacts, container: model.Container) -> str:
    stack = facts.stack_of(container)
    routes = [routing.route_text(r) for r in (stack.routes if stack else ()) if r.table == routing.MAIN]
    return ", ".join(routes[:6]) or "none"


def _fixes(
    facts: HostFacts, container: model.Container, found: list[tuple[Path, obstacles.NoRoute]], kind: str
) -> tuple[Fix, ...]:
    owner = facts.namespace_owner(container) or container
    restart = remedy.restart(facts, owner, summary=f"Restart {owner.name}, which gets its routes anew.")
    stack = facts.stack_of(container)
    own = tuple(
        command
        for endpoint in owner.endpoints
        if (link := facts.sandbox_link(owner, endpoint))
        for command in addressing.routes_of(facts, owner, endpoint, link.name)
    )
    towards = [o.destination for _p, o in found] if kind else [] if found else list(routing.ANYWHERE.values())
    for way in (routing.lookup(stack, address) for address in towards if stack):
        if stack and way.route is not None and way.kind not in ("unicast", "local"):
            line = remedy.enter_namespace(owner, "ip", "route", "del", way.kind, way.route.destination)
            instead = any(r.destination == way.route.destination and r.kind == "unicast" for r in stack.routes)
            commands = (line,) if instead or not way.route.destination.endswith("/0") else (line, *own)
            summary = f"Remove the {way.kind} route inside {container.name}."
            return (Fix(summary=summary, commands=commands, impacts=("changes-network",), lasts="until-restart"), restart)
    if not own:
        return (restart,)
    now = Fix(
        summary=f"Give {container.name} its routes again.",
        commands=own,
        impacts=("changes-network",),
        lasts="until-restart",
    )
    return (now, restart)


check = Check(
    cause="route-missing",
    title="A container has no route",
    subjects=("container", "service"),
    find=find,
    phrases=("network is unreachable", "network unreachable"),
)
