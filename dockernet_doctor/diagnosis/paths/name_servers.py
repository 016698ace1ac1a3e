"""The servers that a container's names go to in the end: who chose them, from where each is asked, and which fail."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts import daemon
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Severity
from dockernet_doctor.diagnosis.paths import names
from dockernet_doctor.diagnosis.paths.reasons.unanswered_name import failed
from dockernet_doctor.probe.model import Probe
from dockernet_doctor.snapshot.model import Container

RESOLV_CONF = "/etc/resolv.conf"
LOGGED = r"\[resolver\] failed to query external DNS server"
_ANY_NAME = "probe.invalid"  # RFC 6761: never exists, so that every answer is one


def told_by(facts: HostFacts, container: Container) -> str:
    """Who chose the servers: the file mounted over the container's, its own option, the daemon's, or the host's file."""
    conf, owner = names.resolv_conf(facts, container), facts.namespace_owner(container) or container
    if RESOLV_CONF in (*container.mounts, *owner.mounts) and conf and names.EMBEDDED not in conf.nameservers:
        return "mount"
    return "container" if container.dns else "daemon" if names.daemon_dns(facts) else "host"


def probe_of(case: Case, facts: HostFacts, container: Container, server: names.Server) -> Probe:
    vantage = case.vantage(facts, None if server.by_host else container)
    return Probe(kind="dns", vantage=vantage, address=server.address, port=53, name=_ANY_NAME)


def askers(facts: HostFacts) -> Iterator[tuple[Container, names.Server]]:
    """Each server once for each network it is asked from, by the first container there (64 at most)."""
    seen: set[tuple[names.Server, str]] = set()
    for container in facts.running:
        if container.sandbox is None or container.frozen or facts.namespace_lost(container):
            continue
        networks = facts.networks_of(container)
        if not networks or all(n.internal or n.driver == "null" for n in networks):
            continue  # no way out, by design
        for server in names.servers_of(facts, container):
            key = asked_from(facts, container, server)
            if key not in seen and is_unicast(server.address) and len(seen) < 64:
                seen.add(key)
                yield container, server


def asked_from(facts: HostFacts, container: Container, server: names.Server) -> tuple[names.Server, str]:
    """What makes two questions to a server the same: the network that they come from."""
    networks = facts.networks_of(container)
    return (server, "" if server.by_host or not networks else networks[0].id)


def silent(case: Case) -> Iterator[tuple[HostFacts, Container, names.Server, str]]:
    """The servers that did not do their work when they were asked, and what came instead."""
    for facts in case.hosts if case.answers else ():
        for container, server in askers(facts):
            answer = case.answer(probe_of(case, facts, container, server))
            if answer and answer.sent and failed(answer.result):
                yield facts, container, server, answer.result


def severity(facts: HostFacts, container: Container) -> Severity:
    """The severity of a silent server: a fault where somebody named it for containers, or the engine needed it."""
    return "error" if told_by(facts, container) != "host" or daemon.logged(facts, LOGGED) else "info"


def is_unicast(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return not ip.is_unspecified and not ip.is_multicast and not ip.is_link_local
