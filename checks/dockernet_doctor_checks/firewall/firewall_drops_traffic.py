"""firewall-drops-traffic: a rule or policy that is not Docker's drops or rejects the packet, or the answer to it."""

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
    filtering,
    listed,
    model,
    name_servers,
    names,
    obstacles,
    probe_evidence,
    rule_subject,
    sufferers,
    unreached,
    wanted,
    who,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths that end at somebody's own rule: DOCKER-USER, FORWARD, INPUT, OUTPUT, ufw, firewalld, tables of nft."""
    for facts, name, stopped in filtering.by_rule(case, "foreign"):
        path, obstacle = stopped[0]
        on_purpose = all(filtering.is_off_the_list(o) or filtering.is_on_a_list(o) for _, o in stopped)
        yield Finding(
            # a list of those let in, or of those shut out, is meant, unless somebody asks whom it keeps out
            severity="info" if on_purpose else "error",
            # where chance or a rate decides, and nothing was counted, it is the one that could have been
            confidence="proven" if obstacle.proven or not _comes_and_goes(path) else "likely",
            subject=rule_subject(facts, name),
            affects=sufferers(*(p for p, _ in stopped)),
            summary=_summary(path, obstacle),
            evidence=tuple(
                evidence
                for p, o in stopped
                for evidence in (*filtering.decision_evidence(p, o.decision, o.packet), *_let_in(o), *probe_evidence(p))
            ),
            fixes=tuple(filtering.changes(facts, [o.decision for _, o in stopped])) or (_BY_HAND,),
            hop="filter",
            explains=tuple(p for p, _ in stopped),
        )
    yield from _suspects(case)
    yield from _of_large(case)
    if not case.asked:
        named = {name for _, name, _ in filtering.by_rule(case, "foreign")}
        for facts in case.hosts:
            yield from _of_ways_out(facts, named)
            yield from _of_neighbours(facts, named)
        for facts, container, server, result in name_servers.silent(case):
            yield from _of_questions(facts, container, server, result)


def _suspects(case: Case) -> Iterator[Finding]:
    """Rules that may stop a path, where all that is unknown of it is what they go by."""
    found: dict[tuple[str, str], list[tuple[Path, filtering.Suspect]]] = {}
    for path in case.paths:
        if one := filtering.suspect(path):
            found.setdefault((path.host, one.name), []).append((path, one))
    for (host, name), stopped in found.items():
        facts, (path, one) = case.facts(host), stopped[0]
        verb = "rejects" if one.stop.verdict == "reject" else "drops"
        rule = filtering.in_short(one.stop, f"{verb} {'the packet' if one.itself else 'the rest'}")
        yield Finding(
            severity="warning" if case.asked else "info",  # a limit is meant, until somebody meets it
            confidence="possible",
            subject=rule_subject(facts, name),
            affects=sufferers(*(p for p, _ in stopped)),
            summary=f"{_may_fail(path)}, depending on {one.mood}: {rule}.",
            evidence=(
                *(Evidence(fact="depends on", value=one.decider, source="the rules") for _ in range(not one.itself)),
                *(e for p, o in stopped for e in filtering.decision_evidence(p, o.stop)),
            ),
            fixes=tuple(filtering.changes(facts, [o.stop for _, o in stopped])) or (_BY_HAND,),
            hop="filter",
            explains=tuple(p for p, _ in stopped),
        )


def _of_large(case: Case) -> Iterator[Finding]:
    """Rules that let connections open and stop what is sent then: by the size of packets."""
    for facts, name, stopped in filtering.by_size(case):
        path, decision = stopped[0]
        verb = "rejects" if decision.verdict == "reject" else "drops"
        size = f"{decision.packet.length} bytes" if decision.packet and decision.packet.length else "full size"
        yield Finding(
            severity="warning",
            confidence="possible",
            subject=rule_subject(facts, name),
            affects=sufferers(*(p for p, _ in stopped)),
            summary=f"{wanted(path)} takes connections from {who(path)}, but may stall then: "
            f"{filtering.in_short(decision, f'{verb} packets of {size}')}.",
            evidence=tuple(e for p, d in stopped for e in filtering.decision_evidence(p, d)),
            fixes=tuple(filtering.changes(facts, [replace(d, packet=None) for _, d in stopped])) or (_BY_HAND,),
            hop="filter",
            explains=tuple(p for p, _ in stopped),
        )


def _may_fail(path: Path) -> str:
    if path.source is not None:
        return f"{who(path)} may fail to reach {wanted(path)}"
    return f"{wanted(path)} may be unreachable from {who(path)}"


def _of_ways_out(facts: HostFacts, named: set[str]) -> Iterator[Finding]:
    """What keeps whole networks from other machines: it may well be meant, unless a setting of a member dials one."""
    stopped: dict[str, list[tuple[model.Network, obstacles.Dropped]]] = {}
    for network, obstacle in filtering.ways_out(facts, 4):
        if isinstance(obstacle, obstacles.Dropped) and obstacle.reason == "foreign":
            stopped.setdefault(filtering.rule_name(obstacle.decision), []).append((network, obstacle))
    for name, found in stopped.items():
        if name in named:
            continue
        first = found[0][1]
        where = listed(network.name for network, _ in found)
        members = [c for network, _ in found for c in facts.members(network) if c.state.running]
        missed = names.barred(facts, members)
        who_cannot = f"Containers on {where} cannot reach other machines"
        if missed:
            who_cannot = f"{missed[0]} cannot reach {missed[1].host}, which {missed[1].key} names"
        yield Finding(
            severity="error" if missed else "info",
            confidence="likely",
            subject=rule_subject(facts, name),
            affects=affected(facts, *members),
            summary=f"{who_cannot}: {_in_short(first, 'what they send', 'the answers')}.",
            evidence=tuple(e for _, o in found for e in filtering.decision_evidence(None, o.decision, o.packet)),
            fixes=tuple(filtering.changes(facts, [filtering.to_anywhere(o.decision) for _, o in found])) or (_BY_HAND,),
            hop="filter",
        )


def _of_neighbours(facts: HostFacts, named: set[str]) -> Iterator[Finding]:
    """What keeps members of one network from each other, though no setting says that they talk: it may be meant."""
    stopped: dict[str, list[filtering.Unheard]] = {}
    for unheard in filtering.among_members(facts):
        stopped.setdefault(filtering.rule_name(unheard.obstacle.decision), []).append(unheard)
    for name, found in stopped.items():
        if name in named:
            continue
        first = found[0].obstacle
        yield Finding(
            severity="info",
            confidence="likely",
            subject=rule_subject(facts, name),
            affects=affected(facts, *(c for u in found for c in (u.sender, u.other))),
            summary=f"{found[0].sender.name} cannot reach {found[0].other.name}:{found[0].port} on {found[0].network.name}: "
            f"{_in_short(first, 'the packet', 'the answer')}.",
            evidence=tuple(e for u in found for e in filtering.decision_evidence(None, u.obstacle.decision, u.obstacle.packet)),
            fixes=tuple(filtering.changes(facts, [u.obstacle.decision for u in found])) or (_BY_HAND,),
            hop="filter",
        )


def _of_questions(facts: HostFacts, container: model.Container, server: names.Server, result: str) -> Iterator[Finding]:
    """What keeps the questions to a DNS server that was asked and did not answer."""
    stopped = filtering.before_server(facts, container, server)
    if stopped is None or not isinstance(stopped[0], obstacles.Dropped) or stopped[0].reason != "foreign":
        return
    obstacle = stopped[0]
    if result == "servfail" or (result == "refused" and obstacle.decision.verdict != "reject"):
        return  # the server's own answer
    where = facts.networks_of(container)[:1]
    alike = [c for c in facts.running if names.servers_of(facts, c) == names.servers_of(facts, container)]
    asking = [c for c in alike if server.by_host or facts.networks_of(c)[:1] == where]
    yield Finding(
        severity="error" if names.barred(facts, asking) else name_servers.severity(facts, container),
        confidence="proven",
        subject=rule_subject(facts, filtering.rule_name(obstacle.decision)),
        affects=affected(facts, *asking),
        summary=f"{container} cannot resolve names outside Docker: "
        f"{_in_short(obstacle, 'queries to', 'answers from', server.address)}.",
        evidence=(
            *filtering.decision_evidence(None, obstacle.decision, obstacle.packet),
            Evidence(fact=f"DNS server {server.address}", value=result, source="probe"),
        ),
        fixes=tuple(filtering.changes(facts, [obstacle.decision])) or (_BY_HAND,),
        hop="name",
    )


def _let_in(obstacle: obstacles.Dropped) -> Iterator[Evidence]:
    if obstacle.admitted:
        yield Evidence(fact="sources let in", value=", ".join(obstacle.admitted), source="evaluated against the rules")


def _in_short(obstacle: obstacles.Dropped, request: str, answer: str, *whose: str) -> str:
    """What decided and what it does to the request or the answer, for a headline."""
    what = request if obstacle.direction == "request" else answer
    return filtering.in_short(obstacle.decision, " ".join((_verb(obstacle), what, *whose)))


def _verb(obstacle: obstacles.Dropped) -> str:
    rule = obstacle.decision.rule
    if rule is not None and rule.target.verdict in ("ct", "notrack"):
        return "keeps connection tracking from translating back"
    return "rejects" if obstacle.decision.verdict == "reject" else "drops"


def _comes_and_goes(path: Path) -> bool:
    return path.samples is not None and path.samples.answered > 0


def _summary(path: Path, obstacle: obstacles.Dropped) -> str:
    verb = _verb(obstacle)
    what = "the packet" if obstacle.direction == "request" else "the answer"
    if obstacle.decision.packet and (how := _DISCOVERY.get(obstacle.decision.packet.protocol)):
        what = f"the {how} by which neighbours find one another"
    if _comes_and_goes(path):
        some = filtering.in_short(obstacle.decision, f"{verb} some of the packets")
        return f"{who(path)} reaches {wanted(path)} only now and then: {some}."
    if obstacle.decision.unknown:
        return f"{unreached(path)}: {filtering.in_short(obstacle.decision, f'hands {what} to a program that stops it')}."
    if filtering.is_off_the_list(obstacle):
        others = filtering.in_short(obstacle.decision, f"{verb} what other machines send")
        return f"{wanted(path)} is open to {', '.join(obstacle.admitted)} only: {others}."
    if filtering.is_ban(obstacle) and obstacle.decision.packet:
        ban = filtering.in_short(obstacle.decision, f"{verb} {what}")
        return f"{obstacle.decision.packet.source} cannot reach {wanted(path)}, other machines can: {ban}."
    return f"{unreached(path)}: {filtering.in_short(obstacle.decision, f'{verb} {what}')}."


_DISCOVERY = {"icmpv6": "ICMPv6", "arp": "ARP"}
_BY_HAND = Fix(summary="Let the firewall that made the rule accept this traffic.", runnable=False)

check = Check(
    cause="firewall-drops-traffic",
    title="A firewall rule drops the packet",
    subjects=("rule",),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "log",
        "host.network",
        "host.conntrack",
        "host.resolver",
        "host.files",
        "firewall",
        "sandbox.network",
        "sandbox.firewall",
        "sandbox.files",
        "filter",
        "host.sockets",
    ),
    podman=True,
    find=find,
    frequent=True,
    phrases=(
        "no route to host",
        "connection timed out",
        "operation timed out",
        "i/o timeout",
        "packet filtered",
        "communication administratively prohibited",
        "stopped working after firewall reload",
        "sendmsg: operation not permitted",
        "sendto: operation not permitted",
        "connect: operation not permitted",
        "immediate connect fail … operation not permitted",
        "ufw block",
    ),
)
