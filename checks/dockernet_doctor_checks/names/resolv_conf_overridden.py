"""resolv-conf-overridden: on a custom network, a resolv.conf (mounted or rewritten) that does not name Docker's DNS first."""

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
    Probe,
    affected,
    container_subject,
    is_loopback,
    model,
    names,
    obstacles,
    probe_evidence,
    remedy,
    unanswered_name,
)

from ._upstream import RESOLV_CONF
from ._words import networks_evidence, resolv_evidence


def probes(case: Case) -> Iterator[Probe]:
    """Asks whether a server that is asked before Docker's DNS knows the name of a neighbour: a question asks by itself."""
    for facts, container in case.running() if not case.asked else ():
        yield from _trial(case, facts, container)


def find(case: Case) -> Iterator[Finding]:
    """Every container on a custom network that does not ask 127.0.0.11 first, and the names that it asked in vain."""
    explained: dict[tuple[str, str], list[Path]] = {}
    for path, _obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("other-resolver",)):
        facts = case.facts(path.host)
        if path.source is not None:
            explained.setdefault((facts.name, path.source.id), []).append(path)
    for facts, container in case.running():
        if not unanswered_name.overridden(facts, container):
            continue
        paths = explained.get((facts.name, container.id), [])
        meant = own_resolver(facts, container) or _has_tunnel(container) or _is_torn(facts, container)
        if paths or not (meant or _first_server_will_do(case, facts, container)):
            yield _finding(case, facts, container, tuple(paths))


def _before(facts: HostFacts, container: model.Container) -> tuple[str, ...]:
    conf = names.resolv_conf(facts, container)
    return names.asked_before_embedded(conf) if conf else ()


def _trial(case: Case, facts: HostFacts, container: model.Container) -> Iterator[Probe]:
    before = _before(facts, container)
    for neighbour in _neighbours(facts, container)[:1] if before and unanswered_name.overridden(facts, container) else ():
        yield Probe(kind="dns", vantage=case.vantage(facts, container), address=before[0], port=53, name=neighbour.name)


def _first_server_will_do(case: Case, facts: HostFacts, container: model.Container) -> bool:
    """True if the server before Docker's DNS knows the neighbours too, or is silent, so that Docker's is asked after it."""
    if not _before(facts, container):
        return False
    if case.asked or not _neighbours(facts, container):
        return True  # a question's own path tells; without a neighbour there is no name to miss
    return any(a.sent and a.result != "nxdomain" for probe in _trial(case, facts, container) if (a := case.answer(probe)))


def own_resolver(facts: HostFacts, container: model.Container) -> bool:
    """True if the container runs a resolver of its own and asks that, as VPN images and DNS servers do: meant so."""
    conf = container.sandbox.resolv_conf if container.sandbox else None
    local = {a for a in (conf.nameservers if conf else ()) if is_loopback(a)}
    return bool(local) and any(li.port == 53 for li in facts.listeners(container) or ())


def _is_torn(facts: HostFacts, container: model.Container) -> bool:
    """True if the file may be the image's own, read when the container had just ended and Docker's was gone from over it."""
    conf = names.resolv_conf(facts, container)
    return facts.unsettled(container) and conf is not None and not conf.nameservers


def _has_tunnel(container: model.Container) -> bool:
    """True if it is the end of a VPN, whose server its names are meant to be asked of."""
    return container.sandbox is not None and any(li.kind in ("tun", "wireguard") for li in container.sandbox.stack.links)


def _neighbours(facts: HostFacts, container: model.Container) -> list[model.Container]:
    """Those whose names Docker's DNS would tell it."""
    owner = facts.namespace_owner(container) or container
    networks = [n for n in facts.networks_of(container) if n.name != "bridge"]
    return [c for n in networks for c in facts.members(n) if c.state.running and c.id != owner.id]


def _finding(case: Case, facts: HostFacts, container: model.Container, paths: tuple[Path, ...]) -> Finding:
    owner = facts.namespace_owner(container) or container
    mounted = RESOLV_CONF in container.mounts or RESOLV_CONF in owner.mounts
    conf = container.sandbox.resolv_conf if container.sandbox else None
    servers = ", ".join(conf.nameservers) if conf and conf.nameservers else "nobody"
    asked = f" (it asks for {paths[0].question.target.name})" if paths else ""
    before = ", ".join(_before(facts, container))
    trials = [a for probe in _trial(case, facts, container) if (a := case.answer(probe)) and a.sent]
    file = f"its /etc/resolv.conf {'is mounted from outside' if mounted else 'was rewritten'} and lists"
    return Finding(
        severity="error" if paths or _neighbours(facts, container) else "info",
        confidence="likely" if before and not trials and not any(p.answers for p in paths) else "proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=(
            f"{container} asks {before} before Docker's DNS{asked}, and accepts that there is no such name: {file} "
            f"{before} before 127.0.0.11."
            if before
            else f"{container} does not ask Docker's DNS{asked}: {file} {servers} instead of 127.0.0.11."
        ),
        evidence=(
            *resolv_evidence(facts, container),
            networks_evidence(facts, container),
            *([Evidence(fact="mount", value=RESOLV_CONF, source=f"inspection of {container.name}")] if mounted else []),
            *(Evidence(fact=f"{a.probe.name} at {a.probe.address}", value=a.result, source="probe") for a in trials),
            *probe_evidence(*paths),
        ),
        fixes=(_fix(facts, owner, mounted=mounted),),
        hop="name",
        explains=paths,
    )


def _fix(facts: HostFacts, container: model.Container, *, mounted: bool) -> Fix:
    if not mounted:
        return remedy.restart(facts, container, summary=f"Restart {container}: the file is written again.")
    if container.compose or container.swarm:
        return Fix(summary=f"Remove the volume at {RESOLV_CONF} from {container}.", runnable=False)
    summary = f"Recreate {container} without the mount at {RESOLV_CONF}."
    return remedy.recreate(facts, container, summary=summary, without_mount=RESOLV_CONF)


check = Check(
    cause="resolv-conf-overridden",
    title="The container does not ask Docker's DNS",
    subjects=("container", "service"),
    needs=("engine", "host.network", "sandbox.network", "sandbox.files", "name"),
    find=find,
    probes=probes,
    phrases=("bad address", "could not resolve host", "temporary failure in name resolution", "name or service not known"),
)
