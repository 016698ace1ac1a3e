"""rootless-daemon: container addresses are not reachable from this host by design; `host` is RootlessKit's namespace."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, daemon_subject, obstacles


def find(case: Case) -> Iterator[Finding]:
    """Each rootless daemon, with the questions that dial into its namespace."""
    for facts in case.hosts:
        engine = facts.snapshot.engine
        if engine is None or not engine.rootless:
            continue
        yield Finding(
            severity="info",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=(
                f"The daemon on {facts.name} is rootless: its containers' addresses cannot be reached from {facts.here}, "
                "and --network host is RootlessKit's namespace."
            ),
            evidence=(Evidence(fact="SecurityOptions", value=", ".join(engine.security_options), source="docker info"),),
            fixes=(Fix(summary="Publish the ports that you need, and dial those.", runnable=False),),
            hop="route",
            explains=tuple(
                path for path in case.paths if path.host == facts.name and isinstance(path.obstacle, obstacles.Apart)
            ),
        )


check = Check(
    cause="rootless-daemon",
    title="A rootless daemon's containers have addresses that the host cannot reach",
    subjects=("daemon",),
    needs=("engine", "route", "listener"),
    find=find,
    phrases=("rootless", "rootlesskit"),
)
