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
    affected,
    container_subject,
    model,
    names,
    obstacles,
    probe_evidence,
)

from .default_bridge_no_dns import custom_network


def find(case: Case) -> Iterator[Finding]:
    """Short names of containers that came back from outside as an address of no container."""
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
                f"{source} takes {obstacle.name} for {obstacle.address}, which is no container: {whose} answered, not "
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
    if not any(names.has_dns(n) for n in facts.common_networks(source, meant)):
        return custom_network(facts, source, meant, path.question.target.name)
    return Fix(
        summary=f"Make {source} anew with --dns-search . (dns_search: . in Compose), or end the name with a dot.",
        runnable=False,
    )


check = Check(
    cause="search-domain-hijack",
    title="A search domain answers for a container's name",
    subjects=("container", "service"),
    needs=("engine", "sandbox.files", "name", "probe"),
    find=find,
    phrases=("resolves to the wrong address", "x509: certificate is valid for"),
)
