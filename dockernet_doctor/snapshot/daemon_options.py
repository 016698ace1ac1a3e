"""The daemon's options: what its command line, daemon.json and service files say, and what the running process has.

An option goes by its name in daemon.json (`hosts` for -H, `insecure-registries` for --insecure-registry), its values
are text (`true`, `1400`, `base=10.0.0.0/8,size=24`). Flags and keys: `dockerd --help` of 20.10, 26.1 and 28.5 and their
refusals, tried. Pure: reads a `Daemon`, touches nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal

from dockernet_doctor.once import once_for_each
from dockernet_doctor.snapshot.daemon_json import DaemonJson, Key, parse_daemon_json
from dockernet_doctor.snapshot.model import Daemon, Record, TextFile
from dockernet_doctor.snapshot.systemd_unit import (
    Directive,
    Unit,
    assignments,
    environment_file,
    read_unit,
    split_command,
)

Kind = Literal["bool", "int", "string", "size", "list", "map", "object"]
COMMAND_LINE = "command line"

_KINDS: dict[Kind, str] = {
    "bool": "cri-containerd debug experimental icc init ip-forward ip-forward-no-drop ip-masq ip6tables iptables ipv6 "
    "live-restore no-new-privileges raw-logs rootless selinux-enabled tls tlsverify userland-proxy "
    "allow-direct-routing validate version help bridge-accept-fwmark disable-legacy-registry",
    "int": "cpu-rt-period cpu-rt-runtime max-concurrent-downloads max-concurrent-uploads max-download-attempts mtu "
    "network-control-plane-mtu oom-score-adjust shutdown-timeout network-diagnostic-port",
    "string": "api-cors-header bip bip6 bridge cgroup-parent cluster-advertise cluster-store config-file containerd "
    "containerd-namespace containerd-plugin-namespace containerd-plugins-namespace data-root default-cgroupns-mode "
    "default-gateway default-gateway-v6 default-ipc-mode default-runtime deprecated-key-path exec-root "
    "firewall-backend fixed-cidr fixed-cidr-v6 graph group host-gateway-ip http-proxy https-proxy no-proxy init-path "
    "ip log-driver log-format log-level metrics-addr min-api-version pidfile seccomp-profile storage-driver "
    "swarm-default-advertise-addr tlscacert tlscert tlskey userland-proxy-path userns-remap",
    "size": "default-shm-size",
    "list": "allow-nondistributable-artifacts authorization-plugins cdi-spec-dirs default-address-pools dns dns-opts "
    "dns-search exec-opts host-gateway-ips hosts insecure-registries labels node-generic-resources registry-mirrors "
    "storage-opts",
    "map": "cluster-store-opts log-opts proxies",
    "object": "builder default-network-opts default-ulimits features runtimes",
}
KINDS: dict[str, Kind] = {name: kind for kind, names in _KINDS.items() for name in names.split()}

# Flags whose name is not that of the key, and those that only flags have.
_FLAG_KEYS = {
    "add-runtime": "runtimes", "authorization-plugin": "authorization-plugins", "cdi-spec-dir": "cdi-spec-dirs",
    "cluster-store-opt": "cluster-store-opts", "default-address-pool": "default-address-pools",
    "default-network-opt": "default-network-opts", "default-ulimit": "default-ulimits", "dns-opt": "dns-opts",
    "exec-opt": "exec-opts", "feature": "features", "host": "hosts", "insecure-registry": "insecure-registries",
    "label": "labels", "log-opt": "log-opts", "node-generic-resource": "node-generic-resources",
    "registry-mirror": "registry-mirrors", "storage-opt": "storage-opts",
}  # fmt: skip
_KEY_FLAGS = {key: flag for flag, key in _FLAG_KEYS.items()}
_SHORT = {
    "b": "bridge", "D": "debug", "G": "group", "g": "graph", "H": "hosts", "l": "log-level", "p": "pidfile",
    "s": "storage-driver", "v": "version", "h": "help",
}  # fmt: skip
_ONLY_FLAGS = frozenset({"config-file", "validate", "version", "help", "cri-containerd"})

#: Options that left with the legacy overlay, in 23.0.
REMOVED_IN_23 = ("cluster-advertise", "cluster-store", "cluster-store-opts")
#: What dockerd reloads on SIGHUP, without a restart (`dockerd --help`, "Configuration reloading", 20.10 to 28).
RELOADED = frozenset((
    "debug", "cluster-store", "cluster-store-opts", "cluster-advertise", "labels", "live-restore",
    "max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts", "default-runtime",
    "runtimes", "authorization-plugins", "insecure-registries", "registry-mirrors",
    "allow-nondistributable-artifacts", "shutdown-timeout", "features",
))  # fmt: skip


class Setting(Record, frozen=True, kw_only=True):
    """An option as it is written in one place."""

    key: str
    values: tuple[str, ...]
    where: str  # "command line", or FILE:LINE

    @property
    def value(self) -> str:
        return self.values[-1] if self.values else ""


class FlagProblem(Record, frozen=True, kw_only=True):
    """A word of the command line that dockerd refuses."""

    word: str
    message: str
    nearest: str = ""  # the flag that was probably meant, "--cluster-advertise"
    apart: bool = False  # its value is the word after it


class CommandLine(Record, frozen=True, kw_only=True):
    settings: tuple[Setting, ...] = ()
    problems: tuple[FlagProblem, ...] = ()


class WrongType(Record, frozen=True, kw_only=True):
    """A value of daemon.json that dockerd cannot put where it belongs."""

    key: str
    line: int
    column: int
    expected: str  # "a list of strings"
    found: str
    corrected: Any = None  # the value as it was meant; None: no safe guess


class UnknownKey(Record, frozen=True, kw_only=True):
    key: str
    line: int
    column: int
    nearest: str = ""
    ignored: bool = False  # the name of a flag that is not the key's: accepted silently, without effect


class Written(Record, frozen=True, kw_only=True):
    """What the files of the daemon say, were it started now."""

    settings: tuple[Setting, ...] = ()
    unit: Unit = Unit()
    command: tuple[str, ...] = ()  # ExecStart with its variables filled in; () where no unit was found
    flags: CommandLine = CommandLine()
    json_path: str = ""
    json: DaemonJson | None = None  # None: there is no such file, or it could not be read

    def get(self, key: str) -> Setting | None:
        return next((s for s in self.settings if s.key == key), None)


class Difference(Record, frozen=True, kw_only=True):
    """An option that is written one way and in force another way."""

    key: str
    written: Setting | None
    running: Setting | None


def flag_name(key: str) -> str:
    """The flag of an option: "--host" for hosts."""
    return f"--{_KEY_FLAGS.get(key, key)}"


# --- the command line -----------------------------------------------------------------------------------------------


def parse_flags(arguments: Sequence[str], where: str = COMMAND_LINE) -> CommandLine:
    """dockerd's arguments, without the program's own name, as its flag library (pflag) reads them."""
    values: dict[str, list[str]] = {}
    problems: list[FlagProblem] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--":
            problems += [_positional(other) for other in rest]
            break
        if word.startswith("--"):
            _long(word, rest, values, problems)
        elif word.startswith("-") and len(word) > 1:
            _short(word, rest, values, problems)
        elif word.startswith(tuple(_DASHES)):
            apart = "=" not in word and _value_follows(rest)
            nearest = _nearest_flag(word.lstrip(_DASHES + "-").partition("=")[0])
            problems.append(FlagProblem(word=word, message=_positional(word).message, nearest=nearest, apart=apart))
        else:
            problems.append(_positional(word))
    settings = tuple(
        Setting(key=key, values=tuple(found if _repeats(key) else found[-1:]), where=where) for key, found in values.items()
    )
    return CommandLine(settings=settings, problems=tuple(problems))


_DASHES = "\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}"  # what a word processor makes of two hyphens


def _repeats(key: str) -> bool:
    return KINDS.get(key) in ("list", "map", "object")


def _positional(word: str) -> FlagProblem:
    return FlagProblem(word=word, message='"dockerd" accepts no arguments')


def _long(word: str, rest: list[str], values: dict[str, list[str]], problems: list[FlagProblem]) -> None:
    name, separator, value = word[2:].partition("=")
    key = _FLAG_KEYS.get(name, name)
    if key not in KINDS or name in _KEY_FLAGS:
        apart = not separator and _value_follows(rest)
        problems.append(FlagProblem(word=word, message=f"unknown flag: --{name}", nearest=_nearest_flag(name), apart=apart))
    elif separator:
        _add(key, value, word, values, problems)
    elif KINDS[key] == "bool":
        values.setdefault(key, []).append("true")
    elif rest:
        _add(key, rest.pop(0), word, values, problems)
    else:
        problems.append(FlagProblem(word=word, message=f"flag needs an argument: --{name}"))


def _short(word: str, rest: list[str], values: dict[str, list[str]], problems: list[FlagProblem]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        key = _SHORT.get(letter)
        if key is None:
            message = f"unknown shorthand flag: '{letter}' in {word}"
            nearest = _nearest_flag(word.lstrip("-").partition("=")[0])
            apart = "=" not in word and _value_follows(rest)
            problems.append(FlagProblem(word=word, message=message, nearest=nearest, apart=apart))
            return None
        if letters.startswith("="):
            return _add(key, letters[1:], word, values, problems)
        if KINDS[key] == "bool":
            values.setdefault(key, []).append("true")
        elif letters or rest:
            return _add(key, letters or rest.pop(0), word, values, problems)
        else:
            problems.append(FlagProblem(word=word, message=f"flag needs an argument: '{letter}' in {word}"))
    return None


def _value_follows(rest: list[str]) -> bool:
    """True if the next word is the value of an unknown flag; it is taken then. dockerd itself has no words of its own."""
    if not rest or rest[0].startswith("-"):
        return False
    rest.pop(0)
    return True


def _add(key: str, value: str, word: str, values: dict[str, list[str]], problems: list[FlagProblem]) -> None:
    kind = KINDS[key]
    if kind == "bool":
        # strconv.ParseBool
        if value not in ("1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"):
            problems.append(_invalid(key, value, word, "not a boolean"))
            return
        value = "true" if value[0] in "1tT" else "false"
    if kind == "int" and not re.fullmatch(r"[+-]?\d+", value):
        problems.append(_invalid(key, value, word, "not a number"))
        return
    several = key in ("dns", "dns-search") and "," in value
    values.setdefault(key, []).extend(value.split(",") if several else [value])


def _invalid(key: str, value: str, word: str, why: str) -> FlagProblem:
    message = f'invalid argument "{value}" for "{flag_name(key)}": {why}'
    return FlagProblem(word=word, message=message, apart=not word.endswith(value))


def _nearest_flag(name: str) -> str:
    flags = [_KEY_FLAGS.get(key, key) for key in KINDS]
    from difflib import get_close_matches

    found = get_close_matches(_FLAG_KEYS.get(name, name), [*flags, *KINDS], n=1, cutoff=0.75)
    return f"--{_KEY_FLAGS.get(found[0], found[0])}" if found else ""


# --- daemon.json ----------------------------------------------------------------------------------------------------


def json_settings(parsed: DaemonJson, path: str) -> tuple[Setting, ...]:
    """The options of a daemon.json; the last of equal keys holds; `null` is as if it were not there."""
    last = {key.name: key for key in parsed.keys if key.value is not None}
    return tuple(s for key in last.values() for s in _json_setting(key, path))


def _json_setting(key: Key, path: str) -> Iterator[Setting]:
    where = f"{path}:{key.line}"
    if key.name == "proxies" and isinstance(key.value, dict):
        for name, value in key.value.items():
            yield Setting(key=name, values=(_text(value),), where=where)
        return
    yield Setting(key=key.name, values=tuple(_texts(key.name, key.value)), where=where)


def _texts(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield ",".join(f"{k}={_text(v)}" for k, v in item.items()) if isinstance(item, dict) else _text(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, dict) and name == "default-network-opts":
                yield from (f"{key}={option}={_text(v)}" for option, v in item.items())
            else:
                yield f"{key}={_text(item)}"
    else:
        yield _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def unknown_keys(parsed: DaemonJson) -> tuple[UnknownKey, ...]:
    """Keys that no engine knows: dockerd ends with "the following directives don't match any configuration option". A flag's
    own name where the key has another (`host` for hosts) is accepted and ignored (tried on 20.10, 26.1 and 28.5)."""
    return tuple(
        UnknownKey(
            key=key.name,
            line=key.line,
            column=key.column,
            nearest=_nearest_key(key.name) if number < _NEAREST_AT_MOST else "",
            ignored=key.name in _FLAG_KEYS,
        )
        for number, key in enumerate(key for key in parsed.keys if key.name not in KINDS)
    )


_NEAREST_AT_MOST = 50
"""Keys for which the nearest is looked for, which takes a millisecond: with more of them it is no file of dockerd's."""


def _nearest_key(name: str) -> str:
    if name in _FLAG_KEYS:
        return _FLAG_KEYS[name]
    keys = [key for key in KINDS if key not in _ONLY_FLAGS]
    wanted = name.lstrip("-").replace("_", "-").lower()
    wanted = _FLAG_KEYS.get(wanted, wanted)
    from difflib import get_close_matches

    return next(iter(get_close_matches(wanted, keys, n=1, cutoff=0.75)), "")


_EXPECTED: dict[Kind, str] = {
    "bool": "true or false",
    "int": "a whole number",
    "string": "a string",
    "size": "a size",
    "list": "a list of strings",
    "map": "an object of strings",
    "object": "an object",
}


_EXPECTED_OF = {
    "default-address-pools": 'a list of {"base": CIDR, "size": number}',
    "features": "an object of true and false",
}
_PAIRS = frozenset({"labels", "exec-opts", "storage-opts", "node-generic-resources"})  # lists of NAME=VALUE


def wrong_types(parsed: DaemonJson) -> tuple[WrongType, ...]:
    """Values that dockerd refuses with "json: cannot unmarshal …"."""
    found = []
    for key in parsed.keys:
        kind = KINDS.get(key.name)
        if kind is None or key.value is None or _fits(kind, key.name, key.value):
            continue
        expected = _EXPECTED_OF.get(key.name, _EXPECTED[kind])
        corrected = _meant(kind, key.name, key.value)
        found.append(
            WrongType(
                key=key.name, line=key.line, column=key.column, expected=expected, found=_odd(kind, key.name, key.value),
                corrected=corrected if corrected is not None and _fits(kind, key.name, corrected) else None,
            )
        )  # fmt: skip
    return tuple(found)


def _fits(kind: Kind, name: str, value: Any) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "string":
        return isinstance(value, str)
    if kind == "size":
        return isinstance(value, str | int) and not isinstance(value, bool)
    if kind == "list":
        return isinstance(value, list) and all(_fits_in(kind, name, entry) for entry in value)
    return isinstance(value, dict) and all(_fits_in(kind, name, entry) for entry in value.values())


def _fits_in(kind: Kind, name: str, entry: Any) -> bool:
    """True if an entry of a list, or a value of an object, is of the type it has to be there."""
    if name == "default-address-pools" and isinstance(entry, dict):
        return all(_fits("int" if part == "size" else "string", "", value) for part, value in entry.items())
    if kind == "object":
        return name != "features" or isinstance(entry, bool)
    return name != "default-address-pools" and isinstance(entry, str)


def _meant(kind: Kind, name: str, value: Any) -> Any:
    if kind == "bool" and isinstance(value, str | int):
        return _BOOLEANS.get(str(value).lower())
    if kind == "int" and isinstance(value, str) and re.fullmatch(r"\d+", value.strip()):
        return int(value)
    if kind == "string" and isinstance(value, list) and len(value) == 1:
        return value[0]
    if kind == "string" and isinstance(value, int | float | bool):
        return _text(value)
    if name == "default-address-pools":
        return [_pool(entry) for entry in value] if isinstance(value, list) else [_pool(value)]
    if kind == "list" and name in _PAIRS and isinstance(value, dict):
        return [f"{key}={entry}" for key, entry in _texts_of(value.items())]
    if kind == "list":
        return [entry for _, entry in _texts_of(enumerate(value if isinstance(value, list) else [value]))]
    if kind == "map" and isinstance(value, list) and all(isinstance(entry, str) and "=" in entry for entry in value):
        return dict(entry.split("=", 1) for entry in value)
    if kind == "map" and isinstance(value, dict):
        return dict(_texts_of(value.items()))
    if name == "features" and isinstance(value, dict):
        return {key: _BOOLEANS.get(str(entry).lower()) for key, entry in value.items()}
    return None


def _texts_of(entries: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """Numbers and booleans as text; lists and objects stay, and do not fit."""
    for key, entry in entries:
        yield key, _text(entry) if isinstance(entry, int | float) else entry


def _pool(entry: Any) -> Any:
    size = _meant("int", "", entry.get("size")) if isinstance(entry, dict) else None
    return entry if size is None else entry | {"size": size}


_BOOLEANS = {
    "true": True, "yes": True, "1": True, "on": True, "false": False, "no": False, "0": False, "off": False,
}  # fmt: skip


def _odd(kind: Kind, name: str, value: Any) -> str:
    """What does not fit: the value, or the entry of it."""
    if isinstance(value, dict) and kind in ("map", "object"):
        return next(f"{key}: {_named(entry)}" for key, entry in value.items() if not _fits_in(kind, name, entry))
    if isinstance(value, list) and kind == "list":
        entry = next(entry for entry in value if not _fits_in(kind, name, entry))
        if isinstance(entry, dict) and name == "default-address-pools":
            return next(f"{k}: {_named(v)}" for k, v in entry.items() if not _fits("int" if k == "size" else "string", "", v))
        return f"the entry {json.dumps(entry)}"
    return _named(value)


def _named(value: Any) -> str:
    if isinstance(value, bool):
        return f"the boolean {_text(value)}"
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return f'the string "{value}"'
    return "a list" if isinstance(value, list) else "an object"


# --- what the files say, and what the process has -------------------------------------------------------------------


@once_for_each
def written(daemon: Daemon) -> Written:
    """The options the daemon would have, were it started from its files now."""
    unit = read_unit(daemon.files)
    command = _unit_command(unit, daemon.files)
    flags = parse_flags(command[1:], _unit_place(unit)) if command else CommandLine()
    path = config_path(flags.settings, daemon.files)
    file = _file(daemon.files, path)
    parsed = parse_daemon_json(file.text) if file and file.exists and file.readable else None
    from_json = json_settings(parsed, path) if parsed else ()
    merged = {s.key: s for s in (*from_json, *flags.settings)}
    return Written(settings=tuple(merged.values()), unit=unit, command=command, flags=flags, json_path=path, json=parsed)


@once_for_each
def running(daemon: Daemon) -> dict[str, Setting] | None:
    """The options of the running process, by key: its command line, and daemon.json where that is as it was at the
    start. None where no process could be read."""
    if daemon.pid is None or not daemon.arguments:
        return None
    flags = parse_flags(daemon.arguments[1:])
    path = config_path(flags.settings, daemon.files)
    file = _file(daemon.files, path)
    found: dict[str, Setting] = {}
    if file and file.exists and file.readable and not edited_since_start(daemon, file):
        found = {s.key: s for s in json_settings(parse_daemon_json(file.text), path)}
    return found | {s.key: s for s in flags.settings}


def edited_since_start(daemon: Daemon, file: TextFile) -> bool:
    """True if a file is younger than the process that read it. Both times are of one clock, UTC, RFC 3339."""
    return bool(daemon.started_at and file.modified_at and file.modified_at > daemon.started_at)


def differences(daemon: Daemon) -> tuple[Difference, ...]:
    """Options of the service's command line that the running process does not have, or has otherwise. A process that no
    unit of these files started (another program, by hand) is not compared."""
    now = written(daemon)
    if daemon.pid is None or not daemon.arguments or not now.command or now.unit.refused:
        return ()
    then = {s.key: s for s in parse_flags(daemon.arguments[1:]).settings}
    said = {s.key: s for s in now.flags.settings}
    return tuple(
        Difference(key=key, written=said.get(key), running=then.get(key))
        for key in sorted({*then, *said})
        if _values(said.get(key)) != _values(then.get(key))
    )


def _values(setting: Setting | None) -> frozenset[str] | None:
    return frozenset(setting.values) if setting else None


def given_twice(daemon: Daemon) -> tuple[tuple[Setting, Setting], ...]:
    """(flag, key of daemon.json) of options that stand in both: dockerd ends with "the following directives are
    specified both as a flag and in the configuration file".
    `runtimes` alone may stand in both."""
    now = written(daemon)
    if now.json is None:
        return ()
    in_file = {s.key: s for s in json_settings(now.json, now.json_path)}
    return tuple((flag, in_file[flag.key]) for flag in now.flags.settings if flag.key in in_file and flag.key != "runtimes")


def config_path(settings: Iterable[Setting], files: Iterable[TextFile] = ()) -> str:
    """The daemon.json that is read: --config-file, else the one among `files`, else the default."""
    for setting in settings:
        if setting.key == "config-file":
            return setting.value
    return next((file.path for file in files if file.kind == "daemon.json"), "/etc/docker/daemon.json")


def _unit_command(unit: Unit, files: Iterable[TextFile]) -> tuple[str, ...]:
    if not unit.commands:
        return ()
    words = split_command(unit.commands[-1].value, unit_environment(unit, files))
    # Another program in its place (dockerd-rootless.sh, a wrapper) hands its arguments on.
    return words if words and PurePosixPath(words[0]).name.startswith("docker") else ()


def unit_environment(unit: Unit, files: Iterable[TextFile]) -> dict[str, str]:
    """The variables of the service: Environment=, and over it EnvironmentFile= (systemd.exec)."""
    found: dict[str, str] = {}
    for directive in unit.environment:
        found |= assignments(directive.value)
    for directive in unit.environment_files:
        if file := _file(files, directive.value.removeprefix("-")):
            found |= environment_file(file.text)
    return found


def variables_of(file: TextFile) -> dict[str, str]:
    """The variables that a defaults file sets, whether a unit reads it or not."""
    return environment_file(file.text)


def _unit_place(unit: Unit) -> str:
    command: Directive = unit.commands[-1]
    return f"{command.file}:{command.line}"


def _file(files: Iterable[TextFile], path: str) -> TextFile | None:
    return next((file for file in files if file.path == path), None)
