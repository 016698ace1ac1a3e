"""Settings of programs that ended since they reached nobody: from inside nothing can be asked any more, and nothing need be
where the setting itself is at odds with the other containers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

from dockernet_doctor.plugin import Case, Evidence, HostFacts, Path, model, obstacles

from ..network_modes.container_not_running import by_design, was_a_task

_UNREACHED = (  # compiled where a program ended, which few did
    r"(?i)connection refused|econnrefused|enotfound|eai_again|name resolution|bad address|no such host|unknown ?host|"
    r"(?:host|name|service) not (?:found|known)|could not (?:connect|translate|resolve)|"
    r"(?:can't|cannot|unable to|failed to|failure to) connect"
)
# nginx and HAProxy, whose settings are in a file
_UPSTREAM = (
    r'host not found in upstream "([A-Za-z0-9_.-]+)(?::(\d+))?',
    r"could not resolve address '([A-Za-z0-9_.-]+)()'",
)


class Ended(Struct, frozen=True):
    """A setting of a container that ends by itself, and the line of its log that says why."""

    facts: HostFacts
    container: model.Container
    reference: model.Reference
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
        paths = tuple(p for p, o in case.broken_by(obstacles.NotRunning) if o.container.id == container.id)
        if case.asked and not paths:
            continue
        for reference in (*container.references, *_upstream(said)):
            if reference.host and reference.where in ("environment", "command", "log") and not _is_exception(reference):
                yield Ended(facts, container, reference, said, paths)


def _ends_by_itself(facts: HostFacts, container: model.Container) -> bool:
    state = container.state
    if state.error or state.oom_killed or facts.set_aside(container):
        return False
    if state.running or state.restarting:
        return facts.keeps_ending(container)
    return state.status == "exited" and not by_design(container) and not was_a_task(container)


def _upstream(said: str) -> Iterator[model.Reference]:
    for host, port in (found for form in _UPSTREAM for found in re.findall(form, said)):
        yield model.Reference(where="log", key="its configuration", host=host, port=int(port) if port else None)


def _is_exception(reference: model.Reference) -> bool:
    return reference.key.upper() in ("NO_PROXY", "VIRTUAL_HOST") or reference.key.lower().endswith("network")


def maps(container: model.Container, name: str) -> bool:
    """True if its own hosts file is to say where the name is."""
    return any(entry.partition(":")[0].lower() == name.lower() for entry in container.extra_hosts)
