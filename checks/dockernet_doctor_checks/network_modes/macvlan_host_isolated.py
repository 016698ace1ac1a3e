"""macvlan-host-isolated: a host and its own macvlan or ipvlan children cannot talk; `-p` has no effect there."""

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
    model,
    obstacles,
    probe_evidence,
    remedy,
)

DRIVERS = ("macvlan", "ipvlan")
SHIM = "docker-shim"


def find(case: Case) -> Iterator[Finding]:
    """Paths between a host and a child of one of its own interfaces."""
    for path, obstacle in case.broken_by(obstacles.IsolatedFromHost, obstacles.PublishedInVain):
        facts = case.facts(path.host)
        if isinstance(obstacle, obstacles.IsolatedFromHost):
            yield _finding(facts, path, obstacle.container, obstacle.network)
        elif isinstance(obstacle, obstacles.PublishedInVain):
            networks = facts.networks_of(obstacle.container)
            if networks and all(n.driver in DRIVERS for n in networks):
                yield _finding(facts, path, obstacle.container, networks[0])


def _finding(facts: HostFacts, path: Path, container: model.Container, network: model.Network) -> Finding:
    published = isinstance(path.obstacle, obstacles.PublishedInVain)
    parent = parent_of(network)
    endpoint = next((e for e in facts.endpoints(container) if facts.network_of(e) is network), None)
    address = (endpoint.ipv4 if endpoint else None) or "its own address"
    if published:
        summary = (
            f"{container} is on the {network.driver} network {network.name}, where publishing a port has no effect: other "
            f"machines dial {address}, and {facts.here} cannot."
        )
    elif path.source is not None and path.source is not container:
        summary = (
            f"{path.source} cannot reach {container} at {address}: its packets leave by {parent}, and {network.name} is "
            f"{network.driver} on {parent}, which keeps this host and all that it forwards apart from its children."
        )
    else:
        ends = f"{container} and {facts.here}"
        summary = f"{ends} cannot reach each other: {network.name} is {network.driver} on {parent}, which keeps them apart."
    return Finding(
        severity="error",
        confidence="proven" if any(a.sent for a in path.answers) or published else "likely",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=summary,
        evidence=(
            Evidence(fact="driver", value=network.driver, source=f"inspection of network {network.name}"),
            Evidence(fact="parent", value=parent, source=f"inspection of network {network.name}"),
            *probe_evidence(path),
        ),
        fixes=(_own_address(path, address),) if published else tuple(_fixes(facts, container, network, parent, endpoint)),
        hop=path.broken.hop if path.broken else "network",
        explains=(path,),
    )


def _own_address(path: Path, address: str) -> Fix:
    """On a bridge as well, its answers would still leave by the wire, under an address that nobody asked."""
    port = path.container_port
    where = f"{address}:{port}" if port else address
    return Fix(summary=f"Dial {where} from other machines: the container is on the LAN itself.", runnable=False)


def parent_of(network: model.Network) -> str:
    """The interface of the host that the children sit on."""
    return network.options.get("parent", "the parent interface")


def _fixes(
    facts: HostFacts, container: model.Container, network: model.Network, parent: str, endpoint: model.Endpoint | None
) -> Iterator[Fix]:
    if endpoint is not None and endpoint.ipv4 and facts.link(parent) is not None:
        own = next((a.address for a in facts.stack.addresses if a.link == parent and a.family == 4), "") if facts.stack else ""
        mode = network.options.get(f"{network.driver}_mode", "bridge" if network.driver == "macvlan" else "l2")
        link = ("type", network.driver, "mode", mode)
        shim = SHIM if facts.link(SHIM) is None else f"{SHIM}-2"
        source = ("src", own) if own else ()
        route = ("route", "add", f"{endpoint.ipv4}/32", "dev", shim, *source)
        yield addressing.networking(
            addressing.ip("link", "add", shim, "link", parent, *link, back=("link", "del", shim)),
            addressing.set_up(shim),
            addressing.ip(*route, back=("route", "del", *route[2:])),
            summary=f"Give {facts.here} an interface of its own beside those children, and reach {container} by it.",
            lasts="until-reboot",
        )
    summary = f"Connect {container} to the network bridge as well: {facts.here} reaches it there."
    yield from remedy.join_network(facts, container, "bridge", summary=summary)


check = Check(
    cause="macvlan-host-isolated",
    title="A host and its macvlan or ipvlan containers cannot reach each other",
    subjects=("container", "service"),
    needs=("engine", "host.network", "publish"),
    find=find,
    phrases=("destination host unreachable", "no route to host", "host cannot ping macvlan container"),
)
