"""The daemon's configuration files, from every place they can be, secrets removed.

daemon.json (or --config-file), the service and socket units with their drop-ins, and the files from which units or init
scripts take variables. A file that is there and cannot be read is a blind spot; one that is not there says nothing,
except daemon.json, which is named all the same.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from dockernet_doctor.decoding import as_text, with_whole_pairs
from dockernet_doctor.moments import of_clock
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot import trusted
from dockernet_doctor.snapshot.daemon_options import config_path, parse_flags
from dockernet_doctor.snapshot.model import BY_ROOT, BlindSpot, TextFile
from dockernet_doctor.snapshot.secrets import MASK, scrub
from dockernet_doctor.snapshot.systemd_unit import DIRECTORIES, read_unit, split_command

DAEMON_JSON = "/etc/docker/daemon.json"
OPENRC = "/etc/conf.d/docker"
DEFAULTS = (
    "/etc/default/docker",
    OPENRC,
    "/etc/sysconfig/docker",
    "/etc/sysconfig/docker-network",
    "/etc/sysconfig/docker-storage",
)
_UNITS = ("docker.service", "docker.socket")
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")  # engines from 23 read such a daemon.json
_MOST_BYTES = 256 * 1024
_MOST_DROP_INS = 50


def read_files(
    arguments: Iterable[str] = (), home: Path | None = None, uid: int = 0
) -> tuple[tuple[TextFile, ...], list[BlindSpot]]:
    """All files that bear on the daemon; `arguments` are those of the running process, which may name another
    daemon.json; it is read with no more rights than those of the user `uid`, who started it. `home`: of the user whose
    rootless daemon it is; the system's units and files are not its own."""
    blind: list[BlindSpot] = []
    if home is not None:
        path = str(home / ".config/docker/daemon.json")
        named = config_path(parse_flags(tuple(arguments)[1:]).settings)
        path = path if named == DAEMON_JSON else named
        return (_daemon_json(path, blind, uid),), blind
    files = list(_unit_files(blind))
    unit = read_unit(files)
    for directive in unit.environment_files:
        files += _read_all([directive.value.removeprefix("-")], "environment", blind)
    known = {file.path for file in files}
    files += _read_all([path for path in DEFAULTS if path not in known], "defaults", blind)
    running = parse_flags(tuple(arguments)[1:]).settings
    planned = parse_flags(split_command(unit.commands[-1].value, {})[1:]).settings if unit.commands else ()
    paths = {config_path(planned): 0, config_path(running): uid}
    files += [_daemon_json(path, blind, rights) for path, rights in paths.items() if path.startswith("/")]
    return tuple(files), blind


def _daemon_json(path: str, blind: list[BlindSpot], uid: int) -> TextFile:
    return _read(path, "daemon.json", blind, uid) or TextFile(path=path, kind="daemon.json", exists=False)


def _unit_files(blind: list[BlindSpot]) -> Iterator[TextFile]:
    seen: set[tuple[int, int]] = set()  # /lib is a link to /usr/lib on most systems
    for directory in DIRECTORIES:
        for name in _UNITS:
            path = Path(directory, name)
            if _first(path, seen) and (found := _read(str(path), "socket" if name.endswith("socket") else "unit", blind)):
                yield found
        for folder in (f"{directory}/docker.service.d", f"{directory}/service.d"):
            for drop_in in _listed(Path(folder), blind):
                if _first(drop_in, seen) and (found := _read(str(drop_in), "drop-in", blind)):
                    yield found


def _first(path: Path, seen: set[tuple[int, int]]) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    key = (status.st_dev, status.st_ino)
    if key in seen:
        return False
    seen.add(key)
    return True


def _listed(folder: Path, blind: list[BlindSpot]) -> list[Path]:
    try:
        # one without a suffix was meant as a drop-in, and systemd passes it over
        found = [path for path in folder.iterdir() if path.suffix in (".conf", "")] if folder.is_dir() else []
        return sorted(found)[:_MOST_DROP_INS]
    except OSError as error:
        blind.append(_unreadable(str(folder), error))
        return []


def _read_all(paths: Iterable[str], kind: str, blind: list[BlindSpot]) -> list[TextFile]:
    return [found for path in paths if Path(path).is_absolute() and (found := _read(path, kind, blind))]


def _read(path: str, kind: str, blind: list[BlindSpot], uid: int = 0) -> TextFile | None:
    """The file; None where there is none. A link to /dev/null (a masked unit) is an empty file."""
    try:
        data, changed_at = trusted.read(path, _MOST_BYTES, uid)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        blind.append(_unreadable(path, error))
        return TextFile(path=as_text(path), kind=kind, readable=False)  # type: ignore[arg-type]
    return TextFile(
        path=as_text(path),
        kind=kind,  # type: ignore[arg-type]
        text=without_secrets(data.decode("utf-16" if data[:2] in _UTF_16_MARKS else "utf-8", "replace"), kind),
        final_newline=not data or data.endswith(b"\n"),
        modified_at=of_clock(changed_at),
    )


# Of the options of log drivers, those that say where and how much; the values of others may be anything.
_PLAIN_LOG_OPTION = regex(
    r"(?:max-|.*-?(?:address|url|size|file|mode|format|region|compress|facility))|.*env|.*labels|tag|mode", re.IGNORECASE
)
_SECRET_OPTION = regex(r"pass|secret|token|api_?-?key|gcp-|credential", re.IGNORECASE)
_LOG_OPTION = regex(r"(--log-opts?[= ]+[\"']?)([\w.-]+)=(\"(?:[^\"\\\n]|\\.)*\"|[^\s\"',]+)")
_JSON_STRING = regex(r'"((?:[^"\\\n]|\\.)*)("?)(?=(\s*:)?)')
# Variables that bear on the daemon, and words of them. What a unit's command may take from one begins with an option.
_OF_THE_DAEMON = regex(
    r"(?i)_?proxy$|^docker|opt|args|flags|debug|^path$|^lang|^home$|^tz$|network|storage|listen|host|bridge|mtu|bip"
)


def without_secrets(text: str, kind: str = "") -> str:
    """A configuration text without the userinfo of URLs and the values of secret options; lines stay lines.

    `kind` is that of a `TextFile`. Of variables only those keep a value that may bear on the daemon, and of the options of log
    drivers only those that say where they write to.
    """
    if kind == "daemon.json":
        return _json_without_secrets(text)
    if kind in ("unit", "drop-in", "socket", "environment", "defaults"):
        text = "\n".join(_variables(line, kind) for line in text.split("\n"))
    text = _LOG_OPTION.sub(lambda m: m[0] if _PLAIN_LOG_OPTION.fullmatch(m[2]) else f"{m[1]}{m[2]}={MASK}", text)
    return "\n".join(scrub(line) for line in text.split("\n"))


def _variables(line: str, kind: str) -> str:
    """A line that assigns variables, with only those values that the daemon may need."""
    if kind in ("environment", "defaults"):
        match = _SHELL_ASSIGNMENT.match(line)
        return f"{match[1]}{_variable_value(match[2], match[3])}" if match else line
    match = _UNIT_ASSIGNMENT.match(line)
    return match[1] + _WORDS.sub(_word, match[2]) if match else line


_SHELL_ASSIGNMENT = regex(r"(\s*(?:export\s+)?(\w+)=)(.*)$")
_UNIT_ASSIGNMENT = regex(r"(\s*Environment\s*=\s*)(.*)$")
_WORDS = regex(r'"(?:[^"\\]|\\.)*"?|\'(?:[^\'\\]|\\.)*\'?|[^\s\"\']+')


def _word(match: re.Match[str]) -> str:
    word = match[0]
    quote = word[0] if word[0] in "\"'" else ""
    inner = word[1:-1] if quote and len(word) > 1 and word.endswith(quote) else word[len(quote) :]
    name, assigned, value = inner.partition("=")
    end = word[len(quote) + len(inner) :]
    return f"{quote}{name}={_variable_value(name, value)}{end}" if assigned else word


def _variable_value(name: str, value: str) -> str:
    bare = value.lstrip("\"' ")
    if _OF_THE_DAEMON.search(name) or bare.startswith(("-", "$")) or not bare.strip("\"' "):
        return value
    return f'"{MASK}"' if value[0] == '"' else MASK


def _json_without_secrets(text: str) -> str:
    """daemon.json, string by string, since it need not be valid."""
    parts, at, key, in_log_options = list[str](), 0, "", False
    for match in _JSON_STRING.finditer(text):
        between, word = text[at : match.start()], match[1]
        parts.append(between)
        if "}" in between:
            in_log_options = False
        at = match.end()
        if not match[2]:  # it does not end
            parts.append(f'"{scrub(word)}')
        elif match[3] is not None:
            key, in_log_options = word, in_log_options or word == "log-opts"
            parts.append(match[0])
        elif _SECRET_OPTION.search(key) or (in_log_options and not _PLAIN_LOG_OPTION.fullmatch(key)):
            parts.append(f'"{MASK}"' if word else match[0])
        else:
            parts.append(f'"{_scrubbed_json(word)}"')
    parts.append(scrub(text[at:]))
    return "".join(parts)


def _scrubbed_json(word: str) -> str:
    try:
        plain = json.loads(with_whole_pairs(f'"{word}"'), strict=False)
    except ValueError:
        return MASK
    kept = scrub(plain)
    return word if kept == plain else json.dumps(kept, ensure_ascii=False)[1:-1]


def _unreadable(path: str, error: OSError) -> BlindSpot:
    return BlindSpot(
        area="daemon.files",
        what=as_text(path),
        why=error.strerror or str(error),
        remedy=BY_ROOT if os.geteuid() != 0 else "",
    )
