"""The hooks of the repository that one stands in."""

from __future__ import annotations

from collections.abc import Iterator

from alongside.doctor.facts import Facts, Hooks, seen
from alongside.doctor.finding import Finding, Seen, problem, warning

_INIT = "alongside init"


def hooks(facts: Facts) -> Seen:
    found = seen(facts.hooks)
    fine = (
        f"{found.repository}: git tag builds"
        if found.there
        else f"{found.repository}: not installed, and nothing is released from here"
    )
    return Seen.of(_hooks(found), fine)


def _hooks(found: Hooks) -> Iterator[Finding]:
    if not found.there:
        if found.released:
            yield warning(
                f"{found.repository} has releases on this host, and no hooks in this copy of it.",
                "git tag builds nothing here; `alongside build TAG` does.",
                "Install them.",
                _INIT,
            )
        return
    if "reference-transaction" in found.missing:
        where = f", which {found.origin} says (core.hooksPath)" if found.origin else ""
        yield problem(
            f"git takes its hooks from {found.folder}{where}, and alongside's are not there.",
            "git tag builds nothing, and moving a tag that has a release is not refused.",
            "Install them anew: the hooks that are there go on running.",
            _INIT,
        )
        return
    if found.not_executable:
        yield problem(
            f"{', '.join(found.not_executable)} in {found.folder} cannot be executed.",
            "git leaves it out without a word that stops anything: git tag builds nothing.",
            "Install the hooks anew, or make them executable.",
            f"chmod +x {' '.join(f'{found.folder}/{name}' for name in found.not_executable)}",
        )
    if found.python:
        yield problem(
            f"The hooks start {found.python}, which is not there any more.",
            "git tag fails, or builds nothing.",
            "Install them anew, by the alongside that is there now.",
            _INIT,
        )
    if found.exposed:
        yield problem(
            f"{', '.join(found.exposed)} in {found.folder} starts Python so that it looks for its "
            "modules in the work tree first.",
            "A file select.py or a folder alongside/ there breaks git tag, or is run by it.",
            "Bring them up to date.",
            _INIT,
        )
    if found.socket != found.wanted_socket:
        yield warning(
            f"The hooks speak to the daemon on {found.socket}, and this command to the one on "
            f"{found.wanted_socket}.",
            "What git tag builds is not among the releases that you see here.",
            "Have them speak to this one.",
            _INIT,
        )
    if found.stale:
        yield warning(
            f"{', '.join(found.stale)} in {found.folder} was written by another version of "
            "alongside, or changed since.",
            "Tags are built as that version did it.",
            "Bring them up to date.",
            _INIT,
        )
