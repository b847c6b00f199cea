"""The daemon and its socket, as the person at the terminal meets them."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from alongside import __version__
from alongside.client import Client
from alongside.doctor.facts import Answer, Socket, Unseen
from alongside.domain.errors import AlongsideError

GROUP = "alongside"


def answer(client: Client) -> Answer:
    try:
        info = client.get("/v1/info")
    except AlongsideError as error:
        return Answer(ours=__version__, error=error.message, hint=error.hint)
    return Answer(info["version"], __version__, info["pid"], problems=tuple(info["problems"]))


def socket(path: str) -> Socket | Unseen:
    try:
        found = Path(path).stat()
    except PermissionError:
        found = None
    except OSError as error:
        return Unseen(f"{path}: {error.strerror}")
    user = _user(os.geteuid())
    try:
        group = grp.getgrnam(GROUP)
    except KeyError:
        group = None
    return Socket(
        path=path,
        mode=found.st_mode & 0o7777 if found else 0,
        group=_group(found.st_gid) if found else GROUP,
        user=user,
        is_root=os.geteuid() == 0,
        has_group=group is not None,
        member=group is not None and (user in group.gr_mem or _primary(user) == group.gr_gid),
        in_session=group is not None and group.gr_gid in {os.getegid(), *os.getgroups()},
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _primary(user: str) -> int:
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        return -1


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"
