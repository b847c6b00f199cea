"""The hooks of the repository that the person stands in, as git finds them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Collection
from pathlib import Path

from alongside import githooks
from alongside.client import DEFAULT_SOCKET
from alongside.doctor.facts import Hooks, Unseen
from alongside.domain.errors import AlongsideError, NotFound
from alongside.git import Repository

# The hooks that release, and what they are written from.
_RELEASING = {"reference-transaction": "reference-transaction.sh", "post-receive": "dispatch.sh"}
_OURS = "# Installed by `alongside init`"


def hooks(socket: str, released: Collection[str]) -> Hooks | Unseen:
    """`released`: the names of the repositories that the daemon has releases of."""
    try:
        repository = Repository.discover()
    except NotFound:
        return Unseen("not in a git repository")
    except AlongsideError as error:
        return Unseen(error.message)
    origin, folder = _hooks_path(repository)
    texts = {name: _text(folder / name) for name in _RELEASING}
    ours = {name: text for name, text in texts.items() if _OURS in text}
    transaction = ours.get("reference-transaction", "")
    return Hooks(
        repository=repository.name,
        there=(repository.common_dir / "alongside").exists(),
        folder=str(folder),
        origin=origin,
        missing=tuple(name for name in _RELEASING if name not in ours),
        stale=tuple(name for name, text in ours.items() if not is_current(name, text)),
        not_executable=tuple(name for name in ours if not os.access(folder / name, os.X_OK)),
        exposed=tuple(name for name, text in ours.items() if is_exposed(text)),
        python=gone_python(transaction),
        socket=socket_of(transaction) if transaction else "",
        wanted_socket=socket,
        released=repository.name in released,
    )


def _hooks_path(repository: Repository) -> tuple[str, Path]:
    """The file that sets core.hooksPath, "" for none, and the folder that git looks into."""
    said = repository.run(
        "config", "--show-origin", "--type=path", "--get", "core.hooksPath", check=False
    )
    origin, _, path = said.rstrip("\n").partition("\t")
    root = repository.top or repository.common_dir
    return origin.removeprefix("file:"), root / path if path else repository.common_dir / "hooks"


def is_current(name: str, text: str) -> bool:
    """Whether a hook's text is this version's template, whatever it was filled with."""
    template = Path(githooks.__file__).with_name(_RELEASING[name]).read_text()
    parts = re.split(r"@[A-Z]+@", template)
    return re.fullmatch(r"[^\n]*".join(map(re.escape, parts)), text) is not None


def socket_of(hook: str) -> str:
    """The daemon's socket that a hook was written for."""
    found = re.search(r"\bALONGSIDE_SOCKET=([^;\n]+);", hook)
    words = shlex.split(found[1]) if found else []
    return words[0] if words else DEFAULT_SOCKET


def gone_python(hook: str) -> str:
    """The interpreter that a hook starts, where it is no program any more."""
    words = _started(hook)
    return words[0] if words and not os.access(words[0], os.X_OK) else ""


def is_exposed(hook: str) -> bool:
    """Whether it starts Python without keeping it from modules of the folder that it is in."""
    options = set(_started(hook)[1:])
    return bool(_started(hook)) and not ("-I" in options or {"-E", "-P"} <= options)


def _started(hook: str) -> list[str]:
    """The interpreter that a hook starts, and its options."""
    found = re.search(r"\| (\S.*) -m alongside hook ", hook)
    return shlex.split(found[1]) if found else []


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
