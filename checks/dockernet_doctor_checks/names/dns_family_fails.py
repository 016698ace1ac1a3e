"""dns-family-fails: a DNS server knows a name's IPv4 address and fails for AAAA; musl, Alpine's libc, then has no address."""

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

from ._upstream import servers_text


def find(case: Case) -> Iterator[Finding]:
    """Names of which a container with musl gets no address, since one of its two questions fails (all engines)."""
    for path, obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("family",)):
        if path.source is not None:
            yield _finding(case.facts(path.host), path, path.source, obstacle)


def _finding(facts: HostFacts, path: Path, source: model.Container, obstacle: obstacles.NameUnanswered) -> Finding:
    servers = names.servers_of(facts, source)
    says = {"nxdomain": "says that the name does not exist", "timeout": "does not answer"}.get(
        obstacle.result, f"answers {obstacle.result.upper()}"
    )
    return Finding(
        severity="error",
        confidence="proven",
        subject=container_subject(facts, source),
        affects=affected(facts, source),
        summary=(
            f"{source} cannot resolve {obstacle.name}, though it has an IPv4 address: asked for its IPv6 address (AAAA), "
            f"{servers_text(facts, list(servers)) or 'the DNS server'} {says}, and musl, {source}'s libc, then gives none."
        ),
        evidence=(
            Evidence(fact="libc", value="musl", source=f"/lib of {source.name}"),
            *probe_evidence(path),
        ),
        fixes=(
            Fix(
                summary=(
                    f"Have the DNS server answer AAAA for {obstacle.name} with an empty answer (NOERROR), as for any name "
                    "without such an address."
                ),
                runnable=False,
            ),
            Fix(
                summary=f"Until then, name another server in {source}'s dns option, or use an image with glibc.", runnable=False
            ),
        ),
        hop="name",
        explains=(path,),
    )


check = Check(
    cause="dns-family-fails",
    title="A DNS server fails for AAAA, and images with musl get no address",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.files", "name"),
    find=find,
    phrases=(
        "works on debian and not on alpine",
        "getaddrinfo eai_again",
        "temporary failure in name resolution",
        "name does not resolve",
    ),
)
