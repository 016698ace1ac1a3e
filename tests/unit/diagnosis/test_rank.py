"""The order in which findings are read, and which of them is another's root."""

from __future__ import annotations

from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.check import Check
from dockernet_doctor.diagnosis.finding import Affected, Evidence, Finding, Severity, Subject
from dockernet_doctor.diagnosis.findings.rank import about, rank
from dockernet_doctor.diagnosis.path import Destination, Path
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.snapshot.model import Container, Reference, Snapshot, State

CHECKS = {
    "root": Check(cause="root", title="", subjects=("host",)),
    "symptom": Check(cause="symptom", title="", subjects=("container",), symptom_of=("root",)),
    "further": Check(cause="further", title="", subjects=("container",), symptom_of=("symptom",)),
}


def finding(cause: str, name: str = "web", severity: Severity = "error", kind: str = "container") -> Finding:
    return Finding(
        cause=cause,
        severity=severity,
        confidence="proven",
        subject=Subject(kind=kind, name=name, host="h"),
        summary=f"{cause} of {name}.",
        affects=(Affected(kind="container", name=name, host="h"),) if kind == "container" else (),
    )


def test_one_finding_for_a_cause_and_a_subject() -> None:
    one = finding("symptom")
    other = Finding(
        cause="symptom",
        severity="warning",
        confidence="likely",
        subject=one.subject,
        summary="the same again.",
        affects=(Affected(kind="container", name="api", host="h"),),
        evidence=(Evidence(fact="f", value="v", source="s"),),
    )
    (merged,) = rank(Case.of(()), [other, one], CHECKS)
    assert (merged.severity, merged.summary) == ("error", "symptom of web.")
    assert [a.name for a in merged.affects] == ["web", "api"]
    assert merged.evidence == other.evidence


def test_a_root_stands_before_its_symptoms_and_ranks_with_the_worst() -> None:
    found = rank(
        Case.of(()),
        [finding("symptom"), finding("root", "h", "warning", "host"), finding("lone", severity="warning"), finding("further")],
        CHECKS,
    )
    assert [f.cause for f in found] == ["root", "lone", "further", "symptom"]
    assert {f.cause: f.because_of for f in found} == {
        "root": None,
        "lone": None,
        "symptom": "root=host:h@h",
        "further": "root=host:h@h",
    }


def test_subjects_of_check_leave_out_what_concerns_others() -> None:
    case = Case.of((), subjects=("api",))
    found = about(case, rank(case, [finding("lone", "web"), finding("lone", "api")], CHECKS))
    assert [f.subject.name for f in found] == ["api"]


def test_subjects_of_check_keep_the_roots_of_what_concerns_them() -> None:
    case = Case.of((), subjects=("web",))
    found = about(
        case, rank(case, [finding("symptom"), finding("root", "h", kind="host"), finding("root", "i", kind="host")], CHECKS)
    )
    assert [(f.cause, f.because_of) for f in found] == [("root", None), ("symptom", "root=host:h@h")]


def test_a_question_leaves_out_what_does_not_bear_on_it() -> None:
    assert rank(Case.of((), asked=True), [finding("lone", "web")], CHECKS) == ()


def test_a_root_that_breaks_the_question_itself_is_told_once() -> None:
    path = missed(None)
    case = Case.of((), asked=True)
    case = replace(case, paths=(path,))
    found = rank(case, [replace(finding(cause, severity="warning"), explains=(path,)) for cause in ("root", "symptom")], CHECKS)
    assert [(f.cause, f.severity) for f in found] == [("root", "error"), ("symptom", "error")]


def test_what_a_setting_dials_in_vain_is_no_info() -> None:
    setting = Reference(where="environment", key="WEB_URL", host="web", port=80)
    for reference, severity in ((setting, "error"), (None, "info")):
        (found,) = rank(Case.of(()), [replace(finding("lone", severity="info"), explains=(missed(reference),))], CHECKS)
        assert found.severity == severity


def test_what_a_fix_made_anew_is_missed_no_more() -> None:
    web = Container(id="1", name="web", state=State(status="running"))
    before = Container(id="2", name="web-before", state=State(status="created", error="port is already allocated"))
    stray = replace(before, id="3", name="db-before")
    case = Case.of((Snapshot(name="h", taken_at="2026-01-01T00:00:00Z", endpoint="", containers=(web, before, stray)),))
    for container, severity in ((before, "info"), (stray, "error")):
        subject = Subject(kind="port", name=f"{container.name}:80/tcp", host="h", id=container.id)
        (found,) = rank(case, [replace(finding("lone"), subject=subject)], CHECKS)
        assert found.severity == severity


def missed(reference: Reference | None) -> Path:
    container = Container(id="1", name="web", network_mode="app", state=State(status="running"))
    return Path(
        question=Question(source=parse_source("api"), target=parse_target("web:80"), reference=reference),
        host="h",
        source=container,
        target=container,
        destination=Destination(name="web:80"),
        hops=(),
        verdict="unreachable",
        basis="probed",
    )
