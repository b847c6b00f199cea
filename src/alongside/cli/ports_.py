"""`alongside ports`."""

from __future__ import annotations

import click

from alongside.cli.completing import services
from alongside.cli.reading import print_json, reading, table
from alongside.client import Client


@click.command("ports", epilog="Example: alongside ports")
@click.argument("service", required=False, shell_complete=services)
@reading
@click.pass_context
def command(ctx: click.Context, service: str | None, as_json: bool) -> None:
    """Show which version each public port reaches, and where, and the ports that are assigned."""
    found = Client(ctx.obj).get("/v1/ports", service=service)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            port["port"],
            f"{port['service']}@{one['version']}"
            + (f" ({port['follows']})" if port["follows"] else ""),
            f"{one['address4']}:{one['target']}" if one["address4"] else "-",
            f"[{one['address6']}]:{one['target']}" if one["address6"] else "-",
            f"127.0.0.1:{one['local_port']}" if one["local_port"] else "-",
        )
        for port in found["ports"]
        for one in port["split"]
    ]
    rows += [(one["port"], one["target"], "-", "-", "-") for one in found["assigned"]]
    table(
        ("port", "reaches", "IPv4", "IPv6", "local port"),
        rows,
        "No port is given to any version: alongside activate SERVICE@VERSION.",
    )
