"""duplicate-address: two containers, or a container and another machine, have one address or one MAC."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Answer,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    Probe,
    addressing,
    affected,
    change,
    container_subject,
    listed,
    model,
    obstacles,
    probe_evidence,
    remedy,
    shell,
)

from ._twins import Twins, twins


def probes(case: Case) -> Iterator[Probe]:
    """Who on the wire has the address of a macvlan member: its own host cannot hear the member itself."""
    for facts in case.hosts:
        for _container, endpoint, network in addressing.served(facts, drivers=("macvlan",)):
            parent = facts.link(network.options.get("parent"))
            if endpoint.ipv4 and parent is not None and parent.up and facts.snapshot.local:
                yield _asking(case, facts, endpoint.ipv4, parent.name)


def _asking(case: Case, facts: HostFacts, address: str, parent: str) -> Probe:
    return Probe(kind="arp", vantage=case.vantage(facts), address=address, interface=parent)


def find(case: Case) -> Iterator[Finding]:
    for facts in case.hosts:
        for found in twins(facts):
            yield _finding(case, facts, found)
        yield from _on_the_wire(case, facts)


def _finding(case: Case, facts: HostFacts, found: Twins) -> Finding:
    network, holders = found.network, found.holders
    right = facts.holder(found.value) if found.kind == "address" else None
    wrong = next((c for c in holders if right is None or c is not right[0]), holders[0])
    names = listed(holders)
    if found.link:
        link = f"the bridge {found.link}" if found.link == network.bridge else f"{found.link} of {facts.here}"
        said = f"{names} and {link} both have the address {found.value} of the network {network.name}"
    else:
        said = f"{names} have the same {found.kind} {found.value} on the network {network.name}"
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, wrong),
        affects=affected(facts, *holders),
        summary=f"{said}: packets for one can reach the other.",
        evidence=(
            *(Evidence(fact=f"{found.kind} of {c.name}", value=found.value, source=f"rtnetlink in {c.name}") for c in holders),
            *([Evidence(fact=f"address of {found.link}", value=found.value, source="rtnetlink")] if found.link else ()),
        ),
        fixes=tuple(_fixes(facts, found, wrong)),
        hop="link",
        explains=_paths(case, facts, holders),
    )


def _paths(case: Case, facts: HostFacts, holders: tuple[model.Container, ...]) -> tuple[Path, ...]:
    """Broken paths to or from one of them that nothing else was found to break."""

    def hurt(path: Path) -> bool:
        obstacle = path.obstacle
        random = isinstance(obstacle, obstacles.NoAnswer | obstacles.StaleNeighbour | obstacles.NothingListens)
        return random and any(c is path.source or c is path.target for c in holders)

    return tuple(p for p in case.paths if p.host == facts.name and p.verdict == "unreachable" and hurt(p))


def _fixes(facts: HostFacts, found: Twins, wrong: model.Container) -> Iterator[Fix]:
    network = found.network
    endpoint = next((e for e in wrong.endpoints if facts.network_of(e) is network), None)
    link = facts.sandbox_link(wrong, endpoint) if endpoint else None
    if found.kind == "address" and link is not None and endpoint and found.value not in (endpoint.ipv4, endpoint.ipv6):
        stack = facts.stack_of(wrong)
        prefix = next((a.prefix for a in stack.addresses if a.address == found.value), 32) if stack else 32
        where = (f"{found.value}/{prefix}", "dev", link.name)
        yield addressing.networking(
            addressing.ip("addr", "del", *where, back=("addr", "add", *where), inside=wrong),
            change.Passing(forth=tuple(_forget(facts, network, found.value))),
            summary=f"Take {found.value} off {link.name} of {wrong}, and clear the neighbour entries for it.",
            lasts="until-restart",
        )
    elif found.kind == "MAC" and link is not None and not wrong.compose and not wrong.swarm:
        mac = _mac_for(endpoint, facts)
        known = [a for a in ((endpoint.ipv4, endpoint.ipv6) if endpoint else ()) if a]
        address = ("link", "set", link.name, "address")
        yield addressing.networking(
            addressing.ip(*address, mac, back=(*address, found.value), inside=wrong),
            change.Passing(forth=tuple(command for a in known for command in _forget(facts, network, a))),
            summary=f"Give {link.name} of {wrong} a MAC of its own, {mac}.",
            lasts="until-restart",
        )
    if found.link and found.link != network.bridge:
        summary = (
            f"Take {found.value} off {found.link}, or give {wrong} another address (--ip-range leaves those of others out)."
        )
        yield Fix(summary=summary, runnable=False)
        return
    yield Fix(
        summary=f"For good: recreate {wrong} without the --mac-address (or the address) that another has.",
        runnable=False,
    )


def _forget(facts: HostFacts, network: model.Network, address: str) -> Iterator[shell.Command]:
    """Neighbour entries for the address, on the host and in the other members."""
    if network.bridge:
        yield shell.command("ip", "neigh", "flush", "to", address, "dev", network.bridge)
    for container, endpoint, theirs in addressing.served(facts):
        link = facts.sandbox_link(container, endpoint)
        if theirs is network and link is not None and address not in (endpoint.ipv4, endpoint.ipv6):
            yield remedy.enter_namespace(container, "ip", "neigh", "flush", "to", address, "dev", link.name)


def _mac_for(endpoint: model.Endpoint | None, facts: HostFacts) -> str:
    """A locally administered one that nobody has, made of the endpoint's address as Docker did up to 27."""
    octets = [int(part) for part in endpoint.ipv4.split(".")] if endpoint and endpoint.ipv4 else [10, 0, 0, 1]
    used = {link.mac for c in facts.running if (stack := facts.stack_of(c)) for link in stack.links}
    tail = ":".join(f"{octet:02x}" for octet in octets)
    return next(mac for n in range(0x42, 0xFF) if (mac := f"02:{n:02x}:{tail}") not in used)


def _on_the_wire(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """Another machine of the LAN answers for the address of a macvlan member."""
    for container, endpoint, network in addressing.served(facts, drivers=("macvlan",)):
        parent = facts.link(network.options.get("parent"))
        answer = case.answer(_asking(case, facts, endpoint.ipv4 or "", parent.name)) if parent and endpoint.ipv4 else None
        link = facts.sandbox_link(container, endpoint)
        if answer is None or answer.result != "reply" or link is None or answer.mac == link.mac or _ours(facts, answer):
            continue
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, container),
            affects=affected(facts, container),
            summary=(
                f"{container} has the address {endpoint.ipv4} on the network {network.name}, and another machine on "
                f"{parent.name if parent else 'the wire'}, {answer.mac}, has it too."
            ),
            evidence=(
                Evidence(fact=f"ARP for {endpoint.ipv4}", value=answer.mac, source="probe from the host"),
                *probe_evidence(*_paths(case, facts, (container,))),
            ),
            fixes=(
                Fix(
                    summary=f"Give {container} another address; leave those of the LAN out with --ip-range.",
                    runnable=False,
                ),
            ),
            hop="link",
            explains=_paths(case, facts, (container,)),
        )


def _ours(facts: HostFacts, answer: Answer) -> bool:
    """The answer is of this host itself, or of another of its containers."""
    own = {link.mac for link in (facts.stack.links if facts.stack else ())}
    return answer.mac in own or any(
        answer.mac == link.mac for c in facts.running if (stack := facts.stack_of(c)) for link in stack.links
    )


check = Check(
    cause="duplicate-address",
    title="Two containers or machines have the same address",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network"),
    find=find,
    probes=probes,
    phrases=("duplicate address", "dup address", "arp: duplicate"),
)
