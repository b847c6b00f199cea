"""The override files, as Compose and its fake merge them into a person's own file."""

from __future__ import annotations

import pytest

from alongside.compose.override import (
    build_override,
    build_targets,
    once_override,
    override,
    shared_name,
    shared_network,
    shared_override,
)
from alongside.domain.version import Version

from .conftest import Read
from .releases import COMMIT, CREATED, instance, release

DNS = """
services:
  dns:
    build: .
    image: repo/dns:${tag:-latest}
    container_name: dns-${tag:-latest}
    ports: ["53/udp", "5353:53", "127.0.0.1:8080:80"]
    restart: unless-stopped
    environment: {PASSWORD: secret}
    labels: {mine: "1"}
"""
# What differs in the small: who depends on whom, and what each mounts and joins.
STACK = """
services:
  web:
    build: .
    image: repo/web
    ports: ["80"]
    depends_on: [db, api, queue]
    volumes: ["up:/u", "scratch:/s"]
    networks: [default, front]
  api:
    build: ./api
    container_name: api
    ports: ["9000:9000"]
    depends_on: [db]
    x-alongside: {shared: false}
  queue:
    image: redis
    container_name: queue
    ports: ["6379:6379"]
    x-alongside: {shared: false}
  db:
    image: pg
    networks: [back]
    volumes: ["pg:/v"]
    depends_on: [init]
    x-alongside: {shared: true}
  init: {image: busybox}
  other: {build: other, networks: [else], volumes: ["own:/o"]}
networks: {front: {}, back: {}, else: {}}
volumes:
  up: {x-alongside: {shared: true}}
  scratch: {name: fixed, x-alongside: {shared: false}}
  pg: {name: precious}
  own: {x-alongside: {shared: false}}
"""


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.host)])
def model(request: pytest.FixtureRequest, model: Read) -> Read:
    real: Read = request.getfixturevalue("real_model") if request.param == "real" else model
    return real


def test_an_instance_of_a_service(model: Read) -> None:
    base = model(DNS)
    one = release(base, "dns")
    its = instance(one)
    merged = model(DNS, override(one, its, base), name=its.project)
    dns = merged["services"]["dns"]
    assert dns["image"] == one.image_id
    assert "build" not in dns
    assert dns["pull_policy"] == "never"
    assert dns["container_name"] == "dns-1.0.0"
    assert dns["restart"] == "unless-stopped"
    assert dns["environment"] == {"PASSWORD": "secret"}
    assert dns["labels"] == {
        "mine": "1",
        "alongside.service": "dns",
        "alongside.version": "1.0.0",
        "alongside.commit": COMMIT,
        "alongside.repository": "app",
        "alongside.ordinal": "1",
    }
    assert dns["networks"]["default"] == {
        "ipv4_address": "10.213.0.2",
        "ipv6_address": "fd00:1:2::2",
    }


def test_no_public_port_is_bound(model: Read) -> None:
    base = model(DNS)
    one = release(base, "dns")
    its = instance(one)
    ports = model(DNS, override(one, its, base))["services"]["dns"]["ports"]
    keys = ("host_ip", "published", "target", "protocol")
    found = {tuple(port[key] for key in keys) for port in ports}
    assert found == {
        (address, number, target, protocol)
        for address in ("127.0.0.1", "::1", "10.213.0.1", "fd00:1:2:ffff::1")
        for number, target, protocol in (
            ("20000", 53, "udp"),
            ("20000", 53, "tcp"),
            ("20001", 80, "tcp"),
        )
    }


@pytest.mark.parametrize("text", [DNS, STACK])
@pytest.mark.parametrize("ipv6", [True, False])
def test_a_container_for_one_command_is_as_the_instance_but_there_beside_it(
    model: Read, text: str, ipv6: bool
) -> None:
    base = model(text)
    one = release(base, next(iter(base["services"])))
    its = instance(one)
    merged = model(text, override(one, its, base, ipv6=ipv6), name=its.project)
    once = model(text, once_override(one, its, base, ipv6=ipv6), name=its.project)

    of = one.service
    assert once["networks"] == merged["networks"]
    assert once.get("volumes") == merged.get("volumes")
    others = {name: raw for name, raw in merged["services"].items() if name != of}
    assert {name: raw for name, raw in once["services"].items() if name != of} == others
    there, beside = merged["services"][of], once["services"][of]
    assert beside["restart"] == "no"
    assert beside["labels"] == there["labels"] | {"alongside.ordinal": "before"}
    assert not beside.get("ports")
    assert "container_name" not in beside
    assert beside["networks"].keys() == there["networks"].keys()
    assert not beside["networks"]["default"]
    alone = ("restart", "labels", "ports", "container_name", "networks")
    assert {key: beside[key] for key in beside if key not in alone} == {
        key: there[key] for key in there if key not in alone
    }


def test_in_the_host_s_network_a_container_for_one_command_has_no_numbers(model: Read) -> None:
    text = "services: {sip: {build: ., network_mode: host, ports: ['5060:5060/udp']}}"
    base = model(text)
    one = release(base, "sip")
    once = model(text, once_override(one, instance(one), base))["services"]["sip"]

    assert once["network_mode"] == "host"
    assert "PORT" not in (once.get("environment") or {})
    assert not once.get("ports")


def test_a_service_without_ports_has_none(model: Read) -> None:
    base = model("services: {job: {build: .}}")
    one = release(base, "job")
    merged = model("services: {job: {build: .}}", override(one, instance(one), base))
    assert "ports" not in merged["services"]["job"]


def test_the_default_network_is_the_instances_own(model: Read) -> None:
    text = DNS + "networks: {default: {external: true, name: theirs, ipam: {driver: x}}}\n"
    base = model(text)
    one = release(base, "dns")
    its = instance(one)
    network = model(text, override(one, its, base))["networks"]["default"]
    assert network == {
        "name": its.network,
        "driver": "bridge",
        "driver_opts": {"com.docker.network.bridge.name": its.subnet.bridge},
        "enable_ipv6": True,
        "ipam": {
            "config": [
                # Dependencies start first, and must not take the instance's own address.
                {"subnet": "10.213.0.0/28", "gateway": "10.213.0.1", "ip_range": "10.213.0.8/29"},
                {
                    "subnet": "fd00:1:2::/64",
                    "gateway": "fd00:1:2::1",
                    "ip_range": "fd00:1:2::1:0/112",
                },
            ]
        },
    }


def test_only_what_runs_once_a_version_is_in_its_project(model: Read) -> None:
    base = model(STACK)
    one = release(base, "web")
    its = instance(one)
    merged = model(STACK, override(one, its, base), name=its.project)
    assert set(merged["services"]) == {"web", "api", "queue"}
    assert set(merged["networks"]) == {"default", "front", "alongside-shared"}
    assert set(merged["volumes"]) == {"up", "scratch"}
    assert set(merged["services"]["web"]["depends_on"]) == {"api", "queue"}
    assert "depends_on" not in merged["services"]["api"]


def test_dependencies_of_a_versions_own_claim_nothing_that_is_there_once(model: Read) -> None:
    base = model(STACK)
    one = release(base, "web")
    services = model(STACK, override(one, instance(one), base))["services"]
    for name in ("api", "queue"):
        assert "container_name" not in services[name]
        assert "ports" not in services[name]
    assert services["api"]["image"] == "alongside.invalid/web/api:1.0.0"
    assert "build" not in services["api"]
    assert services["queue"]["image"] == "redis"


def test_all_of_them_reach_what_is_shared_and_each_other(model: Read) -> None:
    base = model(STACK)
    one = release(base, "web")
    merged = model(STACK, override(one, instance(one), base))
    for name in ("web", "api", "queue"):
        # To name a network takes a service off the default one, which it must stay on.
        assert {"default", "alongside-shared"} <= set(merged["services"][name]["networks"]), name
    assert "front" in merged["services"]["web"]["networks"]
    joined = merged["networks"]["alongside-shared"]
    assert (joined["name"], joined["external"]) == (shared_network("app"), True)


def test_volumes_are_one_for_the_repository_or_one_a_version(model: Read) -> None:
    base = model(STACK)
    one = release(base, "web")
    its = instance(one)
    volumes = model(STACK, override(one, its, base))["volumes"]
    assert volumes["up"]["name"] == "app_up"
    assert volumes["scratch"]["name"] == f"{its.project}_scratch"
    fixed = STACK.replace("up: {x-", "up: {name: uploads, x-")
    volumes = model(fixed, override(release(model(fixed), "web"), its, model(fixed)))["volumes"]
    assert volumes["up"]["name"] == "uploads"


def test_removing_a_version_with_its_volumes_reaches_its_own_alone(model: Read) -> None:
    """`docker compose down --volumes` removes all but external ones."""
    base = model(STACK)
    one = release(base, "web")
    its = instance(one)
    volumes = model(STACK, override(one, its, base, removing=True))["volumes"]
    removed = {raw["name"] for raw in volumes.values() if not raw.get("external")}
    assert removed == {f"{its.project}_scratch"}
    assert volumes["up"] == {"name": "app_up", "external": True}


def test_what_is_shared_is_on_a_network_that_versions_can_join(model: Read) -> None:
    base = model(STACK)
    merged = model(STACK, shared_override(release(base, "web")), name=shared_name("app"))
    assert {"default", "back"} <= set(merged["services"]["db"]["networks"])
    assert merged["networks"]["default"]["name"] == shared_network("app")
    assert merged["volumes"]["pg"]["name"] == "precious"
    assert merged["volumes"]["up"]["name"] == "app_up"


def test_repositories_whose_names_look_alike_share_nothing() -> None:
    names = ["app", "App", "my app", "my-app", "my.app"]
    assert len({shared_name(name) for name in names}) == len(names)
    assert shared_name("app") == "app-shared"


def test_the_build(model: Read) -> None:
    one = release(model(STACK), "web", "1e3")
    text = build_override(
        one.spec,
        one.version,
        commit=COMMIT,
        source="/srv/a$b",
        repository="app",
        created=CREATED,
    )
    services = model(STACK, text)["services"]
    assert build_targets(one.spec) == ["web", "api"]
    assert services["web"]["image"] == "alongside.invalid/web:1e3"
    assert services["web"]["build"]["labels"] == {
        "org.opencontainers.image.version": "1e3",
        "org.opencontainers.image.revision": COMMIT,
        "org.opencontainers.image.created": "2026-11-23T12:30:15+00:00",
        "org.opencontainers.image.source": "/srv/a$$b",  # as `config` writes a dollar sign
        "alongside.service": "web",
        "alongside.version": "1e3",
        "alongside.commit": COMMIT,
        "alongside.repository": "app",
    }
    assert services["api"]["image"] == "alongside.invalid/web/api:1e3"
    assert "alongside.service" not in services["api"]["build"]["labels"], "a copy, and no release"


def test_a_build_gives_no_name_that_may_be_anothers(model: Read) -> None:
    """Neither by `image:` nor by `build.tags`, nor those of what it builds on the way."""
    stack = STACK.replace(
        "build: .\n", "build: {context: ., tags: [debian:12, repo/web]}\n"
    ).replace("build: other,", "build: other, image: debian,")
    one = release(model(stack), "web", "1e3")
    text = build_override(
        one.spec,
        one.version,
        commit=COMMIT,
        source="/srv/a",
        repository="app",
        created=CREATED,
        others=["api", "other"],
    )
    services = model(stack, text)["services"]
    built = {name: raw for name, raw in services.items() if raw.get("build")}
    assert set(built) == {"web", "api", "other"}
    for raw in built.values():
        assert raw["image"].startswith("alongside.invalid/web")
        assert not raw["build"].get("tags")


@pytest.mark.parametrize("version", ["1e3", "1.10", "on", "0o17", "20261123", "null", "1_0"])
def test_a_version_is_text_in_every_dialect_of_yaml(model: Read, version: str) -> None:
    base = model(DNS)
    one = release(base, "dns", version)
    text = override(one, instance(one), base)
    assert f'"{version}"' in text or f"'{version}'" in text
    labels = model(DNS, text)["services"]["dns"]["labels"]
    assert labels["alongside.version"] == version


def test_versions_that_look_alike_are_two_projects(model: Read) -> None:
    base = model(DNS)
    two = [instance(release(base, "dns", version)) for version in ("1.2.0", "1-2-0")]
    assert two[0].project != two[1].project
    assert two[0].network != two[1].network
    assert Version("1.2.0") != Version("1-2-0")
