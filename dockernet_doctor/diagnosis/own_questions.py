"""What `check` asks by itself: every published port from `host` and from `outside`, every HOST:PORT that a container's
settings name, from that container (design, *The one idea*), and from a reverse proxy the port that a container tells it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.facts.implied_port import implied_port
from dockernet_doctor.diagnosis.facts.neighbours import (
    SERVICES,
    host_listener,
    is_elsewhere,
    neighbours,
    reverse_proxy,
)
from dockernet_doctor.diagnosis.facts.witness import LATELY, Dialled, dialled, is_current
from dockernet_doctor.diagnosis.paths import other_hosts as fleet
from dockernet_doctor.diagnosis.paths.names import HOST_NAMES, hosts_addresses, is_address, meant
from dockernet_doctor.diagnosis.question import Question, Source, Target
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.once import once_for_each
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Container, Protocol, Reference
from dockernet_doctor.snapshot.references import FOR_BROWSERS, NETWORK_KEYS, OF_BROWSERS

# Settings that tell others where to find this container, or that a client never dials.
_NAMES_ADDRESS = regex(r"(?i)(?:host|hostname|addr|address|server|url|uri|endpoint|brokers?|upstream|backend)s?$")
# What dials the API, behind a proxy or not, and is no page for a browser.
_OF_SERVICES = regex(r"(?i)(?:^|[_.-])(?:api|backend|upstream|internal|rpc|grpc)(?:[_.-]|$)")
# What a client calls the address of its server, as a server calls its own.
_BASE = regex(r"(?i)(?:base|root)(?:_?ur[il])?$")
# Labels are read by others, most of them browsers or a proxy; these say what the container itself is in front of.
_BACKEND_LABEL = regex(r"(?i)(?:^|[._-])(?:upstream|backend|target|broker|database|db)s?(?:[._-](?:ur[il]|host|server))?$")
# What a template has where a name should be put in: it stands for nobody.
_PLACEHOLDER = regex(
    r"(?i)change-?_?me|placeholder|replace-?_?me|^(?:your|my)[-_].*[-_](?:host|server|name|domain)$|^(?:host|hostname)$"
)
# Schemes of services that are dialled by datagrams, most often, and those that leave it open.
_MOSTLY_UDP = frozenset(("statsd", "dogstatsd", "gelf", "syslog", "dns", "sip", "ntp", "snmp", "coap"))
_OF_EITHER = _MOSTLY_UDP | {""}
# Proxies that read what a container tells them, by image, and under which key they do.
_PROXIES = (
    (regex(r"(?:^|/)traefik(?:$|[:@])"), regex(r"^traefik\..*\.loadbalancer\.server\.port$|^traefik\.port$")),
    (regex(r"(?:^|/)nginx-proxy(?:$|[:@])"), regex(r"^VIRTUAL_PORT$")),
    (regex(r"(?:^|/)caddy-docker-proxy(?:$|[:@])"), regex(r"^caddy")),
)
# Databases whose clients dial what they were set to, and no address that the server hands out: a broker's do.
_STAY = frozenset((1433, 3306, 5432, 11211))
# Those of servers that tell a client where to go next, which may be the client's own loopback.
_SEND_ON = frozenset((2181, 2379, 5984, 6379, 8500, 9042, 9092, 9200, 26379, 27017))
NOT_DIALLED = ("NO_PROXY", "VIRTUAL_HOST", "VIRTUAL_PORT", "LETSENCRYPT_HOST")


def questions(case: Case) -> Iterator[Question]:
    """In the order of the snapshot; each question once."""
    seen: set[str] = set()
    for facts, container in case.running():
        for question in (
            *_published(facts, container),
            *_settings(case, facts, container),
            *_proxied(facts, container),
            *_logged(facts, container),
        ):
            text = str(question)
            if text not in seen:
                seen.add(text)
                yield question


def _published(facts: HostFacts, container: Container) -> Iterator[Question]:
    ports = {(p.port, p.protocol) for p in container.ports}
    ports |= {(b.port, b.protocol) for b in container.bindings if not container.network_mode.startswith("container:")}
    for port, protocol in sorted(ports):
        target = Target(kind="container", name=container.name, port=port, protocol=protocol, host=facts.name)
        yield Question(source=Source(kind="host", host=facts.name), target=target, origin="published")
        yield Question(source=Source(kind="outside", host=facts.name), target=target, origin="published")


def _settings(case: Case, facts: HostFacts, container: Container) -> Iterator[Question]:
    for reference in container.references:
        port = reference.port or implied_port(facts, container, reference)
        if is_dialled(facts, container, reference, port) or _is_elsewhere(case, facts, reference):
            target = Target(
                kind="address" if is_address(reference.host) else "name",
                name=reference.host,
                port=port,
                protocol=protocol_of(facts, container, reference, port),
                host=facts.name,
            )
            source = Source(kind="container", name=container.name, host=facts.name)
            yield Question(source=source, target=target, origin="setting", reference=reference)


def _proxied(facts: HostFacts, container: Container) -> Iterator[Question]:
    """From the one proxy of that kind to the port that it is told; where nothing listens there, no way to it need be walked."""
    told = [r for r in container.references if r.port is not None and not r.host]
    listening = {li.port for li in facts.listeners(container, "tcp") or ()} if told else set()
    for proxy, key in _proxies(facts) if listening and container.network_mode != "host" else ():
        if proxy is container:
            continue
        for port in sorted({r.port for r in told if r.port in listening and key.search(r.key)} - {None}):
            source = Source(kind="container", name=proxy.name, host=facts.name)
            target = Target(kind="container", name=container.name, port=port, host=facts.name)
            yield Question(source=source, target=target, origin="setting")


def _logged(facts: HostFacts, container: Container) -> Iterator[Question]:
    """What its log says that it dialled in vain: settings that live elsewhere name it.

    Names count that are a container's here, or that only Docker could know. Its own loopback counts where no server that it
    knows may have sent it there. Addresses count that are the host's, or whose holder is meant: what is resolved once and kept
    is another fault.
    """
    for said in dialled(container):
        if is_loopback(said.host):
            counts = said.port is not None and _is_elsewhere_than_said(facts, container, said.port)
        elif is_address(said.host):
            own = facts.is_own(said.host)
            counts = said.port is not None and (own or is_current(facts, container, said.host, said.port))
        else:
            counts = _is_dockers(facts, container, said)
        if counts:
            source = Source(kind="container", name=container.name, host=facts.name)
            named = Target(kind="address" if is_address(said.host) else "name", name=said.host, port=said.port, host=facts.name)
            yield Question(source=source, target=named, origin="log")


def _is_elsewhere_than_said(facts: HostFacts, container: Container, port: int) -> bool:
    """True if a port that it dials on its own loopback is a neighbour's, or the host's, to which no server that it is set to
    dial sent it."""
    served = neighbours(facts, container, port)
    if not served and (container.network_mode == "host" or host_listener(facts, port) is None):
        return False
    named = [meant(facts, r.host, container) for r in container.references if r.host]
    return not named or port in _STAY or (port not in _SEND_ON and not any(c in served for c in named))


def _is_dockers(facts: HostFacts, container: Container, said: Dialled) -> bool:
    """True if a name that was not reached is another container's; or, where no port is told, one that no other DNS knows."""
    target = meant(facts, said.host, container)
    if target is not None:
        return target is not container
    only_docker = said.host.lower() in HOST_NAMES or ("." not in said.host and not _PLACEHOLDER.search(said.host))
    return said.port is None and only_docker and said.line in container.log_tail[-LATELY:]


def protocol_of(facts: HostFacts, container: Container, reference: Reference, port: int | None) -> Protocol:
    """What the setting dials with, by its scheme; where that may be either, as of syslog, what is served counts."""
    schemes = {scheme.rstrip("46") for scheme in reference.scheme.split("+")}
    if schemes & {"udp", "tcp"} or not schemes & _OF_EITHER:
        return "udp" if "udp" in schemes else "tcp"
    host = reference.host.lower()
    holder = facts.holder(host) if is_address(host) else None
    target = container if is_loopback(host) else holder[0] if holder else meant(facts, host, container)
    served = {li.protocol for li in (facts.listeners(target) if target else None) or () if li.port == port}
    usual: Protocol = "udp" if schemes & _MOSTLY_UDP else "tcp"
    return usual if usual in served or not served else next(iter(served))


def _is_elsewhere(case: Case, facts: HostFacts, reference: Reference) -> bool:
    """True if the setting names another host that was read, by its address."""
    if len(case.hosts) == 1 or reference.where == "label" or not reference.port or reference.key.upper() in NOT_DIALLED:
        return False
    return is_address(reference.host) and fleet.at(case, facts, reference.host) is not None


@once_for_each
def _proxies(facts: HostFacts) -> list[tuple[Container, re.Pattern[str]]]:
    """The proxies that are the only one of their kind, with the keys that they read."""
    running = ((key, [c for c in facts.running if image.search(c.image)]) for image, key in _PROXIES)
    return [(found[0], key) for key, found in running if len(found) == 1 and found[0].network_mode != "host"]


def is_dialled(facts: HostFacts, container: Container, reference: Reference, port: int | None) -> bool:
    """True if the setting names something on this host that the container will dial, at a port that is written or implied.

    Names of the wide world are left alone: they are not Docker's, and packets go only where the snapshot says. So is a URL of
    localhost that is the container's own, as its users' browsers see it.
    """
    if not reference.host or port is None or reference.key.upper() in NOT_DIALLED or reference.key.lower() in NETWORK_KEYS:
        return False
    host = reference.host
    if reference.where == "label" and not (is_loopback(host.lower()) and _BACKEND_LABEL.search(reference.key)):
        return False
    if is_loopback(host.lower()):
        return _dials_itself(facts, container, reference, port)
    if is_address(host):
        return facts.network_containing(host) is not None or facts.is_own(host)
    if host.lower() in HOST_NAMES or meant(facts, host, container) is not None:
        return True
    if any(facts.network_containing(address) for address in hosts_addresses(container, host.lower())):
        return True
    names_address = bool(reference.scheme) or _NAMES_ADDRESS.search(reference.key) is not None
    names_address = names_address or _is_one_of_several(facts, container, reference)
    return "." not in host and reference.where == "environment" and names_address and not _PLACEHOLDER.search(host)


def _is_one_of_several(facts: HostFacts, container: Container, reference: Reference) -> bool:
    """True if it stands in a list with the name of a container: REDIS_SENTINELS=one:26379,two:26379."""
    beside = (
        r for r in container.references if r.key == reference.key and r.where == reference.where and r.host != reference.host
    )
    return reference.port is not None and any(meant(facts, r.host, container) is not None for r in beside if r.port and r.host)


def _dials_itself(facts: HostFacts, container: Container, reference: Reference, port: int) -> bool:
    if reference.where == "health check":
        return True
    if _is_for_browsers(facts, container, reference, port):
        return False
    listening = facts.listeners(container)
    if listening is None or any(li.port == port for li in listening):
        return listening is not None
    if any(p.host_port == port for p in container.ports):
        return False
    protocol = protocol_of(facts, container, reference, port)
    return container.network_mode != "host" and is_elsewhere(facts, container, reference, port, protocol)


def _is_for_browsers(facts: HostFacts, container: Container, reference: Reference, port: int) -> bool:
    """True if the setting tells browsers, on the host, where to find what is published there."""
    key = reference.key
    if reference.scheme not in ("", "http", "https", "ws", "wss"):
        return False
    if OF_BROWSERS.search(key):
        return bool(reference.scheme) or port not in SERVICES
    if not reference.scheme:
        return False
    told = FOR_BROWSERS.search(key) is not None
    by = next((c for c in facts.running if any(p.host_port == port for p in c.ports)), None)
    if by is None:
        meant_so = told and not _BASE.search(key)
        return meant_so and (host_listener(facts, port) is not None or _are_shown_elsewhere(facts, container, port))
    # who names it by its own name, too, knows what to dial
    if any(meant(facts, r.host, container) is by for r in container.references if r.key.upper() not in NOT_DIALLED):
        return True
    if _BASE.search(key) and _speaks_of(key, by) and not _speaks_of(key, container):
        return False
    # its own address, as the proxy in front of it shows it
    fronted = bool(reverse_proxy(by)) and not _OF_SERVICES.search(key) and bool(facts.common_networks(by, container))
    return fronted or told


def _are_shown_elsewhere(facts: HostFacts, container: Container, port: int) -> bool:
    """True if browsers find all that listens on the port under other ports of the host, so that none of it is meant."""
    return all(any(p.port == port for p in c.ports) for c in neighbours(facts, container, port))


def _speaks_of(key: str, container: Container) -> bool:
    """True if the key has the name of the product that the container runs: OLLAMA_BASE_URL."""
    image = container.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    words = {word.lower() for word in re.split(r"[^A-Za-z0-9]+", image) if len(word) > 2}
    return bool(words & set(re.split(r"[^a-z0-9]+", key.lower())))
