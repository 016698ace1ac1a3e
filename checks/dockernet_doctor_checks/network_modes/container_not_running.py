"""container-not-running: exited, created, restarting or dead; why it ended is in its state and its last log lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    affected,
    container_subject,
    host_subject,
    listed,
    model,
    names,
    obstacles,
    remedy,
    shell,
    stopped,
    witness,
)

from .shared_namespace_lost import lost_with

_SHOWN = 4
# What the engine refuses a start for, and says so in State.Error: never why a program ends that it had started.
_OF_THE_ENGINE = (
    "bind-address-missing",
    "static-address-taken",
    "address-pool-exhausted",
    "bridge-full",
    "neighbour-table-full",
    "ipv6-not-enabled",
    "docker-proxy-wrong-version",
    "kernel-module-missing",
    "daemon-config-invalid",
)
# Statuses and log lines of a program whose command line, settings or files are wrong: another start meets them again.
_TO_STAY = (64, 78, 126, 127)  # EX_USAGE and EX_CONFIG (sysexits.h); not executable, not found (POSIX shell)
_FAULTS = (  # compiled where a program ended, which few did
    r"(?i)\b(?:unknown|unrecogni[sz]ed|invalid|undefined) "
    r"(?:shorthand )?(?:flag|option|argument|variable|parameter|command|directive)"
    r"|flag provided but not defined|no such option|\[emerg\]|syntax error|parse error|exec format error|command not found"
    r"|database files are incompatible|is not specified\b|bootstrap checks? failed|missing required"
    r"|required .* (?:missing|not set)|permission denied|no such file or directory"
    r"|cannot find module|module not found|no module named|missing script"
)
_OF_OTHERS = r"(?i)host not found|resolve|refused|bind\("  # by others, who may be there at the next start
_LAST_WORDS = 6  # lines of a log
_HEADLINE = 100  # characters of a log's line
_CLOCK = r"^[\[(]?\d{2,4}[-/:.]\d\d[-/:.]?[\d:.,TZ/ +-]*(?:UTC)?[\])]? *(?:\[\d+\] *)?"
# What is missing of a container while it is between two lives, or was when it was read.
_WHILE_AWAY = (
    obstacles.NoAnswer,
    obstacles.NotTranslated,
    obstacles.NameUnanswered,
    obstacles.NothingListens,
    obstacles.AddressOfNobody,
)


def find(case: Case) -> Iterator[Finding]:
    """Every container that should run and does not; in a question, whatever the question needs."""
    asked = [(path, obstacle) for path, obstacle in case.broken_by(obstacles.NotRunning)]
    explained = {o.container.id for _p, o in asked}
    for path, obstacle in asked:
        yield _finding(case.facts(path.host), obstacle.container, severity_asked=True, explains=(path,))
    for path, lacking in case.broken_by(*_WHILE_AWAY):
        facts = case.facts(path.host)
        if isinstance(lacking, obstacles.NothingListens) and (lacking.elsewhere or lacking.others):
            continue  # it is up, and listens elsewhere
        target = names.intended(facts, path)
        if target is not None and facts.keeps_ending(target):
            yield _finding(facts, target, severity_asked=True, explains=(path,))
    # a root that others miss is no stop by design
    down = [(f, c) for f, c in case.containers() if c.state.status not in ("running", "paused", "removing")]
    missed = {root.id for facts, container in down if not stopped.by_design(container) and (root := _needs(facts, container))}
    left = [(f, c) for f, c in down if c.id not in explained]
    done = [(f, c) for f, c in left if c.id not in missed and _is_done(f, c) and not case.is_subject(c.name, f.name)]
    for facts in case.hosts:
        told = _named(facts) if any(f is facts for f, _ in done) else frozenset()
        ended = [c for f, c in done if f is facts and c.id not in told]
        if len(ended) > 1:
            yield _of_the_done(facts, ended)
            left = [(f, c) for f, c in left if c not in ended]
    for facts, container in left:
        yield _finding(facts, container, severity_asked=container.id in missed, explains=())


def _is_done(facts: HostFacts, container: model.Container) -> bool:
    """True if it ran once and ended by itself as it should, or another is in its place; who publishes a port, is a service or
    shares its namespace is no such one, however it ended."""
    state, policy = container.state, container.restart_policy
    if container.swarm or container.network_mode.startswith("container:") or lost_with(facts, container):
        return False
    if facts.set_aside(container) or stopped.was_a_task(container):
        return True
    ended_well = state.status == "exited" and state.exit_code == 0 and policy in ("", "no")
    return ended_well and not (state.error or container.bindings or container.compose)


def _named(facts: HostFacts) -> frozenset[str]:
    """The ids of the containers that settings of others mean."""
    meant = ((names.meant(facts, r.host, c), c) for c in facts.containers for r in c.references if r.host)
    return frozenset(found.id for found, by in meant if found is not None and found is not by)


def _of_the_done(facts: HostFacts, ended: list[model.Container]) -> Finding:
    """One line for all: they are what a host collects."""
    ended = sorted(ended, key=lambda container: container.name)
    told = [str(container) for container in ended[:_SHOWN]]
    more = [f"{len(ended) - _SHOWN} more"] if len(ended) > _SHOWN else []
    return Finding(
        severity="info",
        confidence="likely",  # that nobody counts on them is what the facts imply
        subject=host_subject(facts),
        affects=affected(facts, *ended),
        summary=f"{len(ended)} containers have stopped, and nothing on {facts.here} depends on them: {listed([*told, *more])}.",
        evidence=tuple(Evidence(fact=c.name, value=_why(c), source=f"inspection of {c.name}") for c in ended[:_SHOWN]),
        fixes=(Fix(summary="Nothing needs to be done; docker container prune removes stopped containers.", runnable=False),),
    )


def _finding(
    facts: HostFacts, container: model.Container, *, severity_asked: bool, explains: tuple[obstacles.Path, ...]
) -> Finding:
    state = container.state
    root = _needs(facts, container)
    subject = container_subject(facts, root) if root else None
    return Finding(
        severity="error" if severity_asked or not (stopped.by_design(container) or stopped.was_a_task(container)) else "info",
        confidence="proven",
        subject=container_subject(facts, container),
        affects=affected(facts, container),
        summary=f"{facts.spoken(container)} {'does not stay up' if state.running else 'is not running'}: {_why(container)}.",
        evidence=tuple(_evidence(container)),
        fixes=_fixes(facts, container),
        because_of=f"container-not-running={subject.kind}:{subject.name}@{subject.host}" if subject else None,
        hop="target" if explains else None,
        explains=explains,
        roots=None
        if state.error or witness.lacked_table(container)
        else tuple(cause for cause in check.symptom_of if cause not in _OF_THE_ENGINE),
    )


def _needs(facts: HostFacts, container: model.Container) -> model.Container | None:
    """The container that this one cannot run without and that does not run: whose network it shares, or what it dials.

    What it dials counts where it ended badly, and was not the first of the two to end.
    """
    if container.network_mode.startswith("container:"):
        owner = facts.container(container.network_mode.removeprefix("container:"))
        return owner if owner and not owner.state.running else None
    if stopped.by_design(container) or container.state.error or container.state.oom_killed:
        return None
    set_to = [r.host for r in container.references if r.host and r.where in ("environment", "command")]
    for host in (*set_to, *(dial.host for dial in witness.dialled(container))):
        named = names.meant(facts, host, container)
        if named is None or named is container or named.state.running:
            continue
        first = container.state.restarting or named.state.finished_at <= container.state.finished_at
        if first and facts.common_networks(container, named) and not facts.set_aside(named):
            return named
    return None


def _fixes(facts: HostFacts, container: model.Container) -> tuple[Fix, ...]:
    state, logs = container.state, shell.command("docker", "logs", *shell.operands(container.name))
    if container.swarm:
        told = shell.command("docker", "service", "ps", "--no-trunc", *shell.operands(container.swarm.service))
        return (Fix(summary=f"Swarm should replace it; see on a manager why it does not: {told}.", runnable=False),)
    if state.restarting or state.running:
        return (Fix(summary=f"See in its log why it stops, and fix that: {logs}.", runnable=False),)
    if state.oom_killed:
        return (remedy.start(container, summary=f"Start {container}, with more memory if it is killed again."),)
    if left := lost_with(facts, container):
        who = listed(left)
        commands = [command for c in left for command in remedy.restart(facts, c).commands]
        return (
            Fix(
                summary=f"Start {container}, and restart {who}, to join its namespace again.",
                commands=(*remedy.start(container).commands, *commands),
                impacts=("restarts-container",),
            ),
        )
    if low := _privileged(container):
        key, said = "net.ipv4.ip_unprivileged_port_start", f"Allow every user to publish ports from {low} up."
        return (remedy.set_sysctl(facts, key, str(low), summary=said).then(remedy.start(container)),)
    if stopped.by_design(container):
        return (remedy.start(container),)
    if state.error:
        mended = remedy.start(container, summary=f"Fix that error, then start {container}.")
        return (replace(mended, runnable=False),)
    if state.exit_code in _TO_STAY or _fault(container):
        return (
            Fix(
                summary=f"Fix what its log says, then start {container}; as it is, it would end again: {logs}.", runnable=False
            ),
        )
    return (remedy.start(container, summary=f"Start {container}; if it stops again, its log says why: {logs}."),)


def _privileged(container: model.Container) -> int | None:
    """The port that RootlessKit refused, one that the container publishes: its error may quote what an image says."""
    refused = re.search(r"cannot expose privileged port ([0-9]{1,4}),", container.state.error)
    port = int(refused[1]) if refused else None
    return port if port and any(b.host_port == str(port) for b in container.bindings) else None


def _fault(container: model.Container) -> str | None:
    """The last words of its log, where they name a fault of its command line, its settings or its files."""
    last = reversed(container.log_tail[-_LAST_WORDS:])
    return next((line for line in last if re.search(_FAULTS, line) and not re.search(_OF_OTHERS, line)), None)


def _why(container: model.Container) -> str:
    state = container.state
    fault = _fault(container) if state.exit_code and not state.error and not stopped.by_design(container) else None
    if fault is None:
        return _ended(state)
    said = " ".join(re.sub(_CLOCK, "", fault).split())
    return f"{_ended(state)} ({said.rstrip('.') if len(said) <= _HEADLINE else said[:_HEADLINE].rstrip() + ' …'})"


def _ended(state: model.State) -> str:
    again = "once" if state.restart_count == 1 else f"{state.restart_count} times"
    if state.error:
        return f"it could not start ({state.refusal})"
    if state.oom_killed:
        return "the kernel killed it: out of memory"
    if state.restarting:
        return f"it exits with status {state.exit_code} and was restarted {again} so far"
    if state.running:
        return f"it exits and was restarted {again} so far"
    if state.status == "created":
        return "it was created and never started"
    return f"it {'exited' if state.status == 'exited' else 'is ' + state.status} with status {state.exit_code}"


def _evidence(container: model.Container) -> Iterator[Evidence]:
    state, source = container.state, f"inspection of {container.name}"
    yield Evidence(fact="State.Status", value=state.status, source=source)
    yield Evidence(fact="State.ExitCode", value=str(state.exit_code), source=source)
    if state.finished_at and not state.finished_at.startswith("0001"):
        yield Evidence(fact="State.FinishedAt", value=state.finished_at, source=source)
    if state.error:
        yield Evidence(fact="State.Error", value=state.error, source=source)
    for line in reversed(container.log_tail[-3:]):
        yield Evidence(fact="log", value=line, source=f"log of {container.name}")


check = Check(
    cause="container-not-running",
    title="The container is not running",
    subjects=("container", "service", "host"),
    needs=("engine", "host.network", "host.files", "answer"),
    podman=True,
    find=find,
    symptom_of=(
        "application-refuses-peer",
        "listener-on-loopback",
        "legacy-link",
        "host-port-in-use",
        "bind-address-missing",
        "static-address-taken",
        "address-pool-exhausted",
        "bridge-full",
        "neighbour-table-full",
        "network-gone",
        "shared-namespace-lost",
        "ipv6-not-enabled",
        "docker-proxy-wrong-version",
        "kernel-module-missing",
        "service-not-running",
        "startup-race",
        "localhost-means-container",
        "no-shared-network",
        "default-bridge-no-dns",
        "unknown-name",
        "container-port-mismatch",
        "no-listener",
        "swarm-inactive",
        "daemon-config-invalid",
    ),
    phrases=(
        "is not running",
        "container … is restarting, wait until the container is running",
        "connection refused",
        "cannot expose privileged port",
    ),
)
