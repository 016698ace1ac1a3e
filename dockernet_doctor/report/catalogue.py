"""What `checks` prints: the causes that this installation knows."""

from __future__ import annotations

import textwrap
from typing import Literal

from msgspec import Struct

from dockernet_doctor.diagnosis.registry import Registry
from dockernet_doctor.single_file import is_single_file

from .model import TOOL, Tool
from .words import count, visible


class CatalogueCheck(Struct, frozen=True, kw_only=True):
    cause: str
    title: str
    family: str
    engines: str
    subjects: tuple[str, ...]
    article: tuple[int, ...]
    finds: bool  # False: only an error text shows it, so there is a page and nothing to find
    builtin: bool
    package: str
    version: str


class CatalogueProblem(Struct, frozen=True, kw_only=True):
    origin: str
    why: str


class Catalogue(Struct, frozen=True, kw_only=True):
    schema: Literal["dockernet-doctor/checks/1"]
    tool: Tool
    checks: tuple[CatalogueCheck, ...]
    problems: tuple[CatalogueProblem, ...]


def build(registry: Registry) -> Catalogue:
    return Catalogue(
        schema="dockernet-doctor/checks/1",
        tool=TOOL,
        checks=tuple(
            CatalogueCheck(
                cause=cause,
                title=entry.check.title,
                family=entry.family,
                engines=entry.check.engines,
                subjects=tuple(entry.check.subjects),
                article=tuple(entry.check.article),
                finds=not entry.check.explain_only,
                builtin=entry.builtin,
                package=entry.package,
                version=entry.version,
            )
            for cause, entry in registry.registered.items()
        ),
        problems=tuple(CatalogueProblem(origin=problem.origin, why=problem.why) for problem in registry.problems),
    )


def text(catalogue: Catalogue, width: int = 80) -> str:
    """One block a family, strangers last; what could not be loaded at the end."""
    from tabulate import tabulate

    families: dict[str, list[CatalogueCheck]] = {}
    for check in sorted(catalogue.checks, key=lambda check: (not check.builtin, check.family, check.cause)):
        families.setdefault(check.family, []).append(check)
    blocks = []
    for family, checks in families.items():
        rows = [
            (visible(c.cause), visible(c.engines), visible(", ".join(c.subjects)) if c.finds else "explain only")
            for c in checks
        ]
        table = tabulate(rows, headers=["cause", "engines", "about"], tablefmt="plain", disable_numparse=True)
        origin = {f"{c.package} {c.version}" for c in checks if not c.builtin}
        title = family.replace("_", " ") + (f" ({visible(', '.join(sorted(origin)))})" if origin else "")
        blocks.append("\n".join([title, *(f"  {line}".rstrip() for line in table.splitlines())]))
    for problem in catalogue.problems:
        line = f"{visible(problem.origin)} could not be used: {visible(problem.why)}"
        blocks.append("\n".join(textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False)))
    strangers = sum(not check.builtin for check in catalogue.checks)
    limit = " The single file takes none; pip install dockernet-doctor does." if is_single_file() else ""
    blocks.append(f"{count(len(catalogue.checks), 'cause')}, {strangers or 'none'} of them third-party.{limit}")
    return "\n\n".join(blocks) + "\n"
