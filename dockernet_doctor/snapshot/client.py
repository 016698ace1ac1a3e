"""What else this user could have meant: the client's environment and contexts, and what runs on its other daemons."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dockernet_doctor.decoding import as_text
from dockernet_doctor.snapshot import wire
from dockernet_doctor.snapshot.endpoint import DaemonEndpoint, contexts, local_socket, without_userinfo
from dockernet_doctor.snapshot.http import Api, ApiError
from dockernet_doctor.snapshot.model import Client, ClientContext, OtherDaemon

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of the caller's environment; none of them can hold a secret except DOCKER_HOST, whose userinfo is taken out.
ENVIRONMENT = (
    "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS", "DOCKER_TLS_VERIFY",
    "DOCKER_API_VERSION", "DOCKER_MACHINE_NAME",
)  # fmt: skip


def read_client(endpoint: DaemonEndpoint, env: Mapping[str, str] = os.environ, *, timeout: float = 2.0) -> Client:
    """How `endpoint` was chosen, and what runs on the other daemons behind a local socket of this user.

    Those are asked only where the choice is not the plain local socket: what they run may be what is missed here.
    """
    stored = contexts(env)
    environment = {name: as_text(without_userinfo(env[name])) for name in ENVIRONMENT if env.get(name)}
    local = f"unix://{local_socket(env)}"
    others: tuple[OtherDaemon, ...] = ()
    if not _same_socket(endpoint.url, local):
        others = tuple(_others(endpoint, local, stored, timeout))
    return Client(
        environment=environment,
        contexts=tuple(
            ClientContext(name=name, endpoint=without_userinfo(url), current=name == endpoint.context) for name, url in stored
        ),
        chosen_by=endpoint.chosen_by,
        others=others,
    )


def _others(endpoint: DaemonEndpoint, local: str, stored: list[tuple[str, str]], timeout: float) -> list[OtherDaemon]:
    candidates = {local: "the local socket"}
    for name, url in stored:
        if url.startswith("unix://") and not any(_same_socket(url, known) for known in candidates):
            candidates[url] = f"context {name}"
    found = []
    deadline = time.monotonic() + timeout
    for url, origin in candidates.items():
        if _same_socket(url, endpoint.url):
            continue
        with contextlib.suppress(ApiError), Api(DaemonEndpoint(url=url), timeout=timeout, deadline=deadline) as api:
            listed = api.read("/containers/json?all=1", wire.decoder(list[wire.ListedContainer]))
            names = tuple(sorted(filter(None, (wire.own_name(item.Names or ()) for item in listed))))
            found.append(OtherDaemon(endpoint=url, origin=origin, containers=names))
    return found


def _same_socket(one: str, other: str) -> bool:
    if one == other:
        return True
    if not (one.startswith("unix://") and other.startswith("unix://")):
        return False
    with contextlib.suppress(OSError):
        return Path(one.removeprefix("unix://")).samefile(other.removeprefix("unix://"))
    return False
