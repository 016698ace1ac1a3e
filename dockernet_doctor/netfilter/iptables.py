"""The dumps of iptables-save and ip6tables-save, and what their rules mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockernet_doctor.decoding import is_number
from dockernet_doctor.netfilter.model import Backend, Chain, Family, Rule, Ruleset, Table
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.dump_size import too_many

if TYPE_CHECKING:
    from collections.abc import Iterator

HOOKS = {
    "PREROUTING": "prerouting",
    "INPUT": "input",
    "FORWARD": "forward",
    "OUTPUT": "output",
    "POSTROUTING": "postrouting",
}
_QUOTES = regex(r'\\.?|[^"\\]')
PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}


def priority(table: str, chain: str) -> int:
    """At which priority the kernel hooks a built-in chain (linux/netfilter_ipv4.h)."""
    if table == "nat":
        return -100 if chain in ("PREROUTING", "OUTPUT") else 100
    return PRIORITIES.get(table, 0)


def parse_iptables_save(text: str, family: Family, backend: Backend) -> Ruleset:
    """A dump with or without counters (`-c`). A line that cannot be read stands in `errors` and is no rule.

    Of a dump of too many rules none is read, and `errors` says so.
    """
    name = "ip" if family == 4 else "ip6"
    if why := too_many(text):
        return Ruleset(backend=backend, family=name, errors=(why,))
    tables: list[Table] = []
    errors: list[str] = []
    table = _Table("", name, backend)
    for line in lines(text):
        kind = line[:1]
        if kind in ("[", "-"):
            if not table.add_rule(line):
                errors.append(line)
        elif kind == ":":
            table.add_chain(line)
        elif kind == "*":
            table = _Table(line[1:].strip(), name, backend)
        elif line == "COMMIT":
            tables.append(table.finished())
            table = _Table("", name, backend)
        elif line.strip() and kind != "#":
            errors.append(line)
    if table.name:
        errors.append(f"the table {table.name} has no end")
        tables.append(table.finished())
    return Ruleset(backend=backend, family=name, tables=tuple(tables), errors=tuple(errors))


def lines(text: str) -> Iterator[str]:
    """The dump's lines; a comment that holds a line break spans several."""
    pending: list[str] = []
    for line in text.split("\n"):
        if not pending and ('"' not in line or line[0] not in "[-"):
            yield line
            continue
        ends = _turns(line) == bool(pending)
        pending.append(line)
        if ends:
            yield "\n".join(pending)
            pending = []
    if pending:
        yield "\n".join(pending)


def rule_line(line: str) -> str:
    """A line of the dump without its counters."""
    return line.partition("] ")[2] if line.startswith("[") else line


def _turns(line: str) -> bool:
    """True if a quote that is open before the line is closed behind it, and the other way round."""
    return line.count('"') % 2 == 1 if "\\" not in line else len(_QUOTES.sub("", line)) % 2 == 1


class _Table:
    """A table while it is being read."""

    def __init__(self, name: str, family: str, backend: Backend) -> None:
        self.name, self.family, self.backend = name, family, backend
        self.rules: dict[str, list[Rule]] = {}
        self.heads: dict[str, tuple[str | None, int | None, int | None]] = {}

    def add_chain(self, line: str) -> None:
        words = line[1:].split()
        if not words:
            return
        policy = words[1] if len(words) > 1 and words[1] != "-" else None
        packets, _, count = (words[2] if len(words) > 2 else "[:]").strip("[]").partition(":")
        self.heads[words[0]] = (policy, _number(packets), _number(count))
        self.rules.setdefault(words[0], [])

    def add_rule(self, line: str) -> bool:
        packets = count = None
        if line[0] == "[":
            counters, _, line = line.partition("] ")
            first, _, second = counters[1:].partition(":")
            packets, count = _number(first), _number(second)
        if not line.startswith("-A ") or not self.name:
            return False
        end = line.find(" ", 3)
        chain = line[3:] if end < 0 else line[3:end]
        rules = self.rules.setdefault(chain, [])
        rules.append(
            Rule(
                table=self.name,
                chain=chain,
                position=len(rules) + 1,
                line=line,
                backend=self.backend,
                family=self.family,
                packets=packets,
                bytes=count,
            )
        )
        return True

    def finished(self) -> Table:
        chains = {}
        for name, rules in self.rules.items():
            policy, packets, count = self.heads.get(name, (None, None, None))
            hooked = policy is not None
            chains[name] = Chain(
                table=self.name,
                name=name,
                backend=self.backend,
                family=self.family,
                rules=tuple(rules),
                policy=policy,
                packets=packets,
                bytes=count,
                hook=HOOKS.get(name) if hooked else None,
                priority=priority(self.name, name) if hooked else None,
                type=("nat" if self.name == "nat" else "filter") if hooked else None,
            )
        return Table(name=self.name, backend=self.backend, family=self.family, chains=chains)


def _number(text: str) -> int | None:
    return int(text) if is_number(text) else None
