"""What a name means to a container: hosts file, Docker's embedded DNS, the servers behind it.

Sources: article rules 2, 22–25 and 29, seen on 20.10, 26.1 and 28.5. Names are matched in any case; the embedded DNS knows
names and aliases of running endpoints on the asking container's own custom networks, NAME.NETWORK, and the 12-digit id.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from dockernet_doctor.decoding import is_number
from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.facts import daemon
from dockernet_doctor.diagnosis.facts.host import HostFacts, rulesets
from dockernet_doctor.diagnosis.path import Path
from dockernet_doctor.netfilter.docker import MissingDns, missing_dns_parts
from dockernet_doctor.notation import is_loopback
from dockernet_doctor.once import once_for_each
from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Container, Endpoint, Member, Network, Reference, ResolvConf, State
from dockernet_doctor.snapshot.references import FOR_BROWSERS, OF_BROWSERS

EMBEDDED = "127.0.0.11"
ASKED = 3  # as many servers of a resolv.conf a libc asks
HOST_NAMES = ("host.docker.internal", "gateway.docker.internal")  # what Docker Desktop calls the host


class Resolution(Struct, frozen=True, kw_only=True):
    """What the name means to the source.

    `addresses` is empty where the name has none; `known` is False where that cannot be told without a probe that has not
    been answered. `probes` are the questions that settle it.
    """

    name: str
    by: Literal["literal", "hosts", "embedded", "upstream", "none"]
    addresses: tuple[str, ...] = ()
    known: bool = True
    result: str = ""  # the probe's answer where it was negative
    servers: tuple[str, ...] = ()
    probes: tuple[Probe, ...] = ()
    answers: tuple[Answer, ...] = ()
    predicted: tuple[str, ...] | None = None  # what the snapshot says the embedded DNS holds; None: not for it to say
    refused_by: str = ""  # the record, AAAA, for want of which libc gives no address at all
    stopped: str = ""  # the name with a search domain over which libc gave up, before it asked for the name as it is
    in_turn: bool = False  # of servers that know different names, the first that answers decides, with NXDOMAIN too


def resolve(case: Case, facts: HostFacts, source: Container | None, name: str) -> Resolution:
    """`name` as `source` (None: the host itself) would resolve it, from the snapshot and the answers so far."""
    if is_address(name):
        return Resolution(name=name, by="literal", addresses=(name,))
    plain = name.rstrip(".").lower()
    if by_file := tuple(hosts_addresses(source, plain)):
        return Resolution(name=name, by="hosts", addresses=by_file)
    if plain == "localhost":
        return Resolution(name=name, by="hosts", addresses=("127.0.0.1",))
    conf = resolv_conf(facts, source)
    servers = conf.nameservers if conf else ()
    if conf is not None and not servers:
        return Resolution(name=name, by="none")
    before = asked_before_embedded(conf) if conf else ()
    embedded = servers[0] in _embedded(facts, source) if servers else _on_custom_network(facts, source)
    predicted = tuple(embedded_addresses(facts, source, plain)) if embedded and source else None
    asked = (servers[:1] or (EMBEDDED,)) if embedded else servers[:ASKED] if before else servers[:2]
    by: Literal["embedded", "upstream"] = "embedded" if embedded else "upstream"
    found = Resolution(name=name, by=by, servers=asked, predicted=predicted, in_turn=bool(before))
    refused = ""
    for query in queries(conf, name, libc_of(source)):
        found = _asked(case, case.vantage(facts, source), found, query, of_musl(source) and not predicted)
        if found.addresses or not found.result:
            break  # answered, or to be asked first: the search list comes after it
        if of_musl(source) and query != plain and found.result != "nxdomain":
            found = replace(found, stopped=query)
            break
        refused = found.result if query == plain else refused
    if refused and not found.addresses:
        found = replace(found, result=refused)
    if found.answers:
        return found
    if predicted and (facts.of_podman or redirected(source) is not False):
        return replace(found, addresses=predicted)
    # The snapshot knows every name that Docker serves, and none of those beyond it.
    return replace(found, known=meant(facts, plain, source) is not None)


def _embedded(facts: HostFacts, source: Container | None) -> tuple[str, ...]:
    """Where the engine's own DNS listens for a container: 127.0.0.11, or for Podman the gateways of its networks."""
    if not facts.of_podman or source is None:
        return (EMBEDDED,)
    networks = filter(None, map(facts.network_of, source.endpoints))
    return tuple(subnet.gateway for network in networks for subnet in network.subnets if subnet.gateway)


def libc_of(source: Container | None) -> str:
    return source.sandbox.libc if source is not None and source.sandbox is not None else ""


def of_musl(source: Container | None) -> bool:
    """True if its libc is musl, which asks for A and AAAA at once, and without an answer to both gives neither (musl,
    name_from_dns in lookup_name.c); glibc and Go take what came."""
    return libc_of(source) == "musl"


def _asked(case: Case, vantage: Vantage, found: Resolution, query: str, both: bool) -> Resolution:
    """The resolution with one more name asked of its servers; AAAA too, where the name has or may have such an address, or
    where libc needs `both`."""
    probes = tuple(
        Probe(kind="dns", vantage=vantage, address=server, port=53, name=query, sample=number)
        for server in found.servers
        for number in range(case.repetitions)
    )
    answers = [answer for probe in probes if (answer := case.answer(probe)) and answer.sent]
    expected = any(":" in address for address in found.predicted or ())
    if expected or (both and answers) or any(a.result == "reply" and not a.addresses for a in answers):
        sixes = tuple(replace(probe, record="AAAA") for probe in probes)
        probes += sixes
        answers += [answer for probe in sixes if (answer := case.answer(probe)) and answer.sent]
    by = found.by
    if found.in_turn and (decisive := [a.probe.address for a in answers if a.addresses or a.result in ("reply", "nxdomain")]):
        first = min(decisive, key=found.servers.index)
        by = "embedded" if first == EMBEDDED else by
        answers = [a for a in answers if a.probe.address == first]
    addresses = dict.fromkeys(address for answer in answers for address in answer.addresses)
    results = [a.result for a in answers]
    result = next((r for r in results if r != "timeout"), results[0] if results else "")
    failing = _without_family(answers) if both and addresses else ""
    if both and not expected:  # what is asked to know whether it fails is not dialled where there is another address
        addresses = {a: None for a in addresses if ":" not in a} or addresses
    return replace(
        found,
        by=by,
        addresses=() if failing else tuple(addresses),
        result=failing or ("" if addresses else result),
        refused_by="AAAA" if failing else "",
        probes=(*found.probes, *probes),
        answers=(*found.answers, *answers),
    )


def _without_family(answers: Sequence[Answer]) -> str:
    """How AAAA failed where musl takes no server's answer to it: that the name does not exist, or none at all; "" where it has
    one. It goes on waiting where a server says SERVFAIL or REFUSED (res_msend)."""
    results = [a.result for a in answers if a.probe.record == "AAAA"]
    if not results or "reply" in results:
        return ""
    return "nxdomain" if "nxdomain" in results else results[0]


def queries(conf: ResolvConf | None, name: str, libc: str = "") -> tuple[str, ...]:
    """What is asked for a name, in that order: one with fewer dots than `ndots` first with each search domain, then as it is;
    one with more of them as it is, then by glibc and Go with each search domain, by musl no further (glibc, res_search; Go,
    nameList in dnsclient_unix.go; musl, name_from_dns_search in lookup_name.c). Two domains are enough to know.

    Docker writes `ndots:0`, so that a container's name is asked as it is first; other files have 1 for a default.
    """
    plain = name.rstrip(".").lower()
    if conf is None or name.endswith("."):
        return (plain,)
    searched = [f"{plain}.{domain.rstrip('.').lower()}" for domain in conf.search[:2] if domain.strip(".")]
    if plain.count(".") < ndots(conf):
        return (*searched, plain)
    return (plain,) if libc == "musl" else (plain, *searched)


def ndots(conf: ResolvConf) -> int:
    """The option `ndots` of a resolv.conf: the last that stands there, 15 at most."""
    said = [option.partition(":")[2] for option in conf.options if option.startswith("ndots:")]
    return min(int(said[-1][:20]), 15) if said and is_number(said[-1][:20]) else 1  # `int` ends at 4,300 digits


def asked_before_embedded(conf: ResolvConf) -> tuple[str, ...]:
    """The servers that a libc asks before Docker's DNS: where one of them knows no such name, it asks no further."""
    asked = conf.nameservers[:ASKED]
    return asked[: asked.index(EMBEDDED)] if EMBEDDED in asked else ()


def redirected(source: Container | None) -> bool | None:
    """True if the sandbox holds the rules that lead questions for 127.0.0.11:53 (UDP) to Docker's DNS, and its answers back;
    None where they could not be read."""
    gone = missing_dns(source)
    return None if gone is None else not any(part.protocol in ("", "udp") for part in gone)


def missing_dns(source: Container | None) -> tuple[MissingDns, ...] | None:
    """The parts of those rules that are gone, () where all are there; None where they could not be read."""
    stack = source.sandbox.stack if source and source.sandbox else None
    if stack is None or stack.firewall is None:
        return None
    # whole in nearly every sandbox: only another is read in full
    if any(dump.text.count(EMBEDDED) == _WHOLE.get(dump.tool) for dump in stack.firewall):
        return ()
    return tuple(missing_dns_parts(rulesets(stack)))


_WHOLE: dict[str, int] = {"iptables-nft": 8, "iptables-legacy": 8, "nft": 6}
"""How often 127.0.0.11 stands in the rules for it: two translations and two back, and with iptables two jumps."""


def resolv_conf(facts: HostFacts, source: Container | None) -> ResolvConf | None:
    """The resolv.conf that `source` reads; None where it could not be read."""
    if source is None:
        return facts.host.resolv_conf if facts.host else None
    return source.sandbox.resolv_conf if source.sandbox else None


class Server(NamedTuple):
    address: str
    by_host: bool  # asked from the host's namespace


def servers_of(facts: HostFacts, container: Container) -> tuple[Server, ...]:
    """The servers that answer for names beyond Docker's, in the order in which they are asked.

    "ExtServers: [host(10.0.0.2)]" is asked from the host's namespace, "[10.0.0.2]" from the container's. Engines before 25
    leave no such comment: there the options decide, then the host's own file.
    """
    found = _servers_of(facts, container)
    if not facts.apart:
        return found
    # RootlessKit's namespace is not entered: its servers are asked from the container behind it, its loopback not at all
    return tuple(Server(s.address, by_host=False) for s in found if not (s.by_host and is_loopback(s.address)))


def _servers_of(facts: HostFacts, container: Container) -> tuple[Server, ...]:
    conf = resolv_conf(facts, container)
    if conf is None:
        return ()
    if EMBEDDED not in conf.nameservers:
        return tuple(Server(a, container.network_mode == "host") for a in conf.nameservers)
    if conf.ext_servers:
        return tuple(Server(text.removeprefix("host(").rstrip(")"), text.startswith("host(")) for text in conf.ext_servers)
    told = container.dns or daemon_dns(facts)
    if told:
        return tuple(Server(a, by_host=False) for a in told)
    host = facts.host.resolv_conf if facts.host else None
    return tuple(Server(a, is_loopback(a)) for a in (host.nameservers if host else ()))


def daemon_dns(facts: HostFacts) -> tuple[str, ...]:
    said = daemon.option(facts, "dns")
    return tuple(said.values) if said else ()


def hosts_addresses(source: Container | None, name: str) -> Iterator[str]:
    """Addresses of the name in the container's hosts file, IPv4 first, as libc takes them; ::1 only where `lo` has it."""
    sandbox = source.sandbox if source else None
    found = [e.address for e in (sandbox and sandbox.hosts) or () if name in map(str.lower, e.names)]
    if "::1" in found and sandbox and all(a.address != "::1" for a in sandbox.stack.addresses):
        found.remove("::1")  # Docker writes it to each hosts file, also where IPv6 is off in the namespace
    yield from sorted(found, key=lambda address: ":" in address)


def embedded_names(container: Container, endpoint: Endpoint) -> frozenset[str]:
    """The names under which Docker's DNS knows a container on one network, lower case."""
    if endpoint.dns_names is not None:
        names = set(endpoint.dns_names)
    else:
        names = {container.id[:12], *endpoint.aliases}
        if not is_generated_name(container.name):
            names.add(container.name)
    if container.swarm:
        names |= {container.swarm.service, f"tasks.{container.swarm.service}", *endpoint.aliases}
    names = {n.lower() for n in names}
    return frozenset(names | {f"{n}.{endpoint.network.lower()}" for n in names})


def embedded_targets(facts: HostFacts, source: Container, name: str) -> Iterator[tuple[Container, Endpoint]]:
    """Running containers whose endpoint answers to the name on one of the source's custom networks."""
    for own in facts.endpoints(source):
        network = facts.network_of(own)
        if network is None or not network.has_dns:
            continue
        link_targets = {link.target for link in own.links if link.alias.lower() == name}
        if link_targets:
            for container in facts.members(network):
                for endpoint in container.endpoints if container.state.running else ():
                    named = container.name in link_targets or name in embedded_names(container, endpoint)
                    if named and facts.network_of(endpoint) is network:
                        yield container, endpoint
        else:
            yield from _answering(facts).get((id(network), name), ())
        for member in _members(network).get(name, ()):  # of other hosts, on an overlay
            if facts.container(member.container_id) is None and member.ipv4:
                yield _remote(member.name, network), Endpoint(network=network.name, ipv4=member.ipv4.split("/")[0])


@once_for_each
def _members(network: Network) -> dict[str, list[Member]]:
    """The members that the daemon lists, by their names in lower case."""
    found: dict[str, list[Member]] = {}
    for member in network.members:
        found.setdefault(member.name.lower(), []).append(member)
    return found


@lru_cache(maxsize=64)
def _answering(facts: HostFacts) -> dict[tuple[int, str], list[tuple[Container, Endpoint]]]:
    """By the identity of the network and a name on it: every setting asks, so that searching would cost as many squared."""
    found: dict[tuple[int, str], list[tuple[Container, Endpoint]]] = {}
    for container in facts.running:
        for endpoint in container.endpoints:
            for name in embedded_names(container, endpoint):
                found.setdefault((id(facts.network_of(endpoint)), name), []).append((container, endpoint))
    return found


def embedded_addresses(facts: HostFacts, source: Container, name: str) -> Iterator[str]:
    for _container, endpoint in embedded_targets(facts, source, name):
        for address in (endpoint.ipv4, endpoint.ipv6):
            if address:
                yield address


def meant(facts: HostFacts, name: str, source: Container | None = None) -> Container | None:
    """The container of this host that somebody who writes this name (in `source`) most likely means.

    A name of `source`'s own links first; of several equal ones that of its project, then of its networks, then a running one.
    """
    plain = name.rstrip(".").lower()
    if source is not None:
        links = (*source.links, *(link for endpoint in source.endpoints for link in endpoint.links))
        target = next((link.target for link in links if link.alias.lower() == plain), None)
        if target is not None and (found := facts.container(target)):
            return found
    candidates = _told_apart(facts, plain)
    if not candidates and len(plain) >= 8 and plain.isalnum() and any(c.isdigit() for c in plain):
        found = facts.container(plain)  # a shortened id, which Docker's DNS does not know
        candidates = (found,) if found else ()
    if len(candidates) < 2:  # as nearly always
        return next(iter(candidates), None)
    return min(candidates, key=lambda c: _strangeness(facts, source, c))


@lru_cache(maxsize=4096)
def _told_apart(facts: HostFacts, name: str) -> tuple[Container, ...]:
    """The containers of that name, of each kind that `_strangeness` tells apart the first two (the first may be the source):
    every setting asks, so that a thousand containers with one alias would be compared a million times."""
    found: dict[tuple[str, frozenset[str], bool], list[Container]] = {}
    candidates = facts.called(name)
    if len(candidates) < 3:
        return candidates
    for c in candidates:
        networks = frozenset(network.id for network in facts.networks_of(c))
        alike = found.setdefault((c.compose.project if c.compose else "", networks, c.state.running), [])
        if len(alike) < 2:
            alike.append(c)
    kept = {id(c) for alike in found.values() for c in alike}
    return tuple(c for c in candidates if id(c) in kept)


def intended(facts: HostFacts, path: Path) -> Container | None:
    """The container that a path leads to, else the one that its question names."""
    return path.target or meant(facts, path.question.target.name, path.source)


def _strangeness(facts: HostFacts, source: Container | None, container: Container) -> tuple[bool, ...]:
    if source is None:
        return (not container.state.running,)
    ours, theirs = (c.compose.project if c.compose else "" for c in (source, container))
    return (
        container is source,
        not ours or ours != theirs,
        not facts.common_networks(source, container),
        not container.state.running,
    )


# The first words of Docker's name generator (pkg/namesgenerator), which is how a made-up name is told from a chosen one.
_ADJECTIVES = frozenset(
    [
        "admiring",
        "adoring",
        "affectionate",
        "agitated",
        "amazing",
        "angry",
        "awesome",
        "beautiful",
        "blissful",
        "bold",
        "boring",
        "brave",
        "busy",
        "charming",
        "clever",
        "cocky",
        "compassionate",
        "competent",
        "condescending",
        "confident",
        "cool",
        "cranky",
        "crazy",
        "dazzling",
        "determined",
        "distracted",
        "dreamy",
        "eager",
        "ecstatic",
        "elastic",
        "elated",
        "elegant",
        "eloquent",
        "epic",
        "exciting",
        "fervent",
        "festive",
        "flamboyant",
        "focused",
        "friendly",
        "frosty",
        "funny",
        "gallant",
        "gifted",
        "goofy",
        "gracious",
        "great",
        "happy",
        "hardcore",
        "heuristic",
        "hopeful",
        "hungry",
        "infallible",
        "inspiring",
        "intelligent",
        "interesting",
        "jolly",
        "jovial",
        "keen",
        "kind",
        "laughing",
        "loving",
        "lucid",
        "magical",
        "modest",
        "musing",
        "mystifying",
        "naughty",
        "nervous",
        "nice",
        "nifty",
        "nostalgic",
        "objective",
        "optimistic",
        "peaceful",
        "pedantic",
        "pensive",
        "practical",
        "priceless",
        "quirky",
        "quizzical",
        "recursing",
        "relaxed",
        "reverent",
        "romantic",
        "sad",
        "serene",
        "sharp",
        "silly",
        "sleepy",
        "stoic",
        "strange",
        "stupefied",
        "suspicious",
        "sweet",
        "tender",
        "thirsty",
        "trusting",
        "unruffled",
        "upbeat",
        "vibrant",
        "vigilant",
        "vigorous",
        "wizardly",
        "wonderful",
        "xenodochial",
        "youthful",
        "zealous",
        "zen",
    ]
)


def is_generated_name(name: str) -> bool:
    """True if it looks like a name Docker made up: adjective_surname, with a digit on collision."""
    return name.partition("_")[0] in _ADJECTIVES and bool(re.fullmatch(r"[a-z]+_[a-z]+\d?", name))


# What only the build of an image fetched, and what is no name of the Internet's.
_OF_THE_BUILD = regex(r"(?i)download|_asc_|tarball|get_pip|^php_url$|repo(?:sitory)?_url$|mirror|homepage|docs?_url$|support")
_NOT_OF_THE_WORLD = regex(
    r"(?i)\.(?:local|internal|lan|home|intranet|corp|invalid|test|example|localhost|docker)$|(?:^|\.)example\."
)


def of_the_world(facts: HostFacts, container: Container) -> Iterator[Reference]:
    """The settings by which the container dials another machine: a name of the Internet, or an address that no network or
    interface of this host covers. What browsers are told, what a proxy is told, and what an image's build left are none."""
    for reference in container.references:
        host, key = reference.host.rstrip("."), reference.key
        if reference.where not in ("environment", "command") or not (reference.scheme or reference.port):
            continue
        if OF_BROWSERS.search(key) or FOR_BROWSERS.search(key) or _OF_THE_BUILD.search(key) or key.upper() == "NO_PROXY":
            continue
        if is_address(host):
            beyond = ipaddress.ip_address(host).is_global and not facts.is_own(host) and facts.network_containing(host) is None
        else:
            known = host.lower() in HOST_NAMES or meant(facts, host, container) is not None
            beyond = "." in host and not known and not _NOT_OF_THE_WORLD.search(host)
            beyond = beyond and not any(True for _ in hosts_addresses(container, host.lower()))
        if beyond:
            yield reference


def barred(facts: HostFacts, containers: Iterable[Container]) -> tuple[Container, Reference] | None:
    """The first of these containers that dials another machine by its settings, and the setting: it misses its way out."""
    return next(((c, r) for c in containers for r in of_the_world(facts, c)), None)


@lru_cache(maxsize=4096)
def is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _on_custom_network(facts: HostFacts, source: Container | None) -> bool:
    return source is not None and any(network.has_dns for network in facts.networks_of(source))


def _remote(name: str, network: Network) -> Container:
    return Container(id=f"remote:{network.id}:{name}", name=name, state=State(status="running", running=True))
