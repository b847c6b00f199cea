"""`alongside complete`: what the shells' completion calls."""

from __future__ import annotations

import os
import signal

import click

from alongside.cli.completing import PATIENCE


@click.command("complete", hidden=True, epilog="Example: alongside complete up dns@")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(words: tuple[str, ...]) -> None:
    """Print what the last of WORDS can be completed to: a line each, a tab, a remark.

    `:files` and `:folders` leave the answer to the shell, and no line is an error: a completion
    that fails is silent.
    """
    from click.shell_completion import ShellComplete

    from alongside.cli.entry import cli

    # Whatever hangs: the shell hangs with it.
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.setitimer(signal.ITIMER_REAL, 2 * PATIENCE)
    *before, incomplete = words or ("",)
    completion = ShellComplete(cli, {}, "alongside", "_ALONGSIDE_COMPLETE")
    for item in completion.get_completions(before, incomplete):
        if item.type in ("file", "dir"):
            click.echo(":files" if item.type == "file" else ":folders")
        else:
            remark = " ".join((item.help or "").split())
            click.echo(f"{item.value}\t{remark}" if remark else item.value)
