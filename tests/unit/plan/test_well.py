"""Whose an address is."""

from __future__ import annotations

from dataclasses import replace

from alongside.domain.version import Version
from alongside.engine.protocol import LABEL_ORDINAL, LABEL_SERVICE, LABEL_VERSION
from alongside.plan.addresses import allocate
from alongside.plan.well import holder
from support.examples import container, release, world


def test_an_address_is_its_own_under_any_name_and_a_strangers_from_its_image_is_not() -> None:
    instance = allocate(release("dns@1.0.0"), world("dns@1.0.0"))
    image = {LABEL_SERVICE: "dns", LABEL_VERSION: "1.0.0"}
    held = {instance.network: instance.subnet.address4}
    own = replace(container(instance), name="dns-1.0.0-aside", ipv4=held)
    own = replace(own, labels={**image, LABEL_ORDINAL: "1"})
    copy = replace(own, name="by-hand", labels=image)
    other = replace(own, name="dns-1.1.0", labels={**own.labels, LABEL_VERSION: "1.1.0"})

    def has(*containers: object) -> object:
        return holder(instance, {one.name: one for one in containers})  # type: ignore[attr-defined]

    assert has() is None
    assert has(own) is None
    assert has(copy, own) is None
    assert has(copy) is copy
    assert has(other) is other
    assert holder(replace(instance, version=Version("2")), {own.name: own}) is own
