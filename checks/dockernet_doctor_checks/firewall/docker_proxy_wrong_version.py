"""docker-proxy-wrong-version: dockerd starts a docker-proxy of another installation, which does not understand it."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, affected, daemon_subject

from ._texts import said

TEXTS = r"failed to start docker-proxy, check that the current version is in your \$PATH"


def find(case: Case) -> Iterator[Finding]:
    """A container that did not start with that text."""
    for facts in case.hosts:
        hurt, evidence = said(facts, TEXTS)
        if not evidence:
            continue
        engine = facts.snapshot.engine
        versions = (
            Evidence(
                fact="docker-proxy on the daemon's PATH", value=facts.snapshot.daemon.proxy_version or "unknown", source="PATH"
            ),
            Evidence(fact="engine", value=engine.version if engine else "", source="docker version"),
        )
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            affects=affected(facts, *hurt),
            summary=(
                f"dockerd on {facts.name} finds a docker-proxy of another version first, so published ports cannot be bound."
            ),
            evidence=(*evidence, *versions),
            fixes=(
                Fix(
                    summary="Keep one installation of Docker: remove the other, or put the right docker-proxy first on PATH.",
                    runnable=False,
                ),
            ),
            hop="target",
            explains=tuple(p for p in case.paths if p.host == facts.name and p.target in hurt and p.target),
        )


check = Check(
    cause="docker-proxy-wrong-version",
    title="docker-proxy is of another version",
    subjects=("daemon",),
    find=find,
    phrases=("failed to start docker-proxy, check that the current version is in your $path",),
    engines="≥ 28",
)
