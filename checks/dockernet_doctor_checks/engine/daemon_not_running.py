"""daemon-not-running: nothing listens on the daemon's socket; says why, from the log, the files and the pid file."""

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
    cluster,
    daemon,
    daemon_options,
    daemon_subject,
    dockerd,
    model,
    remedy,
    shell,
)

_SOCKET = "unix:///var/run/docker.sock"
_KINDS = ("no-socket", "refused", "unreachable")


def find(case: Case) -> Iterator[Finding]:
    """Each local host whose daemon refuses connections, or has no socket."""
    for facts in case.hosts:
        problem = facts.snapshot.problem
        if facts.snapshot.engine is not None or problem is None:
            continue
        if problem.kind not in _KINDS and not daemon.nobody_behind_socket(facts):
            continue
        if not facts.snapshot.daemon.readable:
            yield _elsewhere(facts, problem)
            continue
        failure = daemon.last_failure(facts)
        yield Finding(
            severity="error",
            confidence="proven",
            subject=daemon_subject(facts),
            summary=_summary(facts, failure),
            evidence=(
                Evidence(fact=facts.snapshot.endpoint, value=problem.detail, source="connect"),
                *daemon.log_evidence(facts, failure),
                *_traces(facts),
            ),
            fixes=_fixes(facts, failure),
            hop="target",
        )


def _elsewhere(facts: HostFacts, problem: model.EngineProblem) -> Finding:
    """The finding of a daemon on another machine, or behind a socket that this host's files do not mention."""
    where, by = facts.snapshot.endpoint, facts.snapshot.client.chosen_by
    chosen = "" if by == "default" else f" (chosen by {by})"
    said = re.sub(rf"^{re.escape(where)}: | at {re.escape(where)}$", "", problem.detail)
    return Finding(
        severity="error",
        confidence="likely",
        subject=daemon_subject(facts),
        summary=f"No Docker daemon answers at {where}{chosen}: {said}.",
        evidence=(Evidence(fact=where, value=said, source="connect"),),
        fixes=(
            Fix(
                summary="Start the daemon there, or name another (-H, --context): docker context ls lists them.", runnable=False
            ),
        ),
        hop="target",
    )


def _summary(facts: HostFacts, failure: model.LogLine | None) -> str:
    state = facts.snapshot.daemon
    if state.pid is not None:
        return f"dockerd is running on {facts.name} (pid {state.pid}), but not at {facts.snapshot.endpoint}: {_where(facts)}."
    return f"The Docker daemon on {facts.name} is not running: {_why(facts, failure)}."


def _where(facts: HostFacts) -> str:
    """Where a daemon listens that runs, and not at its socket."""
    elsewhere = _elsewhere_only(facts)
    if elsewhere:
        return f"it listens at {', '.join(elsewhere)} only"
    if daemon.logged(facts, r"^(API listen on|Daemon has completed init)"):
        return "its socket file was removed"
    return "it is still starting"


def _elsewhere_only(facts: HostFacts) -> tuple[str, ...]:
    """The addresses of a daemon that listens at others than the one asked, and was given no socket by systemd."""
    hosts, asked = daemon.option(facts, "hosts"), _path(facts.snapshot.endpoint)
    there = hosts is None or any(value.startswith("fd://") or _path(value) == asked for value in hosts.values)
    return () if hosts is None or there else hosts.values


def _path(url: str) -> str:
    return url.removeprefix("unix://").removeprefix("/var")


def _why(facts: HostFacts, failure: model.LogLine | None) -> str:
    if failure is not None and failure.text.startswith("panic:") and cluster.store_url(facts).startswith("zk://"):
        return "it crashed: 20.10 does when a container joins an overlay network that zookeeper keeps (etcd keeps it well)"
    problems = daemon.files_say(facts).flags.problems
    if failure is not None and problems and failure.text.startswith("Usage:"):  # 28 says no more of a word that is no flag
        return f"{problems[0].message}: {problems[0].word}"
    if failure is not None:
        text = re.sub(r"^(failed to start daemon: |Error starting daemon: |Status: )+", "", failure.text)
        return text.split("\n")[0].rstrip(".")[:300] + _holder(facts, text)
    if _masked(facts):
        return "its unit is masked"
    if _no_command(facts):
        return "its unit has no ExecStart=, or resets it and does not set it again"
    if missing := _missing_environment(facts):
        return f"its unit requires the environment file {missing}, which does not exist"
    if daemon.logged(facts, r"^Processing signal"):
        return "it was stopped"
    return "it was never started, or stopped without logging why"


def _holder(facts: HostFacts, text: str) -> str:
    """Who holds the TCP port that the daemon wanted."""
    match = re.search(r"listen tcp\S* \S*:(\d+): bind: address already in use", text)
    listeners: tuple[model.Listener, ...] = (facts.stack.listeners or ()) if facts.stack and match else ()
    for listener in listeners:
        if match and listener.protocol == "tcp" and listener.port == int(match[1]) and listener.process:
            return f" ({listener.process.name}, pid {listener.process.pid}, has it)"
    return ""


def _masked(facts: HostFacts) -> bool:
    """True if a link to /dev/null, which reads as an empty file, stands in the place of the unit (systemctl mask)."""
    unit = daemon.files_say(facts).unit
    return any(f.path == unit.fragment and not f.text and f.exists and f.readable for f in facts.snapshot.daemon.files)


def _no_command(facts: HostFacts) -> bool:
    unit = daemon.files_say(facts).unit
    return bool(unit.fragment) and not unit.commands


def _missing_environment(facts: HostFacts) -> str:
    """An EnvironmentFile= that is not there; with a "-" before it systemd would not mind."""
    there = {f.path for f in facts.snapshot.daemon.files if f.exists}
    wanted = [d.value for d in daemon.files_say(facts).unit.environment_files if d.value.startswith("/")]
    return next((path for path in wanted if path not in there and not re.search(r"[%*?\[]", path)), "")


def _traces(facts: HostFacts) -> Iterator[Evidence]:
    state = facts.snapshot.daemon
    if state.service_state:
        yield Evidence(fact="docker.service", value=state.service_state, source="systemctl is-active")
    if state.pid_file is not None:
        held = f"{state.pid_file} ({state.pid_file_process or 'no such process'})"
        yield Evidence(fact="pid file", value=held, source="/var/run/docker.pid")


def _fixes(facts: HostFacts, failure: model.LogLine | None) -> tuple[Fix, ...]:
    state = facts.snapshot.daemon
    if state.pid is not None:
        return (_listen(facts),)
    if failure is None or "environment file" in failure.text:
        return (_unit_fix(facts),)
    if re.search(r"pid file found|or delete /\S+\.pid", failure.text) and not _is_dockerd(state):
        held = f"pid {state.pid_file}" if state.pid_file is not None else "its pid"
        return (_start(facts, f"Move the stale pid file away ({held} is not dockerd), and start the daemon.", _aside(state)),)
    if match := re.search(r"can't create unix socket (\S+): is a directory", failure.text):
        path = match[1].rstrip(":")
        aside = shell.command("mv", shell.changeable(path), shell.changeable(f"{path}.before"))
        return (
            _start(
                facts, f"Move away the directory {path}, which a container's bind mount created, and start the daemon.", aside
            ),
        )
    if fix := dockerd.mend_flags(facts) or _without_host(facts, failure.text):
        return (fix,)
    if re.search(r"X509 key pair|CA cert", failure.text) and "discovery" not in failure.text:
        alone = "Let the daemon listen at its socket only, without TLS and TCP, until its certificates exist."
        return (dockerd.without_tls(facts, summary=alone),)
    if re.search(r"failed to dial \S*containerd", failure.text) and (started := dockerd.start_containerd(facts)):
        return (started,)
    if fix := _without_sockets(facts, failure.text) or _right_program(facts, failure.text):
        return (fix,)
    by_hand = Fix(summary="Fix what its last log lines name, then start the daemon.", runnable=False)
    option = daemon.named_option(facts, failure.text)
    if option is None:
        return (by_hand,)
    without = f"Remove {option.key} ({option.value}) from {option.where.rpartition(':')[0]}, and start the daemon."
    return (dockerd.set_option(facts, option.key, None, summary=without), by_hand)


def _without_host(facts: HostFacts, words: str) -> Fix | None:
    """An address that the daemon cannot listen at, left to who has it: the others are enough."""
    match = re.search(r"listen tcp\d?:? (\S+): bind", words)
    hosts = daemon.files_say(facts).get("hosts")
    urls = [url for url in hosts.values if match and url.rpartition("/")[2] == match[1]] if hosts else []
    if hosts is None or not urls or len(urls) == len(hosts.values):
        return None
    return dockerd.without_hosts(facts, urls, summary=f"Remove {urls[0]} from hosts, and start the daemon.")


def _without_sockets(facts: HostFacts, words: str) -> Fix | None:
    """The fix for `-H fd://` where systemd passes no socket: its socket unit is started, or the daemon opens its own."""
    if "no sockets found via socket activation" not in words:
        return None
    if any(f.kind == "socket" for f in facts.snapshot.daemon.files):
        return _start(
            facts,
            "Start the socket that systemd passes to the daemon, and the daemon.",
            shell.command("systemctl", "start", "docker.socket"),
        )
    own = f"Let the daemon open its socket itself: {_SOCKET} for fd://."
    activated = shell.pattern("(-H|--host)([= ]?)fd:/+")
    return dockerd.edit_flags(facts, (activated, shell.replacement(r"\1\2{}", _SOCKET)), summary=own)


def _right_program(facts: HostFacts, words: str) -> Fix | None:
    """The fix of an ExecStart= in a drop-in whose program is not there: the one of the packaged unit."""
    match = re.search(
        r"Failed to (?:execute|locate executable) (\S+): No such file|at step EXEC spawning (\S+): No such file", words
    )
    packaged = _packaged_command(facts)
    wrong = match and (match[1] or match[2])
    if not wrong or packaged is None or packaged.split()[0] == wrong:
        return None
    program = packaged.split()[0]
    return dockerd.edit_flags(
        facts,
        (shell.pattern("(ExecStart=[-@:+!|]*){}", wrong), shell.replacement(r"\1{}", program)),
        summary=f"Write {program} for {wrong}, and start the daemon.",
    )


def _packaged_command(facts: HostFacts) -> str | None:
    """The last ExecStart= of the unit file itself, whatever drop-ins make of it."""
    fragment = daemon.files_say(facts).unit.fragment
    text = next((f.text for f in facts.snapshot.daemon.files if f.path == fragment), "")
    commands = re.findall(r"^ExecStart=[-@:+!|]*(\S.*)$", re.sub(r"\\\n", " ", text), re.MULTILINE)
    return commands[-1] if commands and dockerd.is_dockerd(commands[-1]) else None


def _listen(facts: HostFacts) -> Fix:
    """Have a running daemon listen at its UNIX socket (again)."""
    elsewhere = _elsewhere_only(facts)
    hosts = daemon.files_say(facts).get("hosts")
    if elsewhere and hosts:
        return dockerd.add_host(facts, _SOCKET, summary="Let it listen at its socket too.")
    if elsewhere or not daemon.logged(facts, r"^(API listen on|Daemon has completed init)"):
        return Fix(summary="Wait until it has started, or see in its log what it waits for.", runnable=False)
    restart = remedy.restart_daemon(facts, summary="Restart the daemon, which recreates its socket.")
    if hosts is None or "fd://" not in hosts.values:
        return restart
    # systemd holds the socket, and recreates it only while the service is down
    steps = (("stop", "docker"), ("restart", "docker.socket"), ("start", "docker"))
    commands = tuple(shell.command("systemctl", *step) for step in steps)
    return Fix(summary="Let systemd recreate the socket.", commands=commands, impacts=restart.impacts)


def _unit_fix(facts: HostFacts) -> Fix:
    """The fix of a daemon that systemd did not come to start, or that was stopped."""
    if _masked(facts):
        unmasked = _start(facts, "Unmask the service, and start it.", shell.command("systemctl", "unmask", "docker.service"))
        back = (remedy.service_command(facts, "stop"), shell.command("systemctl", "mask", "docker.service"))
        return replace(unmasked, undo=back)
    if _no_command(facts):
        unit = daemon.files_say(facts).unit
        where = unit.drop_ins[-1] if unit.drop_ins else unit.fragment
        summary = f"Set ExecStart= in {where} after its last reset, and start the daemon."
        if (packaged := _packaged_command(facts)) is None or where == unit.fragment:
            return Fix(summary=summary, runnable=False)
        return Fix(
            summary=f"{summary} Here it gets the command of {unit.fragment} again.",
            commands=(
                shell.write(where, "[Service]", f"ExecStart={packaged}", append=True),
                shell.then(shell.command("systemctl", "daemon-reload"), shell.command("systemctl", "start", "docker")),
            ),
            impacts=("edits-file",),
        )
    if missing := _missing_environment(facts):
        folder = shell.operands(missing.rpartition("/")[0])
        make = shell.then(shell.command("mkdir", "-p", *folder), shell.command("touch", shell.changeable(missing)))
        return _start(facts, f"Create {missing}, with the variables that the unit takes from it, and start the daemon.", make)
    return _start(facts)


def _is_dockerd(state: model.Daemon) -> bool:
    return state.pid_file_process.startswith("dockerd")


def _aside(state: model.Daemon) -> shell.Command:
    path = next((s.value for s in daemon_options.written(state).settings if s.key == "pidfile"), "/var/run/docker.pid")
    return shell.command("mv", shell.changeable(path), shell.changeable(f"{path}.stale"))


def _start(facts: HostFacts, summary: str = "Start the daemon.", *before: shell.Command) -> Fix:
    return Fix(summary=summary, commands=(*before, remedy.service_command(facts, "start")), impacts=())


check = Check(
    cause="daemon-not-running",
    title="The Docker daemon is not running",
    subjects=("daemon",),
    needs=("engine", "daemon.process", "daemon.files", "log", "host.sockets"),
    find=find,
    symptom_of=(
        "nftables-needs-forwarding",
        "nftables-refuses-swarm",
        "wrong-daemon",
        "daemon-config-invalid",
        "config-not-applied",
        "cluster-store-missing",
        "cluster-store-malformed",
        "cluster-advertise-malformed",
        "cluster-option-misspelt",
        "cluster-options-removed",
        "cluster-store-with-swarm",
        "firewalld-conflict",
        "kernel-module-missing",
        "address-pool-exhausted",
    ),
    phrases=(
        "cannot connect to the docker daemon",
        "is the docker daemon running",
        "docker.sock: connect: connection refused",
        "dial unix … docker.sock: connection refused",
        "docker.sock: connect: no such file or directory",
        "status: unknown flag",
        "pid file found, ensure docker is not running",
        "process with pid <n> is still running",
        "the docker daemon is not running",
        "failed to find nft",
        "couldn't connect to docker daemon",
        "failed to start daemon",
        "error starting daemon",
        "error initializing network controller",
        "failed to load listeners",
        "job for docker.service failed",
        "docker.service: start request repeated too quickly",
        "failed to dial … containerd",
        "error while fetching server api version … no such file or directory",
        "error while fetching server api version … connection refused",
    ),
)
