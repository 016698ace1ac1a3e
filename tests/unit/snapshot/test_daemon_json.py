"""daemon.json: where the mistake is, and the text as it was meant."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockernet_doctor.snapshot.daemon_json import parse_daemon_json

MISTAKES = [
    ('{"dns": ["1.1.1.1",]}', (1, 19), "comma stands after", '{"dns": ["1.1.1.1"]}'),
    ('{\n  "icc": true,\n}\n', (2, 14), "comma stands after", '{\n  "icc": true\n}\n'),
    ('{\n "icc": true\n "mtu": 1400\n}\n', (2, 13), "comma is missing", '{\n "icc": true,\n "mtu": 1400\n}\n'),
    ("{'bip': '10.1.0.1/24'}", (1, 2), "double quotes", '{"bip": "10.1.0.1/24"}'),
    ("{“mtu”: 1400}", (1, 2), "double quotes", '{"mtu": 1400}'),
    ('{"bip": "10.1.0.1/24\n}', (1, 9), "closing double quote", '{"bip": "10.1.0.1/24"\n}'),
    ('{"bip": "10.1.0.1/24,\n "mtu": 1}', (1, 9), "closing double quote", '{"bip": "10.1.0.1/24",\n "mtu": 1}'),
    ('{"mtu": 1400', (1, 13), "closing }", '{"mtu": 1400}\n'),
    ('{"dns": ["1.1.1.1"}', (1, 19), "} closes what [", '{"dns": ["1.1.1.1"]}'),
    ('{"mtu": 1400}}', (1, 14), "too many", '{"mtu": 1400}'),
    ('"mtu": 1400}', (1, 1), "opening {", '{"mtu": 1400}'),
    ('{"icc": true}, "mtu": 1400}', (1, 13), "too early", '{"icc": true, "mtu": 1400}'),
    ('{ // mine\n"mtu": 1400 # ours\n}', (1, 3), "no comments", '{\n"mtu": 1400\n}'),
    ("{mtu: 1400}", (1, 2), "double quotes", '{"mtu": 1400}'),
    ('{"icc": False}', (1, 9), "written false", '{"icc": false}'),
    ('{"mtu" 1400}', (1, 7), "colon is missing", '{"mtu" : 1400}'),
    ('{"mtu" = 1400}', (1, 8), "not =", '{"mtu": 1400}'),
    ('{"icc": true; "mtu": 1400}', (1, 13), "semicolon", '{"icc": true, "mtu": 1400}'),
    ('{"dns": [8.8.8.8]}', (1, 10), "8.8.8.8 wants", '{"dns": ["8.8.8.8"]}'),
    ('{"icc": true,, "mtu": 1400}', (1, 14), "comma too many", '{"icc": true, "mtu": 1400}'),
    ('{\n "bip: "10.1.0.1/24"\n}', (2, 2), "closing double quote", '{"bip": "10.1.0.1/24"}'),
    ('{\n\u00a0"mtu": 1400\n}', (2, 1), "U+00A0", '{"mtu": 1400}'),
    ('{\0"\0i\0c\0c\0"\0:\0t\0r\0u\0e\0}\0', (1, 2), "U+0000", '{"icc": true}'),
    ('{"labels": ["a=\tb"]}', (1, 16), "a tab is written", '{"labels": ["a=\\tb"]}'),
    ('{"mtu": 01400}', (1, 9), "01400 is written 1400", '{"mtu": 1400}'),
    ('{"mtu": 0x578}', (1, 9), "0x578 is written 1400", '{"mtu": 1400}'),
    ('{"mtu": 1400}\n{"icc": true}\n', (2, 1), "second object", '{"mtu": 1400, "icc": true}'),
    ('{"mtu": 1400}\nEOF\n', (2, 1), "EOF stands after", '{"mtu": 1400}'),
]


@pytest.mark.parametrize(("text", "place", "message", "meant"), MISTAKES, ids=[m[0][:24] for m in MISTAKES])
def test_mistake_is_placed_and_mended(text: str, place: tuple[int, int], message: str, meant: str) -> None:
    problem = parse_daemon_json(text).problem
    assert problem is not None
    assert (problem.line, problem.column) == place
    assert message in problem.message
    assert problem.corrected is not None
    assert json.loads(problem.corrected) == json.loads(meant)


@pytest.mark.parametrize("text", ["[]", "true", "export X=1", "<<<<<<< HEAD\n{}", '{"mtu": }', '{"mtu": NaN}', '{"mtu'])
def test_no_guess_where_none_is_safe(text: str) -> None:
    problem = parse_daemon_json(text).problem
    assert problem is not None
    assert problem.corrected is None


def test_empty_file_is_no_json_problem() -> None:
    assert parse_daemon_json(" \n").empty
    assert parse_daemon_json("\ufeff{}").problem is None


def test_keys_have_places_and_the_second_of_a_name_is_told() -> None:
    parsed = parse_daemon_json('{\n  "mtu": 1400,\n  "dns": ["1.1.1.1"],\n  "mtu": 1500\n}\n')
    assert [(k.name, k.line, k.column) for k in parsed.keys] == [("mtu", 2, 3), ("dns", 3, 3), ("mtu", 4, 3)]
    assert [(k.name, k.line) for k in parsed.twice] == [("mtu", 4)]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.text(max_size=8), values, max_size=5)


@given(objects, st.sampled_from([None, 2, "\t"]))
def test_every_object_is_read_back(value: dict[str, object], indent: int | str | None) -> None:
    parsed = parse_daemon_json(json.dumps(value, indent=indent, ensure_ascii=False))
    assert parsed.problem is None
    assert {key.name: key.value for key in parsed.keys} == value


@given(st.text(alphabet="{}[]\",:=;'# \n/ab1.\\tue", max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    parsed = parse_daemon_json(text)
    assert parsed.problem is None or parsed.problem.corrected is None or json.loads(parsed.problem.corrected) is not None
