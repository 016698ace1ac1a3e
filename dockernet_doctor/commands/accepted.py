"""Findings that are meant to be so: the file of --config, and the report or bundle of --baseline.

[[accept]]
cause = "CAUSE"                         # a glob
subject = "port:search:9200/tcp"        # a glob over NAME, KIND:NAME or KIND:NAME@HOST, as ids have it; left out: any
reason = "behind the site's firewall"
until = 2027-03-31                      # left out: for ever
"""

from __future__ import annotations

import importlib
import sys
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockernet_doctor.diagnosis.findings.accepted import IN_THE_BASELINE, Acceptance
from dockernet_doctor.errors import CommandLineError

from .output import say
from .sources import asks_a_daemon

if TYPE_CHECKING:
    from dockernet_doctor.diagnosis.run import Diagnosis

    from .options import Settings

CONFIG = "/etc/dockernet-doctor.toml"
_LARGEST = 1 << 20  # bytes
_KEYS = frozenset({"cause", "subject", "reason", "until"})


def accepted(settings: Settings) -> tuple[Acceptance, ...]:
    """What the files accept. Without --config, CONFIG where it exists: for daemons, not for bundles, which are of other hosts.

    CommandLineError where a file cannot be read or means nothing.
    """
    found: tuple[Acceptance, ...] = ()
    if settings.config or (asks_a_daemon(settings) and Path(CONFIG).exists()):
        found = _configured(settings.config or CONFIG)
    return (*found, *_baseline(settings, settings.baseline)) if settings.baseline else found


def tell_left(meant: tuple[Acceptance, ...], diagnosis: Diagnosis, *, whole: bool) -> None:
    """One line for each that has expired, and where the `whole` host was looked at, for each that accepted nothing."""
    today = datetime.now(timezone.utc).date()
    for it in meant:
        what = f"{it.origin}: {it.cause} of {it.subject}"
        if it.expired(today):
            say(f"{what} was accepted until {it.until}: it counts again")
        elif (
            whole
            and diagnosis.complete
            and it.reason != IN_THE_BASELINE
            and not any(it.fits(old.finding) for old in diagnosis.suppressed)
        ):
            say(f"{what} is accepted, and was not found")


def _configured(path: str) -> tuple[Acceptance, ...]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            text = file.read(_LARGEST).decode()
        read = toml.loads(text)
    except OSError as error:
        raise CommandLineError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CommandLineError(f"{path}: not TOML: {error}") from error
    entries = read.pop("accept", [])
    if read or not isinstance(entries, list):
        raise CommandLineError(f"{path}: only [[accept]] tables are known, not {', '.join(read) or 'accept = …'}")
    return tuple(_entry(entry, f"{path}: accept {number}", path) for number, entry in enumerate(entries, 1))


def _entry(entry: Any, where: str, path: str) -> Acceptance:
    if not isinstance(entry, dict):
        raise CommandLineError(f"{where}: a table is wanted")
    if unknown := sorted(entry.keys() - _KEYS):
        raise CommandLineError(f"{where}: unknown key {unknown[0]!r}; choose {', '.join(sorted(_KEYS))}")
    words = {key: entry[key] for key in ("cause", "subject", "reason") if key in entry}
    if wrong := [key for key, value in words.items() if not isinstance(value, str)]:
        raise CommandLineError(f"{where}: {wrong[0]} is text")
    if missing := [key for key in ("cause", "reason") if not words.get(key, "").strip()]:
        raise CommandLineError(f"{where}: {missing[0]} is missing")
    until = entry.get("until")
    if until is not None and (not isinstance(until, date) or isinstance(until, datetime)):
        raise CommandLineError(f"{where}: until is a day, as 2027-03-31")
    return Acceptance(**words, until=until.isoformat() if until else None, origin=path)


def _baseline(settings: Settings, path: str) -> tuple[Acceptance, ...]:
    """Each finding of the older report, by its id."""
    from .diff import stored_side

    findings = stored_side(settings, path).report.findings
    return tuple(
        Acceptance(cause=_literal(it.cause), subject=_literal(it.id.partition("=")[2]), reason=IN_THE_BASELINE, origin=path)
        for it in findings
    )


def _literal(text: str) -> str:
    """The glob that fits this text alone."""
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)
