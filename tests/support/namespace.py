"""A network namespace: commands, sockets and functions inside it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

Argv = Sequence[str | os.PathLike[str]]


class CommandFailed(AssertionError):
    """A command ended with another status than 0. Its words are in the message."""

    def __init__(self, argv: Sequence[str], status: int, output: str) -> None:
        super().__init__(f"{' '.join(argv)}\nended with status {status}:\n{output.strip()}")
        self.status = status
        self.output = output


class Namespace:
    """A network namespace under /run/netns. Everything else (files, processes, cgroups) is the
    machine's: commands enter by `nsenter --net`, because `ip netns exec` mounts a new /sys and
    with it hides the cgroups from an engine."""

    def __init__(self, name: str, environment: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.path = Path("/run/netns", name)
        self.environment = dict(environment or {})
        self._children: list[subprocess.Popen[str]] = []
        self._inside: ThreadPoolExecutor | None = None

    # -- commands ------------------------------------------------------------------------

    def run(
        self,
        argv: Argv,
        *,
        check: bool = True,
        input: str | None = None,  # noqa: A002 - as subprocess.run has it
        timeout: float = 120,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end, output captured as text. Raises CommandFailed if `check` and the
        status is not 0, subprocess.TimeoutExpired after `timeout` seconds."""
        done = subprocess.run(
            self._enter(argv),
            check=False,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self._env(env),
            cwd=cwd,
        )
        if check and done.returncode != 0:
            raise CommandFailed(_texts(argv), done.returncode, done.stdout + done.stderr)
        return done

    def popen(
        self,
        argv: Argv,
        *,
        stdin: int | IO[str] | None = subprocess.DEVNULL,
        stdout: int | IO[str] | None = subprocess.PIPE,
        stderr: int | IO[str] | None = subprocess.STDOUT,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start and return at once; killed at the end if it still runs. The pid is the
        command's own, since nsenter replaces itself by it."""
        child = subprocess.Popen(
            self._enter(argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            text=True,
            env=self._env(env),
            cwd=cwd,
        )
        self._children.append(child)
        return child

    def spawn(
        self,
        argv: Argv,
        *,
        log: str | os.PathLike[str] = os.devnull,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> subprocess.Popen[str]:
        """Like popen, for what runs in the background: its output is appended to the file
        `log`, so that it never stands still before a full pipe."""
        with Path(log).open("a") as file:
            return self.popen(argv, stdout=file, env=env, cwd=cwd)

    def nft(self, text: str) -> str:
        """Commit `text` as one nftables transaction in here; returns what nft printed."""
        return self.run(["nft", "-f", "-"], input=text).stdout

    def sysctl(self, name: str, value: int) -> None:
        """Set `net.ipv4.ip_forward` and the like in here. The command of that name is in a
        package that a small machine lacks."""
        with self.inside():
            Path("/proc/sys", name.replace(".", "/")).write_text(str(value))

    def _enter(self, argv: Argv) -> list[str]:
        return ["nsenter", f"--net={self.path}", "--", *_texts(argv)]

    def _env(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        return {**os.environ, **self.environment, **(extra or {})}

    # -- functions and sockets -----------------------------------------------------------

    def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in a thread that lives in here (setns is a thread's own matter): sockets that
        it opens and processes that it starts are in here. `host.call(asyncio.run, main())`
        works too."""
        if self._inside is None:
            self._inside = ThreadPoolExecutor(
                thread_name_prefix=self.name, initializer=_enter_thread, initargs=(self.path,)
            )
        return self._inside.submit(function, *args, **kwargs).result()

    def socket(self, family: int, kind: int) -> socket.socket:
        """A socket belongs for ever to the namespace that it was made in, whichever thread
        connects it later."""
        return self.call(socket.socket, family, kind)

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Take the calling thread in here for a while, and the processes that it starts."""
        back = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            _enter_thread(self.path)
            yield
        finally:
            _setns(back)
            os.close(back)

    # -- the end -------------------------------------------------------------------------

    def close(self) -> None:
        """End what was started in here. The namespace itself goes with its Host."""
        for child in self._children:
            if child.poll() is None:
                child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout, child.stderr):
                if stream is not None:
                    stream.close()
        self._children.clear()
        if self._inside is not None:
            self._inside.shutdown()
            self._inside = None


def _texts(argv: Argv) -> list[str]:
    return [os.fspath(word) for word in argv]


def _enter_thread(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _setns(descriptor)
    finally:
        os.close(descriptor)


def _setns(descriptor: int) -> None:
    # os.setns is Python 3.12's.
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
