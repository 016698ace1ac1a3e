"""A ticket read for what it names: lines worth matching, hosts, ports, and the commands that test them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from dockernet_doctor.notation import UNSPECIFIED, at
from dockernet_doctor.regex import regex
from dockernet_doctor.shell import command

_MOST_LINES = 400  # different ones, the last of a long log
_LONGEST_LINE = 2000  # characters
_MOST_NAMES = 4

_NAME = r"[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]{0,100}[a-zA-Z0-9_])?"
_IPV6 = r"[0-9a-fA-F:]{2,39}"
_SOCKET = regex(rf"(?:(?P<name>{_NAME})|\[(?P<ipv6>{_IPV6})\])`?:`?(?P<port>\d{{1,5}})\b")
_WORDED = regex(
    rf"""\b(?:connect|connecting|connection) \s to \s (?:server \s )?(?:at \s )?"?(?P<name>{_NAME})"?
        (?:[ ]\([^)]{{0,60}}\))?,?(?: \s (?:on \s )?port \s (?P<port>\d{{1,5}}))?
    | \bhost \s "(?P<host>{_NAME})" .{{0,80}}? port \s (?P<its_port>\d{{1,5}})""",
    re.IGNORECASE | re.VERBOSE,
)
_UNRESOLVED = regex(
    rf"""(?:could \s not \s resolve \s (?:host|hostname)
    | (?:could \s not| can(?:not|'t)) \s resolve (?= \s ['"]?[\w-]{{1,63}}\.\w)
    | bad \s address| \b lookup| enotfound| eai_again| unknownhostexception| could \s not \s find \s host (?= \s)
    | could \s not \s translate \s host \s name| unable \s to \s resolve(?! \s docker \s endpoint)(?:\s host)?
    | name \s or \s service \s not \s known| temporary \s failure \s resolving| host \s not \s found \s in \s upstream
    | getaddrinfo(?=\())
    \W{{1,4}}(?P<name>{_NAME})""",
    re.IGNORECASE | re.VERBOSE,
)
_TAKEN = regex(r"address already in use|port is already allocated|only one usage of each socket", re.IGNORECASE)
_STAMP = regex(r"^\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d[\d.,Z+:-]*\]?\s*")  # of a log line
_NOT_HOSTS = frozenset(
    "http https tcp udp go py java js line error failed for on in the server host mysql redis database".split()  # noqa: SIM905
)
_SOURCE_FILE = regex(r"\.(?:go|py|js|ts|java|rb|php|rs|cc?|sh)$", re.IGNORECASE)

_OWN_WAY_OUT = regex(
    r"""error \s response \s from \s daemon:? .{0,80}? (?:get|head) \s "?https?://(?P<asked>[\w.:-]+)
    | (?:get|head|post) \s "?https://(?P<registry>[\w.:-]+)/(?:v[12]/|token\b)
    | (?:pulling|pull \s access|error \s pulling) .{0,500}? (?:client\.timeout|tls|x509|dial|lookup|proxyconnect)
    | failed \s to \s (?:resolve|fetch) \s .{0,120}? /v2/
    | unexpected \s status \s code \s https://(?P<refusing>[\w.:-]+)/v2/
    | lookup \s (?P<unresolved>(?:[\w-]+\.)*docker\.(?:io|com)) \b
    | \b toomanyrequests: | \b download \s failed, \s retrying
    | proxyconnect \s tcp""",
    re.IGNORECASE | re.VERBOSE,
)


class Place(NamedTuple):
    """What was dialled: a name or an address, and a port where one stands there."""

    host: str
    port: int | None


def lines(text: str) -> list[str]:
    """The different lines of a ticket, without the times that logs begin with; of many the last."""
    found = dict.fromkeys(_STAMP.sub("", line.strip()[:_LONGEST_LINE]).strip() for line in text.splitlines())
    return [line for line in found if line][-_MOST_LINES:]


def is_of_the_daemon(line: str) -> bool:
    """True for an error of the daemon's own way out, to a registry or a proxy: no container's network is part of it."""
    return _OWN_WAY_OUT.search(line) is not None


def registry_of(text: str) -> str:
    """The host that the daemon wanted something from, "REGISTRY" where the text does not say."""
    named = (next(filter(None, match.groups()), None) for match in _OWN_WAY_OUT.finditer(text))
    return next(filter(None, named), "REGISTRY")


def unresolved(line: str) -> str:
    """The name that the line says was not resolved, one with a domain before others; "" where it names none."""
    names = [match["name"] for match in _UNRESOLVED.finditer(line)]
    return max(names, key=lambda name: "." in name, default="")


def places(text: str) -> list[Place]:
    """The places that the text says were dialled or looked up, in its order, each once."""
    found: dict[Place, None] = {}
    for line in lines(text):
        for match in (*_SOCKET.finditer(line), *_WORDED.finditer(line), *_UNRESOLVED.finditer(line)):
            named = match.groupdict()
            host = named.get("name") or named.get("ipv6") or named.get("host") or ""
            port = int(named.get("port") or named.get("its_port") or 0)
            if not host or host.isdecimal() or host.lower() in _NOT_HOSTS or _SOURCE_FILE.search(host):
                continue
            if port < 65536:
                found.setdefault(Place(host, port or None))
    with_port = {place.host for place in found if place.port}
    return [place for place in found if place.port or place.host not in with_port][:_MOST_NAMES]


def commands(text: str) -> Iterator[str]:
    """Command lines that test what the ticket names; SRC stands for who dials, which a text seldom says."""
    taken = _TAKEN.search(text) is not None
    for host, port in places(text):
        if port and (taken or host in UNSPECIFIED):
            yield str(command("ss", "-ltnp", f"sport = :{port}"))
        elif host not in UNSPECIFIED:
            yield f"dockernet-doctor reach SRC {command(at(host, port) if port else host)}"
