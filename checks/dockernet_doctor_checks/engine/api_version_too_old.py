"""api-version-too-old: a client speaks an API older than the engine allows (29.0: 1.44, 29.3: 1.40); each route is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    container_subject,
    daemon,
    daemon_subject,
    dockerd,
    model,
    shell,
)

_TEXT = r"client version (\d+\.\d+) is too old\. Minimum supported API version is (\d+\.\d+)"
_FOLDER = "/etc/systemd/system/docker.service.d"


def find(case: Case) -> Iterator[Finding]:
    """Containers whose log holds the refusal, else the daemon's own log, or a DOCKER_API_VERSION below the engine's."""
    for facts in case.hosts:
        found = [*_told_to_speak(facts), *_containers(facts)]
        yield from found
        line = daemon.logged(facts, _TEXT.replace("client", "[Cc]lient"))
        if (
            line is not None
            and daemon.lately(facts, line)
            and not found
            and (match := re.search(_TEXT, line.text, re.IGNORECASE))
        ):
            clients = [c.name for c in facts.running if _has_socket(c)]
            yield _finding(facts, None, match, daemon.log_evidence(facts, line), clients)


def _told_to_speak(facts: HostFacts) -> Iterator[Finding]:
    """The docker client of this shell, where DOCKER_API_VERSION holds it at a version that the engine refuses."""
    told = facts.snapshot.client.environment.get("DOCKER_API_VERSION", "")
    least = facts.snapshot.engine.min_api_version if facts.snapshot.engine else ""
    if not (re.fullmatch(r"\d+\.\d+", told) and re.fullmatch(r"\d+\.\d+", least)) or _numbers(told) >= _numbers(least):
        return
    yield Finding(
        severity="error",
        confidence="proven",
        subject=daemon_subject(facts),
        summary=f"DOCKER_API_VERSION={told} is set in this shell, but the engine on {facts.name} requires at least "
        f"{least}: docker commands fail here.",
        evidence=(
            Evidence(fact="DOCKER_API_VERSION", value=told, source="environment"),
            Evidence(fact="MinAPIVersion", value=least, source="docker version"),
        ),
        fixes=(
            Fix(
                summary="Unset DOCKER_API_VERSION in this shell, and where it is set at log-in (~/.profile, ~/.bashrc).",
                commands=(shell.command("unset", "DOCKER_API_VERSION"),),
                lasts="until-restart",
                runnable=False,  # the caller's own shell has to forget it
            ),
        ),
        hop="answer",
    )


def _containers(facts: HostFacts) -> Iterator[Finding]:
    for container in facts.containers:
        for text in reversed(container.log_tail):
            if match := re.search(_TEXT, text, re.IGNORECASE):
                evidence = (Evidence(fact="log", value=text[:300], source=f"docker logs {container.name}"),)
                yield _finding(facts, container, match, evidence, [])
                break


def _has_socket(container: model.Container) -> bool:
    return any(path.endswith("docker.sock") for path in container.mounts)


def _finding(
    facts: HostFacts,
    container: model.Container | None,
    match: re.Match[str],
    evidence: tuple[Evidence, ...],
    clients: list[str],
) -> Finding:
    spoken, least = match[1], match[2]
    who = str(container) if container else f"A client of the daemon on {facts.name}"
    maybe = f" (containers with the socket: {', '.join(sorted(clients))})" if clients else ""
    return Finding(
        severity="error" if container else "warning",
        confidence="proven",
        subject=container_subject(facts, container) if container else daemon_subject(facts),
        affects=affected(facts, container) if container else (),
        summary=f"{who} speaks API {spoken}, but this engine requires at least {least}{maybe}: it rejects every request.",
        evidence=evidence,
        fixes=(
            _allow(facts, spoken),
            Fix(summary=f"Use a newer version of the client, which speaks API {least}.", runnable=False),
        ),
        hop="answer",
    )


def _allow(facts: HostFacts, spoken: str) -> Fix:
    lines = ("[Service]", f"Environment=DOCKER_MIN_API_VERSION={spoken}")
    drop_in = dockerd.created(f"{_FOLDER}/zz-min-api.conf", *lines)
    summary = f"Let the daemon accept API {spoken} (engines from 25; not below 1.24)."
    fix = dockerd.restarted(facts, drop_in, summary=summary, reload=True)
    return replace(fix, runnable=fix.runnable and _numbers(spoken) >= (1, 24))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


check = Check(
    cause="api-version-too-old",
    title="A client speaks an API version that the engine no longer accepts",
    subjects=("container", "daemon"),
    needs=("engine", "daemon.process", "log"),
    find=find,
    phrases=("client version … is too old", "client version … is too new", "minimum supported api version"),
    engines="≥ 25 (29.0 to 29.2 ask for 1.44, later ones for 1.40)",
)
