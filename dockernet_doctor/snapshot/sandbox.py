"""The inside of containers, read from outside: nothing is executed, created or installed in them."""

# Plain strings instead of Path objects: this is the hot path, and it opens thousands of files of /proc.
from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias, TypeVar

import msgspec

from dockernet_doctor.decoding import as_text
from dockernet_doctor.snapshot import namespace, procnet, rooted, rtnetlink, socket_owners, trusted
from dockernet_doctor.snapshot.go_program import is_static_go
from dockernet_doctor.snapshot.model import (
    BY_ROOT,
    BlindSpot,
    FirewallDump,
    HostsEntry,
    NetworkStack,
    Record,
    ResolvConf,
    Sandbox,
)
from dockernet_doctor.snapshot.nfnetlink import read_simple_firewall
from dockernet_doctor.snapshot.resolv import parse_hosts, parse_resolv_conf

T = TypeVar("T")


class SandboxReading(Record, frozen=True, kw_only=True):
    """What the sandboxes of some processes hold."""

    sandboxes: dict[int, Sandbox]  # by pid; containers that share a namespace share one NetworkStack
    missing: dict[int, str]  # pid → why there is none: "the process … has ended"
    unread_firewalls: tuple[int, ...]  # pids, one a namespace, whose rules only a program can print
    forbidden: tuple[int, ...]  # pids whose namespaces this process may not enter
    problems: dict[str, tuple[int, ...]]  # what was not read, and why ("links: …") → pids

    def blind_spots(self, names: Mapping[int, str]) -> tuple[BlindSpot, ...]:
        """What was not read; `names` are the containers' by pid."""
        spots = []
        unseen = [pid for pid in self.forbidden if pid in self.missing]
        half_seen = [pid for pid in self.forbidden if pid not in self.missing]
        if unseen:
            spots.append(_forbidden("the network", unseen, names))
        if half_seen:
            what = "state of the links, rules, neighbours, firewall, /etc/resolv.conf and /etc/hosts"
            spots.append(_forbidden(what, half_seen, names))
        for problem, pids in self.problems.items():
            what, _, why = problem.rpartition(": ")
            spots.append(
                BlindSpot(
                    area=next((area for beginning, area in _AREAS.items() if what.startswith(beginning)), "sandbox.network"),
                    what=f"{what} in {_counted(pids)} (pid {', '.join(map(str, pids[:5]))})",
                    why=why,
                    remedy=BY_ROOT if why in _RIGHTS else "",
                    containers=_named(pids, names),
                )
            )
        return tuple(spots)

    def __add__(self, other: SandboxReading) -> SandboxReading:
        """Both readings as one; of a namespace that both visited, each has a NetworkStack of its own."""
        problems = {
            what: (*self.problems.get(what, ()), *other.problems.get(what, ())) for what in {**self.problems, **other.problems}
        }
        return SandboxReading(
            sandboxes=self.sandboxes | other.sandboxes,
            missing=self.missing | other.missing,
            unread_firewalls=self.unread_firewalls + other.unread_firewalls,
            forbidden=self.forbidden + other.forbidden,
            problems=problems,
        )


def read_sandboxes(pids: Iterable[int]) -> SandboxReading:
    """The sandboxes of all these processes; one thread visits each network namespace once. Never raises.

    Without the right to enter, a sandbox holds what /proc/PID/net shows to everybody, and a blind spot names the rest.

    `stack.firewall` holds Docker's rules for its resolver, or () where a namespace has none. It stays None where other
    rules, or legacy iptables, need a program: those pids are in `unread_firewalls`, to be handed to
    `firewall.read_sandbox_firewall` and `with_firewall`. For a container in host mode it stays None too: the caller
    has the host's own stack.
    """
    try:
        return namespace.in_thread(_Visit(pids).run)
    except OSError as error:  # a limit of threads
        return unread(pids, error.strerror or str(error))


def unread(pids: Iterable[int], why: str) -> SandboxReading:
    """The reading of which nothing came."""
    return SandboxReading(sandboxes={}, missing=dict.fromkeys(pids, why), unread_firewalls=(), forbidden=(), problems={})


def with_firewall(sandbox: Sandbox, dumps: tuple[FirewallDump, ...] | None) -> Sandbox:
    """The sandbox with the dumps that were read on demand."""
    return msgspec.structs.replace(sandbox, stack=msgspec.structs.replace(sandbox.stack, firewall=dumps))


OF_ALL = ("net.ipv4.conf.all.arp_ignore", "net.ipv4.conf.all.rp_filter")
"""Settings of which an interface has the larger of this and its own."""

_Files: TypeAlias = "tuple[ResolvConf | None, tuple[HostsEntry, ...] | None, str]"


class _Visit:
    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = (pid for pid in pids if pid > 0)
        self._stacks: dict[int, NetworkStack] = {}
        self._sandboxes: dict[int, Sandbox] = {}
        self._missing: dict[int, str] = {}
        self._unread: list[int] = []
        self._problems: dict[str, list[int]] = {}
        self._forbidden: list[int] = []

    def run(self) -> SandboxReading:
        try:
            host = namespace.own_namespace()
            with namespace.travelling() as enter:
                for pid in self._pids:
                    self._visit(pid, enter, host)
        except (namespace.NamespaceError, OSError) as error:
            self._missing.update((pid, str(error)) for pid in self._pids)
        return SandboxReading(
            sandboxes=self._sandboxes,
            missing=self._missing,
            unread_firewalls=tuple(self._unread),
            forbidden=tuple(self._forbidden),
            problems={what: tuple(pids) for what, pids in self._problems.items()},
        )

    def _visit(self, pid: int, enter: Callable[[int], None], host: int) -> None:
        try:
            fd = namespace.open_namespace(pid)
            try:
                inode = os.fstat(fd).st_ino
                if inode not in self._stacks:
                    enter(fd)
                    self._stacks[inode] = self._stack(pid, with_rules=inode != host)
            finally:
                os.close(fd)
        except namespace.NamespaceForbiddenError as error:
            self._forbidden.append(pid)
            self._look_from_afar(pid, str(error))
            return
        except namespace.NamespaceError as error:
            self._missing[pid] = str(error)
            return
        except OSError as error:
            self._missing[pid] = error.strerror or str(error)
            return
        resolv_conf, hosts, libc = self._files(pid)
        self._sandboxes[pid] = Sandbox(
            pid=pid,
            namespace=inode,
            stack=self._stacks[inode],
            resolv_conf=resolv_conf,
            hosts=hosts,
            libc=libc,
            halted=socket_owners.halted(pid),
        )

    def _look_from_afar(self, pid: int, why: str) -> None:
        seen = procnet.read_stack_of(pid)
        if seen is None:
            self._missing[pid] = why
            return
        identity, stack = seen
        self._sandboxes[pid] = Sandbox(pid=pid, namespace=identity, stack=self._stacks.setdefault(identity, stack))

    def _stack(self, pid: int, *, with_rules: bool) -> NetworkStack:
        reading = rtnetlink.read_stack()
        for problem in reading.problems:
            self._problems.setdefault(problem, []).append(pid)
        stack = reading.stack
        return msgspec.structs.replace(
            stack,
            rules=rtnetlink.without_default_rules(stack.rules),
            sysctls=stack.sysctls | {name: value for name in OF_ALL if (value := read_sysctl(name)) and value != "0"},
            firewall=self._firewall(pid) if with_rules else None,
        )

    def _firewall(self, pid: int) -> tuple[FirewallDump, ...] | None:
        try:
            dumps = read_simple_firewall()
        except OSError as error:
            self._problems.setdefault(f"firewall: {error.strerror}", []).append(pid)
            return None
        if dumps is None:
            self._unread.append(pid)
        return dumps

    def _files(self, pid: int) -> _Files:
        try:
            root = rooted.open_root(pid)
        except OSError as error:
            return self._without_files(pid, error)
        try:
            uid = rooted.builder(pid)
            if uid == 0:
                return self._read_files(pid, root)
            return trusted.with_rights_of(uid, lambda: self._read_files(pid, root))
        except OSError as error:
            return self._without_files(pid, error)
        finally:
            os.close(root)

    def _without_files(self, pid: int, error: OSError) -> _Files:
        self._problems.setdefault(f"/etc of the container: {error.strerror}", []).append(pid)
        return None, None, ""

    def _read_files(self, pid: int, root: int) -> _Files:
        return (
            self._file(pid, root, "etc/resolv.conf", parse_resolv_conf, ResolvConf(exists=False)),
            self._file(pid, root, "etc/hosts", parse_hosts, _NO_HOSTS),
            "go" if is_static_go(pid) else "musl" if rooted.is_inside(root, _MUSL) else "",
        )

    def _file(self, pid: int, root: int, path: str, parse: Callable[[str], T], absent: T) -> T | None:
        try:
            return parse(rooted.read_inside(root, path))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                return absent
            self._problems.setdefault(f"/{path}: {error.strerror}", []).append(pid)
            return None


def _forbidden(what: str, pids: Collection[int], names: Mapping[int, str]) -> BlindSpot:
    return BlindSpot(
        area="sandbox",
        what=f"{what} of {_counted(pids)}",
        why="no right to enter their namespaces",
        remedy=BY_ROOT,
        containers=_named(pids, names),
    )


def _named(pids: Iterable[int], names: Mapping[int, str]) -> tuple[str, ...]:
    return tuple(sorted({names[pid] for pid in pids if pid in names}))


_ARCHITECTURES = {"armv7l": "armhf", "i686": "i386", "ppc64le": "powerpc64le"}
_MUSL = f"lib/ld-musl-{_ARCHITECTURES.get(os.uname().machine, os.uname().machine)}.so.1"
_NO_HOSTS: tuple[HostsEntry, ...] = ()
_RIGHTS = (os.strerror(errno.EPERM), os.strerror(errno.EACCES))


def _counted(pids: Collection[int]) -> str:
    return f"{len(pids)} container{'' if len(pids) == 1 else 's'}"


_AREAS = {"firewall": "sandbox.firewall", "/etc": "sandbox.files"}


def read_sysctls(names: Iterable[str]) -> dict[str, str]:
    """Values of sysctls as the calling thread's namespace has them; those that are absent or unreadable left out."""
    values = {}
    for name in names:
        value = read_sysctl(name)
        if value is not None:
            values[name] = value
    return values


def read_sysctl(name: str) -> str | None:
    """One value, tabs made spaces; None where this kernel (or this namespace) has no such key."""
    try:
        fd = os.open("/proc/sys/" + name.replace(".", "/"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return as_text(os.read(fd, 4096)).strip().replace("\t", " ")
    except OSError:
        return None
    finally:
        os.close(fd)
