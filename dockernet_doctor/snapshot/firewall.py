"""The firewall rules of the host, and on demand of a sandbox, as the system's own programs print them.

The programs are started first and run beside all other collection: `start_dumps()`, later `result()`. Reading changes
nothing: legacy iptables is asked only where it has tables already, since asking creates them.
"""

from __future__ import annotations

import json
import os
import re
import time
from functools import lru_cache
from typing import Literal, NamedTuple

from dockernet_doctor.decoding import as_text, with_whole_pairs
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot import namespace
from dockernet_doctor.snapshot.dump_size import MOST_RULES, too_many
from dockernet_doctor.snapshot.model import BY_ROOT, BlindSpot, Family, FirewallDump, Record
from dockernet_doctor.snapshot.netlink import NETLINK_NETFILTER, Netlink
from dockernet_doctor.snapshot.nfnetlink import IPTABLES_TABLES, devices, legacy_tables, nft_tables
from dockernet_doctor.snapshot.programs import Program, ProgramError, find_program
from dockernet_doctor.snapshot.secrets import scrub

TIMEOUT_S = 10.0

Tool = Literal["iptables-nft", "iptables-legacy", "nft", "ipset"]


class FirewallReading(Record, frozen=True, kw_only=True):
    """The dumps of one namespace; None where none could be read, and then a blind spot says so."""

    dumps: tuple[FirewallDump, ...] | None
    blind_spots: tuple[BlindSpot, ...] = ()


def without_secrets(text: str) -> str:
    """The output of iptables-save or `nft -j` with the secrets out of what people wrote into rules: comments, prefixes of log
    lines, strings to look for. Lines stay lines, and words stay words."""
    if not any(word in text for word in ("--comment", "-prefix", "-string", "--string", '"comment"', '"prefix"')):
        return text
    return _WRITTEN.sub(lambda match: match[1] + _reduced(match[2], in_json=match[1][0] == '"'), text)


_WRITTEN = regex(
    r"(--(?:comment|(?:nf)?log-prefix|(?:hex-)?string) |\"(?:comment|prefix)\":\s?)(\"(?:[^\"\\]|\\.)*\"|[^\s\"]\S*)", re.DOTALL
)


@lru_cache(maxsize=4096)
def _reduced(word: str, *, in_json: bool) -> str:
    if not word.startswith('"'):
        return word if in_json else scrub(word)
    if not in_json:
        plain = re.sub(r"\\(.)", r"\1", word[1:-1], flags=re.DOTALL)
        kept = scrub(plain)
        return word if kept == plain else '"{}"'.format(re.sub(r"([\"'\\])", r"\\\1", kept))
    try:
        plain = json.loads(with_whole_pairs(word), strict=False)
    except ValueError:
        return '"***"'
    kept = scrub(plain)
    return word if kept == plain else json.dumps(kept)


def with_devices(text: str, devices: dict[tuple[str, str, str], list[str]]) -> str:
    """The output of `nft -j` with the interfaces of chains, which it leaves out before 1.1."""

    def told(match: re.Match[str]) -> str:
        try:
            chain = json.loads(match[1])
        except ValueError:
            return match[0]
        names = devices.get((chain.get("family"), chain.get("table"), chain.get("name")))
        return match[0] if names is None or "dev" in chain else json.dumps({"chain": {**chain, "dev": names}})

    return _HOOKED.sub(told, text) if devices else text


_HOOKED = regex(r'\{"chain": ?(\{[^{}]*"hook": ?"(?:ingress|egress)"[^{}]*\})\}')


def start_dumps() -> Dumps:
    """Starts the programs that print the rules of the calling thread's namespace. Never raises."""
    return Dumps("this host", "firewall")


def read_sandbox_firewall(pid: int, timeout: float = TIMEOUT_S) -> FirewallReading:
    """The rules inside the namespace of that process, printed by the host's own programs. Never raises."""
    if timeout <= 0:
        return _unread(pid, "the time of the run was over", "give it more: --timeout 2m")

    def read() -> FirewallReading:
        # A child process begins in the namespace of the thread that starts it.
        with namespace.inside(pid):
            dumps = Dumps(f"the sandbox of process {pid}", "sandbox.firewall")
        return dumps.result(timeout)

    try:
        return namespace.in_thread(read)
    except (namespace.NamespaceError, OSError) as error:
        return _unread(pid, str(error), BY_ROOT if isinstance(error, namespace.NamespaceForbiddenError) else "")


def _unread(pid: int, why: str, remedy: str) -> FirewallReading:
    what = f"the rules inside the sandbox of process {pid}"
    spot = BlindSpot(area="sandbox.firewall", what=what, why=why, remedy=remedy)
    return FirewallReading(dumps=None, blind_spots=(spot,))


class Dumps:
    """Programs at work."""

    def __init__(self, where: str, area: str) -> None:
        self._where = where
        self._area = area
        self._spots: list[BlindSpot] = []
        self._running: list[_Running] = []
        self._namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._refused = False
        self._devices: dict[tuple[str, str, str], list[str]] = {}
        try:
            self._start_first_round()
        except OSError as error:
            self._refused = True
            self._blind("the firewall rules", error.strerror or str(error), BY_ROOT)

    def result(self, timeout: float = TIMEOUT_S) -> FirewallReading:
        """Waits for the programs, `timeout` seconds in all, and ends those that need longer. To be called once."""
        deadline = time.monotonic() + timeout
        dumps = self._collect(deadline)
        if not self._refused and self._second_round(dumps):
            dumps += self._collect(deadline)
        os.close(self._namespace)
        unread = self._refused or (self._spots and not dumps)
        return FirewallReading(dumps=None if unread else tuple(dumps), blind_spots=tuple(self._spots))

    def _start_first_round(self) -> None:
        with Netlink(NETLINK_NETFILTER) as netlink:
            tables = nft_tables(netlink)
            if any(family in ("netdev", "inet") for family, _ in tables):
                self._devices = devices(netlink)
        native = {table for table in tables if not _belongs_to_iptables(*table)}
        for family, name in _FAMILIES:
            if (name in {family for family, _ in tables - native}) and not self._start("iptables-nft", family):
                native.add((name, "*"))  # nft shows them too
            if legacy_tables(family) and not self._start("iptables-legacy", family):
                self._missing(f"the rules of legacy iptables (IPv{family})", "iptables-legacy-save", "iptables")
        if native and not self._start("nft", None):
            names = ", ".join(" ".join(table) for table in sorted(native))
            self._missing(f"the tables of nftables ({names})", "nft", "nftables")

    def _second_round(self, dumps: list[FirewallDump]) -> bool:
        """Native tables that only iptables-save could recognise, and the sets that rules refer to."""
        incompatible = any("is incompatible, use 'nft'" in dump.text for dump in dumps)
        with namespace.travelling() as enter:
            if os.fstat(self._namespace).st_ino != namespace.own_namespace():
                enter(self._namespace)
            if incompatible and all(dump.tool != "nft" for dump in dumps) and not self._start("nft", None):
                self._missing("a table that iptables-save cannot show", "nft", "nftables")
            if any("--match-set" in dump.text for dump in dumps) and not self._start("ipset", None):
                self._missing("the sets that iptables rules refer to (--match-set)", "ipset", "ipset")
        return bool(self._running)

    def _start(self, tool: Tool, family: Family | None) -> bool:
        for command in _COMMANDS[tool, family]:
            path = find_program(command[0])
            if path:
                self._running.append(_Running(tool, family, Program((path, *command[1:]), plain=True)))
                return True
        return False

    def _collect(self, deadline: float) -> list[FirewallDump]:
        dumps = []
        for tool, family, program in self._running:
            what = f"the output of `{' '.join(program.command)}`"
            try:
                printed = program.printed(deadline)
            except ProgramError as error:
                self._blind(what, str(error), "run it by hand")
                continue
            text = as_text(printed.output)
            if printed.status:
                complaint = printed.complaints[0]
                self._blind(what, complaint, BY_ROOT if "ermission" in complaint or "ermitted" in complaint else "")
            elif tool == "iptables-legacy" and _is_of_nft_backend(text):
                self._missing(f"the rules of legacy iptables (IPv{family})", "iptables-legacy-save", "iptables")
            elif tool == "iptables-nft" and text and not _is_of_nft_backend(text):
                self._missing(f"the rules of iptables-nft (IPv{family})", "iptables-nft-save", "iptables")
            elif why := too_many(text):
                self._blind(what, why, f"have fewer than {MOST_RULES:,}; sets hold as many addresses as you like")
            else:
                if tool == "nft":
                    text = with_devices(text, self._devices)
                dumps.append(FirewallDump(tool=tool, family=family, text=without_secrets(text)))
        self._running = []
        return dumps

    def _missing(self, what: str, program: str, package: str) -> None:
        self._blind(what, f"{program} is not installed", f"install {package}")

    def _blind(self, what: str, why: str, remedy: str) -> None:
        self._spots.append(BlindSpot(area=self._area, what=f"{what} of {self._where}", why=why, remedy=remedy))


_FAMILIES: tuple[tuple[Family, str], ...] = ((4, "ip"), (6, "ip6"))
_COMMANDS: dict[tuple[Tool, Family | None], tuple[tuple[str, ...], ...]] = {
    ("iptables-nft", 4): (("iptables-nft-save", "-c"), ("iptables-save", "-c")),
    ("iptables-nft", 6): (("ip6tables-nft-save", "-c"), ("ip6tables-save", "-c")),
    ("iptables-legacy", 4): (("iptables-legacy-save", "-c"), ("iptables-save", "-c")),
    ("iptables-legacy", 6): (("ip6tables-legacy-save", "-c"), ("ip6tables-save", "-c")),
    ("nft", None): (("nft", "-j", "list", "ruleset"),),
    ("ipset", None): (("ipset", "save"),),
}


def _belongs_to_iptables(family: str, name: str) -> bool:
    return family in ("ip", "ip6") and name in IPTABLES_TABLES


def _is_of_nft_backend(text: str) -> bool:
    """The first line names the backend since 1.8.3; in 1.8.0 to 1.8.2 the program called itself xtables-save."""
    return "(nf_tables)" in text[:200] or "xtables-save" in text[:200]


class _Running(NamedTuple):
    tool: Tool
    family: Family | None
    program: Program
