"""What Swarm's tasks are called in sentences."""

from __future__ import annotations

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.finding import Evidence, Finding, Fix, Subject
from dockernet_doctor.diagnosis.tasks import spoken
from dockernet_doctor.shell import command
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
    finding = Finding(
        cause="no-listener",
        severity="error",
        confidence="proven",
        subject=Subject(kind="service", name="web", host="h1"),
        summary=f"{NOW}:80 is not {BEFORE}, {EVERYWHERE} or plain.",
        evidence=(Evidence(fact="listeners", value="none", source=f"sockets of {NOW}"),),
        fixes=(Fix(summary=f"Restart {NOW}.", commands=(command("docker", "restart", NOW),)),),
    )
    (said,) = spoken(Case.of([snapshot]), [finding])
    assert said.summary == "web.1:80 is not an earlier web.1, log or plain."
    assert (said.fixes[0].summary, said.fixes[0].commands) == ("Restart web.1.", (f"docker restart {NOW}",))
    assert said.evidence == finding.evidence
    assert said.id == finding.id
