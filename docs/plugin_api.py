"""docs/plugin-api.txt: what `plugin.api` promises, with every signature.

Of the modules that `dockernet_doctor.plugin` offers, that is what our own checks use; what else they hold may change any day.
The fields of the snapshot's records stand in schema/bundle.json.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from dockernet_doctor import plugin

_CHECKS = Path(__file__).resolve().parent.parent / "checks"


def page() -> str:
    """One line a name, sorted; the methods and properties of a type below it."""
    head = f"dockernet_doctor.plugin, api {plugin.api}. Generated: make docs.\n\n"
    return head + "\n".join(line for name, value in sorted(_members()) for line in _lines(name, value)) + "\n"


def used() -> set[str]:
    """`module.name` of the modules of the plugin, as our checks use them."""
    trees = (ast.parse(file.read_text(encoding="utf-8")) for file in _CHECKS.rglob("*.py"))
    found = (n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name))
    return {f"{n.value.id}.{n.attr}" for n in found if n.value.id in _MODULES}  # type: ignore[attr-defined]


_MODULES = {name: getattr(plugin, name) for name in plugin.__all__ if isinstance(getattr(plugin, name), ModuleType)}


def _members() -> Iterator[tuple[str, Any]]:
    yield from ((name, getattr(plugin, name)) for name in plugin.__all__ if name not in _MODULES)
    for dotted in used():
        module, _, name = dotted.partition(".")
        if hasattr(_MODULES[module], name):  # else a local name like the module's
            yield dotted, getattr(_MODULES[module], name)


def _lines(name: str, value: Any) -> Iterator[str]:
    if not (inspect.isclass(value) or inspect.isroutine(value) or hasattr(value, "__wrapped__")):
        yield name
        return
    yield name if inspect.isclass(value) else f"{name}{_signature(value)}"
    fields = () if name.startswith("model.") else getattr(value, "__struct_fields__", getattr(value, "_fields", ()))
    for field in fields:
        written = next(found[field] for found in map(_annotations, value.__mro__) if field in found)
        written = getattr(written, "__forward_arg__", written)  # of a NamedTuple
        default = inspect.signature(value).parameters[field].default
        yield f"    {field}: {written}" + ("" if default is inspect.Parameter.empty else f" = {default!r}")
    for below, member in sorted(vars(value).items()) if inspect.isclass(value) else ():
        if below.startswith("_"):
            continue
        if isinstance(member, (property, cached_property)):
            yield f"    .{below}"
        elif isinstance(member, (FunctionType, classmethod, staticmethod)):
            yield f"    .{below}{_signature(getattr(value, below))}"


def _annotations(base: type) -> dict[str, Any]:
    found: dict[str, Any] = vars(base).get("__annotations__", {})
    return found


def _signature(value: Any) -> str:
    """Annotations as they are written, whatever quotes this Python puts around them."""
    try:
        said = str(inspect.signature(value))
    except ValueError:  # a name of a union, an exception
        return ""
    return re.sub(r"(: |-> )'((?:[^'\\]|\\.)*)'", r"\1\2", said)
