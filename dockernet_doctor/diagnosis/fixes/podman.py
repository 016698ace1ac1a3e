"""Fixes for a host of Podman: its own program makes the changes, as far as it takes Docker's words."""

from __future__ import annotations

from msgspec.structs import replace

from dockernet_doctor import shell
from dockernet_doctor.diagnosis.finding import Fix


def in_words_of_podman(fix: Fix) -> Fix:
    """The fix with `podman` for `docker`; by hand where Podman has no such command, as for a container that is to be recreated:
    what it may hold beside Docker's options (pods, units, annotations), the Docker-compatible API does not say."""
    ours = tuple(shell.by_podman(command) for command in fix.commands)
    commands = tuple(command for command in ours if command is not None)
    if commands == fix.commands:
        return fix
    if len(commands) < len(ours):
        return replace(fix, commands=(), undo=(), changes=(), runnable=False)
    back = tuple(command for command in map(shell.by_podman, fix.undo) if command is not None)
    return replace(fix, commands=commands, undo=back if len(back) == len(fix.undo) else ())
