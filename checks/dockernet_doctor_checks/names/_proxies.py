"""What labels and variables tell a reverse proxy of a container."""

from __future__ import annotations

import re

from dockernet_doctor.plugin import model

PORT_KEY = r"(?i)^(?:VIRTUAL_PORT|traefik\..*\.loadbalancer\.server\.port|traefik\.port|caddy.*)$"


def told_ports(container: model.Container) -> list[model.Reference]:
    """The settings that tell a proxy the container's port."""
    return [r for r in container.references if r.port is not None and not r.host and re.match(PORT_KEY, r.key)]
