"""daemon-not-responding: the daemon accepts connections and never answers; says what it waits for."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Case, Check, Evidence, Finding, Fix, HostFacts, daemon, daemon_subject, model, remedy


def find(case: Case) -> Iterator[Finding]:
    """Each local host whose API timed out."""
    for facts in case.hosts:
        problem = facts.snapshot.problem
        if facts.snapshot.engine is not None or problem is None or problem.kind != "timeout":
            continue
        last = next((line for line in reversed(facts.snapshot.daemon.log)), None)
        starting = last is not None and not daemon.logged(facts, r"^(Daemon has completed init|API listen on)")
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=_summary(facts, last, starting=starting),
            evidence=(
                Evidence(fact=facts.snapshot.endpoint, value=problem.detail, source="API"),
                *_process(facts),
                *daemon.log_evidence(facts, last),
            ),
            fixes=(_fix(facts),),
            hop="target",
        )


def _summary(facts: HostFacts, last: model.LogLine | None, *, starting: bool) -> str:
    if not facts.snapshot.daemon.readable:
        return f"The Docker daemon at {facts.snapshot.endpoint} does not answer."
    state = "has not finished its start" if starting else "hangs"
    tls = (
        " (without --tls=false it waits about 15 s before it opens TCP without TLS)"
        if starting and _waits_for_tls(facts)
        else ""
    )
    word = f"; its last words: {last.text[:160]}" if last else ""
    return f"The Docker daemon on {facts.name} accepts connections and never answers: it {state}{tls}{word}."


def _waits_for_tls(facts: HostFacts) -> bool:
    hosts = daemon.option(facts, "hosts")
    return hosts is not None and any(v.startswith("tcp://") for v in hosts.values) and not daemon.option(facts, "tls")


def _fix(facts: HostFacts) -> Fix:
    if facts.snapshot.daemon.readable:
        return remedy.restart_daemon(facts)
    return Fix(summary="Look at the daemon on its own host: run dockernet-doctor there.", runnable=False)


def _process(facts: HostFacts) -> Iterator[Evidence]:
    state = facts.snapshot.daemon
    if state.pid is not None:
        yield Evidence(fact="dockerd", value=f"pid {state.pid}, since {state.started_at}", source="/proc")


check = Check(
    cause="daemon-not-responding",
    title="The Docker daemon accepts connections and never answers",
    subjects=("daemon",),
    find=find,
    symptom_of=("cluster-store-wrong-backend", "cluster-store-unreachable", "cluster-store-malformed", "daemon-api-exposed"),
    phrases=("context deadline exceeded", "docker ps hangs", "docker commands hang", "error during connect"),
)
