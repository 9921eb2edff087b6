"""The same bytes in every way that a network may deliver them."""

from collections.abc import Iterator
from itertools import pairwise
from random import Random


def ways(data: bytes) -> Iterator[list[bytes]]:
    """Whole, byte by byte, and cut at random places, the same ones in every run."""
    yield [data] if data else []
    yield [data[at : at + 1] for at in range(len(data))]
    for number in range(4):
        random = Random(f"{data!r} {number}")
        places = sorted({0, len(data), *(random.randrange(len(data) + 1) for _ in range(random.randrange(1, 12)))})
        yield [data[start:end] for start, end in pairwise(places)]
