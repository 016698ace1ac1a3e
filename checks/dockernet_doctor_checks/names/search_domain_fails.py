"""search-domain-fails: a search domain's server fails, and musl, Alpine's libc, never asks for the name as it is written."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    affected,
    container_subject,
    names,
    obstacles,
    probe_evidence,
)

from ._words import resolv_evidence


def find(case: Case) -> Iterator[Finding]:
    """Names that a container with musl looks up in its search domains first, where that lookup ends."""
    for path, obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("search-stops",)):
        facts, source = case.facts(path.host), path.source
        conf = names.resolv_conf(facts, source) if source else None
        if source is None or conf is None:
            continue
        domain = obstacle.stopped[len(obstacle.name.rstrip(".")) + 1 :]
        does = {"timeout": "stays unanswered", "reply": "has no address"}.get(
            obstacle.result, f"gets {obstacle.result.upper()}"
        )
        yield Finding(
            severity="error",
            confidence="proven",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source} cannot resolve {obstacle.name}: with ndots:{names.ndots(conf)} it asks for {obstacle.stopped} "
                f"first, which {does}, and musl, its libc, then never asks for {obstacle.name} itself."
            ),
            evidence=(
                Evidence(fact="libc", value="musl", source=f"/lib of {source.name}"),
                Evidence(fact="search", value=", ".join(conf.search), source=f"/etc/resolv.conf of {source.name}"),
                *resolv_evidence(facts, source),
                *probe_evidence(path),
            ),
            fixes=(
                Fix(
                    summary=(
                        f"Recreate {source} without the search domain {domain}, or with ndots:0, as Docker sets it by itself "
                        f"(dns_search and dns_opt in Compose); or write the name with a dot at its end."
                    ),
                    runnable=False,
                ),
                Fix(summary=f"Or have the server of {domain} answer that {obstacle.stopped} does not exist.", runnable=False),
            ),
            hop="name",
            explains=(path,),
        )


check = Check(
    cause="search-domain-fails",
    title="A search domain fails, and images with musl never ask for the name itself",
    subjects=("container", "service"),
    needs=("sandbox.files", "name"),
    find=find,
    symptom_of=("upstream-dns-unreachable",),
    phrases=("getaddrinfo eai_again", "works on debian and not on alpine", "lookup … try again"),
)
