"""container-port-mismatch: published to (or dialled at) a container port where nobody listens, while it listens on another."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    affected,
    is_loopback,
    mapping_text,
    model,
    names,
    obstacles,
    port_subject,
    probe_evidence,
    remedy,
    stopped,
    sufferers,
    wanted,
    who,
)

from ._host_port import meant
from ._listening import Ending, best_port, bindings_of, endings, listening_text


def find(case: Case) -> Iterator[Finding]:
    """Paths that end at a port without a listener, in a container that listens on another."""
    for ending in endings(case, "other-port"):
        if ending.published is None:
            yield _dialled(ending)
        elif beside := _beside(ending, ending.published):
            yield _range(ending, *beside)
        else:
            yield _published(ending, ending.published)
    for path, obstacle in case.broken_by(obstacles.NothingListens):
        found = meant(case, path, obstacle)
        if found and found.kind == "other-port" and found.published:
            yield _host_port(case.facts(path.host), path, found.container, found.published)
    for one in stopped.ended(case):
        yield from _of_ended(one)


def _of_ended(one: stopped.Ended) -> Iterator[Finding]:
    """A program that ended without a neighbour, whose port it has from the host's side, or which has but one other."""
    facts, source, setting = one.facts, one.container, one.reference
    target, port = names.meant(facts, setting.host, source), setting.port
    if target is None or target is source or port is None or not facts.common_networks(source, target):
        return
    listeners = facts.listeners(target, "tcp") or ()
    offered = sorted({li.port for li in listeners if not is_loopback(li.address)})
    host_side = next((p for p in target.ports if p.host_port == port and p.port in offered), None)
    right = host_side.port if host_side else offered[0] if len(offered) == 1 else None
    if right is None or any(li.port == port for li in listeners):
        return
    known = f"{port} is its port on the host" if host_side else f"nothing in it listens on {port}"
    yield Finding(
        severity="error",
        confidence="likely",
        subject=port_subject(facts, target, port, "tcp"),
        affects=affected(facts, source),
        summary=f"{source} crashes when it cannot reach {target.name}:{port} ({setting.key}): {known}; it listens on {right}.",
        evidence=(
            *one.evidence,
            Evidence(fact="listening ports", value=listening_text(offered), source=f"sockets of {target.name}"),
        ),
        fixes=(remedy.point_at(facts, source, setting, setting.host, right),),
        hop="target" if one.paths else "listener",
        explains=one.paths,
    )


def _published(ending: Ending, published: model.PublishedPort) -> Finding:
    container = ending.container
    meant = best_port(ending)
    bindings = bindings_of(container, published)
    right = [model.PortBinding(port=meant, protocol=b.protocol, host_ip=b.host_ip, host_port=b.host_port) for b in bindings]
    right = right or [model.PortBinding(port=meant, protocol=published.protocol)]  # --publish-all
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(ending.facts, container, published.port, published.protocol),
        affects=affected(ending.facts, container),
        summary=(
            f"{container} cannot be reached at host port {published.host_port}: it leads to container port "
            f"{published.port}, but {container} listens on {listening_text(ending.offered)}."
        ),
        evidence=_evidence(ending, mapping_text(published)),
        fixes=remedy.republish(ending.facts, container, add=right, remove=bindings),
        hop="listener",
        explains=(ending.path,),
    )


def _beside(ending: Ending, published: model.PublishedPort) -> tuple[list[model.PortBinding], int] | None:
    """The range that was published, and by how much the whole of it is beside a range that the container listens on."""
    first = next(iter(bindings_of(ending.container, published)), None)
    if first is None or not first.host_port.isdecimal():
        return None
    asked = {b.port: b for b in ending.container.bindings if _distance(b, first) == 0}
    ports = [first.port]
    while ports[0] - 1 in asked:
        ports.insert(0, ports[0] - 1)
    while ports[-1] + 1 in asked:
        ports.append(ports[-1] + 1)
    moves = sorted((port - ports[0] for port in ending.offered), key=abs)
    move = next((m for m in moves if m and all(port + m in ending.offered for port in ports)), None)
    return ([asked[port] for port in ports], move) if len(ports) > 1 and move else None


def _distance(binding: model.PortBinding, other: model.PortBinding) -> int | None:
    """How far apart two bindings are that could be of one range; None where they could not."""
    if (binding.host_ip, binding.protocol) != (other.host_ip, other.protocol) or not binding.host_port.isdecimal():
        return None
    return int(binding.host_port) - binding.port - int(other.host_port) + other.port


def _range(ending: Ending, asked: list[model.PortBinding], move: int) -> Finding:
    """One finding for the whole range, about its first port."""
    container, first, last = ending.container, asked[0], asked[-1]
    right = [replace(b, port=b.port + move) for b in asked]
    silent = listening_text(b.port for b in asked if b.port not in ending.offered)
    hosts = f"{first.host_port}-{last.host_port}"
    is_now, would_be = f"{hosts}:{first.port}-{last.port}", f"{hosts}:{right[0].port}-{right[-1].port}"
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(ending.facts, container, first.port, first.protocol),
        affects=affected(ending.facts, container),
        summary=(
            f"{container}: host ports {hosts} lead to its ports {first.port} to {last.port}, and it listens on "
            f"{listening_text(ending.offered)}: nothing listens on {silent}."
        ),
        evidence=_evidence(ending, is_now),
        fixes=remedy.republish(
            ending.facts,
            container,
            add=right,
            remove=asked,
            summary=f"Publish {would_be} instead of {is_now} at {container}.",
        ),
        hop="listener",
        explains=(ending.path,),
    )


def _evidence(ending: Ending, published: str) -> tuple[Evidence, ...]:
    name = ending.container.name
    return (
        Evidence(fact="published", value=published, source=f"inspection of {name}"),
        Evidence(fact="listening ports", value=listening_text(ending.offered), source=f"sockets of {name}"),
        *probe_evidence(ending.path),
    )


def _own(ending: Ending, right: int, certain: bool) -> str:
    if certain:
        return f"inside, it listens on {right}"
    return f"it listens on {listening_text(ending.offered)}"


def _dialled(ending: Ending) -> Finding:
    """Inside: a neighbour dials a port that only the host knows, or that is simply wrong."""
    path, container, port = ending.path, ending.container, ending.port
    host_side = next((p for p in container.ports if p.host_port == port and p.protocol == ending.protocol), None)
    published = [p.port for p in container.ports if p.protocol == ending.protocol and p.port in ending.offered]
    right = host_side.port if host_side and host_side.port in ending.offered else next(iter(published), best_port(ending))
    known = f"{port} is its port on the host" if host_side else f"nothing in it listens on {port}"
    setting = path.question.reference or _setting_of(path, port)
    unseen = f"the configuration of {who(path)}" if path.question.origin == "log" else "the request"
    where = f"{setting.key} of {who(path)}" if setting else unseen
    asked = path.question.target.name if path.question.target.kind in ("plain", "name") else ""
    name = setting.host if setting and setting.host else asked or container.name
    summary = f"Change {where} to {name}:{right}."
    fix = Fix(summary=summary, runnable=False)
    if path.source is not None and setting is not None and (host_side or len(ending.offered) == 1):
        fix = remedy.point_at(ending.facts, path.source, setting, name, right, summary=summary)
    where = f"{container}:{port}"
    fails = f"{path.source} cannot reach {where}" if path.source else f"{where} cannot be reached from {who(path)}"
    return Finding(
        severity="error",
        confidence="proven",
        subject=port_subject(ending.facts, container, port, ending.protocol),
        affects=sufferers(path),
        summary=f"{fails}: {known}; {_own(ending, right, host_side is not None)}.",
        evidence=(
            Evidence(fact="listening ports", value=listening_text(ending.offered), source=f"sockets of {container.name}"),
            *probe_evidence(path),
        ),
        fixes=(fix,),
        hop="listener",
        explains=(path,),
    )


def _setting_of(path: Path, port: int) -> model.Reference | None:
    """The setting of the source that says what was typed."""
    name = path.question.target.name.lower()
    written = (r for r in (path.source.references if path.source else ()) if (r.host.lower(), r.port) == (name, port))
    return next((r for r in written if r.where in ("environment", "command")), None)


def _host_port(facts: HostFacts, path: Path, container: model.Container, published: model.PublishedPort) -> Finding:
    """The host is dialled at a container's port, which it has published under another number."""
    return Finding(
        severity="error",
        confidence="likely",
        subject=port_subject(facts, container, published.port, published.protocol),
        affects=sufferers(path),
        summary=(
            f"Nothing listens at {wanted(path)}: port {published.port} of {container} is published on host port "
            f"{published.host_port}."
        ),
        evidence=(
            Evidence(fact="published", value=mapping_text(published), source=f"inspection of {container.name}"),
            *probe_evidence(path),
        ),
        fixes=(Fix(summary=f"Dial port {published.host_port} instead of {published.port}.", runnable=False),),
        hop="listener",
        explains=(path,),
    )


check = Check(
    cause="container-port-mismatch",
    title="The port leads to a container port on which nothing listens",
    subjects=("port",),
    needs=("engine", "host.network", "sandbox.network", "listener"),
    podman=True,
    find=find,
    frequent=True,
    symptom_of=("duplicate-alias",),
    phrases=("connection reset by peer", "empty reply from server", "connection refused", "502 bad gateway"),
    article=(4,),
)
