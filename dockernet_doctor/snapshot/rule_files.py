"""The files from which the rules of this host come again: at its next start, or whenever who manages them reloads.

Read are those of ufw (before and after its own), of Debian's netfilter-persistent (package iptables-persistent), of Red Hat's
iptables-services and of nftables.service, each where its service is enabled. What nft includes from elsewhere is not followed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dockernet_doctor.decoding import read_text
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.firewall import without_secrets
from dockernet_doctor.snapshot.model import Family, RuleFile, RuleFilePath

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
            yield RuleFile(path=path, keeper=keeper, family=None, chains=tuple(_chains_of_nft(text)))
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


def _chains_of_nft(text: str) -> Iterator[tuple[str, str, str]]:
    """Family, table and name of the chains that a file of nft makes."""
    family, table = "", ""
    for match in _BLOCKS.finditer(_COMMENTS.sub("", text)):
        if match["chain"] is None:
            family, table = match["family"] or "ip", match["table"]
        elif table:
            yield family, table, match["chain"]


_COMMENTS = regex(r"#[^\n]*")
_BLOCKS = regex(
    r"\btable\s+(?:(?P<family>ip6?|inet|arp|bridge|netdev)\s+)?(?P<table>[\w.-]+)\s*\{|\bchain\s+(?P<chain>[\w.-]+)\s*\{"
)
