"""Which protocol a port of a container speaks, as far as its number and the image tell: by these a greeting is chosen."""

from __future__ import annotations

from dockernet_doctor.regex import regex
from dockernet_doctor.snapshot.model import Container

_PORTS = {6379: "redis", 5432: "postgres", 3306: "mysql", 80: "http"}
_WEB = frozenset((80, 3000, 4200, 5000, 5173, 8000, 8008, 8080, 8081, 8088, 8888, 9000))
_IMAGES = (
    ("redis", regex(r"(?:^|[/_-])(?:redis|valkey|keydb|dragonfly)(?!insight|-?commander|-?sentinel|-?exporter)")),
    ("postgres", regex(r"(?:^|[/_-])(?:postgres|postgresql|postgis|pgvector|timescaledb)(?!-?exporter|-?backup)")),
    ("mysql", regex(r"(?:^|[/_-])(?:mysql|mariadb|percona)(?!-?exporter|-?backup)")),
)


def protocol_of(container: Container, port: int, scheme: str = "") -> str:
    """`redis`, `postgres`, `mysql`, `http`, or "" where it cannot be told: then nothing is sent.

    `scheme` is what the client's setting says.
    """
    image = container.image.partition("@")[0].lower()
    for protocol, pattern in _IMAGES:
        if pattern.search(image):
            return protocol if _PORTS.get(port, protocol) == protocol else ""
    if port in _PORTS:
        return _PORTS[port]
    return "http" if scheme in ("http", "ws") or port in _WEB else ""
