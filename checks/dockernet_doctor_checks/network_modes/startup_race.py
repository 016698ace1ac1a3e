"""startup-race: the client was refused before its target listened, and ended or gave up; now the target listens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    container_subject,
    model,
    moment,
    names,
    obstacles,
    remedy,
)

WINDOW = timedelta(minutes=5)  # from the target's start to the client's end
_REFUSED = r"(?i)connection refused|econnrefused|enotfound|eai_again|name resolution|could not connect|bad address"


def find(case: Case) -> Iterator[Finding]:
    """Clients that ended with an error soon after their target started, whose log says that it could not be reached."""
    for facts, client in case.containers():
        state = client.state
        if state.exit_code == 0 or state.error or not (state.status == "exited" or state.restarting):
            continue
        said = next((line for line in client.log_tail if re.search(_REFUSED, line)), None)
        if said is None:
            continue
        for reference in client.references:
            target = names.meant(facts, reference.host, client) if reference.host and reference.port else None
            if target is not None and _was_early(facts, client, target, reference.port or 0):
                yield _finding(case, facts, client, target, reference, said)
                break


def _was_early(facts: HostFacts, client: model.Container, target: model.Container, port: int) -> bool:
    """The target listens now, started at most a little before the client ended, and nobody waited for its health."""
    listening = any(li.port == port for li in facts.listeners(target) or ())
    if not target.state.running or not listening or not facts.common_networks(client, target):
        return False
    if client.compose and target.compose and f"{target.compose.service}:service_healthy" in ",".join(client.compose.depends_on):
        return False
    ended, started = _time(client.state.finished_at), _time(target.state.started_at)
    return ended is not None and started is not None and ended < started + WINDOW


def _time(text: str) -> datetime | None:
    """RFC 3339 of the engine, whose nanoseconds datetime does not take."""
    try:
        return moment(text)
    except ValueError:
        return None


def _finding(
    case: Case, facts: HostFacts, client: model.Container, target: model.Container, reference: model.Reference, said: str
) -> Finding:
    paths = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id == client.id)
    return Finding(
        severity="info",
        confidence="likely",
        subject=container_subject(facts, client),
        affects=affected(facts, client),
        summary=(f"{client.name} crashed because {target.name} was not listening on port {reference.port} yet; it is now."),
        evidence=(
            Evidence(fact="log", value=said, source=f"log of {client.name}"),
            Evidence(fact=f"{client.name} ended", value=client.state.finished_at, source=f"inspection of {client.name}"),
            Evidence(fact=f"{target.name} started", value=target.state.started_at, source=f"inspection of {target.name}"),
        ),
        fixes=(
            remedy.start(client, summary=f"Start {client.name} again: {target.name} listens now."),
            Fix(
                summary=(
                    f"Give {target.name} a health check and let {client.name} wait for it: depends_on with condition: "
                    f"service_healthy."
                ),
                runnable=False,
            ),
        ),
        hop="target" if paths else None,
        explains=paths,
    )


check = Check(
    cause="startup-race",
    title="The client started before its target listened",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network"),
    find=find,
    frequent=True,
    phrases=("connection refused", "econnrefused", "wait for it", "the database system is starting up"),
)
