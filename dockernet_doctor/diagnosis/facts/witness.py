"""What a container's own log says that it dialled, and did not reach: dials that no setting need name.

A log is a witness, not a proof: what it names is asked again now. Forms of Go, libc, Java, Node, Python, libpq, JDBC, curl,
busybox, netcat, kubectl, nginx, ZooKeeper.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.notation import UNSPECIFIED
from dockernet_doctor.once import once_for_each
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Container

#: Without one of these, in lower case, a line tells of no failed dial.
_HINTS = (
    "refused", "timed out", "timeout", "no route", "unreachable", "not be established", "could not connect", "can't connect",
    "couldn't connect", "failed to connect", "could not reach", "econn", "etimedout", "ehostunreach", "enotfound", "eai_again",
    "no such host", "moved", "not known", "unknown host", "unknownhost", "resolve", "unknown mysql", "host not found",
    "bad address", "not translate",
)  # fmt: skip
_LOOKUPS = ("name or service not known", "unknown host", "temporary failure in name resolution", "bad address")
_BELOW = 3
LATELY = 3
"""Lines at the end of a log that tell of now, of a program that says more when it is well."""
_OPENING = "opening socket connection"
_WAITING = "waiting for "
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)"
_RESOLVED = r"(?:/[0-9.]+)?"  # by Java
_FORMS = tuple(
    regex(form, 2)  # re.IGNORECASE, without importing what most runs do not need
    for form in (
        rf"dial (?:tcp|udp)[46]? {_HOST}:(\d{{1,5}})",
        rf"(?:econnrefused|etimedout|ehostunreach|econnreset|enetunreach)[ :,]+{_HOST}:(\d{{1,5}})",
        r"(?:connect\(\) (?:to \S+ )?failed|upstream timed out) \([^)]*\).*upstream: \"\w+://(\[[^\]]+\]|[^:/\"]+):(\d{1,5})",
        rf"(?:connection to (?:node -?\d+|(?:the )?server|host)|connect(?:ing)? to)[^A-Za-z0-9]+{_HOST}{_RESOLVED}:(\d{{1,5}})",
        rf"opening socket connection to server {_HOST}{_RESOLVED}:(\d{{1,5}})",
        rf"connection refused: (?:no further information: )?{_HOST}{_RESOLVED}:(\d{{1,5}})",
        rf"connection to {_HOST}{_RESOLVED}:(\d{{1,5}}) refused",
        rf"connect to {_HOST}(?: \([0-9a-f.:]+\))? port (\d{{1,5}})",
        rf"server at \"{_HOST}\"(?: \([0-9a-f.:]+\))?, port (\d{{1,5}}) failed",
        rf"running on host \"{_HOST}\"(?: \([0-9a-f.:]+\))? and accepting tcp/ip connections on port (\d{{1,5}})",
        rf"host='{_HOST}', port=(\d{{1,5}})",
        rf"\bmoved \d+ {_HOST}:(\d{{1,5}})",
        rf"\(u?'{_HOST}', (\d{{1,5}})\)",
        rf"{_HOST}: forward host lookup failed()",
        rf"host not found in upstream \"{_HOST}(?::(\d{{1,5}}))?",
        rf"(?:getaddrinfo|lookup) (?:enotfound |eai_again |for )?{_HOST}(?::(\d{{1,5}}))?",
        rf"could not (?:resolve|translate) host(?: ?name)?:? \"?{_HOST}()",
        rf"(?:failed to resolve|bad address|unknown mysql server host) '{_HOST}()",
        rf"unknownhostexception: {_HOST}()",
        rf"{_WAITING}{_HOST} to (?:start|come up|be (?:ready|up))\b()",
        rf"\b{_HOST}:(\d{{1,5}})\b[^\"]{{0,40}}(?:connection refused|timed out|no route to host|unreachable)",
    )
)

# iptables-legacy in a container, which may not load the host's modules. Without CAP_NET_ADMIN it says another thing.
# The kernel's tables alone: what a container says chooses no other module.
_OWN_TABLE = regex(r"(?ai)can't initialize (ip6?)tables table [`']?(filter|nat|mangle|raw|security)'?: table does not exist")


class Dialled(Struct, frozen=True):
    """A dial that failed: what was dialled, and the line that says so. `port` is None where only a name is told."""

    host: str
    port: int | None
    line: str


def is_current(facts: HostFacts, client: Container, address: str, port: int) -> bool:
    """True if who has the address now is whom the client means: it had it before the client started, or it is published at
    that port of the host, which the client took for the container's."""
    holder = facts.holder(address)
    if holder is None:
        return False
    before = "" != holder[0].state.started_at[:19] < client.state.started_at[:19]
    return before or any(p.host_port == port != p.port for p in holder[0].ports)


@once_for_each
def dialled(container: Container) -> tuple[Dialled, ...]:
    """Each once, the last first; what was said before its program was read to reload is over."""
    return tuple({(found.host, found.port): found for found in reversed(list(_dialled(container)))}.values())[::-1]


def _dialled(container: Container) -> Iterator[Dialled]:
    hinted = looked_up = 0  # lines above a hint that may name what it is about: some say the one, then the other
    for line in reversed(container.log_tail):
        if "reconfiguring" in line:
            return  # nginx was reloaded since, and has asked for every name anew
        lowered = line.lower()
        hinted = _BELOW if any(hint in lowered for hint in _HINTS) else hinted - 1
        if hinted <= 0:
            continue
        looked_up = _BELOW if any(text in lowered for text in _LOOKUPS) else looked_up - 1
        if hinted < _BELOW and _OPENING not in lowered and not (looked_up > 0 and _WAITING in lowered):
            continue
        found = next((match for form in _FORMS if (match := form.search(line))), None)
        if found is not None and (not found[2] or 0 < int(found[2]) < 65536):
            host = found[1].strip("[]")
            # who dials "any address" dials itself (Linux, ip(7))
            yield Dialled("127.0.0.1" if host in UNSPECIFIED else host, int(found[2]) if found[2] else None, line)


def lacked_table(container: Container) -> tuple[str, str] | None:
    """The module of the table that a container's own iptables did not find, and the line of its log that says so."""
    for line in reversed(container.log_tail):
        if found := _OWN_TABLE.search(line):
            return f"{found[1]}table_{found[2]}".lower(), line
    return None
