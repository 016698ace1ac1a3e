"""Sockets: which takes a packet for an address and port, and what is said of those that do not."""

from __future__ import annotations

from collections.abc import Sequence

from dockernet_doctor.notation import UNSPECIFIED, at, bracketed
from dockernet_doctor.once import once_for_each
from dockernet_doctor.snapshot.model import Listener, Process, Protocol, PublishedPort


def best_listener(listeners: tuple[Listener, ...] | None, address: str, port: int, protocol: Protocol) -> Listener | None:
    """The socket that takes a packet for this address and port: the exact address before the wildcard."""
    matching = [li for li in listeners_on(listeners, port, protocol) if _listens_at(li, address)]
    return min(matching, key=lambda li: li.address in UNSPECIFIED, default=None)


def listeners_on(listeners: tuple[Listener, ...] | None, port: int, protocol: Protocol) -> Sequence[Listener]:
    """Those on the port, at whatever address."""
    return _by_port(listeners).get((port, protocol), ()) if listeners else ()


@once_for_each
def _by_port(listeners: tuple[Listener, ...]) -> dict[tuple[int, Protocol], list[Listener]]:
    """A host has one for each published port, and every port is asked for."""
    found: dict[tuple[int, Protocol], list[Listener]] = {}
    for listener in listeners:
        found.setdefault((listener.port, listener.protocol), []).append(listener)
    return found


def _listens_at(listener: Listener, address: str) -> bool:
    """True if the socket takes packets for `address` (a dual-stack "::" takes IPv4 too)."""
    if listener.address in (address, f"::ffff:{address}"):
        return True
    if ":" in address:
        return listener.address == "::"
    return listener.address == "0.0.0.0" or (listener.address == "::" and not listener.v6only)


def binds(host_ip: str, address: str) -> bool:
    """True if a port published on `host_ip` takes what is sent to the host's `address`."""
    if host_ip in ("", address):
        return True
    return host_ip == ("::" if ":" in address else "0.0.0.0")


def split_by_port(
    listeners: tuple[Listener, ...], port: int, protocol: Protocol
) -> tuple[tuple[Listener, ...], tuple[Listener, ...]]:
    visible = [li for li in listeners if li.address != "127.0.0.11"]
    same = tuple(li for li in visible if li.port == port and li.protocol == protocol)
    return same, tuple(li for li in visible if li not in same)


def listens_text(where: str, elsewhere: tuple[Listener, ...], port: int) -> str:
    if elsewhere:
        return f"{where} listens at {', '.join(sorted({at_text(li) for li in elsewhere}))} only"
    return f"nothing listens on port {port} of {where}"


def at_text(listener: Listener) -> str:
    return at(listener.address, listener.port)


def mapping_text(published: PublishedPort) -> str:
    """`127.0.0.1:8080 → 80/tcp`"""
    host = bracketed(published.host_ip)
    return f"{host}:{published.host_port} → {published.port}/{published.protocol}"


def is_proxy(listener: Listener) -> bool:
    """docker-proxy, or who opens its socket for it; a socket whose owner is not known is taken for one, too."""
    process = listener.process
    return process is None or is_docker_proxy(process) or (_is_believed(process) and process.name in _OPENERS)


def is_docker_proxy(process: Process) -> bool:
    return _is_believed(process) and process.name.startswith("docker-proxy")


def is_of_daemon(listener: Listener) -> bool:
    """A socket of dockerd itself: without docker-proxy it keeps a published port free, and serves nobody there.

    Up to 26.1 what is not translated opens there, and nobody ever takes the connection; 28.5 takes none at all.
    """
    return listener.process is not None and is_dockerd(listener.process)


def is_dockerd(process: Process) -> bool:
    return _is_believed(process) and process.name == "dockerd"


def _is_believed(process: Process) -> bool:
    """Another user's program may call itself anything. Bundles of earlier versions do not say whose it was."""
    return process.of_daemon is not False


_OPENERS = ("dockerd", "rootlesskit", "rootlessport")
