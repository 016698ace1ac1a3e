"""Who manages the uplinks of this host, and sets their routes again: systemd-networkd, netplan by way of it, NetworkManager.

Both say so in a file for each link below /run: networkd which of its own files the link goes by (sd-network(3)),
NetworkManager by which connection it is up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from dockernet_doctor.decoding import read_text
from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Link, LinkKeeper, NetworkStack

_NETWORK_FILE = regex(r"^NETWORK_FILE=(/\S+/(\w[\w@+-]*(?:\.[\w@+-]+)*))$", re.MULTILINE | re.ASCII)
_OF_NETPLAN = regex(r"10-netplan-(.+)\.network")
_CONNECTION = regex(r"^connection-uuid=\S", re.MULTILINE)


def read_link_keepers(stack: NetworkStack, root: str = "/") -> tuple[LinkKeeper, ...]:
    """One for each link with a default route that is managed: hosts have hundreds of others. Never raises."""
    names = {route.link for route in stack.routes if route.destination in ("0.0.0.0/0", "::/0")}
    return tuple(_found((link for link in stack.links if link.name in names), Path(root)))


def _found(links: Iterable[Link], top: Path) -> Iterator[LinkKeeper]:
    for link in links:
        if file := _NETWORK_FILE.search(read_text(top / f"run/systemd/netif/links/{link.index}") or ""):
            planned = _OF_NETPLAN.fullmatch(file[2])
            yield LinkKeeper(
                link=link.name, keeper="netplan" if planned else "networkd", name=planned[1] if planned else file[2]
            )
        elif _CONNECTION.search(read_text(top / f"run/NetworkManager/devices/{link.index}") or ""):
            yield LinkKeeper(link=link.name, keeper="NetworkManager")
