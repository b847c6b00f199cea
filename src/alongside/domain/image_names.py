"""Names of alongside's own that hold images, beside those that people give them."""

from __future__ import annotations

import hashlib
import re

from alongside.domain.instance import slug
from alongside.domain.release import Release
from alongside.domain.version import Version

# No registry is ever called so (RFC 2606), and nobody else names images so.
REGISTRY = "alongside.invalid"

# A component of an image's name, as the OCI distribution specification has it.
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_LONGEST = 100  # characters


def held_repository(service: str) -> str:
    """`alongside.invalid/dns`: every image of a service's releases, and nothing else."""
    return f"{REGISTRY}/{_component(service)}"


def held_name(service: str, version: Version) -> str:
    """`alongside.invalid/dns:1.0.0`: the image of a release."""
    return f"{held_repository(service)}:{version}"


def copy_name(service: str, dependency: str, version: Version) -> str:
    """`alongside.invalid/dns/cache:1.0.0`: a release's copy of what it depends on."""
    return f"{held_repository(service)}/{_component(dependency)}:{version}"


def former_copy_name(release: Release, dependency: str) -> str:
    """As the first alongside called it: below the person's own name."""
    return f"{release.spec.image}/{slug(dependency)}:{release.version}"


def _component(name: str) -> str:
    """A service may be called `Web`, or `a..b`, as no image may; no two come to one name."""
    if _COMPONENT.fullmatch(name) and len(name) <= _LONGEST:
        return name
    return f"{slug(name)[:50]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
