"""References: how a person names a version of a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alongside.domain.errors import InvalidInput, NotFound
from alongside.domain.nearest import nearest
from alongside.domain.range import LATEST, is_range, select
from alongside.domain.version import Dated, Version


@dataclass(frozen=True, slots=True)
class Reference:
    """`dns@1.3.0`, `dns@^1.2`, `dns@latest`, `dns`, or the article's `dns-1.3.0`.

    `service` is the text before the @, or the whole text where there is none; `selector` what
    stands after it.
    """

    service: str
    selector: str = ""

    def __str__(self) -> str:
        return f"{self.service}@{self.selector}" if self.selector else self.service


def parse_reference(text: str) -> Reference:
    """Raises InvalidInput."""
    service, separator, selector = text.strip().partition("@")
    if not service or (separator and not selector.strip()):
        raise InvalidInput(
            f"{text!r} does not name a version of a service.",
            hint="Write SERVICE@VERSION, for example dns@1.3.0, dns@^1.2 or dns@latest.",
        )
    return Reference(service, selector.strip())


def resolve(reference: Reference, known: Mapping[str, Sequence[Dated]]) -> tuple[str, Version]:
    """The one version that is meant. An exact name wins over reading it as a range.

    Raises NotFound with the nearest names, InvalidInput where it can mean two, or none.
    """
    if reference.selector:
        return reference.service, _version(reference, known)
    by_container = [
        (service, dated.version)
        for service, versions in known.items()
        for dated in versions
        if f"{service}-{dated.version}" == reference.service
    ]
    if len(by_container) > 1:
        names = " and ".join(f"{service}@{version}" for service, version in by_container)
        raise InvalidInput(f"{reference.service} can mean {names}.", hint="Write it with the @.")
    if by_container:
        return by_container[0]
    if reference.service in known:
        raise InvalidInput(
            f"{reference.service} is a service; which version of it?",
            hint=f"For example {reference.service}@"
            f"{select(LATEST, known[reference.service]) or LATEST}, "
            f"or {reference.service}@latest.",
        )
    raise _unknown_service(reference.service, known)


def _version(reference: Reference, known: Mapping[str, Sequence[Dated]]) -> Version:
    if reference.service not in known:
        raise _unknown_service(reference.service, known)
    versions = known[reference.service]
    for dated in versions:
        if dated.version.text == reference.selector:
            return dated.version
    names = [dated.version.text for dated in versions]
    if is_range(reference.selector):
        found = select(reference.selector, versions)
        if found is not None:
            return found
        raise NotFound(
            f"No release of {reference.service} matches {reference.selector}.",
            hint=nearest(reference.selector, names, what="released are"),
        )
    raise NotFound(
        f"There is no release {reference}.",
        hint=nearest(reference.selector, names, what="released are"),
    )


def _unknown_service(name: str, known: Mapping[str, Sequence[Dated]]) -> NotFound:
    return NotFound(
        f"There is no service {name!r} on this host.",
        hint=nearest(name, list(known), what="services are")
        if known
        else "Nothing is released yet: alongside build TAG, or git tag after alongside init.",
    )
