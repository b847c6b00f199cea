"""The kernel's jhash (Bob Jenkins' lookup3, linux/jhash.h), to say beforehand which version a
client gets, and to hold the tracer to what the kernel does."""

from __future__ import annotations

import sys

_MASK = 0xFFFFFFFF


def jhash(key: bytes, seed: int) -> int:
    """32 bits. Whole words are read in the machine's byte order, as the kernel does."""
    a = b = c = (0xDEADBEEF + len(key) + seed) & _MASK
    while len(key) > 12:
        words = [int.from_bytes(key[at : at + 4], sys.byteorder) for at in (0, 4, 8)]
        a, b, c = _mix((a + words[0]) & _MASK, (b + words[1]) & _MASK, (c + words[2]) & _MASK)
        key = key[12:]
    if not key:
        return c
    tail = key.ljust(12, b"\0")
    words = [int.from_bytes(tail[at : at + 4], "little") for at in (0, 4, 8)]
    return _final((a + words[0]) & _MASK, (b + words[1]) & _MASK, (c + words[2]) & _MASK)


def scale(number: int, to: int) -> int:
    """32 bits to 0 … to - 1 (reciprocal_scale)."""
    return number * to >> 32


def _rotate(word: int, by: int) -> int:
    return (word << by | word >> (32 - by)) & _MASK


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for by_a, by_b, by_c in ((4, 6, 8), (16, 19, 4)):
        a = (a - c) & _MASK ^ _rotate(c, by_a)
        c = (c + b) & _MASK
        b = (b - a) & _MASK ^ _rotate(a, by_b)
        a = (a + c) & _MASK
        c = (c - b) & _MASK ^ _rotate(b, by_c)
        b = (b + a) & _MASK
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    c = ((c ^ b) - _rotate(b, 14)) & _MASK
    a = ((a ^ c) - _rotate(c, 11)) & _MASK
    b = ((b ^ a) - _rotate(a, 25)) & _MASK
    c = ((c ^ b) - _rotate(b, 16)) & _MASK
    a = ((a ^ c) - _rotate(c, 4)) & _MASK
    b = ((b ^ a) - _rotate(a, 14)) & _MASK
    return ((c ^ b) - _rotate(b, 24)) & _MASK
