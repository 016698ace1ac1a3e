"""route-bypasses-bridge: a policy rule or a route, often a VPN's, takes packets for containers (or from them) elsewhere."""

from __future__ import annotations

import ipaddress
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
    addressing,
    affected,
    change,
    container_subject,
    host_subject,
    model,
    obstacles,
    probe_evidence,
    routing,
)

TABLE = 1721  # of our own, for what no rule of table main can fix


def find(case: Case) -> Iterator[Finding]:
    """What questions ran into; and containers whose address this host would not look for on their bridge."""
    for facts in case.hosts:
        for path, obstacle in case.broken_by(obstacles.RouteElsewhere):
            if path.host != facts.name:
                continue
            if obstacle.where != "host" and obstacle.container is not None:
                yield _inside(facts, obstacle, obstacle.container, path)
            elif obstacle.network is not None and not (obstacle.reply and obstacle.rule is None):
                yield _finding(facts, obstacle, (path,))
        yield from _standing(facts)
        yield from _led_away(case, facts)


def _standing(facts: HostFacts) -> Iterator[Finding]:
    stack = facts.stack
    for container, endpoint, network in addressing.served(facts) if stack else ():
        for address in (endpoint.ipv4, endpoint.ipv6):
            bridge = facts.bridge(network)
            if not address or stack is None or bridge is None or not bridge.up:
                continue
            way = routing.lookup(stack, address)
            route, nowhere = way.route, way.kind in routing.NOWHERE
            if not nowhere and (way.kind != "unicast" or way.link == network.bridge or route is None):
                continue
            if route is not None and _default(route):
                continue
            if (
                not nowhere
                and not (route and route.gateway)
                and any(a.link == way.link and facts.network_containing(a.address) is network for a in stack.addresses)
            ):
                continue  # the LAN itself: see subnet-overlap
            ruled = way.rule if way.rule and way.rule.table != routing.MAIN else None
            because = routing.route_text(route) if route else ""
            obstacle = obstacles.RouteElsewhere(
                where="host",
                destination=address,
                expected=network.bridge or "",
                taken=way.kind if nowhere else way.link or "",
                because=": ".join(part for part in (routing.rule_text(ruled) if ruled else "", because) if part),
                rule=ruled,
                network=network,
                container=container,
            )
            yield _finding(facts, obstacle, ())


def _default(route: model.Route) -> bool:
    """A default of table main takes a container's address only where its bridge is broken."""
    return route.table == routing.MAIN and route.destination in ("0.0.0.0/0", "::/0")


def _led_away(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """A rule for what containers send leads it by a link where no answer comes from, while the host has another way."""
    for path, obstacle in case.broken_by(obstacles.NoAnswer):
        source, address = path.source, path.destination.address
        if path.host != facts.name or not obstacle.beyond or source is None or address is None or facts.stack is None:
            continue
        for endpoint in facts.endpoints(source):
            network = facts.network_of(endpoint)
            own = endpoint.ipv6 if ":" in address else endpoint.ipv4
            if network is None or not network.bridge or not own:
                continue
            theirs = routing.lookup(facts.stack, address, source=own, in_interface=network.bridge)
            ours = routing.lookup(facts.stack, address)
            rule = theirs.rule
            if rule and (rule.source or rule.in_interface) and ours.kind == "unicast" and theirs.link != ours.link:
                led = obstacles.RouteElsewhere(
                    where="host",
                    destination=address,
                    expected=ours.link or "",
                    taken=theirs.link or theirs.kind,
                    because=routing.rule_text(rule),
                    rule=rule,
                    network=network,
                    container=source,
                )
                yield _finding(facts, led, (path,))
                break


def _finding(facts: HostFacts, obstacle: obstacles.RouteElsewhere, paths: tuple[Path, ...]) -> Finding:
    network, container = obstacle.network, obstacle.container
    assert network is not None
    name = str(container) if container else network.name
    inbound = facts.network_containing(obstacle.destination) is network
    if inbound:
        said = f"{name} cannot be reached at {obstacle.destination} from {facts.here}"
    else:
        said = f"{name} cannot {'answer' if obstacle.reply else 'reach'} {obstacle.destination}"
    return Finding(
        severity="error",
        confidence="proven" if inbound or obstacle.proven else "likely",
        subject=host_subject(facts),
        affects=affected(facts, *([container] if container else [])),
        summary=f"{said}: {_by(obstacle)} {_does(obstacle)}.",
        evidence=(
            Evidence(fact=f"way to {obstacle.destination}", value=obstacle.because, source="ip rule, ip route"),
            *probe_evidence(*paths),
        ),
        fixes=(_fix(facts, obstacle, network, inbound=inbound),),
        hop="route",
        explains=paths,
    )


def _inside(facts: HostFacts, obstacle: obstacles.RouteElsewhere, container: model.Container, path: Path) -> Finding:
    """A VPN inside the container takes its answers, too."""
    owner = facts.namespace_owner(container) or container
    return Finding(
        severity="error",
        confidence="proven" if obstacle.proven else "likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{container} cannot answer {obstacle.destination}: a route inside {container} sends the answers out by "
        f"{obstacle.taken} instead of {obstacle.expected}.",
        evidence=(
            Evidence(fact=f"way to {obstacle.destination}", value=obstacle.because, source=f"rtnetlink in {container.name}"),
            *probe_evidence(path),
        ),
        fixes=_back_by_docker(facts, obstacle, owner),
        hop="route",
        explains=(path,),
    )


def _back_by_docker(facts: HostFacts, obstacle: obstacles.RouteElsewhere, owner: model.Container) -> tuple[Fix, ...]:
    """A route of the container for the network that the other machine is in."""
    family: model.Family = 6 if ":" in obstacle.destination else 4
    serving = (e for e in owner.endpoints if (li := facts.sandbox_link(owner, e)) and li.name == obstacle.expected)
    gateway = next((g for e in serving if (g := e.ipv6_gateway if family == 6 else e.ipv4_gateway)), "")
    near = [net for a in (facts.stack.addresses if facts.stack else ()) if (net := addressing.parse(f"{a.address}/{a.prefix}"))]
    client = ipaddress.ip_address(obstacle.destination)
    subnet = next((net for net in near if client in net), client)
    if not gateway:
        return ()
    route = model.Route(family=family, destination=str(subnet), gateway=gateway, link=obstacle.expected)
    return (
        addressing.networking(
            change.RouteChange.added(route, inside=owner.name),
            summary=f"Route what {owner} sends to {subnet} back through {obstacle.expected}.",
            lasts="until-restart",
        ),
    )


def _does(obstacle: obstacles.RouteElsewhere) -> str:
    what = "the answers" if obstacle.reply else "the packets"
    if obstacle.taken in routing.NOWHERE:
        return f"discards {what} ({obstacle.taken})"
    return f"sends {what} out by {obstacle.taken} instead of {obstacle.expected}"


def _by(obstacle: obstacles.RouteElsewhere) -> str:
    return f"a routing rule (priority {obstacle.rule.priority})" if obstacle.rule else "a route"


def _fix(facts: HostFacts, obstacle: obstacles.RouteElsewhere, network: model.Network, *, inbound: bool) -> Fix:
    family: model.Family = 6 if ":" in obstacle.destination else 4
    subnet = next((str(net) for net in addressing.subnets(network) if net.version == family), obstacle.destination)
    rule = obstacle.rule
    ours = model.RoutingRule(family=family, priority=_before(facts, family, rule), table=routing.MAIN)
    if not inbound:
        ours = replace(ours, source=subnet, suppress_prefix_length=0 if obstacle.reply else None)
        changes: list[change.Change] = [change.RuleChange.added(ours)]
        summary = f"Let what {network.name} sends {'to connected networks ' if obstacle.reply else ''}use table main."
    elif rule is not None and not _main_bypasses(facts, obstacle.destination, network):
        changes = [change.RuleChange.added(replace(ours, destination=subnet))]
        summary = f"Leave {subnet} out of the rule."
    else:
        bridge = network.bridge or ""
        changes = [
            change.RouteChange.added(model.Route(family=family, destination=subnet, link=bridge, table=TABLE)),
            change.RuleChange.added(replace(ours, destination=subnet, table=TABLE)),
        ]
        summary = f"Keep {subnet} on {bridge}, whatever other routes say."
    return addressing.networking(*changes, summary=summary, lasts="until-reboot")


def _main_bypasses(facts: HostFacts, address: str, network: model.Network) -> bool:
    """True if table main alone would lead the address elsewhere, too."""
    stack = facts.stack
    found = routing.lookup(model.NetworkStack(links=stack.links, routes=stack.routes), address) if stack else None
    return found is not None and found.link != network.bridge


def _before(facts: HostFacts, family: int, rule: model.RoutingRule | None) -> int:
    """A priority before that rule, else before all but the one of table local."""
    rules = [r.priority for r in (facts.stack.rules if facts.stack else ()) if r.family == family and r.priority > 0]
    return max((rule.priority if rule else min(rules, default=1000)) - 1, 1)


check = Check(
    cause="route-bypasses-bridge",
    title="A route or policy rule sends container packets past their bridge",
    subjects=("host", "container", "service"),
    needs=("engine", "host.network", "sandbox.network", "answer"),
    find=find,
    phrases=("no route to host", "destination host unreachable"),
)
