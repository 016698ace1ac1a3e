"""daemon.json, read as dockerd reads it, with the place and the cure of what is wrong in it.

dockerd says "invalid character ']' looking for beginning of value" and no line; this says where, and gives the text as
it was meant. What the engines do with each mistake was tried on 20.10, 26.1 and 28.5: an unknown key, a value of the
wrong type and anything that is not JSON end the daemon; a key that stands twice does not, the last one holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from dockernet_doctor.decoding import with_whole_pairs
from dockernet_doctor.snapshot.model import Record


class Key(Record, frozen=True, kw_only=True):
    """A key at the top level of daemon.json, where it stands and its value as JSON has it."""

    name: str
    value: Any
    line: int
    column: int


class JsonProblem(Record, frozen=True, kw_only=True):
    """Why a text is not JSON; line and column (from 1) are those of the mistake, not of where a parser noticed it."""

    line: int
    column: int
    message: str
    corrected: str | None = None  # the whole text with the least change that makes it JSON; None: no safe guess


class DaemonJson(Record, frozen=True, kw_only=True):
    """A daemon.json; `keys` is empty where `problem` is set."""

    keys: tuple[Key, ...] = ()
    problem: JsonProblem | None = None
    empty: bool = False  # nothing in it at all: 20.10 ends with "EOF", from 23.0 that is a file without options

    @property
    def twice(self) -> tuple[Key, ...]:
        """Keys whose name came before: only the last of a name holds."""
        first: dict[str, Key] = {}
        return tuple(key for key in self.keys if first.setdefault(key.name, key) is not key)


def parse_daemon_json(text: str) -> DaemonJson:
    """Read the text of a daemon.json. Never raises: what is wrong is in `problem`."""
    text = with_whole_pairs(text.removeprefix("\ufeff"))
    if not text.strip():
        return DaemonJson(empty=True)
    if word := re.match(r"\s*((?![{\[\"'`/#\d-])[!-~]\S*)", text):
        line, column = _place(text, word.start(1))
        message = f"the file begins with {word[1]}, where dockerd wants one object: {{ … }}"
        return DaemonJson(problem=JsonProblem(line=line, column=column, message=message))
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return DaemonJson(problem=_explained(text, error))
    if not isinstance(value, dict):
        message = f"the file holds {_kind_of(value)}, where dockerd wants one object: {{ … }}"
        return DaemonJson(problem=JsonProblem(line=1, column=1, message=message))
    return DaemonJson(keys=_keys(text))


def _no_constant(word: str) -> Any:
    raise ValueError(word)


def _kind_of(value: object) -> str:
    kinds: tuple[tuple[type, str], ...] = ((bool, "a boolean"), (str, "a string"), (list, "a list"))
    return next((name for kind, name in kinds if isinstance(value, kind)), "a number or null")


def _keys(text: str) -> tuple[Key, ...]:
    """The top level's keys, twice where they stand twice, of a text that is known to be an object."""
    scan = json.JSONDecoder().raw_decode
    position = _after_space(text, 0) + 1
    keys = []
    line, counted = 1, 0
    while text[position := _after_space(text, position)] != "}":
        start = position
        name, position = scan(text, position)
        position = _after_space(text, _after_space(text, position) + 1)
        value, position = scan(text, position)
        line, counted = line + text.count("\n", counted, start), start
        keys.append(Key(name=name, value=value, line=line, column=start - text.rfind("\n", 0, start)))
        position = _after_space(text, position)
        if text[position] == ",":
            position += 1
    return tuple(keys)


def _after_space(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _place(text: str, position: int) -> tuple[int, int]:
    before = text[:position]
    return before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1


# --- what is wrong, and the text as it was meant --------------------------------------------------------------------

_MOST_REPAIRS = 25  # a file that needs more of them was never meant as JSON


class _Repair(Record, frozen=True, kw_only=True):
    at: int
    message: str
    text: str


def _explained(text: str, error: Exception) -> JsonProblem:
    first: _Repair | None = None
    repaired = text
    for _ in range(_MOST_REPAIRS):
        try:
            value = json.loads(repaired, parse_constant=_no_constant)
        except json.JSONDecodeError as problem:
            repair = _repair(repaired, problem)
        except (ValueError, RecursionError):
            repair = None
        else:
            corrected = repaired if isinstance(value, dict) else None
            break
        first = first or repair
        if repair is None or len(repair.text) > 2 * len(text) + 100:
            corrected = None
            break
        repaired = repair.text
    else:
        corrected = None
    position, message = (first.at, first.message) if first else _as_python_says(text, error)
    line, column = _place(text, min(position, len(text)))
    return JsonProblem(line=line, column=column, message=message, corrected=corrected)


def _as_python_says(text: str, error: Exception) -> tuple[int, str]:
    if isinstance(error, json.JSONDecodeError):
        return error.pos, error.msg[:1].lower() + error.msg[1:]
    return max(0, text.find(str(error))), f"{error} is no JSON value"


def _repair(text: str, error: json.JSONDecodeError) -> _Repair | None:
    """The least change that gets a parser past this error, or None."""
    at = _after_space(text, error.pos)
    if error.msg.startswith("Extra data"):
        return _extra(text, at)
    if error.msg.startswith("Invalid control character") and text[error.pos] != "\n":
        escaped = json.dumps(text[error.pos])[1:-1]
        changed = text[: error.pos] + escaped + text[error.pos + 1 :]
        return _Repair(at=error.pos, message=f"in a string {_NAMED.get(escaped, 'this')} is written {escaped}", text=changed)
    if error.msg.startswith(("Unterminated string", "Invalid control character")):
        return _close_string(text, error.pos)
    if error.msg.startswith("Invalid \\escape"):
        return _Repair(at=error.pos, message="a backslash in a string is written twice", text=_insert(text, error.pos, "\\"))
    if at == len(text):
        return _close_structure(text)
    repairs: tuple[Callable[[str, int], _Repair | None], ...] = (
        _drop_invisible,
        _drop_comment,
        _straight_quotes,
        _drop_trailing_comma,
        _drop_double_comma,
        _swap_bracket,
        _quote_address,
        _close_key,
        _colon,
        _comma,
        _quote_word,
    )
    return next((found for repair in repairs if (found := repair(text, at))), None)


def _insert(text: str, at: int, what: str) -> str:
    return text[:at] + what + text[at:]


def _before(text: str, at: int) -> int:
    """The position after the last character before `at` that is not white space."""
    return len(text[:at].rstrip())


def _drop_comment(text: str, at: int) -> _Repair | None:
    comment = re.compile(r"/\*.*?\*/|(?://|#)[^\n]*", re.S).match(text, at)
    if comment is None:
        return None
    return _Repair(at=at, message="JSON has no comments", text=text[:at].rstrip(" \t") + text[comment.end() :])


def _drop_invisible(text: str, at: int) -> _Repair | None:
    """Such as a non-breaking space that a web page left; NUL bytes are half of an UTF-16 text."""
    character = text[at]
    if character.isprintable() and not character.isspace():
        return None
    everywhere = "\0" if character == "\0" else rf'("(?:\\.|[^"\\\n])*"?)|{re.escape(character)}'
    changed = re.sub(everywhere, lambda match: (match.lastindex and match[1]) or "", text)
    return _Repair(at=at, message=f"an invisible character stands here (U+{ord(character):04X})", text=changed)


def _straight_quotes(text: str, at: int) -> _Repair | None:
    quoted = re.compile(r"'([^'\n]*)'|[“”„]([^“”\"\n]*)[“”\"]|`([^`\n]*)`").match(text, at)
    if quoted is None:
        return None
    word = next(group for group in quoted.groups() if group is not None)
    changed = text[:at] + json.dumps(word, ensure_ascii=False) + text[quoted.end() :]
    return _Repair(at=at, message='strings stand in straight double quotes (")', text=changed)


def _close_structure(text: str) -> _Repair | None:
    missing = "".join("}" if opened == "{" else "]" for opened in reversed(_open_brackets(text)))
    end = _before(text, len(text))
    if not missing or text[end - 1 : end] == ":":
        return None
    if text[end - 1 : end] == ",":
        return _Repair(at=end - 1, message="a comma stands after the last entry", text=text[: end - 1] + text[end:])
    newline = "\n" if "\n" in text.strip() else ""
    return _Repair(
        at=end,
        message=f"the closing {missing[0]} is missing",
        text=text[:end] + newline + missing + (text[end:] or "\n"),
    )


def _open_brackets(text: str) -> list[str]:
    opened: list[str] = []
    for token in re.finditer(r'"(?:\\.|[^"\\\n])*"?|[{}\[\]]', text):
        if token[0] in "{[":
            opened.append(token[0])
        elif token[0] in "}]" and opened:
            opened.pop()
    return opened


def _drop_trailing_comma(text: str, at: int) -> _Repair | None:
    # 3.13 reports the comma itself, earlier versions what follows it
    comma = at if text[at] == "," else _before(text, at) - 1
    follows = _after_space(text, comma + 1)
    if comma < 0 or text[comma] != "," or text[follows : follows + 1] not in ("}", "]"):
        return None
    return _Repair(at=comma, message="a comma stands after the last entry", text=text[:comma] + text[comma + 1 :])


def _drop_double_comma(text: str, at: int) -> _Repair | None:
    if text[at] != "," or text[_before(text, at) - 1 : _before(text, at)] not in (",", "{", "["):
        return None
    return _Repair(at=at, message="a comma too many", text=text[:at] + text[at + 1 :])


def _swap_bracket(text: str, at: int) -> _Repair | None:
    opened = _open_brackets(text[:at])
    if text[at] not in "}]" or not opened or text[_before(text, at) - 1] == ":":
        return None
    right = "}" if opened[-1] == "{" else "]"
    if text[at] == right:
        return None
    return _Repair(at=at, message=f"{text[at]} closes what {opened[-1]} opened", text=_insert(text, at, right))


def _colon(text: str, at: int) -> _Repair | None:
    key = re.search(r'[{,]\s*("(?:\\.|[^"\\\n])*")\s*\Z', text[:at])
    if key is None or _open_brackets(text[:at])[-1:] != ["{"] or text[at] in ",}]:":
        return None
    end = key.end(1)
    if text[at] == "=":
        return _Repair(at=at, message="a colon, not =, stands between key and value", text=text[:end] + ":" + text[at + 1 :])
    return _Repair(at=end, message="a colon is missing between key and value", text=_insert(text, end, ":"))


def _close_key(text: str, at: int) -> _Repair | None:
    """`"mtu: "1400"`: the string that was read ends in the colon that should follow it."""
    key = re.search(r'[{,]\s*("[^"\\\n:]*)(:\s*")\Z', text[:at])
    if key is None:
        return None
    changed = text[: key.end(1)] + '"' + text[key.end(1) :]
    return _Repair(at=key.start(1), message="the closing double quote is missing", text=changed)


def _comma(text: str, at: int) -> _Repair | None:
    end = _before(text, at)
    if not re.search(r'["}\]\w]\Z', text[:end]):
        return None
    if text[at] == ";":
        return _Repair(at=at, message="a comma, not a semicolon, parts entries", text=text[:end] + "," + text[at + 1 :])
    if not re.match(r'["\'{\[\w-]', text[at:]):
        return None
    return _Repair(at=end, message="a comma is missing after this entry", text=_insert(text, end, ","))


_NAMED = {"\\t": "a tab", "\\r": "a carriage return"}
_JSON_WORDS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false", "None": "null", "NULL": "null"}


def _quote_address(text: str, at: int) -> _Repair | None:
    """1.1.1.1 without quotes: a parser takes the 1.1 for a number and stumbles over the rest."""
    start = len(text[:at].rstrip("-.0123456789"))
    rest = re.compile(r"[\w.:/-]+").match(text, at)
    if start == at or rest is None:
        return None
    word = text[start:at] + rest[0]
    if plain := re.fullmatch(r"0+(\d+)|(0x[\da-fA-F]+)", word):
        right = plain[1] or str(int(plain[2], 16))
        return _Repair(at=start, message=f"{word} is written {right}", text=text[:start] + right + text[rest.end() :])
    changed = text[:start] + f'"{word}"' + text[rest.end() :]
    return _Repair(at=start, message=f"{word} wants double quotes", text=changed)


def _quote_word(text: str, at: int) -> _Repair | None:
    word = re.compile(r"[A-Za-z0-9_./:@-]*[A-Za-z0-9_/-]").match(text, at)
    if word is None or word[0] in ("true", "false", "null"):
        return None
    if word[0] in _JSON_WORDS:
        right = _JSON_WORDS[word[0]]
        return _Repair(at=at, message=f"{word[0]} is written {right}", text=text[:at] + right + text[word.end() :])
    changed = text[:at] + f'"{word[0]}"' + text[word.end() :]
    return _Repair(at=at, message=f"{word[0]} wants double quotes", text=changed)


def _close_string(text: str, at: int) -> _Repair | None:
    start = at if text[at : at + 1] == '"' else text.rfind('"', 0, at)
    end = text.find("\n", start)
    line = text[start : end if end >= 0 else len(text)]
    body = '"' + line[1:].rstrip().rstrip(",]}:").rstrip()  # what stands behind it was meant to stand outside of the string
    if start < 0 or '"' in body[1:]:
        return None
    return _Repair(at=start, message="the closing double quote is missing", text=_insert(text, start + len(body), '"'))


def _extra(text: str, at: int) -> _Repair | None:
    """Something stands after the first value."""
    if text[at] in "}]":
        return _Repair(at=at, message=f"a {text[at]} too many", text=text[:at] + text[at + 1 :])
    if text[at] == ":" and text.lstrip().startswith('"'):
        start = _after_space(text, 0)
        return _Repair(at=start, message="the opening { is missing", text=text[:start] + "{" + text[start:])
    if comment := _drop_comment(text, at):
        return comment
    end = _before(text, at)
    if text[at] == "{" and text[end - 1] == "}":
        message = "a second object begins here, where dockerd wants one"
        return _Repair(at=at, message=message, text=text[: end - 1].rstrip() + "," + text[at + 1 :])
    if word := re.compile(r"\w+\s*\Z").match(text, at):
        return _Repair(at=at, message=f"{word[0].strip()} stands after the file's object", text=text[:at])
    if text[at] in ',"' and text[end - 1] == "}":
        return _Repair(at=end - 1, message="this } ends the file's object too early", text=text[: end - 1] + text[end:])
    return None
