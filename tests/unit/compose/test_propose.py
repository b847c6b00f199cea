"""What `alongside init` proposes is what is missing, and with it the file is complete."""

from __future__ import annotations

import pytest

from alongside.compose.propose import propose
from alongside.compose.services import services_from
from alongside.domain.errors import InvalidInput

from .conftest import Read

INCOMPLETE = """
services:
  web: {build: ., depends_on: [db, api, queue], volumes: ["data:/d", "outer:/o"]}
  api: {build: api, ports: ["9000"], volumes: ["cache:/c"]}
  db: {image: pg, depends_on: [init], volumes: ["pg:/v"]}
  init: {image: i}
  queue: {image: q, volumes: ["q:/q"], x-alongside: {shared: false}}
volumes: {data: {}, cache: {}, pg: {}, q: {}, outer: {external: true}}
"""


def test_proposed(model: Read) -> None:
    assert (
        propose(model(INCOMPLETE))
        == """\
services:
  db:
    x-alongside:
      shared: true  # one for all versions; false: one of its own beside each version
  api:
    x-alongside:
      shared: false  # each version gets a copy of it from its own tag
volumes:
  data:
    x-alongside:
      shared: true  # one for all versions; false: an empty one of its own for each version
  cache:
    x-alongside:
      shared: true  # one for all versions; false: an empty one of its own for each version
  q:
    x-alongside:
      shared: true  # one for all versions; false: an empty one of its own for each version
"""
    )


def test_with_what_is_proposed_the_file_is_complete(model: Read) -> None:
    with pytest.raises(InvalidInput):
        services_from(model(INCOMPLETE))
    complete = model(INCOMPLETE, propose(model(INCOMPLETE)))
    assert [one.name for one in services_from(complete)] == ["web", "api"]
    assert propose(complete) == ""


def test_where_nothing_is_missing_nothing_is_proposed(model: Read) -> None:
    assert propose(model("services: {web: {build: .}, db: {image: pg}}")) == ""
    assert propose(model("services: {db: {image: pg, volumes: ['a:/a']}}\nvolumes: {a: {}}")) == ""
