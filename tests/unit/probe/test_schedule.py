"""The scheduler with real sockets on loopback."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dockernet_doctor.netfilter.dumps import rulesets_of
from dockernet_doctor.netfilter.iptables import parse_iptables_save
from dockernet_doctor.netfilter.model import Ruleset
from dockernet_doctor.probe import counters, schedule
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import Answer, CounterMove, Probe, Vantage
from dockernet_doctor.probe.schedule import Scheduler, settled, vantages
from dockernet_doctor.snapshot.model import Container, FirewallDump, NetworkStack, Sandbox, Snapshot, State
from tests.unit.probe.servers import HOST, closed_port, tcp_server, udp_server

LIVE = Snapshot(name="h1", taken_at="2024-01-01T00:00:00Z", endpoint="unix:///run/docker.sock")


@pytest.fixture(autouse=True)
def _brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "ASK_AGAIN_AFTER_S", 0.01)
    udp_manner = schedule.MANNERS["udp"]._replace(patience_s=(0.02, 0.03))
    monkeypatch.setitem(schedule.MANNERS, "udp", udp_manner)
    tcp_manner = schedule.MANNERS["tcp"]._replace(patience_s=(30, 60))  # whoever is asked here answers, however late
    monkeypatch.setitem(schedule.MANNERS, "tcp", tcp_manner)


def scheduler(*, seconds: float = 60, **more: object) -> Scheduler:
    return Scheduler(vantages([LIVE]), deadline=time.monotonic() + seconds, **more)  # type: ignore[arg-type]


def tcp(port: int, **fields: object) -> Probe:
    return Probe(kind="tcp", vantage=HOST, port=port, **{"address": "127.0.0.1", **fields})  # type: ignore[arg-type]


def udp(port: int, **fields: object) -> Probe:
    return Probe(kind="udp", vantage=HOST, address="127.0.0.1", port=port, **fields)  # type: ignore[arg-type]


def test_equal_probes_are_sent_once_and_answers_are_kept() -> None:
    greeted: list[int] = []
    with tcp_server(lambda peer: greeted.append(peer.send(b"hello"))) as port:
        sched = scheduler()
        first = sched.run([tcp(port), tcp(port)])
        again = sched.run([tcp(port)])
    assert first == again == {tcp(port): first[tcp(port)]}
    assert first[tcp(port)].result == "open"
    assert len(greeted) == 1


def test_five_hundred_probes_wait_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is asked again after a second: one after the other they would take eight minutes."""
    monkeypatch.setattr(schedule, "ASK_AGAIN_AFTER_S", 1.0)
    with tcp_server(lambda peer: peer.send(b"hello")) as port:
        probes = [tcp(port, address=f"127.0.1.{n}") for n in range(1, 251)]
        with closed_port() as closed:
            probes += [tcp(closed, address=f"127.0.1.{n}") for n in range(1, 251)]
            started = time.monotonic()
            answers = scheduler(seconds=600).run(probes)
            took = time.monotonic() - started
    # the server listens on 127.0.0.1 alone
    assert [answers[probe].result for probe in probes] == ["refused"] * 500
    assert took < 60


def test_a_negative_answer_is_asked_again_before_it_counts() -> None:
    with closed_port() as port:
        answer = scheduler().run([tcp(port)])[tcp(port)]
    assert (answer.result, answer.attempts) == ("refused", 2)


def test_a_late_success_wins() -> None:
    seen: list[int] = []

    def second_time(peer: socket.socket) -> None:
        seen.append(1)
        if len(seen) > 1:
            peer.send(b"hello")

    with tcp_server(second_time) as port:
        answer = scheduler().run([tcp(port)])[tcp(port)]
    assert (answer.result, answer.attempts, answer.detail) == ("open", 2, "at first accepted-then-closed")


def test_what_cannot_be_sent_in_time_is_a_blind_spot() -> None:
    answer = scheduler(seconds=-1).run([tcp(9)])[tcp(9)]
    assert (answer.result, answer.detail, answer.sent) == ("not-sent", "out of time", False)


def test_silence_that_was_cut_short_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(schedule.MANNERS, "udp", schedule.MANNERS["udp"]._replace(patience_s=(5, 5)))
    with udp_server(lambda data: None) as port:
        answer = scheduler(seconds=0.05).run([udp(port)])[udp(port)]
    assert (answer.result, answer.detail) == ("not-sent", "out of time")


def test_one_destination_gets_only_so_many_at_once() -> None:
    lock = threading.Lock()
    together = threading.Event()
    open_now = most = 0

    def hold(peer: socket.socket) -> None:
        nonlocal open_now, most
        with lock:
            open_now += 1
            most = max(most, open_now)
            if most > 1:
                together.set()
        together.wait(30)
        time.sleep(0.01)
        with lock:
            open_now -= 1
        peer.send(b"hello")

    with tcp_server(lambda peer: _in_thread(hold, peer)) as port:
        probes = [tcp(port, sample=n) for n in range(1, 31)]
        answers = scheduler().run(probes)
    assert {answer.result for answer in answers.values()} == {"open"}
    assert 1 < most <= schedule.AT_ONCE_PER_DESTINATION


def test_a_series_is_paced_and_never_asked_again() -> None:
    with udp_server(lambda data: None) as port, closed_port() as closed:
        started = time.monotonic()
        answers = scheduler().run([*(udp(port, sample=n) for n in range(4)), tcp(closed)], interval_s=0.02)
        took = time.monotonic() - started
    told = [(probe.kind, probe.sample, answer.attempts) for probe, answer in answers.items()]
    assert told == [*(("udp", n, 1) for n in range(4)), ("tcp", 0, 2)]
    assert took >= 0.06 + 0.03


def test_progress_counts_what_is_answered() -> None:
    told: list[tuple[int, int]] = []
    with closed_port() as port:
        scheduler(on_progress=lambda done, wanted: told.append((done, wanted))).run([tcp(port), tcp(port, sample=1)])
    assert told == [(1, 2), (2, 2)]


def test_an_interruption_leaves_nothing_behind() -> None:
    def interrupt(done: int, wanted: int) -> None:
        raise KeyboardInterrupt

    with udp_server(lambda data: None) as silent, closed_port() as closed:
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(KeyboardInterrupt):
            scheduler(on_progress=interrupt).run([udp(silent, sample=n) for n in range(1, 9)] + [tcp(closed, sample=1)])
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_rule_whose_counter_grew_is_named_for_what_failed_alone() -> None:
    readings = iter([rules(drop=3), rules(drop=5)])
    with closed_port() as closed, tcp_server(lambda peer: peer.send(b"hello")) as port:
        failing, healthy = tcp(closed, counters=True), tcp(port, counters=True)
        answers = scheduler(rulesets=lambda: (next(readings),)).run([failing, healthy, tcp(closed)])
    assert answers[failing].moved == (
        CounterMove(tool="iptables-nft", family=4, table="filter", chain="FORWARD", rule="-A FORWARD -j DROP", packets=2),
    )
    assert (answers[healthy].moved, answers[tcp(closed)].moved) == ((), ())


def test_a_rule_of_nft_is_the_same_before_and_after_its_own_counter_moved() -> None:
    def native(packets: int) -> tuple[Ruleset, ...]:
        counter = {"counter": {"packets": packets, "bytes": 60 * packets}}
        rule = {"family": "inet", "table": "fw", "chain": "f", "handle": 2, "expr": [counter, {"drop": None}]}
        listed = [{"table": {"family": "inet", "name": "fw"}}, {"chain": {"family": "inet", "table": "fw", "name": "f"}}]
        dump = FirewallDump(tool="nft", family=None, text=json.dumps({"nftables": [*listed, {"rule": rule}]}))
        return rulesets_of((dump,))

    (move,) = counters.moved(native(3), native(5))
    assert (move.rule, move.packets) == ("counter drop", 2)


def test_the_gate_keeps_a_probe_back_and_hears_of_names() -> None:
    class Gate:
        heard: list[Answer] = []  # noqa: RUF012

        def __call__(self, probe: Probe) -> str:
            return "not yours" if probe.port == 1 else ""

        def learn(self, answer: Answer) -> None:
            self.heard.append(answer)

    answers = scheduler(gate=Gate()).run([tcp(1)])
    assert (answers[tcp(1)].result, answers[tcp(1)].detail) == ("not-sent", "not yours")


@pytest.mark.parametrize(
    ("snapshot", "vantage", "why"),
    [
        (LIVE, Vantage("h2"), "a bundle cannot be probed"),
        (Snapshot(name="h1", taken_at="", endpoint="", source="bundle"), HOST, "a bundle cannot be probed"),
        (Snapshot(name="h1", taken_at="", endpoint="", local=False), HOST, "another machine"),
        (LIVE, Vantage("h1", "c1"), "does not run"),
    ],
)
def test_vantage_points_that_are_out_of_reach(snapshot: Snapshot, vantage: Vantage, why: str) -> None:
    with pytest.raises(NotSentError, match=why):
        vantages([snapshot])(vantage)


def test_a_container_that_was_started_anew_is_not_mistaken_for_its_former_self() -> None:
    sandbox = Sandbox(pid=os.getpid(), namespace=1, stack=NetworkStack())
    web = Container(id="c1", name="web", state=State(status="running", pid=os.getpid()), sandbox=sandbox)
    snapshot = Snapshot(name="h1", taken_at="", endpoint="", containers=(web,))
    with pytest.raises(NotSentError, match="web was restarted meanwhile"):
        vantages([snapshot])(Vantage("h1", "c1"))


def test_a_container_that_ended_is_a_blind_spot() -> None:
    web = Container(id="c1", name="web", state=State(status="running", pid=2**22 + 1))
    snapshot = Snapshot(name="h1", taken_at="", endpoint="", containers=(web,))
    probe = Probe(kind="tcp", vantage=Vantage("h1", "c1"), address="127.0.0.1", port=80)
    started = time.monotonic()
    answer = Scheduler(vantages([snapshot]), deadline=started + 600).run([probe])[probe]
    assert time.monotonic() - started < 300
    assert answer.result == "not-sent"
    assert str(2**22 + 1) in answer.detail


@pytest.mark.parametrize(
    ("first", "second", "result", "attempts", "detail"),
    [
        ("timeout", "open", "open", 2, "at first timeout"),
        ("refused", "timeout", "refused", 2, "then timeout"),
        ("timeout", "refused", "refused", 2, "at first timeout"),
        ("timeout", "timeout", "timeout", 2, ""),
        ("timeout", "not-sent", "not-sent", 0, "out of time"),
        ("refused", "not-sent", "refused", 1, "not asked again"),
    ],
)
def test_two_attempts_make_one_answer(first: str, second: str, result: str, attempts: int, detail: str) -> None:
    late = schedule.not_sent(tcp(1), "out of time") if second == "not-sent" else Answer(probe=tcp(1), result=second)
    answer = settled(Answer(probe=tcp(1), result=first), late)
    assert (answer.result, answer.attempts, answer.detail) == (result, attempts, detail)


def rules(*, drop: int) -> Ruleset:
    dump = f"*filter\n:FORWARD ACCEPT [7:70]\n[{drop}:180] -A FORWARD -j DROP\n[1:2] -A FORWARD -j ACCEPT\nCOMMIT\n"
    return parse_iptables_save(dump, 4, "iptables-nft")


def _in_thread(work: Callable[[socket.socket], None], peer: socket.socket) -> None:
    mine = peer.dup()

    def run() -> None:
        with mine:
            work(mine)

    threading.Thread(target=run, daemon=True).start()
