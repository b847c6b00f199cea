"""`alongside doctor`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from alongside.cli.reading import print_json, table
from alongside.client import Client

if TYPE_CHECKING:
    from alongside.doctor.finding import Checked, Finding

_WIDTH = 96
_SEEN = 80  # of a check's line; what is found is told at length below
_INDENT = "  "


@click.command("doctor", epilog="Example: alongside doctor")
@click.option("--json", "as_json", is_flag=True, help="The checks, and the findings one by one.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> int:
    """Look for what is wrong on this host, and say what it means and the remedy.

    In a repository its hooks are looked at too. Without a running daemon, or without root, what
    cannot be seen is said to be unseen. Nothing is changed. Ends with 1 where there is a problem;
    warnings are none. docs/doctor.md has every check.
    """
    from alongside.doctor.examine import examine
    from alongside.doctor.finding import Outcome

    checked = examine(Client(ctx.obj))
    ill = any(one.outcome is Outcome.PROBLEM for one in checked)
    if as_json:
        found = [
            {"id": one["id"], **finding}
            for one in (check.to_json() for check in checked)
            for finding in one["findings"]
        ]
        lines = [
            {key: value for key, value in one.to_json().items() if key != "findings"}
            for one in checked
        ]
        print_json({"healthy": not ill, "findings": found, "checks": lines})
        return int(ill)
    table(
        ("", "check", "seen"),
        [(one.outcome.value, one.id, _shortened(one.said)) for one in checked],
        "",
    )
    for one in checked:
        for finding in one.findings:
            click.echo(_described(one, finding))
    click.echo(f"\n{_summary(checked)}")
    return int(ill)


def _described(check: Checked, finding: Finding) -> str:
    parts = [
        _wrapped(finding.what),
        _wrapped(finding.means),
        *([_wrapped(f"Remedy: {finding.remedy}")] if finding.remedy else []),
    ]
    # Never wrapped: they are there to be pasted.
    parts += [f"{_INDENT}{_INDENT}{command}" for command in finding.commands]
    return f"\n{finding.severity.value}: {check.id}\n" + "\n".join(parts)


def _shortened(text: str) -> str:
    return textwrap.shorten(text, _SEEN, placeholder=" …")


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_on_hyphens=False,  # paths and options are there to be copied
        break_long_words=False,
    )


def _summary(checked: Sequence[Checked]) -> str:
    from alongside.doctor.finding import Outcome

    found = [finding.severity for one in checked for finding in one.findings]
    problems, warnings = found.count(Outcome.PROBLEM), found.count(Outcome.WARNING)
    unseen = sum(one.outcome is Outcome.UNSEEN for one in checked)
    parts = [
        _count(problems, "problem") if problems else "No problem",
        *([_count(warnings, "warning")] if warnings else []),
        *([f"{unseen} of {len(checked)} could not be seen"] if unseen else []),
    ]
    return ", ".join(parts) + "."


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
