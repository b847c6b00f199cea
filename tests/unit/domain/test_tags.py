"""Git tags, and the versions that services make of them."""

from __future__ import annotations

import pytest
from hypothesis import given

from alongside.domain.errors import InvalidInput
from alongside.domain.tags import claims
from alongside.domain.version import Version

from .test_version import image_tags


@pytest.mark.parametrize(
    ("patterns", "tag", "version"),
    [
        (["*"], "1.3.0", "1.3.0"),
        (["*"], "v1.3.0", "v1.3.0"),
        (["*"], "dns/1.3.0", None),  # a star does not cross a slash
        (["v*"], "v1.3.0", "v1.3.0"),
        (["v*"], "1.3.0", None),
        (["dns/*"], "dns/1.3.0", "1.3.0"),
        (["dns/*"], "web/1.3.0", None),
        (["dns/*"], "xdns/1.3.0", None),
        (["dns/*"], "dns/a/1.3.0", None),
        (["dns/v*"], "dns/v1", "v1"),
        (["*/*"], "dns/1.3.0", "1.3.0"),
        (["v*", "dns/*"], "dns/1.3.0", "1.3.0"),
        (["1.?"], "1.5", "1.5"),
        (["1.?"], "1x5", None),  # a dot is a dot
        (["(a|b)+"], "a", None),
    ],
)
def test_claims(patterns: list[str], tag: str, version: str | None) -> None:
    assert claims(patterns, tag) == (Version(version) if version else None)


@pytest.mark.parametrize("tag", ["1.0.0+5", "v1,0", "1.0;reboot", "ünder"])
def test_a_claimed_tag_that_cannot_be_an_image_tag_is_refused(tag: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be a version"):
        claims(["*"], tag)
    assert claims(["dns/*"], tag) is None


@given(image_tags)
def test_a_prefix_is_taken_off_and_nothing_else(text: str) -> None:
    assert claims(["dns/*"], f"dns/{text}") == Version(text)
    assert claims(["*"], text) == Version(text)
