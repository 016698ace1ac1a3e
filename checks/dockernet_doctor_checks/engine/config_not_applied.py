"""config-not-applied: what the daemon's files say is not what the running daemon has."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Affected,
    Case,
    Check,
    DaemonJson,
    Evidence,
    Finding,
    Fix,
    HostFacts,
    change,
    daemon,
    daemon_options,
    dockerd,
    file_subject,
    model,
    remedy,
    shell,
)

_RUNS = ("active", "activating", "reloading")
Setting = daemon_options.Setting


def find(case: Case) -> Iterator[Finding]:
    """A drop-in that systemd refuses; flags of the service that the process does not have; an edited daemon.json whose
    options the engine shows otherwise; options in a defaults file that no unit reads."""
    for facts in case.hosts:
        if not facts.snapshot.daemon.readable:
            continue
        found = next((f for f in (_joined(facts), _refused(facts), _flags(facts), _json(facts)) if f), None)
        if found:
            yield found
        yield from filter(None, (_ignored(facts), _no_drop_in(facts), _exported(facts), _overwritten(facts)))
        yield from _unread(facts)


def _refused(facts: HostFacts) -> Finding | None:
    unit = daemon.files_say(facts).unit
    if not unit.refused:
        return None
    last, first = unit.commands[-1], unit.commands[0]
    summary = f"Clear the unit's own ExecStart= before the one in {last.file}, and restart the daemon."
    cleared = dockerd.edited(last.file, shell.step("{}i ExecStart=", last.line))
    fix = dockerd.restarted(facts, cleared, summary=summary, reload=True)
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


# A line that begins behind the end of another one, in a unit file; behind a closing quote, in a file of variables.
_SECOND = r"(?:\[(?:Unit|Service|Install)\]|(?:Environment|EnvironmentFile|Exec\w+|Restart|KillMode)=)"
_JOINED = {
    "unit": re.compile(rf"[ \t]*[A-Za-z]\w*=.*[^\s\"'=](?={_SECOND})"),
    "variables": re.compile(r"\s*\w+=(?:\"[^\"]*\"|'[^']*')(?=[A-Za-z_]\w*=)"),
}


def _joined(facts: HostFacts) -> Finding | None:
    """What was appended to a file without a newline at its end has joined the last line (article rule 42)."""
    unit = daemon.files_say(facts).unit
    read = {unit.fragment: "unit", **dict.fromkeys(unit.drop_ins, "unit")}
    read |= {d.value.removeprefix("-"): "variables" for d in unit.environment_files}
    for file in facts.snapshot.daemon.files:
        for number, line in enumerate(file.text.split("\n"), 1):
            match = _JOINED[read[file.path]].match(line) if file.path in read else None
            if match is None:
                continue
            parted = dockerd.edited(file.path, shell.step(r"{}s/^(.{{{}}})/\1\n/", number, match.end()))
            return _finding(
                facts,
                file.path,
                f"Line {number} of {file.path} is two lines in one: the first had no newline when the second was appended.",
                (Evidence(fact=f"line {number}", value=line[:300], source=file.path),),
                dockerd.restarted(facts, parted, summary="Split the two lines, and restart the daemon.", reload=True),
            )
    return None


def _flags(facts: HostFacts) -> Finding | None:
    state = facts.snapshot.daemon
    differing = daemon_options.differences(state)
    if not differing or not (state.service_state in _RUNS or _edited(facts)) or not _of_this_unit(facts):
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
        f"The running daemon on {facts.name} does not use what {file} sets for {daemon.names(d.key for d in differing)}.",
        tuple(evidence),
        remedy.restart_daemon(facts, summary="Reload systemd's unit files, and restart the daemon.", reload=True),
    )


def _of_this_unit(facts: HostFacts) -> bool:
    """True if the socket that was asked is the service's: the usual one, or one that its files name; else a second daemon
    answered there."""
    endpoint = facts.snapshot.endpoint
    hosts = daemon.files_say(facts).get("hosts")
    named = endpoint.removeprefix("unix://") in ("/var/run/docker.sock", "/run/docker.sock")
    return named or not endpoint.startswith("unix://") or (hosts is not None and endpoint in hosts.values)


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
        return _perhaps(facts, file, said.json)
    return _finding(
        facts,
        file.path,
        f"{file.path} was edited after the daemon on {facts.name} started: "
        f"{daemon.names(s.key for s, _ in shown)} has no effect.",
        (
            *(
                Evidence(fact=s.key, value=f"written: {_said(s)}; running: {now or 'not set'}", source=s.where)
                for s, now in shown
            ),
            Evidence(fact="edited", value=f"{file.modified_at}; daemon started {_started(facts)}", source=file.path),
        ),
        remedy.restart_daemon(facts, summary="Restart the daemon."),
    )


def _perhaps(facts: HostFacts, file: model.TextFile, parsed: DaemonJson) -> Finding | None:
    """Options of an edited file that the engine does not show: they may have been there before."""
    reloaded = daemon_options.RELOADED if daemon.logged(facts, r"^Reloaded configuration") else ()
    settings = daemon_options.json_settings(parsed, file.path)
    hidden = [s for s in settings if s.key not in _SHOWN and s.key not in reloaded]
    if not hidden:
        return None
    return Finding(
        severity="info",
        confidence="possible",
        subject=file_subject(facts, file.path),
        affects=(Affected(kind="daemon", name=facts.name, host=facts.name),),
        summary=f"{file.path} was edited after the daemon on {facts.name} started: "
        f"{daemon.names(s.key for s in hidden)} may not be in effect yet.",
        evidence=(
            *(Evidence(fact=s.key, value=_said(s), source=s.where) for s in hidden),
            Evidence(fact="edited", value=f"{file.modified_at}; daemon started {_started(facts)}", source=file.path),
        ),
        fixes=(remedy.restart_daemon(facts, summary="Restart the daemon, if this was not meant to wait."),),
    )


def _started(facts: HostFacts) -> str:
    return facts.snapshot.daemon.started_at


def _same(setting: Setting, now: str) -> bool:
    if setting.key == "bip":
        try:
            return ipaddress.ip_interface(setting.value) == ipaddress.ip_interface(now)
        except ValueError:
            return True  # no address at all: daemon-config-invalid's
    return _said(setting) == now


def _bridge_option(name: str, default: str = "") -> Callable[[HostFacts], str | None]:
    def read(facts: HostFacts) -> str | None:
        network = facts.networks.get("bridge")
        return network.options.get(name, default) if network else None

    return read


def _bip(facts: HostFacts) -> str | None:
    network = facts.networks.get("bridge")
    subnet = next((s for s in network.subnets if ":" not in s.subnet), None) if network else None
    return f"{subnet.gateway}/{subnet.subnet.partition('/')[2]}" if subnet and subnet.gateway else None


def _pools(facts: HostFacts) -> str | None:
    engine = facts.snapshot.engine
    return ", ".join(f"base={base},size={size}" for base, size in engine.default_address_pools) if engine else None


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
    "default-address-pools": _pools,
    "live-restore": _engine("live_restore"),
    "cluster-store": _engine("cluster_store"),
}


# --- files that nobody reads ----------------------------------------------------------------------------------------


def _ignored(facts: HostFacts) -> Finding | None:
    """Settings of the service in a section, or in a spelling, that systemd passes over."""
    ignored = daemon.files_say(facts).unit.ignored
    if not ignored:
        return None
    first = ignored[0]
    mine = [d for d in ignored if d.file == first.file]
    place = f"stands in [{first.section}]" if first.section else "stands before any section"
    if first.section == "Service":
        place = "is not spelt as systemd spells it"
    return _not_read(
        facts,
        first.file,
        f"{first.name}= in {first.file} {place}, and systemd ignores it: it has no effect.",
        tuple(Evidence(fact=f"line {d.line}", value=f"{d.name}={d.value}"[:300], source=d.file) for d in mine),
        Fix(summary=f"Write it as {_RIGHT[first.name.lower()]}= under [Service], after an empty ExecStart=.", runnable=False),
    )


_RIGHT = {name.lower(): name for name in ("ExecStart", "Environment", "EnvironmentFile")}


def _no_drop_in(facts: HostFacts) -> Finding | None:
    """A file in the drop-ins' directory whose name does not end in .conf."""
    for file in facts.snapshot.daemon.files:
        if file.kind == "drop-in" and not file.path.endswith(".conf") and "[Service]" in file.text:
            names = (shell.changeable(file.path), shell.changeable(f"{file.path}.conf"))
            named = change.FileChange(forth=(shell.command("mv", *names),), back=(shell.command("mv", *reversed(names)),))
            return _not_read(
                facts,
                file.path,
                f"{file.path} is no drop-in, since its name does not end in .conf: nothing in it has an effect.",
                (Evidence(fact="name", value=file.path, source="systemd.unit(5)"),),
                dockerd.restarted(facts, named, summary="Give it that name, and restart the daemon.", reload=True),
            )
    return None


def _exported(facts: HostFacts) -> Finding | None:
    """`export X=…` in an environment file: systemd is no shell."""
    read = {d.value.removeprefix("-") for d in daemon.files_say(facts).unit.environment_files}
    for file in facts.snapshot.daemon.files:
        match = re.search(r"^[ \t]*export[ \t]+(\w+)=.*", file.text, re.MULTILINE) if file.path in read else None
        if match:
            bare = dockerd.edited(file.path, shell.step("s/^[[:space:]]*export[[:space:]]+//"))
            return _not_read(
                facts,
                file.path,
                f"{file.path} sets {match[1]} behind the word export, and systemd ignores that line: it has no effect.",
                (Evidence(fact=match[1], value=match[0].strip()[:300], source=file.path),),
                dockerd.restarted(facts, bare, summary="Remove the word export, and restart the daemon."),
            )
    return None


def _overwritten(facts: HostFacts) -> Finding | None:
    """A variable that an environment file sets again: the last assignment holds, and nothing is added to the first."""
    unit = daemon.files_say(facts).unit
    read = {d.value.removeprefix("-") for d in unit.environment_files}
    for file in facts.snapshot.daemon.files if unit.commands else ():
        assigned = re.findall(r"^[ \t]*(\w+)=[\"']?(.*?)[\"']?[ \t]*$", file.text, re.MULTILINE) if file.path in read else []
        for name in dict.fromkeys(name for name, _ in assigned):
            values = [value for other, value in assigned if other == name]
            lost = [value for value in values[:-1] if value.startswith("-") and value not in values[-1]]
            if not lost or not re.search(rf"\$\{{?{name}\b", unit.commands[-1].value):
                continue
            one = f'{name}="{" ".join(dict.fromkeys(values))}"'
            former = dockerd.edited(file.path, shell.step(r"s#^[[:space:]]*{}=#\#&#", shell.pattern("{}", name)))
            added = change.FileChange(forth=(shell.write(file.path, one, append=True),))
            fix = dockerd.restarted(facts, former, added, summary=f"Set {name} once, to all of it, and restart the daemon.")
            fix = replace(fix, runnable=fix.runnable and "***" not in one and '"' not in one[len(name) + 2 : -1])
            summary = f"{file.path} sets {name} more than once, and only the last counts: {daemon.names(lost)} has no effect."
            evidence = tuple(Evidence(fact=name, value=value, source=file.path) for value in values)
            return _not_read(facts, file.path, summary, evidence, fix)
    return None


def _not_read(facts: HostFacts, path: str, summary: str, evidence: tuple[Evidence, ...], fix: Fix) -> Finding:
    """What stands in the file and systemd passes over: it will bite, and broke nothing that is asked for."""
    return replace(_finding(facts, path, summary, evidence, fix), severity="warning", hop=None)


def _unread(facts: HostFacts) -> Iterator[Finding]:
    """Options in /etc/default/docker or /etc/sysconfig/docker beside a unit that does not read that file, or in a file that
    it reads and in a variable that it does not use."""
    said = daemon.files_say(facts)
    if not said.command:
        return  # no unit, or a script in dockerd's place, which may read them
    command = said.unit.commands[-1]
    for file in facts.snapshot.daemon.files:
        if file.kind not in ("defaults", "environment") or not file.exists or not file.readable:
            continue
        for name, value in daemon_options.variables_of(file).items():
            if not daemon_options.parse_flags(value.split()).settings or not value.startswith("-"):
                continue
            if file.kind == "environment" and re.search(rf"\$\{{?{name}\b", command.value):
                continue
            if file.kind == "defaults" and name not in ("DOCKER_OPTS", "OPTIONS", "DOCKER_NETWORK_OPTIONS"):
                continue
            why = (
                "docker.service does not read that file"
                if file.kind == "defaults"
                else "no ExecStart= of docker.service uses it"
            )
            yield _not_read(
                facts,
                file.path,
                f"{file.path} sets {name}, and {why}: {value} has no effect.",
                (
                    Evidence(fact=name, value=value, source=file.path),
                    Evidence(fact="ExecStart", value=command.value, source=f"{command.file}:{command.line}"),
                ),
                _read_it(facts, file, name, command.value),
            )


def _read_it(facts: HostFacts, file: model.TextFile, name: str, command: str) -> Fix:
    if file.kind == "environment":
        return _called(facts, file, name, command)
    lines = ["[Service]", f"EnvironmentFile=-{file.path}"]
    if f"${name}" not in command and f"${{{name}}}" not in command:
        lines += ["ExecStart=", f"ExecStart={command} ${name}"]
    drop_in = dockerd.created("/etc/systemd/system/docker.service.d/zz-defaults.conf", *lines)
    summary = f"Make docker.service read {file.path}, and restart the daemon."
    fix = dockerd.restarted(facts, drop_in, summary=summary, reload=True)
    may_be_run = dockerd.is_dockerd(command) and file.path.startswith(("/etc/default/", "/etc/sysconfig/"))
    return replace(fix, runnable=fix.runnable and may_be_run)


def _called(facts: HostFacts, file: model.TextFile, name: str, command: str) -> Fix:
    """The file is read: the variable gets the name that the command uses, where that is not set yet."""
    used = [one for one in re.findall(r"\$\{?(\w+)", command) if one not in daemon_options.variables_of(file)]
    if not used:
        return Fix(
            summary=f"Move the options of {name} to a variable that ExecStart= uses.", impacts=("edits-file",), runnable=False
        )
    old, new = shell.pattern("^([[:space:]]*){}=", name), shell.replacement(r"\1{}=", used[-1])
    renamed = dockerd.edited(file.path, shell.step("s#{}#{}#", old, new))
    summary = f"Rename the variable to {used[-1]}, which ExecStart= uses, and restart the daemon."
    return dockerd.restarted(facts, renamed, summary=summary)


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
    title="The running daemon does not use what its files say",
    subjects=("file",),
    needs=("engine", "daemon.process", "daemon.files", "log"),
    find=find,
    symptom_of=("config-file-no-newline",),
    phrases=(
        "service has more than one execstart= setting",
        "bad-setting",
        "warning: the unit file, source configuration file or drop-ins of docker.service changed on disk",
    ),
)
