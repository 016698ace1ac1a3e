"""Why a name went unanswered: one reason for each, decided here for all checks of names."""

from __future__ import annotations

from typing import Literal

from dockernet_doctor.diagnosis.facts import daemon
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.path import NameReason, NameUnanswered
from dockernet_doctor.diagnosis.paths import names
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.snapshot.model import Container, Service

FAILURES = ("timeout", "refused", "servfail", "reset", "accepted-then-closed")


def reason_of(facts: HostFacts, source: Container | None, obstacle: NameUnanswered) -> NameReason:
    """The one reason, for a source (None: the host itself) that asked for the name in vain."""
    name = obstacle.name.rstrip(".").lower()
    if name in names.HOST_NAMES:
        return "host-name"
    if obstacle.refused_by:
        return "family"
    if obstacle.stopped:
        return "search-stops"
    if source is None:
        return "servers-silent" if failed(obstacle.result) else "nobody"
    if alone := without_network(facts, source):
        return alone
    if obstacle.meant is not None and (facts.in_host_mode(source) or facts.in_host_mode(obstacle.meant)):
        return without_network(facts, obstacle.meant) or "host-mode"
    if overridden(facts, source) and obstacle.resolver != "embedded":
        return "other-resolver"
    if obstacle.resolver == "embedded" and has_embedded(facts, source) and dns_broken(facts, source, obstacle):
        return "embedded-silent"
    if obstacle.meant is not None:
        return _of_container(facts, source, obstacle.meant, name)
    if service_elsewhere(facts, source, name):
        return "service-apart"
    if "." not in name:
        return "nobody"
    return _of_the_world(facts, source, obstacle)


def service_elsewhere(facts: HostFacts, source: Container, name: str) -> Service | None:
    """The Swarm service of this name that runs, and shares no network with the source: its tasks are on other hosts."""
    ours = {n.id for n in facts.networks_of(source)}
    called = name.rpartition("/")[2].lower().removeprefix("tasks.")
    return next(
        (s for s in facts.snapshot.services if s.name.lower() == called and s.running and not ours & {*s.networks}), None
    )


def without_network(facts: HostFacts, container: Container) -> Literal["", "namespace-lost", "network-none", "no-network"]:
    """The reason where the container has no network whatever, else ""."""
    if facts.namespace_lost(container):
        return "namespace-lost"
    if [n for n in facts.networks_of(container) if n.driver != "null"]:
        return ""
    owner = facts.namespace_owner(container) or container
    on_none = owner.network_mode == "none" or any(e.network == "none" for e in owner.endpoints)
    return "network-none" if on_none else "no-network"


def failed(result: str) -> bool:
    """True if the answer says that the server did not do its work (a name that does not exist is work done)."""
    return result in FAILURES or result.startswith("unreachable")


def overridden(facts: HostFacts, container: Container) -> bool:
    """True if a container on a custom network does not ask Docker's DNS, or another server before it."""
    conf = names.resolv_conf(facts, container)
    if conf is None or conf.nameservers[:1] == (names.EMBEDDED,) or container.network_mode == "host":
        return False
    return any(n.has_dns for n in facts.networks_of(container))


def has_embedded(facts: HostFacts, container: Container) -> bool:
    """True if 127.0.0.11 is Docker's DNS there: on the default bridge an option of that address leads nowhere."""
    return names.EMBEDDED not in container.dns or any(n.has_dns for n in facts.networks_of(container))


def dns_broken(facts: HostFacts, source: Container, obstacle: NameUnanswered) -> bool:
    """True if it is 127.0.0.11 itself that fails, not the servers behind it."""
    if obstacle.result in ("refused", "reset") or obstacle.result.startswith("unreachable"):
        return True
    if obstacle.result not in ("timeout", ""):
        return False
    if facts.of_podman:
        return False  # its DNS listens at the gateway, and nothing is redirected to it
    return names.redirected(source) is False or any(names.embedded_targets(facts, source, obstacle.name.lower()))


def hostnames(container: Container) -> set[str]:
    """What people take for a name of the container: its hostname, the parts of its id."""
    found = {container.hostname, f"{container.hostname}.{container.domainname}"}
    return {n.lower() for n in found if n.strip(".")}


def is_hostname(container: Container, name: str) -> bool:
    """True if the name is its hostname or a part of its id, and not a name or alias that Docker's DNS could serve."""
    given = {container.name.lower(), *(a.lower() for e in container.endpoints for a in e.aliases if a != container.id[:12])}
    if container.compose:
        given.add(container.compose.service.lower())
    return name not in given and (name in hostnames(container) or (len(name) >= 8 and container.id.startswith(name)))


def _of_container(facts: HostFacts, source: Container, target: Container, name: str) -> NameReason:
    common = facts.common_networks(source, target)
    hostname = is_hostname(target, name)
    if any(n.has_dns for n in common):
        if facts.generation < (25, 0) and name == target.name.lower() and names.is_generated_name(target.name):
            return "generated-name"
        return "hostname" if hostname else "nobody"
    if common:
        return "hostname" if hostname else "default-bridge"
    if alone := without_network(facts, target):
        return alone
    return "apart"


def _of_the_world(facts: HostFacts, source: Container, obstacle: NameUnanswered) -> NameReason:
    conf = names.resolv_conf(facts, source)
    if obstacle.resolver == "none":
        return "no-servers"
    if conf and any("NO EXTERNAL NAMESERVERS" in c.upper() for c in conf.comments) and obstacle.result != "nxdomain":
        return "no-servers"
    if not failed(obstacle.result):
        return "nobody"
    networks = facts.networks_of(source)
    if networks and all(n.internal for n in networks):
        return "internal"
    why = fallback(facts, source)
    if why == "loopback" or loopback_servers(facts, source):
        return "loopback-servers"
    return "no-servers" if why else "servers-silent"


def fallback(facts: HostFacts, container: Container) -> Literal["", "none", "loopback"]:
    """Why the container asks servers that nobody chose (8.8.8.8): the host's file names none, or loopback ones only."""
    conf = names.resolv_conf(facts, container)
    host = facts.host.resolv_conf if facts.host else None
    if conf is None or container.dns or daemon.option(facts, "dns") or container.network_mode == "host" or facts.apart:
        return ""  # RootlessKit's own server asks the host's, also one on loopback
    if host is None or not host.nameservers:
        said = any("USED DEFAULT NAMESERVERS" in c.upper() for c in conf.comments)
        return "none" if said or host is not None else ""
    upstream = facts.host.upstream_resolv_conf if facts.host else None
    if not all(map(is_loopback, host.nameservers)) or (upstream and upstream.nameservers):
        return ""
    return "" if any(map(is_loopback, conf.nameservers)) else "loopback"


def loopback_servers(facts: HostFacts, container: Container) -> tuple[str, ...]:
    """Loopback addresses that the container was told to ask, where they are its own and not the host's."""
    conf = names.resolv_conf(facts, container)
    asked = (*container.dns, *(conf.ext_servers if conf else ()), *(conf.nameservers if conf else ()))
    if container.network_mode == "host":
        return ()
    docker = names.EMBEDDED if has_embedded(facts, container) else ""
    return tuple(dict.fromkeys(a for a in asked if is_loopback(a) and a != docker))
