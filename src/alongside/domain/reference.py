"""References: how a person names a version of a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

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
    service, separator, selector = (part.strip() for part in text.partition("@"))
    if not service or (separator and not selector):
        raise InvalidInput(
            f"{text!r} does not name a version of a service.",
            hint="Write SERVICE@VERSION, for example dns@1.3.0, dns@^1.2 or dns@latest.",
        )
    return Reference(service, selector)


def resolve(reference: Reference, known: Mapping[str, Sequence[Dated]]) -> tuple[str, Version]:
    """The one version that is meant, of the releases that are known by service.

    A version's exact name wins over reading it as a range: where there is a version `1`, or one
    that is called `latest`, that is it. A container's name (`dns-1.3.0`) is compared with those
    that the known releases have: services (`web-api`) and versions (`1-2-0`) may have hyphens of
    their own, so where it is split is never guessed.

    Raises NotFound with the nearest names, InvalidInput where it can mean two, or none.
    """
    if reference.selector:
        return reference.service, _version(reference, known)
    name = reference.service
    found = containers(name, known)
    meant = [f"{service}@{version}" for service, version in found]
    if meant and name in known:
        meant.append(f"the service {name}")
    if len(meant) > 1:
        raise InvalidInput(f"{name} can mean {' or '.join(meant)}.", hint="Write it with the @.")
    if found:
        return found[0]
    if name in known:
        example = select(LATEST, known[name]) or LATEST
        raise InvalidInput(
            f"{name} is a service; which version of it?",
            hint=f"For example {name}@{example}, or {name}@latest.",
        )
    raise _unknown(name, known)


def containers(name: str, known: Mapping[str, Sequence[Dated]]) -> list[tuple[str, Version]]:
    """The known releases whose container has this name. They can be two: `web-api` at `1.0`,
    and `web` at `api-1.0`."""
    return [
        (service, dated.version)
        for service, versions in known.items()
        for dated in versions
        if f"{service}-{dated.version}" == name
    ]


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


def _unknown(name: str, known: Mapping[str, Sequence[Dated]]) -> NotFound:
    """Of what has no @, and so may have been meant as a service or as a container."""
    names = {
        f"{service}-{dated.version}": f"{service}@{dated.version}"
        for service, versions in known.items()
        for dated in versions
    }
    close = get_close_matches(name, names, n=2, cutoff=0.8)
    if close:
        return NotFound(
            f"There is no service or release {name!r} on this host.",
            hint=f"Did you mean {' or '.join(names[one] for one in close)}?",
        )
    return _unknown_service(name, known)


def _unknown_service(name: str, known: Mapping[str, Sequence[Dated]]) -> NotFound:
    return NotFound(
        f"There is no service {name!r} on this host.",
        hint=nearest(name, list(known), what="services are")
        if known
        else "Nothing is released yet: alongside build TAG, or git tag after alongside init.",
    )
