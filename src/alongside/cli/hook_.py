"""`alongside hook`: what the git hooks call."""

from __future__ import annotations

import sys

import click

from alongside.cli.sending import DaemonBuilds
from alongside.client import Client


@click.command("hook", hidden=True, epilog="Example: alongside hook post-receive")
@click.argument("name")
@click.argument("arguments", nargs=-1)
@click.pass_context
def command(ctx: click.Context, name: str, arguments: tuple[str, ...]) -> int:
    """What the git hooks call, with the hook's own arguments and standard input."""
    from alongside.githooks import run

    def say(sentence: str) -> None:
        click.echo(f"alongside: {sentence}", err=True)

    lines = sys.stdin.read().splitlines()
    try:
        return run(name, arguments, lines, say, DaemonBuilds(Client(ctx.obj)))
    except KeyboardInterrupt:
        say("detached; the build goes on, and `alongside history` shows how it ends.")
        return 0
