"""The JSON Schemas, whatever release of msgspec writes them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dockernet_doctor.commands.schema import NAMES, schema_text

_schema = msgspec.json.schema


def _as_up_to_0_21(schema: Any) -> Any:
    """Null first, and the indentation of docstrings left in."""
    if isinstance(schema, list):
        return [_as_up_to_0_21(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: _as_up_to_0_21(value) for key, value in schema.items()}
    if isinstance(description := inner.get("description"), str) and "\n" in description:
        inner["description"] = description.replace("\n", "\n    ") + "\n    "
    if "anyOf" in inner:
        inner["anyOf"] = sorted(inner["anyOf"], key=lambda one: one != {"type": "null"})
    return inner


@pytest.mark.parametrize("name", NAMES)
def test_older_releases_write_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = schema_text(name)
    monkeypatch.setattr(msgspec.json, "schema", lambda kind: _as_up_to_0_21(_schema(kind)))
    assert schema_text(name) == now
