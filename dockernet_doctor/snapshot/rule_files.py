"""The files from which the rules of this host come again: at its next start, or whenever who manages them reloads.

Read are those of ufw (before and after its own), of Debian's netfilter-persistent (package iptables-persistent), of Red Hat's
iptables-services and of nftables.service, with what that includes from /etc, each where its service is enabled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from dockernet_doctor.decoding import read_text
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.firewall import without_secrets
from dockernet_doctor.snapshot.model import Family, RuleFile, RuleFilePath, RuleLine
from dockernet_doctor.snapshot.secrets import scrub
from dockernet_doctor.snapshot.values import is_file_of_nft

_FILES: tuple[tuple[RuleFilePath, str, Family | None], ...] = (
    ("/etc/ufw/before.rules", "ufw", 4),
    ("/etc/ufw/after.rules", "ufw", 4),
    ("/etc/ufw/before6.rules", "ufw", 6),
    ("/etc/ufw/after6.rules", "ufw", 6),
    ("/etc/iptables/rules.v4", "netfilter-persistent", 4),
    ("/etc/iptables/rules.v6", "netfilter-persistent", 6),
    ("/etc/sysconfig/iptables", "iptables", 4),
    ("/etc/sysconfig/ip6tables", "ip6tables", 6),
    ("/etc/nftables.conf", "nftables", None),
    ("/etc/sysconfig/nftables.conf", "nftables", None),
)
_ENABLED = ("etc/systemd/system/*.wants/{}.service", "etc/runlevels/*/{}", "etc/rc[2S].d/S??{}")
"""Where systemd, OpenRC and sysvinit have a link for a service that they start."""


def read_rule_files(root: str = "/", *, ufw: bool) -> tuple[RuleFile, ...]:
    """Those that are there, can be read and belong to a service that is enabled (`ufw`: whether that is). Never raises."""
    return tuple(_found(Path(root), ufw=ufw))


def _found(top: Path, *, ufw: bool) -> Iterator[RuleFile]:
    for path, keeper, family in _FILES:
        text = read_text(top / path[1:])
        if text is None or not (ufw if keeper == "ufw" else _is_enabled(top, keeper)):
            continue
        if family is None:
            made, lines = _of_nft(top, path, text)
            yield RuleFile(path=path, keeper=keeper, family=None, chains=made, lines=lines)
            continue
        found = [*_of_restore(without_secrets(text))]
        words = "ip6" if family == 6 else "ip"
        chains = tuple((words, table, line[1:].split()[0]) for table, line in found if line[0] == ":" and line[1:].strip())
        rules = tuple(rule for rule in found if rule[1].startswith("-A ") and not rule[1].startswith(("-A ufw-", "-A ufw6-")))
        yield RuleFile(path=path, keeper=keeper, family=family, chains=chains, rules=rules)


def _is_enabled(top: Path, service: str) -> bool:
    try:
        return any(True for place in _ENABLED for _ in top.glob(place.format(service)))
    except OSError:
        return False


def _of_restore(text: str) -> Iterator[tuple[str, str]]:
    """Table and line of what iptables-restore reads: chains and rules, without counters."""
    table = ""
    for line in map(str.strip, text.split("\n")):
        if line.startswith("*"):
            table = line[1:].strip()
        elif line == "COMMIT":
            table = ""
        elif table and line and line[0] in ":-[":
            yield table, line.partition("] ")[2] if line[0] == "[" else line


def _of_nft(top: Path, path: str, text: str) -> tuple[tuple[tuple[str, str, str], ...], tuple[RuleLine, ...]]:
    """The chains that a file of nft and what it includes make, and the rules in them, in their order."""
    chains, rules = dict[tuple[str, str, str], None](), list[RuleLine]()
    waiting, seen = [(path, text)], {path}
    while waiting and len(seen) <= _MOST_INCLUDED:
        path, text = waiting.pop(0)
        included = list[tuple[str, str]]()
        for it in _blocks(text):
            if isinstance(it, str):
                for found in sorted(top.glob(it.removeprefix("/"))) if it.startswith("/etc/") else ():
                    file = f"/{found.relative_to(top)}"
                    if file not in seen and is_file_of_nft(file) and (more := read_text(found)) is not None:
                        seen.add(file)
                        included.append((file, more))
            elif it.text:
                rules.append(replace(it, file=path))
            else:
                chains[it.family, it.table, it.chain] = None
        waiting = [*included, *waiting]
    return tuple(chains), tuple(rules)


def _blocks(text: str) -> Iterator[RuleLine | str]:
    """What a text of nft says: a chain that it makes (without a text), a rule, what it includes."""
    lines = text.split("\n")
    blocks, said, first, number = list[tuple[str, ...]](), "", 0, 1
    for token in _TOKENS.finditer(f"{text}\n"):
        sign = token[0]
        first = first if said.strip() else number
        in_set = bool(blocks) and blocks[-1] == ("elements",)
        if sign == "{" and (not blocks or blocks[-1][0] == "table"):
            blocks.append(_block(said.split(), blocks))
            if blocks[-1][0] == "chain":
                yield RuleLine(number=first, family=blocks[-1][1], table=blocks[-1][2], chain=blocks[-1][3])
            said = ""
        elif sign == "{":
            blocks.append(("elements",))
            said += sign
        elif in_set or sign not in ("\n", ";", "}"):
            said += " " if sign == "\n" or sign[0] in "#\\" else sign
            if sign == "}":
                blocks.pop()
        else:
            words = said.split()
            if (rule := _rule(words, blocks[-1] if blocks else ())) is not None:
                alone = lines[first - 1].partition("#")[0].strip(" \t;") == " ".join(words)
                yield replace(rule, number=first, is_alone=alone)
            elif words[:1] == ["include"] and not blocks:
                name = words[1].strip("\"'")
                yield name if name.startswith("/") else f"/etc/{name}"
            if sign == "}" and blocks:
                blocks.pop()
            said = ""
        number += sign.count("\n")


def _block(words: list[str], outer: list[tuple[str, ...]]) -> tuple[str, ...]:
    """table, family, name; chain, family, table, name; or anything else in a table."""
    match words:
        case [*_, "table", family, table] if not outer:
            return ("table", family, table)
        case [*_, "table", table] if not outer:
            return ("table", "ip", table)
        case [*_, "chain", chain] if outer:
            return ("chain", *outer[-1][1:], chain)
    return ("else",)


def _rule(words: list[str], block: tuple[str, ...]) -> RuleLine | None:
    """A rule in its chain, or one that `add rule` puts into it."""
    match block, words:
        case ("chain", family, table, chain), [first, *_] if first not in _OF_A_CHAIN:
            return RuleLine(family=family, table=table, chain=chain, text=_without_secrets(" ".join(words)))
        case (), ["add", "rule", "ip" | "ip6" | "inet" | "bridge" | "netdev" | "arp" as family, table, chain, *rest] if rest:
            return RuleLine(family=family, table=table, chain=chain, text=_without_secrets(" ".join(rest)))
        case (), ["add", "rule", table, chain, *rest] if rest:
            return RuleLine(family="ip", table=table, chain=chain, text=_without_secrets(" ".join(rest)))
    return None


def _without_secrets(rule: str) -> str:
    return re.sub(r'"([^"]*)"', lambda quoted: f'"{scrub(quoted[1])}"', rule)


_OF_A_CHAIN = ("type", "policy", "comment", "device", "devices", "flags", "include")
_MOST_INCLUDED = 50
_TOKENS = regex(r'#[^\n]*|"[^"\n]*"|\\\n|[{};\n]|[^#"{};\n\\]+|.')
