"""Who is meant: whether there is such a container, whether it can be reached at all, and at which ports."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.diagnosis.asked_for import absent, members_of_service
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import NamespaceLost, NoNetwork, NoSuchTarget, NotRunning, Paused
from dockernet_doctor.diagnosis.paths.destination.model import Dial
from dockernet_doctor.diagnosis.paths.names import EMBEDDED
from dockernet_doctor.diagnosis.question import Target
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container

MAX_PORTS = 16  # paths of one question that names no port


def no_such_container(base: Dial, facts: HostFacts, name: str) -> Dial:
    """There is none of that name, as far as they were read; the obstacle has those whose names look alike."""
    if unknown := unread_container(facts, name):
        return replace(base, unknown=("target", unknown))
    return replace(
        base,
        hop="target",
        obstacle=NoSuchTarget(name=name, nearest=absent([facts], name).nearest, proven=True),
        predicted={"target": f"no container is called {name}"},
    )


def unread_container(facts: HostFacts, name: str) -> str:
    """Why nobody can say whether there is one of that name; "" where there is none."""
    return {"silent": "the daemon gave no answer", "unread": f"{name} could not be read"}.get(absent([facts], name).why, "")


def no_answer_read(facts: HostFacts, name: str) -> str:
    """Why nobody can say what the name resolves to."""
    if facts.snapshot.source == "bundle":
        return f"the bundle holds no DNS answer for {name}; run it again on the host"
    return f"no DNS server was asked for {name}"


def stopped_before(base: Dial, container: Container) -> Dial | None:
    """What already ends it at the container itself: it does not run, is paused, or has no network; None where it is well."""
    state = container.state
    if state.running and not container.frozen:
        if base.facts.namespace_lost(container):
            return _lost(base, container)
        return _on_none(base, container)
    if container.frozen:
        text = f"{container.name} is {'paused' if state.paused else 'frozen'}"
        return replace(base, hop="target", obstacle=Paused(container=container, proven=True), predicted={"target": text})
    obstacle = NotRunning(container=container, proven=True)
    text = f"{container.name} is not running ({state.status})"
    return replace(base, hop="target", obstacle=obstacle, predicted={"target": text})


def _lost(base: Dial, container: Container) -> Dial:
    owner = base.facts.container(container.network_mode.removeprefix("container:"))
    text = f"{container.name} shares a network namespace that was lost"
    return replace(
        base,
        hop="network",
        obstacle=NamespaceLost(container=container, owner=owner, proven=container.sandbox is not None or owner is None),
        predicted={**running_text(container), "network": text},
        not_applicable=frozenset({"name"}),
    )


def _on_none(base: Dial, container: Container) -> Dial | None:
    """Nobody but the container itself gets at one on `none`, whatever it publishes."""
    if base.source is container or {e.network for e in container.endpoints} != {"none"}:
        return None
    return replace(
        base,
        hop="network",
        obstacle=NoNetwork(container=container, proven=True),
        predicted={**running_text(container), "network": f"{container.name} is on the network none"},
        not_applicable=frozenset({"name"}),
    )


def is_far(facts: HostFacts, target: Target) -> bool:
    """True if it is said to be on another host."""
    return target.host not in ("", facts.name)


def ports_of(facts: HostFacts, container: Container | None, target: Target) -> list[int | None]:
    """The port asked; without one the listening, else the exposed ones, else those that listen on loopback."""
    if target.port is not None:
        return [target.port]
    if container is None:
        return [None]
    listeners = [li for li in facts.listeners(container, target.protocol) or () if li.address != EMBEDDED]
    listening = sorted({li.port for li in listeners if not is_loopback(li.address)})
    exposed = sorted(port for port, protocol in container.exposed if protocol == target.protocol)
    return list((listening or exposed or sorted({li.port for li in listeners}))[:MAX_PORTS]) or [None]


def no_port(container: Container | None) -> tuple[str, str]:
    """Why nothing is dialled where no port was named: the hop, and what to say of it."""
    return ("listener", f"{container.name} listens on no port and exposes none" if container else "say which port")


def members_asked(facts: HostFacts, target: Target) -> Iterator[tuple[Container | None, Target]]:
    """Each member of the service, and what is asked of it: the ports of the others where it has none of its own. None for no
    member."""
    members = members_of_service(facts, target.name)
    ports = {member.id: ports_of(facts, member, target) for member in members}
    known = sorted({port for some in ports.values() for port in some if port})
    for member in members:
        idle = ports[member.id] == [None] and not member.bindings
        for port in (known if idle else ()) or (target.port,):
            yield member, replace(target, port=port)
    if not members:
        yield None, target


def running_text(container: Container | None) -> dict[str, str]:
    """What is predicted for the hop `target`; empty for no container."""
    if container is None:
        return {}
    return {"target": f"{container.name} is {container.state.status}"}
