"""wrong-daemon: the client is pointed at another daemon than the one that has the containers (article rule 44)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Affected,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    daemon,
    daemon_subject,
    model,
    obstacles,
    shell,
)

_CHOICES = ("DOCKER_HOST", "DOCKER_CONTEXT", "current context", "DOCKER_TLS_VERIFY", "DOCKER_TLS")
_VARIABLES = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH", "DOCKER_MACHINE_NAME")


def find(case: Case) -> Iterator[Finding]:
    """What was asked for runs on another daemon of this user, or only another daemon answers."""
    for facts in case.hosts:
        client = facts.snapshot.client
        wanted = dict(_wanted(case, facts))
        elsewhere = False
        for name, paths in wanted.items():
            for other in client.others:
                if name in other.containers and facts.container(name) is None:
                    summary = f"{name} runs on {_named(other)}, not on {_asked(facts)}."
                    yield _finding(facts, other, summary, "proven", paths, name)
                    elsewhere = True
        problem = facts.snapshot.problem
        kind = problem.kind if problem is not None else ""
        if elsewhere or client.chosen_by not in _CHOICES:
            continue
        running = max(client.others, key=lambda other: len(other.containers), default=None)
        if problem is not None and kind == "usage":
            has = f", while {_named(running)} has {_count(running)}" if running else ""
            yield _finding(facts, running, f"{problem.detail}{has}.", "proven", ())
        elif running is not None and facts.snapshot.engine is None and kind != "tls":  # that is daemon-not-responding
            summary = f"{_asked(facts)} does not answer, while {_named(running)} has {_count(running)}."
            yield _finding(facts, running, summary, "likely", ())
        elif running is not None and running.containers and problem is None and not wanted and not facts.containers:
            summary = f"{_asked(facts)} has no container, while {_named(running)} has {_count(running)}."
            yield _finding(facts, running, summary, "likely", ())


def _count(other: model.OtherDaemon) -> str:
    number = len(other.containers)
    return f"{number or 'no'} container{'s' * (number != 1)}"


def _wanted(case: Case, facts: HostFacts) -> Iterator[tuple[str, tuple[Path, ...]]]:
    for subject in case.subjects:
        name, _, host = subject.partition("@")
        if host in ("", facts.name):
            yield name, ()
    for path, obstacle in case.broken_by(obstacles.NoSuchTarget):
        if path.host == facts.name:
            yield obstacle.name, (path,)


def _finding(
    facts: HostFacts, other: model.OtherDaemon | None, summary: str, confidence: str, paths: tuple[Path, ...], name: str = ""
) -> Finding:
    client = facts.snapshot.client
    containers = other.containers if other else ()
    shown = (*containers[:10], "…") if len(containers) > 10 else containers
    return Finding(
        severity="error" if confidence == "proven" or facts.snapshot.engine is None else "warning",
        confidence="proven" if confidence == "proven" else "likely",
        subject=daemon_subject(facts),
        affects=(Affected(kind="container", name=name, host=facts.name),) if name else (),
        summary=summary,
        evidence=(
            Evidence(fact=f"chosen by {client.chosen_by}", value=facts.snapshot.endpoint, source="the client's settings"),
            *(Evidence(fact=k, value=v, source="environment") for k, v in sorted(client.environment.items())),
            *(
                (Evidence(fact=f"containers of {other.endpoint}", value=", ".join(shown) or "none", source=other.origin),)
                if other
                else ()
            ),
        ),
        fixes=(_fix(client, other),),
        hop="target",
        explains=paths,
    )


def _fix(client: model.Client, other: model.OtherDaemon | None) -> Fix:
    stored = other is not None and other.origin.startswith("context ")
    context = other.origin.removeprefix("context ") if other and stored else "default"
    if client.chosen_by == "current context":
        return Fix(
            summary=f"Use the context {context}.",
            commands=(shell.command("docker", "context", "use", *shell.operands(context)),),
        )
    variables = [name for name in _VARIABLES if name in client.environment or name == client.chosen_by]
    if client.chosen_by in ("--host", "--context") and other:
        return Fix(summary=f"Drop {client.chosen_by}, or name {other.endpoint} there.", runnable=False)
    return Fix(
        summary=f"Unset {daemon.names(variables)} in this shell, and where it is set at log-in (~/.profile, ~/.bashrc).",
        commands=(shell.command("unset", *variables),),
        lasts="until-restart",
        runnable=False,  # the caller's own shell has to forget them
    )


def _asked(facts: HostFacts) -> str:
    by, problem = facts.snapshot.client.chosen_by, facts.snapshot.problem
    nowhere = ", which is none" if problem is not None and problem.kind == "usage" else ""
    return f"{facts.snapshot.endpoint} (chosen by {by}{nowhere})"


def _named(other: model.OtherDaemon) -> str:
    return f"{other.endpoint} ({other.origin})"


check = Check(
    cause="wrong-daemon",
    title="The client talks to another daemon than the one with the container",
    subjects=("daemon",),
    needs=("engine", "target"),
    find=find,
    phrases=(
        "no such container",
        "docker-machine",
        "error during connect … dial tcp … lookup",
        "current context is overridden",
        "current context … is not found on the file system",
        "unable to resolve docker endpoint",
        "unable to resolve docker endpoint: context … context not found",
    ),
    article=(44,),
)
