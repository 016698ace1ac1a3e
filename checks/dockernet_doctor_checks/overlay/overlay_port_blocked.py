"""overlay-port-blocked: gossip (7946 tcp+udp), VXLAN (4789 udp) or Swarm's managers (2377 tcp) are filtered (rule 39)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Probe,
    cluster,
    daemon,
    host_subject,
    model,
    remedy,
    rule_subject,
)

_BLOCKED = ("timeout", "unreachable-prohibited", "unreachable-port")
_PURPOSE = {cluster.GOSSIP: "gossip, who is where", cluster.MANAGER: "Swarm's managers"}


def probes(case: Case) -> Iterator[Probe]:
    """Whether each peer is up, and takes connections at 7946; managers at 2377 too."""
    for facts in case.hosts:
        for address, port in _dialled(facts):
            yield Probe(kind="tcp", vantage=case.vantage(facts), address=address, port=port)
            yield Probe(kind="icmp", vantage=case.vantage(facts), address=address)


def find(case: Case) -> Iterator[Finding]:
    """Rules of this host that drop the overlay's own traffic; else peers that are up and silent at its ports."""
    for facts in case.hosts:
        own = list(_by_rule(case, facts))
        yield from own
        if not own:
            yield from _by_probe(case, facts)


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


# --- by the rules of this host --------------------------------------------------------------------------------------


def _by_rule(case: Case, facts: HostFacts) -> Iterator[Finding]:
    """One finding a rule, with all ports that it closes."""
    closed: dict[str, list[tuple[str, str, object]]] = {}
    for peer, _ in cluster.peers(facts) if _in_use(facts) else ():
        for port, protocol, arriving in _traffic(facts):
            own = _own_address(facts, peer)
            source, destination = (peer, own) if arriving else (own, peer)
            decision = daemon.decided(facts, source, destination, port, protocol, arriving=arriving)
            if decision is not None:
                text = daemon.rule_text(decision)
                way = f"{port}/{protocol} {'from' if arriving else 'to'} {peer}"
                closed.setdefault(text, []).append((way, f"{port}/{protocol}", decision))
    for text, found in closed.items():
        ports = list(dict.fromkeys(port for _, port, _ in found))
        yield Finding(
            severity="error",
            confidence="proven",
            subject=rule_subject(facts, text),
            summary=f"{facts.name} drops {daemon.names(ports)} of its overlay networks ({_effect(ports)}): {text}.",
            evidence=(
                *(Evidence(fact="dropped", value=way, source="the rules of this host") for way, _, _ in found[:6]),
                *daemon.log_evidence(
                    facts, daemon.logged(facts, r"no acks received|Failed to join|UDP probes failed|memberlist: ")
                ),
            ),
            fixes=tuple(daemon.allow(found[0][2])),  # type: ignore[arg-type]
            hop="filter",
            explains=cluster.paths_across(case, facts),
        )


def _traffic(facts: HostFacts) -> Iterator[tuple[int, model.Protocol, bool]]:
    engine = facts.snapshot.engine
    swarm = engine.swarm if engine else model.Swarm()
    vxlan = swarm.data_path_port or cluster.VXLAN
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
    return "names resolve, and no packet crosses"


# --- by asking the peers --------------------------------------------------------------------------------------------


def _by_probe(case: Case, facts: HostFacts) -> Iterator[Finding]:
    silent: list[tuple[str, int, str]] = []
    for address, port in _dialled(facts):
        asked = case.answer(Probe(kind="tcp", vantage=case.vantage(facts), address=address, port=port))
        alive = case.answer(Probe(kind="icmp", vantage=case.vantage(facts), address=address))
        if asked is not None and alive is not None and alive.positive and asked.result in _BLOCKED:
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
        fixes=(_open_there(silent),),
        hop="filter",
        explains=cluster.paths_across(case, facts),
    )


def _open_there(silent: list[tuple[str, int, str]]) -> Fix:
    ports = sorted({port for _, port, _ in silent})
    commands = tuple(
        remedy.quoted("iptables", "-I", "INPUT", "-p", "tcp", "--dport", str(port), "-j", "ACCEPT") for port in ports
    )
    return Fix(
        summary=f"On {silent[0][0]}, and between, let tcp {daemon.names(map(str, ports))} in (and udp 7946, 4789).",
        commands=commands,
        impacts=("changes-firewall",),
        lasts="until-reboot",
        host=silent[0][0],
        runnable=False,
    )


check = Check(
    cause="overlay-port-blocked",
    title="A port of the overlay networks is filtered between hosts",
    subjects=("rule", "host"),
    find=find,
    probes=probes,
    phrases=(
        "no acks received",
        "suspect",
        "udp probes failed, network may be misconfigured",
        "timeout was reached before node joined",
    ),
    article=(39,),
)
