"""application-not-responding: the kernel takes the connection, and the application behind it never says a word."""

from __future__ import annotations

from collections.abc import Iterator

from dockernet_doctor.plugin import (
    Answer,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    Path,
    Probe,
    container_subject,
    model,
    remedy,
    shell,
    sufferers,
    who,
)

from ._greeted import greeted, greeting, greetings, is_unhealthy, told_scheme

_FASTCGI = 9000  # php-fpm waits for bytes of its own there, as do others


def probes(case: Case) -> Iterator[Probe]:
    """The first bytes of a known protocol, as application-refuses-peer sends them; servers that speak first are listened to."""
    for path in greeted(case):
        yield from _asked(case, path)


def _asked(case: Case, path: Path) -> Iterator[Probe]:
    """What other machines would ask is asked by this host, at the container itself: whether it answers at all."""
    if path.question.source.kind != "outside":
        yield from greetings(case, path)
        return
    facts, target = case.facts(path.host), path.target
    address = next((e.ipv4 for e in facts.endpoints(target) if e.ipv4 and _is_bridged(facts, e)), None) if target else None
    asked = greeting(path, case.vantage(facts, None), address, path.container_port or 0) if case.asked and address else None
    if asked is not None:
        yield asked


def _is_bridged(facts: HostFacts, endpoint: model.Endpoint) -> bool:
    network = facts.network_of(endpoint)
    return network is not None and network.driver == "bridge"


def find(case: Case) -> Iterator[Finding]:
    """Open paths at whose end nobody answered in time, where more than silence tells of it.

    A server may wait for other bytes than ours, whatever its image and port.
    """
    for path in greeted(case):
        waiting = _waiting(case, path)
        if not (waiting or is_unhealthy(path.target) or _is_stopped(path.target)):
            continue
        heard = [*path.answers, *(reply for probe in _asked(case, path) if (reply := case.answer(probe)))]
        mute = next((answer for answer in heard if answer.mute and (_is_told(path) or path.container_port != _FASTCGI)), None)
        spoke = any(answer.spoke or answer.result == "reply" for answer in heard if answer.probe.kind != "dns")
        if mute is not None and not spoke:
            yield _finding(case, path, mute, waiting)


def _waiting(case: Case, path: Path) -> int:
    """Connections that the kernel took for the program, which has not: it was not there for them before ours came, either."""
    listeners = case.facts(path.host).listeners(path.target, "tcp") if path.target else None
    return max((listener.waiting for listener in listeners or () if listener.port == path.container_port), default=0)


def _is_stopped(target: model.Container | None) -> bool:
    """True if a signal stopped its first process; one that handed its work to others may serve all the same."""
    return target is not None and target.sandbox is not None and target.sandbox.halted == "stopped"


def _is_told(path: Path) -> bool:
    """True if more than its number tells that the port speaks HTTP."""
    return told_scheme(path) != "" or path.container_port == 80


def _finding(case: Case, path: Path, mute: Answer, waiting: int) -> Finding:
    facts, target = case.facts(path.host), path.target
    assert target is not None
    kind, top = mute.probe.kind, shell.command("docker", "top", *shell.operands(target.name))
    stopped = _is_stopped(target)
    asked = {"http": "an HTTP request", "greet": f"the first bytes of {mute.probe.name}", "tcp": "a new connection"}[kind]
    return Finding(
        severity="info" if case.asked else "warning",
        confidence="likely"
        if kind != "http" or _is_told(path)
        else "possible",  # a program of another protocol may wait for other bytes
        subject=container_subject(facts, target),
        affects=sufferers(path),
        summary=(
            f"{target} accepts connections from {who(path)} on port {path.container_port} but does not answer: it stays silent "
            f"after {asked}. "
            + (
                "Its process is stopped."
                if stopped
                else "The network is fine; the process hangs, is stopped, or is overloaded."
            )
        ),
        evidence=(
            Evidence(
                fact=f"answer to {asked}",
                value=f"none in time, {mute.attempts} attempt{'s' * (mute.attempts != 1)}",
                source=f"probe of {mute.probe.address}:{mute.probe.port}",
            ),
            *([Evidence(fact="first process", value="stopped", source=f"/proc/{target.state.pid}/wchan")] if stopped else []),
            *(
                [Evidence(fact="connections not accepted", value=str(waiting), source=f"sockets of {target.name}")]
                if waiting
                else []
            ),
        ),
        fixes=(
            *([remedy.signal_on(target)] if stopped else []),
            remedy.restart(facts, target),
            Fix(
                summary=f"To find out why: {top} (state T is stopped, D waits for a disk), docker stats and the log; a single "
                "worker may be busy with one request.",
                runnable=False,
            ),
        ),
        hop="answer",
        explains=(path,),
    )


check = Check(
    cause="application-not-responding",
    title="The application accepts connections but does not answer",
    subjects=("container", "service"),
    needs=("engine", "sandbox.network", "host.sockets", "probe"),
    find=find,
    probes=probes,
    frequent=True,
    phrases=(
        "read timed out",
        "timeout awaiting response headers",
        "operation timed out … with 0 bytes received",
        "upstream timed out (110: connection timed out) while reading response header from upstream",
        "lost connection to mysql server at 'reading initial communication packet'",
    ),
)
