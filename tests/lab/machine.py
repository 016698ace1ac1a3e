"""Machines made of namespaces: what a Docker host, its neighbours and the wire between them have in common.

A machine lives as long as its pid 1, which ends with the lab's owner, however that ends (see init.sh).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, ClassVar, NamedTuple

_INIT = Path(__file__).with_name("init.sh")
_NAMESPACES = ("--net", "--mount", "--uts", "--pid")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


_DYING_S = 60
"""A host with containers on a busy machine has taken more than 20."""


class Completed(NamedTuple):
    """What a command printed and its exit status; -1 where it did not end in time."""

    stdout: str
    stderr: str
    rc: int

    @property
    def ok(self) -> bool:
        return self.rc == 0

    @property
    def output(self) -> str:
        """Both streams, for looking for an error text."""
        return self.stdout + self.stderr


class CommandError(AssertionError):
    """A command of the lab failed; the text holds what it printed."""


class Machine:
    """Network, mount, UTS and pid namespaces of its own, entered with `run`."""

    ENVIRONMENT: ClassVar = {"PATH": _PATH, "HOME": "/run/home", "LANG": "C.UTF-8", "TERM": "dumb"}
    """What commands see; the lab adds HOST and NEIGHBOUR, the addresses of a host and its neighbour."""

    def __init__(self, name: str, *, lifeline: IO[bytes], cgroup: str, trees: list[Path] | None = None) -> None:
        self.name = name
        self.cgroup = cgroup
        self.children: list[subprocess.Popen[str]] = []
        """Long-lived commands started with `popen`, waited for when the machine ends."""
        self._served: list[subprocess.Popen[str]] = []
        self.environment: dict[str, str] = dict(self.ENVIRONMENT)
        arguments = [name, cgroup, ":".join(str(tree) for tree in trees or [])]
        self._unshare = subprocess.Popen(
            ["unshare", *_NAMESPACES, "--fork", "--mount-proc", "--kill-child=KILL", "bash", str(_INIT), *arguments],
            stdin=lifeline,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"PATH": _PATH},
            text=True,
            start_new_session=True,
        )
        assert self._unshare.stdout
        assert self._unshare.stderr
        with self._unshare.stdout, self._unshare.stderr:
            if self._unshare.stdout.readline() != "ready\n":
                raise CommandError(f"{name} does not come up: {self._unshare.stderr.read()}")
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text()
        self.pid = int(children.split()[0])

    def popen(self, command: list[str] | str, **options: object) -> subprocess.Popen[str]:
        """Start a command (a str by `sh -c`) in the machine; options are those of subprocess.Popen."""
        words = ["sh", "-c", command] if isinstance(command, str) else command
        keywords: dict[str, object] = {"cwd": "/", "env": self.environment, "text": True, "start_new_session": True}
        entering = ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-p", "--"]
        process: subprocess.Popen[str] = subprocess.Popen(entering + words, **(keywords | options))  # type: ignore[call-overload]
        return process

    def run(
        self,
        command: list[str] | str,
        *,
        timeout: float = 60,
        check: bool = True,
        stdin: str | None = None,
        env: dict[str, str] | None = None,
    ) -> Completed:
        """Run a command (a str by `sh -c`) in the machine, in /. Raises CommandError unless check=False.

        It must leave nothing behind that holds its output: start listeners and the like with `serve`.
        """
        pipe = subprocess.PIPE
        process = self.popen(
            command,
            stdin=subprocess.DEVNULL if stdin is None else pipe,
            stdout=pipe,
            stderr=pipe,
            errors="replace",
            env={**self.environment, **(env or {})},
        )
        try:
            stdout, stderr = process.communicate(stdin, timeout)
            done = Completed(stdout, stderr, process.returncode)
        except subprocess.TimeoutExpired:
            done = Completed("", f"no end within {timeout} s", -1)
        finally:
            _end_group(process)
        if check and done.rc != 0:
            raise CommandError(f"{self.name}: {command}: exit {done.rc}\n{done.output.strip()}")
        return done

    def serve(self, command: str) -> subprocess.Popen[str]:
        """Start a shell command that runs until the machine or the test ends; what it prints is lost unless redirected."""
        null = subprocess.DEVNULL
        self._served.append(self.popen(command, stdin=null, stdout=null, stderr=null))
        return self._served[-1]

    def end_served(self) -> None:
        """End what `serve` started."""
        while self._served:
            _end_group(self._served.pop())

    def ok(self, command: list[str] | str, *, timeout: float = 60) -> bool:
        """Whether the command succeeds."""
        return self.run(command, timeout=timeout, check=False).rc == 0

    def wait(self, condition: Callable[[], object] | str, seconds: float = 10, what: str = "") -> None:
        """Poll until the condition, a callable or a shell command, holds. Raises CommandError after `seconds`."""
        deadline = time.monotonic() + seconds
        while True:
            if self.ok(condition, timeout=seconds) if isinstance(condition, str) else condition():
                return
            if time.monotonic() > deadline:
                raise CommandError(f"{self.name}: not within {seconds} s: {what or condition}")
            time.sleep(0.05)

    def path(self, absolute: str) -> Path:
        """A file of the machine as the test's own process sees it (beware: absolute links lead out of the machine)."""
        return Path(f"/proc/{self.pid}/root") / absolute.lstrip("/")

    def write(self, absolute: str, text: str, *, mode: int = 0o644) -> None:
        """Write a file in the machine, its directory made where it is missing."""
        self.run(f"mkdir -p \"$(dirname '{absolute}')\" && cat > '{absolute}' && chmod {mode:o} '{absolute}'", stdin=text)

    def read(self, absolute: str) -> str:
        """The text of a file in the machine, '' where there is none."""
        return self.run(["cat", absolute], check=False).stdout

    def sysctl(self, name: str, value: object | None = None) -> str:
        """Read, or with a value write, one sysctl (dots or slashes) of the machine."""
        key = name if "/" in name else name.replace(".", "/")
        if value is not None:
            self.run(f"echo '{value}' > /proc/sys/{key}")
        return self.read(f"/proc/sys/{key}").strip()

    @property
    def alive(self) -> bool:
        return self._unshare.poll() is None

    def kill(self) -> None:
        """End the machine and all that runs in it; a second call does nothing."""
        if self.alive:
            # a paused container takes no SIGKILL before it is thawed (cgroup v1)
            with contextlib.suppress(FileNotFoundError):  # the keeper removes cgroups at the same time
                for state in Path("/sys/fs/cgroup/freezer", self.cgroup.lstrip("/")).glob("**/freezer.state"):
                    with contextlib.suppress(OSError):
                        state.write_text("THAWED")
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        for process in (*self.children, *self._served):
            if process.poll() is None:  # nsenter is stopped where what it runs was
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        for process in (*self.children, *self._served, self._unshare):
            process.wait(_DYING_S)


def _end_group(process: subprocess.Popen[str]) -> None:
    # nsenter forks into the pid namespace: ending it alone would leave the command behind
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
