"""What is sent to the daemon: a tag's tree, to be built, and files that git ignores."""

from __future__ import annotations

import errno
import re
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi import Path as InPath
from fastapi.responses import Response, StreamingResponse

from alongside.daemon import trees
from alongside.daemon.api import documents
from alongside.daemon.api.answers import answer, answers, ndjson, streams, takes
from alongside.daemon.api.bodies import Flag, Text
from alongside.daemon.api.route import StrictRoute, bounded
from alongside.daemon.context import Context
from alongside.daemon.locks import LINKED
from alongside.daemon.operations import Operations
from alongside.daemon.peers import actor
from alongside.daemon.threads import in_thread
from alongside.daemon.verbs.build import Source, build
from alongside.daemon.verbs.change import Asked
from alongside.domain.errors import Conflict, InvalidInput, StepFailed
from alongside.host.files import make_folder, write_whole
from alongside.host.reserve import shortage

LINKED_MAX = 16 << 20  # bytes of one linked file
_NAME_MAX = 255  # bytes of a file's name (ext4, xfs, btrfs)

_OBJECT = r"^([0-9a-f]{40}|[0-9a-f]{64})$"
_OBJECT_NAME = re.compile(_OBJECT)
_TAR = "The tag's tree as a tar file: files, folders, and links within it."
_NAME = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$"
_REPOSITORY = Annotated[
    str,
    InPath(
        description="The repository's name.",
        examples=["dns"],
        json_schema_extra={"pattern": _NAME},
    ),
]
_TAGGED: dict[str, Any] = {
    "releases of the tag": {
        "operationId": "tags",
        "parameters": {"tag": "$request.query.tag", "repository": "$request.query.repository"},
    }
}
_SHARED: dict[str, Any] = {
    "files": {"operationId": "shared", "parameters": {"repository": "$request.path.repository"}}
}


def sending(context: Context, operations: Operations) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["sending"], route_class=StrictRoute)

    @router.post(
        "/builds",
        name="build",
        **streams(413, 502, links=_TAGGED, openapi_extra=takes("application/x-tar", _TAR)),
    )
    async def post_build(
        request: Request,
        source: Annotated[Source, Depends(_source)],
        dry_run: Annotated[
            Flag, Query(description="Say what would be built.", examples=[True])
        ] = False,
    ) -> StreamingResponse:
        """Build the releases of a tag from its tree.

        The first event is `accepted`, when the tree is here.
        """
        archive = await trees.spool(request.stream(), context.paths.incoming)
        if not archive.stat().st_size:
            trees.discard(archive)
            raise InvalidInput(
                "There is no tree in the request.", hint="Its body is the tag's tree as a tar file."
            )
        if operations.refusal is not None:
            trees.discard(archive)
        asked = Asked(actor(request), "", dry_run)
        return ndjson(operations.start(lambda emit: build(context, source, archive, asked, emit)))

    @router.get("/shared/{repository}", **answers(documents.Shared))
    async def shared(repository: _REPOSITORY) -> Response:
        """List the linked files that are kept for a repository."""
        folder = context.paths.shared(_plain(repository))
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return answer({"files": sorted(str(path) for path in found)})

    @router.put(
        "/shared/{repository}/{path:path}",
        name="share",
        **answers(documents.Kept, 409, 413, 502, links=_SHARED),
        openapi_extra=takes(
            "application/octet-stream",
            "The file, at most 16 MiB. No body is an empty file.",
            required=False,
        ),
    )
    async def put_shared(
        repository: _REPOSITORY,
        path: Annotated[
            Text,
            InPath(
                description="Where it lies in the repository; slashes are part of it.",
                examples=[".env"],
            ),
        ],
        request: Request,
    ) -> Response:
        """Keep a linked file, for every version of a repository."""
        place = context.paths.shared(_plain(repository)) / _within(path)
        if operations.refusal is not None:
            raise operations.refusal()
        body = await bounded(request, LINKED_MAX, "A linked file")
        async with context.locks[LINKED]:
            changed = await in_thread(partial(_write, place, body, path))
        return answer({"path": path, "changed": changed})

    return router


def _source(
    tag: Annotated[Text, Query(description="The tag's name.", examples=["1.1.0"])],
    commit: Annotated[
        str, Query(description="The commit.", pattern=_OBJECT, examples=["c0ffee00" * 5])
    ],
    tree: Annotated[
        str, Query(description="Its tree.", pattern=_OBJECT, examples=["7ea0c0de" * 5])
    ],
    repository: Annotated[
        str,
        Query(
            description="The repository's name.",
            examples=["dns"],
            json_schema_extra={"pattern": _NAME},
        ),
    ],
    source: Annotated[
        Text,
        Query(description="Where it comes from, for people.", examples=["/home/ann/dns"]),
    ],
    compose_file: Annotated[
        Text,
        Query(description="The compose file in the tree; else Compose's choice.", examples=[""]),
    ] = "",
    service: Annotated[
        Text, Query(description="Only this one of those that claim the tag.", examples=["dns"])
    ] = "",
) -> Source:
    for name, value in (("commit", commit), ("tree", tree)):
        if not _OBJECT_NAME.fullmatch(value):  # in a pattern, $ lets a line's end follow
            raise InvalidInput(f"{value!r} is not a git object name ({name}).")
    return Source(tag, commit, tree, _plain(repository), source, compose_file, service)


def _plain(repository: str) -> str:
    if not re.fullmatch(_NAME.removesuffix("$"), repository):
        raise InvalidInput(
            f"{repository[:64]!r} is not the name of a repository.",
            hint="It is made of letters, digits, dots, hyphens and underscores, at most 255, and "
            "does not begin with a dot.",
        )
    return repository


def _within(path: str) -> PurePosixPath:
    relative = PurePosixPath(path)
    names = relative.parts
    fits = all(len(name.encode()) < _NAME_MAX - len("..new") for name in names)
    if relative.is_absolute() or ".." in names or not names or "\0" in path or not fits:
        raise InvalidInput(f"{path!r} is not a path within a repository.")
    return relative


def _write(place: Path, body: bytes, name: str) -> bool:
    """Whole or not at all, for the daemon's user alone; whether anything changed. Raises
    Conflict, StepFailed."""
    try:
        if place.is_file() and place.read_bytes() == body:
            return False
        make_folder(place.parent)
        if short := shortage(place.parent, len(body)):
            raise OSError(errno.ENOSPC, short)
        write_whole(place, body, mode=0o600)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise Conflict(
            f"{name} cannot be kept: a file is where a folder should be, or a folder where a "
            "file should be.",
            hint="Look at what is kept: GET /v1/shared/REPOSITORY.",
        ) from error
    except OSError as error:
        raise StepFailed(
            f"{name} could not be kept: {error.strerror}.",
            hint="Look at the free space of the state folder.",
        ) from error
    return True
