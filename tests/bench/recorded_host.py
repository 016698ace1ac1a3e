"""The tool as it is, on a host whose kernel's answers lie in a file: python -m tests.bench.recorded_host RECORDING check …

The daemon is asked over its socket, processes are forked and everything is handed over as on a real host. Only what the kernel
would tell, of the host and of the insides of containers, comes from the file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from dockernet_doctor import __main__
from dockernet_doctor.snapshot import collect, host, visitor
from dockernet_doctor.snapshot.firewall import FirewallReading
from dockernet_doctor.snapshot.model import Daemon, Host, Sandbox, Snapshot
from dockernet_doctor.snapshot.sandbox import SandboxReading


class Recording(msgspec.Struct):
    host: Host
    daemon: Daemon
    sandboxes: dict[int, msgspec.Raw]  # by the pid of the container's first process


def save(path: Path, snapshot: Snapshot) -> None:
    """Writes the recording of a whole host."""
    inside = {c.state.pid: msgspec.Raw(msgspec.msgpack.encode(c.sandbox)) for c in snapshot.containers}
    assert snapshot.host
    path.write_bytes(msgspec.msgpack.encode(Recording(snapshot.host, snapshot.daemon, inside)))


def main() -> None:
    file = Path(sys.argv.pop(1))

    @cache
    def recording() -> Recording:
        """In the processes only that read."""
        return msgspec.msgpack.decode(file.read_bytes(), type=Recording)

    def read_sandboxes(pids: Iterable[int]) -> SandboxReading:
        sandbox = msgspec.msgpack.Decoder(Sandbox)
        found = {pid: sandbox.decode(recording().sandboxes[pid]) for pid in pids}
        return SandboxReading(sandboxes=found, missing={}, unread_firewalls=(), forbidden=(), problems={})

    def read_machine(*_: object) -> object:
        seen = recording().host
        rules = FirewallReading(dumps=seen.stack.firewall)
        return collect._Machine(seen=host.HostReading(host=seen), rules=rules, daemon=recording().daemon)

    replaced: dict[Any, dict[str, Any]] = {
        collect: {"_is_of_container": lambda *_: True, "_is_apart": lambda *_: False, "_read_machine": read_machine},
        host: {"with_ports": lambda seen, *_: seen},
        visitor: {"read_sandboxes": read_sandboxes},
    }
    for module, functions in replaced.items():
        for name, function in functions.items():
            assert hasattr(module, name)
            setattr(module, name, function)
    __main__.main()


if __name__ == "__main__":
    main()
