"""advertised-address-unreachable: a service hands its clients an address that they cannot dial."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    NextDial,
    Path,
    Probe,
    affected,
    container_subject,
    is_loopback,
    model,
    names,
    next_dials,
    remedy,
    sufferers,
    who,
    witness,
)

# Services that tell their clients where to go on, by image: whoever came to them and dials elsewhere was told to.
_TELLERS = ("kafka", "redpanda", "redis", "valkey", "mongo", "elasticsearch", "opensearch", "rabbitmq", "etcd", "minio", "ftp")


def probes(case: Case) -> Iterator[Probe]:
    """The next dial is tried from where the client is."""
    for dial in next_dials(case):
        for path in dial.paths:
            yield from path.probes


def find(case: Case) -> Iterator[Finding]:
    """Clients that reach a service, and not what it hands out; or whose log dials what only the service can have told."""
    told: set[tuple[str, str]] = set()
    for dials in _by_client(case):
        astray = [dial for dial in dials if dial.astray]
        # of listeners that cannot be told apart, one that works may be the client's own
        if not astray or (len(astray) < len(dials) and any(dial.handed.of is None for dial in dials)):
            continue
        told.add((astray[0].service.id, who(astray[0].first)))
        yield _handed(astray[0])
    for path in case.paths:
        client, service = path.source, path.target
        if client is None or service is None or not client.log_tail or path.verdict == "unreachable":
            continue
        facts = case.facts(path.host)
        if (service.id, who(path)) not in told and (said := _logged(facts, client, service, path)):
            told.add((service.id, who(path)))
            yield _said(facts, path, service, said)


def _by_client(case: Case) -> Iterator[list[NextDial]]:
    """What each client of each service was told."""
    groups: dict[tuple[str, str], list[NextDial]] = {}
    for dial in next_dials(case):
        groups.setdefault((dial.service.id, who(dial.first)), []).append(dial)
    yield from groups.values()


def _handed(dial: NextDial) -> Finding:
    facts, service, handed, first = dial.facts, dial.service, dial.handed, dial.first
    client, address = first.source, f"{handed.host}:{dial.port}"
    said = next((d for d in witness.dialled(client) if d.host == handed.host), None) if client else None
    asked = [answer for path in dial.paths for answer in path.answers if answer.sent]
    return Finding(
        severity="error",
        confidence="proven" if said or asked else "likely",
        subject=container_subject(facts, service),
        affects=sufferers(first),
        summary=f"{service} tells its clients to dial {address} ({handed.key}); {_why(dial, client)}.",
        evidence=(
            Evidence(fact=handed.key, value=address, source=f"{handed.where} of {service.name}"),
            Evidence(fact=f"first connection of {who(first)}", value="works", source="the path asked for"),
            *(Evidence(fact=f"probe of {address}", value=answer.result, source="probe") for answer in asked),
            *([Evidence(fact="log", value=said.line, source=f"log of {client.name}")] if said and client else []),
        ),
        fixes=_fixes(facts, service, handed, first),
        hop="answer",
        explains=(first,),
    )


def _why(dial: NextDial, client: model.Container | None) -> str:
    host, asker = dial.handed.host, who(dial.first)
    if is_loopback(host):
        itself = f"{client} itself" if client else "each of them itself" if asker == "other machines" else "itself"
        return f"to {asker}, that is {itself}: the first connection works, the next one fails"
    if names.is_address(host):
        return f"{asker} cannot reach that address: the first connection works, the next one fails"
    return f"{asker} cannot use that name: the first connection works, the next one fails"


def _fixes(facts: HostFacts, service: model.Container, handed: model.HandedOut, first: Path) -> tuple[Fix, ...]:
    if first.source is None:
        address = next(iter(facts.uplink_addresses), "this host's address")
        where = "localhost" if first.question.source.kind == "host" else address
        summary = f"Set {handed.key} of {service} to {where} and the published port; containers need a second listener."
        return (Fix(summary=summary, runnable=False),)
    asked = first.question.target
    name = asked.name if asked.kind in ("name", "plain", "container") else service.name
    reference = model.Reference(where=handed.where, key=handed.key, host=handed.host, port=handed.port)
    summary = f"Change {handed.host} to {name} in {handed.key} of {service}."
    return (
        remedy.point_at(facts, service, reference, name, first.container_port if handed.port else None, summary=summary),
        Fix(summary="Clients outside need a listener of their own, with this host's address.", runnable=False),
    )


def _logged(facts: HostFacts, client: model.Container, service: model.Container, path: Path) -> witness.Dialled | None:
    """A failed dial in the client's log to what its settings do not name, and what is the service's own."""
    image = service.image.rpartition("/")[2].lower()
    if not any(word in image for word in _TELLERS) or not client.log_tail:
        return None
    named = {r.host for r in client.references} | {path.destination.address}
    if path.question.origin == "log":
        named.add(path.question.target.name)  # its first dial, whatever setting that comes from
    own = {service.name, service.hostname, service.id[:12], *(e.ipv4 for e in facts.endpoints(service))}
    mine = {li.port for li in facts.listeners(client) or ()}
    theirs = {li.port for li in facts.listeners(service) or ()}
    for found in witness.dialled(client):
        of_service = found.host in own or (is_loopback(found.host) and found.port not in mine)
        if found.host not in named and of_service and found.port in theirs:
            return found
    return None


def _said(facts: HostFacts, path: Path, service: model.Container, said: witness.Dialled) -> Finding:
    client = path.source
    assert client is not None
    address = f"{said.host}:{said.port}" if said.port else said.host
    return Finding(
        severity="error",
        confidence="likely",
        subject=container_subject(facts, service),
        affects=affected(facts, client),
        summary=(
            f"{client} reaches {service} and then dials {address}, which no setting of {client} names: {service} hands that "
            f"out, and {client} cannot reach it."
        ),
        evidence=(Evidence(fact="log", value=said.line, source=f"log of {client.name}"),),
        fixes=(
            Fix(
                summary=f"Configure {service} to hand out an address that {client} can dial: its name on a network that "
                "both share.",
                runnable=False,
            ),
        ),
        hop="answer",
        explains=(path,),
    )


check = Check(
    cause="advertised-address-unreachable",
    title="A service hands its clients an address that they cannot dial",
    subjects=("container", "service"),
    needs=(
        "engine",
        "host.network",
        "host.sockets",
        "host.conntrack",
        "host.resolver",
        "firewall",
        "sandbox.network",
        "sandbox.firewall",
        "sandbox.files",
        "answer",
        "probe",
    ),
    find=find,
    probes=probes,
    frequent=True,
    phrases=(
        "bootstrap broker … disconnected",
        "none of advertised listeners",
        "on first connect … getaddrinfo enotfound",
        "on first connect … timed out",
        "could not be established. broker may not be available",
        "no elasticsearch node available",
        "could not reach any servers in … replica set is configured with internal hostnames or ips",
        "server sent passive reply with unroutable address",
        "replicasetnoprimary",
        "leader_not_available",
        "container id unresolved as a name",
    ),
)
