"""Where snapshots come from: bundles, daemons of this machine or another, and hosts behind ssh."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from dockernet_doctor.deadline import OutOfTimeError, until
from dockernet_doctor.decoding import as_text
from dockernet_doctor.errors import CommandLineError
from dockernet_doctor.forked import beside
from dockernet_doctor.moments import now
from dockernet_doctor.probe.model import Answer
from dockernet_doctor.snapshot.model import BlindSpot, EngineProblem, Snapshot
from dockernet_doctor.threaded import Threaded

if TYPE_CHECKING:
    from dockernet_doctor.snapshot.bundle import Bundle
    from dockernet_doctor.snapshot.endpoint import DaemonEndpoint

    from .options import Settings
    from .progress import Progress

_AT_ONCE = 16
_HANDING_OVER_S = 0.2


def asks_a_daemon(settings: Settings) -> bool:
    """True if a daemon is to be asked, not only bundles read."""
    return bool(not settings.bundle or settings.host or settings.context)


class Source(NamedTuple):
    """A host, and what its network answered when it was collected."""

    snapshot: Snapshot
    answers: tuple[Answer, ...] = ()


class Reader(NamedTuple):
    """What reading needs to know.

    started    of time.monotonic()
    deadline   of time.monotonic(): by then reading has ended
    ports      host ports that a question names
    names      containers and services that a question names
    sending    whether anything may be sent: to a configured cluster store while reading, by a host behind ssh at all
    """

    settings: Settings
    started: float
    deadline: float
    ports: tuple[int, ...]
    names: frozenset[str]
    sending: bool
    progress: Progress

    @property
    def _hosts_end(self) -> float:
        """By then each host has been read or given up, so that there is time to hand the others over."""
        return self.started + (self.deadline - self.started) * 0.9

    def begin(self) -> Callable[[], list[Source]]:
        """Has daemons asked beside this process, which the import of the checks keeps busy for as long; bundles are read when
        they are wanted: that takes no time to speak of, and standard input can be read once.

        What is returned gives the hosts in the order given: bundles, then daemons; their names are unique. It raises
        CommandLineError for a wrong URL, and for hosts that cannot be read together. What is not read by the deadline is a
        host that could not be examined.
        """
        live = beside(self._live, list[Source]) if asks_a_daemon(self.settings) else None

        def read() -> list[Source]:
            found = [self._bundle(path) for given in self.settings.bundle for path in _bundles(given)]
            try:
                found += live(self.deadline) if live else []
            except TimeoutError:
                found += [_not_in_time(host) for host in self.settings.host or (self.settings.context or "daemon",)]
            if len(found) > 1:
                _ensure_joinable(found)
            return with_unique_names(found)

        return cache(read)

    def _bundle(self, path: str) -> Source:
        """The host of a bundle; where there is none in that file, or not in time, a host that could not be examined."""
        from dockernet_doctor.snapshot import bundle

        self.progress(f"reading {path}")
        try:
            with until(self.deadline):
                return _of(bundle.load(path))
        except bundle.BundleError as error:
            return Source(_unreadable(path, str(error)))
        except OutOfTimeError:
            return Source(_unreadable(path, "it did not come to an end in time"))

    def _live(self) -> list[Source]:
        from dockernet_doctor.snapshot import endpoint

        hosts: tuple[str | None, ...] = self.settings.host or (None,)
        try:
            endpoints = [endpoint.choose(host, self.settings.context) for host in hosts]
            for chosen in endpoints:
                if chosen.scheme == "ssh":
                    endpoint.ssh_command(chosen.url, 1.0)
        except endpoint.EndpointError as error:
            if self.settings.host or self.settings.context:
                raise CommandLineError(str(error)) from error
            return [_no_endpoint(str(error))]
        with self.progress:
            self.progress("reading " + (endpoints[0].url if len(endpoints) == 1 else f"{len(endpoints)} hosts"))
            if len(endpoints) == 1:
                return [self._collect(endpoints[0])]
            room = Semaphore(_AT_ONCE)
            threads = [Threaded(partial(self._collect_in, room, chosen)) for chosen in endpoints]
            return [self._of_thread(thread, chosen.url) for thread, chosen in zip(threads, endpoints, strict=True)]

    def _collect_in(self, room: Semaphore, chosen: DaemonEndpoint) -> Source:
        with room:
            return self._collect(chosen)

    def _of_thread(self, thread: Threaded[Source], url: str) -> Source:
        try:
            return thread.result(self._hosts_end)
        except TimeoutError:
            return _not_in_time(url)

    def _collect(self, chosen: DaemonEndpoint) -> Source:
        from dockernet_doctor.snapshot import collect

        if chosen.scheme == "ssh":
            return self._over_ssh(chosen)
        options = collect.Options(
            deadline=self._hosts_end - _HANDING_OVER_S, ports=self.ports, names=self.names, ask_store=self.sending
        )
        return Source(collect.collect(chosen, options, self.progress))

    def _over_ssh(self, chosen: DaemonEndpoint) -> Source:
        from dockernet_doctor import shell
        from dockernet_doctor.snapshot import bundle, collect, endpoint

        try:
            loaded = endpoint.collect_over_ssh(
                chosen.url,
                self._hosts_end - _HANDING_OVER_S - time.monotonic(),
                probes=self.sending,
                send=self.settings.send,
            )
        except (endpoint.EndpointError, bundle.BundleError) as error:
            why = str(error).removeprefix(f"{chosen.url}: ").rstrip(".")
            remedy = f"try it: {shell.command('ssh', chosen.url, 'dockernet-doctor', '--version')}"
            spot = BlindSpot(area="engine", what=f"the host {chosen.url}", why=why, remedy=remedy)
            found = collect.unreachable(chosen, EngineProblem(kind="usage", detail=why))
            return Source(replace(found, blind_spots=(spot,)))
        return _of(loaded)


def _of(loaded: Bundle) -> Source:
    """The host of a bundle. What else it says the network answered is not that host's to say, whatever host it names."""
    snapshot = loaded.snapshot
    return Source(snapshot, tuple(answer for answer in loaded.answers if answer.probe.vantage.host == snapshot.name))


def _not_in_time(url: str) -> Source:
    from dockernet_doctor.snapshot import endpoint

    host, why = endpoint.without_userinfo(url), "reading it did not end in time"
    spot = BlindSpot(area="engine", what=f"the host {host}", why=why, remedy="give it more: --timeout 2m")
    problem = EngineProblem(kind="timeout", detail=why)
    return Source(Snapshot(name=host, taken_at=now(), endpoint=host, local=False, problem=problem, blind_spots=(spot,)))


def _no_endpoint(why: str) -> Source:
    """Where the environment or the client's configuration names no daemon: a finding, and no error of the command line."""
    from dockernet_doctor.snapshot import collect, endpoint

    spot = BlindSpot(area="engine", what="the daemon", why=why, remedy="")
    found = collect.unreachable(endpoint.refused_choice(), EngineProblem(kind="usage", detail=why))
    return Source(replace(found, blind_spots=(spot,)))


def _bundles(given: str) -> list[str]:
    """The file, or those of a directory by name, numbers in their order: h2 before h10; itself where it holds none."""
    directory = Path(given)
    if given == "-" or not os.path.isdir(given):  # noqa: PTH112 - Path.is_dir raises for a name that is too long
        return [given]
    files = [path for path in directory.iterdir() if path.is_file() and not path.name.startswith(".")]
    return [str(path) for path in sorted(files, key=lambda path: _numbered(path.name))] or [given]


def _ensure_joinable(sources: Sequence[Source]) -> None:
    """CommandLineError where addresses of one host mean nothing on another: each bundle has pseudonyms of its own."""
    from dockernet_doctor.snapshot.bundle import PSEUDONYMS

    alone = next((source.snapshot.name for source in sources if PSEUDONYMS in source.snapshot.removed), None)
    if alone is not None:
        raise CommandLineError(
            f"the bundle of {alone} has pseudonyms, which no other host shares: read it alone, "
            "or collect it without --pseudonymise"
        )


def _numbered(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _unreadable(path: str, why: str) -> Snapshot:
    path, why = as_text(path), as_text(why.removeprefix(f"{path}: ").removeprefix("standard input: "))
    return Snapshot(
        name="standard input" if path == "-" else Path(path).name,
        source="bundle",
        taken_at=now(),
        endpoint="",
        local=False,
        problem=EngineProblem(kind="usage", detail=why),
        blind_spots=(BlindSpot(area="engine", what=f"the bundle {path}", why=why, remedy="collect it again"),),
    )


def with_unique_names(sources: Sequence[Source]) -> list[Source]:
    """Each host under a name of its own, in its answers too: the second `web1` becomes `web1-2`."""
    taken: set[str] = set()
    found = []
    for source in sources:
        name, number = source.snapshot.name, 1
        while name in taken:
            number += 1
            name = f"{source.snapshot.name}-{number}"
        taken.add(name)
        found.append(_renamed(source, name) if name != source.snapshot.name else source)
    return found


def _renamed(source: Source, name: str) -> Source:
    def moved(answer: Answer) -> Answer:
        vantage = replace(answer.probe.vantage, host=name)
        return replace(answer, probe=replace(answer.probe, vantage=vantage))

    return Source(replace(source.snapshot, name=name), tuple(map(moved, source.answers)))
