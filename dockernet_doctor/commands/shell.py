"""What a shell's completion asks for. It must be quick, and silent when it cannot answer."""

from __future__ import annotations

import click

_PATIENCE_S = 0.7


def container_names(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of the daemon's containers, running or not."""
    return [name for name in _names(ctx) if name.startswith(incomplete)]


def source_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    words = [word for word in ("host", "outside") if word.startswith(incomplete)]
    return [*words, *container_names(ctx, parameter, incomplete)]


def destination_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [] if ":" in incomplete else container_names(ctx, parameter, incomplete)


def causes(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    from dockernet_doctor.diagnosis import registry

    return [cause for cause in registry.load().causes() if cause.startswith(incomplete)]


def _names(ctx: click.Context) -> list[str]:
    import time

    given = ctx.find_root().params
    from dockernet_doctor.snapshot import endpoint, wire
    from dockernet_doctor.snapshot.http import Api

    try:
        hosts = given.get("host") or (None,)
        chosen = endpoint.choose(hosts[0], given.get("context"))
        if chosen.scheme == "ssh":
            return []
        with Api(chosen, timeout=_PATIENCE_S, deadline=time.monotonic() + _PATIENCE_S) as api:
            listed = api.read("/containers/json?all=1", wire.decoder(list[wire.ListedContainer]))
        return sorted(filter(None, (wire.own_name(item.Names or ()) for item in listed)))
    except Exception:  # noqa: BLE001 - a completion that fails completes nothing
        return []
