"""How iptables-save writes a rule: its words, its matches and their options."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import msgspec

HEAD = re.compile(
    r"-A \S+(?: (! )?-s (\S+))?(?: (! )?-d (\S+))?(?: (! )?-i (\S+))?(?: (! )?-o (\S+))?(?: (! )?-p (\S+))?(?= |$)"
)
ONE_PORT = re.compile(r" -m (?:tcp|udp) --dport (\d+)(?= |$)")
WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)', re.DOTALL)
FREE_TEXT = frozenset(
    {"--comment", "--log-prefix", "--nflog-prefix", "--string", "--hex-string", "--name", "--helper", "--bytecode"}
)
"""Options whose one argument may look like an option."""

HARMLESS = frozenset(
    {
        "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "TCPMSS", "TCPOPTSTRIP", "CHECKSUM", "CLASSIFY", "DSCP", "TOS",
        "ECN", "TEE", "IDLETIMER", "LED", "RATEEST", "SECMARK", "CONNSECMARK",
    }
)  # fmt: skip
"""Targets after which the next rule is asked, whatever they did."""

EXTENSIONS = HARMLESS | {
    "ACCEPT", "DROP", "TARPIT", "RETURN", "REJECT", "DNAT", "REDIRECT", "SNAT", "MASQUERADE", "NETMAP", "MARK", "HMARK",
    "CONNMARK", "CT", "TTL", "HL", "NOTRACK", "SET", "NFQUEUE", "QUEUE", "SYNPROXY", "TPROXY", "CLUSTERIP",
}  # fmt: skip
"""Targets that are no chains."""


class Option(msgspec.Struct, frozen=True):
    """`! --dport 80`"""

    name: str
    values: tuple[str, ...]
    negated: bool

    @property
    def value(self) -> str:
        return self.values[0] if self.values else ""


def words(text: str) -> Iterator[tuple[str, bool]]:
    """The words of a rule as iptables-save quotes them, and whether each was quoted."""
    if '"' not in text:
        yield from ((word, False) for word in text.split())
        return
    for found in WORD.finditer(text):
        quoted, plain = found.groups()
        yield (plain, False) if quoted is None else (re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL), True)


def modules(tail: str) -> list[tuple[str, list[Option]]]:
    """`-m tcp --dport 80 -j DROP` as [("tcp", [--dport 80]), ("-j", [DROP])]. `-f` is the module "-f"."""
    found: list[tuple[str, list[Option]]] = []
    plain = '"' not in tail
    queue = tail.split() if plain else [word for word, _ in words(tail)]
    quoted = () if plain else {place for place, (_, quoted) in enumerate(words(tail)) if quoted}
    index, negated, count = 0, False, len(queue)
    while index < count:
        word = queue[index]
        index += 1
        if word == "!" and index - 1 not in quoted:
            negated = True
            continue
        if word in ("-m", "-j", "-g") and index - 1 not in quoted and index < count:
            name = queue[index]
            index += 1
            found.append((name, []) if word == "-m" else (word, [Option(name, (), False)]))
        elif word in ("-f", "-s", "-d", "-i", "-o", "-p"):
            value = () if word == "-f" or index >= count else (queue[index],)
            index += len(value)
            found.append((word, [Option(word, value, negated)]))
        else:
            end = _end_of_option(queue, quoted, index, word)
            if not found:
                found.append(("", []))
            found[-1][1].append(Option(word, tuple(queue[index:end]), negated))
            index = end
        negated = False
    return found


def _end_of_option(queue: list[str], quoted: Collection[int], index: int, option: str) -> int:
    if option in FREE_TEXT:
        return min(index + 1, len(queue))
    while index < len(queue) and (index in quoted or not (queue[index] == "!" or queue[index].startswith("-"))):
        index += 1
    return index


def written(module: str, options: list[Option]) -> str:
    parts = [module if module.startswith("-") else f"-m {module}"]
    for option in options:
        parts.extend(["!"] * option.negated)
        parts.append(option.name)
        parts.extend(option.values)
    return " ".join(parts)


def endpoint(text: str) -> tuple[str | None, str | None]:
    """Address (or range) and port (or range) of `10.0.0.1:80`, `:80`, `[fd00::1]:80`, `fd00::1`."""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        return address, port.removeprefix(":") or None
    if text.count(":") > 1:
        return text, None
    address, _, port = text.partition(":")
    return address or None, port or None
