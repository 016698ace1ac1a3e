"""overlay-port-blocked: gossip (7946 tcp+udp), VXLAN (4789 udp) or Swarm's managers (2377 tcp) are filtered (rule 39)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from msgspec import Struct

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
    cluster,
    daemon,
    filtering,
    fleet,
    host_subject,
    model,
    obstacles,
    routing,
    rule_subject,
    shell,
    sufferers,
)

_FEW = 4  # of more hosts than these the summary does not say which
_BLOCKED = ("timeout", "unreachable-prohibited", "unreachable-port")
_PURPOSE = {cluster.GOSSIP: "gossip, who is where", cluster.MANAGER: "Swarm's managers"}


def probes(case: Case) -> Iterator[Probe]:
    """Asks whether each peer is up, and takes connections at 7946; managers at 2377 too."""
    for facts in case.hosts:
        for address, port in _dialled(facts):
            dial = _dial(case, facts, address, port)
            yield dial
            yield _echo(case, facts, address)
            who_has = _who_has(case, facts, address)
            if who_has and _blocked(case.answer(dial)):  # a firewall that lets nothing in drops echoes, too
                yield who_has
        for path in _unanswered(case, facts):
            yield from _signs(case, facts, path)


def find(case: Case) -> Iterator[Finding]:
    """Rules of this host that drop the overlay's own traffic; else peers that are up and silent at its ports; and what a host
    was never told of another's containers, though no rule of either explains it."""
    for facts in case.hosts:
        own = list(_by_rule(case, facts))
        yield from own
        if not own:
            silent = list(_by_probe(case, facts))
            yield from silent or _mute(case, facts)
    yield from _untold(case)


def _in_use(facts: HostFacts) -> bool:
    engine = facts.snapshot.engine
    if engine is None:
        return False
    return engine.swarm.state == "active" or bool(
        cluster.is_legacy(facts) and cluster.store_url(facts) and cluster.overlays(facts)
    )


def _dialled(facts: HostFacts) -> Iterator[tuple[str, int]]:
    engine = facts.snapshot.engine
    if engine is None or not _in_use(facts):
        return
    down = {node.address for node in engine.swarm.node_list if node.state != "ready"}
    managers = {address.rpartition(":")[0].strip("[]") for _, address in engine.swarm.remote_managers}
    for address, _ in cluster.peers(facts):
        if address not in down:
            yield address, cluster.GOSSIP
            if address in managers:
                yield address, cluster.MANAGER


class _Closed(Struct, frozen=True):
    way: str  # "4789/udp from h2 (10.0.0.2)"
    port: str
    peer: str


# --- by the rules of this host --------------------------------------------------------------------------------------


def _by_rule(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """One finding a rule, with all ports that it closes."""
    peers = _peers(case, facts) if _in_use(facts) else {}
    closed = [
        (_Closed(f"{port}/{protocol} {'from' if arriving else 'to'} {name}", f"{port}/{protocol}", name), decision)
        for peer, name in peers.items()
        for own in (_own_address(facts, peer),)
        for port, protocol, arriving in _traffic(facts)
        for source, destination in ((peer, own) if arriving else (own, peer),)
        if (decision := daemon.decided(facts, source, destination, port, protocol, arriving=arriving)) is not None
    ]
    for text in dict.fromkeys(daemon.rule_text(decision) for _, decision in closed):
        found = [one for one, decision in closed if daemon.rule_text(decision) == text]
        decisions = [decision for _, decision in closed if daemon.rule_text(decision) == text]
        ports = list(dict.fromkeys(one.port for one in found))
        names = list(dict.fromkeys(one.peer for one in found))
        explained = cluster.paths_across(case, facts)
        some = f" between it and {daemon.names(names)}" if len(names) < min(len(peers), _FEW) else ""
        yield Finding(
            severity="error",
            confidence="proven",
            subject=rule_subject(facts, text),
            affects=sufferers(*explained),
            summary=f"{facts.name} drops {daemon.names(ports)} of its overlay networks{some}, so {_effect(ports)}: "
            f"{filtering.in_short(decisions[0], 'stops it')}.",
            evidence=(
                Evidence(fact="decided by", value=text, source=f"the rules of {facts.name}"),
                *(Evidence(fact="dropped", value=one.way, source=f"the rules of {facts.name}") for one in found[:6]),
                *daemon.log_evidence(
                    facts, daemon.logged(facts, r"no acks received|Failed to join|UDP probes failed|memberlist: ")
                ),
            ),
            fixes=tuple(filtering.changes(facts, decisions)),
            hop="filter",
            explains=explained,
        )


def _peers(case: Case, facts: HostFacts) -> dict[str, str]:
    """Address → what to call it, of the other hosts: those that this one knows of, and those that were read with it."""
    mates = {address: mate.name for mate in fleet.mates(case, facts) if (address := fleet.address_of(mate))}
    known = {address for address, _ in cluster.peers(facts)}
    own = {address for address in mates if facts.is_own(address)}
    return {
        address: f"{mates[address]} ({address})" if address in mates else address for address in sorted({*known, *mates} - own)
    }


def _traffic(facts: HostFacts) -> Iterator[tuple[int, model.Protocol, bool]]:
    engine = facts.snapshot.engine
    swarm = engine.swarm if engine else model.Swarm()
    vxlan = cluster.vxlan_port(facts)
    for arriving in (True, False):
        yield cluster.GOSSIP, "tcp", arriving
        yield cluster.GOSSIP, "udp", arriving
        yield vxlan, "udp", arriving
    if swarm.state == "active":
        yield cluster.MANAGER, "tcp", swarm.manager


def _own_address(facts: HostFacts, peer: str) -> str:
    engine = facts.snapshot.engine
    said = engine.swarm.node_address if engine else ""
    if said and facts.is_own(said):
        return said
    same = [a for a in facts.uplink_addresses if (":" in a) == (":" in peer)]
    return same[0] if same else said or "127.0.0.1"


def _effect(ports: list[str]) -> str:
    if any(p.startswith(f"{cluster.GOSSIP}/") for p in ports):
        return "hosts do not learn of each other's containers"
    if any(p.startswith(f"{cluster.MANAGER}/") for p in ports):
        return "hosts do not reach the managers"
    return "names resolve but no packet crosses"


# --- by asking the peers --------------------------------------------------------------------------------------------


def _by_probe(case: Case, facts: HostFacts) -> Iterator[Finding]:
    silent: list[tuple[str, int, str]] = []
    for address, port in _dialled(facts):
        asked = case.answer(_dial(case, facts, address, port))
        if asked is not None and _blocked(asked) and _up(case, facts, address):
            silent.append((address, port, asked.result))
    if not silent:
        return
    ports = daemon.names(f"{port}/tcp of {address}" for address, port, _ in silent)
    yield Finding(
        severity="error",
        confidence="likely",
        subject=host_subject(facts),
        summary=f"{facts.name} gets no answer at {ports}, though the host is up: something filters the overlay's ports.",
        evidence=tuple(
            Evidence(fact=f"{address}:{port} ({_PURPOSE[port]})", value=result, source="probe")
            for address, port, result in silent
        ),
        fixes=(_open_there(case, facts, silent),),
        hop="filter",
        explains=cluster.paths_across(case, facts),
    )


def _dial(case: Case, facts: HostFacts, address: str, port: int) -> Probe:
    return Probe(kind="tcp", vantage=case.vantage(facts), address=address, port=port)


def _echo(case: Case, facts: HostFacts, address: str) -> Probe:
    return Probe(kind="icmp", vantage=case.vantage(facts), address=address)


def _who_has(case: Case, facts: HostFacts, address: str) -> Probe | None:
    """A ping of a peer on the same wire; behind a gateway somebody else may answer, or the peer on a way that is not taken."""
    way = routing.lookup(facts.stack, address) if facts.stack and ":" not in address else None
    if way is None or way.kind != "unicast" or way.gateway or not way.link:
        return None
    return Probe(kind="arp", vantage=case.vantage(facts), address=address, interface=way.link)


def _blocked(answer: Answer | None) -> bool:
    return answer is not None and answer.result in _BLOCKED


def _up(case: Case, facts: HostFacts, address: str) -> bool:
    """True if the peer gave a sign of life, be it that it has the address on a shared wire."""
    signs = (_echo(case, facts, address), _who_has(case, facts, address))
    return any(answer.positive for sign in signs if sign and (answer := case.answer(sign)))


def _unanswered(case: Case, facts: HostFacts) -> Iterator[Path]:
    """Questions of this host's containers that went into an overlay network, to another host that was not read, and stay
    without any answer."""
    for path in cluster.paths_across(case, facts) if any(case.broken_by(obstacles.NoAnswer)) else ():
        obstacle = path.obstacle
        silent = isinstance(obstacle, obstacles.NoAnswer) and obstacle.answer.result in ("timeout", "no-reply")
        if silent and path.source and path.target is None and not path.target_host and path.destination.address:
            yield path


def _signs(case: Case, facts: HostFacts, path: Path) -> Iterator[Probe]:
    """An echo, which comes from the other host; and who has the address, which this host's own VXLAN interface answers in the
    place of a container that gossip tells of (libnetwork makes it with `proxy`), and not of one that is gone."""
    source, address = path.source, path.destination.address or ""
    stack = facts.stack_of(source) if source else None
    for own in stack.addresses if stack else ():
        if own.family == 4 and ipaddress.ip_address(address) in ipaddress.ip_interface(f"{own.address}/{own.prefix}").network:
            yield Probe(kind="icmp", vantage=case.vantage(facts, source), address=address)
            yield Probe(kind="arp", vantage=case.vantage(facts, source), address=address, interface=own.link)
            return


def _mute(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """Peers that are up and gossip, and a container of theirs that gives no sign, not even an echo: VXLAN alone is lost, where
    this host sees nothing of it."""
    mute: dict[str, list[Path]] = {}
    for path in _unanswered(case, facts):
        said = [answer.result if (answer := case.answer(probe)) else "" for probe in _signs(case, facts, path)]
        network = path.network or facts.network_containing(path.destination.address or "")
        if said == ["timeout", "reply"] and network is not None and _gossips(case, facts, network):
            mute.setdefault(network.name, []).append(path)
    port = cluster.vxlan_port(facts)
    for name, paths in mute.items():
        addresses = dict.fromkeys(path.destination.address or "" for path in paths)
        pair = f"{facts.name} and {daemon.names(addresses)}"
        yield Finding(
            severity="error",
            confidence="likely",
            subject=host_subject(facts),
            affects=sufferers(*paths),
            summary=f"Nothing of {name} passes between {pair}, though the other hosts are up and gossip: {port}/udp is lost, "
            "filtered there or between.",
            evidence=tuple(Evidence(fact=f"echo of {address}", value="timeout", source="probe") for address in addresses),
            fixes=(
                Fix(
                    summary=f"Let udp {port} in on the other host, and pass between, both ways; or see there whether its "
                    "overlay networks go by an address that the others reach (--data-path-addr).",
                    runnable=False,
                ),
            ),
            hop="filter",
            explains=tuple(paths),
        )


def _gossips(case: Case, facts: HostFacts, network: model.Network) -> bool:
    """True if every other host that has the network answers: the one with the container is among them."""
    there = [address for _, address in network.peers if not facts.is_own(address)]
    there = there or [address for address, _ in cluster.peers(facts)]
    asked = [case.answer(_dial(case, facts, address, cluster.GOSSIP)) for address in there]
    return bool(asked) and "encrypted" not in network.options and all(a is not None and a.result == "open" for a in asked)


def _open_there(case: Case, facts: HostFacts, silent: list[tuple[str, int, str]]) -> Fix:
    """In the words of who keeps the rules of the other host, where that was read, too."""
    address = silent[0][0]
    there = next((mate for mate in fleet.mates(case, facts) if fleet.address_of(mate) == address), None)
    keepers = there.host.active_firewalls if there and there.host else ()
    tcp = [f"{port}/tcp" for port in sorted({port for _, port, _ in silent})]
    ports = [*tcp, f"{cluster.GOSSIP}/udp", f"{cluster.vxlan_port(facts)}/udp"]
    words = f"On {address}, and between, let {daemon.names(ports)} in"
    commands: tuple[shell.Command, ...] = ()
    if "ufw" in keepers:
        commands = tuple(shell.command("ufw", "allow", port) for port in ports)
    elif "firewalld" in keepers:
        opened = [f"--add-port={port}" for port in ports]
        commands = (shell.command("firewall-cmd", *opened), shell.command("firewall-cmd", "--permanent", *opened))
    elif not keepers:
        words += (
            f", with what keeps its firewall: ufw allow {ports[0]}, firewall-cmd --permanent --add-port={ports[0]}, or a rule"
        )
        words += " in its INPUT chain"
    return Fix(summary=f"{words}.", commands=commands, impacts=("changes-firewall",), host=address, runnable=False)


# --- by what another host knows -----------------------------------------------------------------------------------------


def _untold(case: Case) -> Iterator[Finding]:
    """An endpoint that only its own host knows: gossip does not get through, and neither host's rules say why."""
    asked = [path for path, obstacle in case.broken_by(obstacles.HostsApart) if not obstacle.told]
    untold: dict[tuple[str, str, str], list[str]] = {}
    for facts, network, far, container in fleet.untold(case):
        untold.setdefault((facts.name, far.name, network.name), []).append(container.name)
    for (here, far_name, on), containers in untold.items():
        names = daemon.names(containers[:_FEW])
        paths = tuple(p for p in asked if (p.host, p.target_host) == (here, far_name) and p.network and p.network.name == on)
        yield Finding(
            severity="error" if paths else "warning",
            confidence="likely",
            subject=host_subject(case.facts(here)),
            affects=sufferers(*paths),
            summary=f"{here} never heard of {names}, which {far_name} runs on {on}: gossip (7946) does not get through.",
            evidence=(
                Evidence(fact=f"not in {on} on {here}", value=names, source="docker network inspect"),
                Evidence(fact=f"containers of {far_name}", value=names, source="docker inspect"),
            ),
            fixes=(Fix(summary=f"Let tcp and udp 7946 pass between {here} and {far_name}, both ways.", runnable=False),),
            hop="name",
            explains=paths,
        )


check = Check(
    cause="overlay-port-blocked",
    title="A port of the overlay networks is filtered between hosts",
    subjects=("rule", "host"),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "log",
        "host.network",
        "host.files",
        "host.sockets",
        "firewall",
        "sandbox.network",
        "store",
        "answer",
    ),
    find=find,
    probes=probes,
    phrases=(
        "could not connect to prospective new cluster member using its advertised address",
        "no acks received",
        "memberlist: suspect … has failed",
        "udp probes failed, network may be misconfigured",
        "timeout was reached before node joined",
        "failed to join memberlist",
        "7946: getsockopt: connection refused",
        "2377: connect: no route to host",
        "2377: connect: connection refused",
        "2377: i/o timeout",
        "7946: i/o timeout",
        "7946: connect: no route to host",
        "7946: connect: connection refused",
    ),
    article=(39,),
)
