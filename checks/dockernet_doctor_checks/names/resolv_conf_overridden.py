"""resolv-conf-overridden: on a custom network, a resolv.conf (mounted or rewritten) that does not name Docker's DNS."""

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
    probe_evidence,
    remedy,
)

from ._unanswered import networks_evidence, overridden, resolv_evidence, unanswered
from ._upstream import RESOLV_CONF


def find(case: Case) -> Iterator[Finding]:
    """Every container on a custom network whose resolv.conf lacks 127.0.0.11, and the names that it asked in vain."""
    explained: dict[tuple[str, str], list[Path]] = {}
    for facts, path, _obstacle in unanswered(case, "resolv-conf-overridden"):
        if path.source is not None:
            explained.setdefault((facts.name, path.source.id), []).append(path)
    for facts, container in case.running():
        paths = explained.get((facts.name, container.id), [])
        meant = own_resolver(facts, container) or _has_tunnel(container)
        if overridden(facts, container) and (paths or not meant):
            yield _finding(facts, container, tuple(paths))


def own_resolver(facts: HostFacts, container: model.Container) -> bool:
    """Whether the container runs a resolver of its own and asks that, as VPN images and DNS servers do: meant so."""
    conf = container.sandbox.resolv_conf if container.sandbox else None
    local = {a for a in (conf.nameservers if conf else ()) if a.startswith("127.") or a == "::1"}
    return bool(local) and any(li.port == 53 for li in facts.listeners(container) or ())


def _has_tunnel(container: model.Container) -> bool:
    """Whether it is the end of a VPN, whose server its names are meant to be asked of."""
    return container.sandbox is not None and any(li.kind in ("tun", "wireguard") for li in container.sandbox.stack.links)


def _has_neighbours(facts: HostFacts, container: model.Container) -> bool:
    """Whether Docker's DNS would have a name to tell it."""
    others = {c.id for n in facts.networks_of(container) if n.name != "bridge" for c in facts.members(n) if c.state.running}
    owner = facts.namespace_owner(container) or container
    return bool(others - {owner.id})


def _finding(facts: HostFacts, container: model.Container, paths: tuple[Path, ...]) -> Finding:
    owner = facts.namespace_owner(container) or container
    mounted = RESOLV_CONF in container.mounts or RESOLV_CONF in owner.mounts
    conf = container.sandbox.resolv_conf if container.sandbox else None
    servers = ", ".join(conf.nameservers) if conf and conf.nameservers else "nobody"
    asked = f" (it asks for {paths[0].question.target.name})" if paths else ""
    return Finding(
        severity="error" if paths or _has_neighbours(facts, container) else "info",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(
            f"{container.name} does not ask Docker's DNS{asked}: its /etc/resolv.conf "
            f"{'is mounted from outside' if mounted else 'was rewritten'} and names {servers} instead of 127.0.0.11."
        ),
        evidence=(
            *resolv_evidence(facts, container),
            networks_evidence(facts, container),
            *([Evidence(fact="mount", value=RESOLV_CONF, source=f"inspection of {container.name}")] if mounted else []),
            *(e for p in paths for e in probe_evidence(p)),
        ),
        fixes=(_fix(facts, owner, mounted=mounted),),
        hop="name",
        explains=paths,
    )


def _fix(facts: HostFacts, container: model.Container, *, mounted: bool) -> Fix:
    if not mounted:
        return remedy.restart(facts, container, summary=f"Restart {container.name}: the file is made anew.")
    if container.compose or container.swarm:
        return Fix(summary=f"Remove the volume at {RESOLV_CONF} from {container.name}.", runnable=False)
    summary = f"Make {container.name} anew without the mount at {RESOLV_CONF}."
    return remedy.recreate(facts, container, summary=summary, without_mount=RESOLV_CONF)


check = Check(
    cause="resolv-conf-overridden",
    title="The container does not ask Docker's DNS",
    subjects=("container", "service"),
    find=find,
    phrases=("bad address", "could not resolve host", "temporary failure in name resolution", "name or service not known"),
)
