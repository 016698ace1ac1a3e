"""docker-proxy-missing: docker-proxy died or is stopped: dials on the host itself fail, others are translated as ever."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Path,
    affected,
    mapping_text,
    model,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    who,
)


def find(case: Case) -> Iterator[Finding]:
    """Paths that were delivered to a published port on the host, where the DNAT rule is there and nothing listens."""
    for path, obstacle in case.broken_by(obstacles.NotTranslated):
        if obstacle.proxy is not None:
            yield _halted(case, path, obstacle, obstacle.proxy)
        if obstacle.hint != "proxy-dead":
            continue
        facts = case.facts(path.host)
        container, published = obstacle.container, obstacle.published
        if facts.keeps_ending(container):
            continue  # its proxy comes and goes with it
        yield Finding(
            severity="error",
            confidence="proven",
            subject=port_subject(facts, container, published.port, published.protocol),
            affects=affected(facts, container),
            summary=(
                f"{container}:{published.port} cannot be reached from {who(path)} at {path.destination.address}: no "
                f"docker-proxy listens on host port {published.host_port} any more, though other machines still get through."
            ),
            evidence=(
                Evidence(fact="published", value=mapping_text(published), source=f"inspection of {container.name}"),
                Evidence(fact=f"listeners on {published.host_port}", value="none", source="sockets of the host"),
                Evidence(fact="DNAT rule", value="present", source="iptables-save"),
                *probe_evidence(path),
            ),
            fixes=(remedy.restart(facts, container),),
            hop="mapping",
            explains=(path,),
        )


def _halted(case: Case, path: Path, obstacle: obstacles.NotTranslated, proxy: model.Process) -> Finding:
    facts, container, published = case.facts(path.host), obstacle.container, obstacle.published
    frozen = proxy.halted == "frozen"
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(facts, container, published.port, published.protocol),
        affects=affected(facts, container),
        summary=(
            f"{container}:{published.port} cannot be reached from {who(path)} at {path.destination.address}: the docker-proxy "
            f"of host port {published.host_port} is {proxy.halted}, so that connections open and nobody answers."
        ),
        evidence=(
            Evidence(fact="published", value=mapping_text(published), source=f"inspection of {container.name}"),
            Evidence(fact=f"docker-proxy, process {proxy.pid}", value=proxy.halted, source=f"/proc/{proxy.pid}/wchan"),
            *probe_evidence(path),
        ),
        fixes=(
            *([] if frozen else [remedy.go_on(proxy, summary="Let docker-proxy go on.")]),
            remedy.restart(facts, container),
        ),
        hop="mapping",
        explains=(path,),
    )


check = Check(
    cause="docker-proxy-missing",
    title="docker-proxy has died, or does not run",
    subjects=("port",),
    needs=("engine", "mapping"),
    find=find,
    phrases=("connection refused", "works from outside but not on localhost"),
)
