"""none-network: a container on `none` has no connectivity by design, and can join nothing else (article rule 31)."""

from __future__ import annotations

from collections.abc import Iterator

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
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Containers on `none`: info, and an error where a question runs into one."""
    for facts, container in case.running():
        if container.network_mode != "none" and {e.network for e in container.endpoints} != {"none"}:
            continue
        if any(e.network != "none" for e in container.endpoints):
            continue
        paths = tuple(p for p in case.paths if p.verdict == "unreachable" and container.name in _ends(p))
        other = _other(facts, paths, container)
        yield Finding(
            severity="info",
            confidence="proven",
            subject=container_subject(facts, container),
            affects=affected(facts, container),
            summary=f"{container.name} is on the network none: nothing reaches it and it reaches nothing.",
            evidence=(Evidence(fact="networks", value="none", source=f"inspection of {container.name}"),),
            fixes=(_fix(facts, container, other),),
            hop="network",
            explains=paths,
        )


def _ends(path: object) -> set[str]:
    source, target = getattr(path, "source", None), getattr(path, "target", None)
    return {c.name for c in (source, target) if c is not None}


def _other(facts: HostFacts, paths: tuple[object, ...], container: model.Container) -> str | None:
    """A network of the container at the other end of the question."""
    for path in paths:
        for end in (getattr(path, "source", None), getattr(path, "target", None)):
            if end is None or end is container:
                continue
            for network in sorted(facts.networks_of(end), key=lambda n: n.name == "bridge"):
                if network.driver not in ("null", "host"):
                    return network.name
    return None


def _fix(facts: HostFacts, container: model.Container, network: str | None) -> Fix:
    custom = next((n.name for n in facts.snapshot.networks if n.driver == "bridge" and n.name != "bridge"), "bridge")
    return remedy.join_network(facts, container, network or custom)[0]


check = Check(
    cause="none-network",
    title="The network none connects nothing",
    subjects=("container",),
    find=find,
    phrases=(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode",
        "network is unreachable",
        "bad address",
    ),
    article=(31,),
)
