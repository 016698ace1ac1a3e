"""What a container is to a reverse proxy: which images are one, and what labels and variables tell it."""

from __future__ import annotations

import re

from dockernet_doctor.plugin import model

_PROXY = re.compile(r"(?:^|[/_-])(nginx|nginx-proxy|openresty|traefik|haproxy|caddy|envoy|httpd|apache2?)(?:$|[:/@_.-])")
PORT_KEY = re.compile(r"(?i)^(?:VIRTUAL_PORT|traefik\..*\.loadbalancer\.server\.port|traefik\.port|caddy.*)$")


def kind(container: model.Container) -> str:
    """`nginx`, `traefik`, …; "" for what is no reverse proxy by its image's name."""
    found = _PROXY.search(container.image.lower())
    return found[1] if found else ""


def told_ports(container: model.Container) -> list[model.Reference]:
    """The settings that tell a proxy the container's port."""
    return [r for r in container.references if r.port is not None and not r.host and PORT_KEY.match(r.key)]
