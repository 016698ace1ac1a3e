"""Where snapshots come from: bundles, daemons of this machine or another, and hosts behind ssh."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from dockernet_doctor.errors import CommandLineError
from dockernet_doctor.probe.model import Answer
from dockernet_doctor.snapshot.model import BlindSpot, EngineProblem, Snapshot

if TYPE_CHECKING:
    from dockernet_doctor.snapshot.endpoint import DaemonEndpoint

    from .options import Settings
    from .progress import Progress

_AT_ONCE = 16


def asks_a_daemon(settings: Settings) -> bool:
    """Whether a daemon is to be asked, not only bundles read."""
    return bool(not settings.bundle or settings.host or settings.context)


class Source(NamedTuple):
    """A host, and what its network answered when it was collected."""

    snapshot: Snapshot
    answers: tuple[Answer, ...] = ()


class Reader(NamedTuple):
    """What reading needs to know.

    deadline   of time.monotonic()
    ports      host ports that a question names
    sending    whether anything may be sent: to a configured cluster store while reading, by a host behind ssh at all
    """

    settings: Settings
    deadline: float
    ports: tuple[int, ...]
    sending: bool
    progress: Progress

    def read(self) -> list[Source]:
        """The hosts in the order given: bundles, then daemons; their names are unique. CommandLineError for a wrong URL,
        and for hosts that cannot be read together."""
        settings = self.settings
        found = [self._bundle(path) for given in settings.bundle for path in _bundles(given)]
        if asks_a_daemon(settings):
            found += self._live()
        if len(found) > 1:
            _ensure_joinable(found)
        return with_unique_names(found)

    def _bundle(self, path: str) -> Source:
        """The host of a bundle; where there is none in that file, a host that could not be examined."""
        from dockernet_doctor.snapshot import bundle

        self.progress(f"reading {path}")
        try:
            loaded = bundle.load(path)
        except bundle.BundleError as error:
            return Source(_unreadable(path, str(error)))
        return Source(loaded.snapshot, loaded.answers)

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
        self.progress("reading " + (endpoints[0].url if len(endpoints) == 1 else f"{len(endpoints)} hosts"))
        if len(endpoints) == 1:
            return [self._collect(endpoints[0])]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self._collect, endpoints))

    def _collect(self, chosen: DaemonEndpoint) -> Source:
        from dockernet_doctor.snapshot import collect

        if chosen.scheme == "ssh":
            return self._over_ssh(chosen)
        options = collect.Options(deadline=self.deadline, ports=self.ports, ask_store=self.sending)
        return Source(collect.collect(chosen, options, self.progress))

    def _over_ssh(self, chosen: DaemonEndpoint) -> Source:
        from dockernet_doctor.snapshot import bundle, collect, endpoint

        try:
            loaded = endpoint.collect_over_ssh(chosen.url, max(1.0, self.deadline - time.monotonic()), probes=self.sending)
        except (endpoint.EndpointError, bundle.BundleError) as error:
            why = str(error).removeprefix(f"{chosen.url}: ").rstrip(".")
            remedy = "see that ssh gets there and finds dockernet-doctor"
            spot = BlindSpot(area="engine", what=f"the host {chosen.url}", why=why, remedy=remedy)
            found = collect.unreachable(chosen, EngineProblem(kind="usage", detail=why))
            return Source(replace(found, blind_spots=(spot,)))
        return Source(loaded.snapshot, loaded.answers)


def _no_endpoint(why: str) -> Source:
    """Where the environment or the client's configuration names no daemon: a finding, and no error of the command line."""
    from dockernet_doctor.snapshot import collect, endpoint

    spot = BlindSpot(area="engine", what="the daemon", why=why, remedy="")
    found = collect.unreachable(endpoint.spoken(), EngineProblem(kind="usage", detail=why))
    return Source(replace(found, blind_spots=(spot,)))


def _bundles(given: str) -> list[str]:
    """The file, or those of a directory by name, numbers in their order: h2 before h10; itself where it holds none."""
    directory = Path(given)
    if given == "-" or not directory.is_dir():
        return [given]
    files = [path for path in directory.iterdir() if path.is_file() and not path.name.startswith(".")]
    return [str(path) for path in sorted(files, key=lambda path: _numbered(path.name))] or [given]


def _ensure_joinable(sources: Sequence[Source]) -> None:
    """CommandLineError where addresses of one host mean nothing on another: each bundle has pseudonyms of its own."""
    from dockernet_doctor.snapshot.bundle import PSEUDONYMS

    alone = next((source.snapshot.name for source in sources if PSEUDONYMS in source.snapshot.removed), None)
    if alone is not None:
        raise CommandLineError(
            f"the bundle of {alone} has pseudonyms for addresses, which no other host shares: read it alone, "
            "or collect it without --pseudonymise"
        )


def _numbered(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", name)]


def _unreadable(path: str, why: str) -> Snapshot:
    why = why.removeprefix(f"{path}: ").removeprefix("standard input: ")
    return Snapshot(
        name="standard input" if path == "-" else Path(path).name,
        source="bundle",
        taken_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
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
