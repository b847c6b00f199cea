"""Whose a container is: by its labels, never by its name alone.

A name is given by whoever comes first. All versions of a singleton have one container's name, in
turns, and a person may have made a container of that name, also from an image of ours: it then has
the image's labels, and not the one that only an instance has.
"""

from __future__ import annotations

from alongside.domain.instance import Instance
from alongside.domain.version import Version
from alongside.engine.protocol import LABEL_ORDINAL, LABEL_SERVICE, LABEL_VERSION, Container


def of_service(container: Container, service: str) -> bool:
    """Whether it is an instance of the service, whatever its version."""
    return LABEL_ORDINAL in container.labels and container.labels.get(LABEL_SERVICE) == service


def of_version(container: Container, version: Version) -> bool:
    """Of one that is the service's: whether it is this version's."""
    return container.labels.get(LABEL_VERSION) == str(version)


def own(container: Container | None, instance: Instance) -> Container | None:
    """The container that was found under the instance's name, if it is the instance's."""
    if container is None or not of_service(container, instance.service):
        return None
    return container if of_version(container, instance.version) else None
