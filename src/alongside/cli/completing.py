"""What a shell completes with: services, versions and ports from the daemon, tags from git.

Nothing here ever says a word on an error: somebody is in the middle of a line.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

PATIENCE = 2.0  # seconds that somebody who pressed Tab waits at most

Completer = Callable[[click.Context, click.Parameter, str], "list[CompletionItem]"]


def services(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`dns`."""
    return _items((one["name"], "") for one in _names(ctx) if one["name"].startswith(incomplete))


def references(*, with_instance: bool = False, bare: bool = False) -> Completer:
    """`dns@1.3.0`, newest first; before the @ is there, the services, unless it is clear which.
    `with_instance`: of versions that have a container. `bare`: a service alone will do."""

    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        service, at, begun = incomplete.partition("@")
        found = [
            one
            for one in _names(ctx)
            if (one["name"] == service if at else one["name"].startswith(service))
        ]
        if bare and not at:
            return _items((one["name"], "") for one in found)
        if not at and len(found) > 1:
            return _items((f"{one['name']}@", "") for one in found)
        return _items(
            (f"{one['name']}@{version['version']}", _remark(version))
            for one in found
            for version in one["versions"]
            if version["version"].startswith(begun) and (version["instance"] or not with_instance)
        )

    return complete


def assigned(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The ports that `port unassign` would take."""
    ports = _ask(ctx, "/v1/ports").get("assigned", ())
    return _items(
        (one["port"], f"reaches {one['target']}")
        for one in ports
        if one["port"].startswith(incomplete)
    )


def tags(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """This repository's, newest first."""
    newest = ("git", "for-each-ref", "--sort=-creatordate", "--format=%(refname:lstrip=2)")
    try:
        done = subprocess.run(
            [*newest, "refs/tags"], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return _items((tag, "") for tag in done.stdout.splitlines() if tag.startswith(incomplete))


def _items(found: Iterator[tuple[str, str]]) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(value, help=words or None) for value, words in found]


def _remark(version: dict[str, Any]) -> str:
    if version["routed"]:
        return "has the ports"
    return "has a container" if version["instance"] else ""


def _names(ctx: click.Context) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _ask(ctx, "/v1/names").get("services", [])
    return found


def _ask(ctx: click.Context, path: str) -> dict[str, Any]:
    from alongside.client import Client
    from alongside.domain.errors import AlongsideError

    try:
        return Client(ctx.find_root().params.get("socket"), patience=PATIENCE).get(path)
    except (AlongsideError, OSError, ValueError):
        return {}
