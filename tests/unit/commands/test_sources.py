from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from dockernet_doctor.__main__ import run
from dockernet_doctor.commands.sources import Source, with_unique_names
from dockernet_doctor.commands.tracing import in_words
from dockernet_doctor.probe.capture import CapturePoint, Seen, Sighting
from dockernet_doctor.probe.model import Vantage
from dockernet_doctor.snapshot import bundle
from tests.unit.report.cases import SNAPSHOT, answer


def test_a_host_that_is_renamed_keeps_its_answers() -> None:
    first, second = with_unique_names([Source(SNAPSHOT, (answer(),)), Source(SNAPSHOT, (answer("open"),))])
    assert (first.snapshot.name, second.snapshot.name) == ("h1", "h1-2")
    assert first.answers[0].probe.vantage.host == "h1"
    assert second.answers[0].probe.vantage.host == "h1-2"
    assert second.answers[0].result == "open"


def test_a_name_that_is_taken_already_is_not_given_away() -> None:
    other = Source(replace(SNAPSHOT, name="h1-2"))
    names = [source.snapshot.name for source in with_unique_names([other, Source(SNAPSHOT), Source(SNAPSHOT)])]
    assert names == ["h1-2", "h1", "h1-3"]


def test_a_trace_in_words() -> None:
    points = [CapturePoint(Vantage("h1"), name) for name in ("eth0", "veth1", "eth1")]
    there = Seen(what="SYN", source="10.0.0.1:9", destination="10.0.0.2:80", leaving=True, reply=False)
    back = Seen(what="RST", source="10.0.0.2:80", destination="10.0.0.1:9", leaving=False, reply=True)
    sightings = [
        Sighting(point=points[0], packets=(there, back)),
        Sighting(point=points[1], packets=(there,)),
        Sighting(point=points[2]),
    ]
    assert in_words(sightings, ["eth0 of api", "veth1", "eth1"]) == (
        "the packet was seen on eth0 of api and veth1, not seen on eth1, answered: RST from 10.0.0.2:80 on eth0 of api"
    )
    blind = [Sighting(point=points[0], problem="Operation not permitted")]
    assert in_words(blind, ["eth0"]) == (
        "the packet was seen nowhere, no answer came, not looked at: eth0 (Operation not permitted)"
    )


def test_a_host_behind_ssh_that_does_not_answer_is_a_blind_spot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host far: No route to host' >&2\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert run(["check", "--host", "ssh://far", "--format", "json"]) == 3
    parsed = json.loads(capsys.readouterr().out)
    assert parsed["hosts"][0]["engine"] is None
    assert "No route to host" in parsed["blind_spots"][0]["why"]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DOCKER_HOST", "foo://x", "addresses begin with unix://, tcp:// or ssh://"),
        ("DOCKER_HOST", "unix:/var/run/docker.sock", "two slashes follow the colon"),
        ("DOCKER_CONTEXT", "gone", "context 'gone' (from DOCKER_CONTEXT) does not exist"),
        ("DOCKER_TLS_VERIFY", "1", "DOCKER_TLS_VERIFY is set, and there is no"),
    ],
)
def test_an_environment_that_names_no_daemon_is_said_in_a_report(
    variable: str, value: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(variable, value)
    assert run(["check", "--format", "json"]) == 3
    finding = json.loads(capsys.readouterr().out)["findings"][0]
    assert (finding["cause"], words in finding["summary"]) == ("wrong-daemon", True)
    assert finding["fixes"][0]["commands"] == [f"unset {variable}"]


def test_a_host_behind_ssh_sends_its_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle.save(str(tmp_path / "bundle"), bundle.Bundle(snapshot=SNAPSHOT))
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\ncat {tmp_path}/bundle\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert run(["check", "--host", "ssh://far", "--format", "json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)["hosts"][0]["name"] == "h1"
