"""hostname-not-a-name: a hostname or a container id is not what DNS knows on this network (article rule 2).

A hostname given at creation does resolve on custom networks (20.10, 26.1, 28.5), and so does the 12-digit id. Neither does
on the default bridge, nor HOSTNAME.DOMAINNAME or other lengths of the id anywhere.
"""

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
    affected,
    container_subject,
    model,
    names,
    obstacles,
    probe_evidence,
    remedy,
)

from ._words import networks_evidence, setting_of
from .default_bridge_no_dns import custom_network


def find(case: Case) -> Iterator[Finding]:
    """Unanswered names that are a hostname or an id of a container which the source shares a network with."""
    for path, obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("hostname",)):
        facts = case.facts(path.host)
        source, meant = path.source, obstacle.meant
        if source is None or meant is None:
            continue
        hostname = obstacle.name.lower().startswith(meant.hostname.lower()) and not meant.id.startswith(meant.hostname)
        kind = "the hostname" if hostname else "a part of the id"
        yield Finding(
            severity="error",
            confidence="proven" if obstacle.proven else "likely",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source.name} cannot resolve {obstacle.name}: it is {kind} of {meant}, which the network's DNS does not know."
            ),
            evidence=(
                Evidence(fact="Config.Hostname", value=meant.hostname, source=f"inspection of {meant.name}"),
                Evidence(fact="names and aliases", value=_served(meant), source=f"inspection of {meant.name}"),
                networks_evidence(facts, source),
                *probe_evidence(path),
            ),
            fixes=tuple(_fixes(facts, path, source, meant, obstacle.name)),
            hop="name",
            explains=(path,),
        )


def _served(meant: model.Container) -> str:
    return ", ".join(sorted({n for e in meant.endpoints for n in names.embedded_names(meant, e) if "." not in n}))


def _fixes(facts: HostFacts, path: Path, source: model.Container, meant: model.Container, name: str) -> Iterator[Fix]:
    network = next((n for n in facts.common_networks(source, meant) if n.has_dns), None)
    reference = setting_of(path)
    if network is None:
        yield custom_network(facts, source, meant, name)
        return
    if reference is not None:
        yield remedy.point_at(facts, source, reference, meant.name)
    if meant.id.startswith(name):
        yield Fix(summary=f"Use the name {meant} instead of {name}: an id changes with every recreation.", runnable=False)
        return
    aliases = tuple(a for e in meant.endpoints if e.network == network.name for a in e.aliases if a != meant.id[:12])
    summary = f"Give {meant} the alias {name} on the network {network.name}."
    yield from remedy.join_network(facts, meant, network.name, aliases=(name, *aliases), summary=summary)


check = Check(
    cause="hostname-not-a-name",
    title="A hostname or an id is not a name that Docker's DNS knows",
    subjects=("container",),
    needs=("engine", "name"),
    find=find,
    phrases=("could not resolve host", "bad address", "unknown host", "name or service not known"),
    article=(2,),
)
