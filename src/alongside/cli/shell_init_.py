"""`alongside shell-init`."""

from __future__ import annotations

import click


@click.command("shell-init", epilog='Example: eval "$(alongside shell-init)"')
def command() -> None:
    """Print shell functions with the article's names: container-activate and the others.

    For bash and zsh. They work on alongside's versions, and on containers that were started by
    hand with published ports.
    """
    from importlib.resources import files

    click.echo(files("alongside").joinpath("shell/functions.sh").read_text(), nl=False)
