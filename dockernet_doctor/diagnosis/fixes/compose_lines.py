"""A compose file changed line by line: what is not changed stays as it was written, comments and all.

Where the file does not say plainly how to make a change (an anchor, `extends`, a port that a variable names), none is made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from dockernet_doctor.diagnosis.fixes.former_self import Substitution
from dockernet_doctor.notation import bracketed
from dockernet_doctor.shell import Command, appended, pattern, replacement, sed, step
from dockernet_doctor.snapshot.compose_files import parsed

if TYPE_CHECKING:
    import yaml

Block = Mapping[str, str | Sequence[str]]
"""Keys of a service, each with its value, or the entries of its list. Those of `networks` may have settings of their own:
`app: {aliases: [web]}`."""


class Lines:
    """The lines of a file as they are, and what becomes of them; counted from 0."""

    def __init__(self, text: str) -> None:
        self.old = text.splitlines()
        self._gone: set[int] = set()
        self._added: dict[int, list[str]] = {}
        self._swapped: list[tuple[int, str, str]] = []

    def indent(self, line: int) -> str:
        return self.old[line][: -len(self.old[line].lstrip())]

    def drop(self, first: int, last: int) -> None:
        self._gone.update(range(first, last + 1))

    def put(self, after: int, *lines: str) -> None:
        self._added.setdefault(after, []).extend(lines)

    def swap(self, line: int, old: str, new: str) -> None:
        """Text in a line of which the rest is masked."""
        self._swapped.append((line, old, new))

    @property
    def new(self) -> list[str] | None:
        """None where one of them holds what is masked."""
        if self._swapped:
            return None
        kept = ([] if n in self._gone else [line] for n, line in enumerate(self.old))
        return [line for n, some in enumerate(kept) for line in (*some, *self._added.get(n, ()))]

    def commands(self, path: str) -> tuple[Command, ...]:
        """One that makes the change, and leaves the file as it was beside it; none where there is none to make."""
        steps = [step("{}s#{}#{}#", n + 1, pattern("{}", old), replacement("{}", new)) for n, old, new in self._swapped]
        steps += [appended(n + 1, line) for n, lines in self._added.items() for line in lines]
        steps += [step("{}d", n + 1) for n in sorted(self._gone)]
        return (sed(path, *steps),) if steps else ()


def change_service(
    text: str,
    service: str,
    *,
    remove: Block,
    add: Block,
    externals: Sequence[str] = (),
    substitutions: Sequence[Substitution] = (),
) -> Lines | None:
    """The change of a service; `externals` are networks of others that the file is to know. None where it is not plain."""
    lines = Lines(text)
    with suppress(_UnclearError):
        root = parsed(text)
        here = _entry(_entry(root, "services").value, service)
        for key in dict.fromkeys((*remove, *add)):
            _change(lines, here, key, remove.get(key, ()), add.get(key, ()))
        for substitution in substitutions:
            _substitute(lines, here, substitution)
        for network in externals:
            _set(lines, root, "networks", network, ["external: true"])
        return lines
    return None


def change_network(text: str, network: str, settings: Sequence[str]) -> Lines | None:
    """The change of a network: `settings` are whole lines under its key. None where it is not plain."""
    lines = Lines(text)
    with suppress(_UnclearError):
        _set(lines, parsed(text), "networks", network, settings)
        return lines
    return None


def entries(values: Sequence[str], *, as_map: bool = False) -> list[str]:
    """The entries of a list as a block has them, or of a mapping where one of them has settings."""
    if as_map or any(": " in value for value in values):
        return [value if ": " in value else f"{value}: {{}}" for value in values]
    return [f"- {_scalar(value)}" for value in values]


class _UnclearError(Exception):
    pass


class _Entry(NamedTuple):
    """A key of a mapping, and where it stands."""

    value: yaml.Node
    first: int
    last: int
    in_flow: bool  # between braces: the line is not its own


def _find(mapping: yaml.Node | None, key: str) -> _Entry | None:
    import yaml

    if not isinstance(mapping, yaml.MappingNode):
        raise _UnclearError
    for name, value in mapping.value:
        if name.value == key:
            if value.start_mark.line < name.start_mark.line:
                raise _UnclearError  # an alias
            return _Entry(value, name.start_mark.line, _last_line(name, value), bool(mapping.flow_style))
    return None


def _entry(mapping: yaml.Node | None, key: str) -> _Entry:
    found = _find(mapping, key)
    if found is None:
        raise _UnclearError
    return found


def _margin(mapping: yaml.Node) -> str:
    """What stands before the keys of a block."""
    import yaml

    if not isinstance(mapping, yaml.CollectionNode) or mapping.flow_style:
        raise _UnclearError
    return " " * int(mapping.start_mark.column)


def _last_line(name: yaml.Node, value: yaml.Node) -> int:
    """A block ends where the next one starts; blank lines and comments before that are not its own."""
    import yaml

    if isinstance(value, yaml.CollectionNode) and not value.flow_style and value.value:
        last = value.value[-1]
        return _last_line(*last) if isinstance(last, tuple) else _last_line(last, last)
    end = value.end_mark
    return int(end.line - 1 if end.column == 0 and end.line > name.start_mark.line else end.line)


def _change(lines: Lines, here: _Entry, key: str, old: str | Sequence[str], new: str | Sequence[str]) -> None:
    import yaml

    found = _find(here.value, key)
    pad = _margin(here.value)
    if found is None:
        if old or any(_find(here.value, word) for word in ("<<", "extends")):
            raise _UnclearError
        lines.put(here.first, *_indented(pad, _rendered(key, new)))
        return
    if isinstance(old, str) or isinstance(new, str):
        if not isinstance(found.value, yaml.ScalarNode) or found.first != found.last:
            raise _UnclearError
        _replace(lines, found, _indented(pad, _rendered(key, new)))
        return
    items = _items(found)
    known = {_same(item.text) for item in items}
    if not known.issuperset(map(_same, old)):
        raise _UnclearError
    gone = [item for item in items if _same(item.text) in set(map(_same, old))]
    kept = [item.text for item in items if item not in gone]
    new = [text for text in new if _same(text) not in known]
    if not gone and not new:
        return
    as_map = isinstance(found.value, yaml.MappingNode)
    in_block = isinstance(found.value, yaml.CollectionNode) and not found.value.flow_style
    if (kept or new) and in_block and (as_map or not any(": " in text for text in new)):
        for item in gone:
            lines.drop(item.first, item.last)
        lines.put((gone or items)[-1].last, *_indented(lines.indent(items[0].first), entries(new, as_map=as_map)))
    elif as_map and kept:
        raise _UnclearError  # what is kept has settings
    else:
        _replace(lines, found, _indented(pad, _rendered(key, [*kept, *new])))


def _rendered(key: str, values: str | Sequence[str]) -> list[str]:
    """A key as a compose file writes it; nothing for no value."""
    if isinstance(values, str):
        return [f"{key}: {values}"] if values else []
    return [f"{key}:", *(f"  {entry}" for entry in entries(values))] if values else []


def _substitute(lines: Lines, here: _Entry, substitution: Substitution) -> None:
    """Changes a value whose line is not known: only the line with the variable that it points at is."""
    import yaml

    environment = _entry(here.value, "environment")
    if isinstance(environment.value, yaml.SequenceNode):
        items = (item for item in _items(environment) if item.text.startswith(f"{substitution.variable}="))
        line = next((item.first for item in items), None)
    else:
        line = _entry(environment.value, substitution.variable).first
    if line is None:
        raise _UnclearError
    for old, new in substitution.pairs:
        if there := re.search(rf"(//|@)?{re.escape(old)}", lines.old[line]):
            before = there[1] or ""
            lines.swap(line, before + old, before + new.removeprefix(before))
            return
    raise _UnclearError


def _set(lines: Lines, root: yaml.Node | None, section: str, name: str, settings: Sequence[str]) -> None:
    """Settings of one of a section's entries, which is made where there is none."""
    found = _find(root, section)
    if found is None:
        lines.put(len(lines.old) - 1, *_under(section, _under(name, settings)))
    else:
        _write(lines, found, section, _under(name, settings))


def _write(lines: Lines, owner: _Entry, key: str, settings: Sequence[str]) -> None:
    """Settings, with those under them behind, in the block of a key."""
    import yaml

    if not owner.value.value:
        _replace(lines, owner, _indented(lines.indent(owner.first), _under(key, settings)))
        return
    starts = [n for n, setting in enumerate(settings) if not setting.startswith(" ")]
    for start, end in zip(starts, [*starts[1:], len(settings)], strict=True):
        name, _, value = settings[start].partition(":")
        inner = [setting.removeprefix("  ") for setting in settings[start + 1 : end]]
        there = _find(owner.value, name)
        if there is None:
            lines.put(owner.last, *_indented(_margin(owner.value), settings[start:end]))
        elif inner:
            _write(lines, there, name, inner)
        elif not isinstance(there.value, yaml.ScalarNode):
            raise _UnclearError
        elif there.value.value != value.strip(' "'):
            _replace(lines, there, [f"{_margin(owner.value)}{settings[start]}"])


def _replace(lines: Lines, entry: _Entry, new: Iterable[str]) -> None:
    if entry.in_flow:
        raise _UnclearError
    lines.drop(entry.first, entry.last)
    lines.put(entry.last, *new)


class _Item(NamedTuple):
    """An entry of a list, or of a mapping by its key."""

    text: str
    first: int
    last: int


def _items(entry: _Entry) -> list[_Item]:
    import yaml

    value = entry.value
    if isinstance(value, yaml.MappingNode):
        return [_Item(str(k.value), k.start_mark.line, _last_line(k, v)) for k, v in value.value]
    if isinstance(value, yaml.SequenceNode):
        return [_Item(_text(node), node.start_mark.line, _last_line(node, node)) for node in value.value]
    return [_Item(value.value, entry.first, entry.last)] if value.value else []


def _text(node: yaml.Node) -> str:
    """An entry of a list; a port in its long form as the short form has it."""
    import yaml

    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if not isinstance(node, yaml.MappingNode):
        raise _UnclearError
    port = {key.value: value.value for key, value in node.value}
    host = port.get("host_ip", "")
    address = f"{bracketed(host)}:" if host else ""
    published = f"{port['published']}:" if port.get("published") else ":" if host else ""
    return f"{address}{published}{port.get('target', '')}/{port.get('protocol', 'tcp')}"


def _same(text: str) -> str:
    """What entries have in common that mean the same: 80 and 80/tcp, a host with = and with :, a network and its settings."""
    return text.removesuffix("/tcp").replace("=", ":").partition(": ")[0]


def _under(key: str, lines: Iterable[str]) -> list[str]:
    return [f"{key}:", *_indented("  ", lines)]


def _scalar(text: str) -> str:
    # 22:22 unquoted is a number to base sixty in YAML 1.1
    return text if text.replace("-", "").replace("_", "").isalnum() and not text.isdigit() else json.dumps(text)


def _indented(pad: str, lines: Iterable[str]) -> list[str]:
    return [f"{pad}{line}" for line in lines]
