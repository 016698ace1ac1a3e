"""Which ports of an address take connections, as nmap sees it.

Always a connect scan (`-sT`): as root nmap would send bare SYNs, and those mislead on the host's own addresses
(article, *Binding ports*). The program is started and ended here; `nmap_report` reads what it prints.
"""

from __future__ import annotations

import os
import subprocess
import time

from dockernet_doctor import ending
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import NO_NMAP, Answer, Probe
from dockernet_doctor.probe.nmap_report import ReportError, ports
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait
from dockernet_doctor.snapshot.programs import find_program

_LIMIT = 16 << 20  # bytes of what nmap prints


def ask(probe: Probe, enter: Enter, patience_s: float) -> Steps[Answer]:
    """reply (with `ports`), or timeout. Raises NotSentError without the program nmap, or where it refuses."""
    program = find_program("nmap")
    if not program:
        raise NotSentError(NO_NMAP)
    command = [program, "-oX", "-", *_options(probe, patience_s), "-p", probe.ports or str(probe.port), probe.address]
    # nmap is given the same time, and two seconds to write down what it has
    printed = yield from _printed(command, enter, time.monotonic() + patience_s + 2)
    if printed is None:
        return Answer(probe=probe, result="timeout")
    try:
        found = ports(printed, probe.ports)
    except ReportError as error:
        raise NotSentError(f"nmap did not scan: {error}") from None
    return Answer(probe=probe, result="reply" if found else "timeout", ports=tuple(found))


def _printed(command: list[str], enter: Enter, until: float) -> Steps[bytes | None]:
    """What the program prints; None where it did not end in time. Raises NotSentError where that is too much."""
    with enter(), ending.unbroken():  # a process is born into the namespace of the thread that starts it
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=ending.leads(),
        )
        ending.started(process.pid)
    assert process.stdout
    with process.stdout as pipe:
        try:
            printed = b""
            while (yield Wait(pipe, READ, until)):
                part = os.read(pipe.fileno(), 65536)
                if not part:
                    return printed
                printed += part
                if len(printed) > _LIMIT:
                    raise NotSentError("nmap printed too much")
            return None
        finally:
            ending.kill(process.pid)
            process.wait()


def _options(probe: Probe, patience_s: float) -> list[str]:
    options = ["-sT", "-Pn", "-n", "--unprivileged", "--max-retries", "1", "--host-timeout", f"{patience_s:.0f}s"]
    return [*options, "-6"] if ":" in probe.address else options
