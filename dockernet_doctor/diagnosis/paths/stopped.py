"""Containers that ended: those whose end is no fault, and what the others dialled that ended since they reached nobody.

From inside of these nothing can be asked any more; by their settings or their log, the dial itself may be at odds with the
other containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts import witness
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Evidence
from dockernet_doctor.diagnosis.path import NotRunning, Path
from dockernet_doctor.diagnosis.paths import names
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container, Reference

_STOPPED = (0, 130, 137, 143)  # ended well, or by docker stop and docker kill
_UNREACHED = (  # compiled where a program ended, which few did
    r"(?i)connection refused|econnrefused|enotfound|eai_again|name resolution|bad address|no such host|unknown ?host|"
    r"(?:host|name|service) not (?:found|known)|could not (?:connect|translate|resolve)|"
    r"communications link failure|(?:can't|cannot|unable to|failed to|failure to) connect"
)
# nginx and HAProxy, whose settings are in a file
_UPSTREAM = (
    r'host not found in upstream "([A-Za-z0-9_.-]+)(?::(\d+))?',
    r"could not resolve address '([A-Za-z0-9_.-]+)()'",
)


def by_design(container: Container) -> bool:
    """True where it was never started, exited cleanly, or was stopped: the daemon restarts what should always run."""
    state = container.state
    if state.restarting or state.error or state.oom_killed or state.status == "dead":
        return False
    return state.exit_code in _STOPPED or container.restart_policy in ("always", "unless-stopped")


def was_a_task(container: Container) -> bool:
    """True if it ended and nobody could count on it: `docker run IMAGE command`, `docker compose run`. Its exit status is what
    that command, or the last one of a shell, had to say to whoever ran it; it has no name, port or policy to be reached by."""
    state, compose = container.state, container.compose
    if state.status != "exited" or state.error or state.oom_killed or container.restart_policy not in ("", "no"):
        return False
    if container.bindings or container.swarm or container.network_mode.startswith("container:"):
        return False
    if compose is not None:
        return re.search(rf"[-_]{re.escape(compose.service)}[-_]run[-_][0-9a-f]+$", container.name) is not None
    named = any(alias != container.id[:12] for endpoint in container.endpoints for alias in endpoint.aliases)
    return names.is_generated_name(container.name) and not named


class Ended(Struct, frozen=True):
    """A setting of a container that ends by itself, or a dial in its log, and the line of its log that says why it ended."""

    facts: HostFacts
    container: Container
    reference: Reference
    said: str
    paths: tuple[Path, ...]  # that stop at the container

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        reference, name = self.reference, self.container.name
        value = f"{reference.host}:{reference.port}" if reference.port else reference.host
        return (
            Evidence(fact=reference.key, value=value, source=f"{reference.where} of {name}"),
            Evidence(fact="log", value=self.said, source=f"log of {name}"),
        )


def ended(case: Case) -> Iterator[Ended]:
    """What such containers are set to dial; in a question, those that it needs."""
    for facts, container in case.containers():
        said = next((line for line in reversed(container.log_tail) if re.search(_UNREACHED, line)), None)
        if said is None or not _ends_by_itself(facts, container):
            continue
        paths = tuple(p for p, o in case.broken_by(NotRunning) if o.container.id == container.id)
        if case.asked and not paths:
            continue
        for reference in (*container.references, *_upstream(said)):
            if reference.host and reference.where in ("environment", "command", "log") and not _is_exception(reference):
                yield Ended(facts, container, reference, said, paths)
        for reference, line in _dialled(facts, container, said):
            yield Ended(facts, container, reference, line, paths)


def _ends_by_itself(facts: HostFacts, container: Container) -> bool:
    state = container.state
    if state.error or state.oom_killed or facts.set_aside(container):
        return False
    if state.running or state.restarting:
        return facts.keeps_ending(container)
    return state.status == "exited" and not by_design(container) and not was_a_task(container)


def _upstream(said: str) -> Iterator[Reference]:
    for host, port in (found for form in _UPSTREAM for found in re.findall(form, said)):
        yield _unseen(host, int(port) if port else None)


def _unseen(host: str, port: int | None) -> Reference:
    return Reference(where="log", key="its configuration", host=host, port=port)


def _dialled(facts: HostFacts, container: Container, said: str) -> Iterator[tuple[Reference, str]]:
    """Dials that its log names and no setting does: to its own loopback, to a container here, and lookups of plain names. An
    address counts where its holder is meant, by whose name it is told."""
    set_to = {reference.host.lower() for reference in (*container.references, *_upstream(said))}
    for dial in witness.dialled(container):
        if dial.host.lower() in set_to:
            continue
        if is_loopback(dial.host.lower()):
            yield _unseen(dial.host, dial.port), dial.line
        elif names.is_address(dial.host):
            holder = facts.holder(dial.host)
            if holder is not None and dial.port and witness.is_current(facts, container, dial.host, dial.port):
                yield _unseen(holder[0].name, dial.port), dial.line
        elif dial.port is None or names.meant(facts, dial.host, container) is not None:
            yield _unseen(dial.host, dial.port), dial.line


def _is_exception(reference: Reference) -> bool:
    return reference.key.upper() in ("NO_PROXY", "VIRTUAL_HOST") or reference.key.lower().endswith("network")
