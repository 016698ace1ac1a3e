"""Which one cause stands behind a name that was not answered: the checks of this family share the paths among them by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from dockernet_doctor.plugin import Case, Evidence, HostFacts, Path, daemon, model, names, obstacles

FAILURES = ("timeout", "refused", "servfail", "reset", "accepted-then-closed")


def unanswered(case: Case, cause: str) -> Iterator[tuple[HostFacts, Path, obstacles.NameUnanswered]]:
    """The paths that stop at a name and whose cause this is."""
    for path, obstacle in case.broken_by(obstacles.NameUnanswered):
        facts = case.facts(path.host)
        if cause_of(facts, path, obstacle) == cause:
            yield facts, path, obstacle


def cause_of(facts: HostFacts, path: Path, obstacle: obstacles.NameUnanswered) -> str:
    """The id of the cause; one of another family where the source's mode forbids names altogether."""
    source, name = path.source, obstacle.name.rstrip(".").lower()
    if name in names.HOST_NAMES:
        return "host-docker-internal-missing"
    if source is None:
        return "upstream-dns-unreachable" if failed(obstacle.result) else "unknown-name"
    if obstacle.meant is not None and (facts.in_host_mode(source) or facts.in_host_mode(obstacle.meant)):
        return "host-network-used"
    if alone := without_network(facts, source):
        return alone
    if overridden(facts, source) and obstacle.resolver != "embedded":
        return "resolv-conf-overridden"
    if obstacle.resolver == "embedded" and has_embedded(facts, source) and dns_broken(facts, source, obstacle):
        return "embedded-dns-broken"
    if obstacle.meant is not None:
        return _of_container(facts, source, obstacle.meant, name)
    if service_elsewhere(facts, source, name):
        return "no-shared-network"
    if "." not in name:
        return "unknown-name"
    return _of_the_world(facts, source, obstacle)


def service_elsewhere(facts: HostFacts, source: model.Container, name: str) -> model.Service | None:
    """The Swarm service of this name that runs, and shares no network with the source: its tasks are on other hosts."""
    ours = {n.id for n in facts.networks_of(source)}
    called = name.rpartition("/")[2].lower().removeprefix("tasks.")
    return next(
        (s for s in facts.snapshot.services if s.name.lower() == called and s.running and not ours & {*s.networks}), None
    )


def without_network(facts: HostFacts, container: model.Container) -> str:
    """The cause where the container has no network whatever, else ""."""
    if facts.namespace_lost(container):
        return "shared-namespace-lost"
    if [n for n in facts.networks_of(container) if n.driver != "null"]:
        return ""
    owner = facts.namespace_owner(container) or container
    on_none = owner.network_mode == "none" or any(e.network == "none" for e in owner.endpoints)
    return "none-network" if on_none else "no-shared-network"


def failed(result: str) -> bool:
    """Whether the answer says that the server did not do its work (a name that does not exist is work done)."""
    return result in FAILURES or result.startswith("unreachable")


def overridden(facts: HostFacts, container: model.Container) -> bool:
    """Whether a container on a custom network does not ask Docker's DNS, or another server before it."""
    conf = names.resolv_conf(facts, container)
    if conf is None or conf.nameservers[:1] == (names.EMBEDDED,) or container.network_mode == "host":
        return False
    return any(names.has_dns(n) for n in facts.networks_of(container))


def has_embedded(facts: HostFacts, container: model.Container) -> bool:
    """Whether 127.0.0.11 is Docker's DNS there: on the default bridge an option of that address leads nowhere."""
    return names.EMBEDDED not in container.dns or any(names.has_dns(n) for n in facts.networks_of(container))


def dns_broken(facts: HostFacts, source: model.Container, obstacle: obstacles.NameUnanswered) -> bool:
    """Whether it is 127.0.0.11 itself that fails, not the servers behind it."""
    if obstacle.result in ("refused", "reset") or obstacle.result.startswith("unreachable"):
        return True
    if obstacle.result not in ("timeout", ""):
        return False
    return names.redirected(source) is False or any(names.embedded_targets(facts, source, obstacle.name.lower()))


def hostnames(container: model.Container) -> set[str]:
    """What people take for a name of the container: its hostname, the parts of its id."""
    found = {container.hostname, f"{container.hostname}.{container.domainname}"}
    return {n.lower() for n in found if n.strip(".")}


def is_hostname(container: model.Container, name: str) -> bool:
    """Whether the name is its hostname or a part of its id, and not a name or alias that Docker's DNS could serve."""
    given = {container.name.lower(), *(a.lower() for e in container.endpoints for a in e.aliases if a != container.id[:12])}
    if container.compose:
        given.add(container.compose.service.lower())
    return name not in given and (name in hostnames(container) or (len(name) >= 8 and container.id.startswith(name)))


def service_name(source: model.Container, target: model.Container) -> str:
    """What the source should call the target: its service in their common Compose project, else its name."""
    if source.compose and target.compose and source.compose.project == target.compose.project:
        return target.compose.service
    return target.name


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
        where = f"/etc/resolv.conf of {container.name}" if container else "/etc/resolv.conf"
        yield Evidence(fact="nameserver", value=", ".join(conf.nameservers) or "none", source=where)


def networks_evidence(facts: HostFacts, container: model.Container) -> Evidence:
    networks = ", ".join(n.name for n in facts.networks_of(container)) or "none"
    return Evidence(fact=f"networks of {container.name}", value=networks, source=f"inspection of {container.name}")


def _of_container(facts: HostFacts, source: model.Container, target: model.Container, name: str) -> str:
    common = facts.common_networks(source, target)
    hostname = is_hostname(target, name)
    if any(names.has_dns(n) for n in common):
        if facts.generation < (25, 0) and name == target.name.lower() and names.is_generated_name(target.name):
            return "auto-named-container"
        return "hostname-not-a-name" if hostname else "unknown-name"
    if common:
        return "hostname-not-a-name" if hostname else "default-bridge-no-dns"
    if alone := without_network(facts, target):
        return alone
    return "no-shared-network"


def _of_the_world(facts: HostFacts, source: model.Container, obstacle: obstacles.NameUnanswered) -> str:
    conf = names.resolv_conf(facts, source)
    if obstacle.resolver == "none":
        return "no-upstream-nameserver"
    if conf and any("NO EXTERNAL NAMESERVERS" in c.upper() for c in conf.comments) and obstacle.result != "nxdomain":
        return "no-upstream-nameserver"
    if not failed(obstacle.result):
        return "unknown-name"
    networks = facts.networks_of(source)
    if networks and all(n.internal for n in networks):
        return "internal-network-no-egress"
    why = fallback(facts, source)
    if why == "loopback" or loopback_servers(facts, source):
        return "loopback-nameserver"
    return "no-upstream-nameserver" if why else "upstream-dns-unreachable"


def fallback(facts: HostFacts, container: model.Container) -> Literal["", "none", "loopback"]:
    """Why the container asks servers that nobody chose (8.8.8.8): the host's file names none, or loopback ones only."""
    conf = names.resolv_conf(facts, container)
    host = facts.host.resolv_conf if facts.host else None
    if conf is None or container.dns or daemon.option(facts, "dns") or container.network_mode == "host" or facts.apart:
        return ""  # RootlessKit's own server asks the host's, also one on loopback
    if host is None or not host.nameservers:
        said = any("USED DEFAULT NAMESERVERS" in c.upper() for c in conf.comments)
        return "none" if said or host is not None else ""
    upstream = facts.host.upstream_resolv_conf if facts.host else None
    if not all(a.startswith("127.") or a == "::1" for a in host.nameservers) or (upstream and upstream.nameservers):
        return ""
    own = names.EMBEDDED in conf.nameservers or any(a.startswith("127.") for a in conf.nameservers)
    return "" if own else "loopback"


def loopback_servers(facts: HostFacts, container: model.Container) -> tuple[str, ...]:
    """Loopback addresses that the container was told to ask, where they are its own and not the host's."""
    conf = names.resolv_conf(facts, container)
    asked = (*container.dns, *(conf.ext_servers if conf else ()), *(conf.nameservers if conf else ()))
    if container.network_mode == "host":
        return ()
    docker = names.EMBEDDED if has_embedded(facts, container) else ""
    return tuple(dict.fromkeys(a for a in asked if (a.startswith("127.") or a == "::1") and a != docker))
