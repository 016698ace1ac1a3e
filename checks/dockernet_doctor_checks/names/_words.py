"""What the checks of names say alike: settings, names that a source can use, and evidence."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import Evidence, HostFacts, Path, model, names


def service_name(source: model.Container, target: model.Container) -> str:
    """What the source should call the target: its service in their common Compose project or in the Swarm, else its name."""
    if source.compose and target.compose and source.compose.project == target.compose.project:
        return target.compose.service
    return target.swarm.service if target.swarm else target.name


def setting_of(path: Path) -> model.Reference | None:
    """The setting that asks the question; for a typed one, the one of the source that says the same."""
    if path.question.reference is not None or path.source is None:
        return path.question.reference
    target = path.question.target
    return next(
        (r for r in path.source.references if r.host.lower() == target.name.lower() and r.port in (target.port, None)), None
    )


def resolv_evidence(facts: HostFacts, container: model.Container | None) -> Iterator[Evidence]:
    conf = names.resolv_conf(facts, container)
    if conf is not None:
        where = f"/etc/resolv.conf of {container}" if container else "/etc/resolv.conf"
        yield Evidence(fact="nameserver", value=", ".join(conf.nameservers) or "none", source=where)


def networks_evidence(facts: HostFacts, container: model.Container) -> Evidence:
    networks = ", ".join(n.name for n in facts.networks_of(container)) or "none"
    return Evidence(fact=f"networks of {container.name}", value=networks, source=f"inspection of {container.name}")


def maps(container: model.Container, name: str) -> bool:
    """True if its own hosts file is to say where the name is."""
    if any(link.alias.lower() == name.lower() for link in container.links):
        return True
    return any(entry.partition(":")[0].lower() == name.lower() for entry in container.extra_hosts)
