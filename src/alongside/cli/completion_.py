"""`alongside completion`."""

from __future__ import annotations

import click

from alongside.shell import SHELLS, completion


@click.command("completion", epilog='Example: eval "$(alongside completion bash)"')
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion of a shell: verbs, options, services, and versions newest first.

    `alongside daemon install` puts all three where the shells look. Without it: `eval` in
    ~/.bashrc, in ~/.zshrc after compinit, or `alongside completion fish | source` in fish.
    """
    click.echo(completion(shell), nl=False)
