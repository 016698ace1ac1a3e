"""What may stand in a snapshot for an address, a network, a moment, …: the records of `model` ask it for each of their texts.

Every function raises ValueError with a line that names field and value; what it lets through, `diagnosis` need not doubt.
"""

from __future__ import annotations

import socket
from functools import lru_cache

from dockernet_doctor.moments import moment
from dockernet_doctor.regex import regex

_MAC = regex(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*\Z")
_MOMENT = regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})\Z")
_HOST_PORT = regex(r"(?:([0-9]{1,5})(?:-([0-9]{1,5}))?)?\Z")
_FILE_NAME = regex(r"[A-Za-z0-9_][A-Za-z0-9_@+-]*(\.[A-Za-z0-9_@+-]+)*")
_FILE_OF_NFT = regex(r"/etc/(?:[A-Za-z0-9._-]+/)*[A-Za-z0-9._-]+\.(?:conf|nft)")
_RANGE = regex(r"[0-9]{1,5}(?:-[0-9]{1,5})?\Z")
_ON, _TEXT, _NUMBER, _SIZE = regex(r"\Z"), regex(r"[^\0\n]+\Z"), regex(r"-?[0-9]{1,20}\Z"), regex(r"-?[0-9]{1,20}[kmg]?\Z")
_NONE = regex(r"(?!)")
_NUMBERS = """
    stop-timeout health-retries cpu-shares cpu-period cpu-quota cpu-rt-period cpu-rt-runtime blkio-weight oom-score-adj
    pids-limit memory-swappiness
"""
_TEXTS = """
    volumes-from volume mount tmpfs volume-driver user workdir stop-signal restart log-driver log-opt cap-add cap-drop
    security-opt group-add ipc pid uts userns cgroupns cgroup-parent runtime sysctl storage-opt cpuset-cpus cpuset-mems ulimit
    device device-cgroup-rule gpus blkio-weight-device device-read-bps device-write-bps device-read-iops device-write-iops image
"""
_TIMES = "health-interval health-timeout health-start-period health-start-interval"
_RUN_OPTIONS = {
    **dict.fromkeys(["interactive", "tty", "rm", "privileged", "read-only", "oom-kill-disable", "no-healthcheck"], _ON),
    **dict.fromkeys(["label", "entrypoint", "command", "health-cmd", "annotation", "seccomp"], _NONE),
    **dict.fromkeys(["memory", "memory-swap", "memory-reservation", "shm-size"], _SIZE),
    **dict.fromkeys(_NUMBERS.split(), _NUMBER),
    **dict.fromkeys(_TEXTS.split(), _TEXT),
    **dict.fromkeys(_TIMES.split(), regex(r"[0-9]{1,20}(?:s|ns)\Z")),
    "cpus": regex(r"[0-9]{1,20}(?:\.[0-9]{1,9})?\Z"),
    "env": regex(r"[A-Za-z_][A-Za-z0-9_.-]*\Z"),
    "expose": regex(r"[0-9]{1,5}/[a-z]+\Z"),
    "init": regex(r"(?:false)?\Z"),
    "mac-address": _MAC,
}
_SHOWN = 60  # characters of a wrong value


def ensure_address(field: str, text: str | None, family: int | None = None, *, needed: bool = False) -> None:
    """An IP address without zone, of that family; nothing is asked of None and "" unless it is needed."""
    if (text or needed) and not _is_address(text, family):
        raise _wrong(field, text, f"IPv{family} address" if family else "IP address")


def ensure_prefix(field: str, address: str | None, prefix: int) -> None:
    """A prefix length that the address, which was looked at, can have."""
    if address and not 0 <= prefix <= (128 if ":" in address else 32):
        raise ValueError(f"{field}: {address} has no prefix length {prefix}")


def ensure_network(field: str, text: str | None, family: int | None = None, *, needed: bool = False) -> None:
    """`10.0.0.0/8`, `fd00::/64`, or one address, of that family; nothing is asked of None and "" unless it is needed."""
    if (text or needed) and not _is_network(text, family):
        raise _wrong(field, text, f"IPv{family} network" if family else "IP network")


def ensure_file_name(field: str, text: str) -> None:
    """A plain name of a file, which leads nowhere else; nothing is asked of ""."""
    if text and not _FILE_NAME.fullmatch(text):
        raise _wrong(field, text, "file name")


def ensure_file_of_nft(field: str, text: str) -> None:
    """A file below /etc that nftables.conf may include; nothing is asked of ""."""
    if text and not is_file_of_nft(text):
        raise _wrong(field, text, "file of nft rules")


def is_file_of_nft(path: str) -> bool:
    """True for one that a fix may change, too."""
    return _FILE_OF_NFT.fullmatch(path) is not None and ".." not in path.split("/")


def ensure_mac(field: str, text: str | None) -> None:
    """Octets of a hardware address; nothing is asked of None and ""."""
    if text and not _is_mac(text):
        raise _wrong(field, text, "MAC address")


def ensure_moment(field: str, text: str) -> None:
    """A moment of RFC 3339; nothing is asked of ""."""
    if text and not is_moment(text):
        raise _wrong(field, text, "moment of RFC 3339")


def ensure_host_port(field: str, text: str) -> None:
    """`""`, `8080` or `8000-8010`."""
    found = _HOST_PORT.match(text)
    if found is None or any(int(port) > 65535 for port in found.groups() if port):
        raise _wrong(field, text, "port or range of ports")


def ensure_range(field: str, text: str) -> None:
    """`53` or `53-60`."""
    if not _RANGE.match(text):
        raise _wrong(field, text, "number or range")


def ensure_run_option(name: str, value: str) -> None:
    """An option of `docker create` that is known here, and a value that it can have. `***` is one that was taken out."""
    shape = _RUN_OPTIONS.get(name)
    if shape is None:
        raise _wrong("options", name, "option of docker create")
    if value != "***" and not shape.match(value):
        raise _wrong(f"options: {name}", value, "value that it can have")


@lru_cache(maxsize=4096)
def is_moment(text: str) -> bool:
    """A date that exists, with a time and a zone, as the engine and its log write it."""
    if not _MOMENT.match(text):
        return False
    try:
        moment(text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=16384)
def _is_mac(text: str) -> bool:
    return _MAC.match(text) is not None


@lru_cache(maxsize=16384)
def _is_address(text: str | None, family: int | None) -> bool:
    found = _family(text or "")
    return found is not None and found == (family or found)


def _family(text: str) -> int | None:
    """4 or 6; None where the text is no address."""
    six = ":" in text
    try:
        socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, text)
    except (OSError, ValueError):
        return None
    return 6 if six else 4


@lru_cache(maxsize=4096)
def _is_network(text: str | None, family: int | None) -> bool:
    address, slash, length = (text or "").partition("/")
    found = _family(address)
    if found is None or found != (family or found):
        return False
    return not slash or (length.isascii() and length.isdecimal() and len(length) <= 3 and int(length) <= (32, 128)[found == 6])


def _wrong(field: str, text: str | None, kind: str) -> ValueError:
    text = text or ""
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return ValueError(f"{field}: {shown!r} is no {kind}")
