"""Which ports of an address take connections, as nmap sees it.

Always a connect scan (`-sT`): as root nmap would send bare SYNs, and those mislead on the host's own addresses
(article, *Binding ports*). The program is started and ended here, python-nmap reads what it prints.
"""

from __future__ import annotations

import os
import subprocess
import time
from xml.etree import ElementTree as ET

from dockernet_doctor import ending
from dockernet_doctor.decoding import as_text
from dockernet_doctor.probe.errors import NotSentError
from dockernet_doctor.probe.model import Answer, Probe, ScannedPort
from dockernet_doctor.probe.steps import READ, Enter, Steps, Wait
from dockernet_doctor.snapshot.programs import find_program

_LIMIT = 16 << 20  # bytes of what nmap prints


def ask(probe: Probe, enter: Enter, patience_s: float) -> Steps[Answer]:
    """reply (with `ports`), or timeout. Raises NotSentError without the program nmap, or where it refuses."""
    import nmap

    program = find_program("nmap")
    if not program:
        raise NotSentError("the program nmap is not installed")
    command = [program, "-oX", "-", *_options(probe, patience_s), "-p", probe.ports or str(probe.port), probe.address]
    # nmap is given the same time, and two seconds to write down what it has
    printed = yield from _printed(command, enter, time.monotonic() + patience_s + 2)
    if printed is None:
        return Answer(probe=probe, result="timeout")
    # Its constructor runs `nmap -V`, and waits for that without end.
    scanner = nmap.PortScanner.__new__(nmap.PortScanner)
    try:
        result = scanner.analyse_nmap_xml_scan(as_text(printed))
        ports = _ports(result)
        ports += _unlisted(printed, ports, probe)
    except (nmap.PortScannerError, ET.ParseError, ValueError) as error:
        raise NotSentError(f"nmap did not scan: {' '.join(str(error).split())}") from None
    return Answer(probe=probe, result="reply" if ports else "timeout", ports=tuple(sorted(ports, key=_by_port)))


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


def _ports(result: dict[str, dict[str, dict[str, object]]]) -> list[ScannedPort]:
    found = []
    for host in result.get("scan", {}).values():
        listed = host.get("tcp", {})
        assert isinstance(listed, dict)
        found += [ScannedPort(port=port, protocol="tcp", state=entry["state"]) for port, entry in listed.items()]
    return found


def _unlisted(printed: bytes, listed: list[ScannedPort], probe: Probe) -> list[ScannedPort]:
    """Ports that nmap only sums up ("Not shown: 40 closed ports"), which python-nmap does not read."""
    extras = ET.fromstring(printed).findall("host/ports/extraports")  # noqa: S314 - written by nmap, not by a stranger
    found = []
    for extra in extras:
        ranges = ",".join(reason.get("ports", "") for reason in extra.findall("extrareasons"))
        if not ranges.strip(",") and len(extras) == 1:  # before 7.90 the ports were not named
            ranges = probe.ports
        known = {port.port for port in listed}
        state = extra.get("state", "filtered")
        found += [ScannedPort(port=port, protocol="tcp", state=state) for port in expand(ranges) if port not in known]
    return found


def expand(ports: str) -> list[int]:
    """The numbers of "80,443,8000-8002". Raises ValueError."""
    numbers: list[int] = []
    for part in filter(None, ports.split(",")):
        first, _, last = part.partition("-")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _by_port(port: ScannedPort) -> int:
    return port.port
