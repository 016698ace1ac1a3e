"""The daemon's log: lines that real engines wrote (20.10.24, 26.1.5, 28.5.2), and what is kept of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockernet_doctor.snapshot.daemon_log import keep, parse_journal, parse_line, read_log
from dockernet_doctor.snapshot.model import LogLine

STARTING = 'time="2026-11-25T22:17:10.914387Z" level=info msg="Starting up"'
FAILED = (
    "failed to start daemon: invalid cluster configuration. --cluster-advertise must be accompanied by --cluster-store "
    "configuration"
)
STORE = (
    'time="2026-11-25T22:17:11.1Z" level=error msg="discovery error: client: etcd cluster is unavailable or misconfigured; '
    'error #0: dial tcp 10.99.0.3:80: connect: connection refused"'
)
HANDLER = (
    'time="2026-11-25T22:17:12.2Z" level=error msg="Handler for POST /v1.51/containers/create returned error: '
    'network app not found" error="network app not found"'
)


def kept(*texts: str) -> tuple[LogLine, ...]:
    return keep(map(parse_line, texts))


def test_logrus_text_keeps_message_level_and_time() -> None:
    line = parse_line(STORE)
    assert line.level == "error"
    assert line.time == "2026-11-25T22:17:11.1Z"
    assert line.text.endswith("dial tcp 10.99.0.3:80: connect: connection refused")
    assert parse_line(r'time="x" level=warning msg="a \"quoted\" word" error="why"').text == 'a "quoted" word: why'
    assert parse_line(HANDLER).text.count("network app not found") == 1


def test_json_and_syslog_forms() -> None:
    assert parse_line('{"level":"error","msg":"no","time":"t"}').level == "error"
    assert parse_line('{"level":"error","msg":"no","time":"t"}').time == "", "no moment"
    assert parse_line(f"Nov 25 22:17:11 h1 dockerd[65]: {STORE}").level == "error"
    assert parse_line(FAILED).level == "fatal"
    assert parse_line("Status: unknown flag: --cluster-advertize").level == "fatal"
    assert parse_line("unable to configure the Docker daemon with file /etc/docker/daemon.json: EOF").level == "fatal"


def test_repeated_lines_are_folded_and_the_last_failed_start_is_kept() -> None:
    again = STORE.replace("11.1Z", "12.1Z")
    lines = [
        parse_line(text) for text in (STARTING, "unable to configure the Docker daemon with file x: y", STARTING, STORE, again)
    ]
    kept = keep(lines)
    assert [line.level for line in kept] == ["fatal", "info", "error"]
    assert kept[-1].repeated == 2
    assert kept[-1].time == "2026-11-25T22:17:12.1Z"


LAST_WORDS = [
    (
        ('could not read CA certificate "/x/ca.pem": open /x/ca.pem: no such file or directory',),
        "could not read CA certificate",
    ),
    (("unknown command: dockerd false", "", "Run 'dockerd --help' for more information"), "unknown command: dockerd false"),
    (("docker.service: Main process exited, code=killed, status=9/KILL",), None),
    (("2026/01/01 12:00:00 http: TLS handshake error from 10.0.0.9:1",), None),
    (("Status: unknown flag: --x", "See 'dockerd --help'.", "Something plain"), "Status: unknown flag"),
]


@pytest.mark.parametrize(("said", "words"), LAST_WORDS, ids=[said[0][:20] for said, _ in LAST_WORDS])
def test_what_a_daemon_prints_plainly_behind_its_log_is_why_it_ended(said: tuple[str, ...], words: str | None) -> None:
    fatal = [line.text for line in keep(parse_line(text) for text in (STARTING, STORE, *said)) if line.level == "fatal"]
    assert [text.startswith(words or "?") for text in fatal] == ([True] if words else [])


def test_an_earlier_daemon_s_lines_do_not_count() -> None:
    """Nor where "Starting up" is not logged (--log-level warn)."""
    conflict = "serf: Node name conflicts with another node at 172.17.0.1:7946. Names must be unique!"
    lines = [
        LogLine(text=f"{when} {conflict}", time=when, level="warning")
        for when in ("2026-01-01T11:59:50.1+01:00", "2026-01-01T11:00:00.123456789Z", "")
    ]
    assert [line.time for line in keep(lines, "2026-01-01T11:00:01.000000Z")] == ["2026-01-01T11:00:00.123456789Z", ""]
    assert len(keep(lines)) == 3


def test_what_does_not_bear_on_networking_is_left_out() -> None:
    noise = [
        'time="t" level=info msg="loading plugin \\"io.containerd.content.v1.content\\"..." type=io.containerd.content.v1',
        'time="t" level=info msg="[core] Subchannel picks a new address \\"unix:///run/x\\" to connect"',
        'time="t" level=warning msg="Your kernel does not support cgroup blkio weight"',
        'time="t" level=info msg="Container failed to exit within 10s of signal 15 - using the force"',
    ]
    assert keep(parse_line(text) for text in noise) == ()


def test_secrets_do_not_stay() -> None:
    (line,) = kept('time="t" level=error msg="dial etcd://root:hunter2@10.0.0.1:2379: refused"')
    assert "hunter2" not in line.text
    assert "10.0.0.1:2379" in line.text


def test_gossip_keys_do_not_stay() -> None:
    (line,) = kept(
        'time="t" level=info msg="New memberlist node - Node:h1 will use memberlist nodeID:60f4590b62d4 with '
        'config:&{NodeID:60f4590b62d4 BindPort:0 Keys:[[125 38 238] [46 239 99]] PacketBufferSize:1400}"'
    )
    assert "125 38" not in line.text
    assert "46 239" not in line.text
    assert "PacketBufferSize:1400" in line.text


def test_a_container_s_words_in_the_journal_are_not_the_daemon_s() -> None:
    assert list(parse_journal('{"MESSAGE": "cannot reach db", "CONTAINER_ID": "0123456789ab"}')) == []


def test_journal_lines() -> None:
    entries = [
        {"MESSAGE": STORE, "__REALTIME_TIMESTAMP": "1"},
        {"MESSAGE": FAILED, "__REALTIME_TIMESTAMP": "1764108000000000"},
        {"MESSAGE": None},
        {"MESSAGE": list(b"\xffdockerd")},
    ]
    lines = list(parse_journal("\n".join(map(json.dumps, entries)) + "\nnot json\n"))
    assert [line.level for line in lines] == ["error", "fatal", ""]
    assert lines[1].time == "2025-11-25T22:00:00.000000Z"


def test_a_huge_file_is_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "docker.log"
    log.write_text("x" * 500_000 + "\n" + STORE + "\n")
    lines, source, blind = read_log(0.0, files=[str(tmp_path / "none"), str(log)])
    assert [line.level for line in lines] == ["error"]
    assert source == str(log)
    assert blind == []


@given(st.text(max_size=60))
def test_any_line_is_a_line(text: str) -> None:
    for form in (text, f'time="t" level=info msg="{text}"', "{" + text):
        assert len(keep([parse_line(form)])) <= 1
