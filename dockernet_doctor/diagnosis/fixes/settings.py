"""Changes to the daemon's configuration and to kernel settings, in force now and after the next start."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import reduce

from dockernet_doctor.decoding import with_whole_pairs
from dockernet_doctor.diagnosis.change import FileChange, SysctlChange
from dockernet_doctor.diagnosis.facts.host import HostFacts
from dockernet_doctor.diagnosis.finding import Edit, Fix, Impact
from dockernet_doctor.diagnosis.fixes.diff import unified
from dockernet_doctor.shell import Command, changeable, command, operands, pattern, replacement, sed, setting, step, then, write
from dockernet_doctor.snapshot.daemon_files import OPENRC
from dockernet_doctor.snapshot.daemon_options import written
from dockernet_doctor.snapshot.model import TextFile
from dockernet_doctor.snapshot.secrets import MASK

DAEMON_JSON = "/etc/docker/daemon.json"


def restart_daemon(facts: HostFacts, *, summary: str = "", reload: bool = False) -> Fix:
    """Restart the daemon, and with it its containers unless it runs with live-restore. `reload`: a unit file changed."""
    return Fix(
        summary=summary or "Restart the Docker daemon.",
        commands=(restart_command(facts, reload=reload),),
        impacts=restart_impacts(facts),
    )


def restart_command(facts: HostFacts, *, reload: bool = False) -> Command:
    """One command that restarts the daemon, and starts again what ends with it. `reload`: a unit file changed."""
    restart = service_command(facts, "restart")
    before = (command(*_systemctl(facts), "daemon-reload"),) if reload and _by_systemd(facts) else ()
    return then(*before, restart, *_start_again(facts))


def service_command(facts: HostFacts, verb: str) -> Command:
    """The daemon started or restarted in the way of this host: snap, systemd (the user's, where it is rootless), OpenRC, else
    sysvinit. Those of snap, OpenRC and a user's systemd are as their manuals say, not tried."""
    state = facts.snapshot.daemon
    if state.executable.startswith("/snap/"):
        return command("snap", verb, "docker")
    if _by_systemd(facts):
        return command(*_systemctl(facts), verb, "docker")
    if any(file.path == OPENRC and file.exists for file in state.files):
        return command("rc-service", "docker", verb)
    return command("service", "docker", verb)


def _by_systemd(facts: HostFacts) -> bool:
    state, engine = facts.snapshot.daemon, facts.snapshot.engine
    if state.executable.startswith("/snap/"):
        return False
    return bool(state.service_state or (engine and engine.rootless)) or any(f.kind == "unit" and f.exists for f in state.files)


def _systemctl(facts: HostFacts) -> tuple[str, ...]:
    engine = facts.snapshot.engine
    return ("systemctl", "--user") if engine and engine.rootless else ("systemctl",)


def _start_again(facts: HostFacts) -> tuple[Command, ...]:
    """Containers that nothing else would start: they end with the daemon, and have no restart policy that brings them back."""
    engine = facts.snapshot.engine
    if engine is None or engine.live_restore:
        return ()
    lost = [c for c in facts.running if c.restart_policy in ("no", "", "on-failure") and not c.auto_remove and not c.swarm]
    lost.sort(key=lambda c: c.network_mode.startswith("container:"))
    return (command("docker", "start", *operands(*(c.name for c in lost))),) if lost else ()


def restart_impacts(facts: HostFacts) -> tuple[Impact, ...]:
    engine = facts.snapshot.engine
    return ("restarts-daemon",) if engine and engine.live_restore else ("restarts-daemon", "restarts-container")


def edit_daemon_json(
    facts: HostFacts,
    changes: Mapping[str, object] | None = None,
    *,
    summary: str,
    remove: Sequence[str] = (),
    text: str | None = None,
) -> Fix:
    """Set and remove keys of daemon.json, check the file where the engine can (from 23), and restart the daemon.

    `text` is the whole new file instead, for one that is not JSON. Runnable where the present text was read and nothing
    secret was taken out of it; else the edit shows what to change.
    """
    file = _daemon_json(facts)
    known = file is not None and file.readable and MASK not in file.text
    old = file.text if file and file.exists else ""
    new = _merged(old, changes or {}, remove) if text is None else text
    path = file.path if file else DAEMON_JSON
    commands = _replace(facts, path, new, exists=bool(old)) if known and new else ()
    diff = unified(path, old, new) if new and (file or text) else _snippet(path, changes or {}, remove)
    return Fix(
        summary=summary,
        commands=(*commands, restart_command(facts)),
        edits=(Edit(file=path, format="json", diff=diff),),
        impacts=("edits-file", *restart_impacts(facts)),
        runnable=bool(commands),
        undo=(as_before(path) if old else command("rm", changeable(path)), restart_command(facts)) if commands else (),
    )


def set_sysctl(facts: HostFacts, key: str, value: str, *, summary: str = "", before: str = "") -> Fix:
    """Set a kernel setting now and for good: in the sysctl.d files that set it otherwise, else in one of our own.

    `before`: the value now, where it was not read with the network stack.
    """
    host = facts.host
    wrong = {s.file: None for s in host.sysctl_settings if s.key == key and s.value != value} if host else {}
    parts = [pattern("{}", part) for part in re.split("[./]", key)]
    said = reduce(lambda path, part: pattern("{}[./]{}", path, part), parts)
    old = pattern("^([-[:space:]]*{}[[:space:]]*=).*", said)
    change = step("s#{}#{}#", old, replacement(r"\1 {}", value))
    ours, entry = "/etc/sysctl.d/99-docker.conf", setting(key, value, " = ")
    lasting = [FileChange(forth=(sed(file, change),), back=(as_before(file),)) for file in wrong] or [
        FileChange(
            forth=(then(command("mkdir", "-p", "/etc/sysctl.d"), write(ours, entry, append=True)),),
            back=(sed(ours, step("\\#^{}$#d", pattern("{}", entry))),),
        )
    ]
    return Fix.of(
        SysctlChange(key=key, value=value, before=before or facts.sysctl(key)),
        *lasting,
        summary=summary or f"Set {key} to {value}.",
        impacts=("changes-kernel", "edits-file"),
    )


def as_before(path: str) -> Command:
    """Put back a file that a change kept as it was beside it."""
    return command("mv", changeable(f"{path}.before"), changeable(path))


def _daemon_json(facts: HostFacts) -> TextFile | None:
    """The one that the daemon will read at its next start."""
    path = written(facts.snapshot.daemon).json_path
    return next((f for f in facts.snapshot.daemon.files if f.path == path), None)


def _merged(old: str, changes: Mapping[str, object], remove: Sequence[str]) -> str:
    """The text with the changes in it, indented as it was; "" where it is no JSON object."""
    try:
        values = json.loads(with_whole_pairs(old)) if old.strip() else {}
    except ValueError:
        return ""
    if not isinstance(values, dict):
        return ""
    merged = {k: v for k, v in values.items() if k not in remove} | dict(changes)
    indent = re.search(r"^([ \t]+)\S", old, re.MULTILINE)
    return json.dumps(merged, indent=indent[1] if indent else 2, ensure_ascii=False) + "\n"


def _replace(facts: HostFacts, path: str, text: str, *, exists: bool) -> tuple[Command, ...]:
    """Write the file beside the old one, have it checked, keep the old one, put the new one in its place."""
    new = f"{path}.new"
    lines = text.removesuffix("\n").split("\n")
    commands = [then(command("mkdir", "-p", *operands(path.rpartition("/")[0])), write(new, *lines))]
    if facts.generation >= (23, 0):
        commands.append(command("dockerd", "--validate", f"--config-file={new}"))
    keep = (command("cp", "-p", changeable(path), changeable(f"{path}.before")),) if exists else ()
    return (*commands, then(*keep, command("mv", changeable(new), changeable(path))))


def _snippet(path: str, changes: Mapping[str, object], remove: Sequence[str]) -> str:
    """A hunk for a file whose text is not known."""
    lines = [" {", *(f'-  "{key}": …' for key in remove)]
    lines += [f"+  {json.dumps(key)}: {json.dumps(value)}," for key, value in changes.items()]
    before, after = (sum(not line.startswith(sign) for line in lines) for sign in "+-")
    return "\n".join((f"--- {path}", f"+++ {path}", f"@@ -1,{before} +1,{after} @@", *lines, ""))
