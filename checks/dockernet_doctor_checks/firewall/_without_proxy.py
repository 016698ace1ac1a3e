"""What the kernel must do itself where no docker-proxy stands in (userland-proxy=false)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Evidence, HostFacts, Path, daemon, obstacles, probe_evidence


def stuck(case: Case, hint: str) -> Iterator[tuple[Path, obstacles.NotTranslated]]:
    """Paths to a published port that end for this reason."""
    for path, obstacle in case.broken_by(obstacles.NotTranslated):
        if obstacle.hint == hint:
            yield path, obstacle


def evidence(facts: HostFacts, fact: str, value: str, paths: tuple[Path, ...]) -> tuple[Evidence, ...]:
    """The state of the kernel, the daemon's option, and what the probes saw."""
    source = "rtnetlink" if "hairpin" in fact else "sysctl"
    return (
        Evidence(fact=fact, value=value, source=source),
        *daemon.setting_evidence(daemon.without_proxy(facts)),
        *probe_evidence(*paths),
    )
