"""`alongside init`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alongside.client import Client
from alongside.domain.errors import AlongsideError, InvalidInput, MissingRequirement, NotFound
from alongside.git import Repository

if TYPE_CHECKING:
    from alongside.domain.service import Service


@click.command("init", epilog="Example: alongside init")
@click.option("--remove", is_flag=True, help="Take the hooks and settings out again.")
@click.option(
    "--file", "file", metavar="PATH", default="", help="The compose file, if not the usual."
)
@click.option("--dry-run", is_flag=True, help="Check, and say what would be done.")
@click.pass_context
def command(ctx: click.Context, remove: bool, file: str, dry_run: bool) -> None:
    """Check the repository and its compose file, and install the hooks.

    From then on `git tag` builds a release. Hooks that are there already go on running. In a
    bare repository tags are built when they are pushed. Saying it again brings the hooks up to
    date, and sends linked files (.env) anew.
    """
    from alongside import githooks

    repository = Repository.discover()
    if remove:
        if dry_run:
            click.echo("Would take the hooks out; those that were there before stay.")
            return
        for sentence in githooks.remove(repository):
            click.echo(sentence)
        return
    client = Client(ctx.obj)
    services: tuple[Service, ...] = ()
    if repository.top is not None:
        services = _check(repository.top, file)
    else:
        click.echo(f"{repository.name} is a bare repository: pushed tags are built.")
    if dry_run:
        click.echo("Would install the hooks: git tag would build releases from then on.")
        return
    for sentence in githooks.install(repository, client.path):
        click.echo(sentence)
    if file:
        repository.run("config", "--local", "alongside.file", file)
    _meet_daemon(client, repository, services)
    click.echo("Next: git tag 1.0.0")


def _check(top: Path, file: str) -> tuple[Service, ...]:
    from alongside.compose.files import find_compose_file
    from alongside.compose.propose import propose
    from alongside.compose.services import services_from

    path = find_compose_file(top, file)
    model = _model(path)
    lines = propose(model)
    if lines:
        click.echo(
            f"{path.name} leaves something open. These lines would say it; choose, add, and "
            f"say `alongside init` again:\n\n{lines}"
        )
    services = services_from(model, file=path.name)
    if not services:
        raise InvalidInput(
            f"{path.name} has no service with `build:`, so there is nothing to release.",
            hint="Services that are built from the repository have versions; add `build: .`",
        )
    for service in services:
        ports = ", ".join(str(publish.port) for publish in service.ports) or "no port"
        click.echo(
            f"{service.name}: tags {', '.join(service.tags)}, {ports}, "
            f"ready by {service.ready.kind}, image {service.image}"
        )
    return services


def _model(path: Path) -> dict[str, Any]:
    """Compose's own reading of the file, in the person's own folder."""
    import os

    import yaml

    try:
        done = subprocess.run(
            ["docker", "compose", "--file", str(path), "config", "--format", "yaml"],
            cwd=path.parent,
            env={**os.environ, "tag": "latest"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingRequirement(
            "There is no docker command to read the compose file with.",
            hint="Install docker.io and Compose 2.",
        ) from error
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        if any("not a docker command" in line or "unknown" in line for line in said):
            raise MissingRequirement(
                "`docker compose` (version 2) is not there.",
                hint="Install docker-compose-v2 (Ubuntu) or docker-compose of Debian 13 or later.",
            )
        raise InvalidInput(f"{path.name} is not a valid compose file: {said[-1]}", log=said[:-1])
    model: dict[str, Any] = yaml.safe_load(done.stdout)
    return model


def _meet_daemon(client: Client, repository: Repository, services: tuple[Service, ...]) -> None:
    """Send the linked files, and say what the host lacks."""
    linked = dict.fromkeys(name for service in services for name in service.linked)
    try:
        for problem in client.get("/v1/info")["problems"]:
            click.echo(f"The daemon says: {problem}")
        for name in linked:
            _send(client, repository, name)
    except NotFound:
        raise
    except AlongsideError as error:
        click.echo(f"{error.message} {error.hint}")
        if linked:
            click.echo(f"So {', '.join(linked)} are not sent; say `alongside init` again later.")


def _send(client: Client, repository: Repository, name: str) -> None:
    path = (repository.top or Path()) / name
    if not path.is_file():
        raise NotFound(
            f"x-alongside.linked names {name}, and there is no such file here.",
            hint=f"Write {path}, or take it out of x-alongside.linked.",
        )
    sent = client.put(f"/v1/shared/{repository.name}/{name}", path.read_bytes())
    click.echo(f"{name} is {'kept on this host' if sent['changed'] else 'the same as before'}.")
