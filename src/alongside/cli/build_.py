"""`alongside build`."""

from __future__ import annotations

import click

from alongside.cli.changing import follow
from alongside.cli.completing import services, tags
from alongside.cli.sending import configured_file, send
from alongside.client import Client
from alongside.domain.errors import InvalidInput
from alongside.git import Repository


@click.command("build", epilog="Example: alongside build 1.3.0")
@click.argument("tag", required=False, shell_complete=tags)
@click.option(
    "--service",
    metavar="NAME",
    default="",
    shell_complete=services,
    help="Only this service of those that claim it.",
)
@click.option("--file", "file", metavar="PATH", default="", help="The compose file in the tree.")
@click.option("--dry-run", is_flag=True, help="Say what would be built.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a step.")
@click.pass_context
def command(
    ctx: click.Context, tag: str | None, service: str, file: str, dry_run: bool, as_json: bool
) -> None:
    """Build the release of a git tag, from the tag's tree and nothing else.

    Without a TAG, the one at HEAD. The same version again from the same commit changes nothing;
    from another commit it is refused.
    """
    from alongside import githooks

    repository = Repository.discover()
    if silence := githooks.problem(repository):
        click.echo(f"alongside: {silence} To have them built again: alongside init", err=True)
    source = repository.resolve_tag(tag or _at_head(repository))
    events = send(
        Client(ctx.obj),
        repository,
        source,
        service=service,
        compose_file=file or configured_file(repository),
        dry_run=dry_run,
    )
    follow(events, as_json=as_json)


def _at_head(repository: Repository) -> str:
    tags = repository.tags_at_head()
    if len(tags) == 1:
        return tags[0]
    raise InvalidInput(
        f"HEAD has {len(tags)} tags ({', '.join(tags)}); which one?"
        if tags
        else "HEAD has no tag, and only tags are built.",
        hint="alongside build TAG" if tags else "git tag 1.0.0",
    )
