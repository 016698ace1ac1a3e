"""Open paths on which the application is asked for a word, and by which first bytes."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from dockernet_doctor.plugin import (
    Case,
    Path,
    Probe,
    Vantage,
    is_loopback,
    model,
    protocol_of,
)

_STRANGERS = ("HTTP/1.0 400", "HTTP/1.0 403", "HTTP/1.0 421", "HTTP/1.1 400", "HTTP/1.1 403", "HTTP/1.1 421")


def greeted(case: Case) -> Iterator[Path]:
    """Paths on which nothing of the network stands in the way: those that were asked for, and in `check` those from the
    settings of an unhealthy container, and to its published ports."""
    for path in case.paths:
        if path.verdict == "unreachable" or path.target is None or path.destination.protocol != "tcp":
            continue
        dials = path.question.reference is not None and is_unhealthy(path.source)
        if case.asked or dials or (path.question.origin == "published" and is_unhealthy(path.target)):
            yield path


def is_unhealthy(container: model.Container | None) -> bool:
    health = container.state.health if container else None
    return health is not None and health.status == "unhealthy"


def greetings(case: Case, path: Path) -> Iterator[Probe]:
    """What is said to the server, where image, port or the client's setting tells its protocol; where it speaks by itself,
    nothing is."""
    first = next((probe for probe in path.probes if probe.kind == "tcp"), None)
    if first is None:
        return
    heard = case.answer(first)
    if heard is not None and (not heard.positive or heard.said):
        return
    asked = greeting(path, first.vantage, first.address, first.port)
    if asked is None:
        return
    yield asked
    said = case.answer(asked)
    if said is not None and said.status_line.startswith(_STRANGERS):
        yield replace(asked, name="localhost")


def greeting(path: Path, vantage: Vantage, address: str, port: int) -> Probe | None:
    """The first bytes for the end of the path, sent to this address; None where it is not known, or the server begins."""
    if path.target is None or path.container_port is None:
        return None
    protocol = protocol_of(path.target, path.container_port, told_scheme(path))
    if protocol == "http":
        return Probe(kind="http", name=path.question.target.name, vantage=vantage, address=address, port=port)
    known = protocol in ("redis", "postgres")
    return Probe(kind="greet", name=protocol, vantage=vantage, address=address, port=port) if known else None


def told_scheme(path: Path) -> str:
    """The scheme by which the client's setting, or a setting of the server for itself, names the port; "" for none."""
    if path.question.reference is not None:
        return path.question.reference.scheme
    own = path.target.references if path.target else ()
    return next((r.scheme for r in own if r.port == path.container_port and r.scheme and is_loopback(r.host)), "")
