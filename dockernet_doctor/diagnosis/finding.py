"""Findings: what a check says is wrong, with its evidence and its fixes (design, *JSON report*)."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from dockernet_doctor.shell import Command, is_command

from .change import Change, Passing
from .path import Path

Severity = Literal["error", "warning", "info"]
Confidence = Literal["proven", "likely", "possible"]
Impact = Literal[
    "changes-firewall",
    "changes-network",
    "changes-kernel",
    "edits-file",
    "restarts-container",
    "recreates-container",
    "loses-container-data",
    "restarts-daemon",
    "reboots-host",
]
Lasts = Literal["until-restart", "until-reboot", "permanent"]
_LASTING: tuple[Lasts, ...] = ("until-restart", "until-reboot", "permanent")

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
CONFIDENCES: tuple[Confidence, ...] = ("proven", "likely", "possible")


class Subject(Struct, frozen=True, kw_only=True):
    """The thing to change. `name` of a port is `web:80/tcp`; `id` is the container's or network's, else "".

    `kind` may grow: container, service, network, port, host, daemon, file, rule, cluster-store, destination.
    """

    kind: str
    name: str
    host: str
    id: str = ""


class Affected(Struct, frozen=True, kw_only=True):
    """Who suffers."""

    kind: str
    name: str
    host: str


class Evidence(Struct, frozen=True, kw_only=True):
    fact: str  # what was looked at: "HostIp of 80/tcp"
    value: str  # what it was: "127.0.0.1"
    source: str  # where: "inspection of web", "probe from host", "iptables-save", "/etc/docker/daemon.json"


class Edit(Struct, frozen=True, kw_only=True):
    file: str
    format: str  # yaml, json, ini, text
    diff: str  # unified


class Fix(Struct, frozen=True, kw_only=True):
    """One way to repair it. `commands` are complete, POSIX sh, each run by its own `sh -c` on `host`, in order.

    They are made by `shell.command` and its like. Raises TypeError for plain text that a shell would not take word by word,
    which only a check that no type checker has seen can hand over. `undo` takes it back, in order; () where nothing does.
    A fix made `of` changes has its commands and its undo from them.
    """

    summary: str
    commands: tuple[Command, ...] = ()
    edits: tuple[Edit, ...] = ()
    impacts: tuple[Impact, ...] = ()
    lasts: Lasts = "permanent"
    host: str = ""  # "" becomes the subject's host
    runnable: bool = True  # False: needs a change by hand first (an edit, an image, another machine)
    undo: tuple[Command, ...] = ()
    also: str = ""  # what else it opens, beside what was asked for: "all else that the rule stops"
    changes: tuple[Change, ...] = ()  # what it does, where that is known as values; never in the report

    @classmethod
    def of(
        cls,
        *changes: Change,
        summary: str,
        impacts: tuple[Impact, ...],
        lasts: Lasts = "permanent",
        runnable: bool = True,
        also: str = "",
    ) -> Fix:
        """The fix that makes these changes in order."""
        backs = [change.undo for change in reversed(changes) if not isinstance(change, Passing)]
        return cls(
            summary=summary,
            commands=tuple(line for change in changes for line in change.commands),
            undo=tuple(line for lines in backs for line in lines) if all(backs) else (),
            impacts=impacts,
            lasts=lasts,
            runnable=runnable,
            also=also,
            changes=changes,
        )

    def then(self, other: Fix, *, summary: str = "") -> Fix:
        """Both, one after the other."""
        both = Fix.of(
            *self.changes,
            *(change for change in other.changes if change not in self.changes),
            summary=summary or (self.summary if other.summary in self.summary else f"{self.summary} {other.summary}"),
            impacts=tuple(dict.fromkeys((*self.impacts, *other.impacts))),
            lasts=min(self.lasts, other.lasts, key=_LASTING.index),
            also="; ".join(dict.fromkeys(said for said in (self.also, other.also) if said)),
        )
        return replace(both, host=self.host)

    def followed_by(self, *commands: Command, summary: str = "", impacts: tuple[Impact, ...] = ()) -> Fix:
        """The fix with commands behind its own that nobody has to take back: something is started again."""
        return replace(
            self,
            summary=summary or self.summary,
            commands=(*self.commands, *commands),
            impacts=tuple(dict.fromkeys((*self.impacts, *impacts))),
            changes=(),
        )

    def __post_init__(self) -> None:
        if self.changes and self.commands != tuple(line for change in self.changes for line in change.commands):
            force_setattr(self, "changes", ())  # whoever gave it other commands does something else
            force_setattr(self, "undo", ())
        for command in (*self.commands, *self.undo):
            if not is_command(command):
                raise TypeError(f"a command has to be made by shell.command, of words: {command!r}")
        if any(isinstance(command, Command) and command.unsayable for command in self.commands):
            force_setattr(self, "runnable", False)
        if any(isinstance(command, Command) and command.unsayable for command in self.undo):
            force_setattr(self, "undo", ())


class Origin(Struct, frozen=True, kw_only=True):
    package: str
    version: str


class Link(Struct, frozen=True, kw_only=True):
    title: str
    url: str


class Finding(Struct, frozen=True, kw_only=True):
    """What a check returns. `rank` merges equal ids, finds roots, and sets severity for the question asked.

    Its root is the one that it names itself (`because_of`); else one that explains what it was stopped by (`behind`); else one
    of the causes that what was seen of it allows (`roots`; None: all that the check is a symptom of) and that shares a path, a
    container or its subject.
    """

    cause: str = ""  # set by the runner from the check
    severity: Severity
    confidence: Confidence
    subject: Subject
    summary: str  # one whole sentence with the real names in it
    affects: tuple[Affected, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    fixes: tuple[Fix, ...] = ()
    hop: str | None = None
    references: tuple[Link, ...] = ()
    because_of: str | None = None  # id of the root finding
    origin: Origin | None = None  # set by the runner
    explains: tuple[Path, ...] = ()  # the paths that this finding breaks (or bears on); never in the report
    behind: tuple[Path, ...] = ()  # the broken paths that came first, and without which its subject does no work
    roots: tuple[str, ...] | None = None

    @property
    def id(self) -> str:
        """CAUSE=KIND:NAME@HOST, stable between runs."""
        return finding_id(self.cause, self.subject)


def finding_id(cause: str, subject: Subject) -> str:
    return f"{cause}={subject.kind}:{subject.name}@{subject.host}"
