"""What a container listens on, in the words of the checks that compare it with what is published."""

from __future__ import annotations

from dockernet_doctor.plugin import model, obstacles


def offered(obstacle: obstacles.NothingListens) -> list[int]:
    """Other ports of the protocol on which the container can be reached (loopback ones cannot)."""
    return sorted(
        {
            li.port
            for li in obstacle.others
            if li.protocol == obstacle.protocol and not is_loopback(li.address) and not _transient(li)
        }
    )


def swapped(obstacle: obstacles.NothingListens) -> bool:
    """Host and container port the wrong way round: it listens on the number that was published as the host's."""
    published = obstacle.published
    return (
        published is not None
        and published.host_port != published.port
        and any(li.port == published.host_port and li.protocol == published.protocol for li in obstacle.others)
    )


def listening_text(ports: list[int]) -> str:
    """`80`, `80 and 443`, `80, 443 and 8443`"""
    words = [str(port) for port in ports]
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "no port"


def is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _transient(listener: model.Listener) -> bool:
    """UDP sockets on ephemeral ports are clients waiting for an answer."""
    return listener.protocol == "udp" and listener.port >= 32768
