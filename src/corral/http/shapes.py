"""Heads that are alike: the names of the one before, in its order, with other values, as most of a client's are.

Such a head is read by one pattern that was made for its names: 2 µs less for one of twelve new values. It knows lines,
names and what makes a request ordinary: no body, and the connection goes on. Nothing is refused here: a head that
doesn't fit, for whatever reason, is read where all is known.
"""

import re
from codecs import charmap_decode
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from corral.http.head import HOSTS, HTTP_1_1, LONGEST_BLOCK, LONGEST_LINE, Limits, RequestLine
from corral.http.syntax import FIELD_BYTES, percent_decode

OFTEN: Final = 4  # times that a shape has been looked for before a pattern is made, which takes 500 µs
MOST: Final = 64  # patterns, and shapes that may become one; a stranger who uses them up costs others new ones
LONGEST: Final = 2048  # bytes of a block whose shape is looked for
strip: Final = str.strip
AnyShape = TypeVar("AnyShape")
Names = tuple[bytes, ...]
Key = tuple[Limits, Names]

# What a head is read as: each CR is one LF more, so that no value has one, and what no field may hold is NUL.
TABLE: Final = bytes(10 if byte in b"\r\n" else byte if byte in FIELD_BYTES else 0 for byte in range(256))
# The same for text, in one go: NUL is what charmap_decode doesn't know, and so is what isn't ASCII.
TEXT_TABLE: Final = "".join(chr(byte) if 0 < byte < 128 else "\ufffe" for byte in TABLE)
LINE_END: Final = "\n\n"
LINE: Final = r"(GET|HEAD|OPTIONS|DELETE) (/[!\"$-~]*) HTTP/1\.1"
AROUND: Final = 10  # bytes of such a line beside method and target
# What is no ordinary request's, but for Connection: keep-alive.
FRAMING: Final = frozenset(("CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_UPGRADE"))


def pattern(names: Names) -> str:
    """With a group for the method, one for the target, and one for each value: no line end is in it, so that no search
    goes back beyond its own line."""
    fields = (f"{re.escape(name.decode('latin-1'))} (.*)" for name in names)
    return LINE_END.join((LINE, *fields, "", ""))


def longest(limits: Limits) -> int:
    """Of a head: so no line and no field of it is too long."""
    return min(limits.line or LONGEST_LINE, limits.field_size or LONGEST_BLOCK)


def request_line(method: str, target: str) -> RequestLine:
    path, _, query = target.partition("?")
    return method, target, percent_decode(path) if "%" in path else path, query, HTTP_1_1, None


class Shape:
    """Reads heads with these names, each of which has its colon; `keys` are what CGI calls them."""

    __slots__ = ("connection", "host", "keys", "longest", "match")

    def __init__(self, names: Names, keys: tuple[str, ...], limits: Limits) -> None:
        self.keys = keys
        self.host = keys.index("HTTP_HOST")
        self.connection = keys.index("HTTP_CONNECTION") if "HTTP_CONNECTION" in keys else -1
        self.longest = longest(limits)
        self.match = re.compile(pattern(names)).fullmatch

    @classmethod
    def of(cls, names: Names, known: dict[str, str], limits: Limits) -> "Shape | None":
        """None for names that must be looked at one by one: new ones, two with one key, too many."""
        keys = tuple(known.get(name.decode("latin-1"), "") for name in names)
        if "" in keys or len(set(keys)) < len(keys) or len(keys) > (limits.fields or 255):
            return None
        return cls(names, keys, limits) if "HTTP_HOST" in keys and FRAMING.isdisjoint(keys) else None

    def read(self, data: bytes) -> tuple[RequestLine, list[str]] | None:
        """The line, and the values in the order of `keys`; None if `data` isn't just such a head."""
        try:
            text, length = charmap_decode(data, "strict", TEXT_TABLE)
        except UnicodeDecodeError:
            return None
        found = self.match(text)
        if found is None or length > self.longest:
            return None
        method, target, *values = map(strip, found.groups())  # blanks and tabs: what else it takes off isn't here
        if values[self.host] not in HOSTS or (self.connection >= 0 and values[self.connection] != "keep-alive"):
            return None
        return request_line(method, target), values


class Shapes(Generic[AnyShape]):
    """Those that have come often in this process."""

    def __init__(self, make: Callable[[Names, Limits], AnyShape | None]) -> None:
        self.make = make
        self.made: dict[Key, AnyShape | None] = {}
        self.seen: dict[Key, int] = {}

    def find(self, block: bytes, limits: Limits) -> AnyShape | None:
        """The shape of a block that has passed, if it has come often."""
        if len(block) > LONGEST:
            return None
        key = limits, tuple(line.partition(b" ")[0] for line in block.split(b"\r\n"))
        if key in self.made:
            return self.made[key]
        times = self.seen.pop(key, 0) + 1
        if times < OFTEN:
            keep(self.seen, key, times)
            return None
        shape = self.make(key[1], limits)
        keep(self.made, key, shape)
        return shape


def keep(kept: dict[Key, Any], key: Key, value: Any) -> None:
    if len(kept) >= MOST:
        kept.clear()  # not the oldest one: that would be upkeep
    kept[key] = value
