"""The dump of `nft -j list ruleset`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from dockernet_doctor.netfilter.iptables import HOOKS
from dockernet_doctor.netfilter.model import Chain, NamedSet, Rule, Ruleset, Table
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.dump_size import too_many

if TYPE_CHECKING:
    from collections.abc import Iterable

COUNTER = regex(rb'"counter": ?\{"packets": ?(\d+), ?"bytes": ?(\d+)')
CHANGED_SET = regex(rb'"set": ?"@([^"]+)"')
NOT_OF_IPTABLES = regex(rb'"(?:set|concat|vmap|map)":|"@')
"""iptables-nft writes no sets and no maps; of a rule that has one its dump shows only the rest (seen with 1.8.9)."""

RawObject = dict[str, msgspec.Raw]


class _RawRule(msgspec.Struct):
    family: str
    table: str
    chain: str
    expr: msgspec.Raw
    handle: int | None = None
    comment: str = ""


class _RawChain(msgspec.Struct):
    family: str
    table: str
    name: str
    handle: int | None = None
    type: str | None = None
    hook: str | None = None
    prio: int | None = None
    policy: str | None = None
    dev: str | list[str] = ""


class _RawSet(msgspec.Struct):
    family: str
    table: str
    name: str
    type: Any = ""
    map: Any = None
    elem: list[Any] = []
    flags: Any = ()


class _RawTable(msgspec.Struct):
    family: str
    name: str
    handle: int | None = None
    flags: Any = ()


class _Dump(msgspec.Struct):
    nftables: list[RawObject]


class _Growing:
    """A table while it is being read."""

    def __init__(self, handle: int | None, dormant: bool) -> None:
        self.handle, self.dormant = handle, dormant
        self.chains: dict[str, _RawChain] = {}
        self.rules: dict[str, list[Rule]] = {}
        self.sets: dict[str, _RawSet] = {}
        self.changed: set[str] = set()


def parse_nft_json(text: str) -> Ruleset:
    """All tables of the dump, of every family; what it holds besides tables, chains, rules, sets and maps is ignored.

    A dump that is no JSON, or of too many rules, gives an empty ruleset with the reason in `errors`. An object of another
    shape is left out, and named there.
    """
    if not text.strip():
        return Ruleset(backend="nft", family="mixed")
    if why := too_many(text):
        return Ruleset(backend="nft", family="mixed", errors=(f"nft: {why}",))
    try:
        objects = msgspec.json.decode(text, type=_Dump).nftables
    except (msgspec.DecodeError, RecursionError) as error:
        return Ruleset(backend="nft", family="mixed", errors=(f"nft: {error}",))
    tables: dict[tuple[str, str], _Growing] = {}
    errors: list[str] = []
    for entry in objects:
        for kind, raw in entry.items():
            reader = _READERS.get(kind)
            if reader is None:
                continue
            try:
                reader(tables, raw)
            except KeyError as error:
                errors.append(f"nft: {kind}{_of(raw)}: there is no table {error}")
            except (msgspec.DecodeError, ValueError, TypeError, RecursionError) as error:
                errors.append(f"nft: {kind}{_of(raw)}: {error}")
    found = tuple(_finished(key, growing) for key, growing in tables.items())
    return Ruleset(backend="nft", family="mixed", tables=found, errors=tuple(errors))


def _of(raw: msgspec.Raw) -> str:
    """The names that an object has, as far as they can be read: " ip filter FORWARD"."""
    try:
        found = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        words = [msgspec.json.decode(found[key]) for key in ("family", "table", "chain", "name") if key in found]
    except (msgspec.DecodeError, RecursionError):
        return ""
    return "".join(f" {word}" for word in words if isinstance(word, str))


def _read_table(tables: dict[tuple[str, str], _Growing], raw: msgspec.Raw) -> None:
    table = msgspec.json.decode(raw, type=_RawTable)
    flags = [table.flags] if isinstance(table.flags, str) else list(table.flags or ())
    # nft 1.0.6 cuts the word short.
    tables[table.family, table.name] = _Growing(table.handle, any(str(flag).startswith("dorm") for flag in flags))


def _read_chain(tables: dict[tuple[str, str], _Growing], raw: msgspec.Raw) -> None:
    chain = msgspec.json.decode(raw, type=_RawChain)
    growing = tables[chain.family, chain.table]
    growing.chains[chain.name] = chain
    growing.rules.setdefault(chain.name, [])


def _read_set(tables: dict[tuple[str, str], _Growing], raw: msgspec.Raw) -> None:
    found = msgspec.json.decode(raw, type=_RawSet)
    tables[found.family, found.table].sets[found.name] = found


def _read_rule(tables: dict[tuple[str, str], _Growing], raw: msgspec.Raw) -> None:
    rule = _RULE.decode(raw)
    growing = tables[rule.family, rule.table]
    rules = growing.rules.setdefault(rule.chain, [])
    expressions = bytes(rule.expr)
    counter = COUNTER.search(expressions)
    growing.changed.update(name.decode() for name in CHANGED_SET.findall(expressions))
    rules.append(
        Rule(
            table=rule.table,
            chain=rule.chain,
            position=len(rules) + 1,
            backend="nft",
            family=rule.family,
            packets=int(counter[1]) if counter else None,
            bytes=int(counter[2]) if counter else None,
            handle=rule.handle,
            expressions=msgspec.Raw(expressions),
            comment=rule.comment,
        )
    )


_RULE = msgspec.json.Decoder(_RawRule)
_READERS = {"table": _read_table, "chain": _read_chain, "rule": _read_rule, "set": _read_set, "map": _read_set}


def _flags(said: Any) -> list[Any] | str:
    """One word, or several; nothing where it is anything else."""
    return said if isinstance(said, list | str) else []


def _finished(key: tuple[str, str], growing: _Growing) -> Table:
    family, name = key
    chains = {}
    for chain_name, rules in growing.rules.items():
        raw = growing.chains.get(chain_name) or _RawChain(family=family, table=name, name=chain_name)
        chains[chain_name] = Chain(
            table=name,
            name=chain_name,
            backend="nft",
            family=family,
            rules=tuple(rules),
            policy=(raw.policy or "accept").upper() if raw.hook else None,
            hook=raw.hook,
            priority=raw.prio if raw.prio is not None else 0 if raw.hook else None,
            type=raw.type,
            devices=tuple([raw.dev] if isinstance(raw.dev, str) else raw.dev) if raw.dev else (),
            handle=raw.handle,
        )
    sets = {
        raw.name: NamedSet(
            name=raw.name,
            type=_type_name(raw.type),
            elements=tuple(raw.elem),
            complete=raw.name not in growing.changed and "dynamic" not in _flags(raw.flags),
            data=_type_name(raw.map) if raw.map is not None else None,
        )
        for raw in growing.sets.values()
    }
    return Table(
        name=name, backend="nft", family=family, chains=chains, sets=sets, dormant=growing.dormant, handle=growing.handle
    )


def _type_name(kind: Any) -> str:
    return " . ".join(str(part) for part in kind) if isinstance(kind, list) else str(kind)


def native_only(ruleset: Ruleset, dumps: Iterable[Ruleset]) -> Ruleset:
    """The nft dump without what the iptables-nft dumps already hold.

    A base chain that somebody added to a table of iptables stays, since its dump shows it as one that is never called.
    """
    owned = {
        (dump.family, table.name) for dump in dumps if dump.backend == "iptables-nft" for table in dump.tables
    }  # fmt: skip
    tables = []
    for table in ruleset.tables:
        if (table.family, table.name) not in owned:
            tables.append(table)
        elif any(chain.hook and chain.name not in HOOKS for chain in table.chains.values()):
            tables.append(_without_builtin(table))
    return msgspec.structs.replace(ruleset, tables=tuple(tables))


def _without_builtin(table: Table) -> Table:
    chains = {name: chain for name, chain in table.chains.items() if name not in HOOKS}
    return msgspec.structs.replace(table, chains=chains)


def combine(dumps: Iterable[Ruleset], native: Ruleset | None) -> tuple[Ruleset, ...]:
    """The rulesets to evaluate: the iptables dumps, and of the nft dump what they do not hold.

    A rule with a set that `nft add rule ip filter FORWARD …` put into a table of iptables is misread by iptables-save;
    it is taken from the nft dump.
    """
    found = tuple(dumps)
    if native is None:
        return found
    return (*(_corrected(dump, native) for dump in found), native_only(native, found))


def _corrected(dump: Ruleset, native: Ruleset) -> Ruleset:
    if dump.backend != "iptables-nft":
        return dump
    tables = []
    for table in dump.tables:
        twin = native.table(table.name, dump.family)
        tables.append(_corrected_table(table, twin) if twin else table)
    return msgspec.structs.replace(dump, tables=tuple(tables))


def _corrected_table(table: Table, twin: Table) -> Table:
    chains = dict(table.chains)
    for name, chain in table.chains.items():
        other = twin.chains.get(name)
        if other is None:
            continue
        chains[name] = msgspec.structs.replace(chain, handle=other.handle)
        if len(other.rules) != len(chain.rules):
            continue
        rules = tuple(
            true if NOT_OF_IPTABLES.search(bytes(true.expressions)) and b'"xt"' not in bytes(true.expressions) else rule
            for rule, true in zip(chain.rules, other.rules, strict=True)
        )
        chains[name] = msgspec.structs.replace(chain, rules=rules, handle=other.handle)
    return msgspec.structs.replace(table, chains=chains, sets=twin.sets, handle=twin.handle)
