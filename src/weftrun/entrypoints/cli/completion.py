"""`weftrun completion`."""

from __future__ import annotations

import click

from weftrun.entrypoints.cli.completing import SHELLS, script


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what lets a shell complete commands, options, ids of Runs, and workflows of a file.

    bash: eval "$(weftrun completion bash)" in ~/.bashrc. zsh: the same with zsh, in ~/.zshrc. fish: weftrun completion
    fish > ~/.config/fish/completions/weftrun.fish. The author's files are read for it and not imported.
    """
    print(script(ctx.find_root().command, shell), end="")
