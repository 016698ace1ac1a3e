"""`completion`: what a shell needs to complete verbs, options, causes and names of containers."""

from __future__ import annotations

import click

from .options import examples

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "completion",
    epilog=examples(
        ('eval "$(dockernet-doctor completion bash)"', "in ~/.bashrc"),
        ('eval "$(dockernet-doctor completion zsh)"', "in ~/.zshrc"),
        ("dockernet-doctor completion fish | source", "in ~/.config/fish/config.fish"),
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    from .output import show

    show(script(shell))
    ctx.exit(0)


def script(shell: str) -> str:
    """What bash, zsh or fish runs."""
    from click.shell_completion import get_completion_class

    from dockernet_doctor.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None
    return f"{kind(cli, {}, 'dockernet-doctor', '_DOCKERNET_DOCTOR_COMPLETE').source()}\n"
