"""Questions: "can SRC reach DST?", and how they are written on the command line (design, *The walk*)."""

from __future__ import annotations

import ipaddress
import re
from typing import Literal

from msgspec import Struct

from dockernet_doctor.snapshot.model import Protocol, Reference

SourceKind = Literal["host", "outside", "container"]
TargetKind = Literal["plain", "container", "service", "name", "host", "address"]
Origin = Literal["asked", "published", "setting", "log", "handed-out"]


class QuestionError(ValueError):
    """A source or destination that cannot be read; the message says what would be right."""


class Source(Struct, frozen=True, kw_only=True):
    kind: SourceKind
    name: str = ""  # container
    host: str = ""  # "" where only one host is read

    def __str__(self) -> str:
        name = self.name if self.kind == "container" else self.kind
        name = f"container:{name}" if self.kind == "container" and name in ("host", "outside") else name
        return f"{name}@{self.host}" if self.host else name


class Target(Struct, frozen=True, kw_only=True):
    kind: TargetKind
    name: str = ""  # of a container, a service, or as DNS would be asked; address text for kind "address"
    port: int | None = None
    protocol: Protocol = "tcp"
    host: str = ""

    def __str__(self) -> str:
        name = {"host": "host", "plain": self.name, "address": self.name}.get(self.kind, f"{self.kind}:{self.name}")
        if self.kind == "address" and ":" in self.name:
            name = f"[{self.name}]"
        port = "" if self.port is None else f":{self.port}"
        return f"{name}{port}{'/udp' if self.protocol == 'udp' else ''}{f'@{self.host}' if self.host else ''}"


class Question(Struct, frozen=True, kw_only=True):
    """One question. `origin` says who asks: the user, `check` for a published port, a container's own setting or log, or
    a service that hands the destination out."""

    source: Source
    target: Target
    origin: Origin = "asked"
    reference: Reference | None = None  # of a setting

    def __str__(self) -> str:
        return f"{self.source} → {self.target}"


def parse_source(text: str) -> Source:
    """SRC: `host`, `outside`, or a container, each with `@HOST`. Raises QuestionError."""
    name, host = _split_host(text)
    if name in ("host", "outside"):
        return Source(kind="host" if name == "host" else "outside", host=host)
    name = name.removeprefix("container:").lstrip("/")
    if not name:
        raise QuestionError(f"{text!r} names no source: say host, outside, or a container's name")
    return Source(kind="container", name=name, host=host)


def parse_target(text: str) -> Target:
    """DST `[container:|service:|name:]NAME[:PORT[/tcp|/udp]]`, `host:PORT`, `IP:PORT`, `[IPv6]:PORT`, each with `@HOST`,
    which may stand before the port.

    Raises QuestionError.
    """
    rest, host = _split_host(text)
    rest, protocol = _split_protocol(rest)
    if rest.startswith("["):
        match = re.fullmatch(r"\[([0-9a-fA-F:.%\w]+)\](?::(\d+))?", rest)
        if not match:
            raise QuestionError(f"{text!r}: an IPv6 address is written [ADDRESS]:PORT")
        return Target(kind="address", name=_address(match[1], text), port=_port(match[2], text), protocol=protocol, host=host)
    if rest.count(":") > 1 and not rest.startswith(("container:", "service:", "name:")):
        return Target(kind="address", name=_address(rest, text), protocol=protocol, host=host)
    kind: TargetKind = "plain"
    for prefix in ("container", "service", "name"):
        if rest.startswith(f"{prefix}:"):
            kind, rest = prefix, rest[len(prefix) + 1 :]
    name, _, port_text = rest.partition(":")
    name = name.lstrip("/")
    if not name:
        raise QuestionError(f"{text!r} names no destination: say NAME:PORT, host:PORT or ADDRESS:PORT")
    port = _port(port_text, text) if port_text or rest.endswith(":") else None
    if kind == "plain" and name == "host":
        kind = "host"
    elif kind == "plain" and _is_ipv4(name):
        kind = "address"
    return Target(kind=kind, name="" if kind == "host" else name, port=port, protocol=protocol, host=host)


def _split_host(text: str) -> tuple[str, str]:
    name, _, host = text.rpartition("@")
    if not name:
        return text, ""
    host, colon, port = host.partition(":")  # web@h1:80 is web:80@h1
    return f"{name}{colon}{port}", host


def _split_protocol(text: str) -> tuple[str, Protocol]:
    for protocol in ("tcp", "udp"):
        if text.endswith(f"/{protocol}"):
            return text[: -len(protocol) - 1], protocol
    name, _, last = text.rpartition("/")
    if name and ":" in name and not name.startswith("service:"):
        raise QuestionError(f"{text!r}: the protocol is tcp or udp, not {last!r}")
    return text, "tcp"


def _port(text: str | None, whole: str) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise QuestionError(f"{whole!r}: a port is a number from 1 to 65535")
    return int(text)


def _address(text: str, whole: str) -> str:
    """The IPv4 address of ::ffff:10.0.0.5, which is what a client dials then."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise QuestionError(f"{whole!r} is neither a name nor an address") from None
    if "%" in text:
        raise QuestionError(f"{whole!r}: an address is written without its zone")
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_ipv4(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 4
    except ValueError:
        return False
