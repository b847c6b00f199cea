"""`alongside ps`."""

from __future__ import annotations

from typing import Any

import click

from alongside.cli.completing import services
from alongside.cli.reading import local_ports, print_json, reading, table, when
from alongside.client import Client


@click.command("ps", epilog="Example: alongside ps dns")
@click.argument("service", required=False, shell_complete=services)
@reading
@click.pass_context
def command(ctx: click.Context, service: str | None, as_json: bool) -> None:
    """List instances, with their addresses and local ports, and what versions share."""
    found = Client(ctx.obj).get("/v1/instances", service=service)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["name"],
            one["health"] or one["state"],
            "has the ports" if one["routed"] else "-",
            one["address4"],
            local_ports(one),
            when(one["started"]),
        )
        for one in found["instances"]
    ]
    table(
        ("instance", "state", "ports", "address", "local ports", "started"),
        rows,
        "No version has an instance: alongside up SERVICE@VERSION.",
    )
    shared = [
        (
            one["name"] or one["service"],
            _state(one),
            ", ".join(one["needed_by"]) or "-",
            when(one["started"]),
        )
        for one in found.get("dependencies", ())
    ]
    if shared:
        click.echo()
        table(("shared", "state", "needed by", "started"), shared, "")


def _state(one: dict[str, Any]) -> str:
    if one["state"] == "exited":
        return f"exited ({one['exit_code']})"
    return str(one["health"] or one["state"])
