"""wsgi.input while the body comes: the four ways to read, against the same bytes in memory."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.gateway.body import StreamedInput


def streamed(*pieces: bytes) -> StreamedInput:
    waiting = list(pieces)
    return StreamedInput(lambda: waiting.pop(0) if waiting else b"")


@pytest.mark.parametrize("size", [-1, None, 10, 100])
def test_read_all(size: int | None) -> None:
    body = streamed(b"hello", b"world")
    assert body.read(size) == b"helloworld"
    assert body.read(size) == b""


def test_read_in_parts() -> None:
    body = streamed(b"hello", b"world")
    assert [body.read(size) for size in (0, 3, 4, 0, 9, 1)] == [b"", b"hel", b"lowo", b"", b"rld", b""]


def test_read_waits_for_no_more_than_it_needs() -> None:
    body = StreamedInput(iter([b"hello"]).__next__)
    assert body.read(5) == b"hello"


@pytest.mark.parametrize("pieces", [
    pytest.param((b"a\nb\n", b"c"), id="several lines in a piece"),
    pytest.param((b"a", b"\n", b"b", b"\nc"), id="a line in several pieces"),
    pytest.param((b"a\nb\nc",), id="in one piece"),
])  # fmt: skip
def test_lines(pieces: tuple[bytes, ...]) -> None:
    assert list(streamed(*pieces)) == streamed(*pieces).readlines() == [b"a\n", b"b\n", b"c"]
    body = streamed(*pieces)
    assert [body.readline() for _ in range(5)] == [b"a\n", b"b\n", b"c", b"", b""]


def test_a_line_that_is_not_asked_for_whole() -> None:
    body = streamed(b"hel", b"lo\nworld")
    assert [body.readline(size) for size in (0, 2, 2, 9, 3, 100)] == [b"", b"he", b"ll", b"o\n", b"wor", b"ld"]


def test_readlines_with_a_hint() -> None:
    body = streamed(b"aa\nbb\ncc\n")
    assert body.readlines(4) == [b"aa\n", b"bb\n"]
    assert body.readlines(0) == [b"cc\n"]


CALLS = st.tuples(
    st.sampled_from(["read", "readline", "readlines"]), st.one_of(st.none(), st.integers(min_value=-1, max_value=30))
)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(
    pieces=st.lists(st.text(alphabet="ab\n", min_size=1, max_size=12).map(str.encode), max_size=8),
    calls=st.lists(CALLS, max_size=12),
)
def test_any_reading_is_that_of_the_same_bytes_in_memory(pieces: list[bytes], calls: list[tuple[str, int]]) -> None:
    body, memory = streamed(*pieces), io.BytesIO(b"".join(pieces))
    for name, size in calls:
        assert getattr(body, name)(size) == getattr(memory, name)(size)
