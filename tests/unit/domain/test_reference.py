"""References: how a person names a version of a service."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.domain.errors import InvalidInput, NotFound
from alongside.domain.reference import Reference, containers, parse_reference, resolve
from alongside.domain.version import Version

from .test_version import dated, image_tags

KNOWN = {
    "dns": dated("1.2.0", "1.3.0", "1-2-0", "1.4.0-rc.1"),
    "web": dated("1.0.0", "api-1.0.0"),
    "web-api": dated("2.0.0"),
    "batch": dated("1", "2", "latest", "11"),
}


def meant(text: str) -> str:
    service, version = resolve(parse_reference(text), KNOWN)
    return f"{service}@{version}"


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("dns@1.3.0", Reference("dns", "1.3.0")),
        ("dns@^1.2", Reference("dns", "^1.2")),
        (" dns @ >=1 <2 ", Reference("dns", ">=1 <2")),
        ("dns", Reference("dns")),
        ("dns-1.3.0", Reference("dns-1.3.0")),
    ],
)
def test_parse(text: str, reference: Reference) -> None:
    assert parse_reference(text) == reference


@pytest.mark.parametrize("text", ["", " ", "@", "@1.0.0", "dns@", "dns@ "])
def test_half_a_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="does not name a version") as refused:
        parse_reference(text)
    assert "SERVICE@VERSION" in refused.value.hint


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True), st.none() | image_tags)
def test_a_reference_survives_being_written(service: str, selector: str | None) -> None:
    reference = Reference(service, selector or "")
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dns@1.3.0", "dns@1.3.0"),
        ("dns@^1.2", "dns@1.3.0"),
        ("dns@~1.2", "dns@1.2.0"),
        ("dns@1-2-0", "dns@1-2-0"),
        ("dns-1.3.0", "dns@1.3.0"),
        ("dns-1-2-0", "dns@1-2-0"),
        ("web-1.0.0", "web@1.0.0"),
        ("web-api-2.0.0", "web-api@2.0.0"),
        ("web-api-1.0.0", "web@api-1.0.0"),  # the only release whose container has this name
        ("batch@1", "batch@1"),  # a name, though npm would read a range
        ("batch@latest", "batch@latest"),  # a name as well, and not the newest
    ],
)
def test_resolve(text: str, expected: str) -> None:
    assert meant(text) == expected


@pytest.mark.parametrize("text", ["dns-1.3", "dns-1", "dns-1.3.0-2", "ns-1.3.0", "dns-1x3.0"])
def test_a_containers_name_is_never_taken_by_a_part_of_it(text: str) -> None:
    with pytest.raises(NotFound):
        meant(text)


def test_a_containers_name_that_two_releases_have_is_refused_with_both() -> None:
    known = {"web": dated("api-1.0"), "web-api": dated("1.0")}
    with pytest.raises(InvalidInput, match=r"web@api-1\.0 or web-api@1\.0"):
        resolve(parse_reference("web-api-1.0"), known)
    assert containers("web-api-1.0", known) == [
        ("web", Version("api-1.0")),
        ("web-api", Version("1.0")),
    ]
    assert resolve(parse_reference("web-api@1.0"), known) == ("web-api", Version("1.0"))


def test_a_name_that_is_a_service_and_a_container_is_refused_with_both() -> None:
    known = {"web": dated("2"), "web-2": dated("1.0.0")}
    with pytest.raises(InvalidInput, match="web@2 or the service web-2"):
        resolve(parse_reference("web-2"), known)


def test_a_service_alone_is_asked_for_its_version() -> None:
    with pytest.raises(InvalidInput, match="dns is a service") as refused:
        meant("dns")
    assert "web-api@" not in refused.value.hint
    assert "dns@" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("dsn@1.3.0", "dns"),
        ("DNS@1.3.0", "dns"),
        ("dns@1.3.1", "1.3.0"),
        ("dns@v1.3.0", "1.3.0"),
        ("dns@^7", "1.3.0"),
        ("dns-1.3.1", "dns@1.3.0"),
        ("web-api-2.0.1", "web-api@2.0.0"),
    ],
)
def test_what_is_not_known_is_answered_with_the_nearest(text: str, named: str) -> None:
    with pytest.raises(NotFound) as missing:
        meant(text)
    assert named in missing.value.hint


def test_where_nothing_is_released_the_way_to_a_release_is_named() -> None:
    with pytest.raises(NotFound) as missing:
        resolve(parse_reference("dns@1.0.0"), {})
    assert "alongside build" in missing.value.hint


def test_a_range_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(InvalidInput, match="not a range"):
        meant("dns@^one")


@given(st.dictionaries(st.sampled_from(["a", "a-b", "b"]), st.lists(image_tags, max_size=4)))
def test_every_release_can_be_named_exactly(releases: dict[str, list[str]]) -> None:
    known = {service: dated(*versions) for service, versions in releases.items()}
    for service, versions in releases.items():
        for version in versions:
            assert resolve(Reference(service, version), known) == (service, Version(version))
