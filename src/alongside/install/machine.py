"""What is seen of a host before anything is done to it: values, and no looking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Machine:
    """`paths` are those that are there, of those that matter; `texts` what the files say, where
    they can be read, and `links` where the links lead."""

    unit: str | None = None  # the unit file's text
    enabled: bool = False
    active: bool = False
    answers: str = ""  # the version of the daemon on the socket; "" where none answers
    group: bool = False
    paths: frozenset[Path] = frozenset()
    texts: Mapping[Path, str] = field(default_factory=dict)
    links: Mapping[Path, Path] = field(default_factory=dict)
    made_folders: tuple[Path, ...] = ()  # by an earlier installation
    made_group: bool = False


@dataclass(frozen=True, slots=True)
class Remains:
    """What alongside has put on the host besides itself. Names are sorted."""

    running: tuple[str, ...] = ()  # containers
    containers: tuple[str, ...] = ()  # all of them
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()  # public ones, that are routed or assigned
    table: bool = False
    address: str = ""  # on lo
    hooked: tuple[Path, ...] = ()  # repositories on this host that have the hooks
    elsewhere: tuple[str, ...] = ()  # where else tags came from
    # Below the state folder: what containers of others mount, and by which; and what containers
    # have written there.
    mounted: tuple[tuple[Path, str], ...] = ()
    data: tuple[Path, ...] = ()
