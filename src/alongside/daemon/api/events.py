"""The schemas of an operation's events, and of problems."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel


class Problem(BaseModel):
    """A refusal or a failure (RFC 9457, application/problem+json)."""

    type: Annotated[
        str,
        Field(description="`urn:alongside:` and the title.", examples=["urn:alongside:conflict"]),
    ]
    title: Annotated[
        str,
        Field(
            description="`invalid-input`, `too-large`, `not-found`, `conflict`, `port-taken`, "
            "`build-failed`, `not-ready`, `trial-failed`, `step-failed`, `unavailable`, "
            "`missing-requirement`, `error`, or `bug`.",
            examples=["conflict"],
        ),
    ]
    status: Annotated[
        int,
        Field(
            description="The HTTP status; in an `error` event the one that it would have had: "
            "422 for `build-failed`, `not-ready` and `trial-failed` is in events alone.",
            examples=[409],
        ),
    ]
    detail: Annotated[str, Field(description="What was asked, and what stood in the way.")]
    hint: Annotated[str, Field(description="What to do about it; may be empty.")]
    log: Annotated[list[str], Field(description="The last words of a program that failed.")]


class Accepted(BaseModel):
    """The tree is here; the build waits for its turn."""

    event: Literal["accepted"]


class Begun(BaseModel):
    """The operation has its number in the history. A build has one a release."""

    event: Literal["operation"]
    id: int
    verb: str
    service: str


class Step(BaseModel):
    event: Literal["step"]
    position: Annotated[int, Field(ge=1)]
    name: Annotated[str, Field(examples=["switch"])]
    text: Annotated[
        str, Field(description="For people.", examples=["commit to the kernel, as one transaction"])
    ]
    state: Literal["started", "done"]
    seconds: Annotated[float | None, Field(description="What it took, when it is done.")] = None


class Probe(BaseModel):
    """A version that is watched was asked whether it is well."""

    event: Literal["probe"]
    heard: Annotated[str, Field(description="Empty for yes; else what was asked and heard.")]
    left: Annotated[float, Field(description="Seconds until it counts as good.")]


class Log(BaseModel):
    """A line of what BuildKit writes, or what runs before a release has the ports."""

    event: Literal["log"]
    text: str


class Outcome(BaseModel):
    """What is so now; on a dry run what would be done."""

    model_config = ConfigDict(populate_by_name=True)

    verb: str
    service: Annotated[str, Field(description="Several of a build stand with spaces between.")]
    changed: bool
    from_: Annotated[
        str, Field(alias="from", description="The version that had the ports; empty for none.")
    ]
    to: Annotated[str, Field(description="The version that it was about; empty for none.")]
    dry_run: bool
    plan: Annotated[list[str], Field(description="The steps, for people.")]
    summary: Annotated[list[str], Field(description="What is so now, as sentences.")]
    ports: Annotated[list[str] | None, Field(description="That were switched; not of a build.")] = (
        None
    )
    notes: Annotated[
        list[str] | None, Field(description="What a person should know; not of a build.")
    ] = None
    nft: Annotated[
        str | None,
        Field(description="On a dry run: the very text that would run; empty for none."),
    ] = None
    gap: Annotated[
        float | None,
        Field(description="Seconds for which none ran, while a singleton was replaced."),
    ] = None
    releases: Annotated[
        list[str] | None, Field(description="Of a build.", examples=[["dns@1.1.0"]])
    ] = None


class Done(BaseModel):
    """The last event, if it went well."""

    event: Literal["result"]
    result: Outcome


class Failed(BaseModel):
    """The last event, if it did not. What was not switched is as it was before."""

    event: Literal["error"]
    problem: Problem


class Event(
    RootModel[
        Annotated[
            Accepted | Begun | Step | Probe | Log | Done | Failed, Field(discriminator="event")
        ]
    ]
):
    """One line of a stream. An event of another name is to be left unread."""
