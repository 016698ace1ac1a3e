"""A stand-in for systemctl and journalctl on a lab host: runs one service, docker, from its unit files as systemd does.

Installed as /usr/bin/systemctl and /usr/bin/journalctl of the host; standard library only. Like systemd, it reads unit
file and drop-ins at `daemon-reload` (and at first use), environment files at each start; an empty `ExecStart=` resets.
It differs in that a service that dies stays dead (as with Restart=no), so that a test sees a failed daemon.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import shlex
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

UNIT_DIRS = [Path(d) for d in ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")]
LOG = Path("/var/log/docker.log")
STATE = Path("/run/systemd/lab.json")
SOCKET = Path("/run/docker.sock")
HOLDER = Path("/run/systemd/holder.sock")  # who asks there is given the listening socket


def main(arguments: list[str]) -> int:
    if Path(arguments[0]).name == "journalctl":
        return journalctl(arguments[1:])
    words = [word for word in arguments[1:] if not word.startswith("-")]
    properties = [word for i, word in enumerate(arguments) if arguments[i - 1] in ("-p", "--property")]
    properties += [word.partition("=")[2] for word in arguments if re.match(r"(-p|--property)=", word)]
    quiet = bool({"-q", "--quiet"} & set(arguments))
    words = [word for word in words if word not in properties]
    verb, units = (words or ["list-units"])[0], words[1:]
    if verb == "daemon-reload":
        save(state() | {"unit": load_unit()})
        return 0
    if verb == "is-system-running":
        print("running")
        return 0
    if not units:
        return 0
    if any(re.sub(r"\.service$", "", unit) not in ("docker", "docker.socket") for unit in units):
        print(f"Unit {units[0]} could not be found.", file=sys.stderr)
        return 4
    if units == ["docker.socket"]:
        return socket_unit(verb)
    return service_unit(verb, properties, quiet=quiet)


def service_unit(verb: str, properties: list[str], *, quiet: bool) -> int:
    actions: dict[str, Callable[[], int]] = {
        "start": start,
        "stop": stop,
        "restart": lambda: stop() or start(),
        "reload": lambda: send(signal.SIGHUP),
        "kill": lambda: send(signal.SIGTERM),
        "is-active": lambda: is_state("active", quiet=quiet),
        "is-failed": lambda: is_state("failed", quiet=quiet),
        "cat": cat,
        "show": lambda: show(properties),
        "status": status,
    }
    if verb in ("mask", "unmask"):
        masked = UNIT_DIRS[0] / "docker.service"
        if masked.is_symlink():
            masked.unlink()
        if verb == "mask":
            masked.symlink_to(os.devnull)
        save(state() | {"unit": load_unit()})
        return 0
    if verb in ("enable", "disable", "reset-failed"):
        return 0
    if verb == "is-enabled":
        print("enabled")
        return 0
    if verb not in actions:
        print(f"Unknown command verb {verb}.", file=sys.stderr)
        return 1
    return actions[verb]()


# --- state ---


def state() -> dict[str, object]:
    try:
        loaded: dict[str, object] = json.loads(STATE.read_text())
    except FileNotFoundError:
        return {}
    return loaded


def save(new: dict[str, object]) -> None:
    STATE.parent.mkdir(parents=True, exist_ok=True)
    STATE.with_suffix(".new").write_text(json.dumps(new))
    STATE.with_suffix(".new").rename(STATE)


def main_pid() -> int:
    pid = state().get("pid")
    return pid if isinstance(pid, int) and alive(pid) else 0


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_state(wanted: str, *, quiet: bool) -> int:
    if not quiet:
        print(active_state())
    return 0 if active_state() == wanted else 3


def active_state() -> str:
    if main_pid():
        return "active"
    return "failed" if state().get("wanted") else "inactive"


# --- unit files ---


def unit_files() -> list[Path]:
    """The unit file and its drop-ins, in the order they are read."""
    base = next((d / "docker.service" for d in UNIT_DIRS if (d / "docker.service").exists()), None)
    drop_ins: dict[str, Path] = {}
    for directory in reversed(UNIT_DIRS):
        drop_ins |= {path.name: path for path in (directory / "docker.service.d").glob("*.conf")}
    return ([base] if base else []) + [drop_ins[name] for name in sorted(drop_ins)]


def load_unit() -> dict[str, list[str]]:
    """The [Service] settings, each with its values; an empty value resets those before it."""
    settings: dict[str, list[str]] = {}
    for path in unit_files():
        section = ""
        for line in re.sub(r"\\\n", " ", path.read_text(errors="replace")).splitlines():
            if line.strip().startswith("["):
                section = line.strip()
            elif section == "[Service]" and "=" in line and line.strip()[0] not in "#;":
                key, _, value = (part.strip() for part in line.partition("="))
                settings[key] = [*settings.get(key, []), value] if value else []
    return settings


def unit() -> dict[str, list[str]]:
    current = state()
    if "unit" not in current:
        save(current | {"unit": load_unit()})
    loaded: dict[str, list[str]] = state()["unit"]  # type: ignore[assignment]
    return loaded


def environment(settings: dict[str, list[str]]) -> dict[str, str]:
    """What the service gets: Environment=, then the environment files as they are now."""
    pairs = [pair for line in settings.get("Environment", []) for pair in shlex.split(line)]
    for name in settings.get("EnvironmentFile", []):
        path = Path(name.lstrip("-"))
        if path.exists():
            text = re.sub(r"\\\n", "", path.read_text(errors="replace"))
            lines = (line.strip() for line in text.splitlines())
            pairs += [
                f"{key.strip()}={''.join(shlex.split(value)) if value[:1] in (chr(34), chr(39)) else value.strip()}"
                for key, separator, value in (line.partition("=") for line in lines if line[:1] not in ("#", ";"))
                if separator
            ]
        elif not name.startswith("-"):
            raise SystemExit(f"Failed to load environment files: {name}: No such file or directory")
    base = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return base | dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def exec_start(settings: dict[str, list[str]], variables: dict[str, str]) -> list[str]:
    """The command, with $WORD split into words and ${WORD} put in as it is (systemd.service(5))."""
    lines = settings.get("ExecStart", [])
    if len(lines) != 1:
        what = "has more than one ExecStart= setting" if lines else "lacks both ExecStart= and ExecStop= setting"
        raise SystemExit(f"docker.service: Service {what}, which is only allowed for Type=oneshot services. Refusing.")
    words: list[str] = []
    for word in shlex.split(lines[0].lstrip("-@+!:")):
        if match := re.fullmatch(r"\$(\w+)", word):
            words += shlex.split(variables.get(match[1], ""))
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda m: variables.get(m[1], ""), word))
    return words


# --- the service ---


def send(number: signal.Signals) -> int:
    pid = main_pid()
    if pid:
        os.kill(pid, number)
    return 0 if pid else 1


def start() -> int:
    if main_pid():
        return 0
    settings = unit()
    variables = environment(settings)
    command = exec_start(settings, variables)
    if any(word in ("fd://", "--host=fd://") for word in command) and not holder():
        socket_unit("start")
    end_leftovers()
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = Path(f"/run/systemd/notify-{os.getpid()}")
    notify.bind(str(address))
    listening = receive_socket() if holder() else None
    pid = os.fork()
    if pid == 0:
        spawn(command, variables | {"NOTIFY_SOCKET": str(address)}, listening)
    save(state() | {"pid": pid, "wanted": True, "since": time.time()})
    try:
        ready = wait_until_ready(pid, notify)
    finally:
        address.unlink()
    if ready:
        return 0
    print(
        "Job for docker.service failed because the control process exited with error code.\n"
        'See "systemctl status docker.service" and "journalctl -xeu docker.service" for details.',
        file=sys.stderr,
    )
    return 1


def spawn(command: list[str], variables: dict[str, str], listening: int | None) -> None:
    """Become the service, in the forked child; never returns."""
    os.setsid()
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    null = os.open("/dev/null", os.O_RDONLY)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)
    if listening is not None:
        os.dup2(listening, 3)
        variables |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "docker.socket"}
    os.closerange(4 if listening is not None else 3, 100)
    try:
        os.execve(command[0], command, variables)
    except OSError as error:
        os.write(2, f"Failed to execute {command[0]}: {error.strerror}\n".encode())
    os._exit(203)


def wait_until_ready(pid: int, notify: socket.socket) -> bool:
    notify.settimeout(0.05)
    while True:
        with contextlib.suppress(TimeoutError):
            if b"READY=1" in notify.recv(4096):
                return True
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False


def stop() -> int:
    pid = main_pid()
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 15
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    save(state() | {"pid": 0, "wanted": False})
    end_leftovers()
    return 0


def end_leftovers() -> None:
    """End the containerd of a killed dockerd: it would block the next start."""
    pid_file = Path("/run/docker/containerd/containerd.pid")
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int(pid_file.read_text())
        if "containerd" in Path(f"/proc/{pid}/cmdline").read_text():
            os.kill(pid, signal.SIGKILL)
            while alive(pid):
                time.sleep(0.02)


# --- the socket: opened and held by another process than dockerd, as systemd does ---


def holder() -> int:
    pid = state().get("holder")
    return pid if isinstance(pid, int) and alive(pid) else 0


def socket_unit(verb: str) -> int:
    if verb in ("start", "restart") and not holder():
        SOCKET.unlink(missing_ok=True)
        pid = os.fork()
        if pid == 0:
            hold_socket()
        save(state() | {"holder": pid})
        while not HOLDER.exists():
            time.sleep(0.01)
    elif verb == "stop" and (pid := holder()):
        os.kill(pid, signal.SIGTERM)
        for path in (SOCKET, HOLDER):
            path.unlink(missing_ok=True)
    elif verb == "is-active":
        print("active" if holder() else "inactive")
        return 0 if holder() else 3
    return 0


def hold_socket() -> None:
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(null, target)
    HOLDER.unlink(missing_ok=True)
    held = socket.socket(socket.AF_UNIX)
    held.bind(str(SOCKET))
    SOCKET.chmod(0o660)
    held.listen(4096)
    giving = socket.socket(socket.AF_UNIX)
    new = HOLDER.with_suffix(".new")
    new.unlink(missing_ok=True)
    giving.bind(str(new))
    giving.listen()
    new.rename(HOLDER)
    while True:
        connection, _ = giving.accept()
        with connection:
            socket.send_fds(connection, [b"x"], [held.fileno()])


def receive_socket() -> int:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(HOLDER))
        return socket.recv_fds(connection, 1, 1)[1][0]


# --- what is shown ---


def cat() -> int:
    for path in unit_files():
        print(f"# {path}\n{path.read_text(errors='replace')}")
    return 0


def show(properties: list[str]) -> int:
    files = unit_files()
    settings = unit()
    values = {
        "Id": "docker.service",
        "LoadState": "loaded" if files else "not-found",
        "ActiveState": active_state(),
        "SubState": {"active": "running", "failed": "failed"}.get(active_state(), "dead"),
        "Result": "exit-code" if active_state() == "failed" else "success",
        "MainPID": str(main_pid()),
        "FragmentPath": str(files[0]) if files else "",
        "DropInPaths": " ".join(map(str, files[1:])),
        "EnvironmentFiles": "\n".join(
            f"{name.lstrip('-')} (ignore_errors={'yes' if name.startswith('-') else 'no'})"
            for name in settings.get("EnvironmentFile", [])
        ),
        "Environment": " ".join(settings.get("Environment", [])),
        "ExecStart": "".join(
            f"{{ path={line.split()[0]} ; argv[]={line} ; ignore_errors=no }}" for line in settings.get("ExecStart", [])
        ),
        "NeedDaemonReload": "yes" if load_unit() != settings else "no",
        "UnitFileState": "enabled",
    }
    wanted = [name for word in properties for name in word.split(",")] or list(values)
    for name in wanted:
        print(f"{name}={values.get(name, '')}")
    return 0


def status() -> int:
    current = active_state()
    print("● docker.service - Docker Application Container Engine")
    print(f"     Loaded: loaded ({next(iter(unit_files()), '')}; enabled; preset: enabled)")
    print(f"     Active: {current} ({'running' if current == 'active' else 'Result: exit-code'})")
    if pid := main_pid():
        print(f"   Main PID: {pid} (dockerd)")
    print()
    journalctl(["-u", "docker", "-n", "10"])
    return 0 if current == "active" else 3


def journalctl(arguments: list[str]) -> int:
    """`-u docker` prints the daemon's log; -n, -r and -o cat|short|short-iso|json are honoured, others ignored."""
    text = " ".join(arguments)
    unit_given = re.search(r"(?:-\w*u|--unit)[ =]?(\S+)", text)
    lines = LOG.read_text(errors="replace").splitlines() if LOG.exists() else []
    if unit_given and not re.fullmatch(r"docker(\.service)?", unit_given[1]):
        lines = []
    if re.search(r"(^| )(-k|--dmesg)\b", text):
        lines = []
    if count := re.search(r"(?:-n|--lines)[ =]?(\d+)", text):
        lines = lines[-int(count[1]) :] if int(count[1]) else []
    if re.search(r"(^| )(-r|--reverse)\b", text):
        lines.reverse()
    style = match[1] if (match := re.search(r"(?:-o|--output)[ =]?(\S+)", text)) else "short"
    for line in lines:
        print(journal_line(line, style))
    if not lines and style not in ("cat", "json"):
        print("-- No entries --")
    return 0


def journal_line(line: str, style: str) -> str:
    match = re.match(r'time="([^"]+)"', line)
    stamp = LOG.stat().st_mtime
    if match:
        with contextlib.suppress(ValueError):
            stamp = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", match[1])).timestamp()
    pid = state().get("pid") or 1
    if style == "cat":
        return line
    if style.startswith("json"):
        return json.dumps(
            {
                "__REALTIME_TIMESTAMP": str(int(stamp * 1_000_000)),
                "MESSAGE": line,
                "SYSLOG_IDENTIFIER": "dockerd",
                "_PID": str(pid),
                "_SYSTEMD_UNIT": "docker.service",
                "PRIORITY": "6",
            }
        )
    when = datetime.datetime.fromtimestamp(stamp).astimezone()
    shown = when.isoformat(timespec="seconds") if style.startswith("short-iso") else when.strftime("%b %d %H:%M:%S")
    return f"{shown} {socket.gethostname()} dockerd[{pid}]: {line}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
