from __future__ import annotations

import re

import pytest

from alongside.domain.image_names import copy_name, held_name
from alongside.domain.version import Version

# As the OCI distribution specification has it, with the host of a registry before it.
_NAME = re.compile(
    r"[a-z0-9.-]+(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}"
)
SERVICES = ["web", "Web", "WEB", "a.b", "a-b", "a_b", "a__b", "a..b", "-a", "a-", "_", "x" * 300]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_valid_name(service: str) -> None:
    for name in (held_name(service, Version("v1.0-RC_1")), copy_name("web", service, Version("1"))):
        assert _NAME.fullmatch(name), name
        assert len(name) < 255


def test_no_two_have_one_name() -> None:
    version = Version("1")
    names = [held_name(service, version) for service in SERVICES]
    names += [copy_name("web", service, version) for service in SERVICES]
    assert len(set(names)) == len(names)


def test_a_plain_name_is_kept() -> None:
    assert held_name("dns", Version("1.0.0")) == "alongside.invalid/dns:1.0.0"
    assert copy_name("dns", "cache", Version("1.0.0")) == "alongside.invalid/dns/cache:1.0.0"
