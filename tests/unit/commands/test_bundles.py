"""Verbs on bundles: the whole way from a file to a report, without Docker and without root."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from dockernet_doctor.__main__ import run
from dockernet_doctor.report.map_boxes import FOLDED_FROM
from dockernet_doctor.snapshot import bundle
from dockernet_doctor.snapshot.dump_size import MOST_RULES
from dockernet_doctor.snapshot.model import Compose, FirewallDump, Snapshot, State
from tests.unit.diagnosis.fleets import fleet
from tests.unit.grown import grown
from tests.unit.report.cases import API, JOB, SNAPSHOT, WEB

Capture = pytest.CaptureFixture[str]


def saved(directory: Path, snapshot: Snapshot = SNAPSHOT, name: str = "h1.bundle") -> str:
    path = directory / name
    bundle.save(str(path), bundle.Bundle(snapshot=snapshot))
    return str(path)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return saved(tmp_path)


def report(capture: Capture) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(capture.readouterr().out)
    return parsed


def test_check_reports_and_its_status_is_the_same_in_every_format(path: str, capsys: Capture) -> None:
    statuses = set()
    for name in ("text", "json", "markdown", "html", "junit"):
        statuses.add(run(["--bundle", path, "check", "--format", name]))
        shown = capsys.readouterr()
        assert shown.out
        assert shown.err == ""
    assert len(statuses) == 1


def test_without_a_verb_it_checks(path: str, capsys: Capture) -> None:
    assert run(["--bundle", path, "--format", "json"]) in (0, 1)
    parsed = report(capsys)
    assert parsed["schema"] == "dockernet-doctor/report/1"
    assert parsed["invocation"]["verb"] == "check"
    assert parsed["hosts"][0]["source"] == "bundle"
    assert parsed["verdict"] is None


def test_an_unknown_container_is_not_examined_and_named(path: str, capsys: Capture) -> None:
    assert run(["check", "wep", "--bundle", path, "--format", "json"]) == 3
    parsed = report(capsys)
    assert parsed["complete"] is False
    spot = next(spot for spot in parsed["blind_spots"] if "wep" in spot["what"])
    assert "web" in spot["remedy"]


@pytest.mark.parametrize("reference", ["web", "/web", WEB.id, "api"])
def test_a_container_is_known_by_name_and_by_id(reference: str, path: str, capsys: Capture) -> None:
    assert run(["check", reference, "--bundle", path, "--format", "json"]) in (0, 1)
    assert report(capsys)["complete"] is True


def test_reach_has_paths_and_a_verdict(path: str, capsys: Capture) -> None:
    assert run(["reach", "outside", "web:80", "--bundle", path, "--format", "json"]) == 1
    parsed = report(capsys)
    assert parsed["verdict"] == "unreachable"
    assert parsed["paths"][0]["source"].startswith("outside")
    assert parsed["findings"][0]["cause"] == "port-bound-to-loopback"


def test_an_unknown_source_is_not_examined(path: str, capsys: Capture) -> None:
    assert run(["reach", "nobody", "web:80", "--bundle", path, "--format", "json"]) == 3
    parsed = report(capsys)
    assert (parsed["complete"], parsed["verdict"]) == (False, "unknown")


def test_skip_suppresses_and_says_so(path: str, capsys: Capture) -> None:
    run(["check", "--bundle", path, "--skip", "port-bound-*", "--format", "json"])
    parsed = report(capsys)
    assert "port-bound-to-loopback" not in {finding["cause"] for finding in parsed["findings"]}
    result = {check["cause"]: check["result"] for check in parsed["checks"]}
    assert result["port-bound-to-loopback"] == "skipped"


@pytest.mark.parametrize("content", [b"", b"{}", b"\x1f\x8b\x08broken", b"not a bundle"])
def test_a_broken_bundle_is_a_blind_spot(content: bytes, tmp_path: Path, capsys: Capture) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(content)
    assert run(["check", "--bundle", str(broken), "--bundle", saved(tmp_path), "--format", "json"]) == 3
    parsed = report(capsys)
    assert [host["name"] for host in parsed["hosts"]] == ["broken", "h1"]
    assert any("broken" in spot["what"] for spot in parsed["blind_spots"])


def test_a_firewall_of_too_many_rules_is_a_blind_spot_and_what_needs_it_is_not_clear(tmp_path: Path, capsys: Capture) -> None:
    [snapshot] = fleet(1)
    assert snapshot.host
    rules = "-A FORWARD -s 192.0.2.1 -j DROP\n" * (MOST_RULES + 1)
    dump = FirewallDump(tool="iptables-legacy", family=4, text=f"*filter\n:FORWARD ACCEPT [0:0]\n{rules}COMMIT\n")
    host = replace(snapshot.host, stack=replace(snapshot.host.stack, firewall=(dump,)))
    run(["--bundle", saved(tmp_path, replace(snapshot, host=host)), "check", "--format", "json"])
    parsed = report(capsys)
    [spot] = parsed["blind_spots"]
    assert spot["area"] == "firewall"
    assert "200,001 rules are too many" in spot["why"]
    results = {check["cause"]: check["result"] for check in parsed["checks"]}
    assert {"firewall-drops-traffic", "docker-rules-missing"} < set(spot["hides"])
    assert {results[cause] for cause in spot["hides"]} == {"not-examined"}


def test_two_hosts_of_one_name_are_told_apart(tmp_path: Path, capsys: Capture) -> None:
    first, second = saved(tmp_path), saved(tmp_path, name="other.bundle")
    run(["check", "--bundle", first, "--bundle", second, "--format", "json"])
    assert [host["name"] for host in report(capsys)["hosts"]] == ["h1", "h1-2"]


def test_with_several_hosts_the_one_that_is_meant_is_found_or_asked_for(tmp_path: Path, capsys: Capture) -> None:
    both = saved(tmp_path)
    web_only = saved(tmp_path, replace(SNAPSHOT, name="h2", containers=(replace(JOB, name="other"),)), "h2.bundle")
    bundles = ["--bundle", both, "--bundle", web_only, "--format", "json"]
    assert run(["reach", "outside", "web:80", *bundles]) == 1
    assert report(capsys)["paths"][0]["source"] == "outside@h1"
    assert run(["reach", "other", "web:80@h1", *bundles]) in (1, 3)
    assert report(capsys)["paths"][0]["source"] == "other@h2"
    for wrong in (["outside", "db:80"], ["web@h3", "db"], ["web", "db@h3"]):
        assert run(["reach", *wrong, *bundles]) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert "h2" in shown.err


def test_several_formats_at_once(path: str, tmp_path: Path, capsys: Capture) -> None:
    outputs = [f"{name}={tmp_path / name}" for name in ("json", "html", "junit", "markdown", "text")]
    arguments = [word for output in outputs for word in ("--output", output)]
    status = run(["check", "--bundle", path, *arguments])
    assert status in (0, 1)
    assert json.loads((tmp_path / "json").read_text())["invocation"]["verb"] == "check"
    assert ElementTree.fromstring((tmp_path / "junit").read_text()).tag == "testsuites"
    assert capsys.readouterr().out.splitlines()[0] == (tmp_path / "text").read_text().splitlines()[0]
    assert not [name for name in tmp_path.iterdir() if name.name.startswith(".")]


def test_a_report_that_cannot_be_written_gives_4_and_is_printed_all_the_same(
    path: str, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "kept").write_text("old")
    wrong = tmp_path / "missing" / "report.json"
    assert run(["check", "--bundle", path, "--output", f"json={wrong}", "--output", f"json={tmp_path / 'kept'}"]) == 4
    shown = capsys.readouterr()
    assert "web" in shown.out
    assert shown.err.splitlines() == [f"dockernet-doctor: the report could not be written: {wrong}: No such file or directory"]
    assert json.loads((tmp_path / "kept").read_text())["schema"] == "dockernet-doctor/report/1"


def test_plan_sends_nothing_and_lists_what_would_be_sent(path: str, capsys: Capture) -> None:
    assert run(["plan", "check", "--bundle", path, "--format", "json"]) == 0
    parsed = report(capsys)
    assert parsed["schema"] == "dockernet-doctor/plan/1"
    assert {"vantage": "host", "probe": "tcp", "target": "127.0.0.1:8080"}.items() <= parsed["probes"][0].items()
    assert run(["plan", "reach", "web", "127.0.0.1:99", "--bundle", path]) == 0
    assert "127.0.0.1:99" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["plan", "check", "nobody"], ["plan", "reach", "nobody", "web:80"], ["ports", "nobody"]])
def test_what_was_named_and_is_not_there_was_not_examined(path: str, arguments: list[str], capsys: Capture) -> None:
    assert run([*arguments, "--bundle", path]) == 3
    assert "Not seen: no container is named nobody (docker ps -a lists them)." in capsys.readouterr().out
    assert run([*arguments, "--bundle", path, "--format", "json"]) == 3
    parsed = report(capsys)
    assert (parsed["complete"], [spot["what"] for spot in parsed["blind_spots"]]) == (False, ["no container is named nobody"])


def test_map_in_every_format(path: str, capsys: Capture) -> None:
    shown = {}
    for name in ("text", "json", "mermaid", "dot", "svg"):
        assert run(["map", "--bundle", path, "--format", name]) == 0
        shown[name] = capsys.readouterr().out
        assert all(container.name in shown[name] for container in (WEB, API, JOB))
    assert "172.18.0.2" in shown["text"]
    assert ElementTree.fromstring(shown["svg"]).tag.endswith("svg")
    assert json.loads(shown["json"])["schema"] == "dockernet-doctor/map/1"


def shapes(svg: str, kind: str) -> list[str]:
    """The classes of the drawn shapes of that kind."""
    return [of.get("class", "") for of in ElementTree.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{kind}")]


def test_the_map_shows_state_and_findings_where_they_belong(capsys: Capture) -> None:
    assert run(["demo", "map", "--format", "svg"]) == 0
    svg = capsys.readouterr().out
    assert "box bad paused" in shapes(svg, "rect")  # search
    assert shapes(svg, "polygon").count("box bad down") == 2  # importer and web-new
    assert shapes(svg, "circle") == ["end"]  # api stands in back, and its line ends at front
    assert run(["demo", "map", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    places = {(f["container"], f["network"]) for f in shown["findings"] if f["cause"] == "container-paused"}
    assert places == {("search", "")}
    assert {f["severity"] for f in shown["findings"]} == {"error", "warning"}


def test_the_map_of_a_container_has_its_networks_only(capsys: Capture) -> None:
    assert run(["demo", "map", "db", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [network["name"] for network in shown["networks"]] == ["back"]
    assert {c["name"] for c in shown["containers"]} == {"api", "cache", "db", "importer", "worker"}
    assert run(["demo", "map", "dbx"]) == 3
    assert "no container is named dbx (did you mean db?)" in capsys.readouterr().err


def test_a_hundred_containers_are_folded_by_project(tmp_path: Path, capsys: Capture) -> None:
    many = [
        replace(WEB, name=f"shop-web-{i}", id=f"{i:064x}", ports=(), compose=Compose(project="shop", service="web"))
        for i in range(FOLDED_FROM)
    ]
    for containers, drawn in ((many, 1), (many[1:], FOLDED_FROM - 1)):
        path = saved(tmp_path, replace(SNAPSHOT, containers=tuple(containers)))
        assert run(["map", "--bundle", path, "--format", "svg"]) == 0
        svg = capsys.readouterr().out
        assert sum(kind.startswith("box") for kind in shapes(svg, "rect")) - 2 == drawn  # two are the legend's
        assert (f">{FOLDED_FROM} containers<" in svg) is (drawn == 1)


def test_a_hundred_containers_with_twenty_faults_are_under_120_lines(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    faults = (
        State(status="paused", running=True, paused=True),
        State(status="exited", exit_code=1),
        State(status="restarting", running=True, restarting=True, exit_code=137, oom_killed=True),
        State(status="created", error="port is already allocated"),
    )
    healthy = grown(containers=100, networks=5)
    sick = tuple(
        container if number % 5 else replace(container, state=faults[number // 5 % len(faults)])
        for number, container in enumerate(healthy.containers)
    )
    assert run(["check", "--bundle", saved(tmp_path, replace(healthy, containers=sick))]) == 1
    shown = capsys.readouterr().out
    assert "20 errors in 100 containers" in shown
    assert shown.count("\n") <= 120


@pytest.mark.parametrize("verb", [["fix", "container-paused"], ["collect", "-"]])
def test_a_format_that_a_verb_has_not_is_refused_in_one_line(verb: list[str], capsys: Capture) -> None:
    assert run(["--format", "json", "demo", *verb]) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert "unknown format 'json' here; choose text" in shown.err


def test_names_from_strangers_in_the_map(tmp_path: Path, capsys: Capture) -> None:
    network = replace(SNAPSHOT.networks[1], name='a"]<b>&\x1b[31m;x')
    web = replace(WEB, endpoints=(replace(WEB.endpoints[0], network=network.name),))
    path = saved(tmp_path, replace(SNAPSHOT, networks=(network,), containers=(web,)))
    for name in ("text", "mermaid", "dot", "svg", "json"):
        assert run(["map", "--bundle", path, "--format", name]) == 0
        shown = capsys.readouterr().out
        assert "\x1b" not in shown
        if name == "svg":
            ElementTree.fromstring(shown)
        if name == "dot":
            assert re.search(r'label="a\\"\]<b>', shown)
        if name == "mermaid":
            assert '"]<b>' not in shown


def test_collect_of_a_bundle_gives_the_bundle(path: str, tmp_path: Path, capsys: Capture) -> None:
    again = tmp_path / "again"
    assert run(["collect", str(again), "--bundle", path]) == 0
    assert bundle.load(str(again)) == bundle.load(path)
    assert capsys.readouterr().out == ""
    assert again.stat().st_mode & 0o777 == 0o600


def test_a_preview_writes_nothing_and_shows_what_would_go(tmp_path: Path, capsys: Capture) -> None:
    unwritten = tmp_path / "no.bundle"
    assert run(["demo", "collect", "--preview", "--pseudonymise", str(unwritten)]) == 0
    shown = capsys.readouterr().out
    assert not unwritten.exists()
    assert "  environment of " in shown
    assert re.search(r"^  metrics → [a-z]+$", shown, re.MULTILINE)
    assert "  images: net-test" in shown


def test_an_existing_bundle_is_redacted_again_and_the_way_back_is_the_owners(tmp_path: Path, capsys: Capture) -> None:
    first, second, back = tmp_path / "1", tmp_path / "2", tmp_path / "back.json"
    assert run(["demo", "collect", str(first)]) == 0
    again = ["collect", "--bundle", str(first), "--pseudonymise", "--map", str(back), str(second)]
    assert run(again) == 0
    assert back.stat().st_mode & 0o777 == 0o600
    names = json.loads(back.read_text())["names"]
    assert "metrics" in {names[container.name] for container in bundle.load(str(second)).snapshot.containers}
    assert run(["collect", "--map", str(back), str(second)]) == 2
    assert "--map keeps the way back of --pseudonymise" in capsys.readouterr().err
    for same in (str(second), f"{tmp_path}/./{second.name}", str(first), "-"):
        assert run([*again[:5], same, str(second)]) == 2
        assert "a file of its own" in capsys.readouterr().err
    assert run(["collect"]) == 2


def test_the_demo_shows_many_faults_and_exits_0(capsys: Capture) -> None:
    assert run(["demo", "--format", "json"]) == 0
    parsed = report(capsys)
    assert len({finding["cause"] for finding in parsed["findings"] if finding["severity"] == "error"}) >= 6
    assert parsed["invocation"]["verb"] == "demo"
    accused = {finding["subject"]["name"] for finding in parsed["findings"]}
    assert not accused & {"container:web", "web", "api", "cache"}
    assert run(["demo"]) == 0
    assert capsys.readouterr().out.startswith("✗ ")
    for verbose in ([], ["-v"]):
        assert run(["demo", *verbose]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line and not line.startswith("  # ")]
        assert all(len(line) <= 400 for line in lines)
        assert len(set(lines)) == len(lines)  # nothing is said twice


def test_any_verb_works_on_the_recorded_host(capsys: Capture, tmp_path: Path) -> None:
    assert run(["demo", "reach", "outside", "blog:80", "--format", "json"]) == 1
    parsed = report(capsys)
    assert parsed["invocation"]["verb"] == "reach"
    assert parsed["verdict"] == "unreachable"
    assert run(["demo", "check", "blog"]) == 1
    assert " docker create --name blog-next --network front -p 8082:8000 net-test" in capsys.readouterr().out
    assert run(["demo", "map"]) == 0
    assert run(["demo", "ports", "blog"]) in (0, 1)
    assert run(["demo", "collect", str(tmp_path / "again")]) == 0
    assert bundle.load(str(tmp_path / "again")).snapshot.containers


@pytest.mark.parametrize(
    "words", [["--host", "unix:///x"], ["check", "--context", "x"], ["check", "--bundle", "x"], ["no-verb"]]
)
def test_the_demo_has_its_own_host(words: list[str], capsys: Capture) -> None:
    assert run(["demo", *words]) == 2
    assert capsys.readouterr().out == ""


class _Nested(HTMLParser):
    """Of each folding finding, within which others it stands."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.within: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "details":
            name = dict(attrs).get("id") or ""
            self.within[name] = list(self.open)
            self.open.append(name)

    def handle_endtag(self, tag: str) -> None:
        if tag == "details":
            self.open.pop()


def test_symptoms_stand_within_their_roots_in_html(capsys: Capture) -> None:
    assert run(["demo", "--format", "json"]) == 0
    findings = report(capsys)["findings"]
    assert run(["demo", "--format", "html"]) == 0
    page = _Nested()
    page.feed(capsys.readouterr().out)
    assert {f["id"]: page.within[f["id"]] for f in findings} == {
        f["id"]: [f["because_of"]] if f["because_of"] else [] for f in findings
    }
    assert any(page.within[f["id"]] for f in findings)


def test_findings_of_one_cause_fold_into_one_in_html(tmp_path: Path, capsys: Capture) -> None:
    stopped = replace(JOB, endpoints=(), state=replace(JOB.state, status="exited", exit_code=3))
    many = [replace(stopped, name=f"job{i}", id=f"{i:064x}", restart_policy="always") for i in range(9)]
    path = saved(tmp_path, replace(SNAPSHOT, containers=tuple(many), networks=()))
    run(["check", "--no-probes", "--bundle", path, "--format", "html"])
    shown = capsys.readouterr().out
    page = _Nested()
    page.feed(shown)
    assert "<h3>and 8 like it</h3>: job1, job2, job3, job4, job5, job6 and 2 more<" in shown
    found = {name: within for name, within in page.within.items() if name.startswith("container-not-running=")}
    assert sorted(map(len, found.values())) == [0] + [1] * 8
