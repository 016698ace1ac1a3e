"""What each format makes of the same diagnosis: golden files, and what a stranger's names must not do."""

from __future__ import annotations

import json as stdlib_json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dockernet_doctor.__main__ import run
from dockernet_doctor.diagnosis.finding import Evidence
from dockernet_doctor.diagnosis.run import HostBlindSpot
from dockernet_doctor.report import formats, html, json, junit, markdown, text
from dockernet_doctor.report.model import Report, ReportClients, View
from dockernet_doctor.report.words import titles, visible
from dockernet_doctor.shell import command
from dockernet_doctor.snapshot.model import BY_ROOT, BlindSpot

from .cases import (
    BROKEN_PATH,
    BY_HAND,
    DOWN,
    GOOD_PATH,
    LOG_SPOT,
    LOOPBACK,
    REMARK,
    SYMPTOM,
    UNKNOWN_PATH,
    answer,
    diagnosis,
    view,
)

few = settings(max_examples=15, deadline=None)
GOLDEN = Path(__file__).parent / "golden"
ALL_FORMATS = ("text", "json", "markdown", "html", "junit")


def broken() -> View:
    return view(diagnosis([LOOPBACK, SYMPTOM], paths=[BROKEN_PATH], blind_spots=[LOG_SPOT], answers=[answer()]))


def found(*, verbose: bool = False) -> View:
    made = diagnosis([LOOPBACK, SYMPTOM, BY_HAND, REMARK], blind_spots=[LOG_SPOT], answers=[answer()])
    return view(made, verbose=verbose)


TEXTS = {
    "reach-broken": broken(),
    "reach-good": view(diagnosis(paths=[GOOD_PATH], answers=[answer("open")])),
    "reach-partly": view(diagnosis(paths=[GOOD_PATH, BROKEN_PATH])),
    "reach-unknown": view(diagnosis(paths=[UNKNOWN_PATH])),
    "check-found": found(),
    "check-verbose": found(verbose=True),
    "check-healthy": view(diagnosis(answers=[answer("open")])),
    "check-healthy-blind": view(diagnosis(blind_spots=[LOG_SPOT])),
    "check-named": view(diagnosis(paths=[GOOD_PATH, GOOD_PATH, UNKNOWN_PATH], answers=[answer("open")]), about=["web", "api"]),
    "check-named-blind": view(diagnosis(blind_spots=[LOG_SPOT]), about=["web"]),
    "check-remarks": view(diagnosis([REMARK])),
    "check-down": view(diagnosis(snapshots=[DOWN], blind_spots=[LOG_SPOT], complete=False)),
    "check-suppressed": view(diagnosis(suppressed=[(LOOPBACK, "--skip")])),
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_at_80_columns(name: str) -> None:
    assert text.render(TEXTS[name]) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", TEXTS)
def test_only_sentences_that_are_passed_on_and_commands_are_wider_than_the_terminal(name: str) -> None:
    shown = TEXTS[name]
    whole = {visible(f.summary) for f in shown.report.findings}
    whole |= {visible(command) for f in shown.report.findings for fix in f.fixes for command in fix.commands}
    for line in text.render(shown).splitlines()[1:]:
        assert len(line) <= 80 or any(part in line for part in whole), line


def test_the_first_lines_are_the_summary_and_the_command_that_mends() -> None:
    for shown in (broken(), found()):
        lines = text.render(shown).splitlines()
        assert lines[0] == f"✗ {LOOPBACK.summary}"
        assert lines[1].strip() == LOOPBACK.fixes[0].commands[0]


def test_nothing_is_printed_twice() -> None:
    for shown in (broken(), found(), found(verbose=True)):
        lines = [line.strip() for line in text.render(shown).splitlines() if line.strip()]
        assert len(lines) == len(set(lines))


def test_a_blind_spot_is_never_called_healthy() -> None:
    shown = text.render(TEXTS["check-healthy-blind"])
    assert "in what could be seen" in shown
    assert "not readable without root" in shown


def test_what_has_no_fault_is_named() -> None:
    for render in (text.render, markdown.render, html.render):
        assert "o fault found for web" in render(TEXTS["check-named-blind"])
        assert "o fault found for" not in render(TEXTS["check-healthy-blind"])


def test_colours_are_all_that_colour_adds() -> None:
    shown = text.render(found(), paint=text.coloured)
    assert "\x1b[31;1m✗" in shown
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown).split() == text.render(found()).split()
    assert "\x1b[31m-  localhost:5432\x1b[0m\n    \x1b[32m+  db:5432\x1b[0m\n" in shown


def test_a_compose_file_is_changed_by_a_diff_and_the_command_that_brings_it_up() -> None:
    """The commands that make the change are in JSON and in the script."""
    diff = "--- /srv/shop/compose.yaml\n+++ /srv/shop/compose.yaml\n@@ -1 +1 @@\n-a\n+b\n"
    up = command("docker", "compose", "-f", "/srv/shop/compose.yaml", "up", "-d", "api")
    fix = replace(BY_HAND.fixes[0], commands=(command("sed", "-i.before", "-e", "x"), up), runnable=True)
    fix = replace(fix, edits=(replace(fix.edits[0], diff=diff),))
    shown = text.render(view(diagnosis((replace(BY_HAND, fixes=(fix,)),))))
    assert f"  /srv/shop/compose.yaml:\n    @@ -1 +1 @@\n    -a\n    +b\n  {up}\n" in shown
    assert "sed" not in shown


@pytest.mark.parametrize("width", [60, 100, 120])
def test_other_widths(width: int) -> None:
    lines = text.render(TEXTS["reach-broken"], width=width).splitlines()
    assert all(len(line) <= width for line in lines[4:])


# --- JSON


def test_every_key_is_there_and_lists_are_never_null() -> None:
    for shown in (broken(), view(diagnosis(snapshots=[DOWN], complete=False))):
        parsed = stdlib_json.loads(json.render(shown.report))
        assert set(parsed) == set(Report.__struct_fields__)
        assert parsed["hosts"][0].keys() == {"name", "source", "taken_at", "engine"}
        assert not [key for key, value in _items(parsed) if value is None and key not in NULLABLE]
    assert parsed["verdict"] is None
    assert parsed["hosts"][0]["engine"] is None


NULLABLE = {"verdict", "engine", "because_of", "hop", "samples", "latency_ms", "address", "family", "port", "until"}


def _items(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            yield from _items(item)
    elif isinstance(value, list):
        for item in value:
            yield from _items(item)


def test_the_report_reads_back() -> None:
    report = broken().report
    assert msgspec.json.decode(json.render(report), type=Report) == report


def test_a_suppressed_finding_says_by_what() -> None:
    parsed = stdlib_json.loads(json.render(TEXTS["check-suppressed"].report))
    (suppressed,) = parsed["suppressed"]
    assert suppressed["suppression"] == {"reason": "--skip", "until": None, "from": "command line"}
    assert suppressed["id"] == LOOPBACK.id


def test_counts_of_probes_tell_sent_from_answered_from_not_sent() -> None:
    answers = [answer("open", sample=1), answer("timeout", sample=2), answer("not-sent", sample=3)]
    counts = view(diagnosis(answers=answers)).report.probe_counts
    assert (counts.sent, counts.answered, counts.failed) == (2, 1, 1)


# --- JUnit


def test_junit_fails_what_the_exit_status_fails() -> None:
    root = ElementTree.fromstring(junit.render(found()))
    assert (root.get("failures"), root.get("errors")) == ("2", "0")
    assert {case.get("classname") for case in root.iter("testcase") if case.find("failure") is not None} == {
        "port-bound-to-loopback",
        "listener-on-loopback",
    }
    assert ElementTree.fromstring(junit.render(view(diagnosis()))).get("failures") == "0"


def test_junit_has_an_error_where_not_everything_was_examined() -> None:
    root = ElementTree.fromstring(junit.render(TEXTS["check-down"]))
    assert root.get("errors") == "1"
    assert ElementTree.fromstring(junit.render(TEXTS["reach-unknown"])).get("errors") == "1"


# --- names from strangers


NASTY = st.text(alphabet=st.characters(), min_size=1, max_size=20) | st.sampled_from(
    ["<script>alert(1)</script>", "a|b`c`", "]]>", "&amp;", "\"'", "\x1b[31m", "```", "web\u202egnp", "# head\n- item"]
)


def nasty_view(name: str) -> View:
    finding = replace(
        LOOPBACK,
        summary=f"{name} cannot be reached.",
        subject=replace(LOOPBACK.subject, name=name),
        evidence=(Evidence(fact=name, value=name, source=name),),
    )
    path = replace(BROKEN_PATH, destination=replace(BROKEN_PATH.destination, name=name))
    spot = replace(LOG_SPOT, spot=replace(LOG_SPOT.spot, what=name, why=name))
    return view(diagnosis([finding], paths=[path], blind_spots=[spot]), verbose=True)


@few
@given(NASTY)
def test_no_format_lets_a_control_character_through(name: str) -> None:
    shown = nasty_view(name)
    for name_of_format in ALL_FORMATS:
        rendered = formats.render(shown, name_of_format)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", rendered)


@few
@given(NASTY, NASTY)
def test_no_name_begins_a_line(before: str, after: str) -> None:
    """In the formats that wrap nothing a report has as many lines, whatever its names; in text a line is one of ours."""
    plain, nasty = nasty_view("web"), nasty_view(f"{before}\n{after}\nx")
    for name_of_format in ("markdown", "html", "junit"):
        assert len(formats.render(nasty, name_of_format).split("\n")) == len(formats.render(plain, name_of_format).split("\n"))
    forged = nasty_view("web\nFORGED\r\nFORGED\u2028FORGED")
    assert not re.search(r"^\W*FORGED", formats.render(forged, "text"), re.MULTILINE)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@few
@given(NASTY)
def test_html_holds_no_element_that_is_not_ours(name: str) -> None:
    parser, plain = _Tags(), _Tags()
    parser.feed(html.render(nasty_view(name)))
    plain.feed(html.render(nasty_view("web")))
    assert parser.tags == plain.tags
    assert visible(name) in parser.text


@few
@given(NASTY)
def test_junit_is_xml_whatever_the_names_are(name: str) -> None:
    root = ElementTree.fromstring(junit.render(nasty_view(name)))
    assert [case.get("classname") for case in root.iter("testcase")] == ["path", LOOPBACK.cause, "no-listener"]


@few
@given(NASTY)
def test_json_keeps_names_exactly(name: str) -> None:
    parsed = stdlib_json.loads(json.render(nasty_view(name).report))
    exact = visible(name) if re.search("[\ud800-\udfff]", name) else name
    assert parsed["findings"][0]["subject"]["name"] == exact


@few
@given(NASTY)
def test_markdown_code_spans_and_tables_stay_whole(name: str) -> None:
    rows = [line for line in markdown.render(nasty_view(name)).splitlines() if line.startswith("| publish")]
    assert len(rows) == 1
    span = markdown.code(name)
    fence = re.match("`+", span)
    assert fence is not None
    assert fence[0] not in span[len(fence[0]) : -len(fence[0])]


def test_brief_json_is_what_a_chat_needs() -> None:
    shown = view(diagnosis([LOOPBACK]))
    made = msgspec.json.decode(formats.render(replace(shown, brief=True), "json"))
    assert made["schema"] == "dockernet-doctor/brief/1"
    assert [finding["id"] for finding in made["findings"]] == [finding.id for finding in shown.report.findings]
    assert set(made["findings"][0]) == {"id", "severity", "summary", "confidence", "fix"}


def test_brief_json_of_the_demo_is_under_five_kilobytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--format", "json", "--brief"]) == 0
    assert len(capsys.readouterr().out.encode()) < 5000


def test_many_findings_of_one_cause_are_one_block() -> None:
    found = [replace(LOOPBACK, subject=replace(LOOPBACK.subject, name=f"web{n}:80/tcp"), severity="error") for n in range(9)]
    lines = text.render(view(diagnosis(found))).splitlines()
    assert sum(line.startswith("✗") for line in lines) == 1
    assert sum(line.startswith("  ✗") for line in lines) == 3
    assert any(line.startswith("  and 5 like it: ") for line in lines)
    shown = text.render(replace(view(diagnosis(found)), verbose=True))
    assert sum(line.startswith("✗") for line in shown.splitlines()) == 9


def test_what_comes_after_ten_blocks_is_a_line_each() -> None:
    found = [replace(LOOPBACK, cause=f"cause-{n}", severity="error") for n in range(13)]
    blocks = text.render(view(diagnosis(found))).split("\n\n")
    assert [block.count("\n") > 0 for block in blocks[:10]] == [True] * 10
    assert blocks[10].count("(cause-1") == 3


def test_all_that_root_would_see_is_one_line() -> None:
    def unseen(what: str, why: str, remedy: str) -> HostBlindSpot:
        return HostBlindSpot(host="h1", spot=BlindSpot(area="log", what=what, why=why, remedy=remedy))

    spots = [unseen(what, "Permission denied", BY_ROOT) for what in ("the log", "the rules")]
    shown = text.render(view(diagnosis(blind_spots=[*spots, unseen("the way", "no nmap", "install nmap")])))
    assert "Not seen without root: the log and the rules. To see it: sudo" in shown
    assert shown.count("Permission denied") == 0
    assert "Not seen: the way: no nmap (install nmap)." in shown
    alone = text.render(view(diagnosis(blind_spots=spots[:1])))
    assert "Not seen: the log: Permission denied (run as root)." in alone


def test_a_remark_with_an_error_under_it_is_no_clean_bill() -> None:
    """Seen failing: "no fault found" above a container that was not running, and exit status 1."""
    view = found()
    root, symptom = (replace(it, because_of=None) for it in view.report.findings[:2])
    under = replace(symptom, severity="error", because_of=root.id)
    shown = text.render(replace(view, report=replace(view.report, findings=(replace(root, severity="info"), under))))
    assert "no fault found" not in shown
    assert shown.startswith(f"i {root.summary}\n  ")


def test_other_machines_that_go_different_ways_are_told_apart() -> None:
    """Seen failing: two ways of one title, one unreachable and one reachable."""
    view = broken()
    path = replace(view.report.paths[0], source="outside")
    here, there = (ReportClients(interface="eth1", via=via, prefixes=("10.9.0.0/16",), family=4) for via in ("", "10.9.0.1"))
    paths = (replace(path, clients=(here,)), replace(path, clients=(there,), verdict="reachable"))
    assert titles(paths)[0].startswith("clients in 10.9.0.0/16 on eth1 → ")
    assert titles(paths)[1].startswith("clients behind 10.9.0.0/16 on eth1 → ")
    assert titles((paths[0], replace(paths[0], clients=(there,))))[0].startswith("another machine → ")


def test_what_a_printed_script_costs_is_said_of_the_script() -> None:
    view = found()
    (fix, *_), commands = view.report.findings[0].fixes, (command("docker", "ps"),) * 9
    long = replace(fix, commands=commands, impacts=("edits-file", "restarts-daemon", "restarts-container"))
    shown = text.render(replace(view, report=replace(view.report, findings=(replace(view.report.findings[0], fixes=(long,)),))))
    said = "prints a script with its undo; the script edits a file and restarts the daemon and its containers"
    assert said in " ".join(shown.replace("\n  #", "").split())
