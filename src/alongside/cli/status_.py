"""`alongside status`."""

from __future__ import annotations

import json
import os
import sys

import click

from alongside.cli.completing import services
from alongside.cli.reading import (
    Json,
    held,
    local_ports,
    print_json,
    problems,
    reading,
    remark,
    table,
)
from alongside.client import Client


@click.command("status", epilog="Example: alongside status dns --watch")
@click.argument("service", required=False, shell_complete=services)
@click.option("-w", "--watch", is_flag=True, help="A picture, drawn again at each change.")
@reading
@click.pass_context
def command(ctx: click.Context, service: str | None, watch: bool, as_json: bool) -> int:
    """Show services, their versions newest first, and who has the ports.

    With --watch it goes on until `q` or Ctrl-C; off a terminal it prints the table at each
    change, and with --json a line.
    """
    client = Client(ctx.obj)
    if watch:
        return _watch(client, service, as_json)
    found = client.get("/v1/status", service=service)
    if as_json:
        print_json(found)
    else:
        _print(found)
    return 0


def _watch(client: Client, service: str | None, as_json: bool) -> int:
    from alongside.cli import watching

    if as_json:
        return watching.printed(client, service, _print_line)
    if not sys.stdout.isatty():
        return watching.printed(client, service, _print_next)
    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        return watching.printed(client, service, watching.print_picture)
    return watching.on_screen(client, service)


def _print_line(found: Json) -> None:
    click.echo(json.dumps(found, ensure_ascii=False))


def _print_next(found: Json) -> None:
    _print(found)
    click.echo()


def _print(found: Json) -> None:
    problems(found)
    rows = [
        (
            one["name"],
            version["version"],
            version["health"] or version["state"].replace("none", "-"),
            _ports(one, version["version"]),
            remark(one, version),
            local_ports(version),
        )
        for one in found["services"]
        for version in one["versions"]
    ]
    table(
        ("service", "version", "state", "ports", "", "local ports"),
        rows,
        "Nothing is released yet: git tag 1.0.0 after alongside init."
        if not found["problems"]
        else "No service is known.",
    )
    for one in found["services"]:
        if why := held(one):
            click.echo(f"{one['name']} is {why}. New releases wait: alongside resume {one['name']}")


def _ports(service: Json, version: str) -> str:
    """The ports that reach a version; with its part where it shares one."""
    found = []
    for port in service["ports"]:
        total = sum(share["weight"] for share in port["split"])
        for share in port["split"]:
            if share["version"] == version:
                part = "" if share["weight"] == total else f" {share['weight'] * 100 // total}%"
                found.append(f"{port['port']}{part}")
    return ", ".join(found) or "-"
