"""One worker of a load: asks, one question after the other, and writes down every answer.

Run by support.load as a program of its own (`python -I -S volley.py JSON`), so that workers have
a processor each and Python's lock is not shared with the test. Only the standard library.

Shared with the test through a mapped file: a stop word, and for each worker how many answers and
how many failures there are so far (64-bit, native order).
"""

from __future__ import annotations

import json
import mmap
import socket
import struct
import sys
import time
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORD = 8
DONE = 2  # words a worker

Order = dict[str, Any]  # support.load writes it
Ask = Callable[[int], bytes]  # number of the question -> the version that answered


def main(order: Order) -> None:
    with Path(order["shared"]).open("r+b") as file:
        shared = mmap.mmap(file.fileno(), 0)
    words = memoryview(shared).cast("q")
    mine = 1 + DONE * order["worker"]
    ask = make_ask(order)
    started, took, version = array("q"), array("I"), array("B")
    failures: list[tuple[int, int, str]] = []
    names: dict[bytes, int] = {}
    now, limit, pause = time.monotonic_ns, order["count"], order["pause"]
    end = now() + int(order["seconds"] * 1e9)
    number = 0
    while not words[0] and number < limit:
        begin = now()
        if begin > end:
            break
        number += 1
        try:
            name = ask(number)
        except BlockingIOError:  # what the kernel's time limits end with, see opener
            failures.append((begin, now() - begin, "TimeoutError: no answer"))
            words[mine + 1] += 1
            continue
        except (OSError, ValueError) as error:
            failures.append((begin, now() - begin, f"{type(error).__name__}: {error}"))
            words[mine + 1] += 1
            continue
        took.append((now() - begin) // 1000)
        started.append(begin)
        version.append(names.setdefault(name, len(names)))
        words[mine] += 1
        if pause:
            time.sleep(pause)
    report = {"names": [name.decode() for name in names], "failures": failures}
    report["answers"] = len(started)
    with Path(order["result"]).open("wb") as file:
        head = json.dumps(report).encode()
        file.write(struct.pack("q", len(head)) + head)
        for column in (started, took, version):
            column.tofile(file)


def make_ask(order: Order) -> Ask:
    question = QUESTIONS[order["dialect"]](order)
    return (tcp if order["transport"] == "tcp" else udp)(order, question)


def tcp(order: Order, question: Question) -> Ask:
    """A new connection for each."""
    target = (order["address"], order["port"])
    open_socket = opener(order, socket.SOCK_STREAM)

    def ask(number: int) -> bytes:
        with open_socket() as client:
            client.connect(target)
            client.sendall(question.text(number))
            data = b""
            while not question.whole(data):
                more = client.recv(65536)
                if not more:
                    raise ConnectionResetError("closed before the answer was whole")
                data += more
            return question.version(data, number)

    return ask


def udp(order: Order, question: Question) -> Ask:
    """From a fresh port each time, or always from one: then what comes late for an earlier
    question is passed over."""
    target = (order["address"], order["port"])
    open_socket = opener(order, socket.SOCK_DGRAM)

    def exchange(client: socket.socket, number: int) -> bytes:
        client.send(question.text(number))
        while True:
            data = client.recv(65536)
            if question.answers(data, number):
                return question.version(data, number)

    if not order["source_port"]:

        def ask(number: int) -> bytes:
            with open_socket() as client:
                client.connect(target)
                return exchange(client, number)

        return ask

    fixed = open_socket()
    fixed.bind(("", order["source_port"] + order["worker"]))
    fixed.connect(target)
    return lambda number: exchange(fixed, number)


def opener(order: Order, style: int) -> Callable[[], socket.socket]:
    family = socket.AF_INET6 if ":" in order["address"] else socket.AF_INET
    timeout = order["timeout"]
    # The kernel's own timeouts: with Python's, every call would be two. A connect that takes
    # too long ends with EINPROGRESS, a receive with EAGAIN.
    limit = struct.pack("ll", int(timeout), int(timeout % 1 * 1e6))

    def open_socket() -> socket.socket:
        client = socket.socket(family, style)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        return client

    return open_socket


class Question:
    """Lines and datagrams: `NUMBER` is asked, `VERSION … NUMBER` is the answer."""

    def __init__(self, order: Order) -> None:
        self.order = order

    def text(self, number: int) -> bytes:
        return b"%d\n" % number

    def whole(self, data: bytes) -> bool:
        return data.endswith(b"\n")

    def answers(self, data: bytes, number: int) -> bool:
        return data.split()[-1:] == [b"%d" % number]

    def version(self, data: bytes, number: int) -> bytes:
        if not self.answers(data, number):
            raise ValueError(f"another question's answer: {data[:80]!r}")
        return data.split(None, 1)[0]


class Http(Question):
    """The version is the first word of the body; another status than 200 is a failure."""

    def text(self, number: int) -> bytes:
        return b"GET %s HTTP/1.0\r\n\r\n" % self.order["path"].encode()

    def whole(self, data: bytes) -> bool:
        head, end, body = data.partition(b"\r\n\r\n")
        if not end:
            return False
        for field in head.split(b"\r\n")[1:]:
            name, _, value = field.partition(b":")
            if name.lower() == b"content-length":
                return len(body) >= int(value)
        return False

    def version(self, data: bytes, number: int) -> bytes:
        if data.split(None, 2)[1] != b"200":
            raise ValueError(f"status {data[:40]!r}")
        return data.partition(b"\r\n\r\n")[2].split(None, 1)[0]


class Dns(Question):
    """The version is the first string of the first TXT record."""

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        labels = order["name"].rstrip(".").encode().split(b".")
        name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
        self.rest = struct.pack("!5H", 0x0100, 1, 0, 0, 0) + name + struct.pack("!2H", 16, 1)
        self.prefixed = order["transport"] == "tcp"

    def text(self, number: int) -> bytes:
        query = struct.pack("!H", number & 0xFFFF) + self.rest
        return struct.pack("!H", len(query)) + query if self.prefixed else query

    def whole(self, data: bytes) -> bool:
        return len(data) >= 2 and len(data) - 2 >= int.from_bytes(data[:2], "big")

    def answers(self, data: bytes, number: int) -> bool:
        return data[:2] == struct.pack("!H", number & 0xFFFF)

    def version(self, data: bytes, number: int) -> bytes:
        message = data[2:] if self.prefixed else data
        code, records = message[3] & 15, int.from_bytes(message[6:8], "big")
        if not self.answers(message, number) or code or not records:
            raise ValueError(f"rcode {code}, {records} records")
        # The question is echoed; the answer's name is a pointer (2 bytes) to it, then type,
        # class, TTL and length (10), then the string's own length.
        at = 2 + len(self.rest) + 12
        return message[at + 1 : at + 1 + message[at]]


QUESTIONS = {"line": Question, "http": Http, "dns": Dns}

if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
