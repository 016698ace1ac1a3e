"""How iptables-save writes a rule: its words, its matches and their options."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
        "LOG", "NFLOG", "ULOG", "TRACE", "AUDIT", "TCPMSS", "TCPOPTSTRIP", "CHECKSUM", "CLASSIFY", "DSCP", "TOS", "TTL",
        "HL", "ECN", "TEE", "IDLETIMER", "LED", "RATEEST", "SECMARK", "CONNSECMARK",
    }
)  # fmt: skip
"""Targets after which the next rule is asked, whatever they did."""

EXTENSIONS = HARMLESS | {
    "ACCEPT", "DROP", "TARPIT", "RETURN", "REJECT", "DNAT", "REDIRECT", "SNAT", "MASQUERADE", "NETMAP", "MARK", "HMARK",
    "CONNMARK", "CT", "NOTRACK", "SET", "NFQUEUE", "QUEUE", "SYNPROXY", "TPROXY", "CLUSTERIP",
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
    queue = list(words(tail))
    index, negated = 0, False
    while index < len(queue):
        word, quoted = queue[index]
        index += 1
        if word == "!" and not quoted:
            negated = True
            continue
        if word in ("-m", "-j", "-g") and not quoted and index < len(queue):
            name = queue[index][0]
            index += 1
            found.append((name, []) if word == "-m" else (word, [Option(name, (), False)]))
        elif word in ("-f", "-s", "-d", "-i", "-o", "-p"):
            value = () if word == "-f" or index >= len(queue) else (queue[index][0],)
            index += len(value)
            found.append((word, [Option(word, value, negated)]))
        else:
            end = _end_of_option(queue, index, word)
            option = Option(word, tuple(value for value, _ in queue[index:end]), negated)
            if not found:
                found.append(("", []))
            found[-1][1].append(option)
            index = end
        negated = False
    return found


def _end_of_option(queue: list[tuple[str, bool]], index: int, option: str) -> int:
    if option in FREE_TEXT:
        return min(index + 1, len(queue))
    while index < len(queue) and (queue[index][1] or not (queue[index][0] == "!" or queue[index][0].startswith("-"))):
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
