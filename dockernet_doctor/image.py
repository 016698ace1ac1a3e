"""The image that `Dockerfile` makes: how a container of it must be started to see the host."""

from __future__ import annotations

SOCKET = "-v /var/run/docker.sock:/var/run/docker.sock"
COMMAND = f"docker run --rm --privileged --pid=host --network=host {SOCKET} dockernet-doctor"
