"""A check is the knowledge of one cause. It does no I/O: it reads a `Case`, says what it wants asked and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct

from dockernet_doctor.probe.model import Probe

from .finding import Finding, Subject, finding_id

# `Case` imports nothing from here; its name is only needed by type checkers of plugins.
Find = Callable[[Any], Iterable[Finding]]
Wants = Callable[[Any], Iterable[Probe]]
Remains = Callable[[Any, Sequence[Finding]], Iterable[Finding]]


class Check(Struct, frozen=True, kw_only=True):
    """What a module of a check package offers as `check`.

    find     Case in, findings out; called once all answers are there
    probes   Case in, probes wanted out; called before each round, asks for what would prove or disprove the cause
    remains  Case and all other findings in, findings out; called last, for what the others leave unexplained
    needs    what the judgement rests on: areas of the snapshot (`snapshot.model.AREAS`), hops of paths (`path.HOPS`, each with
             those before it), and `probe` where only a probe decides. Where one was not seen, the cause is `not-examined`
             and not `clear`. () needs everything.
    symptom_of  causes that are the root of this one where both are found and share a container, subject or path
    phrases  error texts, lower case, that lead `explain "text"` here; `…` stands for a name of up to four words
    engines  for people: "all", "≤ 20.10", "≥ 28"
    frequent  one that most tickets turn out to be: of several that an error text fits, `explain` names it first
    exposes  what it finds lets others in who should not be: no label of a container or network can accept that
    podman   it holds for Podman's containers, too; others say nothing of a host whose socket is Podman's
    explain_only  the cause shows only in an error text or an application: there is nothing to find, only a page
    """

    cause: str
    title: str
    subjects: tuple[str, ...]
    find: Find | None = None
    probes: Wants | None = None
    remains: Remains | None = None
    needs: tuple[str, ...] = ()
    symptom_of: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()
    engines: str = "all"
    frequent: bool = False
    exposes: bool = False
    podman: bool = False
    article: tuple[int, ...] = ()  # rules of the article that teach it

    def id_of(self, subject: Subject) -> str:
        """The id of this check's finding about the subject."""
        return finding_id(self.cause, subject)

    @property
    def explain_only(self) -> bool:
        return self.find is None and self.remains is None


class Registered(Struct, frozen=True, kw_only=True):
    """A check as the registry knows it."""

    check: Check
    family: str  # the folder it stands in: published_ports, names, …; "third-party" for strangers
    package: str  # distribution
    version: str
    page: str  # path of the .md beside it, "" where there is none
    builtin: bool
