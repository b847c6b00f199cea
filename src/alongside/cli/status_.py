"""`alongside status`."""

from __future__ import annotations

from typing import Any

import click

from alongside.cli.completing import services
from alongside.cli.reading import local_ports, print_json, problems, reading, table
from alongside.client import Client


@click.command("status", epilog="Example: alongside status dns")
@click.argument("service", required=False, shell_complete=services)
@reading
@click.pass_context
def command(ctx: click.Context, service: str | None, as_json: bool) -> None:
    """Show services, their versions newest first, and who has the ports."""
    found = Client(ctx.obj).get("/v1/status", service=service)
    if as_json:
        print_json(found)
        return
    problems(found)
    rows = [
        (
            one["name"],
            version["version"],
            version["health"] or version["state"].replace("none", "-"),
            _ports(one, version["version"]),
            _remark(one, version),
            local_ports(version),
        )
        for one in found["services"]
        for version in one["versions"]
    ]
    table(
        ("service", "version", "state", "ports", "", "local ports"),
        rows,
        "Nothing is released yet: git tag 1.0.0 after alongside init.",
    )


def _ports(service: dict[str, Any], version: str) -> str:
    """The ports that reach a version; with its part where it shares one."""
    found = []
    for port in service["ports"]:
        total = sum(share["weight"] for share in port["split"])
        for share in port["split"]:
            if share["version"] == version:
                part = "" if share["weight"] == total else f" {share['weight'] * 100 // total}%"
                found.append(f"{port['port']}{part}")
    return ", ".join(found) or "-"


def _remark(service: dict[str, Any], version: dict[str, Any]) -> str:
    if version["bad"]:
        return "bad"
    if version["current"] and version["state"] == "running":
        return "the one that runs"
    if version["current"]:
        return "is to run, and does not!"
    if version["routed"] and version["state"] != "running":
        return "has ports, and does not run!"
    return "rollback goes here" if version["version"] == service["rollback_to"] else ""
