"""What the Docker API tells: engine, networks, containers, and on a Swarm manager services and nodes.

Lists are only asked for ids: `GET /networks` shows no members, and `Names[0]` of the container list may be a link's
alias, so each network and container is inspected, over a few connections at once. What vanished in between, or was not
answered, is a blind spot; a daemon that does not list its containers (`docker ps` hangs while `docker version` answers) is
a daemon that gave no answer.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import time
from typing import TYPE_CHECKING, NamedTuple, TypedDict, TypeVar
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from dockernet_doctor.decoding import as_text
from dockernet_doctor.moments import moment
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot import handed_out, references, wire
from dockernet_doctor.snapshot.http import Api, ApiError
from dockernet_doctor.snapshot.model import (
    ACCEPT_LABEL,
    BlindSpot,
    Compose,
    Container,
    ContainerLink,
    Endpoint,
    Engine,
    EngineProblem,
    Health,
    Member,
    Network,
    PortBinding,
    PublishedPort,
    Record,
    Reference,
    Service,
    State,
    Subnet,
    Swarm,
    SwarmNode,
    SwarmTask,
)
from dockernet_doctor.snapshot.run_options import run_options
from dockernet_doctor.snapshot.secrets import MASK, driver_option, scrub, secret_values, secret_words
from dockernet_doctor.threaded import Threaded

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from dockernet_doctor.snapshot.model import Protocol

R = TypeVar("R")
T = TypeVar("T")
Listed = TypeVar("Listed", wire.ListedContainer, wire.Network)

CONNECTIONS = 4
LOG_LINES = 20
_LOG_LIMIT = 64 << 10  # bytes
_LOG_LINE_LIMIT = 500  # characters kept of a line
_LONGEST = 4096  # characters looked at of a line or an error
# What a line of a log or of a health check's output speaks of that a cause may need: failures, the network, a service's life.
# Parts of words, in lower case: searching for each is fifty times as fast as one expression that ignores case.
_TELLING = (
    "err", "fail", "fault", "refus", "reject", "deni", "deny", "forbid", "cannot", "can not", "can't", "could n",
    "couldn't", "unable", "time out", "timeout", "timed out", "unreach", "no route", "not ", "no such", "unknown",
    "unexpected", "unsupported", "invalid", "illegal", "malformed", "missing", "require", "exception", "panic", "fatal",
    "traceback", "critical", "warn", "abort", "exit", "kill", "terminat", "signal", "stop", "shut", "crash", "reset",
    "clos", "broken", "dial", "connect", "listen", "bind", "address", "port", "host", "resol", "lookup", "dns",
    "upstream", "gateway", "proxy", "tls", "ssl", "certificate", "http", "tcp", "udp", "socket", "version", "too old",
    "too many", "advertis", "broker", "peer", "cluster", "leader", "node", "server", "start", "ready", "wait", "retr",
    "attempt", "try ", "tried", "bad ", "permi", "credential", "metadata", "reload", "expire", "health", "imds",
    "enotfound", "eai_",
)  # fmt: skip
_ADDRESS = regex(r"[\w\]]:\d{2,5}\b|\d\.\d{1,3}\.\d{1,3}\.\d")
_LOGS_AT_MOST = 40  # containers that ended: the last ones
_SOCKET_MOUNTERS_AT_MOST = 4
_PROXIES_AT_MOST = 3
_OTHER_ENDS_AT_MOST = 4
_FEW = 12  # running containers, of which all have said lately what they miss: a log costs a request
_LATELY_S = 900.0
_PROXY = regex(r"(?:^|[/_-])(?:nginx|openresty|haproxy|traefik|caddy|envoy|httpd)(?:$|[:/@_.-])")
_HEALTH_LIMIT = 400
_IMAGE_ID = regex(r"sha256:[0-9a-f]{64}")
_CAUSE = regex(r"[a-z0-9]+(?:[/-][a-z0-9]+)*")
_SENTENCE = regex(r"""(?<![^\s"'\\])[^\s"'\\]+(?:\s+[^\s"'\\]+)+""")  # words that quotes do not part
_LONGEST_LIST = 500  # characters of a list of causes
_INFO = "what the daemon says of itself (docker info)"
_MOUNTS = ("/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/nsswitch.conf")
_OF_TRAEFIK = regex(r"/etc/traefik(?:/|$)|(?:/.*)?/traefik\.(?:ya?ml|toml)$")  # it may say there which network to take


class EngineReading(Record, frozen=True, kw_only=True):
    """The API's part of a snapshot; where `problem` is set the daemon did not say which version it is, or what it runs."""

    engine: Engine | None = None
    problem: EngineProblem | None = None
    networks: tuple[Network, ...] = ()
    containers: tuple[Container, ...] = ()
    services: tuple[Service, ...] = ()
    blind_spots: tuple[BlindSpot, ...] = ()
    removed: tuple[str, ...] = ()


def read_engine(
    api: Api, on_running: Callable[[int, str], None] = lambda _pid, _id: None, *, asked: frozenset[str] = frozenset()
) -> EngineReading:
    """Everything that the API tells about networking. Never raises ApiError.

    `on_running` is called with the main process and id of each running container, as soon as these are known, by any thread.
    `asked` are names of the containers and services that a question is about: their logs are read.
    """
    spots = _Spots()
    # Types are built here, in one thread: msgspec crashes when two build at once.
    kinds = (wire.Version, wire.Info, wire.Network, wire.ListedContainer, list[msgspec.Raw])
    for kind in (*kinds, wire.Container, wire.HostSettings, wire.HostOptions, wire.Image):
        wire.decoder(kind)
    try:
        version = api.read("/version", wire.decoder(wire.Version))
        api.negotiate(version.ApiVersion, version.MinAPIVersion)
    except ApiError as error:
        return EngineReading(problem=_problem(error))
    info_read = Threaded(lambda: api.read("/info", wire.decoder(wire.Info)))
    networks_read = Threaded(lambda: api.read("/networks", wire.decoder(list[msgspec.Raw])))
    try:
        listed = api.read("/containers/json?all=1", wire.decoder(list[msgspec.Raw]))
    except ApiError as error:
        for thread in (info_read, networks_read):
            thread.wait()  # for the connections that they hold
        return EngineReading(problem=_problem(error))
    # Reduced in the same threads: while one waits for the daemon, another has work.
    items = _distinct(spots.items("a container of the list", listed, wire.ListedContainer))
    named = frozenset(wire.own_name(item.Names or ()) for item in items)
    inspected = _each(lambda item: _inspect(api, spots, item, on_running, named), items)
    found = list({item.record.name: item for item in inspected if item is not None}.values())
    listed_networks = spots.of("the list of networks", networks_read.result) or ()
    networks = _distinct(spots.items("a network of the list", listed_networks, wire.Network))
    images = dict(_each(lambda name: (name, _image(api, name)), sorted({item.wire.Image for item in found})))
    networks_found = _each(lambda item: _network(api, spots, item), networks)
    info = spots.of(_INFO, info_read.result) or wire.Info()
    logs = dict(_each(lambda item: (item.record.id, _log(api, spots, item, named)), _worth_a_log(found, asked)))
    ends = [item for item in found if item.record.id not in logs and _is_asked(item, asked)][:_LOGS_AT_MOST]
    logs |= dict(_each(lambda item: (item.record.id, _log(api, None, item, named)), ends))
    logs |= dict(_each(lambda item: (item.record.id, _log(api, None, item, named, lately=True)), _few(found, logs)))
    services, tasks, nodes = _read_swarm(api, spots, info)
    aliases = _service_aliases(services)
    known = spots.each(lambda node: f"the node {node.ID}", nodes, _node)
    engine = spots.of(_INFO, lambda: _engine(version, info, known))
    names = frozenset(_names([item.record for item in found], services))
    by_name = {name: item.wire for item in found for name in (item.record.name, item.record.id)}
    containers = (
        _with_aliases(
            replace(
                item.record,
                log_tail=logs.get(item.record.id, ()),
                references=references.believed(item.record.references, names),
                options=run_options(item.wire, image, info, by_name) if (image := images[item.wire.Image]) else None,
                **_makers(item.record, item.wire, images[item.wire.Image]),
            ),
            aliases,
        )
        for item in found
    )
    return EngineReading(
        engine=engine or _engine(version, wire.Info(), ()),
        networks=tuple(sorted((network for network in networks_found if network), key=lambda network: network.name)),
        containers=tuple(sorted(containers, key=lambda container: container.name)),
        services=spots.each(
            lambda item: f"the service {item.Spec.Name}", services, lambda item: service_of(item, tasks, names)
        ),
        blind_spots=tuple(spots.found),
        removed=(*sorted(line for item in found for line in item.removed), *_removed_options(networks_found)),
    )


def _distinct(items: Sequence[Listed]) -> list[Listed]:
    """Each once, by id, however often the daemon lists it."""
    return list({item.Id: item for item in items}.values())


def _each(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """What `work` gives for each item, in their order. As many threads as there are connections take one after another."""
    results: dict[int, R] = {}
    todo = iter(enumerate(items))  # of which each item goes to one thread

    def take() -> None:
        for number, item in todo:
            results[number] = work(item)

    for thread in [Threaded(take) for _ in range(min(CONNECTIONS, len(items)))]:
        thread.result()
    return [results[number] for number in range(len(items))]


def _names(containers: Iterable[Container], services: Iterable[wire.Service]) -> Iterator[str]:
    """Everything that a host is called here."""
    for container in containers:
        yield from (container.name, container.hostname)
        if container.compose:
            yield container.compose.service
        for endpoint in container.endpoints:
            yield from endpoint.aliases
            yield from (link.alias for link in endpoint.links)
        yield from (link.alias for link in container.links)
        yield from (entry.partition(":")[0] for entry in container.extra_hosts)
    for service in services:
        yield service.Spec.Name
        for network in (service.Spec.TaskTemplate.Networks if service.Spec.TaskTemplate else None) or ():
            yield from network.Aliases or ()


def _problem(error: ApiError) -> EngineProblem:
    return EngineProblem(kind=error.kind, detail=error.detail)


class _Spots:
    """Blind spots of this reading; appended from several threads, which a list bears."""

    def __init__(self) -> None:
        self.found: list[BlindSpot] = []

    def of(self, what: str, ask: Callable[[], R], unread: R | None = None) -> R | None:
        """What `ask` returns; None of what is gone; a blind spot and `unread` where the API did not answer, or not as an engine
        does (ValueError)."""
        try:
            return ask()
        except ApiError as error:
            gone = error.status == 404
            why = "it vanished while this was read" if gone else scrub(error.detail, ids=True)
            self.found.append(BlindSpot(area="engine", what=what, why=why, remedy="ask again" if gone else "", gone=gone))
            return None if gone else unread
        except (ValueError, msgspec.ValidationError) as error:
            self.found.append(
                BlindSpot(area="engine", what=what, why=scrub(f"its answer was not understood: {error}", ids=True))
            )
            return unread

    def items(self, what: str, listed: Iterable[msgspec.Raw], kind: type[R]) -> list[R]:
        """What the API lists, each item by itself."""
        decode = wire.decoder(kind).decode
        found = (self.of(what, lambda raw=raw: decode(raw)) for raw in listed)  # type: ignore[misc]
        return [item for item in found if item is not None]

    def each(self, what: Callable[[T], str], items: Iterable[T], make: Callable[[T], R]) -> tuple[R, ...]:
        """A record of each item of which one can be made."""
        found = (self.of(what(item), lambda item=item: make(item)) for item in items)  # type: ignore[misc]
        return tuple(record for record in found if record is not None)


# --- containers -----------------------------------------------------------------------------------------------------


class _Inspected(NamedTuple):
    record: Container
    wire: wire.Container
    secrets: set[str]  # values that are secret wherever they appear
    removed: list[str]


def _inspect(
    api: Api, spots: _Spots, listed: wire.ListedContainer, on_running: Callable[[int, str], None], names: frozenset[str]
) -> _Inspected | None:
    def read() -> _Inspected:
        item = api.read(f"/containers/{listed.Id}/json", wire.decoder(wire.Container))
        if item.State.Running and item.State.Pid > 0:
            on_running(item.State.Pid, item.Id)
        removed: list[str] = []
        secrets = _known_secrets(item.Config or wire.ContainerConfig(), item.Name.removeprefix("/"), removed)
        if item.State.Error or _went_wrong(item):  # then texts are kept in which words of commands may stand
            secrets.update(_of_commands(item.Config or wire.ContainerConfig()))
        secrets -= names  # a name is no secret, though people take it for a password
        return _Inspected(_container(item, secrets), item, secrets, removed)

    return spots.of(f"the container {wire.own_name(listed.Names or ()) or listed.Id[:12]}", read)


def _container(item: wire.Container, known: set[str]) -> Container:
    config = item.Config or wire.ContainerConfig()
    host = item.host(wire.HostSettings)
    network = item.NetworkSettings or wire.Attachments()
    labels = config.Labels or {}
    return Container(
        id=item.Id,
        name=item.Name.removeprefix("/"),
        image=config.Image,
        image_id=item.Image,
        created=item.Created,
        state=_state(item, config, known),
        hostname=config.Hostname,
        domainname=config.Domainname,
        network_mode=host.NetworkMode or "default",
        endpoints=tuple(_endpoint(key, value) for key, value in (network.Networks or {}).items() if value is not None),
        bindings=tuple(_bindings(host.PortBindings or {})),
        ports=tuple(_published(network.Ports or {})),
        exposed=tuple(_port_key(key) for key in config.ExposedPorts or ()),
        publish_all=host.PublishAllPorts,
        links=tuple(_link(text) for text in host.Links or ()),
        dns=tuple(host.Dns or ()),
        dns_search=tuple(host.DnsSearch or ()),
        dns_options=tuple(host.DnsOptions or ()),
        extra_hosts=tuple(host.ExtraHosts or ()),
        mounts=tuple(mount.Destination for mount in item.Mounts or () if _matters(mount)),
        references=references.of_settings(
            env=config.Env or (),
            command=(*(config.Entrypoint or ()), *(config.Cmd or ())),
            labels=labels,
            health_test=(config.Healthcheck.Test if config.Healthcheck else None) or (),
        ),
        hands_out=handed_out.of_settings(
            env=config.Env or (),
            command=(*(config.Entrypoint or ()), *(config.Cmd or ())),
            health_test=(config.Healthcheck.Test if config.Healthcheck else None) or (),
        ),
        restart_policy=(host.RestartPolicy.Name if host.RestartPolicy else "") or "no",
        auto_remove=host.AutoRemove,
        privileged=host.Privileged,
        cap_add=tuple(host.CapAdd or ()),
        compose=_compose(labels),
        swarm=_swarm_task(labels),
        accepts=_accepts(labels),
    )


def _image(api: Api, name: str) -> wire.Image | None:
    """What containers take over from an image: nothing where it is gone, None where it could not be read."""
    if not _IMAGE_ID.fullmatch(name):
        return None
    try:
        return api.read(f"/images/{name}/json", wire.decoder(wire.Image))
    except ApiError as error:
        return wire.Image() if error.status == 404 else None
    except ValueError:
        return None


def _known_secrets(config: wire.ContainerConfig, name: str, removed: list[str]) -> set[str]:
    known: set[str] = set()
    for item in config.Env or ():
        key, _, value = item.partition("=")
        found = secret_values(key, value) if value else None
        if found:
            known |= found
            removed.append(f"environment of {name}: {key}")
    for key, value in (config.Labels or {}).items():
        if value and not key.startswith("com.docker.") and (found := secret_values(key, value)):
            known |= found
            removed.append(f"label of {name}: {key}")
    previous = ""
    for word in (*(config.Entrypoint or ()), *(config.Cmd or ())):
        key, separator, value = word.partition("=") if word.startswith("-") else (previous, "", word)
        if (separator or previous.startswith("-")) and value and (found := secret_values(key, value)):
            known |= found
            removed.append(f"command of {name}: {key}" if scrub(key) == key else f"command of {name}")
        previous = "" if separator else word
    return known


def _of_commands(config: wire.ContainerConfig) -> Iterator[str]:
    test = (config.Healthcheck.Test if config.Healthcheck else None) or ()
    for words in ((*(config.Entrypoint or ()), *(config.Cmd or ())), test):
        yield from secret_words(" ".join(words)[:_LONGEST])


def _state(item: wire.Container, config: wire.ContainerConfig, known: set[str]) -> State:
    state = item.State
    return State(
        status=state.Status,
        running=state.Running and not state.Restarting,  # between two lives the API says both
        paused=state.Paused,
        restarting=state.Restarting,
        oom_killed=state.OOMKilled,
        exit_code=state.ExitCode,
        error=_error(state.Error[:_LONGEST], config, known) if state.Error else "",
        pid=state.Pid,
        started_at=state.StartedAt,
        finished_at=state.FinishedAt,
        restart_count=item.RestartCount,
        health=_health(state.Health, config.Healthcheck, known),
    )


def _error(text: str, config: wire.ContainerConfig, known: set[str]) -> str:
    """What the engine said, without the sentences that it quotes of an image: those could be any of the engine's own."""
    words = (*(config.Entrypoint or ()), *(config.Cmd or ()), config.WorkingDir, config.User)
    text = scrub(text, known, ids=True)
    sentences = {scrub(found, known, ids=True) for word in words for found in _SENTENCE.findall(word[:_LONGEST])}
    for sentence in sorted(filter(str.strip, sentences), key=len, reverse=True):
        text = text.replace(sentence, "…")
    return text


def _health(health: wire.HealthState | None, test: wire.HealthTest | None, known: set[str]) -> Health | None:
    if health is None or health.Status in ("", "none"):
        return None
    failed = [result for result in health.Log or () if result.ExitCode != 0]
    return Health(
        status=health.Status,
        failing_streak=health.FailingStreak,
        last_output="\n".join(_told(failed[-1].Output.splitlines(), known))[:_HEALTH_LIMIT] if failed else "",
        test=_bare_test((test.Test if test else None) or ()),
    )


def _bare_test(test: Sequence[str]) -> tuple[str, ...]:
    """The kind of a health check and its program; the rest of the command may hold secrets, see `Reference`."""
    program = test[1].split(maxsplit=1)[0] if len(test) > 1 and test[1].strip() else ""
    plain = re.fullmatch(r"[A-Za-z0-9._/-]{1,80}", program) and scrub(program) == program
    return (*test[:1], *((program,) if plain else ()))


def _told(lines: Iterable[str], known: set[str]) -> Iterator[str]:
    """The lines of free text that tell something, without secrets."""
    return (scrub(line, known)[:_LOG_LINE_LIMIT] for line in (line[:_LONGEST] for line in lines) if _tells(line))


def _tells(line: str) -> bool:
    folded = line.casefold()
    return any(map(folded.__contains__, _TELLING)) or _ADDRESS.search(line) is not None


def _endpoint(name: str, item: wire.Endpoint) -> Endpoint:
    asked = item.IPAMConfig or wire.EndpointIpam()
    return Endpoint(
        network=name,
        network_id=item.NetworkID,
        endpoint_id=item.EndpointID,
        ipv4=item.IPAddress or None,
        ipv4_prefix=item.IPPrefixLen,
        ipv4_gateway=item.Gateway or None,
        ipv6=item.GlobalIPv6Address or None,
        ipv6_prefix=item.GlobalIPv6PrefixLen,
        ipv6_gateway=item.IPv6Gateway or None,
        mac=item.MacAddress,
        aliases=tuple(item.Aliases or ()),
        dns_names=tuple(item.DNSNames) if item.DNSNames is not None else None,
        links=tuple(_link(text) for text in item.Links or ()),
        requested_ipv4=asked.IPv4Address or None,
        requested_ipv6=asked.IPv6Address or None,
        link_local=tuple(asked.LinkLocalIPs or ()),
        gateway_priority=item.GwPriority,
        driver_options={key: driver_option(key, value) for key, value in (item.DriverOpts or {}).items()},
    )


def _bindings(bindings: Mapping[str, list[wire.HostPort] | None]) -> Iterable[PortBinding]:
    for key, sides in bindings.items():
        port, protocol = _port_key(key)
        for side in sides or ():
            yield PortBinding(port=port, protocol=protocol, host_ip=side.HostIp, host_port=side.HostPort)


def _published(ports: Mapping[str, list[wire.HostPort] | None]) -> Iterable[PublishedPort]:
    for key, sides in ports.items():
        port, protocol = _port_key(key)
        for side in sides or ():
            if host_port := _port(side.HostPort):
                yield PublishedPort(port=port, protocol=protocol, host_ip=side.HostIp, host_port=host_port)


def _port_key(key: str) -> tuple[int, Protocol]:
    """ "80/tcp" """
    number, _, protocol = key.partition("/")
    word: Protocol = "udp" if protocol == "udp" else "sctp" if protocol == "sctp" else "tcp"
    return _port(number), word


def _port(text: str) -> int:
    """0 where the text is no number, as where nothing is published. Raises ValueError where it is no port."""
    digits = text.isascii() and text.isdecimal()
    if digits and (len(text) > 5 or int(text) > 65535):
        raise ValueError(f"{text[:60]} is no port")
    return int(text) if digits else 0


def _link(text: str) -> ContainerLink:
    """ "db:database", or "/db:/web/database" as a container's own HostConfig has it."""
    target, _, alias = text.partition(":")
    return ContainerLink(target=target.rpartition("/")[2], alias=alias.rpartition("/")[2])


def _matters(mount: wire.Mount) -> bool:
    return (
        mount.Destination in _MOUNTS
        or _OF_TRAEFIK.match(mount.Destination) is not None
        or mount.Destination.endswith("docker.sock")
        or mount.Source.endswith("docker.sock")
        or (mount.Source in ("/var/run", "/run", "/") and mount.Type == "bind")
    )


def _accepts(labels: Mapping[str, str]) -> tuple[str, ...]:
    """The causes that the label names. What does not look like one is left out: it could be anything."""
    text = labels.get(ACCEPT_LABEL)
    return tuple(_CAUSE.findall(text[:_LONGEST_LIST])) if text else ()


class _Makers(TypedDict):
    compose: Compose | None
    swarm: SwarmTask | None


def _makers(container: Container, item: wire.Container, image: wire.Image | None) -> _Makers:
    """Compose and Swarm, where the container's own labels say so. An image can carry any label, which its containers have, too:
    it names no file of this host, project or service. Of itself Compose gives those that it builds three."""
    inherited = ((image.Config.Labels if image and image.Config else None) or {}).items()
    labels = ((item.Config.Labels if item.Config else None) or {}).items()
    own = {key for key, value in labels if (key, value) not in inherited}
    built = {f"com.docker.compose.{key}" for key in ("project", "service", "version")}
    composed = any(key.startswith("com.docker.compose.") for key in own) or not any(
        key.startswith("com.docker.compose.") and key not in built for key, _ in labels
    )
    kept = {key: value for key, value in labels if key in own or key in built}
    return {
        "compose": _compose(kept) if composed else None,
        "swarm": container.swarm if "com.docker.swarm.service.name" in own else None,
    }


def _compose(labels: Mapping[str, str]) -> Compose | None:
    project = labels.get("com.docker.compose.project")
    if not project:
        return None
    directory = labels.get("com.docker.compose.project.working_dir", "")
    files = filter(None, labels.get("com.docker.compose.project.config_files", "").split(","))
    return Compose(
        project=project,
        service=labels.get("com.docker.compose.service", ""),
        number=labels.get("com.docker.compose.container-number", "1"),
        version=labels.get("com.docker.compose.version", ""),
        working_dir=directory,
        config_files=tuple(file if file == "-" else posixpath.join(directory, file) for file in files),
        depends_on=tuple(filter(None, labels.get("com.docker.compose.depends_on", "").split(","))),
    )


def _swarm_task(labels: Mapping[str, str]) -> SwarmTask | None:
    service = labels.get("com.docker.swarm.service.name")
    if not service:
        return None
    return SwarmTask(
        service=service,
        service_id=labels.get("com.docker.swarm.service.id", ""),
        task=labels.get("com.docker.swarm.task.name", ""),
        node_id=labels.get("com.docker.swarm.node.id", ""),
    )


# --- logs -----------------------------------------------------------------------------------------------------------


def _worth_a_log(containers: Sequence[_Inspected], asked: frozenset[str]) -> list[_Inspected]:
    """Those that ended badly, restart or are unhealthy, first those asked about, and a few whose log tells of others.

    Such are clients of the daemon, which may be too old for it; reverse proxies, which may keep an old address; what those that
    ended are set to dial, which may have refused them; and clients of services that hand out addresses.
    """
    running = [item for item in containers if item.record.state.running]
    ended = [item for item in containers if _went_wrong(item.wire)]
    ended.sort(key=lambda item: max(item.record.state.finished_at, item.record.state.started_at), reverse=True)
    ended.sort(key=lambda item: not _is_asked(item, asked))
    talkers = [item for item in running if any(map(_is_socket, item.wire.Mounts or ()))]
    proxies = [item for item in running if _PROXY.search(item.record.image)]
    missed = {reference.host for item in ended[:_LOGS_AT_MOST] for reference in item.record.references if reference.host}
    servers = [item for item in running if missed and not missed.isdisjoint(_names_of(item.record))]
    told = {name for item in running if item.record.hands_out for name in _names_of(item.record)}
    clients = [item for item in running if told and any(reference.host in told for reference in item.record.references)]
    some = (
        *ended[:_LOGS_AT_MOST],
        *talkers[:_SOCKET_MOUNTERS_AT_MOST],
        *proxies[:_PROXIES_AT_MOST],
        *servers[:_OTHER_ENDS_AT_MOST],
        *clients[:_OTHER_ENDS_AT_MOST],
    )
    chosen = {item.record.id: item for item in some}
    return list(chosen.values())


def _few(containers: Sequence[_Inspected], read: Collection[str]) -> list[_Inspected]:
    """The others that run, on a small host: a log names dials that are in no setting."""
    running = [item for item in containers if item.record.state.running]
    return [item for item in running if item.record.id not in read] if len(running) <= _FEW else []


def _is_asked(item: _Inspected, asked: frozenset[str]) -> bool:
    return bool(asked) and not asked.isdisjoint(_names_of(item.record))


def _names_of(container: Container) -> set[str]:
    """What others call it."""
    service = {container.compose.service} if container.compose else set()
    return {container.name, *service, *(alias for endpoint in container.endpoints for alias in endpoint.aliases)}


def _went_wrong(item: wire.Container) -> bool:
    state = item.State
    if state.Restarting or item.RestartCount > 0 or (state.Health is not None and state.Health.Status == "unhealthy"):
        return True
    return not state.Running and state.ExitCode != 0 and state.Status != "created"


def _is_socket(mount: wire.Mount) -> bool:
    return mount.Source.endswith("docker.sock") or mount.Destination.endswith("docker.sock")


def _log(api: Api, spots: _Spots | None, item: _Inspected, names: frozenset[str], *, lately: bool = False) -> tuple[str, ...]:
    """Its last lines; without `spots` it is not missed where it goes elsewhere, to syslog or nowhere."""
    path = f"/containers/{item.record.id}/logs?stdout=1&stderr=1&tail={LOG_LINES}{_since(item, lately=lately)}"

    def get() -> bytes:
        return api.get(path, limit=_LOG_LIMIT, truncate=True)

    if spots:
        body = spots.of(f"the log of {item.record.name}", get)
    else:
        body = None
        with contextlib.suppress(ApiError):
            body = get()
    if not body:
        return ()
    tty = item.wire.Config is not None and item.wire.Config.Tty
    lines = as_text(body if tty else demultiplexed(body)).splitlines()
    if len(body) >= _LOG_LIMIT:
        lines = lines[:-1]  # cut off anywhere: half a secret is not recognised
    words = () if _went_wrong(item.wire) else _of_commands(item.wire.Config or wire.ContainerConfig())
    return tuple(_told(lines[-LOG_LINES:], item.secrets | ({*words} - names)))


def _since(item: _Inspected, *, lately: bool) -> str:
    """What one that runs well said in an earlier life, before it was started again, tells nothing of this one; where only what
    it says `lately` is wanted, nothing older than some minutes."""
    if not item.record.state.running or _went_wrong(item.wire):
        return ""
    with contextlib.suppress(ValueError):
        started = moment(item.record.state.started_at).timestamp()
        return f"&since={max(started, time.time() - _LATELY_S) if lately else started:.6f}"
    return ""


def demultiplexed(body: bytes) -> bytes:
    """The text in a log stream of a container without a terminal: frames of 8 bytes head and their payload.

    Docker API, "attach": {stream type, 0, 0, 0, four bytes of size, big endian}.
    """
    text = bytearray()
    position = 0
    while position + 8 <= len(body) and body[position] <= 2 and not any(body[position + 1 : position + 4]):
        size = int.from_bytes(body[position + 4 : position + 8], "big")
        text += body[position + 8 : position + 8 + size]
        position += 8 + size
    return bytes(text) if position else body


# --- networks -------------------------------------------------------------------------------------------------------


def _network(api: Api, spots: _Spots, listed: wire.Network) -> Network | None:
    """As inspected; where that was not answered, as it was listed, which lacks the members: it is there all the same."""
    # Only the verbose answer shows what runs on the other nodes of a Swarm.
    path = f"/networks/{listed.Id}" + ("?verbose=true" if listed.Scope == "swarm" else "")
    item = spots.of(f"the network {listed.Name}", lambda: api.read(path, wire.decoder(wire.Network)), listed)
    return spots.of(f"the network {listed.Name}", lambda: _network_of(item)) if item else None


def _network_of(item: wire.Network) -> Network:
    options = {key: driver_option(key, value) for key, value in (item.Options or {}).items()}
    labels = item.Labels or {}
    return Network(
        id=item.Id,
        name=item.Name,
        driver=item.Driver,
        scope=item.Scope,
        internal=item.Internal,
        ipv6=item.EnableIPv6,
        ipv4=item.EnableIPv4,
        attachable=item.Attachable,
        ingress=item.Ingress,
        config_only=item.ConfigOnly,
        options=options,
        subnets=tuple(_subnet(config) for config in (item.IPAM.Config if item.IPAM else None) or () if config.Subnet),
        members=tuple(_members(item)),
        peers=tuple((peer.Name, peer.IP) for peer in item.Peers or ()),
        compose_project=labels.get("com.docker.compose.project", ""),
        compose_network=labels.get("com.docker.compose.network", ""),
        has_labels=bool(labels),
        created=item.Created,
        bridge=_bridge(item),
        accepts=_accepts(labels),
    )


def _removed_options(networks: Iterable[Network | None]) -> Iterator[str]:
    for network in filter(None, networks):
        yield from (f"option of network {network.name}: {key}" for key, value in network.options.items() if value == MASK)


def _bridge(item: wire.Network) -> str | None:
    """libnetwork's rule for the name of a bridge network's Linux bridge."""
    if item.Driver != "bridge" or item.ConfigOnly:
        return None
    named = (item.Options or {}).get("com.docker.network.bridge.name")
    return named or ("docker0" if item.Name == "bridge" else f"br-{item.Id[:12]}")


def _subnet(config: wire.IpamConfig) -> Subnet:
    return Subnet(
        subnet=config.Subnet,
        gateway=config.Gateway.partition("/")[0] or None,
        ip_range=config.IPRange or None,
        auxiliary=config.AuxiliaryAddresses or {},
    )


def _members(item: wire.Network) -> Iterable[Member]:
    seen = set()
    for key, member in (item.Containers or {}).items():
        seen.add(member.EndpointID)
        yield Member(
            container_id=key,
            name=member.Name,
            endpoint_id=member.EndpointID,
            ipv4=member.IPv4Address.partition("/")[0] or None,
            ipv6=member.IPv6Address.partition("/")[0] or None,
            mac=member.MacAddress,
        )
    for service in (item.Services or {}).values():
        for task in service.Tasks or ():
            if task.EndpointID not in seen:
                seen.add(task.EndpointID)
                yield Member(
                    container_id=f"ep-{task.EndpointID}",
                    name=task.Name,
                    endpoint_id=task.EndpointID,
                    ipv4=task.EndpointIP.partition("/")[0] or None,
                )


# --- engine and Swarm -----------------------------------------------------------------------------------------------


def _read_swarm(api: Api, spots: _Spots, info: wire.Info) -> tuple[list[wire.Service], list[wire.Task], list[wire.Node]]:
    if info.Swarm is None or not info.Swarm.ControlAvailable:
        return [], [], []
    for kind in (wire.Service, wire.Node, wire.Task):
        wire.decoder(kind)
    lists = wire.decoder(list[msgspec.Raw])
    services_read = Threaded(lambda: api.read("/services?status=true", lists))
    nodes_read = Threaded(lambda: api.read("/nodes", lists))
    listed = spots.of("the services of the Swarm", services_read.result) or ()
    services = spots.items("a service of the Swarm", listed, wire.Service)

    def tasks_of(**filters: list[str]) -> list[wire.Task]:
        path = f"/tasks?filters={quote(msgspec.json.encode(filters))}"
        listed = spots.of("the tasks of the Swarm", lambda: api.read(path, lists)) or ()
        return spots.items("a task of the Swarm", listed, wire.Task)

    lacking = {s.ID for s in services if s.ServiceStatus and s.ServiceStatus.RunningTasks < s.ServiceStatus.DesiredTasks}
    if everywhere := [s.ID for s in services if s.Spec and "Global" in (s.Spec.Mode or ())]:
        # Swarm does not count those of them that wait for their next try
        lacking |= {task.ServiceID for task in tasks_of(service=everywhere, **{"desired-state": ["ready"]})}
    tasks = tasks_of(service=sorted(lacking)) if lacking else []
    nodes = spots.of("the nodes of the Swarm", nodes_read.result) or ()
    return services, tasks, spots.items("a node of the Swarm", nodes, wire.Node)


def _service_aliases(services: Sequence[wire.Service]) -> dict[tuple[str, str], tuple[str, ...]]:
    """By the ids of service and network: what else a service is called there, as a stack has it (db of shop_db)."""
    return {
        (service.ID, network.Target): tuple(network.Aliases)
        for service in services
        for network in (service.Spec.TaskTemplate.Networks if service.Spec.TaskTemplate else None) or ()
        if network.Aliases
    }


def _with_aliases(container: Container, aliases: Mapping[tuple[str, str], tuple[str, ...]]) -> Container:
    """A task with the aliases of its service, which its own inspection lacks."""
    if container.swarm is None or not aliases:
        return container
    service = container.swarm.service_id
    endpoints = (replace(e, aliases=(*e.aliases, *aliases.get((service, e.network_id), ()))) for e in container.endpoints)
    return replace(container, endpoints=tuple(endpoints))


def _engine(version: wire.Version, info: wire.Info, nodes: tuple[SwarmNode, ...]) -> Engine:
    options = tuple(info.SecurityOptions or ())
    proxies: list[Reference] = []
    for key, value in (("HTTP_PROXY", info.HttpProxy), ("HTTPS_PROXY", info.HttpsProxy), ("NO_PROXY", info.NoProxy)):
        proxies += references.of_value("daemon", key, value)
    return Engine(
        version=version.Version,
        product="podman" if any(part.Name == "Podman Engine" for part in version.Components or ()) else "",
        api_version=version.ApiVersion,
        min_api_version=version.MinAPIVersion,
        os=version.Os,
        arch=version.Arch,
        kernel=version.KernelVersion,
        name=info.Name,
        id=info.ID,
        operating_system=info.OperatingSystem,
        root_dir=info.DockerRootDir,
        ipv4_forwarding=info.IPv4Forwarding,
        bridge_nf_iptables=info.BridgeNfIptables,
        bridge_nf_ip6tables=info.BridgeNfIp6tables,
        cluster_store=scrub(info.ClusterStore),
        cluster_advertise=info.ClusterAdvertise,
        swarm=_swarm(info.Swarm or wire.SwarmInfo(), nodes),
        security_options=options,
        rootless=any(option.startswith("name=rootless") for option in options),
        live_restore=info.LiveRestoreEnabled,
        firewall_backend=info.FirewallBackend.Driver if info.FirewallBackend else "",
        default_address_pools=tuple((pool.Base, pool.Size) for pool in info.DefaultAddressPools or ()),
        warnings=tuple(scrub(line, ids=True) for line in info.Warnings or ()),
        proxies=tuple(proxies),
        containers_running=info.ContainersRunning,
    )


def _swarm(info: wire.SwarmInfo, nodes: tuple[SwarmNode, ...]) -> Swarm:
    return Swarm(
        state=info.LocalNodeState or "inactive",
        node_id=info.NodeID,
        node_address=info.NodeAddr,
        manager=info.ControlAvailable,
        error=scrub(info.Error, ids=True),
        managers=info.Managers,
        nodes=info.Nodes,
        remote_managers=tuple((manager.NodeID, manager.Addr) for manager in info.RemoteManagers or ()),
        data_path_port=(info.Cluster.DataPathPort if info.Cluster else 0) or 4789,
        node_list=nodes,
    )


def _node(item: wire.Node) -> SwarmNode:
    status = item.Status or wire.NodeStatus()
    spec = item.Spec or wire.NodeSpec()
    manager = item.ManagerStatus or wire.ManagerState()
    return SwarmNode(
        id=item.ID,
        hostname=item.Description.Hostname if item.Description else "",
        address=status.Addr,
        role=spec.Role,
        state=status.State,
        availability=spec.Availability,
        manager_address=manager.Addr,
        reachability=manager.Reachability,
        leader=manager.Leader,
    )


def service_of(item: wire.Service, tasks: Sequence[wire.Task], names: frozenset[str] = frozenset()) -> Service:
    """A service, and why those of its tasks do not run that should, by its tasks. `names` are those that hosts have here."""
    spec = item.Spec
    endpoint = item.Endpoint or wire.ServiceEndpoint()
    template = spec.TaskTemplate or wire.Template()
    container = template.ContainerSpec or wire.TaskContainer()
    asked = spec.EndpointSpec or endpoint.Spec or wire.ServiceEndpointSpec()
    mode = next((mode.lower() for mode in spec.Mode or ()), "replicated")
    errors = tuple(_task_errors(task for task in tasks if task.ServiceID == item.ID))
    return Service(
        id=item.ID,
        name=spec.Name,
        mode=mode,
        endpoint_mode=asked.Mode or "vip",
        virtual_ips={ip.NetworkID: ip.Addr.partition("/")[0] for ip in endpoint.VirtualIPs or ()},
        ports=tuple(
            (port.PublishedPort, port.TargetPort, _port_key(f"0/{port.Protocol}")[1], port.PublishMode or "ingress")
            for port in endpoint.Ports or ()
        ),
        networks=tuple(network.Target for network in template.Networks or ()),
        references=references.believed(
            references.of_settings(
                env=container.Env or (),
                command=(*(container.Command or ()), *(container.Args or ())),
                labels={**(spec.Labels or {}), **(container.Labels or {})},
                health_test=(container.Healthcheck.Test if container.Healthcheck else None) or (),
            ),
            names,
        ),
        desired=_desired(item.ServiceStatus, mode, len(errors)) if item.ServiceStatus else None,
        running=item.ServiceStatus.RunningTasks if item.ServiceStatus else None,
        errors=tuple(dict.fromkeys(errors)),
    )


def _desired(counts: wire.ServiceCounts, mode: str, failing: int) -> int:
    """How many tasks are to run. Of a global service Swarm leaves out those that wait for their next try."""
    return max(counts.DesiredTasks, counts.RunningTasks + failing) if mode == "global" else counts.DesiredTasks


def _task_errors(tasks: Iterable[wire.Task]) -> Iterator[str]:
    """The error of the last task of each place (a replica's number, or a global service's node) where that does not run, or of
    the failed task before it."""
    places: dict[tuple[int, str], list[wire.Task]] = {}
    for task in sorted(tasks, key=lambda task: task.CreatedAt, reverse=True):
        places.setdefault((task.Slot, "" if task.Slot else task.NodeID), []).append(task)
    for last, *before in places.values():
        status = last.Status or wire.TaskStatus()
        if status.State == "running" or last.DesiredState not in ("running", "ready"):
            continue
        failed = (task.Status for task in before if task.Status and task.Status.State in ("failed", "rejected"))
        if error := status.Err or next((earlier.Err for earlier in failed), ""):
            yield scrub(error[:_LONGEST], ids=True)
