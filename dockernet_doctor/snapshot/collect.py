"""One host as it is now: every reader, side by side, within one deadline.

The API is asked here; the machine with the daemon's files, and the containers' insides, are read by processes beside this one.
Whatever cannot be read becomes a blind spot; nothing here raises.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from dockernet_doctor.forked import Result, beside
from dockernet_doctor.moments import now
from dockernet_doctor.notation import listed
from dockernet_doctor.snapshot import daemon as daemon_reader
from dockernet_doctor.snapshot import engine as engine_reader
from dockernet_doctor.snapshot import firewall, host, own_container, podman, sandbox, trusted
from dockernet_doctor.snapshot.client import read_client
from dockernet_doctor.snapshot.compose_files import read_compose_files
from dockernet_doctor.snapshot.endpoint import without_userinfo
from dockernet_doctor.snapshot.http import Api
from dockernet_doctor.snapshot.model import BY_ROOT, BlindSpot, Client, Daemon, EngineProblem, Host, Record, Snapshot, TextFile
from dockernet_doctor.snapshot.visitor import Visitor
from dockernet_doctor.threaded import Threaded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dockernet_doctor.snapshot.endpoint import DaemonEndpoint
    from dockernet_doctor.snapshot.engine import EngineReading
    from dockernet_doctor.snapshot.model import ClusterStore, Container, Engine

DAEMON_PORTS = (53, 2375, 2376, 2377, 4789, 7946)
_SLOWEST_ANSWER_S = 10.0
_ASIDE_S = 0.3  # that a process or thread has to hand over what it read until its own deadline
_SANDBOX_FIREWALLS_AT_MOST = 32


class Options(Record, frozen=True, kw_only=True):
    deadline: float  # of time.monotonic()
    ports: tuple[int, ...] = ()  # host ports that a question names: their listeners get an owner
    names: frozenset[str] = frozenset()  # containers and services that a question names: their logs are read
    ask_store: bool = True  # whether a configured cluster store may be dialled


def collect(
    endpoint: DaemonEndpoint,
    options: Options,
    progress: Callable[[str], None] = lambda _: None,
) -> Snapshot:
    """Everything that can be known about the host of this daemon, until `options.deadline`."""
    taken_at = now()
    near = daemon_reader.is_local(endpoint.url)
    seen = near and not own_container.hides_host()
    visitor = Visitor()  # this one and the next are processes: before there are threads
    machine_job = beside(lambda: _read_machine(endpoint.url, options.deadline - _ASIDE_S), _Machine) if seen else None
    client_job = Threaded(lambda: read_client(endpoint))
    here = _Here(seen, daemon_reader.user_of(endpoint.url), visitor)
    progress("asking the daemon")
    reading = _without_own(_read_engine(endpoint, options, here), daemon_reader.user_of(endpoint.url))
    progress("reading the host")
    machine = _in_time(machine_job, options.deadline)
    reading = _without_mount(reading, machine.daemon, endpoint)
    local = here.is_here(reading, machine.daemon)
    if local:
        found = _read_local(reading, machine, here, options, daemon_reader.user_of(endpoint.url))
    else:
        found = _Local()
        visitor.dismiss()
    store = _read_store(reading.engine, machine.daemon, options)
    try:
        client = client_job.result(options.deadline)
    except TimeoutError:
        client = Client(chosen_by=endpoint.chosen_by)
    read = Snapshot(
        name=_name(endpoint, reading.engine, local),
        taken_at=taken_at,
        endpoint=without_userinfo(endpoint.url),
        local=local,
        engine=reading.engine,
        problem=reading.problem,
        networks=reading.networks,
        containers=found.containers or reading.containers,
        services=reading.services,
        compose_files=found.compose_files,
        host=found.host,
        daemon=machine.daemon,
        client=client,
        store=store,
        blind_spots=(
            *reading.blind_spots,
            *_by_option(machine.daemon_spots),
            *_by_option(found.blind_spots),
            *(() if local else _elsewhere(endpoint, reading, machine.daemon, near)),
        ),
        removed=(*reading.removed, *(f"{file.path}: what is not of the network" for file in found.compose_files)),
    )
    return podman.adapted(read)


def unreachable(endpoint: DaemonEndpoint, problem: EngineProblem) -> Snapshot:
    """The snapshot of a host of which nothing could be read: an ssh:// host that does not answer, or no host at all."""
    return Snapshot(
        name=_host_of(endpoint.url),
        taken_at=now(),
        endpoint=without_userinfo(endpoint.url),
        local=False,
        problem=problem,
        client=read_client(endpoint),
    )


# --- the daemon's answers -------------------------------------------------------------------------------------------


def _read_engine(endpoint: DaemonEndpoint, options: Options, here: _Here) -> EngineReading:
    # A daemon that hangs must leave time for what its host tells, and for the report.
    left = max(0.2, options.deadline - time.monotonic())
    end = time.monotonic() + left * 0.6
    timeout = min(_SLOWEST_ANSWER_S, left * 0.3)
    with Api(endpoint, timeout=timeout, deadline=end) as api:
        return engine_reader.read_engine(api, here.on_running, asked=options.names)


def _without_own(reading: EngineReading, user: int) -> EngineReading:
    """Less the container in which this runs: it is no part of what is examined."""
    own = {
        container.id
        for container in reading.containers
        if container.id == own_container.id_by_mounts()
        or (own_container.holds(container.state.pid) and _is_of_container(container.state.pid, container.id, user))
    }
    if not own:
        return reading
    networks = tuple(
        msgspec.structs.replace(network, members=tuple(one for one in network.members if one.container_id not in own))
        for network in reading.networks
    )
    containers = tuple(container for container in reading.containers if container.id not in own)
    return msgspec.structs.replace(reading, networks=networks, containers=containers)


def _without_mount(reading: EngineReading, daemon: Daemon, endpoint: DaemonEndpoint) -> EngineReading:
    """Names the option by which the container of dockernet-doctor would have had the daemon's socket, in place of its absence.

    Where the host has no such socket either, the daemon is to blame.
    """
    if reading.problem is None or reading.problem.kind != "no-socket" or not own_container.examines_host():
        return reading
    if daemon.readable and not daemon.socket_group:
        return reading
    option = own_container.mount(endpoint.socket_path or "")
    why = f"the container of dockernet-doctor was started without {option}"
    spot = BlindSpot(area="engine", what="the daemon", why=why, remedy=f"start it with {option}")
    problem = EngineProblem(kind="usage", detail=why)
    return msgspec.structs.replace(reading, problem=problem, blind_spots=(*reading.blind_spots, spot))


def _by_option(spots: Iterable[BlindSpot]) -> Iterable[BlindSpot]:
    """Names the option that gives its container the rights that dockernet-doctor lacks: there is no sudo in it."""
    lacking = own_container.examines_host() and "--privileged" in own_container.missing_options(None)
    remedy = f"start the container of dockernet-doctor with --privileged: {own_container.COMMAND}"
    return [msgspec.structs.replace(spot, remedy=remedy) if lacking and spot.remedy == BY_ROOT else spot for spot in spots]


class _Here:
    """Tells whether the daemon's containers are processes of this machine; their sandboxes are read as soon as that is known.

    A UNIX socket alone proves nothing: it may be forwarded by ssh, belong to Docker Desktop's virtual machine, or be
    mounted into the container in which this runs.
    """

    def __init__(self, near: bool, user: int, visitor: Visitor) -> None:
        self._near = near
        self._user = user
        self._some_run = False
        self.visitor = visitor
        self.processes_seen = False

    def on_running(self, pid: int, container: str) -> None:
        """Several threads call this, hence nothing is ever unset."""
        if not self._near:
            return
        self._some_run = True
        if self.processes_seen or _is_of_container(pid, container, self._user):
            self.processes_seen = True
            self.visitor.visit(pid)

    def is_here(self, reading: EngineReading, daemon: Daemon) -> bool:
        if not self._near or _is_apart(daemon, reading.engine):
            return False
        if reading.engine is None or self.processes_seen:
            return True
        if reading.engine.virtual_machine not in ("", "WSL 2") and reading.engine.name != socket.gethostname():
            return False
        if daemon.pid is not None:
            return True  # what ran a moment ago may have ended since: a container that crashes again and again
        hidden = not os.access("/proc/1/cgroup", os.R_OK)  # hidepid
        return (hidden or not self._some_run) and reading.engine.name == socket.gethostname()


def _is_of_container(pid: int, container: str, user: int) -> bool:
    """True if the process is that container's, and not another with its former pid, which may be any user's.

    Its parent, the shim, is root's or of the `user` whose daemon it is. It has the id among its arguments; or the process has
    it in the name of its cgroup, where that is not below user.slice: there users name them.
    """
    word = container.encode()
    try:
        parent = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
        if trusted.owner(parent) not in (0, user, os.geteuid()):
            return False
        if any(word in said for said in daemon_reader.strings_of(Path(f"/proc/{parent}/cmdline"))):
            return True
        cgroups = Path(f"/proc/{pid}/cgroup").read_bytes().splitlines()
        return any(word in line and (user != 0 or b"/user.slice/" not in line) for line in cgroups)
    except (OSError, ValueError, IndexError):
        return False


def _is_apart(daemon: Daemon, engine: Engine | None) -> bool:
    """True if the daemon (the machine, where its process is not known) is seen to live in another network namespace than
    this process: one of them runs in a container. A rootless daemon always does; its published ports are on the host all
    the same."""
    if engine is not None and engine.rootless:
        return False
    return daemon_reader.in_namespace(daemon.pid or 1, "net") is False


# --- the machine ----------------------------------------------------------------------------------------------------


class _Machine(Record, frozen=True, kw_only=True):
    """What this machine tells of itself and of the daemon, whatever that answers."""

    seen: host.HostReading = host.HostReading(host=Host())
    rules: firewall.FirewallReading = firewall.FirewallReading(dumps=None)
    daemon: Daemon = Daemon()
    daemon_spots: tuple[BlindSpot, ...] = ()


def _in_time(machine: Result[_Machine] | None, deadline: float) -> _Machine:
    if machine is None:
        return _Machine()
    try:
        return machine(deadline)
    except TimeoutError:
        why, remedy = "reading it did not end in time", "give it more: --timeout 2m"
    except OSError as error:  # a system without /proc
        why, remedy = f"reading it failed: {error}", "mount /proc here, or run where it is"
    spots = (
        BlindSpot(area="host", what="the host's network stack and firewall", why=why, remedy=remedy),
        BlindSpot(area="daemon", what="the daemon's files and log", why=why, remedy=remedy),
    )
    return _Machine(daemon_spots=spots)


def _read_machine(url: str, deadline: float) -> _Machine:
    dumps = firewall.start_dumps()
    own = own_container.is_one()
    rules = dumps.result(min(firewall.TIMEOUT_S, deadline - time.monotonic())) if own else None
    own_container.enter_hosts_root()  # the rules were printed by the image's programs: the host may have none
    seen = host.read_host()
    daemon, spots = daemon_reader.read_daemon(url, deadline)
    rules = rules or dumps.result(min(firewall.TIMEOUT_S, deadline - time.monotonic()))
    return _Machine(seen=seen, rules=rules, daemon=daemon, daemon_spots=tuple(spots))


class _Local(Record, frozen=True, kw_only=True):
    """What only this machine's kernel tells."""

    host: Host | None = None
    containers: tuple[Container, ...] = ()
    compose_files: tuple[TextFile, ...] = ()
    blind_spots: tuple[BlindSpot, ...] = ()


def _read_local(reading: EngineReading, machine: _Machine, here: _Here, options: Options, user: int) -> _Local:
    tcp, udp = _host_ports(reading.containers)
    seen = host.with_ports(machine.seen, {*tcp, *udp, *DAEMON_PORTS, *options.ports}, udp, user)
    spots = list(seen.blind_spots)
    containers = _with_sandboxes(reading.containers, here.visitor.sandboxes(options.deadline), options.deadline, spots)
    running = [container.name for container in containers if container.state.running]
    if running and not here.processes_seen:
        why = "no process of theirs is seen here: ended since, of another pid namespace, or hidden by /proc (hidepid)"
        spots.append(_inside(running, why))
    spots += machine.rules.blind_spots
    if not machine.daemon.readable:
        why = "no process of this host is known to be behind its socket"
        spots.append(BlindSpot(area="daemon", what="the daemon's files and process", why=why))
    whole = host.with_firewall(seen.host, machine.rules)
    compose_files = read_compose_files(containers)
    return _Local(host=whole, containers=containers, compose_files=compose_files, blind_spots=tuple(spots))


def _host_ports(containers: Iterable[Container]) -> tuple[set[int], set[int]]:
    """The host's ports (TCP, UDP) that containers have or want; 0 for any, where one listens as part of the host."""
    tcp: set[int] = set()
    udp: set[int] = set()
    for container in containers:
        for published in container.ports:
            (udp if published.protocol == "udp" else tcp).add(published.host_port)
        for binding in container.bindings:
            first, _, last = binding.host_port.partition("-")
            if first.isdecimal():
                end = int(last) if last.isdecimal() else int(first)
                (udp if binding.protocol == "udp" else tcp).update(range(int(first), min(end, int(first) + 1000) + 1))
        if container.network_mode == "host" and container.state.running:
            tcp.add(0)
    return tcp, udp


def _with_sandboxes(
    containers: tuple[Container, ...], reading: sandbox.SandboxReading, deadline: float, spots: list[BlindSpot]
) -> tuple[Container, ...]:
    sandboxes = dict(reading.sandboxes)
    names = {container.state.pid: container.name for container in containers if container.state.pid}
    for pid in reading.unread_firewalls[:_SANDBOX_FIREWALLS_AT_MOST]:
        rules = firewall.read_sandbox_firewall(pid, min(2.0, (deadline - time.monotonic()) / 4))
        spots += rules.blind_spots
        for other, found in sandboxes.items():
            if found.namespace == sandboxes[pid].namespace:  # of one namespace, as with `network_mode: service:vpn`
                sandboxes[other] = sandbox.with_firewall(found, rules.dumps)
    unseen = reading.blind_spots(names)
    spots += unseen
    spots += _missing_sandboxes(reading.missing, names, told=any(spot.remedy == BY_ROOT for spot in unseen))
    return tuple(
        msgspec.structs.replace(container, sandbox=sandboxes[container.state.pid])
        if container.state.pid in sandboxes
        else container
        for container in containers
    )


def _missing_sandboxes(missing: dict[int, str], names: dict[int, str], *, told: bool) -> Iterable[BlindSpot]:
    """One blind spot a reason; those for want of rights are `told` already."""
    by_reason: dict[str, list[str]] = {}
    for pid, why in missing.items():
        if not (told and os.geteuid() != 0 and Path(f"/proc/{pid}").exists()):
            by_reason.setdefault(why, []).append(names.get(pid, f"process {pid}"))
    for why, whose in by_reason.items():
        yield _inside(whose, why)


def _inside(names: Sequence[str], why: str) -> BlindSpot:
    return BlindSpot(area="sandbox", what=f"the inside of {_listed(names)}", why=why, containers=tuple(sorted(names)))


def _listed(names: Sequence[str]) -> str:
    shown = sorted(names)[:3]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _elsewhere(endpoint: DaemonEndpoint, reading: EngineReading, daemon: Daemon, near: bool) -> Iterable[BlindSpot]:
    """Why the machine behind the daemon was not looked at."""
    remedy = "run dockernet-doctor on that machine, or give it as --host ssh://USER@HOST"
    why = f"the daemon at {without_userinfo(endpoint.url)} runs on another machine"
    if near:
        why = (
            "the daemon's containers are no processes of this machine: its socket is forwarded, or leads into a virtual machine"
        )
        if reading.engine and reading.engine.virtual_machine:
            why = f"{reading.engine.virtual_machine} runs its daemon in a virtual machine"
            remedy = f"look inside it: {own_container.COMMAND}"
        elif own_container.is_one():
            missing = own_container.missing_options(endpoint.socket_path)
            why = "dockernet-doctor itself runs in a container, apart from the host's processes and network"
            why = f"the container of dockernet-doctor was started without {listed(missing)}" if missing else why
            remedy = f"run it on the host, or so: {own_container.COMMAND}"
        elif daemon.pid is not None and _is_apart(daemon, reading.engine):
            why = f"the daemon (process {daemon.pid}) has a network namespace of its own, as Docker in Docker has"
            remedy = "run dockernet-doctor where that daemon runs, in its container"
    yield BlindSpot(area="host", what="the host's own network stack and firewall", why=why, remedy=remedy)
    if any(container.state.running for container in reading.containers):
        yield BlindSpot(area="sandbox", what="the inside of the containers", why=why, remedy=remedy)
    if not near or own_container.hides_host():
        yield BlindSpot(area="daemon", what="the daemon's files and log", why=why, remedy=remedy)


# --- the rest -------------------------------------------------------------------------------------------------------


def _read_store(engine: Engine | None, daemon: Daemon, options: Options) -> ClusterStore | None:
    """The cluster store that the engine names, or that its flags and files name while it does not answer (up to 20.10)."""
    if not options.ask_store or (engine is not None and engine.generation >= (23, 0)):
        return None
    url = engine.cluster_store if engine is not None else _written_store(daemon)
    if not url:
        return None
    from dockernet_doctor.snapshot import cluster_store

    return cluster_store.read_store(url, min(options.deadline - _ASIDE_S, time.monotonic() + 5.0))


def _written_store(daemon: Daemon) -> str:
    from dockernet_doctor.snapshot.daemon_options import parse_flags, written

    settings = (*parse_flags(daemon.arguments[1:]).settings, *written(daemon).settings)
    return next((setting.values[0] for setting in settings if setting.key == "cluster-store" and setting.values), "")


def _name(endpoint: DaemonEndpoint, engine: Engine | None, local: bool) -> str:
    if engine is not None and engine.name:
        return engine.name
    return socket.gethostname() if local else _host_of(endpoint.url)


def _host_of(url: str) -> str:
    """The host that a URL names; the URL itself where it names none, or is none."""
    with contextlib.suppress(ValueError):
        return urlsplit(url).hostname or url
    return url
