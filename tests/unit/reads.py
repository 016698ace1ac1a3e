"""Records which areas of a snapshot, and which hops of paths, are read: tests hold a check to the `needs` that it declares.

While `recording`, the fields of the snapshot's records are properties that note the area they belong to. What is kept from one
question to the next (`once_for_each`, `lru_cache`) is forgotten first, or the second reader of a value would read nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import _lru_cache_wrapper, cache
from typing import Any

from msgspec.structs import replace

from dockernet_doctor import once
from dockernet_doctor.diagnosis import case as cases
from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.fixes import recreate
from dockernet_doctor.diagnosis.path import Hop, Path
from dockernet_doctor.snapshot.model import Container, Daemon, Host, NetworkStack, Sandbox, Snapshot

_FIELDS: dict[type, dict[str, str]] = {
    Snapshot: {
        "engine": "engine", "networks": "engine", "containers": "engine", "services": "engine", "store": "store",
    },
    Container: {"log_tail": "engine"},
    Host: {
        "hostname": "host.network", "resolv_conf": "host.resolver", "resolv_conf_target": "host.resolver",
        "upstream_resolv_conf": "host.resolver", "conntrack": "host.conntrack", "kernel_log": "host.log",
        "sysctl_settings": "host.files", "modules_directory": "host.files", "programs": "host.files",
        "active_firewalls": "host.files", "rule_files": "host.files", "link_keepers": "host.files", "lsm": "host.files",
        "advertised_links": "host.network", "kernel": "host.network",
    },
    Daemon: {
        "pid": "daemon.process", "started_at": "daemon.process", "arguments": "daemon.process",
        "executable": "daemon.process", "files": "daemon.files", "log": "log", "log_source": "log",
        "service_state": "daemon.process", "pid_file": "daemon.process", "pid_file_process": "daemon.process",
        "socket_group": "daemon.files", "proxies": "daemon.process",
    },
    Sandbox: {"namespace": "sandbox.network", "resolv_conf": "sandbox.files", "hosts": "sandbox.files"},
    NetworkStack: {
        "links": "network", "addresses": "network", "routes": "network", "rules": "network", "neighbours": "network",
        "sysctls": "network", "listeners": "sockets", "firewall": "firewall",
    },
}  # fmt: skip
_OF_STACK = {
    "host": {"network": "host.network", "sockets": "host.sockets", "firewall": "firewall"},
    "sandbox": {"network": "sandbox.network", "sockets": "sandbox.network", "firewall": "sandbox.firewall"},
}


@contextmanager
def recording(snapshots: Iterable[Snapshot]) -> Iterator[set[str]]:
    """The areas that are read of these snapshots until the block ends."""
    stacks = {id(s.host.stack): "host" for s in snapshots if s.host}
    read: set[str] = set()
    originals = {(record, name): vars(record)[name] for record, fields in _FIELDS.items() for name in fields}

    def noting(record: type, name: str, area: str) -> property:
        get: Callable[[Any], Any] = originals[record, name].__get__

        def value(it: Any) -> Any:
            if record is NetworkStack:
                read.add(_OF_STACK[stacks.get(id(it), "sandbox")][area])
            else:
                read.add(area)
            return get(it)

        return property(value)

    def broken(path: Path) -> Hop | None:
        hop: Hop | None = stopped(path)
        read.update([hop.hop] if hop else ())
        return hop

    def broken_by(case: Case, *kinds: type[Any], **reasons: Any) -> Iterator[Any]:
        for path, obstacle in asked(case, *kinds, **reasons):
            read.add(stopped(path).hop)
            yield path, obstacle

    asked: Any = Case.broken_by
    stopped: Any = vars(Path)["broken"].fget
    for (record, name), _ in originals.items():
        type.__setattr__(record, name, noting(record, name, _FIELDS[record][name]))
    type.__setattr__(Path, "broken", property(broken))
    type.__setattr__(Case, "broken_by", broken_by)
    # how a container is written anew is for the words of a fix, and no need of the judgement
    words, files_say = vars(recreate), vars(recreate)["files_say"]
    words["files_say"] = lambda _facts: {}
    try:
        yield read
    finally:
        words["files_say"] = files_say
        for (record, name), original in originals.items():
            type.__setattr__(record, name, original)
        type.__setattr__(Path, "broken", property(stopped))
        type.__setattr__(Case, "broken_by", asked)


def forget() -> None:
    """Empties everything that is kept for an object or a value."""
    once.forget()
    for kept in _caches():
        kept.cache_clear()


@cache
def _caches() -> list[Any]:
    return [
        it
        for it in gc.get_objects()
        if isinstance(it, _lru_cache_wrapper) and (it.__module__ or "").startswith("dockernet_doctor")
    ]


def fresh(case: Case) -> Case:
    """The case with facts that have computed nothing yet; its paths and answers are kept."""
    forget()
    cases._broken(case.paths)  # what all checks share is read by none of them
    return replace(case, hosts=Case.of([facts.snapshot for facts in case.hosts]).hosts)
