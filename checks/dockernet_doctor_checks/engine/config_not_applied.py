"""config-not-applied: what the daemon's files say is not what the running daemon has."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

from dockernet_doctor.plugin import (
    Affected,
    Case,
    Check,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    daemon,
    daemon_options,
    file_subject,
    model,
    remedy,
)

_RUNS = ("active", "activating", "reloading")
Setting = daemon_options.Setting


def find(case: Case) -> Iterator[Finding]:
    """A drop-in that systemd refuses; flags of the service that the process does not have; an edited daemon.json whose
    options the engine shows otherwise; options in a defaults file that no unit reads."""
    for facts in case.hosts:
        if not facts.snapshot.daemon.readable:
            continue
        found = next((f for f in (_refused(facts), _flags(facts), _json(facts)) if f), None)
        if found:
            yield found
        yield from _unread(facts)


def _refused(facts: HostFacts) -> Finding | None:
    unit = daemon.files_say(facts).unit
    if not unit.refused:
        return None
    last, first = unit.commands[-1], unit.commands[0]
    fix = Fix(
        summary=f"Clear the unit's own ExecStart= before the one in {last.file}, and restart the daemon.",
        commands=(
            remedy.quoted("sed", "-i.before", f"{last.line}i ExecStart=", last.file),
            *remedy.restart_daemon(facts, reload=True).commands,
        ),
        impacts=("edits-file", *remedy.restart_daemon(facts).impacts),
    )
    running = " (the running daemon still has the old one)" if facts.snapshot.daemon.pid is not None else ""
    return _finding(
        facts,
        last.file,
        f"{last.file} sets ExecStart= without clearing the one of {first.file}: systemd refuses docker.service{running}.",
        (
            Evidence(fact=f"line {first.line}", value=f"ExecStart={first.value}"[:300], source=first.file),
            Evidence(fact=f"line {last.line}", value=f"ExecStart={last.value}"[:300], source=last.file),
        ),
        fix,
    )


def _flags(facts: HostFacts) -> Finding | None:
    state = facts.snapshot.daemon
    differing = daemon_options.differences(state)
    if not differing or not (state.service_state in _RUNS or _edited(facts)):
        return None  # a daemon that this unit did not start is not this unit's
    first = next((d for d in differing if d.written), differing[0])
    file = first.written.where.rpartition(":")[0] if first.written else daemon.files_say(facts).unit.commands[-1].file
    evidence = [
        Evidence(
            fact=d.key,
            value=f"written: {_said(d.written)}; running: {_said(d.running)}",
            source=f"{file}, /proc/{state.pid}/cmdline",
        )
        for d in differing
    ]
    return _finding(
        facts,
        file,
        f"The running daemon on {facts.name} does not have what {file} says of {daemon.names(d.key for d in differing)}.",
        tuple(evidence),
        remedy.restart_daemon(facts, summary="Have systemd read the files again, and restart the daemon.", reload=True),
    )


def _edited(facts: HostFacts) -> bool:
    unit = daemon.files_say(facts).unit
    paths = {unit.fragment, *unit.drop_ins, *(d.value.removeprefix("-") for d in unit.environment_files)}
    state = facts.snapshot.daemon
    return any(daemon_options.edited_since_start(state, f) for f in state.files if f.path in paths)


def _said(setting: Setting | None) -> str:
    return ", ".join(setting.values) if setting else "not set"


# --- daemon.json: compared with what the engine shows ---------------------------------------------------------------


def _json(facts: HostFacts) -> Finding | None:
    state = facts.snapshot.daemon
    said = daemon.files_say(facts)
    file = next((f for f in state.files if f.path == said.json_path), None)
    if facts.snapshot.engine is None or file is None or not daemon_options.edited_since_start(state, file) or said.json is None:
        return None
    shown = []
    for setting in daemon_options.json_settings(said.json, file.path):
        reader = _SHOWN.get(setting.key)
        now = reader(facts) if reader else None
        if now is not None and not _same(setting, now):
            shown.append((setting, now))
    if not shown:
        return None
    return _finding(
        facts,
        file.path,
        f"{file.path} was edited after the daemon on {facts.name} started: "
        f"{daemon.names(s.key for s, _ in shown)} is not in force.",
        (
            *(
                Evidence(fact=s.key, value=f"written: {_said(s)}; running: {now or 'not set'}", source=s.where)
                for s, now in shown
            ),
            Evidence(fact="edited", value=f"{file.modified_at}; daemon started {state.started_at}", source=file.path),
        ),
        remedy.restart_daemon(facts, summary="Restart the daemon."),
    )


def _same(setting: Setting, now: str) -> bool:
    if setting.key == "bip":
        try:
            return ipaddress.ip_interface(setting.value) == ipaddress.ip_interface(now)
        except ValueError:
            return True  # no address at all: daemon-config-invalid's
    return setting.value == now


def _bridge_option(name: str, default: str = "") -> Callable[[HostFacts], str | None]:
    def read(facts: HostFacts) -> str | None:
        network = facts.networks.get("bridge")
        return network.options.get(name, default) if network else None

    return read


def _bip(facts: HostFacts) -> str | None:
    network = facts.networks.get("bridge")
    subnet = next((s for s in network.subnets if ":" not in s.subnet), None) if network else None
    return f"{subnet.gateway}/{subnet.subnet.partition('/')[2]}" if subnet and subnet.gateway else None


def _engine(name: str) -> Callable[[HostFacts], str | None]:
    def read(facts: HostFacts) -> str | None:
        value = getattr(facts.snapshot.engine, name)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return read


_SHOWN: dict[str, Callable[[HostFacts], str | None]] = {
    "mtu": _bridge_option("com.docker.network.driver.mtu", "1500"),
    "icc": _bridge_option("com.docker.network.bridge.enable_icc", "true"),
    "ip-masq": _bridge_option("com.docker.network.bridge.enable_ip_masquerade", "true"),
    "ip": _bridge_option("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
    "bip": _bip,
    "live-restore": _engine("live_restore"),
    "cluster-store": _engine("cluster_store"),
}


# --- files that nobody reads ----------------------------------------------------------------------------------------


def _unread(facts: HostFacts) -> Iterator[Finding]:
    """Options in /etc/default/docker or /etc/sysconfig/docker beside a unit that does not read that file."""
    unit = daemon.files_say(facts).unit
    if not unit.commands:
        return
    command = unit.commands[-1]
    for file in facts.snapshot.daemon.files:
        if file.kind != "defaults" or not file.exists or not file.readable:
            continue
        for name, value in daemon_options.variables_of(file).items():
            flags = daemon_options.parse_flags(value.split())
            if name not in ("DOCKER_OPTS", "OPTIONS", "DOCKER_NETWORK_OPTIONS") or not flags.settings:
                continue
            yield Finding(
                severity="warning",
                confidence="proven",
                subject=file_subject(facts, file.path),
                affects=(Affected(kind="daemon", name=facts.name, host=facts.name),),
                summary=f"{file.path} sets {name}, and docker.service does not read that file: {value} is not in force.",
                evidence=(
                    Evidence(fact=name, value=value, source=file.path),
                    Evidence(fact="ExecStart", value=command.value, source=f"{command.file}:{command.line}"),
                ),
                fixes=(_read_it(facts, file, name, command.value),),
            )


def _read_it(facts: HostFacts, file: model.TextFile, name: str, command: str) -> Fix:
    lines = ["[Service]", f"EnvironmentFile=-{file.path}"]
    if f"${name}" not in command and f"${{{name}}}" not in command:
        lines += ["ExecStart=", f"ExecStart={command} ${name}"]
    folder = "/etc/systemd/system/docker.service.d"
    return Fix(
        summary=f"Have docker.service read {file.path}, and restart the daemon.",
        commands=(
            f"mkdir -p {folder} && printf '%s\\n' {remedy.quoted(*lines)} > {folder}/zz-defaults.conf",
            *remedy.restart_daemon(facts, reload=True).commands,
        ),
        impacts=("edits-file", *remedy.restart_daemon(facts).impacts),
    )


def _finding(facts: HostFacts, path: str, summary: str, evidence: tuple[Evidence, ...], fix: Fix) -> Finding:
    return Finding(
        severity="error",
        confidence="proven",
        subject=file_subject(facts, path),
        affects=(Affected(kind="daemon", name=facts.name, host=facts.name),),
        summary=summary,
        evidence=evidence,
        fixes=(fix,),
        hop="target",
    )


check = Check(
    cause="config-not-applied",
    title="The running daemon does not have what its files say",
    subjects=("file",),
    find=find,
    symptom_of=("config-file-no-newline",),
    phrases=(
        "service has more than one execstart= setting",
        "bad-setting",
        "warning: the unit file, source configuration file or drop-ins of docker.service changed on disk",
    ),
)
