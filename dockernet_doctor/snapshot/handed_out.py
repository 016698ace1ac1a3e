"""What a service tells its clients to dial next, as its settings say: Kafka's advertised listeners, what Redis announces, the
members of a MongoDB replica set, Elasticsearch's publish host, FTP's passive address, advertise URLs.

`references` leaves these out: the service itself dials none of them. Sources: the manuals of these services and images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockernet_doctor.notation import UNSPECIFIED
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import HandedOut
from dockernet_doctor.snapshot.references import parsed_host, parsed_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: Without one of these, in lower case, no setting is one of ours; most containers have none.
_HINTS = (
    "advertise",
    "announce",
    "publish_host",
    "publish__host",
    "publishhost",
    "pasv",
    "publichost",
    "broadcast",
    "rs.initiate",
)
# As keys of settings end, without their separators; what peers alone are told is none of a client's.
_LISTENERS = regex(r"advertisedlisteners?$|advertise(?:kafka|pandaproxy|schemaregistry)addr$")
_HOST = regex(
    r"advertised?(?:hostname|host|addr|address|clienturls?|urls?)?$|announce(?:ip|hostname|host)$|publish_*host$"
    r"|(?:pasv|passive)address$|publichost$|broadcast(?:rpc)?address$"
)
_PORT = regex(r"(?:advertised?port|announceport)$")  # FTP opens its passive ports for each transfer: none is there to dial
_OF_PEERS = regex(r"peer|gossip|cluster(?:addr|address|url)|busport")
_LISTENER = regex(r"(?:([A-Za-z0-9_.-]+)://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):(\d{1,5})\Z")
_MEMBER = regex(r"\bhost['\"]?\s*:\s*\\?['\"]([A-Za-z0-9_.-]+)(?::(\d{1,5}))?\\?['\"]")
_OPTION = regex(r"--?[A-Za-z][\w.-]*\Z")
_VALUE_LIMIT = 4096


def of_settings(
    *, env: Sequence[str] = (), command: Sequence[str] = (), health_test: Sequence[str] = ()
) -> tuple[HandedOut, ...]:
    """What the settings of one container hand out, each once, in the order in which they stand; () for most."""
    text = "\n".join((*env, *command, *health_test)).lower()
    if not any(hint in text for hint in _HINTS):
        return ()
    found = [*_of_pairs("environment", [(key, value) for key, _, value in (item.partition("=") for item in env)])]
    found += _of_pairs("command", list(_options(command)))
    for where, words in (("command", command), ("health check", health_test)):
        script = " ".join(words)[:_VALUE_LIMIT]
        if "rs.initiate" in script:
            found += [
                HandedOut(where=where, key="rs.initiate", host=host, port=parsed_port(port or "27017"), of=27017)
                for host, port in _MEMBER.findall(script)
            ]
    return tuple(dict.fromkeys(found))


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`--name value` and `--name=value` of a command line, also where a shell gets it as one word."""
    tokens = [token for word in words for token in (word.split() if " " in word else (word,))]
    for token, following in zip(tokens, [*tokens[1:], ""], strict=False):
        option, separator, value = token.partition("=")
        if separator:
            yield option, value
        elif _OPTION.match(token) and following and not following.startswith("--"):
            yield token, following


def _of_pairs(where: str, pairs: list[tuple[str, str]]) -> Iterator[HandedOut]:
    values = {_squeezed(key): value for key, value in pairs}
    for key, value in pairs:
        name = _squeezed(key)
        if not value or len(value) > _VALUE_LIMIT or _OF_PEERS.search(name):
            continue
        if _LISTENERS.search(name):
            yield from _of_listeners(where, key, value, _listening(name, values))
        elif _HOST.search(name):
            yield from _of_hosts(where, key, value, _partner(name, values))


def _of_listeners(where: str, key: str, value: str, listening: Mapping[str, int]) -> Iterator[HandedOut]:
    """NAME://HOST:PORT,…: a client gets that of the listener by which it came in."""
    for item in value.split(","):
        match = _LISTENER.match(item.strip())
        if match is not None and match[2] and (host := parsed_host(match[2])):
            of = listening.get((match[1] or "").lower())
            yield HandedOut(where=where, key=key, host=host, port=parsed_port(match[3]), of=of)


def _listening(name: str, values: Mapping[str, str]) -> dict[str, int]:
    """The ports of the listeners by their names in lower case, from the setting that goes with the advertised one."""
    plain = name.replace("advertised", "").replace("advertise", "")
    found = {}
    for item in values.get(plain, "").split(","):
        match = _LISTENER.match(item.strip())
        if match is not None and (port := parsed_port(match[3])):
            found[(match[1] or "").lower()] = port
    return found


def _of_hosts(where: str, key: str, value: str, port: str) -> Iterator[HandedOut]:
    for item in value.split(","):
        scheme, url, rest = item.strip().strip("\"'").rpartition("://")
        name, _, written = (rest if url else item.strip().strip("\"'")).partition("/")[0].partition(":")
        host = parsed_host(name)
        if host and host not in UNSPECIFIED and not host.isdecimal() and (not written or parsed_port(written)):
            number = parsed_port(written or port)
            yield HandedOut(where=where, key=key, host=host, port=number, of=number if url and scheme else None)


def _partner(name: str, values: Mapping[str, str]) -> str:
    """The port that is handed out with a host: REDIS_ANNOUNCE_PORT with REDIS_ANNOUNCE_IP."""
    service = _HOST.sub("", name)
    return next((v for k, v in values.items() if _PORT.search(k) and _PORT.sub("", k) == service), "")


def _squeezed(key: str) -> str:
    return key.lower().lstrip("-").replace("_", "").replace(".", "").replace("-", "")
