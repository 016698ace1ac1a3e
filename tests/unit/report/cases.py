"""Diagnoses made by hand, for what the formats make of them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from dockernet_doctor.diagnosis.case import Case
from dockernet_doctor.diagnosis.finding import Affected, Edit, Evidence, Finding, Fix, Link, Subject
from dockernet_doctor.diagnosis.findings.accepted import Suppressed
from dockernet_doctor.diagnosis.path import Destination, Hop, Path, Samples
from dockernet_doctor.diagnosis.question import Question, parse_source, parse_target
from dockernet_doctor.diagnosis.run import CheckResult, Diagnosis, HostBlindSpot
from dockernet_doctor.probe.model import Answer, Probe, Vantage
from dockernet_doctor.report import build
from dockernet_doctor.report.model import FailOn, Invocation, View
from dockernet_doctor.shell import line
from dockernet_doctor.snapshot.model import (
    BlindSpot,
    Container,
    Endpoint,
    Engine,
    EngineProblem,
    Network,
    PublishedPort,
    Snapshot,
    State,
    Subnet,
)

NOW = "2026-01-02T03:04:05Z"

WEB = Container(
    id="w" * 64,
    name="web",
    state=State(status="running", running=True, pid=10),
    network_mode="app",
    endpoints=(Endpoint(network="app", network_id="n1", ipv4="172.18.0.2"),),
    ports=(
        PublishedPort(port=80, protocol="tcp", host_ip="127.0.0.1", host_port=8080),
        PublishedPort(port=80, protocol="tcp", host_ip="::1", host_port=8080),
    ),
)
API = Container(
    id="a" * 64,
    name="api",
    state=State(status="exited", exit_code=1),
    network_mode="app",
    endpoints=(
        Endpoint(network="app", network_id="n1", ipv4="172.18.0.3"),
        Endpoint(network="back", network_id="n2", ipv4="172.19.0.2"),
    ),
)
JOB = Container(id="j" * 64, name="job", state=State(status="running", running=True), network_mode="host")
NETWORKS = (
    Network(id="n0", name="bridge", driver="bridge", subnets=(Subnet(subnet="172.17.0.0/16"),)),
    Network(id="n1", name="app", driver="bridge", subnets=(Subnet(subnet="172.18.0.0/16"),)),
    Network(id="n2", name="back", driver="bridge", internal=True, subnets=(Subnet(subnet="172.19.0.0/16"),)),
)
SNAPSHOT = Snapshot(
    name="h1",
    taken_at="2026-01-02T03:04:04Z",
    endpoint="unix:///var/run/docker.sock",
    engine=Engine(version="28.5.2", api_version="1.51", os="linux"),
    networks=NETWORKS,
    containers=(WEB, API, JOB),
)
DOWN = Snapshot(
    name="h1",
    taken_at="2026-01-02T03:04:04Z",
    endpoint="unix:///var/run/docker.sock",
    problem=EngineProblem(kind="no-socket", detail="no such file"),
)

LOOPBACK = Finding(
    cause="port-bound-to-loopback",
    severity="error",
    confidence="proven",
    subject=Subject(kind="port", name="web:80/tcp", host="h1"),
    affects=(Affected(kind="container", name="web", host="h1"),),
    summary="web:80 cannot be reached from other machines: its port 8080 is published on 127.0.0.1 only.",
    evidence=(
        Evidence(fact="HostIp", value="127.0.0.1", source="inspection of web"),
        Evidence(fact="HostPort", value="8080", source="inspection of web"),
        Evidence(fact="refused at", value="10.0.0.5 on eth1", source="probe"),
    ),
    fixes=(
        Fix(
            summary="Publish the port on all addresses of the host.",
            commands=(line("docker rename web web-before"), line("docker run -d --name web -p 8080:80 shop/web")),
            impacts=("recreates-container",),
        ),
        Fix(
            summary="Forward the port on the host.",
            commands=(line("iptables -t nat -I PREROUTING -j DNAT"),),
            impacts=("changes-firewall",),
            lasts="until-reboot",
        ),
    ),
    hop="publish",
    references=(Link(title="Publishing ports", url="https://docs.example/publish"),),
)
SYMPTOM = Finding(
    cause="listener-on-loopback",
    severity="error",
    confidence="likely",
    subject=Subject(kind="container", name="proxy", host="h1"),
    summary="proxy answers 502 since web cannot be reached from there, and everything that asks it sees the same.",
    because_of=LOOPBACK.id,
)
BY_HAND = Finding(
    cause="localhost-means-container",
    severity="warning",
    confidence="likely",
    subject=Subject(kind="service", name="shop/api", host="h1"),
    summary="api: DATABASE_URL points at localhost:5432, where nothing listens; postgres does, in the container db.",
    evidence=(Evidence(fact="DATABASE_URL", value="postgres://localhost:5432", source="environment of api"),),
    fixes=(
        Fix(
            summary="Write db:5432 into DATABASE_URL",
            commands=(line("docker compose -f /srv/shop/compose.yaml up -d api"),),
            edits=(Edit(file="/srv/shop/compose.yaml", format="yaml", diff="-  localhost:5432\n+  db:5432\n"),),
            impacts=("edits-file", "recreates-container"),
            runnable=False,
        ),
    ),
)
REMARK = Finding(
    cause="random-host-port",
    severity="info",
    confidence="proven",
    subject=Subject(kind="port", name="job:443/tcp", host="h1"),
    summary="job:443 has the host port 32768, which changes at every start.",
)
LOG_SPOT = HostBlindSpot(
    host="h1",
    spot=BlindSpot(
        area="log",
        what="the daemon's log",
        why="not readable without root",
        remedy="run it as root",
    ),
    hides=("duplicate-node-name",),
)


def question(source: str = "outside", target: str = "web:80") -> Question:
    return Question(source=parse_source(source), target=parse_target(target))


BROKEN_PATH = Path(
    question=question(),
    host="h1",
    target=WEB,
    destination=Destination(name="web:80", address="10.0.0.5", family=4, port=8080),
    hops=(
        Hop(hop="target", status="ok", predicted="running for 3 minutes"),
        Hop(hop="name", status="not-applicable"),
        Hop(
            hop="publish",
            status="broken",
            predicted="127.0.0.1:8080 → 80/tcp",
            observed="127.0.0.1:8080 open, 10.0.0.5:8080 refused",
        ),
        *(Hop(hop=hop, status="not-reached") for hop in ("link", "route", "filter", "mapping", "listener", "answer")),
    ),
    verdict="unreachable",
)
GOOD_PATH = Path(
    question=question("api", "web:80"),
    host="h1",
    source=API,
    target=WEB,
    destination=Destination(name="web:80", address="172.18.0.2", family=4, port=80),
    hops=(
        Hop(hop="target", status="ok", predicted="running"),
        Hop(hop="answer", status="ok", observed="open in 0.4 ms"),
    ),
    verdict="reachable",
    basis="probed",
    samples=Samples(sent=3, answered=2, latency_ms=(0.4, 0.6), addresses={"172.18.0.2": (3, 2)}),
)
UNKNOWN_PATH = Path(
    question=question("api", "web:80"),
    host="h1",
    destination=Destination(name="web:80", address="172.18.0.2", family=4, port=80),
    hops=(Hop(hop="filter", status="unknown", predicted="-m recent in rule 3 of DOCKER-USER"),),
    verdict="unknown",
)


def answer(result: str = "refused", **fields: object) -> Answer:
    probe = Probe(kind="tcp", vantage=Vantage("h1", WEB.id), address="10.0.0.5", port=8080, **fields)  # type: ignore[arg-type]
    return Answer(probe=probe, result=result, latency_ms=0.4 if result == "refused" else None)


def diagnosis(
    findings: Sequence[Finding] = (),
    *,
    snapshots: Sequence[Snapshot] = (SNAPSHOT,),
    paths: Sequence[Path] = (),
    blind_spots: Sequence[HostBlindSpot] = (),
    answers: Sequence[Answer] = (),
    suppressed: Sequence[tuple[Finding, str]] = (),
    complete: bool = True,
) -> Diagnosis:
    case = replace(Case.of(snapshots, asked=bool(paths)), paths=tuple(paths))
    found = {finding.cause for finding in findings}
    checks = [CheckResult(cause=cause, result="found") for cause in sorted(found)]
    checks.append(CheckResult(cause="no-listener", result="clear"))
    return Diagnosis(
        case=case,
        findings=tuple(findings),
        suppressed=tuple(Suppressed(finding=finding, reason=reason, origin="command line") for finding, reason in suppressed),
        checks=tuple(checks),
        blind_spots=tuple(blind_spots),
        answers=tuple(answers),
        complete=complete,
        duration_s=0.5,
    )


def invocation(verb: str = "check", *arguments: str, fail_on: FailOn = "error", probes: bool = True) -> Invocation:
    return Invocation(verb=verb, arguments=arguments, only=(), skip=(), fail_on=fail_on, probes=probes)


def view(made: Diagnosis, *, about: Sequence[str] = (), fail_on: FailOn = "error", verbose: bool = False) -> View:
    """`about` are the containers of `check CONTAINER`."""
    asked = made.case.asked and not about
    called = (
        invocation("reach", "outside", "web:80", fail_on=fail_on) if asked else invocation("check", *about, fail_on=fail_on)
    )
    return build.build(made, called, duration_s=0.9, taken_at=NOW, verbose=verbose)
