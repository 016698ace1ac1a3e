"""application-refuses-peer: the connection opens, and the application refuses whom it came from."""

from __future__ import annotations

import re
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
    affected,
    container_subject,
    destination_subject,
    listed,
    model,
    sufferers,
    wanted,
    who,
)

from ._greeted import greeted, greetings

_REFUSING = r"HTTP/\S+ (?:4\d\d|5\d\d)"


class _Refusal(Struct, frozen=True):
    """A form of refusal: how a log or a server words it, what it means, and the setting that lifts it."""

    form: str
    why: str
    setting: str
    ports: tuple[int, ...] = ()  # of the service, to know it among what a client is set to dial


def _refusal(form: str, why: str, setting: str, *ports: int) -> _Refusal:
    return _Refusal(f"(?i){form}", why, setting, ports)


_REFUSALS = (
    _refusal(
        r"is not allowed to connect to this (?:mysql|mariadb) server",
        "none of its accounts allows that address",
        "Create the account for '%' or the network's addresses (for root MYSQL_ROOT_HOST, before the first start).",
        3306,
    ),
    _refusal(
        r"is blocked because of many connection errors",
        "it counted too many failed handshakes from there",
        "Run FLUSH HOSTS (mariadb-admin flush-hosts), and find what connects without logging in.",
        3306,
    ),
    _refusal(
        r"running in protected mode",
        "it is in protected mode and has no password",
        "Give it a password (requirepass), or start it with --protected-mode no on a network of its own.",
        6379,
    ),
    _refusal(
        r"no pg_hba\.conf entry for|pg_hba\.conf rejects",
        "its pg_hba.conf allows no connection from there, or only with TLS",
        "Add a line for the network to pg_hba.conf (host all all samenet scram-sha-256) and reload it.",
        5432,
    ),
    _refusal(
        r"can only (?:connect|log in) via localhost",
        "that user may log in from localhost only",
        "Create a user of your own (RABBITMQ_DEFAULT_USER); guest is for localhost (loopback_users).",
        5672,
    ),
    _refusal(
        r"ignoring query from non-local network",
        "it answers only its own network, the container's",
        "Let it answer all networks (Pi-hole: FTLCONF_dns_listeningMode=all; dnsmasq: no --local-service).",
        53,
    ),
    _refusal(
        r"your http integration is not set-up for reverse proxies|received x-forwarded-for header from an untrusted proxy",
        "it does not trust that proxy's forwarded requests",
        "Add the proxy's network to trusted_proxies, and set use_x_forwarded_for: true.",
    ),
    _refusal(
        r"is not allowed to connect from (?:this )?address",
        "the user's networks do not include that address",
        "Add the network to the user's <networks>.",
        8123,
        9000,
    ),
    _refusal(r"relay access denied", "it relays no mail from there", "Add the network to mynetworks.", 25),
)


def probes(case: Case) -> Iterator[Probe]:
    """The first bytes of a known protocol, in a question; in `check` only where a container is ill."""
    for path in greeted(case):
        yield from greetings(case, path)


def find(case: Case) -> Iterator[Finding]:
    """Open paths on which the application says no, and lines of logs that say so."""
    seen: set[str] = set()
    for path in case.paths:
        for answer in path.answers:
            if answer.said and answer.sent:
                seen.add(path.target.id if path.target else "")
                yield _of_answer(case, path, answer, answer.said)
    for path in greeted(case):
        said = [reply for probe in greetings(case, path) if (reply := case.answer(probe)) and reply.sent]
        refused = next((reply for reply in said if reply.said), None)
        if refused is not None or _by_host_name(said):
            seen.add(path.target.id if path.target else "")
            yield _of_answer(case, path, refused or said[0], refused.said if refused else said[0].status_line)
    yield from _of_logs(case, seen)


def _by_host_name(said: list[Answer]) -> bool:
    """True if a request is refused by the name that it asks for, and not as one for localhost."""
    return len(said) == 2 and all(a.status_line for a in said) and not re.match(_REFUSING, said[1].status_line)


def _of_answer(case: Case, path: Path, answer: Answer, said: str) -> Finding:
    facts, known = case.facts(path.host), _known(said)
    name = str(path.target) if path.target else wanted(path)
    why = known.why if known else f"it says {said!r} to requests for {answer.probe.name}, and serves those for localhost"
    setting = known.setting if known else f"Add {answer.probe.name} to the names that {name} serves (allowed hosts)."
    return Finding(
        severity="info",
        confidence="likely" if answer.probe.name == "postgres" else "proven",
        subject=container_subject(facts, path.target) if path.target else destination_subject(path),
        affects=sufferers(path),
        summary=f"{name} answers {who(path)} but refuses it: {why}. The network is fine.",
        evidence=(Evidence(fact=f"{name} to {who(path)}", value=said, source="probe"),),
        fixes=(Fix(summary=setting, runnable=False),),
        hop="answer",
        explains=(path,),
    )


def _known(said: str) -> _Refusal | None:
    return next((refusal for refusal in _REFUSALS if re.search(refusal.form, said)), None)


def _of_logs(case: Case, seen: set[str]) -> Iterator[Finding]:
    """What the ends of a question, or any container whose log was read, say of a refusal."""
    ends = {c.id for path in case.paths for c in (path.source, path.target) if c} if case.asked else None
    for facts, container in case.containers():
        if not container.log_tail or (ends is not None and container.id not in ends):
            continue
        for line in reversed(container.log_tail):
            known = _known(line)
            if known is None:
                continue
            server = _server(facts, container, known)
            if (server or container).id not in seen:
                seen.add((server or container).id)
                yield _logged(case, facts, container, server, known, line)
            break


def _server(facts: HostFacts, container: model.Container, known: _Refusal) -> model.Container | None:
    """The service that a client's line is about: what serves such a port among what the client is set to dial."""
    if any(li.port in known.ports for li in facts.listeners(container) or ()):
        return container
    dialled = [r.host.lower() for r in container.references if r.host]
    found = [
        c for name in dialled for c in facts.called(name) if any(li.port in known.ports for li in facts.listeners(c) or ())
    ]
    return found[0] if found else None


def _logged(
    case: Case, facts: HostFacts, container: model.Container, server: model.Container | None, known: _Refusal, line: str
) -> Finding:
    refusing = server or container
    clients = [container] if server is not None and server is not container else _clients(facts, refusing, line)
    ill = [c for c in clients if facts.keeps_ending(c) or not c.state.running]
    paths = tuple(
        p for p in case.paths if p.verdict != "unreachable" and p.target is refusing and (case.asked or p.source in clients)
    )
    whom = listed(clients[:2]) or "a client"
    return Finding(
        severity="error" if ill else "info",
        confidence="likely",
        subject=container_subject(facts, refusing),
        affects=affected(facts, *clients),
        summary=f"{refusing} answers {whom} but refuses it: {known.why}. The network is fine.",
        evidence=(Evidence(fact="log", value=line[:300], source=f"log of {container.name}"),),
        fixes=(Fix(summary=known.setting, runnable=False),),
        hop="answer",
        explains=paths,
    )


def _clients(facts: HostFacts, server: model.Container, line: str) -> list[model.Container]:
    """Whom the server's line names by address; else those that are set to dial it and keep ending."""
    addresses = re.findall(r"\d{1,3}(?:\.\d{1,3}){3}", line)
    named = [holder[0] for address in addresses if (holder := facts.holder(address)) and holder[0] is not server]
    dialling = [c for c in facts.containers for r in c.references if r.host and server in facts.called(r.host.lower())]
    return list({c.id: c for c in named}.values()) or [c for c in dialling if facts.keeps_ending(c)][:3]


check = Check(
    cause="application-refuses-peer",
    title="The application answers but refuses this client",
    subjects=("container", "service", "destination"),
    needs=("engine", "host.network", "sandbox.network", "probe"),
    find=find,
    probes=probes,
    frequent=True,
    phrases=(
        "denied redis is running in protected mode",
        "is not allowed to connect to this mysql server",
        "is not allowed to connect to this mariadb server",
        "is blocked because of many connection errors",
        "access denied for user … using password",
        "password authentication failed for user",
        "no pg_hba.conf entry for host",
        "pg_hba.conf rejects connection for host",
        "can only connect via localhost",
        "user can only log in via localhost",
        "ignoring query from non-local network",
        "your http integration is not set-up for reverse proxies",
    ),
)
