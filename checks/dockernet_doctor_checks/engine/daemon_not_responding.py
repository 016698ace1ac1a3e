"""daemon-not-responding: the daemon accepts connections but never answers; says what it waits for."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    daemon,
    daemon_options,
    daemon_subject,
    dockerd,
    model,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Each host whose API timed out, or where something else answers than a daemon that is spoken to in the right way."""
    for facts in case.hosts:
        problem = facts.snapshot.problem
        if facts.snapshot.engine is not None or problem is None:
            continue
        if problem.kind in ("tls", "protocol", "http"):
            yield _misunderstood(facts, problem)
        if problem.kind != "timeout" or daemon.nobody_behind_socket(facts):  # that is daemon-not-running
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
            fixes=(_fix(facts, last),),
            hop="target",
        )


def _misunderstood(facts: HostFacts, problem: model.EngineProblem) -> Finding:
    where, by = facts.snapshot.endpoint, facts.snapshot.client.chosen_by
    chosen = "" if by == "default" else f" (chosen by {by})"
    tls = (
        "Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to a directory with the ca.pem of the daemon's certificate and a"
        " cert.pem and key.pem that it accepts (for a context: docker context update); set neither where it speaks no TLS"
    )
    others = facts.snapshot.client.others
    meant = f"name the daemon that was meant ({', '.join(other.endpoint for other in others) or '-H, --context'})"
    failed = problem.kind == "tls"
    words = "cannot be queried" if failed else "does not answer as a Docker daemon does"
    return Finding(
        severity="error",
        confidence="proven" if failed else "likely",
        subject=daemon_subject(facts),
        summary=f"What listens at {where}{chosen} {words}: {problem.detail}.",
        evidence=(
            Evidence(fact=where, value=problem.detail, source="API"),
            *(
                Evidence(fact=f"containers of {other.endpoint}", value=daemon.names(other.containers), source=other.origin)
                for other in others
                if other.containers
            ),
        ),
        fixes=(Fix(summary=f"{tls}; or {meant}.", runnable=False),),
        hop="target",
    )


def _summary(facts: HostFacts, last: model.LogLine | None, *, starting: bool) -> str:
    if not facts.snapshot.daemon.readable:
        return f"The Docker daemon at {facts.snapshot.endpoint} does not answer."
    state = "is still starting" if starting else "hangs"
    tls = (
        " (without --tls=false it waits about 15 s before it opens TCP without TLS)"
        if starting and _waits_for_tls(facts)
        else ""
    )
    word = f"; its last log line: {last.text[:160]}" if last else ""
    if containerd := _waits_for_containerd(facts, last):
        word = f"; it waits for containerd at {containerd.value}"
    return f"The Docker daemon on {facts.name} accepts connections but never answers: it {state}{tls}{word}."


def _waits_for_tls(facts: HostFacts) -> bool:
    hosts = daemon.option(facts, "hosts")
    return hosts is not None and any(v.startswith("tcp://") for v in hosts.values) and not daemon.option(facts, "tls")


def _waits_for_containerd(facts: HostFacts, last: model.LogLine | None) -> daemon_options.Setting | None:
    """The first thing that a daemon does after "Starting up": it dials the socket for a minute, then it gives up."""
    return daemon.option(facts, "containerd") if last and last.text == "Starting up" else None


def _fix(facts: HostFacts, last: model.LogLine | None) -> Fix:
    if _waits_for_containerd(facts, last) and (started := dockerd.start_containerd(facts)):
        return started
    if facts.snapshot.daemon.readable:
        return remedy.restart_daemon(facts)
    return Fix(summary="Look at the daemon on its own host: run dockernet-doctor there.", runnable=False)


def _process(facts: HostFacts) -> Iterator[Evidence]:
    state = facts.snapshot.daemon
    if state.pid is not None:
        yield Evidence(fact="dockerd", value=f"pid {state.pid}, since {state.started_at}", source="/proc")


check = Check(
    cause="daemon-not-responding",
    title="The Docker daemon accepts connections but never answers",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log"),
    find=find,
    symptom_of=(
        "cluster-store-wrong-backend",
        "cluster-store-unreachable",
        "cluster-store-malformed",
        "daemon-api-exposed",
        "wrong-daemon",
    ),
    phrases=(
        "context deadline exceeded",
        "docker ps hangs",
        "docker commands hang",
        "error during connect",
        "error during connect … … … x509: certificate",
        "error during connect … … … x509: certificate is valid for",
        "error during connect … … … tls: failed to verify certificate",
        "error during connect … … … http: server gave http response to https client",
        "error response from daemon: client sent an http request to an https server",
        "remote error: tls",
    ),
)
