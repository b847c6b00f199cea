"""`alongside releases`."""

from __future__ import annotations

import click

from alongside.cli.completing import services
from alongside.cli.reading import print_json, reading, table, when
from alongside.client import Client


@click.command("releases", epilog="Example: alongside releases dns")
@click.argument("service", required=False, shell_complete=services)
@reading
@click.pass_context
def command(ctx: click.Context, service: str | None, as_json: bool) -> None:
    """List releases, newest first, with what runs."""
    found = Client(ctx.obj).get("/v1/releases", service=service)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            f"{one['service']}@{one['version']}",
            one["state"] if one["state"] != "none" else "-",
            "has the ports" if one["routed"] else "-",
            one["commit"][:12],
            one["image"],
            when(one["created"]),
        )
        for one in found["releases"]
    ]
    table(
        ("release", "state", "ports", "commit", "image", "made"),
        rows,
        "Nothing is released yet: git tag 1.0.0 after alongside init.",
    )
