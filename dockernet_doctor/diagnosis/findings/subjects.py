"""Names of the things that a finding is about, and the evidence that a path gives.

Members of Compose and Swarm go by their service, since their generated names change (design, *JSON report*).
"""

from __future__ import annotations

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Affected, Evidence, Subject
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.diagnosis.paths.walk import answer_text
from dockernet_doctor.snapshot.model import Container, Network


def display_name(container: Container) -> str:
    """`shop/web` for a member of a Compose project, the service's name for a Swarm task, else the container's own name."""
    if container.compose is not None:
        return f"{container.compose.project}/{container.compose.service}"
    if container.swarm is not None:
        return container.swarm.service
    return container.name


def container_subject(facts: HostFacts, container: Container) -> Subject:
    kind = "service" if container.compose or container.swarm else "container"
    return Subject(kind=kind, name=display_name(container), host=facts.name, id=container.id)


def port_subject(facts: HostFacts, container: Container, port: int, protocol: str) -> Subject:
    """`web:80/tcp`: the container's port, whatever it is published as."""
    return Subject(kind="port", name=f"{display_name(container)}:{port}/{protocol}", host=facts.name, id=container.id)


def network_subject(facts: HostFacts, network: Network) -> Subject:
    return Subject(kind="network", name=network.name, host=facts.name, id=network.id)


def host_subject(facts: HostFacts) -> Subject:
    return Subject(kind="host", name=facts.name, host=facts.name)


def daemon_subject(facts: HostFacts) -> Subject:
    return Subject(kind="daemon", name=facts.name, host=facts.name)


def file_subject(facts: HostFacts, path: str) -> Subject:
    return Subject(kind="file", name=path, host=facts.name)


def destination_subject(path: Path) -> Subject:
    """What was asked for, where that is no container that is known."""
    return Subject(kind="destination", name=wanted(path), host=path.host)


def rule_subject(facts: HostFacts, text: str) -> Subject:
    """A firewall rule, named by table, chain and text, never by position."""
    return Subject(kind="rule", name=text, host=facts.name)


def affected(facts: HostFacts, *containers: Container) -> tuple[Affected, ...]:
    """The containers that suffer, each once."""
    return tuple(dict.fromkeys(Affected(kind="container", name=c.name, host=facts.name) for c in containers))


def sufferers(*paths: Path) -> tuple[Affected, ...]:
    """Whom broken paths hurt, each once: the container that asks, else the one that is asked for."""
    ends = ((p.source, p.source_host or p.host) if p.source else (p.target, p.target_host or p.host) for p in paths)
    return tuple(dict.fromkeys(Affected(kind="container", name=hurt.name, host=home) for hurt, home in ends if hurt))


def who(path: Path) -> str:
    """The source in a sentence: a container's name, "this host" or its name, or "other machines"."""
    return path.asker


def wanted(path: Path) -> str:
    """What is asked for, in a sentence: `web:80`, or the destination as it was typed."""
    target = path.question.target
    if target.kind == "container" and target.port:
        return f"{target.name}:{target.port}"
    return path.destination.name.removeprefix("name:").removesuffix(f"@{path.host}")


def unreached(path: Path) -> str:
    """The beginning of a headline: `web (host port 8080) cannot be reached from other machines`, `api cannot reach db:5432`."""
    if path.source is not None:
        return f"{who(path)} cannot reach {wanted(path)}"
    target, port = path.question.target, path.destination.port
    named = target.kind == "container" and target.port is not None and port not in (None, target.port)
    return f"{f'{target.name} (host port {port})' if named else wanted(path)} cannot be reached from {who(path)}"


def probe_evidence(*paths: Path) -> tuple[Evidence, ...]:
    """What the probes of the paths saw."""
    return tuple(
        Evidence(fact=f"probe from {path.source.name if path.source else 'the host'}", value=text, source="probe")
        for path in paths
        for text in dict.fromkeys(answer_text(answer) for answer in path.answers if answer.sent)
    )
