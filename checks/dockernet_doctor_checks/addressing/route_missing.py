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
    change,
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
            families = {6 if ":" in obstacle.destination else 4 for _path, obstacle in found} or {4, 6}
            lacking = next((lack for family in sorted(families) if (lack := _lacking(facts, container, family))), "")
            if (found or lacking) and links.without_gateway(facts, container) is None:
                yield _finding(facts, container, found, lacking)


def _lacking(facts: HostFacts, container: model.Container, family: int) -> str:
    """What the container should have by the gateway that the engine gave it, and has not."""
    stack = facts.stack_of(container)
    mode = container.network_mode
    if stack is None or container.sandbox is None or mode in ("host", "none") or mode.startswith("container:"):
        return ""
    if not any(link.mac for link in stack.links if link.name != "lo"):
        return ""
    endpoint = addressing.gateway_endpoint(facts, container, 6 if family == 6 else 4)
    if endpoint is None and all(route.family != family for route in stack.routes):
        return ""  # most have no IPv6
    way = routing.lookup(stack, routing.ANYWHERE[family])
    if way.kind in ("unicast", "local"):
        gateway = links.useless_gateway(facts, stack, way.route)
        return f"no default route except one via {gateway}" if gateway else ""
    network = facts.network_of(endpoint) if endpoint else None
    if network is None or network.driver != "bridge" or (family == 6 and not network.ipv6) or not _whole(facts, container):
        return ""
    if way.kind != "none":
        return f"no default route except one of type {way.kind}"
    return "no default route" if family == 4 else "no IPv6 default route"


def _whole(facts: HostFacts, container: model.Container) -> bool:
    """True if its links are well: else the routes are gone with them, see container-interface-down."""
    pairs = [(e, n) for e in container.endpoints if (n := facts.network_of(e))]
    return all(problem_of(facts, container, e, n) is None for e, n in pairs)


def _finding(
    facts: HostFacts, container: model.Container, found: list[tuple[Path, obstacles.NoRoute]], lacking: str
) -> Finding:
    paths, source = tuple(path for path, _o in found), f"rtnetlink in {container.name}"
    if lacking:
        said = f"cannot answer or leave beyond its own network: it has {lacking}"
    else:
        said = _towards_one(facts, container, *found[0])
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} {said}.",
        evidence=(
            *(Evidence(fact="rule", value=routing.rule_text(o.rule), source=source) for _p, o in found[:1] if o.rule),
            Evidence(fact="routes", value=_routes(facts, container), source=source),
            *probe_evidence(*paths),
        ),
        fixes=_fixes(facts, container, found),
        hop="route",
        explains=paths,
    )


def _towards_one(facts: HostFacts, container: model.Container, path: Path, obstacle: obstacles.NoRoute) -> str:
    """What stands in the way to that one destination: others may well be reached."""
    destination, stack, holder = obstacle.destination, facts.stack_of(container), facts.holder(obstacle.destination)
    whom = f"{holder[0]} at {destination}" if holder else destination
    way = routing.lookup(stack, destination) if stack else None
    if obstacle.rule:
        what = f"a routing rule inside it (priority {obstacle.rule.priority}) leads nowhere"
    elif way and way.route and way.route.gateway and stack:
        what = f"its route to {way.route.destination} leads to {links.useless_gateway(facts, stack, way.route)}"
    elif way and way.route and way.kind == "unicast":
        what = f"its route to {way.route.destination} makes that a neighbour"
    elif way and way.route:
        what = f"its route to {way.route.destination} is of the type {way.route.kind}"
    else:
        what = "it has no route there"
    return f"cannot {'reach' if path.source is container else 'answer'} {whom}: {what}"


def _routes(facts: HostFacts, container: model.Container) -> str:
    stack = facts.stack_of(container)
    routes = [routing.route_text(r) for r in (stack.routes if stack else ()) if r.table == routing.MAIN]
    return ", ".join(routes[:6]) or "none"


def _fixes(facts: HostFacts, container: model.Container, found: list[tuple[Path, obstacles.NoRoute]]) -> tuple[Fix, ...]:
    owner = facts.namespace_owner(container) or container
    restart = remedy.restart(facts, owner, summary=f"Restart {owner}, which restores its routes.")
    stack = facts.stack_of(container)
    own = tuple(
        made
        for endpoint in owner.endpoints
        if (link := facts.sandbox_link(owner, endpoint))
        for made in addressing.routes_of(facts, owner, endpoint, link.name)
    )
    for rule in [o.rule for _p, o in found if o.rule]:
        removed = change.RuleChange.removed(rule, inside=owner.name)
        summary = f"Remove the rule inside {container} that leads nowhere."
        return (addressing.networking(removed, summary=summary, lasts="until-restart"), restart)
    for address in [o.destination for _p, o in found] or routing.ANYWHERE.values():
        changes = _removal(facts, owner, stack, address, own) if stack else ()
        if changes:
            summary = f"Remove the routes inside {container} that lead nowhere."
            return (addressing.networking(*changes, summary=summary, lasts="until-restart"), restart)
    if not own:
        return (restart,)
    return (addressing.networking(*own, summary=f"Restore the routes of {container}.", lasts="until-restart"), restart)


def _removal(
    facts: HostFacts, owner: model.Container, stack: model.NetworkStack, address: str, own: tuple[change.Change, ...]
) -> tuple[change.Change, ...]:
    """What takes away the rule or route that leads the address nowhere; with `own` where that was the only default."""
    way = routing.lookup(stack, address)
    if way.rule is not None and way.route is None and way.kind != "none":
        return (change.RuleChange.removed(way.rule, inside=owner.name),)
    route = way.route
    astray = links.useless_gateway(facts, stack, route) or links.no_neighbour(facts, owner, way, address)
    if route is None or (way.kind == "unicast" and not astray):
        return ()
    default = route.destination.endswith("/0")
    if way.kind == "unicast" and default:
        return ()  # Docker's own takes its place
    net = addressing.parse(route.destination)
    for held in stack.addresses if route.gateway is None and way.kind == "unicast" else ():
        if held.link == route.link and addressing.parse(f"{held.address}/{held.prefix}") == net:
            wrong = (f"{held.address}/{held.prefix}", "dev", held.link)  # the route is there since it has this netmask
            return (addressing.ip("addr", "del", *wrong, back=("addr", "add", *wrong), inside=owner), *own)
    line = change.RouteChange.removed(route, inside=owner.name)
    instead = any(r.destination == route.destination and r.kind == "unicast" and r is not route for r in stack.routes)
    return (line, *own) if default and not instead else (line,)


check = Check(
    cause="route-missing",
    title="A container has no route",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "route"),
    podman=True,
    find=find,
    phrases=("network is unreachable", "network unreachable"),
)
