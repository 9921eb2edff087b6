"""A request's fields as pairs of byte strings, read in one pass with their checks: what ASGI's scopes hold.

It knows only fields that say nothing of framing, trust or upgrades. A block with any other name, a name or a Host that
is new, or anything unusual about it, is read by Inbound, which knows them all; nothing is refused here.
"""

import re
from typing import Any, Final

from corral.http.head import (
    HTTP_1_1,
    LONGEST_BLOCK,
    LONGEST_HOST,
    MOST_HOSTS,
    PLAIN,
    Limits,
    RequestLine,
    read_fields,
)
from corral.http.inbound import NAMES, Inbound
from corral.http.shapes import TABLE, Names, Shapes, longest, pattern, request_line
from corral.http.syntax import FIELD_BYTES, LINE_ENDS

Pairs = list[tuple[bytes, bytes]]

ordinary: Final[dict[bytes, bytes]] = {}  # names as clients spell them, with their colons → in small letters, without
hosts: Final[set[bytes]] = set()  # those that have passed
KEEP_ALIVE: Final = b"keep-alive"
strip: Final = bytes.strip
# Keys that somebody decides by, beside Host and Connection.
HEEDED: Final = frozenset(
    (
        "CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING", "HTTP_EXPECT", "HTTP_UPGRADE", "HTTP_TE", "HTTP_X_FORWARDED_FOR",
    )
)  # fmt: skip


class PairShape:
    """Reads heads with these names, which are ordinary ones."""

    __slots__ = ("connection", "host", "longest", "match", "names")
    keys = ()

    def __init__(self, spelt: Names, names: Names, limits: Limits) -> None:
        self.names = names
        self.host = names.index(b"host")
        self.connection = names.index(b"connection") if b"connection" in names else -1
        self.longest = longest(limits)
        self.match = re.compile(pattern(spelt).encode("latin-1")).fullmatch

    @classmethod
    def of(cls, spelt: Names, limits: Limits) -> "PairShape | None":
        names = tuple(ordinary.get(name, b"") for name in spelt)
        if b"" in names or len(set(names)) < len(names) or b"host" not in names or len(names) > (limits.fields or 255):
            return None
        return cls(spelt, names, limits)

    def read(self, data: bytes) -> tuple[RequestLine, Pairs] | None:
        """None if `data` isn't just such a head, or says anything that isn't ordinary."""
        text = data.translate(TABLE)
        found = self.match(text)
        if found is None or b"\0" in text or len(data) > self.longest:
            return None
        method, target, *values = map(strip, found.groups())
        if values[self.host] not in hosts or (self.connection >= 0 and values[self.connection] != KEEP_ALIVE):
            return None
        line = request_line(method.decode("ascii"), target.decode("ascii"))
        return line, list(zip(self.names, values, strict=True))


PAIR_SHAPES: Final = Shapes(PairShape.of)
UNREAD: Final[dict[str, Any]] = {}
"""The `fields` of a request that has pairs, until somebody asks for them."""


class PairsInbound(Inbound):
    """`pairs` are the fields, and `fields` is UNREAD; or `pairs` is None, and `fields` has them.

    Making both of each request took 3 µs more of one whose eleven fields were all new.
    """

    __slots__ = ("pairs",)
    shapes = PAIR_SHAPES

    def read_block(self, block: bytes, line: RequestLine) -> None:
        # A connection's first block is Inbound's: two that begin alike are read once, and scopes learn from it.
        if self.read and line[4] is HTTP_1_1 and line[5] is None:
            pairs = read_pairs(block, self.limits)
            if pairs is not None:
                self.look_for_shape(block)
                self.read = block
                self.pairs: Pairs | None = pairs
                self.fields = UNREAD
                self.framing = PLAIN
                return
        self.pairs = None
        super().read_block(block, line)
        if len(ordinary) < NAMES.MOST:
            learn(block)
        host = self.fields.get("HTTP_HOST", "")
        if len(hosts) < MOST_HOSTS and len(host) < LONGEST_HOST:
            hosts.add(host.encode("latin-1"))

    def take_values(self, values: Any, line: RequestLine) -> None:
        self.pairs = values
        self.fields = UNREAD

    def read_unread(self, block: bytes) -> dict[str, Any]:
        """The fields of a block that has passed as pairs: there is nothing in it for the gateway to prepare."""
        fields = self.base | self.own
        read_fields(block, fields, NAMES, self.limits)
        fields["SERVER_PROTOCOL"] = HTTP_1_1
        return fields


def read_pairs(block: bytes, limits: Limits) -> Pairs | None:
    """None for a block with anything that isn't ordinary. 0.3 µs a field."""
    lines = block.split(b"\r\n")
    count = len(lines)
    _, most, size, _ = limits
    if count > (most or 255) or count > 255 or len(block) > (size or LONGEST_BLOCK):
        return None
    if block.translate(None, FIELD_BYTES) != LINE_ENDS[count - 1]:
        return None
    try:
        # strip() means blanks and tabs: the other characters that it takes off have been found above.
        pairs = [(ordinary[name], value.strip()) for line in lines for name, _, value in [line.partition(b" ")]]
    except KeyError:
        return None  # also an empty line, one without a colon, and a value right behind its colon
    found = dict(pairs)
    if len(found) != count or found.get(b"host") not in hosts or found.get(b"connection", KEEP_ALIVE) != KEEP_ALIVE:
        return None
    return pairs


def learn(block: bytes) -> None:
    """Remember the ordinary names of a block that has passed every check."""
    for line in block.split(b"\r\n"):
        name = line.partition(b":")[0]
        key = NAMES.get(name.decode("latin-1"), "_")
        if key[0] != "_" and key not in HEEDED and key not in NAMES.notable and len(name) <= NAMES.LONGEST:
            ordinary[name + b":"] = name.lower()
