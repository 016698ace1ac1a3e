"""unknown-name: the name is no container, alias, service or link within reach of the source (article rules 22 and 23)."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    Subject,
    affected,
    container_subject,
    daemon,
    listed,
    model,
    names,
    obstacles,
    probe_evidence,
    remedy,
    stopped,
    sufferers,
    unanswered_name,
    witness,
)

from ._words import maps, service_name, setting_of


def find(case: Case) -> Iterator[Finding]:
    """Names that nobody answers to where they are asked for."""
    for path, obstacle in case.broken_by(obstacles.NameUnanswered, obstacles.NoSuchTarget):
        assert isinstance(obstacle, (obstacles.NameUnanswered, obstacles.NoSuchTarget))
        facts = case.facts(path.host)
        if facts.snapshot.engine is None:
            continue  # whatever its daemon has was not read
        if isinstance(obstacle, obstacles.NameUnanswered) and obstacle.reason != "nobody":
            continue
        if (
            path.source is not None
            and not path.target_host
            and unanswered_name.service_elsewhere(facts, path.source, obstacle.name)
        ):
            continue
        meant = obstacle.meant if isinstance(obstacle, obstacles.NameUnanswered) else None
        if meant is not None and facts.keeps_ending(meant):
            continue  # the name goes and comes with it
        source = None if _of_other_host(path) else path.source
        near = _own_names(facts, meant) if meant else nearest(facts, source, obstacle.name)
        server = _only_server(facts, path) if not near else None
        down = _nodes_down(facts, source) if not near and "." not in obstacle.name.rstrip(".") else []
        yield Finding(
            severity="error",
            confidence="proven" if obstacle.proven else "likely",
            subject=_subject(facts, path, obstacle.name),
            affects=sufferers(path),
            summary=_shared(facts, path, meant)
            or f"{_problem(facts, path, obstacle.name)}{_offer(near, server)}{_gone_with(down)}.",
            evidence=(
                Evidence(
                    fact="names within reach",
                    value=", ".join(within_reach(facts, source)) or "none",
                    source="inspection of containers and networks",
                ),
                *(Evidence(fact=f"node {node.hostname}", value=node.state, source="docker node ls") for node in down),
                *_of_the_log(path, obstacle.name),
                *probe_evidence(path),
            ),
            fixes=(_fix(facts, path, obstacle.name, near or ([server] if server else [])),),
            hop=path.broken.hop if path.broken else None,
            explains=(path,),
        )
    for one in stopped.ended(case):
        yield from _of_ended(one)


def _of_the_log(path: Path, name: str) -> Iterator[Evidence]:
    """The line that names it, where no setting does."""
    if path.source is not None and path.question.origin == "log":
        lines = (dial.line for dial in witness.dialled(path.source) if dial.host == name)
        yield from (Evidence(fact="log", value=line, source=f"log of {path.source.name}") for line in [*lines][-1:])


def _of_ended(one: stopped.Ended) -> Iterator[Finding]:
    """A program that ended without a name that its log says, which is nearly that of a container in its reach."""
    facts, source, name = one.facts, one.container, one.reference.host
    if "." in name or name.lower() not in one.said.lower() or maps(source, name) or names.is_address(name):
        return
    if names.meant(facts, name, source) is not None:
        return
    near = nearest(facts, source, name)
    if near or (one.reference.where == "log" and has_dns(facts, source)):
        yield Finding(
            severity="error",
            confidence="likely",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source} crashes when it cannot reach {name} ({one.reference.key}): nothing on its networks has that "
                f"name{_offer(near)}."
            ),
            evidence=one.evidence,
            fixes=(remedy.point_at(facts, source, one.reference, near[0]) if near else _none_near(source, name),),
            hop="target" if one.paths else "name",
            explains=one.paths,
        )


def has_dns(facts: HostFacts, source: model.Container) -> bool:
    """True if Docker's DNS serves it on one of its networks."""
    return any(network.has_dns for network in facts.networks_of(source))


def _none_near(source: model.Container, name: str) -> Fix:
    return Fix(summary=f"Start {name} on a network of {source}, or take it out of {source}'s configuration.", runnable=False)


def within_reach(facts: HostFacts, source: model.Container | None) -> list[str]:
    """Names of running containers, services and aliases that the source can use; all containers from the host."""
    if source is None:
        return sorted(c.name for c in facts.containers)
    found: set[str] = set()
    for container in facts.running:
        shared = {n.id for n in facts.common_networks(source, container)}
        for endpoint in container.endpoints:
            network = facts.network_of(endpoint)
            if network is not None and network.id in shared and network.name != "bridge" and container is not source:
                found |= {container.name, *(a for a in endpoint.aliases if a != container.id[:12])}
    return sorted(found)


def nearest(facts: HostFacts, source: model.Container | None, name: str) -> list[str]:
    from difflib import get_close_matches

    known = {n.lower(): n for n in within_reach(facts, source)}
    first = name.lower().partition(".")[0]  # redis.default.svc.cluster.local, mail.corp.example
    close = get_close_matches(name.lower(), known, n=3, cutoff=0.6)
    return [known[n] for n in dict.fromkeys(([first] if first in known else []) + close)]


def _nodes_down(facts: HostFacts, source: model.Container | None) -> list[model.SwarmNode]:
    """Nodes whose containers would have been within reach, by an overlay network; only a manager knows of them."""
    if source is None or facts.snapshot.engine is None:
        return []
    if not any(network.driver == "overlay" for network in facts.networks_of(source)):
        return []
    return [node for node in facts.snapshot.engine.swarm.node_list if node.state == "down"]


def _gone_with(down: list[model.SwarmNode]) -> str:
    if not down:
        return ""
    names = daemon.names(node.hostname for node in down)
    return (
        f"; the Swarm node{'s' * (len(down) > 1)} {names} {'is' if len(down) == 1 else 'are'} down, and so are the names there"
    )


def _own_names(facts: HostFacts, meant: model.Container) -> list[str]:
    owner = facts.namespace_owner(meant) or meant
    return [owner.name]


def _fix(facts: HostFacts, path: Path, name: str, near: list[str]) -> Fix:
    if _of_other_host(path):
        return Fix(summary=f"Name a container that runs on {path.target_host}.", runnable=False)
    if not near and isinstance(path.obstacle, obstacles.NameUnanswered) and "." in name.rstrip("."):
        return Fix(summary=f"Correct the name {name}, or add it to your DNS.", runnable=False)
    if not near and path.source:
        told = f"Start a container named {name} on a network of {path.source}, or change the name that {path.source} dials."
        return Fix(summary=told, runnable=False)
    if not near:
        return Fix(summary=f"Name a container, alias or service that runs on {path.host}.", runnable=False)
    reference = setting_of(path)
    if path.source is None or reference is None:
        return Fix(summary=f"Use the name {near[0]} instead of {name}.", runnable=False)
    return remedy.point_at(facts, path.source, reference, near[0])


def _subject(facts: HostFacts, path: Path, name: str) -> Subject:
    if path.source is not None and not _of_other_host(path):
        return container_subject(facts, path.source)
    return Subject(kind="destination", name=name, host=facts.name)


def _shared(facts: HostFacts, path: Path, meant: model.Container | None) -> str:
    """The words on a container that lives in the network namespace of another."""
    owner = facts.namespace_owner(meant) if meant else None
    if owner is None or meant is None or owner is meant or path.source is None:
        return ""
    setting = setting_of(path)
    says = f" ({setting.key})" if setting else ""
    return f"{path.source} looks up {meant.name}{says}, which has no name of its own: it shares the network of {owner}."


def _problem(facts: HostFacts, path: Path, name: str) -> str:
    if path.source is None and isinstance(path.obstacle, obstacles.NameUnanswered):
        return f"The name {name}, which {facts.here} looks up, does not exist"
    kind = path.question.target.kind
    if path.source is None or _of_other_host(path) or kind == "service":
        what = "service" if kind == "service" else "container"
        return f"No {what} on {path.host} is called {name}"
    setting = setting_of(path)
    says = f" ({setting.key})" if setting else ""
    if "." in name.rstrip("."):
        return f"{path.source} looks up {name}{says}, which does not exist"
    return f"{path.source} looks up {name}{says}, but nothing on its networks has that name"


def _of_other_host(path: Path) -> bool:
    """A container was asked for on another host than the source's, by that host's name."""
    return bool(path.target_host) and isinstance(path.obstacle, obstacles.NoSuchTarget)


def _only_server(facts: HostFacts, path: Path) -> str | None:
    """What the source calls the one neighbour on its networks that listens on the port: who else would be meant?"""
    source, target = path.source, path.question.target
    if source is None or target.port is None or _of_other_host(path) or "." in target.name:
        return None
    near = (c for c in facts.running if any(n.name != "bridge" for n in facts.common_networks(source, c)) and c is not source)
    found = [c for c in near if any(li.port == target.port for li in facts.listeners(c, target.protocol) or ())]
    return service_name(source, found[0]) if len(found) == 1 else None


def _offer(near: list[str], server: str | None = None) -> str:
    if server:
        return f"; the only neighbour that listens on that port is called {server}"
    return f"; the nearest is {listed(near, 'or')}" if near else ""


check = Check(
    cause="unknown-name",
    title="Nothing within reach has this name",
    subjects=("container", "destination"),
    needs=("engine", "host.network", "sandbox.network", "name"),
    podman=True,
    find=find,
    symptom_of=("split-dns-lost", "service-not-running", "swarm-advertise-wrong"),
    frequent=True,
    phrases=(
        "could not resolve host",
        "bad address",
        "name or service not known",
        "unknown host",
        "temporary failure in name resolution",
        "no such host",
        "getaddrinfo enotfound",
        "getaddrinfo eai_again",
        "host not found in upstream",
        "could not be resolved (3: host not found)",
        "nxdomain",
        "plain name left unresolved by docker",
    ),
    article=(22, 23),
)
