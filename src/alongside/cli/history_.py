"""`alongside history`."""

from __future__ import annotations

from typing import Any

import click

from alongside.cli.completing import services
from alongside.cli.reading import print_json, reading, table, when
from alongside.client import Client


@click.command("history", epilog="Example: alongside history dns -n 20")
@click.argument("service", required=False, shell_complete=services)
@click.option("-n", "--limit", default=50, show_default=True, metavar="ENTRIES")
@reading
@click.pass_context
def command(ctx: click.Context, service: str | None, limit: int, as_json: bool) -> None:
    """Show what was done, newest first: when, who, from what to what, why, and how it ended."""
    found = Client(ctx.obj).get("/v1/history", service=service, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            when(one["at"]),
            one["actor"],
            one["verb"],
            one["service"],
            _what(one),
            one["outcome"],
            one["message"] or one["detail"] or "-",
        )
        for one in found["history"]
    ]
    table(("when", "who", "verb", "service", "version", "outcome", "why"), rows, "No history yet.")


def _what(entry: dict[str, Any]) -> str:
    if entry["from"] and entry["to"]:
        return f"{entry['from']} -> {entry['to']}"
    return str(entry["to"] or (f"{entry['from']} -> none" if entry["from"] else "-"))
