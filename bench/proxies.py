"""The proxies that alongside is held against, on the plain host: a worker a core, no log.

Both twice: as they come, a connection to the server for each of a client's, and told to keep
connections to the server, which saves them one of the two that a client's new one costs.
"""

from __future__ import annotations

import os
import socket
import time

from bench.hosts import VERSIONS, Plain

NGINX_PORT, NGINX_KEPT_PORT = 8081, 8085
TCP_PORT, HTTP_PORT, HTTP_KEPT_PORT = 8082, 8083, 8086

_NGINX = """\
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    keepalive_requests 1000000;
    upstream web {{ server {address}:80; }}
    upstream kept {{ server {address}:80; keepalive 32; keepalive_requests 1000000; }}
    server {{
        listen {port} backlog=4096;
        location / {{ proxy_pass http://web; }}
    }}
    server {{
        listen {kept_port} backlog=4096;
        location / {{
            proxy_pass http://kept;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""

_HAPROXY = """\
global
    stats socket {folder}/haproxy.sock mode 600 level admin
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
frontend tcp
    mode tcp
    bind :{tcp} backlog 4096
    default_backend tcp
backend tcp
    mode tcp
{servers}
frontend http
    mode http
    bind :{http} backlog 4096
    default_backend http
backend http
    mode http
{servers}
frontend kept
    mode http
    bind :{kept} backlog 4096
    default_backend kept
backend kept
    mode http
    http-reuse always
{servers}
"""


class Nginx:
    """A reverse proxy that is told of another upstream by a reload."""

    def __init__(self, plain: Plain) -> None:
        self._plain = plain
        self._folder = plain.host.folder / "nginx"
        self._file = self._folder / "nginx.conf"
        self._argv = ["nginx", "-p", str(self._folder), "-c", str(self._file)]

    def start(self) -> None:
        self._folder.mkdir()
        self._write(VERSIONS[0])
        argv = [*self._argv, "-g", "daemon off;"]
        self._plain.host.spawn(argv, log=self._folder / "out.log")
        _await_port(self._plain, NGINX_PORT)

    def switch(self, version: str) -> None:
        self._write(version)
        self._plain.host.run([*self._argv, "-s", "reload"])

    def _write(self, version: str) -> None:
        new = self._file.with_suffix(".new")
        address = self._plain.addresses[version]
        new.write_text(
            _NGINX.format(
                folder=self._folder, address=address, port=NGINX_PORT, kept_port=NGINX_KEPT_PORT
            )
        )
        new.replace(self._file)


class Haproxy:
    """Both versions are servers of each backend; the weights say who gets the traffic."""

    def __init__(self, plain: Plain) -> None:
        self._plain = plain
        self._folder = plain.host.folder / "haproxy"
        self._socket = self._folder / "haproxy.sock"

    def start(self) -> None:
        self._folder.mkdir()
        servers = "\n".join(
            f"    server {version} {self._plain.addresses[version]}:80 weight {weight}"
            for version, weight in zip(VERSIONS, (100, 0), strict=True)
        )
        file = self._folder / "haproxy.cfg"
        ports = {"tcp": TCP_PORT, "http": HTTP_PORT, "kept": HTTP_KEPT_PORT}
        file.write_text(_HAPROXY.format(folder=self._folder, servers=servers, **ports))
        argv = ["haproxy", "-db", "-f", str(file)]
        self._plain.host.spawn(argv, log=self._folder / "out.log")
        _await_port(self._plain, HTTP_PORT)

    def switch(self, version: str, backend: str = "http") -> None:
        (other,) = set(VERSIONS) - {version}
        self._tell(
            f"set server {backend}/{version} weight 100; set server {backend}/{other} weight 0"
        )

    def _tell(self, words: str) -> None:
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(os.fspath(self._socket))
            admin.sendall(words.encode() + b"\n")
            said = b""
            while got := admin.recv(4096):
                said += got
        if said.strip():
            raise RuntimeError(f"HAProxy refused: {said.decode().strip()}")


def _await_port(plain: Plain, port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with plain.host.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens on {port}")
