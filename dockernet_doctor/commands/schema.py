"""`schema`: JSON Schema of what this tool writes."""

from __future__ import annotations

from typing import Any

import click

from .options import DISPLAY, Settings, examples, options, settings

NAMES = ("report", "bundle", "ports", "plan", "checks", "map", "explain", "diff", "brief")


@click.command(
    "schema",
    epilog=examples(
        ("dockernet-doctor schema", "of the report, as --format json writes it"),
        ("dockernet-doctor schema bundle", "of what collect writes, once unpacked"),
    ),
)
@click.argument("name", type=click.Choice(NAMES), default="report")
@options(DISPLAY)
@click.pass_context
def command(ctx: click.Context, name: str) -> None:
    """Print the JSON Schema of a report, a bundle, or another verb's JSON.

    Closed sets are enumerations; what may grow without a new version is a plain string. Readers ignore unknown names.
    """
    ctx.exit(run(settings(ctx), name))


def run(settings: Settings, name: str) -> int:
    del settings  # it has one form
    from .output import show

    show(schema_text(name), text_format=False)
    return 0


def schema_text(name: str) -> str:
    """The schema as indented JSON."""
    import msgspec

    kind = _type(name)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_uniform(msgspec.json.schema(kind))}
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


def _uniform(schema: Any) -> Any:
    """The schema as every release of msgspec would write it.

    Descriptions without the indentation of docstrings, which msgspec up to 0.22 leaves in; null as the last alternative,
    which up to 0.21 is the first beside a record.
    """
    if isinstance(schema, list):
        return [_uniform(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    from inspect import cleandoc

    inner = {key: _uniform(value) for key, value in schema.items()}
    if isinstance(description := inner.get("description"), str):
        inner["description"] = cleandoc(description)
    if isinstance(alternatives := inner.get("anyOf"), list):
        inner["anyOf"] = sorted(alternatives, key=lambda one: one == {"type": "null"})
    return inner


def _type(name: str) -> type:
    match name:
        case "bundle":
            from dockernet_doctor.snapshot.bundle import Bundle

            return Bundle
        case "ports":
            from dockernet_doctor.report.ports import PortsReport

            return PortsReport
        case "plan":
            from dockernet_doctor.report.plan import Plan

            return Plan
        case "checks":
            from dockernet_doctor.report.catalogue import Catalogue

            return Catalogue
        case "map":
            from dockernet_doctor.report.map_model import Map

            return Map
        case "brief":
            from dockernet_doctor.report.brief import Brief

            return Brief
        case "diff":
            from dockernet_doctor.report.difference import Difference

            return Difference
        case "explain":
            from dockernet_doctor.report.explanation import Explanation

            return Explanation
    from dockernet_doctor.report.model import Report

    return Report
