"""Which checks are installed: ours and strangers', all found through the entry-point group `dockernet_doctor.checks`.

An entry point names a package. Every module below it that offers `check` (a `Check`) is one cause; its page is the `.md`
beside it. A package that fails to import, or offers a cause that is already there, is reported by name and left out.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from pathlib import Path
from types import ModuleType

from msgspec import Struct

from .check import Check, Registered
from .stranger import StrangerError, guarded

GROUP = "dockernet_doctor.checks"
BUILTIN = "dockernet_doctor_checks"
DISTRIBUTION = "dockernet-doctor"


class Problem(Struct, frozen=True, kw_only=True):
    """A package or module that could not be used."""

    origin: str  # entry point or module
    why: str


class Registry(Struct, frozen=True, kw_only=True):
    registered: dict[str, Registered]  # cause → check, in alphabetical order
    problems: tuple[Problem, ...] = ()

    def causes(self) -> tuple[str, ...]:
        return tuple(self.registered)


def load() -> Registry:
    """All installed checks. Never raises for a stranger's fault: that becomes a `Problem`."""
    found: dict[str, Registered] = {}
    problems: list[Problem] = []
    for point in _entry_points():
        builtin = point.value == BUILTIN
        try:
            modules = _modules(point.value) if builtin else guarded(lambda: _modules(point.value), point.name)  # noqa: B023
        except Exception as error:  # noqa: BLE001 - whatever a stranger's module does while it is imported
            problems.append(Problem(origin=point.name, why=f"import of {point.value} failed: {_told(error)}"))
            continue
        package_name, version = _distribution(point)
        for module_name in modules:
            _register(module_name, found, problems, package_name, version, builtin=builtin)
    return Registry(registered=dict(sorted(found.items())), problems=tuple(problems))


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    """Ours first, so that a stranger cannot take one of our causes."""
    points = importlib.metadata.entry_points(group=GROUP)
    unique = {(point.name, point.value): point for point in points}
    return sorted(unique.values(), key=lambda point: (point.value != BUILTIN, point.name))


def _distribution(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else (point.value, "")


def _modules(package: str) -> list[str]:
    """The names of the package and of every module below it; imports packages, not modules."""
    found = importlib.import_module(package)
    below = pkgutil.walk_packages(getattr(found, "__path__", ()), f"{package}.", onerror=lambda _: None)
    return [package, *(info.name for info in below if not info.ispkg)]


def _register(
    module_name: str,
    found: dict[str, Registered],
    problems: list[Problem],
    package: str,
    version: str,
    *,
    builtin: bool,
) -> None:
    try:
        module = _imported(module_name, builtin=builtin)
        check = getattr(module, "check", None)
    except Exception as error:  # noqa: BLE001 - a stranger's module
        problems.append(Problem(origin=module_name, why=f"import failed: {_told(error)}"))
        return
    if not isinstance(check, Check):
        return
    if builtin == ("/" in check.cause):
        expected = "no slash" if builtin else "the form vendor/slug"
        problems.append(Problem(origin=module_name, why=f"the cause {check.cause!r} must have {expected}"))
    elif check.cause in found:
        first = found[check.cause].package
        problems.append(Problem(origin=module_name, why=f"the cause {check.cause!r} is already offered by {first}"))
    else:
        page = Path(module.__file__).with_suffix(".md") if module.__file__ else None
        found[check.cause] = Registered(
            check=check,
            family=module_name.split(".")[-2] if builtin else "third-party",
            package=package,
            version=version,
            page=str(page) if page and page.is_file() else "",
            builtin=builtin,
        )


def _imported(name: str, *, builtin: bool) -> ModuleType:
    return importlib.import_module(name) if builtin else guarded(lambda: importlib.import_module(name), name)


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, StrangerError) else f"{type(error).__name__}: {error}"
