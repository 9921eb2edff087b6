"""The readers of bodies: what they hand out, keep and cost. The corpus has what they accept."""

import pytest

from corral.errors import PeerError
from corral.http.framing import ChunkedReader, LengthReader


@pytest.mark.parametrize(("feeds", "pieces", "rest"), [
    pytest.param([b"hello"], [[b"hello"]], b"", id="at once"),
    pytest.param([b"he", b"llo"], [[b"he"], [b"llo"]], b"", id="in two"),
    pytest.param([b"helloGET"], [[b"hello"]], b"GET", id="with what is behind"),
])  # fmt: skip
def test_by_length(feeds: list[bytes], pieces: list[list[bytes]], rest: bytes) -> None:
    reader = LengthReader(5)
    assert [reader.feed(data) for data in feeds] == pieces
    assert reader.done
    assert reader.rest == rest


def test_no_length_is_done_at_once() -> None:
    assert LengthReader(0).done


def test_a_large_piece_is_not_copied() -> None:
    data = b"a" * 100000
    assert LengthReader(200000).feed(data)[0] is data
    reader = ChunkedReader(0)
    reader.feed(b"30d40\r\n")
    assert reader.feed(data)[0] is data


def test_chunks_come_out_as_they_arrive() -> None:
    reader = ChunkedReader(0)
    assert reader.feed(b"5\r\nhel") == [b"hel"]
    assert reader.feed(b"lo\r\n3\r\nabc\r\n") == [b"lo", b"abc"]
    assert reader.feed(b"0\r\n") == []
    assert not reader.done
    assert reader.feed(b"\r\nGET") == []
    assert reader.done
    assert reader.rest == b"GET"
    assert reader.buffer == b""


def test_only_an_unfinished_line_is_kept() -> None:
    reader = ChunkedReader(0)
    reader.feed(b"1\r\na\r\n" * 1000 + b"5;a=b")
    assert reader.buffer == b"5;a=b"
    reader.feed(b"\r\nhello\r")
    assert reader.buffer == b"\r"


def test_the_limit_counts_before_the_bytes_come() -> None:
    reader = ChunkedReader(10)
    reader.feed(b"5\r\nhello\r\n")
    with pytest.raises(PeerError) as refusal:
        reader.feed(b"6\r\n")
    assert refusal.value.status == 413


@pytest.mark.parametrize("line", [b"x", b"5x", b"0x", b"-", b"1" * 16, b"5\r5", b"5\0"])
def test_what_cant_become_a_size_is_refused_before_its_line_ends(line: bytes) -> None:
    reader = ChunkedReader(0)
    with pytest.raises(PeerError):
        reader.feed(line)


class Counted(bytes):
    """Bytes that count how often they are sliced into new ones, and how long those are."""

    copied = 0

    def __add__(self, other: bytes) -> "Counted":
        return Counted(bytes(self) + other)

    def __radd__(self, other: bytes) -> "Counted":
        return Counted(other + bytes(self))

    def __getitem__(self, key: object) -> bytes:  # type: ignore[override]
        part = bytes(self)[key]  # type: ignore[index]
        if isinstance(key, slice):
            Counted.copied += len(part)
        return Counted(part) if isinstance(key, slice) else part  # type: ignore[return-value, arg-type]


def test_many_small_chunks_cost_no_more_than_their_bytes() -> None:
    data = Counted(b"1\r\na\r\n" * 10000 + b"0\r\n\r\n")
    Counted.copied = 0
    reader = ChunkedReader(0)
    assert len(reader.feed(data)) == 10000
    assert reader.done
    assert Counted.copied < 3 * len(data)  # cutting the rest off at each chunk would copy 10000 times as much
