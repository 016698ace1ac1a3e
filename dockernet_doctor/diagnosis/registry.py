"""Which checks are installed: ours and strangers', all found through the entry-point group `dockernet_doctor.checks`.

An entry point names a package. Every module below it that offers `check` (a `Check`) is one cause; its page is the `.md`
beside it. A package that fails to import, or offers a cause that is already there, is reported by name and left out.
"""

from __future__ import annotations

# Plain strings instead of Path objects where directories are looked through: this is the hot path.
# ruff: noqa: PTH113, PTH122, PTH123, PTH208
import importlib
import os
import sys
from importlib.machinery import PathFinder
from types import ModuleType

from msgspec import Struct

from dockernet_doctor import __version__
from dockernet_doctor.diagnosis.third_party import StrangerError, guarded
from dockernet_doctor.single_file import is_single_file

from .check import Check, Registered

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
            modules = _own_modules() if builtin else guarded(lambda: _modules(point.value), point.name)  # noqa: B023
        except Exception as error:  # noqa: BLE001 - whatever a stranger's module does while it is imported
            problems.append(Problem(origin=point.name, why=f"import of {point.value} failed: {_told(error)}"))
            continue
        for module_name in modules:
            _register(module_name, found, problems, point.package, point.version, builtin=builtin)
    return Registry(registered=dict(sorted(found.items())), problems=tuple(problems))


class _Point(Struct, frozen=True):
    """An entry point, and the distribution that declares it."""

    name: str
    value: str
    package: str
    version: str


def _entry_points() -> list[_Point]:
    """Ours first, so that a stranger cannot take one of our causes."""
    if _alone():
        return [_Point("built-in", BUILTIN, DISTRIBUTION, __version__)]
    from importlib import metadata

    points = metadata.entry_points(group=GROUP)
    found = (_Point(p.name, p.value, *((p.dist.name, p.dist.version) if p.dist else (p.value, ""))) for p in points)
    unique = {(point.name, point.value): point for point in found}
    return sorted(unique.values(), key=lambda point: (point.value != BUILTIN, point.name))


def _alone() -> bool:
    """True if we are installed, and surely no other package declares checks.

    A look at the files takes 2 ms; importlib.metadata takes 15, and is asked where a package may hide elsewhere than in plain
    directories: in zip files, eggs, or behind an importer of its own.
    """
    if is_single_file():
        return True
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return False
    ours = False
    for place in dict.fromkeys(sys.path):
        path = place or "."
        if path.endswith(".egg") or os.path.isfile(path):
            return False
        for name in _names(path):
            if name.endswith((".dist-info", ".egg-info")) and _declares(f"{path}/{name}/entry_points.txt"):
                if not name.startswith(_OWN):
                    return False
                ours = True
    return ours


_OWN = (f"{DISTRIBUTION.replace('-', '_')}-{__version__}.dist-info", f"{DISTRIBUTION.replace('-', '_')}.egg-info")


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _declares(file: str) -> bool:
    try:
        with open(file, "rb") as points:
            return GROUP.encode() in points.read()
    except OSError:
        return False


def _modules(package: str) -> list[str]:
    """The names of the package and of every module below it; imports packages, not modules."""
    import pkgutil

    found = importlib.import_module(package)
    below = pkgutil.walk_packages(getattr(found, "__path__", ()), f"{package}.", onerror=lambda _: None)
    return [package, *(info.name for info in below if not info.ispkg)]


def _own_modules() -> list[str]:
    """The modules of our checks, a folder for each family: 3 ms less than by pkgutil, which knows zip files too."""
    own = importlib.import_module(BUILTIN)
    places = (f"{place}/{family}" for place in own.__path__ for family in _names(place))
    files = ((place, name) for place in places for name in _names(place))
    names = [
        f"{BUILTIN}.{place.rpartition('/')[2]}.{name[:-3]}"
        for place, name in files
        if name.endswith(".py") and name != "__init__.py"
    ]
    return sorted(names) or _modules(BUILTIN)


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
        page = f"{os.path.splitext(module.__file__)[0]}.md" if module.__file__ else ""
        found[check.cause] = Registered(
            check=check,
            family=module_name.split(".")[-2] if builtin else "third-party",
            package=package,
            version=version,
            page=page if os.path.isfile(page) else "",
            builtin=builtin,
        )


def _imported(name: str, *, builtin: bool) -> ModuleType:
    return importlib.import_module(name) if builtin else guarded(lambda: importlib.import_module(name), name)


def _told(error: BaseException) -> str:
    return str(error) if isinstance(error, StrangerError) else f"{type(error).__name__}: {error}"
