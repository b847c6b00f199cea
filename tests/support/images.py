"""Base images for tests, the demo and the bench, made of Debian packages without a registry.

mmdebstrap fetches a few packages (apt checks them against Debian's signing keys, which lie in
scripts/) and unpacks them, without running their scripts: 3 to 8 seconds an image, 35 to 45 MB.
What comes out is an archive for `docker load`, kept in a cache under a name that holds a hash of
its recipe.

    python3 images.py [NAME…]     make those that are not there; print their paths
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEYS = ROOT / "scripts" / "debian-archive.asc"
MIRROR = os.environ.get("ALONGSIDE_DEBIAN_MIRROR", "http://deb.debian.org/debian")
CACHE = Path(os.environ.get("ALONGSIDE_IMAGE_CACHE", ROOT / ".cache" / "images"))

# Every image has a shell and /etc/passwd, so that RUN works in a Dockerfile that starts from it.
_COMMON = ("base-files", "base-passwd", "busybox-static")
_FINISH = (
    'cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"; '
    'cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"; '
    'chroot "$1" /bin/busybox --install -s; '
    'rm -rf "$1"/usr/share/doc "$1"/usr/share/man "$1"/usr/share/locale "$1"/usr/share/info; '
    'mkdir -p "$1/proc" "$1/sys" "$1/tmp" "$1/run"; chmod 1777 "$1/tmp"'
)
_FIREWALLS = ("ufw", "firewalld", "dbus-daemon", "iptables", "nftables", "procps")
_NGINX_SITE = """\
server {
    listen 80;
    listen [::]:80;
    location / { default_type text/plain; return 200 "$nginx_version $remote_addr $uri\\n"; }
}
"""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of: a Debian release, packages, files, and what it runs."""

    tag: str
    suite: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    files: tuple[tuple[str, str], ...] = ()  # path in the image, text

    @property
    def digest(self) -> str:
        recipe = json.dumps([*astuple(self), *_arguments(self)])
        return hashlib.sha256(recipe.encode()).hexdigest()[:12]


def _dnsmasq(suite: str) -> Recipe:
    # --user=root: the package's scripts, which make a user for it, are not run.
    command = "dnsmasq --keep-in-foreground --log-facility=- --user=root --no-resolv --no-hosts"
    return Recipe(
        f"alongside-test/dnsmasq:{suite}",
        suite,
        ("dnsmasq-base",),
        (
            *command.split(),
            f"--txt-record=version.test,{suite}",
            "--host-record=version.test,192.0.2.53",  # for probes, which ask for an address
        ),
    )


def _nginx(suite: str) -> Recipe:
    return Recipe(
        f"alongside-test/nginx:{suite}",
        suite,
        ("nginx",),
        ("nginx", "-g", "daemon off;"),
        (("etc/nginx/sites-enabled/default", _NGINX_SITE),),
    )


def _responder() -> Recipe:
    text = Path(__file__).with_name("responder.py").read_text()
    return Recipe(
        "alongside-test/responder:latest",
        "bookworm",
        ("python3-minimal",),
        ("python3", "-S", "/responder.py"),
        (("responder.py", text),),
    )


RECIPES = {
    "dnsmasq-bookworm": _dnsmasq("bookworm"),  # 2.90
    "dnsmasq-trixie": _dnsmasq("trixie"),  # 2.91
    "nginx-bookworm": _nginx("bookworm"),  # 1.22
    "nginx-trixie": _nginx("trixie"),  # 1.26
    "responder": _responder(),
}


def archive(name: str) -> Path:
    """The image as an archive for `docker load`, made now if the cache does not have it."""
    recipe = RECIPES[name]
    path = CACHE / f"{name}-{recipe.digest}.tar"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".{name}-") as folder:
            layer = Path(folder, "layer.tar")
            _bootstrap(recipe, layer)
            whole = Path(folder, "image.tar")
            _pack(recipe, layer, whole)
            whole.replace(path)
        for old in CACHE.glob(f"{name}-*.tar"):
            if old != path and old.stem.removeprefix(f"{name}-").isalnum():
                old.unlink(missing_ok=True)
    return path


def archives(names: Iterable[str] = RECIPES) -> dict[str, Path]:
    """Several, two at a time."""
    names = list(names)
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(archive, names), strict=True))


def _arguments(recipe: Recipe) -> list[str]:
    """mmdebstrap's, but for the files that differ from run to run."""
    return [
        "--quiet",
        "--variant=extract",
        f"--include={','.join([*_COMMON, *recipe.packages])}",
        f"--extract-hook={_FINISH}",  # the extract variant runs no customize hooks
        *(
            f'--extract-hook=rm -f "$1/{target}"; cp "$FILES/{number}" "$1/{target}"'
            for number, (target, _) in enumerate(recipe.files)
        ),
        recipe.suite,
    ]


def _bootstrap(recipe: Recipe, layer: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, (_, text) in enumerate(recipe.files):
            Path(folder, str(number)).write_text(text)
        _mmdebstrap(recipe.tag, [*_arguments(recipe), str(layer), MIRROR], FILES=folder)


def _mmdebstrap(what: str, arguments: Iterable[str], **environment: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        # apt checks signatures as the user _apt, who may not see this project's folder.
        Path(folder).chmod(0o755)
        keys = Path(shutil.copy(KEYS, folder))
        keys.chmod(0o644)
        done = subprocess.run(
            ["mmdebstrap", f"--keyring={keys}", *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
        )
    if done.returncode != 0:
        raise RuntimeError(f"mmdebstrap could not make {what}:\n{done.stdout[-2000:]}")


def firewalls(suite: str) -> Path:
    """A small Debian system with ufw and firewalld in it, as a tar archive; 40 s the first time.
    Unlike an image's, its packages' scripts are run: in its own root, where nothing is started."""
    arguments = [
        "--quiet",
        "--variant=essential",
        f"--include={','.join(_FIREWALLS)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{one}/*" for one in ("doc", "man", "locale", "info")),
        suite,
    ]
    digest = hashlib.sha256(json.dumps(arguments).encode()).hexdigest()[:12]
    path = CACHE / f"firewalls-{suite}-{digest}.tar"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".firewalls-") as folder:
            made = Path(folder, "root.tar")
            _mmdebstrap("the firewalls", [*arguments, str(made), MIRROR])
            made.replace(path)
        for old in CACHE.glob(f"firewalls-{suite}-*.tar"):
            if old != path:
                old.unlink(missing_ok=True)
    return path


def _pack(recipe: Recipe, layer: Path, target: Path) -> None:
    """One layer and its configuration, as `docker save` writes them."""
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    machine = os.uname().machine
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
            "os": "linux",
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "config": {
                "Cmd": recipe.command,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": f"mmdebstrap {recipe.suite}"}],
        }
    ).encode()
    name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [recipe.tag], "Layers": [f"{digest}/layer.tar"]}]
    with tarfile.open(target, "w") as out:
        for path, content in ((name, config), ("manifest.json", json.dumps(manifest).encode())):
            member = tarfile.TarInfo(path)
            member.size = len(content)
            out.addfile(member, BytesIO(content))
        out.add(layer, f"{digest}/layer.tar")


def missing() -> list[str]:
    """The programs that making an image needs and the machine lacks."""
    return [name for name in ("mmdebstrap",) if shutil.which(name) is None]


if __name__ == "__main__":
    for made in archives(sys.argv[1:] or RECIPES).values():
        print(made)
