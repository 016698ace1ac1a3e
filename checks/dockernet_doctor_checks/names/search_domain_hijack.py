"""search-domain-hijack: the host's `search` domain has a wildcard and answers a short service name with a foreign address."""

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
    Probe,
    affected,
    container_subject,
    model,
    names,
    neighbours,
    obstacles,
    probe_evidence,
    remedy,
    witness,
)

from .default_bridge_no_dns import custom_network


def probes(case: Case) -> Iterator[Probe]:
    """What a foreign address in a container's log may have been resolved from: each neighbour's name in the search domains."""
    for _, _, _, _, asked in _dialled(case):
        yield from asked


def _dialled(case: Case) -> Iterator[tuple[HostFacts, model.Container, model.Container, witness.Dialled, list[Probe]]]:
    """A container, a neighbour that serves the port which its log says it dialled in vain at a foreign address, and what
    tells whether a search domain gave that address for the neighbour's name."""
    ends = {c.id for path in case.paths for c in (path.source, path.target) if c} if case.asked else None
    for facts, source in case.running():
        conf = names.resolv_conf(facts, source)
        if conf is None or not conf.search or (ends is not None and source.id not in ends):
            continue
        for said in witness.dialled(source):
            if said.port is None or not names.is_address(said.host) or facts.network_containing(said.host):
                continue
            for neighbour in neighbours.neighbours(facts, source, said.port):
                if not facts.is_own(said.host) and facts.common_networks(source, neighbour):
                    yield facts, source, neighbour, said, list(_in_search_domains(case, facts, source, neighbour, conf))


def _in_search_domains(
    case: Case, facts: HostFacts, source: model.Container, neighbour: model.Container, conf: model.ResolvConf
) -> Iterator[Probe]:
    service = neighbour.compose.service if neighbour.compose else neighbour.name
    for domain in conf.search[:2]:
        name = f"{service}.{domain.strip('.')}".lower()
        for server in conf.nameservers[:1]:
            yield Probe(kind="dns", vantage=case.vantage(facts, source), address=server, port=53, name=name)


def _of_log(case: Case) -> Iterator[Finding]:
    """Foreign addresses that were taken for a neighbour when a program resolved its name, and are dialled still."""
    for facts, source, neighbour, said, asked in _dialled(case):
        answer = next((a for probe in asked if (a := case.answer(probe)) and said.host in a.addresses), None)
        if answer is None:
            continue
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source} resolved {neighbour} to {said.host}, which is no container: the search domain answered for "
                f"{answer.probe.name} when {source} resolved the name, and it still dials that address."
            ),
            evidence=(
                Evidence(fact=answer.probe.name, value=", ".join(answer.addresses), source=f"probe of {answer.probe.address}"),
                Evidence(fact="log", value=said.line[:300], source=f"log of {source.name}"),
            ),
            fixes=(
                Fix(
                    summary=f"Recreate {source} with --dns-search . (dns_search: . in Compose), or end the name with a dot.",
                    runnable=False,
                ),
                remedy.restart(facts, source),
            ),
            hop="answer",
            explains=tuple(p for p in case.paths if p.source is source and p.target is neighbour),
        )


def find(case: Case) -> Iterator[Finding]:
    """Short names of containers that came back from outside as an address of no container, now or when a log was written."""
    yield from _of_log(case)
    for path, obstacle in case.broken_by(obstacles.NameMisleads):
        if obstacle.by != "upstream" or path.source is None or obstacle.meant is None:
            continue
        facts, source = case.facts(path.host), path.source
        conf = names.resolv_conf(facts, source)
        search = ", ".join(conf.search) if conf and conf.search else "none"
        by_search = any(a.addresses and "." in a.probe.name for a in path.answers if a.probe.kind == "dns")
        whose = f"the search domain {search}" if by_search else "a server outside Docker"
        yield Finding(
            severity="error",
            confidence="proven" if obstacle.proven else "likely",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source} resolves {obstacle.name} to {obstacle.address}, which is no container: {whose} answered, not "
                f"{obstacle.meant}."
            ),
            evidence=(
                Evidence(fact="search", value=search, source=f"/etc/resolv.conf of {source.name}"),
                *probe_evidence(path),
            ),
            fixes=(_fix(facts, path, source, obstacle.meant),),
            hop="name",
            explains=(path,),
        )


def _fix(facts: HostFacts, path: Path, source: model.Container, meant: model.Container) -> Fix:
    if not any(n.has_dns for n in facts.common_networks(source, meant)):
        return custom_network(facts, source, meant, path.question.target.name)
    return Fix(
        summary=f"Recreate {source} with --dns-search . (dns_search: . in Compose), or end the name with a dot.",
        runnable=False,
    )


check = Check(
    cause="search-domain-hijack",
    title="A search domain answers for a container's name",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "sandbox.files", "name", "probe"),
    find=find,
    probes=probes,
    phrases=("resolves to the wrong address", "x509: certificate is valid for"),
)
