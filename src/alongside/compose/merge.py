"""Writing an override file: YAML, with the tags that say how Compose is to merge it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


class Override:
    """A value that takes the place of the person's own, where Compose would merge them."""

    def __init__(self, value: object) -> None:
        self.value = value


class Reset:
    """The person's own value is taken out."""


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _override(dumper: yaml.SafeDumper, override: Override) -> yaml.Node:
    node = dumper.represent_data(override.value)
    node.tag = "!override"
    return node


def _reset(dumper: yaml.SafeDumper, _: Reset) -> yaml.Node:
    return dumper.represent_scalar("!reset", "null", style="")


def _string(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # Quoted, unless it is a word: PyYAML writes 1e3 plain (YAML 1.1 has no such number), and
    # Compose reads 1000. `$` is Compose's own.
    style = None if _WORD.fullmatch(text) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text.replace("$", "$$"), style=style)


_Dumper.add_representer(Override, _override)
_Dumper.add_representer(Reset, _reset)
_Dumper.add_representer(str, _string)


def dump(document: Mapping[str, Any]) -> str:
    """The document as a compose file; sections with nothing in them are left out."""
    return yaml.dump(
        {key: value for key, value in document.items() if value},
        Dumper=_Dumper,
        sort_keys=False,
        default_flow_style=False,
        width=1000,
        allow_unicode=True,
    )
