"""two-engines-one-host: two Docker engines (package and snap, say) rewrite each other's rules and bridges."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, daemon, daemon_subject, docker_rules

_GONE = r"Chain '?DOCKER-ISOLATION-STAGE-\d'? does not exist"


def find(case: Case) -> Iterator[Finding]:
    """Hosts on which more than one engine has its networks; an error where rules of the one that was asked are gone."""
    for facts in case.hosts:
        engines = facts.snapshot.daemon.engine_sockets
        if len(engines) < 2:
            continue
        line = daemon.logged(facts, _GONE)
        hurt = bool(docker_rules.missing(facts)) or (line is not None and daemon.lately(facts, line))
        number = "Two" if len(engines) == 2 else str(len(engines))
        yield Finding(
            severity="error" if hurt else "warning",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=(
                f"{number} Docker engines run on {facts.name}: when one starts, it rewrites firewall rules and bridges of the "
                "other."
            ),
            evidence=(
                *(Evidence(fact="an engine listens", value=socket, source="/proc/net/unix") for socket in engines),
                *daemon.log_evidence(facts, line),
            ),
            fixes=(Fix(summary=_keep_one(engines), impacts=("restarts-daemon",), runnable=False),),
            hop="filter",
        )


def _keep_one(engines: tuple[str, ...]) -> str:
    if any("snap" in socket for socket in engines):
        return "Keep one of them: snap remove docker, or apt-get remove docker-ce docker.io. Then restart the one that stays."
    return "Stop one of them for good, and restart the one that stays."


check = Check(
    cause="two-engines-one-host",
    title="Two Docker engines share this host",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log", "firewall"),
    find=find,
    phrases=(
        "chain 'docker-isolation-stage-2' does not exist",
        "chain docker-isolation-stage-2 does not exist",
        "docker from snap and docker-ce",
        "two docker daemons",
    ),
)
