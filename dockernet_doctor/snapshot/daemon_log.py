"""The end of the daemon's log: the lines that bear on networking, and why it did not start.

Sources, first that has anything wins: journald (`journalctl -u docker`), then the log files of other init systems. Read
from the end and bounded; secrets are removed before a line is kept.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import msgspec

from dockernet_doctor.decoding import as_text
from dockernet_doctor.moments import moment, of_clock
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import BY_ROOT, BlindSpot, LogLine
from dockernet_doctor.snapshot.programs import ProgramError, find_program, run
from dockernet_doctor.snapshot.secrets import scrub
from dockernet_doctor.snapshot.values import is_moment

LOG_FILES = (
    "/var/log/docker.log",
    "/var/log/upstart/docker.log",
    "/var/log/docker",
    "/var/log/dockerd.log",
    "/var/log/docker/docker.log",
    "/var/log/docker/current",
    "/var/log/daemon.log",
    "/var/log/syslog",
    "/var/log/messages",
)
_MOST_BYTES = 256 * 1024
_MOST_LINES = 400  # read
_KEPT = 120  # lines in the snapshot, after repeated ones were folded
_LONGEST = 1000  # characters of a line
_JOURNAL_SECONDS = 2.0
_JOURNAL_LIMIT = 8 << 20  # bytes


def read_log(
    deadline: float, started_at: str = "", files: Sequence[str] = LOG_FILES
) -> tuple[tuple[LogLine, ...], str, list[BlindSpot]]:
    """(lines, where they come from, blind spots); `deadline` is of time.monotonic(), `started_at` of a running daemon."""
    blind: list[BlindSpot] = []
    lines, problem = _journal(deadline)
    if lines:
        return keep(lines, started_at), "journalctl -u docker", blind
    for name in files:
        path = Path(name)
        try:
            if not path.is_file():
                continue
            raw = _tail(path)
        except OSError as error:
            problem = f"{name}: {error.strerror or error}"
            continue
        found = list(_of_daemon(name, raw.splitlines()[-_MOST_LINES * 4 :]))[-_MOST_LINES:]
        if found:
            return keep((parse_line(line) for line in found), started_at), name, blind
    if problem:
        remedy = BY_ROOT if os.geteuid() != 0 else ""
        blind.append(BlindSpot(area="log", what="the daemon's log", why=problem, remedy=remedy))
    return (), "", blind


def parse_line(line: str) -> LogLine:
    """One line in any of dockerd's forms: logrus text, JSON (`--log-format json`), or plain. Secrets are still in it."""
    line = _without_prefix(line.rstrip("\r\n"))
    if line.startswith("{"):
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            value = msgspec.json.decode(line)
            if isinstance(value, dict) and "msg" in value:
                return _line(str(value["msg"]), str(value.get("time", "")), str(value.get("level", "")), value)
    fields = _logrus(line)
    if "msg" in fields:
        return _line(fields["msg"], fields.get("time", ""), fields.get("level", ""), fields)
    return LogLine(text=line[:_LONGEST], level="fatal" if _FATAL.match(line) else "")


def keep(lines: Iterable[LogLine], started_at: str = "") -> tuple[LogLine, ...]:
    """What is worth keeping, secrets removed: of the last start and the failed one before it; networking, warnings,
    errors; repeated ones folded. Of a daemon that runs (`started_at`, RFC 3339), nothing from before it does."""
    last = _with_last_words(_since_last_start([line for line in lines if line.text.strip()], started_at))
    folded: dict[tuple[str, str], LogLine] = {}
    for line in last:
        if not _bears(line):
            continue
        key = (line.level, _VARYING.sub("#", line.text))
        before = folded.pop(key, None)
        count = line.repeated + (before.repeated if before else 0)
        folded[key] = LogLine(text=line.text, time=line.time, level=line.level, repeated=count)
    # cleaning costs more than all the rest: only what stays
    kept = list(folded.values())[-_KEPT:]
    return tuple(LogLine(text=_clean(k.text), time=k.time, level=k.level, repeated=k.repeated) for k in kept)


# What differs between two sayings of one thing: ids, ephemeral ports, durations. Names and addresses stay.
_VARYING = regex(r"\b[0-9a-f]{12,64}\b|(?<=:)[3-6]\d{4}\b|\b\d+(?:\.\d+)?(?:ns|µs|ms|s)\b")
_FATAL = regex(
    r"(?:Error starting daemon|failed to start (?:daemon|containerd)|unable to configure the Docker daemon|Status: |"
    r"unknown (?:shorthand )?flag|panic:|fatal error:|invalid argument |pid file found|failed to load listeners|"
    r"process with PID|can't create unix socket|\"?dockerd\"? accepts no arguments|.*needs an argument|"
    r"(?:docker\.service: )?(?:Failed|Unable) to (?:locate executable|execute|load environment files)|"
    r"docker\.service: Failed at step)"
)
# Parts of words, in lower case: searching for each is fifty times as fast as one expression that ignores case.
_NETWORKING = (
    "network", "overlay", "cluster", "discovery", "serf", "gossip", "memberlist", "swarm", "raft", "vxlan", "bridge",
    "iptables", "nftables", "firewall", "resolver", "nameserver", "proxy", "endpoint", "sandbox", "veth", "gateway", "subnet",
    "address", "forward", "libkv", "etcd", "consul", "zookeeper", "pid file", "listen", "reload", "conntrack", "route",
    "interface", "neighbor", "api",
)  # fmt: skip
_NETWORKING_WORDS = regex(r"\b(?:dns|port|store|peer)\b")
_BOOKKEEPING = regex(
    r"(?:loading plugin|could not change group|skip loading plugin|Loading containers|ccResolverWrapper|ClientConn|"
    r"parsed scheme|scheme \"|starting signal loop|shim disconnected|cleaning up|metadata content store|serving\.\.\.|\[core\]|"
    r"containerd config version|failed to load plugin io\.containerd|could not use snapshotter|Your kernel does not support "
    r"cgroup|\[graphdriver\]|Docker daemon |Not using native diff|failed to load cni|runtime v\d|skip loading|"
    r"error reading the kernel parameter|enabling default vlan|reexec to set bridge default|cleanup warnings|cleanup: )"
)
# The life of a daemon: without these a check cannot tell an old failure from the last one.
_LIFE = regex(r"(?:Starting up$|Daemon has completed init|Processing signal|Daemon shutdown complete|API listen on)")


def _bears(line: LogLine) -> bool:
    if _LIFE.match(line.text) or line.level in ("fatal", "panic"):
        return True
    # Lines without a level that are set in: the flags that dockerd prints after an unknown one.
    if _BOOKKEEPING.match(line.text) or (not line.level and line.text[0].isspace()):
        return False
    return line.level in ("warning", "error") or _of_networking(line.text.lower())


def _of_networking(text: str) -> bool:
    return any(map(text.__contains__, _NETWORKING)) or bool(_NETWORKING_WORDS.search(text))


def _since_last_start(lines: list[LogLine], started_at: str) -> list[LogLine]:
    """From the last start on; where the lines before it end in a failure, that failure too."""
    starts = [index for index, line in enumerate(lines) if line.text.startswith("Starting up")]
    if not starts:  # said at the level info only
        return [line for line in lines if not _is_before(line.time, started_at)]
    last = starts[-1]
    # systemd starts a failing daemon several times within seconds: the last complete failure is what is wanted.
    failed = [line for line in lines[:last] if line.level == "fatal" or _FATAL.match(line.text)]
    return [*failed[-1:], *lines[last:]]


# Lines without a level that are not why dockerd ended: systemd's, Go's own, and the help after a wrong flag.
_OTHERS = regex(
    r"(?:\s|[\w@-]+\.(?:service|socket): |(?:Start|Stopp|Reload)(?:ed|ing) |Failed to start |Dependency failed|\d{4}/|"
    r"See '|Run '|Usage: )"
)


def _with_last_words(lines: list[LogLine]) -> list[LogLine]:
    """Why a daemon ended before it logged anything, it prints plainly: the first such line behind all others is fatal."""
    end = next((number for number in range(len(lines), 0, -1) if lines[number - 1].level), 0)
    if end and lines[end - 1].level in ("fatal", "panic"):
        return lines
    for number in range(end, len(lines)):
        line = lines[number]
        if not _OTHERS.match(line.text):
            return [*lines[:number], LogLine(text=line.text, time=line.time, level="fatal"), *lines[number + 1 :]]
    return lines


def _is_before(logged_at: str, started_at: str) -> bool:
    try:
        # The kernel's age of a process and the clock of the log may differ a little.
        return moment(logged_at) < moment(started_at) - timedelta(seconds=2)
    except (ValueError, TypeError):  # none, or without a time zone
        return False


def _journal(deadline: float) -> tuple[list[LogLine], str]:
    program = find_program("journalctl")
    seconds = min(_JOURNAL_SECONDS, deadline - time.monotonic())
    if not program or seconds <= 0:
        return [], ""
    command = [program, "-u", "docker", "-o", "json", "-n", str(_MOST_LINES), "--no-pager", "--quiet"]
    try:
        printed = run(command, time.monotonic() + seconds, limit=_JOURNAL_LIMIT)
    except ProgramError as error:
        return [], f"journalctl: {error}"
    lines = list(parse_journal(as_text(printed.output)))
    if lines or printed.status == 0:
        return lines, ""
    return [], f"journalctl: {scrub(printed.complaints[-1][-200:])}"


def parse_journal(text: str) -> Iterator[LogLine]:
    """Lines of `journalctl -o json`: dockerd's own, and systemd's about the unit."""
    for raw in text.split("\n"):
        try:
            entry = msgspec.json.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            continue
        if not isinstance(entry, dict) or "CONTAINER_ID" in entry:
            continue  # the log driver journald writes what containers say to the same unit
        message = entry.get("MESSAGE")
        if isinstance(message, list):  # bytes that are not UTF-8
            with contextlib.suppress(ValueError, TypeError):
                message = as_text(bytes(message))
        if not isinstance(message, str) or not message.strip():
            continue
        line = parse_line(message)
        if not line.time:
            line = LogLine(text=line.text, time=_journal_time(entry), level=line.level)
        yield line


def _journal_time(entry: dict[str, object]) -> str:
    try:
        return of_clock(int(str(entry.get("__REALTIME_TIMESTAMP", ""))) / 1e6)
    except (ValueError, OverflowError, OSError):
        return ""


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _MOST_BYTES)
        file.seek(start)
        data = file.read(_MOST_BYTES)
    # a line whose beginning was cut off says nothing
    return as_text(data.split(b"\n", 1)[-1] if start else data)


def _of_daemon(name: str, lines: list[str]) -> Iterator[str]:
    """A system's common log holds others' lines too."""
    if name not in ("/var/log/daemon.log", "/var/log/syslog", "/var/log/messages"):
        yield from lines
        return
    for line in lines:
        if re.search(r"\b(?:dockerd|docker)(?:\[\d+\])?: ", line):
            yield line


_SYSLOG = regex(r"(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8}|\d{4}-\d\d-\d\dT\S+) \S+ (?:dockerd|docker)(?:\[\d+\])?: ")


def _without_prefix(line: str) -> str:
    prefix = _SYSLOG.match(line)
    return line[prefix.end() :] if prefix else line


def _logrus(line: str) -> dict[str, str]:
    """The `key=value` pairs of logrus' text form; values are quoted as Go's %q does."""
    if not line.startswith(("time=", "level=", "msg=")):
        return {}
    return {key: _unquoted(value) if value.startswith('"') else value for key, value in _PAIR.findall(line)}


_PAIR = regex(r'([\w.-]+)=("[^"\\]*(?:\\.[^"\\]*)*"|\S*)')


def _unquoted(value: str) -> str:
    if "\\" in value:
        with contextlib.suppress(msgspec.DecodeError):
            return msgspec.json.decode(value, type=str)
    return value[1:-1].replace('\\"', '"')


# Swarm's gossip keys, as bytes, in the line that says how memberlist was set up.
_KEYS = regex(r"Keys?:\s*\[+[\d\s\]\[,]*(?:\]+|\Z)")


def _clean(text: str) -> str:
    return scrub(_KEYS.sub("Keys:***", text), ids=True)


def _line(message: str, moment: str, level: str, fields: dict[str, str]) -> LogLine:
    error = fields.get("error")
    if message == "Initializing Libnetwork Agent":  # by which addresses Swarm's networks go; engines before 28 say it here
        message += "".join(f" {key}={value}" for key, value in fields.items() if key.endswith("-addr"))
    text = message.strip() if not error or str(error) in message else f"{message.strip()}: {error}"
    return LogLine(text=text[:_LONGEST], time=moment if is_moment(moment) else "", level=level)
