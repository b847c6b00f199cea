"""The command nft, in the namespace that the table is in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from alongside.domain.errors import MissingRequirement, StepFailed
from alongside.router.listing import parse_listing
from alongside.router.table import TABLE, ListedChain, Listing


class Nft:
    """Every method raises StepFailed with nft's own words, MissingRequirement where it is not
    there."""

    def __init__(self, command: Sequence[str], namespace: Path | None) -> None:
        enter = ("nsenter", f"--net={namespace}", "--") if namespace else ()
        self._command = (*enter, *command)

    async def commit(self, text: str) -> None:
        """As one transaction."""
        await self._run("-f", "-", text=text)

    async def table(self) -> Listing | None:
        """None where there is none."""
        text = await self._list("table", *TABLE.split())
        return None if text is None else parse_listing(text)

    async def chain(self, name: str) -> ListedChain | None:
        # nft 1.0.6 finds only the last of several in one call.
        text = await self._list("chain", *TABLE.split(), name)
        return None if text is None else parse_listing(text).chains.get(name)

    async def _list(self, *what: str) -> str | None:
        try:
            return await self._run("-s", "-y", "list", *what)
        except StepFailed as error:
            if any("No such file or directory" in line for line in error.log):
                return None
            raise

    async def _run(self, *arguments: str, text: str = "") -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C"},  # errors are told apart by their words
            )
        except FileNotFoundError:
            raise MissingRequirement(
                f"There is no {self._command[0]} to run.", hint="Install the package nftables."
            ) from None
        output, errors = await process.communicate(text.encode())
        if process.returncode:
            words = errors.decode(errors="replace").splitlines()
            raise StepFailed(
                f"nft refused: {words[0] if words else f'exit {process.returncode}'}",
                hint="Nothing was changed. The transaction is what --dry-run prints.",
                log=words,
            )
        return output.decode()
