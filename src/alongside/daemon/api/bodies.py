"""What requests hold: bodies, and the words that many of them share."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

REFERENCE = "A version: `dns@1.1.0`, a range `dns@^1.1`, `dns@latest`, or the container's name."


def _plain_text(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a zero byte")
    return value


def _true_or_false(value: object) -> object:
    if value not in ("true", "false", True, False):
        raise ValueError("should be true or false")
    return value


# The patterns are for readers of the document; what they say is refused in words of our own.
_PLAIN = r"^[^\x00]*$"
_REFERENCE = r"^[^@\x00]*[^@\s\x00][^@\x00]*(@[^\x00]*[^\s\x00][^\x00]*)?$"


def _whole(value: object) -> object:
    """In JSON 5.0 is an integer, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(_whole)]
Text = Annotated[
    str,
    Field(max_length=4096, json_schema_extra={"pattern": _PLAIN}),
    AfterValidator(_plain_text),
]
Reference = Annotated[
    str,
    Field(max_length=4096, json_schema_extra={"pattern": _REFERENCE}),
    AfterValidator(_plain_text),
]
Flag = Annotated[bool, BeforeValidator(_true_or_false)]  # in a query; a body has JSON's own
Service = Annotated[Text | None, Query(description="Only this service.", examples=["dns"])]


class Change(BaseModel):
    """What every change takes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    message: Annotated[Text, Field(description="Why, for the history.", examples=["Debian 13"])] = (
        ""
    )
    dry_run: Annotated[
        bool, Field(description="Say what would be done, to the nft text, and do nothing.")
    ] = False


class Referring(Change):
    reference: Annotated[Reference, Field(description=REFERENCE, examples=["dns@1.1.0"])]


class Activation(Referring):
    take: Annotated[
        bool, Field(description="Take ports that another program on the host listens on.")
    ] = False
    force: Annotated[bool, Field(description="Also a version that is marked bad.")] = False


class Deployment(Activation):
    watch: Annotated[
        float | None,
        Field(
            description="Seconds to watch it for; else what the release says (`watch`).",
            ge=0,
            le=86400,
            examples=[60],
        ),
    ] = None


class Marking(Referring):
    as_: Annotated[Literal["good", "bad"], Field(alias="as", examples=["good"])]


class Collection(Change):
    service: Annotated[
        Text | None, Field(description="Only this one; else all.", examples=["dns"])
    ] = None
    keep: Annotated[
        Whole | None, Field(description="How many of the newest stay.", examples=[5])
    ] = None
    keep_for: Annotated[
        float | None, Field(description="Those younger than so many seconds stay.", ge=0)
    ] = None
    volumes: Annotated[bool, Field(description="Their own volumes as well.")] = False


class Removal(Referring):
    volumes: Annotated[bool, Field(description="Its own volumes as well.")] = False
    force: Annotated[bool, Field(description="Also the version that a rollback would go to.")] = (
        False
    )


class Assigning(Change):
    assignments: Annotated[
        list[Text],
        Field(
            description="`[ADDRESS:]PUBLIC:[ADDRESS:]LISTENS[/PROTOCOL]`; all of them in one "
            "transaction.",
            examples=[["80:50080/tcp"]],
            min_length=1,
            max_length=1024,
        ),
    ]
    take: Annotated[
        bool, Field(description="Take a port that another program on the host listens on.")
    ] = False


class Unassigning(Change):
    ports: Annotated[
        list[Text],
        Field(description="As they were assigned.", examples=[["80/tcp"]], min_length=1),
    ]


class Rebuilding(Change):
    force: Annotated[
        bool, Field(description="Go on even if the kernel's table would be changed.")
    ] = False


class Restoring(Rebuilding):
    file: Annotated[
        Text | None,
        Field(
            description="An absolute path that the daemon can read; else the newest backup.",
            examples=["/mnt/elsewhere/state.db"],
        ),
    ] = None

    @field_validator("file")
    @classmethod
    def _is_absolute(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("/"):
            raise ValueError("should be an absolute path")
        return value


class Named(Change):
    service: Annotated[Text, Field(description="The service.", examples=["dns"])]
