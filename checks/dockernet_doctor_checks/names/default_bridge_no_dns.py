"""default-bridge-no-dns: on the default `bridge` containers do not know each other's names (article rules 2 and 29)."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Finding,
    Fix,
    HostFacts,
    affected,
    container_subject,
    model,
    names,
    obstacles,
    probe_evidence,
    remedy,
    stopped,
    unanswered_name,
)

from ._words import maps, networks_evidence, resolv_evidence


def find(case: Case) -> Iterator[Finding]:
    """Names of containers that are on `bridge`, asked for by one that shares no other network with them."""
    for path, obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("default-bridge",)):
        facts = case.facts(path.host)
        source, meant = path.source, obstacle.meant
        if source is None or meant is None:
            continue
        default, engine = ("network podman", "Podman") if facts.of_podman else ("default bridge", "Docker")
        yield Finding(
            severity="error",
            confidence="proven" if obstacle.proven else "likely",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source.name} cannot resolve {obstacle.name}: it shares only the {default} with {meant}, where "
                f"{engine} serves no names."
            ),
            evidence=(
                networks_evidence(facts, source),
                networks_evidence(facts, meant),
                *resolv_evidence(facts, source),
                *probe_evidence(path),
            ),
            fixes=(custom_network(facts, source, meant, obstacle.name),),
            hop="name",
            explains=(path,),
        )
    for one, meant in _ended_over_a_name(case):
        facts, source = one.facts, one.container
        fix = custom_network(facts, source, meant, one.reference.host)
        yield Finding(
            severity="error",
            confidence="likely",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source.name} crashes when it cannot resolve {one.reference.host} ({one.reference.key}): it shares only the "
                f"default bridge with {meant}, where Docker serves no names."
            ),
            evidence=(*one.evidence, networks_evidence(facts, source), networks_evidence(facts, meant)),
            fixes=(replace(fix, commands=(*fix.commands, *remedy.restart(facts, source).commands)),),
            hop="target" if one.paths else "name",
            explains=one.paths,
        )


def _ended_over_a_name(case: Case) -> Iterator[tuple[stopped.Ended, model.Container]]:
    """Programs that ended over the name of a running container which the default bridge keeps from them; and that one."""
    for one in stopped.ended(case):
        facts, source, name = one.facts, one.container, one.reference.host
        meant = names.meant(facts, name, source)
        if meant is None or meant is source or not meant.state.running or maps(source, name):
            continue
        asked = obstacles.NameUnanswered(name=name, resolver="upstream", result="", meant=meant)
        if unanswered_name.reason_of(facts, source, asked) == "default-bridge":
            yield one, meant


def custom_network(facts: HostFacts, source: model.Container, meant: model.Container, name: str) -> Fix:
    """Both on a custom network, on which the target has the name that was asked for."""
    network, changes = remedy.resettle(facts, meant, source)
    known = {meant.name.lower(), *(a.lower() for e in meant.endpoints if e.network == network for a in e.aliases)}
    if name.lower() not in known:
        connect = remedy.joining(facts, meant, network, aliases=(name,))
        plain = remedy.joining(facts, meant, network)
        changes = (*(c for c in changes if c not in plain or network in {e.network for e in meant.endpoints}), *connect)
    return Fix.of(
        *changes,
        summary=f"Put {source.name} and {meant} on the custom network {network}, where names resolve.",
        impacts=("changes-network",),
    )


check = Check(
    cause="default-bridge-no-dns",
    title="The default bridge has no DNS",
    subjects=("container",),
    needs=("engine", "host.network", "sandbox.files", "name"),
    podman=True,
    find=find,
    frequent=True,
    phrases=(
        "bad address",
        "could not resolve host",
        "temporary failure in name resolution",
        "name or service not known",
        "unknown host",
        "plain name left unresolved by docker",
    ),
    article=(2, 29),
)
