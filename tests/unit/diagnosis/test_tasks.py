"""What Swarm's tasks are called in sentences."""

from __future__ import annotations

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.fixes import remedy
from dockernet_doctor.snapshot.model import Container, Snapshot, State, SwarmTask

NOW, BEFORE, EVERYWHERE = "web.1." + "a1" * 12 + "x", "web.1." + "b2" * 12 + "x", "log." + "c3" * 12 + "x." + "d4" * 12 + "x"


def task(name: str, *, running: bool = True) -> Container:
    state = State(status="running" if running else "exited", running=running)
    return Container(id=name, name=name, state=state, swarm=SwarmTask(service=name.partition(".")[0]))


def test_a_sentence_says_the_place_and_a_command_the_name() -> None:
    containers = (
        task(NOW),
        task(BEFORE, running=False),
        task(EVERYWHERE),
        Container(id="1", name="plain", state=State(status="exited")),
    )
    snapshot = Snapshot(name="h1", taken_at="2026-01-02T03:04:05Z", endpoint="unix:///x", containers=containers)
    (facts,) = Case.of([snapshot]).hosts
    assert [str(container) for container in containers] == ["web.1", "web.1", "log", "plain"]
    assert [facts.spoken(container) for container in containers] == ["web.1", "an earlier web.1", "log", "plain"]
    start = remedy.start(containers[1])
    assert (start.summary, [str(line) for line in start.commands]) == ("Start web.1.", [f"docker start {BEFORE}"])
