"""Patterns that are compiled late are still all compiled once here: a faulty one must not wait for its first use."""

import importlib
import pkgutil
import re

import dockernet_doctor
from dockernet_doctor.regex import regex


def test_a_pattern_is_what_re_compiles() -> None:
    pattern = regex(r"(\d+)s", re.IGNORECASE)
    assert pattern.pattern == r"(\d+)s"
    assert [match[1] for match in map(pattern.fullmatch, ("5s", "7S")) if match] == ["5", "7"]
    assert regex(rb"a+").sub(b"b", b"caat") == b"cbt"


def test_every_pattern_of_the_package_compiles() -> None:
    names = [module.name for module in pkgutil.walk_packages(dockernet_doctor.__path__, "dockernet_doctor.")]
    modules = [importlib.import_module(name) for name in names if not name.endswith("__main__")]
    patterns = [value for module in modules for value in vars(module).values() if isinstance(value, type(regex("")))]
    assert len(patterns) > 40
    assert all(isinstance(pattern.pattern, str | bytes) for pattern in patterns)
