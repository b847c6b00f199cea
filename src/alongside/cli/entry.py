"""The entry: which verbs there are, and the one handler of errors.

Exit codes: 0 done, 1 refused or failed, 3 a bug of alongside's (with a log file), 130 interrupted.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from alongside import __version__
from alongside.domain.errors import AlongsideError, NotFound

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Verb -> its module and its line in --help, so that --help loads none of them.
VERBS = {
    "init": "Check the repository and its compose file, and install the hooks.",
    "build": "Build the release of a git tag.",
    "releases": "List releases, newest first.",
    "up": "Run a version beside the others.",
    "stop": "Stop a version that has no ports.",
    "rm": "Remove a version's instance; its release stays.",
    "logs": "Show what a version writes.",
    "ps": "List instances.",
    "deploy": "Bring a version through the gates to the ports, and back where it fails.",
    "activate": "Give the ports to a version.",
    "deactivate": "Take the ports from a service, or from a version.",
    "rollback": "Give the ports back to the last known good version.",
    "mark": "Say that a release is good, or bad.",
    "hold": "Deploy no new release of a service by itself for now.",
    "resume": "Deploy new releases of a service by themselves again.",
    "gc": "Remove releases that are too many.",
    "ports": "Show which version each port reaches.",
    "port": "Give a public port to anything that listens on this host.",
    "status": "Show services, versions, and who has the ports.",
    "doctor": "Look for what is wrong on this host, and say the remedy.",
    "history": "Show what was done, by whom, and why.",
    "state": "Back up, restore or rebuild the daemon's state.",
    "shell-init": "Print shell functions with the article's names.",
    "completion": "Print the completion of a shell.",
    "daemon": "Run the daemon; install it, and take it away again.",
    "hook": "What the git hooks call.",
    "complete": "What the shells' completion calls.",
}
_HIDDEN = {"hook", "complete"}


def load(verb: str) -> click.Command:
    """The command of a verb, from its own module."""
    command: click.Command = import_module(f"alongside.cli.{verb.replace('-', '_')}_").command
    return command


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in VERBS if name not in _HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = load(cmd_name)
        if not gc.isenabled():  # left so by main: from here on garbage is looked for
            gc.freeze()
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, VERBS[name]) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = not args or args[0] in VERBS or ctx.resilient_parsing
        if not known and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {close[0]}?" if close else ""
            ctx.fail(f"There is no verb {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        shown = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        verbs = [CompletionItem(name, help=VERBS[name]) for name in shown]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)  # the options


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--socket", metavar="PATH", help="The daemon's socket (else ALONGSIDE_SOCKET).")
@click.version_option(__version__, "--version", message="alongside %(version)s")
@click.pass_context
def cli(ctx: click.Context, socket: str | None) -> None:
    """Many versions of a container side by side, and which of them the host's ports reach."""
    ctx.obj = socket


def run(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code."""
    try:
        code = cli.main(arguments, prog_name="alongside", standalone_mode=False)
    except AlongsideError as error:
        _say(error)
        return 1
    except click.ClickException as error:
        error.show()
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo(
            "\nalongside: interrupted. What the daemon had begun goes on; `alongside history` "
            "shows how it ends.",
            err=True,
        )
        return 130
    except Exception as error:
        _bug(error)
        return 3
    return code if isinstance(code, int) else 0


def _say(error: AlongsideError) -> None:
    click.echo(f"alongside: {error.message}", err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
    for line in error.log:
        click.echo(f"  | {line}", err=True)
    if isinstance(error, NotFound):
        _say_why_not_built()


def _say_why_not_built() -> None:
    """Whoever misses a release may be in a repository whose tags are no longer built."""
    from alongside import githooks
    from alongside.git import Repository

    try:
        silence = githooks.problem(Repository.discover())
    except AlongsideError:
        return  # no repository here, and nothing to say of its hooks
    if silence:
        click.echo(f"  {silence} To have them built again: alongside init", err=True)


def _bug(error: Exception) -> None:
    import tempfile
    import traceback

    handle, path = tempfile.mkstemp(prefix="alongside-", suffix=".log")
    with os.fdopen(handle, "w") as file:
        file.write(f"alongside {__version__}, Python {sys.version}\n{sys.argv}\n\n")
        file.write("".join(traceback.format_exception(error)))
    click.echo(f"alongside: this is a bug: {error!r}.\n  The whole of it is in {path}.", err=True)
