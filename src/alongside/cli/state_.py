"""`alongside state backup`, `state restore` and `state rebuild`."""

from __future__ import annotations

from pathlib import Path

import click

from alongside.cli.changing import change, changing

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("state", epilog="Example: alongside state backup")
def command() -> None:
    """Back up the daemon's state, restore a backup, or rebuild a state that is lost."""


@command.command("backup", epilog="Example: alongside state backup /mnt/elsewhere/state.db")
@click.argument("file", required=False, type=_FILE)
@changing
@click.pass_context
def backup(
    ctx: click.Context, file: Path | None, message: str, dry_run: bool, as_json: bool
) -> None:
    """Copy the state to FILE, or add a copy to the daemon's own backups.

    The daemon makes a backup each day, and before an upgrade changes the state's schema, in
    `backups` in its state folder.
    """
    if file is None or dry_run:
        _change(ctx, "backup", as_json, message=message, dry_run=dry_run)
        return
    from alongside.client import Client
    from alongside.domain.errors import AlongsideError, Conflict
    from alongside.host.files import write_whole

    if file.exists():
        raise Conflict(f"There is a file {file} already.", hint="Name one that is not there.")
    copy = Client(ctx.obj).get_bytes("/v1/state")
    try:
        write_whole(file, copy, mode=0o600)
    except OSError as error:
        raise AlongsideError(
            f"No backup could be made at {file}: {error.strerror}.",
            hint="Look at the folder's permissions and free space.",
        ) from error
    click.echo(f"The state is backed up: {file.absolute()}")


@command.command("restore", epilog="Example: alongside state restore --dry-run")
@click.argument("file", required=False, type=_FILE)
@click.option("--force", is_flag=True, help="Replace a whole state, or change the kernel's table.")
@changing
@click.pass_context
def restore(
    ctx: click.Context,
    file: Path | None,
    force: bool,
    message: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Restore FILE, or the newest backup that is whole, in place of a lost state.

    The daemon reads FILE itself: as a service it has a /tmp of its own.

    What has changed since the backup is taken from the kernel's table, the engine's labels and the
    release trees, as `rebuild` does: what is routed now stays routed. The file that is replaced is
    kept.
    """
    _change(
        ctx,
        "restore",
        as_json,
        file=_absolute(file),
        force=force,
        message=message,
        dry_run=dry_run,
    )


@command.command("rebuild", epilog="Example: alongside state rebuild --dry-run")
@click.option("--force", is_flag=True, help="Go on even if the kernel's table would be changed.")
@changing
@click.pass_context
def rebuild(ctx: click.Context, force: bool, message: str, dry_run: bool, as_json: bool) -> None:
    """Rebuild a lost state from the release trees, the engine's labels and the kernel's table.

    Releases, instances with their addresses, and routes are found again; marks, trials, holds,
    drains and the history are not.
    """
    _change(ctx, "rebuild", as_json, force=force, message=message, dry_run=dry_run)


def _change(ctx: click.Context, verb: str, as_json: bool, **body: object) -> None:
    change(ctx, f"state/{verb}", as_json, **body)


def _absolute(file: Path | None) -> str | None:
    return str(file.absolute()) if file else None
