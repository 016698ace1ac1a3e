"""default-bridge-no-dns: on the default `bridge` containers do not know each other's names (article rules 2 and 29)."""

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
    obstacles,
    probe_evidence,
    remedy,
)


def find(case: Case) -> Iterator[Finding]:
    """Names of containers on `bridge`, asked for by a container that is on `bridge` alone."""
    for path, obstacle in case.broken_by(obstacles.NameUnanswered):
        source, meant = path.source, obstacle.meant
        facts = case.facts(path.host)
        if source is None or meant is None or not on_default_bridge_only(facts, source):
            continue
        if "bridge" not in {n.name for n in facts.networks_of(meant)}:
            continue
        yield Finding(
            severity="error",
            confidence="proven" if obstacle.proven else "likely",
            subject=container_subject(facts, source),
            affects=affected(facts, source),
            summary=(
                f"{source.name} cannot resolve {obstacle.name}: both are on the default bridge, where Docker serves no names."
            ),
            evidence=(
                Evidence(fact=f"networks of {source.name}", value="bridge", source=f"inspection of {source.name}"),
                *_resolv(source),
                *probe_evidence(path),
            ),
            fixes=(_custom_network(facts, source, meant, obstacle.name),),
            hop="name",
            explains=(path,),
        )


def on_default_bridge_only(facts: HostFacts, container: model.Container) -> bool:
    return {n.name for n in facts.networks_of(container)} == {"bridge"}


def _resolv(container: model.Container) -> Iterator[Evidence]:
    conf = container.sandbox.resolv_conf if container.sandbox else None
    if conf:
        yield Evidence(
            fact="nameserver", value=", ".join(conf.nameservers) or "none", source=f"/etc/resolv.conf of {container.name}"
        )


def _custom_network(facts: HostFacts, source: model.Container, meant: model.Container, name: str) -> Fix:
    """Both on a network of their own, under the name that was asked for."""
    shared = next((n.name for n in facts.networks_of(meant) if n.name != "bridge" and n.driver == "bridge"), None)
    create = () if shared else ("docker network create app",)
    network = shared or "app"
    alias = () if name.lower() == meant.name.lower() else (name,)
    connect = [c for f in remedy.join_network(facts, source, network)[:1] for c in f.commands]
    if shared is None:
        connect += [c for f in remedy.join_network(facts, meant, network, aliases=alias)[:1] for c in f.commands]
    return Fix(
        summary=f"Put {source.name} and {meant.name} on a custom network, where names resolve.",
        commands=(*create, *connect),
        impacts=("changes-network",),
    )


check = Check(
    cause="default-bridge-no-dns",
    title="The default bridge has no DNS",
    subjects=("container",),
    find=find,
    phrases=(
        "bad address",
        "could not resolve host",
        "temporary failure in name resolution",
        "name or service not known",
        "unknown host",
    ),
    article=(2, 29),
)
