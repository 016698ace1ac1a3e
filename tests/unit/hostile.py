"""Hostile text in every string of a recorded host, and a jail that runs what is then printed for its reader to paste."""

from __future__ import annotations

import ast
import ipaddress
import os
import random
import re
import subprocess
import typing
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dockernet_doctor.snapshot import model
from dockernet_doctor.snapshot.values import ensure_run_option

ROOT = Path(__file__).parents[2]
CANARY = "CANARY"
FORMS = (
    "$(>CANARY)",
    "`>CANARY`",
    ";>CANARY;",
    "|>CANARY&",
    "\n>CANARY\n#",
    "'$(>CANARY)'",
    '"$(>CANARY)"',
    'x"; } ;$(>CANARY)',
    "\\'$(>CANARY)\\",
    "#e;1e>CANARY;#",
    "\n1e>CANARY\n",
    '"}}{{"$(>CANARY)"',
    "\ufffd$(>CANARY)",
    "\x1b]0;$(>CANARY)\x07",
)
BEGIN, END = "Qb", "Qe"  # around each, to know it again
DASH = "-Qb"  # before a name, which then looks like an option


class Planting(NamedTuple):
    """What became of a snapshot's strings: old → new."""

    form: str
    texts: dict[str, str]
    of_names: bool = True

    def of(self, value: Any) -> Any:
        """Builtins with the planted texts: equal strings stay equal, and names inside longer texts change with them."""
        if isinstance(value, dict):
            return {self.of(key): self.of(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(entry) for entry in value]
        if not isinstance(value, str):
            return value
        return self.texts.get(value) or _WORD.sub(lambda found: self.texts.get(found[0], found[0]), value)


_WORD = re.compile(r"[\w.-]{4,}")


def plantings(snapshots: Iterable[Any], chance: random.Random) -> Iterator[Planting]:
    """Names and free texts, all at once, with one form and then with a dash before them; then an eighth of all strings,
    addresses and those that the program compares with its own words among them."""
    found = list(snapshots)
    strings = sorted(set(_strings(found)) - _closed_words() - {""})
    form = chance.choice(FORMS)
    taken = _own_words() | set(_shaped_values(found, form))
    free = [text for text in strings if text not in taken and not _is_address(text)]
    yield Planting(form, {text: f"{text}{BEGIN}{form}{END}" for text in free})
    yield Planting(DASH, {text: f"{DASH}{text}" for text in free})
    some = chance.sample(strings, max(1, len(strings) // 8))
    form = chance.choice(FORMS)
    yield Planting(form, {text: f"{text}{BEGIN}{form}{END}" for text in some}, of_names=False)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, entry in value.items():
            yield from _strings(key)
            yield from _strings(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _strings(entry)
    elif isinstance(value, str):
        yield value


def _shaped_values(value: Any, form: str) -> Iterator[str]:
    """Values of options that the model refuses with this text in them."""
    if isinstance(value, dict):
        if value.keys() == {"name", "value"}:
            try:
                ensure_run_option(value["name"], f"{value['value']}{BEGIN}{form}{END}")
            except ValueError:
                yield value["value"]
        value = list(value.values())
    if isinstance(value, list | tuple):
        for entry in value:
            yield from _shaped_values(entry, form)


@cache
def _closed_words() -> frozenset[str]:
    """Values of fields that take only certain words, so that the bundle would be refused; names of fields."""
    found: set[str] = set()
    for kind in vars(model).values():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            found.update(kind.__struct_fields__)
            for hint in typing.get_type_hints(kind).values():
                found.update(_literals(hint))
    return frozenset(found)


def _literals(hint: Any) -> Iterator[str]:
    if typing.get_origin(hint) is typing.Literal:
        yield from (word for word in typing.get_args(hint) if isinstance(word, str))
    else:
        for part in typing.get_args(hint):
            yield from _literals(part)


@cache
def _own_words() -> frozenset[str]:
    """Strings that the program itself holds: "running", "docker0", "bridge"."""
    files = [path for room in ("dockernet_doctor", "checks") for path in (ROOT / room).rglob("*.py")]
    nodes = (node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return frozenset(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))


def _is_address(text: str) -> bool:
    """What the model refuses where it is anything else: addresses, numbers, times."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text.isdigit() or re.match(r"\d{4}-\d\d-\d\dT|\d+\.\d+|(?:[0-9a-f]{2}:){5}", text) is not None
    return True


# --- the jail -----------------------------------------------------------------------------------------------------------

PROGRAMS = (
    "bridge cat chmod cp conntrack cut docker docker-compose dockerd firewall-cmd grep groupadd head hostname id ip ip6tables "
    "ip6tables-legacy ip6tables-nft iptables iptables-legacy iptables-nft mkdir modprobe mv netplan nft nmcli rm sed service "
    "setsebool sleep ss sysctl systemctl touch ufw usermod xargs"
)
"""What a command may run; in the jail each writes down its words and does nothing."""
_RECORD = """#!/bin/sh
printf '%s\\0' "$#" "${0##*/}" "$@" >> "$WORDS"
"""
_ENTER = _RECORD + 'while [ "$1" != -n ]; do shift; done; shift; exec "$@"\n'
_SUDO = _RECORD + 'exec "$@"\n'


class Jail:
    """An empty directory, programs that only write down what they are called with, and no rights."""

    def __init__(self, place: Path) -> None:
        self._programs, self._here = place / "programs", place / "here"
        self._words = self._here / "words"
        for directory in (self._programs, self._here):
            directory.mkdir()
        for name in PROGRAMS.split():
            self._program(name, _RECORD)
        self._program("nsenter", _ENTER)
        self._program("sudo", _SUDO)
        (self._programs / "sh").symlink_to("/bin/sh")
        for directory in (*place.parents, place):
            if os.geteuid() == 0 and directory.stat().st_uid == 0 and str(directory).startswith("/tmp/"):
                directory.chmod(directory.stat().st_mode | 0o011)
        self._here.chmod(0o777)

    def _program(self, name: str, script: str) -> None:
        path = self._programs / name
        path.write_text(script)
        path.chmod(0o755)

    def run(self, command: str) -> list[list[str]]:
        """Runs a command as its reader would; the words that each program was called with. AssertionError where more happened
        than that."""
        self._words.unlink(missing_ok=True)
        environment = {"PATH": str(self._programs), "WORDS": str(self._words), "HOME": "/nonexistent"}
        # a shell's own kill would end processes, and others may be written to
        guarded = f"kill() {{ :; }}\n{command}"
        lost: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
        ended = subprocess.run(
            ["/bin/sh", "-c", guarded],
            env=environment,
            cwd=self._here,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=60,
            **lost,
        )
        errors = ended.stderr.decode(errors="replace")
        assert "yntax error" not in errors, (command, errors)
        assert "nterminated" not in errors, (command, errors)
        assert "not found" not in errors, (command, errors)
        left = {path.name for path in self._here.iterdir()} - {"words"}
        assert not left, (command, left)
        recorded = self._words.read_bytes().decode("utf-8", "surrogateescape") if self._words.exists() else ""
        return list(_calls(recorded.split("\0")[:-1]))


def _calls(words: list[str]) -> Iterator[list[str]]:
    while words:
        length = int(words[0]) + 2
        yield words[1:length]
        words = words[length:]


def strayed(call: list[str], planting: Planting) -> Iterator[str]:
    """Words in which what was planted did not arrive whole, or may be taken for an option."""
    program, *words = call
    for number, word in enumerate(words):
        before = words[number - 1] if number else ""
        if planting.form == DASH:
            bound = "--" in words[:number] or before.startswith("-") or program in _NO_OPTIONS_BEHIND
            if word.startswith(DASH) and not bound:
                yield word
        else:
            whole = f"{BEGIN}{planting.form}{END}"
            if program == "sed":
                whole, text = (re.sub(r"\\(.)", r"\1", t).replace("\n", "n") for t in (whole, word))
            else:
                text = _GO.sub(lambda found: chr(int(found[1], 16)), word)
            for found in re.finditer(BEGIN, text):
                rest = text[found.start() :]
                if not rest.startswith(whole) and not whole.startswith(rest):
                    yield word


_GO = re.compile(r"\\U([0-9a-f]{8})")  # in a template for docker
_NO_OPTIONS_BEHIND = ("ip", "nsenter")
"""`ip` takes options before its object only, `nsenter` before the command that it runs, which is looked at by itself."""
