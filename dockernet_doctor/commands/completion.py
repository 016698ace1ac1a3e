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
    ctx.exit(run(ctx, shell))


def run(ctx: click.Context, shell: str) -> int:
    from click.shell_completion import get_completion_class

    from .output import show

    kind = get_completion_class(shell)
    assert kind is not None
    name = "dockernet-doctor"
    show(f"{kind(ctx.find_root().command, {}, name, '_DOCKERNET_DOCTOR_COMPLETE').source()}\n")
    return 0
