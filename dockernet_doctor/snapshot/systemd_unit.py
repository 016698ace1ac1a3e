"""A service's unit file and drop-ins, read as systemd reads them (systemd.syntax, systemd.unit, systemd.exec, 252).

Which unit file and which drop-ins count is decided by directory and name; a list such as ExecStart= grows with every
line until an empty assignment clears it; and an ExecStart= is split into words and has its variables filled in last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from dockernet_doctor.snapshot.model import Record, TextFile

# systemd.unit(5), table 1: the first directory that has a file of a name hides that name in the others.
DIRECTORIES = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)


class Directive(Record, frozen=True, kw_only=True):
    """`Name=value` of a unit file, continuation lines joined."""

    section: str
    name: str
    value: str
    file: str
    line: int  # where it begins, from 1


class Unit(Record, frozen=True, kw_only=True):
    """What systemd makes of a service's files."""

    fragment: str = ""  # the unit file that counts
    drop_ins: tuple[str, ...] = ()  # those that count, in the order they are read
    commands: tuple[Directive, ...] = ()  # the ExecStart= that are left after the resets
    environment: tuple[Directive, ...] = ()
    environment_files: tuple[Directive, ...] = ()
    service_type: str = "simple"
    ignored: tuple[Directive, ...] = ()  # what would bear on the service, in a section or spelling that systemd passes over

    @property
    def refused(self) -> bool:
        """More than one ExecStart= and not oneshot: systemd refuses the unit ("bad-setting")."""
        return len(self.commands) > 1 and self.service_type != "oneshot"


def read_unit(files: Iterable[TextFile]) -> Unit:
    """docker.service out of all files that may belong to it; files of other units and kinds are passed over."""
    here = [file for file in files if file.exists and file.readable and PurePosixPath(file.path).is_absolute()]
    fragments = [file for file in here if file.kind == "unit" and _directory(file.path) is not None]
    named = [file for file in fragments if PurePosixPath(file.path).name == "docker.service"]
    fragment = min(named, key=lambda file: _rank(file.path), default=None)
    drop_ins = _drop_ins(here)
    directives = [d for file in (*([fragment] if fragment else []), *drop_ins) for d in directives_of(file)]
    service = [d for d in directives if d.section == "Service"]
    types = [d.value for d in service if d.name == "Type" and d.value]
    return Unit(
        fragment=fragment.path if fragment else "",
        drop_ins=tuple(file.path for file in drop_ins),
        commands=_list_of(service, "ExecStart"),
        environment=_list_of(service, "Environment"),
        environment_files=_list_of(service, "EnvironmentFile"),
        service_type=types[-1] if types else "simple",
        ignored=tuple(d for d in directives if (right := _OF_SERVICE.get(d.name.lower())) and not _counts(d, right)),
    )


_OF_SERVICE = {name.lower(): name for name in ("ExecStart", "Environment", "EnvironmentFile")}


def _counts(directive: Directive, name: str) -> bool:
    # sections that begin with X- are for others' notes (systemd.unit)
    return (directive.section == "Service" and directive.name == name) or directive.section.startswith("X-")


def directives_of(file: TextFile) -> Iterator[Directive]:
    """The assignments of one file, in order."""
    section = ""
    for line, text in _logical_lines(file.text):
        if header := re.fullmatch(r"\[([^\]]+)\]", text):
            section = header[1]
        elif "=" in text:
            name, _, value = text.partition("=")
            yield Directive(section=section, name=name.strip(), value=value.strip(), file=file.path, line=line)


def split_command(value: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The words of an ExecStart= value, variables filled in: `$X` alone is split at white space, `${X}` never is."""
    words: list[str] = []
    for word, quoted in _words(value):
        alone = re.fullmatch(r"\$(\w+)", word)
        if alone and not quoted:
            words += [part for part, _ in _words(environment.get(alone[1], ""))]  # quotes hold there too
            continue
        filled = re.sub(r"\$\$|\$\{(\w+)\}", lambda m: environment.get(m[1], "") if m[1] else "$", word)
        words.append(filled.replace("%%", "%"))
    if words:
        words[0] = words[0].lstrip("@-:+!|")
    return tuple(words)


def assignments(value: str) -> dict[str, str]:
    """The variables of an Environment= value: `A=1 "B=two words"`."""
    return dict(word.split("=", 1) for word, _ in _words(value) if "=" in word)


def environment_file(text: str) -> dict[str, str]:
    """The variables of an EnvironmentFile=: quotes as in a shell, no expansion, # and ; begin comments."""
    found = {}
    for _, line in _logical_lines(text):
        name, separator, value = line.partition("=")
        if separator and re.fullmatch(r"\w+", name.strip()):
            found[name.strip()] = _shell_value(value.strip())
    return found


def _directory(path: str) -> str | None:
    parent = str(PurePosixPath(path).parent)
    return parent if parent in DIRECTORIES or parent.startswith("/") else None


def _rank(path: str) -> int:
    parent = str(PurePosixPath(path).parent)
    parent = parent if parent in DIRECTORIES else str(PurePosixPath(parent).parent)
    return DIRECTORIES.index(parent) if parent in DIRECTORIES else len(DIRECTORIES)


def _drop_ins(files: list[TextFile]) -> list[TextFile]:
    """Drop-ins by file name over all directories; a name that stands in several counts where it stands first."""
    folders = ("docker.service.d", "service.d")
    mine = [
        file
        for file in files
        if file.kind == "drop-in" and file.path.endswith(".conf") and PurePosixPath(file.path).parent.name in folders
    ]
    by_name: dict[str, TextFile] = {}
    for file in sorted(mine, key=lambda f: (folders.index(PurePosixPath(f.path).parent.name), _rank(f.path))):
        by_name.setdefault(PurePosixPath(file.path).name, file)
    return [by_name[key] for key in sorted(by_name)]


def _list_of(directives: list[Directive], name: str) -> tuple[Directive, ...]:
    kept: list[Directive] = []
    for directive in directives:
        if directive.name == name:
            kept = [*kept, directive] if directive.value else []
    return tuple(kept)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, text) of each line once continuations are joined; comments inside are left out."""
    held, start = "", 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.rstrip("\r")
        if line.lstrip()[:1] in ("#", ";"):
            continue
        if not held and not line.strip():
            continue
        start = start if held else number
        if line.endswith("\\"):
            held += line[:-1] + " "
            continue
        yield start, (held + line).strip()
        held = ""
    if held.strip():
        yield start, held.strip()


_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}


def _words(value: str) -> Iterator[tuple[str, bool]]:
    """(word, whether any of it was quoted). A quote only opens at the beginning of a word or after `=`."""
    word, quote, started, quoted = "", "", False, False
    characters = iter(value)
    for character in characters:
        if character == "\\" and quote != "'":
            following = next(characters, "\\")
            word, started = word + _ESCAPES.get(following, following), True
        elif quote:
            word, quote = (word, "") if character == quote else (word + character, quote)
        elif character in "\"'":
            quote, started, quoted = character, True, True
        elif character in " \t":
            if started:
                yield word, quoted
            word, started, quoted = "", False, False
        else:
            word, started = word + character, True
    if started:
        yield word, quoted


def _shell_value(value: str) -> str:
    return "".join(word if quoted else f"{word}" for word, quoted in _joined(value))


def _joined(value: str) -> Iterator[tuple[str, bool]]:
    if value[:1] in ("'", '"'):
        yield next(_words(value), ("", True))
    else:
        yield re.sub(r"\\(.)", r"\1", value), False
