"""From a compose file to services."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alongside.compose.services import services_from
from alongside.domain.errors import InvalidInput
from alongside.domain.port import Publish, parse_port
from alongside.domain.service import (
    Dependency,
    Ready,
    ReadyKind,
    Service,
    Sharing,
    Volume,
    Workload,
)

Services = Callable[[str], dict[str, Service]]
ARTICLE = Path(__file__).parents[3] / "examples" / "article" / "docker-compose.yml"


def test_the_articles_compose_file_is_read_as_it_stands(services: Services) -> None:
    assert services(ARTICLE.read_text()) == {
        "container-name": Service(
            name="container-name",
            image="repo/container-name",
            ports=(Publish(parse_port("53/udp"), 53), Publish(parse_port("53/tcp"), 53)),
            ready=Ready(ReadyKind.TCP, port=53),
            workload=Workload.SWITCHED,
            tags=("*",),
        )
    }


def test_only_what_is_built_is_released(services: Services) -> None:
    text = "services: {web: {build: .}, db: {image: pg}}"
    assert list(services(text)) == ["web"]


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("repo/dns:1.0.0", "repo/dns"),
        ("repo/dns", "repo/dns"),
        ("host:5000/dns", "host:5000/dns"),
        ("host:5000/a/dns:1", "host:5000/a/dns"),
        ("Host.example/dns", "Host.example/dns"),
        ("dns:latest", "dns"),
    ],
)
def test_the_images_tag_is_dropped(services: Services, image: str, repository: str) -> None:
    assert services(f"services: {{d: {{build: ., image: '{image}'}}}}")["d"].image == repository


def test_an_image_without_a_name_has_the_services(services: Services) -> None:
    assert services("services: {web-api: {build: .}}")["web-api"].image == "web-api"


# -- readiness ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("ports: ['53/udp', '8080:80']", Ready(ReadyKind.TCP, port=80)),
        ("ports: ['53/udp']", Ready(ReadyKind.RUNNING)),
        ("labels: {}", Ready(ReadyKind.RUNNING)),
        ("ports: ['80'], healthcheck: {test: [CMD, x]}", Ready(ReadyKind.HEALTH)),
        ("ports: ['80'], healthcheck: {disable: true}", Ready(ReadyKind.TCP, port=80)),
        ("ports: ['80'], healthcheck: {test: [NONE]}", Ready(ReadyKind.TCP, port=80)),
        ("x-alongside: {ready: health}", Ready(ReadyKind.HEALTH)),
        ("ports: ['80'], x-alongside: {ready: running}", Ready(ReadyKind.RUNNING)),
        ("x-alongside: {ready: {tcp: 81}}", Ready(ReadyKind.TCP, port=81)),
        (
            "ports: ['8080:80'], x-alongside: {ready: {http: /up, status: 204}}",
            Ready(ReadyKind.HTTP, port=80, path="/up", status=204),
        ),
        (
            "x-alongside: {ready: {http: /, port: 81, timeout: 5, interval: 1s}}",
            Ready(ReadyKind.HTTP, port=81, timeout=5, interval=1),
        ),
        (
            "x-alongside: {ready: {dns: a.test, protocol: tcp}}",
            Ready(ReadyKind.DNS, port=53, name="a.test", protocol="tcp"),
        ),
        (
            "x-alongside: {ready: {health: true, timeout: 1m30s}}",
            Ready(ReadyKind.HEALTH, timeout=90),
        ),
        (
            "ports: ['80'], x-alongside: {ready: {http: /up, body: 'a $$b'}}",
            Ready(ReadyKind.HTTP, port=80, path="/up", body="a $b"),
        ),
        (
            "ports: ['80'], x-alongside: {ready: {exec: [pg_isready, -q]}}",
            Ready(ReadyKind.EXEC, command=("pg_isready", "-q")),
        ),
        (
            "x-alongside: {ready: {exec: 'test -e /run/ready'}}",
            Ready(ReadyKind.EXEC, command=("sh", "-c", "test -e /run/ready")),
        ),
        (
            "x-alongside: {ready: {command: 'check $$ALONGSIDE_ADDRESS', timeout: 9}}",
            Ready(ReadyKind.COMMAND, command=("sh", "-c", "check $ALONGSIDE_ADDRESS"), timeout=9),
        ),
        ("ports: ['80'], x-alongside: {ready: {timeout: 9}}", Ready(ReadyKind.TCP, 80, timeout=9)),
    ],
)
def test_readiness(services: Services, lines: str, expected: Ready) -> None:
    assert services(f"services: {{web: {{build: ., {lines}}}}}")["web"].ready == expected


# -- what is shared ----------------------------------------------------------------------

SHARED = "x-alongside: {shared: true}"
OWN = "x-alongside: {shared: false}"


def test_dependencies_are_followed_to_those_that_run_once_a_version(services: Services) -> None:
    found = services(
        f"""
services:
  web: {{build: ., depends_on: [queue, db]}}
  queue: {{image: q, depends_on: [store, api], {OWN}}}
  api: {{build: api, {OWN}}}
  store: {{image: s, {OWN}}}
  db: {{image: pg, depends_on: [init], {SHARED}}}
  init: {{image: i}}
"""
    )
    assert found["web"].depends == (
        Dependency("queue", Sharing.OWN),
        Dependency("db", Sharing.SHARED),
        Dependency("store", Sharing.OWN),
        Dependency("api", Sharing.OWN, built=True),
    )
    assert found["api"].depends == ()


def test_volumes_are_those_of_what_runs_once_a_version(services: Services) -> None:
    found = services(
        f"""
services:
  web: {{build: ., depends_on: [queue, db], volumes: ["up:/u", "/anon", "./x:/x", "outer:/o"]}}
  queue: {{image: q, volumes: ["q:/q", "up:/u"], {OWN}}}
  db: {{image: pg, volumes: ["pg:/v"], {SHARED}}}
volumes:
  up: {{name: uploads, {SHARED}}}
  q: {{{OWN}}}
  outer: {{external: true}}
  pg: {{}}
"""
    )
    assert found["web"].volumes == (
        Volume("up", Sharing.SHARED, fixed="uploads"),
        Volume("q", Sharing.OWN),
    )


# -- refusals ----------------------------------------------------------------------------

REFUSED = {
    "a dependency of which nothing is said": (
        "services: {web: {build: ., depends_on: [db]}, db: {image: pg}}",
        "web depends on db, and nothing says whether its versions share it",
        "{shared: true}` for one that all versions use, or `{shared: false}` for one of its own",
    ),
    "a dependency with versions, of which nothing is said": (
        "services: {web: {build: ., depends_on: [api]}, api: {build: api}}",
        "api, which has `build:` and so has versions itself",
        "host-gateway",
    ),
    "a dependency with versions that is to be shared": (
        f"services: {{web: {{build: ., depends_on: [api]}}, api: {{build: api, {SHARED}}}}}",
        "cannot be shared",
        "{shared: false}",
    ),
    "a copy of a singleton": (
        """services: {web: {build: ., depends_on: [cron]},
          cron: {build: ., x-alongside: {workload: singleton, shared: false}}}""",
        "cron, which is a singleton: a copy beside each version of web would be a second one",
        "host-gateway",
    ),
    "a shared one that needs one with versions": (
        f"""services: {{web: {{build: ., depends_on: [db]}}, api: {{build: .}},
          db: {{image: pg, depends_on: [api], {SHARED}}}}}""",
        "db is shared by all versions, and depends on api, which has versions",
        "shared: false",
    ),
    "a shared one that needs an own one": (
        f"""services: {{web: {{build: ., depends_on: [db]}}, q: {{image: q, {OWN}}},
          db: {{image: pg, depends_on: [q], {SHARED}}}}}""",
        "depends on q, which is one for each version",
        "",
    ),
    "a volume of which nothing is said": (
        "services: {web: {build: ., volumes: ['data:/d']}}\nvolumes: {data: {}}",
        "web mounts the volume data, and nothing says whether versions share it",
        "{shared: true}` for one volume that all versions read and write, or `{shared: false}`",
    ),
    "an own volume that a shared one mounts": (
        f"""services: {{web: {{build: ., depends_on: [db], volumes: ['data:/d']}},
          db: {{image: pg, volumes: ['data:/v'], {SHARED}}}}}
volumes: {{data: {{{OWN}}}}}""",
        "data is said to be each version's own, and db, which all versions share",
        "",
    ),
    "two services that want one port": (
        "services: {a: {build: ., ports: ['80:80']}, b: {build: ., ports: ['80:81']}}",
        "a and b both publish 80/tcp",
        "another public port",
    ),
    "a shared one that binds a public port": (
        f"""services: {{a: {{build: ., ports: ['80:80'], depends_on: [db]}},
          db: {{image: pg, ports: ['80:81'], {SHARED}}}}}""",
        "a and db both publish 80/tcp",
        "",
    ),
    "replicated": (
        "services: {a: {build: ., x-alongside: {workload: replicated}}}",
        "workload of service a is replicated, which this version of alongside does not run yet",
        "singleton",
    ),
    "a network mode": (
        "services: {a: {build: ., network_mode: none}}",
        "network_mode of service a is none",
        "say host",
    ),
    "an own dependency in the host's network": (
        "services: {a: {build: ., network_mode: host, depends_on: [b]}, "
        "b: {image: b, x-alongside: {shared: false}}}",
        "a is in the host's network, where it cannot reach b by its name",
        "shared: true",
    ),
    "a readiness port in the host's network that is not given out": (
        "services: {a: {build: ., network_mode: host, ports: ['80'], "
        "x-alongside: {ready: {tcp: 81}}}}",
        "asks 81/tcp, which is not in its ports",
        "",
    ),
    "replicas": (
        "services: {a: {build: ., deploy: {replicas: 0}}}",
        "deploy.replicas of service a is 0",
        "",
    ),
    "a scale": ("services: {a: {build: ., scale: 2}}", "scale of service a is 2", ""),
    "a fixed address": (
        "services: {a: {build: ., networks: {n: {ipv4_address: 192.0.2.9}}}}\nnetworks: {n: {}}",
        "ipv4_address of service a on the network n is 192.0.2.9",
        "",
    ),
    "a fixed subnet": (
        """services: {a: {build: ., networks: [n]}}
networks: {n: {ipam: {config: [{subnet: 192.0.2.0/24}]}}}""",
        "network n has the fixed subnet 192.0.2.0/24",
        "external: true",
    ),
    "a link to a shared one": (
        f"""services: {{a: {{build: ., depends_on: [db], links: ['db:database']}},
          db: {{image: pg, {SHARED}}}}}""",
        "links of service a names db",
        "",
    ),
    "a shared one on the host's network": (
        f"""services: {{a: {{build: ., depends_on: [db]}},
          db: {{image: pg, network_mode: host, {SHARED}}}}}""",
        "network_mode of service db is host",
        "",
    ),
    "too many of its own": (
        "services: {a: {build: ., depends_on: [b0, b1, b2, b3, b4, b5, b6, b7]}, "
        + ", ".join(f"b{n}: {{image: i, {OWN}}}" for n in range(8))
        + "}",
        "8 dependencies of its own",
        "",
    ),
    "a digest": (
        f"services: {{a: {{build: ., image: 'repo/a@sha256:{'0' * 64}'}}}}",
        "by digest",
        "Leave the digest out",
    ),
    "capitals": ("services: {Web: {build: .}}", "image of service Web is Web", "lower-case"),
    "a name that no container can have": (
        "services: {_web: {build: ., image: web}}",
        "'_web' cannot begin the name of a container",
        "",
    ),
    "settings at the top": (
        "services: {a: {build: .}}\nx-alongside: {tags: '*'}",
        "x-alongside stands at the top",
        "",
    ),
    "http without a port": (
        "services: {a: {build: ., x-alongside: {ready: {http: /up}}}}",
        "has no TCP port to ask",
        "{http: /up, port: 8080}",
    ),
    "two questions": (
        "services: {a: {build: ., x-alongside: {ready: {http: /up, tcp: 80}}}}",
        "asks for tcp and http; it takes one of them",
        "",
    ),
    "a status of nothing": (
        "services: {a: {build: ., x-alongside: {ready: {tcp: 80, status: 200}}}}",
        "ready.status of service a goes with http, which is not asked",
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(services: Services, case: str) -> None:
    text, message, hint = REFUSED[case]
    with pytest.raises(InvalidInput) as refused:
        services(text)
    assert refused.value.message.startswith("compose.yaml: ")
    assert message in refused.value.message
    assert hint in refused.value.hint
    assert refused.value.hint, "every refusal says what to do"


def test_settings_on_a_network_are_refused() -> None:
    model = {"services": {"a": {"build": {}}}, "networks": {"n": {"x-alongside": {}}}}
    with pytest.raises(InvalidInput, match="stands on n of networks"):
        services_from(model)


def test_a_dependency_that_is_not_there_is_composes_to_judge() -> None:
    depends = {"gone": {"condition": "service_started", "required": False}}
    (service,) = services_from(
        {"services": {"a": {"build": {"context": "."}, "depends_on": depends}}}
    )
    assert service.depends == ()
