"""Releases on a real engine: by a push, side by side, with what they share and what they do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import ask
from support.host import Host
from support.installation import Installation, Repository, load_images, web_files
from support.load import Load

pytestmark = pytest.mark.host

NGINX = """\
services:
  web:
    build: .
    image: repo/web:${tag:-latest}
    ports: ["80:80"]
    x-alongside:
      tags: web/*
      ready: {http: /}
"""


@pytest.fixture(scope="module")
def alongside() -> Iterator[Installation]:
    with Host() as host:
        load_images(host, "nginx-bookworm", "nginx-trixie", "responder")
        alongside = Installation(host)
        alongside.start()
        yield alongside


def test_nginx_of_two_debian_releases_by_pushes_to_a_bare_repository(
    alongside: Installation,
) -> None:
    host = alongside.host
    served = host.folder / "served.git"
    host.run(["git", "init", "--quiet", "--bare", str(served)])
    assert "bare repository" in alongside("init", cwd=served).stdout
    repository = alongside.repository(
        "pages",
        {"compose.yaml": NGINX, "Dockerfile": "FROM alongside-test/nginx:bookworm\n"},
        init=False,
    )
    repository.tag("web/1.0.0")
    repository.commit({"Dockerfile": "FROM alongside-test/nginx:trixie\n"})
    repository.tag("web/1.1.0")
    repository.tag("unrelated")
    said = repository.git("push", str(served), "main", "--tags").stderr
    assert "remote: web@1.0.0 is released" in said
    assert "remote: web@1.1.0 is released" in said
    assert "No service claims the tag unrelated" in said

    alongside("activate", "web@1.0.0")
    old = ask.http_get(host.client, host.address4).body
    assert old.startswith("1.22.")
    assert host.client.address4 in old
    with Load(host.client, "tcp", host.address4, 80, dialect="http", workers=4) as load:
        load.wait_for(100)
        alongside("activate", "web@^1")
        load.wait_for(100)
        alongside("rollback", "web")
        load.wait_for(100)
        alongside("activate", "web@latest")
        load.wait_for(100)
        report = load.stop()
    assert not report.failures
    assert {version[:4] for version in report.versions} == {"1.22", "1.26"}
    assert ask.http_get(host, "::1").body.startswith("1.26.")


def test_the_image_says_what_it_is_and_the_tree_is_the_tags_own(alongside: Installation) -> None:
    host = alongside.host
    repository = alongside.repository("labels", responder("labelled"))
    (repository.path / "leak").write_text("not committed")
    repository.tag("1.0.0")
    commit = repository.git("rev-parse", "1.0.0^{commit}").stdout.strip()
    labels = host.docker(
        ["image", "inspect", "repo/labelled:1.0.0", "--format", "{{json .Config.Labels}}"]
    ).stdout
    assert f'"org.opencontainers.image.revision":"{commit}"' in labels
    assert '"org.opencontainers.image.version":"1.0.0"' in labels
    assert "org.opencontainers.image.created" in labels
    assert "org.opencontainers.image.source" in labels
    (tree,) = (alongside.state / "trees" / "labels").iterdir()
    assert not (tree / "leak").exists()
    assert not (tree / ".git").exists()
    (release,) = [
        one for one in alongside.api("/v1/releases")["releases"] if one["service"] == "labelled"
    ]
    assert release["commit"] == commit
    image = host.docker(["image", "inspect", "repo/labelled:1.0.0", "--format", "{{.Id}}"]).stdout
    assert release["image_id"] == image.strip()


def test_an_image_that_was_built_anew_by_hand_is_refused(alongside: Installation) -> None:
    host = alongside.host
    repository = alongside.repository("byhand", responder("byhand"))
    repository.tag("1")
    host.docker(["tag", "alongside-test/responder:latest", "repo/byhand:1"])
    said = alongside.refused("up", "byhand@1")
    assert "is not the image that was released as byhand@1" in said
    assert "docker tag" in said


def responder(name: str, extra: str = "", dockerfile: str = "") -> dict[str, str]:
    return {
        "compose.yaml": f"""\
services:
  {name}:
    build: .
    image: repo/{name}:${{tag:-latest}}
{extra}""",
        "Dockerfile": f"FROM alongside-test/responder:latest\nENV PORTS=80\n{dockerfile}",
    }


def test_versions_share_what_is_said_to_be_shared_and_nothing_else(
    alongside: Installation,
) -> None:
    """A database for all versions, a cache for each, one volume of each kind, and a .env."""
    host = alongside.host
    compose = """\
services:
  shop:
    build: .
    image: repo/shop:${tag:-latest}
    env_file: .env
    depends_on: [db, cache]
    volumes: ["together:/together", "alone:/alone"]
    x-alongside: {linked: [.env], ready: running}
  db:
    image: alongside-test/responder:latest
    environment: {VERSION: db, PORTS: "7"}
    x-alongside: {shared: true}
  cache:
    image: alongside-test/responder:latest
    environment: {VERSION: "cache-${tag}", PORTS: "7"}
    x-alongside: {shared: false}
volumes:
  together: {x-alongside: {shared: true}}
  alone: {x-alongside: {shared: false}}
"""
    repository = alongside.repository(
        "shop",
        {
            "compose.yaml": compose,
            ".gitignore": ".env\n",
            "Dockerfile": "FROM alongside-test/responder:latest\nENV PORTS=80\n",
        },
        init=False,
    )
    (repository.path / ".env").write_text("SECRET=one\n")
    assert ".env is kept on this host" in alongside("init", cwd=repository.path).stdout
    for version in ("1", "2"):
        repository.commit({"what": version})
        assert f"shop@{version} is released" in repository.tag(version).stderr
        alongside("up", f"shop@{version}")

    def inside(version: str, *command: str) -> str:
        return host.docker(["exec", f"shop-{version}", *command]).stdout

    asking = (
        "import socket, sys; s = socket.create_connection((sys.argv[1], 7), 5); "
        "s.sendall(b'x\\n'); print(s.recv(99).decode().split()[0])"
    )
    for version in ("1", "2"):
        assert inside(version, "python3", "-S", "-c", asking, "db") == "db\n"
        assert inside(version, "python3", "-S", "-c", asking, "cache") == f"cache-{version}\n"
        assert "SECRET=one" in inside(version, "env")
    inside("1", "sh", "-c", "echo x > /together/f; echo x > /alone/f")
    assert inside("2", "ls", "/together") == "f\n"
    assert inside("2", "ls", "/alone") == ""
    names = host.docker(["ps", "--format", "{{.Names}}"]).stdout
    assert sum("db" in name for name in names.split()) == 1
    alongside("rm", "shop@1", "--volumes")
    assert inside("2", "ls", "/together") == "f\n", "what is shared stays"


def test_the_articles_own_compose_file_runs_as_it_stands(alongside: Installation) -> None:
    host = alongside.host
    repository = alongside.repository(
        "article",
        {
            "docker-compose.yml": """\
services:
  container-name:
    container_name: container-name-${tag:-latest}
    image: repo/container-name:${tag:-latest}
    build: .
    ports:
      - "53/udp"
      - "53/tcp"
""",
            "Dockerfile": "FROM alongside-test/responder:latest\nENV PORTS=53 VERSION=article\n",
        },
    )
    repository.tag("1.0.0")
    alongside("activate", "container-name-1.0.0")  # by the container's name, as in the article
    assert ask.line(host.client, host.address4, 53).startswith("article ")
    assert ask.datagram(host.client, host.address6, 53).startswith("article ")
    alongside("deactivate", "container-name-1.0.0")
    alongside("stop", "container-name@1.0.0")


def test_names_that_contain_each_other_and_ports_that_begin_alike(
    alongside: Installation,
) -> None:
    """The article's `grep "redirect:port:tcp:80"` also matched 8080, and its `docker ps -f
    name=web-1.0` every name that contains it."""
    host = alongside.host
    for name, port in (("near", 81), ("nearby", 8181)):
        repository = alongside.repository(
            name,
            {
                "compose.yaml": f"services: {{{name}: {{build: ., ports: ['{port}:80']}}}}\n",
                "Dockerfile": "FROM alongside-test/responder:latest\n"
                f"ENV PORTS=80 VERSION={name}\n",
            },
        )
        for version in ("1.0", "1.0.1", "1x0"):
            repository.commit({"what": version})
            repository.tag(version)
        alongside("activate", f"{name}@1.0")
    alongside("stop", "near@1x0")
    alongside("up", "near@1.0.1")
    alongside("deactivate", "near")
    with pytest.raises(ConnectionRefusedError):
        ask.http_get(host.client, host.address4, 81)
    assert ask.http_get(host.client, host.address4, 8181).body.startswith("nearby ")
    states = {one["name"]: one["state"] for one in alongside.json("ps")["instances"]}
    assert states["near-1.0"] == states["near-1.0.1"] == states["nearby-1.0"] == "running"


def test_one_address_of_several(alongside: Installation) -> None:
    """`198.51.100.1:82:80` is public there and nowhere else, `[2001:db8:51:100::1]:83:80` too."""
    host = alongside.host
    ports = f"'{host.address4}:82:80', '[{host.address6}]:83:80'"
    repository = alongside.repository(
        "bound",
        {
            "compose.yaml": f"services: {{bound: {{build: ., ports: [{ports}]}}}}\n",
            "Dockerfile": "FROM alongside-test/responder:latest\nENV PORTS=80 VERSION=bound\n",
        },
    )
    repository.tag("1")
    alongside("activate", "bound@1")
    for port, there, other in (
        (82, host.address4, host.address6),
        (83, host.address6, host.address4),
    ):
        client = host.client.address4 if port == 82 else host.client.address6
        assert ask.http_get(host.client, there, port).body == f"bound {client} /\n"
        assert ask.http_get(host, there, port).body.startswith("bound ")
        for source, address in ((host.client, other), (host, "127.0.0.1"), (host, "::1")):
            with pytest.raises(ConnectionRefusedError):
                ask.http_get(source, address, port)


def test_logs_are_the_containers_own(alongside: Installation) -> None:
    repository = alongside.repository(
        "talker",
        responder("talker", dockerfile='CMD for i in 1 2 3; do echo "line $i"; done; sleep 60\n'),
    )
    repository.write({"compose.yaml": repository_compose(repository)})
    repository.commit({})
    repository.tag("1")
    alongside("up", "talker@1")
    assert alongside("logs", "talker@1", "-n", "2").stdout == "line 2\nline 3\n"


def repository_compose(repository: Repository) -> str:
    text = Path(repository.path, "compose.yaml").read_text()
    return text + "    x-alongside: {ready: running}\n    init: true\n"


def test_a_host_without_ipv6_works_with_ipv4_alone(make_host: Callable[..., Host]) -> None:
    host = make_host()
    for interface in ("all", "default", "lo"):
        host.sysctl(f"net.ipv6.conf.{interface}.disable_ipv6", 1)
    load_images(host, "responder")
    alongside = Installation(host)
    alongside.start()
    repository = alongside.repository("site", web_files())
    for version in ("1", "2"):
        repository.release(version, {})
        alongside("activate", f"web@{version}")
    for source, address in ((host.client, host.address4), (host, "127.0.0.1")):
        assert ask.http_get(source, address).body.startswith("2 ")
    alongside("rollback", "web")
    assert ask.datagram(host.client, host.address4, 7).startswith("1 ")
