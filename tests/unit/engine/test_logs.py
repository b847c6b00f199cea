from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from alongside.engine.logs import LONGEST_LINE, Tail, demultiplex, undivided


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


async def chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@given(
    lines=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1), max_size=8
    ),
    cut=st.integers(1, 7),
    size=st.integers(1, 40),
)
async def test_lines_survive_any_cut_into_frames_and_chunks(
    lines: list[str], cut: int, size: int
) -> None:
    text = "".join(f"{line}\n" for line in lines).encode()
    frames = b"".join(frame(1, text[at : at + cut]) for at in range(0, len(text), cut))

    assert [line async for line in demultiplex(chunks(frames, size))] == lines
    assert [line async for line in undivided(chunks(text, size))] == lines


async def test_streams_keep_their_own_unfinished_lines() -> None:
    data = frame(1, b"on out, ") + frame(2, b"on err\n") + frame(1, b"later\nlast")

    found = [line async for line in demultiplex(chunks(data, 9))]

    assert found == ["on err", "on out, later", "last"]


async def test_a_terminal_ends_its_lines_with_both() -> None:
    assert [line async for line in undivided(chunks(b"a\r\n\r\nb", 2))] == ["a", "", "b"]


async def test_a_frame_that_was_cut_short_is_left_out() -> None:
    assert [line async for line in demultiplex(chunks(frame(1, b"a\n") + b"\1\0\0\0\0", 5))] == [
        "a"
    ]


async def test_a_line_without_an_end_does_not_fill_the_memory() -> None:
    found = [line async for line in undivided(chunks(b"x" * (2 * LONGEST_LINE + 1), 1000))]

    assert [len(line) for line in found] == [LONGEST_LINE, LONGEST_LINE, 1]


def test_a_tail_keeps_the_last_lines_that_fit() -> None:
    tail = Tail(10)
    assert str(tail) == ""
    for line in ("one", "two", "three"):
        tail.feed(line)
    assert str(tail) == "two\nthree"

    tail.feed("a line that is longer")
    assert str(tail) == " is longer"
