"""loopback-nameserver: the container's DNS server is a loopback address, which is its own and not the host's.

A host whose resolver is 127.0.0.53 is no fault: custom networks ask it from the host's namespace, and the default bridge
takes /run/systemd/resolve/resolv.conf (20.10, 26.1, 28.5). A `dns` option that is itself loopback is one.
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
    Subject,
    affected,
    container_subject,
    daemon,
    daemon_subject,
    dockerd,
    is_loopback,
    model,
    names,
    obstacles,
    probe_evidence,
    remedy,
    unanswered_name,
)

from ._words import resolv_evidence
from .resolv_conf_overridden import own_resolver

LEFT_NONE = r"No non-localhost DNS nameservers are left in resolv.conf"


def find(case: Case) -> Iterator[Finding]:
    """A dns option of the daemon or of a container that is loopback, and default servers instead of a loopback one."""
    explained: dict[tuple[str, str], list[Path]] = {}
    for path, _obstacle in case.broken_by(obstacles.NameUnanswered, reasons=("loopback-servers",)):
        facts = case.facts(path.host)
        if path.source is not None:
            explained.setdefault((facts.name, path.source.id), []).append(path)
    for facts, container in case.running():
        paths = tuple(explained.get((facts.name, container.id), ()))
        servers = unanswered_name.loopback_servers(facts, container) if paths or _told(facts, container) else ()
        if servers and not own_resolver(facts, container):
            yield _finding(facts, container, servers, paths)
    for facts in case.hosts:
        asked = tuple(p for (host, _id), found in explained.items() if host == facts.name for p in found)
        yield from _fallback(facts, asked)


def _told(facts: HostFacts, container: model.Container) -> tuple[str, ...]:
    """The loopback addresses of the option that rules this container."""
    return tuple(a for a in container.dns or names.daemon_dns(facts) if is_loopback(a))


def _finding(facts: HostFacts, container: model.Container, servers: tuple[str, ...], paths: tuple[Path, ...]) -> Finding:
    by_daemon = not container.dns and bool(_told(facts, container))
    who = "the daemon's dns option" if by_daemon else f"the dns option of {container}" if container.dns else "resolv.conf"
    listed = ", ".join(servers)
    subject: Subject = daemon_subject(facts) if by_daemon else container_subject(facts, container)
    return Finding(
        severity="error",
        confidence="proven",
        subject=subject,
        affects=affected(facts, container),
        summary=f"The DNS server of {container} is {listed} ({who}), which is {container} itself, not {facts.here}.",
        evidence=(*resolv_evidence(facts, container), *probe_evidence(*paths)),
        fixes=(_fix(facts, container, by_daemon=by_daemon),),
        hop="name",
        explains=paths,
    )


def _fix(facts: HostFacts, container: model.Container, *, by_daemon: bool) -> Fix:
    if by_daemon:
        return dockerd.without_options(facts, ["dns"], summary="Remove the loopback address from the daemon's dns option.")
    if container.dns:
        kept = tuple(a for a in container.dns if not is_loopback(a))
        return remedy.alter(facts, container, summary=f"Recreate {container} without the loopback server.", dns=kept)
    return remedy.restart(facts, container, summary=f"Restart {container}: its resolv.conf is written again.")


def _fallback(facts: HostFacts, asked: tuple[Path, ...]) -> Iterator[Finding]:
    """On the default bridge, a host with a loopback resolver only leaves public servers: its own names are lost there."""
    host = facts.host.resolv_conf if facts.host else None
    hit = [c for c in facts.running if unanswered_name.fallback(facts, c) == "loopback" and c.network_mode != "none"]
    paths = tuple(p for p in asked if p.source in hit)
    if not hit or host is None:
        return
    conf = hit[0].sandbox.resolv_conf if hit[0].sandbox else None
    now = ", ".join(conf.nameservers) if conf and conf.nameservers else "nobody"
    yield Finding(
        severity="warning",
        confidence="proven",
        subject=daemon_subject(facts),
        affects=affected(facts, *hit),
        summary=(
            f"{hit[0]} asks {now} for names: {facts.here}'s resolver {', '.join(host.nameservers)} is loopback, which the "
            f"default bridge cannot use."
        ),
        evidence=(
            *resolv_evidence(facts, None),
            *resolv_evidence(facts, hit[0]),
            *daemon.log_evidence(facts, daemon.logged(facts, LEFT_NONE)),
            Evidence(fact="network", value="bridge", source=f"inspection of {hit[0].name}"),
        ),
        fixes=(_custom_network(facts, hit),),
        hop="name" if paths else None,
        explains=paths,
    )


def _custom_network(facts: HostFacts, hit: list[model.Container]) -> Fix:
    network, changes = remedy.resettle(facts, *hit)
    return Fix.of(
        *changes,
        summary=f"Put them on the custom network {network}, where Docker's DNS asks {facts.here}'s resolver for them.",
        impacts=("changes-network",),
    )


check = Check(
    cause="loopback-nameserver",
    title="A loopback DNS server means the container itself",
    subjects=("container", "daemon"),
    needs=(
        "engine",
        "daemon.process",
        "daemon.files",
        "host.network",
        "host.resolver",
        "sandbox.network",
        "sandbox.files",
        "name",
    ),
    find=find,
    phrases=("no non-localhost dns nameservers are left in resolv.conf", "temporary failure in name resolution", "bad address"),
)
