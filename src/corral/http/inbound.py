"""The request side of one HTTP/1.1 connection, sans-IO: `receive` takes bytes and says when a request is whole.

It knows heads, bodies and pipelining; it must not know sockets, clocks, applications, or where large bodies are kept.
"""

import enum
from collections.abc import Callable
from typing import Any, Final

from corral.errors import PeerError
from corral.http.framing import BodyReader, ChunkedReader, LengthReader
from corral.http.head import (
    CHUNKED,
    HTTP_1_1,
    LONGEST_LINE,
    PLAIN,
    FieldNames,
    Framing,
    Limits,
    RequestLine,
    read_fields,
    read_framing,
    read_request_line,
)
from corral.http.shapes import AROUND, Shape, Shapes
from corral.http.syntax import CRLF, END_OF_HEAD, FIELD_BYTES, only_line_ends

# Clients repeat themselves. A connection remembers the block of fields it sent last, if it isn't large, so that the
# gateway need not read it again; several requests in a row with the same block cost one comparison each.
LONGEST_REMEMBERED: Final = 2048
MOST_LINES: Final = 1024
LONGEST_LINE_KEPT: Final = 256
MOST_PIECES: Final = 256  # of a body that comes in drops: more are joined, an object costs 40 bytes
_lines: dict[bytes, RequestLine] = {}
# A line is kept the second time it comes: paths with an id in them never come again, and keeping them costs 0.5 µs.
SEEN_MASK: Final = 4095
_seen = [0] * (SEEN_MASK + 1)
ROOM: Final = 65536
NAMES: Final = FieldNames()
SHAPES: Final = Shapes(lambda names, limits: Shape.of(names, NAMES.marked, limits))
LOOK_MASK: Final = 15  # one block in sixteen that doesn't fit the last shape is asked which it has


class LastBlock:
    """Clients that open a connection for each request, such as health checks, repeat themselves as well: the block of
    fields with which two connections of this process have begun."""

    def __init__(self) -> None:
        self.block = b""
        self.version = ""
        self.fields: dict[str, Any] = {}
        self.framing: Framing = PLAIN
        self.once = b""

    def notice(self, block: bytes, version: str, framing: Framing, limits: Limits) -> None:
        """Remember a block the second time: most come once, and the second look at one costs as much as the first."""
        if block == self.once and len(block) <= LONGEST_REMEMBERED and block:
            fields: dict[str, Any] = {}
            read_fields(block, fields, NAMES, limits)
            fields["SERVER_PROTOCOL"] = version
            self.block, self.version, self.fields, self.framing = block, version, fields, framing
        self.once = block


_last = LastBlock()


class Phase(enum.Enum):
    """What the next bytes are."""

    HEAD = "a head, or nothing yet"
    BODY = "a body"
    LOST = "the rest of a body that nobody has read"


# Bound once: looking a member up costs 0.05 µs.
HEAD: Final = Phase.HEAD
BODY: Final = Phase.BODY
LOST: Final = Phase.LOST


class Inbound:
    """Read off it after `receive` has returned True: `line`, `fields`, `framing`, and `body` or `pieces`.

    `fields` starts as a copy of `base`, the keys which all requests of the connection share. While a client repeats its
    block of fields, `repeated` is true and `fields` is the dict of the first time: copy before you change it.
    """

    __slots__ = (
        "base", "block", "body", "buffer", "fields", "framing", "ground", "limits", "line", "line_bytes", "own",
        "phase", "pieces", "prepare", "read", "reader", "received", "repeated", "room", "shape", "stream", "unlike",
        "version", "whole",
    )  # fmt: skip
    shapes: Shapes[Any] | None = SHAPES
    pairs: list[tuple[bytes, bytes]] | None = None  # the fields as http.pairs reads them, which nobody else does

    def __init__(
        self,
        base: dict[str, Any],
        limits: Limits,
        prepare: Callable[[dict[str, Any]], None],
        stream: bool = False,
        own: dict[str, Any] | None = None,
    ) -> None:
        self.base = base
        self.own = own or {}  # what else this connection adds to `base`
        # The gateway's work on fields that have just been read, done once for repeated ones, and only once NAMES has
        # noticed anything that it is about.
        self.prepare = prepare
        self.limits = limits
        self.stream = stream  # whole means: the head is; the body is fed to `reader` by whoever wants it
        self.phase = HEAD
        self.buffer: bytes | bytearray = b""
        self.block = b""
        self.read = b""  # the block that `fields` was read from, for gateways that pass fields on as they came
        self.repeated = False
        self.room = ROOM  # bytes to read next
        self.shape: Any = None  # of blocks of which only the values are new
        self.ground: dict[str, Any] = {}  # what fields of that shape start as
        self.unlike = 0  # blocks without it
        self.whole: bytes | None = None  # the last request, if it is one of those that come again and again
        self.version = ""
        self.body: bytes | None = None  # one that came whole with its head, as nearly every form and document does
        self.pieces: list[bytes] = []  # one that came otherwise
        self.received = 0
        self.reader: BodyReader | None = None
        self.line_bytes = b""
        self.line: RequestLine
        self.fields: dict[str, Any]
        self.framing: Framing = PLAIN

    def receive(self, data: bytes) -> bool:
        """Take `data`; True once a request is whole. Raises PeerError; the connection is of no further use then."""
        if self.phase is not HEAD:
            return self.receive_body(data)
        if self.buffer:
            return self.receive_more_head(data)
        if data == self.whole:
            return True  # health checks, polling: all that is to be read off has been read
        shape = self.shape
        if shape is not None and not self.repeated:
            found = shape.read(data)
            if found is not None and self.read_alike(data, *found):
                return True
        if data.endswith(END_OF_HEAD):
            # A client that repeats its fields is recognised without a search: 0.5 µs.
            first, _, block = data[:-4].partition(b"\r\n")
            line = _lines.get(first)
            if block == self.block and line is not None and line[4] is self.version and self.repeated:
                self.line = line
                self.line_bytes = first
                if self.framing is PLAIN:
                    self.whole = data
                    return True
                return self.begin(b"")
            if first and data.find(END_OF_HEAD) == len(data) - 4:
                return self.read_head(first, block, b"")
        end = data.find(END_OF_HEAD)
        if end < 0 or data[0] == 13:
            return self.receive_more_head(data)
        first, _, block = data[:end].partition(b"\r\n")
        rest = data[end + 4 :]
        if len(rest) == self.framing[0] and self.repeated and block == self.block and not self.stream:
            line = _lines.get(first)
            if line is not None and line[4] is self.version:
                self.line = line
                self.line_bytes = first
                self.body = rest
                self.whole = None
                return True
        return self.read_head(first, block, rest)

    def read_alike(self, data: bytes, line: RequestLine, values: Any) -> bool:
        """A whole head that `shape` has read. False if it isn't new, and to be recognised from now on."""
        end = len(line[0]) + len(line[1]) + AROUND
        block = data[end + 2 : -4]
        if block == self.block:
            return False
        self.whole = None
        self.line = line
        self.line_bytes = data[:end]
        self.read = block
        if len(block) <= LONGEST_REMEMBERED:
            self.block = block
            self.version = HTTP_1_1
        self.framing = PLAIN
        self.take_values(values, line)
        return True

    def take_values(self, values: list[str], line: RequestLine) -> None:
        self.fields = fields = self.ground.copy()
        for key, value in zip(self.shape.keys, values, strict=True):
            fields[key] = value
        if NAMES.noticed:
            try:
                self.prepare(fields)
            except PeerError as error:
                error.line = line
                raise

    def read_head(self, first: bytes, block: bytes, rest: bytes) -> bool:
        """A whole head: its first line, the block of its fields, and what stands behind it. 2 to 4 µs."""
        self.whole = None
        line = _lines.get(first)
        if line is None:
            line = self.new_line(first)
        self.line = line
        self.line_bytes = first
        version = line[4]
        if block != self.block or version is not self.version or line[5] is not None:
            self.repeated = False
            self.read_block(block, line)
            if len(block) <= LONGEST_REMEMBERED and line[5] is None:
                self.block = block
                self.version = version
        elif not self.repeated:
            # The second time: from now on the gateway's work on the fields is kept as well.
            self.repeated = True
            self.read_block(block, line)
        self.room = room_for(len(first) + len(block) + len(rest))
        return True if self.framing is PLAIN and not rest else self.begin(rest)

    def begin(self, rest: bytes) -> bool:
        """A head has been read, `rest` stands behind it."""
        if self.framing.length == 0:
            self.buffer = rest
            return True
        return self.begin_body(self.framing, rest)

    def new_line(self, first: bytes) -> RequestLine:
        limit = self.limits.line or LONGEST_LINE
        if len(first) > limit:
            raise PeerError(414, f"a request line of more than {limit} bytes")
        line = read_request_line(first)
        if len(first) <= LONGEST_LINE_KEPT and line[5] is None:  # an authority must be put in place of Host each time
            mark = hash(first)
            if _seen[mark & SEEN_MASK] == mark:
                if len(_lines) >= MOST_LINES:
                    _lines.clear()  # not an LRU list: a flood of junk costs the others one miss each, no upkeep
                _lines[first] = line
            else:
                _seen[mark & SEEN_MASK] = mark
        return line

    def read_block(self, block: bytes, line: RequestLine) -> None:
        self.read = block
        self.fields = fields = self.base.copy()
        fields.update(self.own)
        first = not self.block
        try:
            if first and block == _last.block and line[4] is _last.version and line[5] is None:
                fields.update(_last.fields)
                self.framing = _last.framing
            else:
                if block:
                    read_fields(block, fields, NAMES, self.limits)
                    self.look_for_shape(block)
                fields["SERVER_PROTOCOL"] = line[4]
                self.framing = read_framing(fields, line, self.limits)
                if line[5] is not None:
                    fields["HTTP_HOST"] = line[5]
                elif first:
                    _last.notice(block, line[4], self.framing, self.limits)
            if NAMES.noticed:
                self.prepare(fields)
        except PeerError as error:
            error.line = line
            raise

    def look_for_shape(self, block: bytes) -> None:
        """Of the second block that is new, and of each sixteenth from there on."""
        self.unlike = unlike = (self.unlike + 1) & LOOK_MASK
        if unlike == 2 and self.shapes is not None:
            self.shape = shape = self.shapes.find(block, self.limits)
            if shape is not None:
                # With all keys, so that a copy needs no more room.
                self.ground = dict.fromkeys((*self.base, *self.own, *shape.keys, "SERVER_PROTOCOL"), HTTP_1_1)
                self.ground.update(self.base)
                self.ground.update(self.own)

    def receive_more_head(self, data: bytes) -> bool:
        """A head that comes in pieces. Refuse as early as can be told: a client may never end its head."""
        self.room = ROOM
        buffer = self.buffer
        if not isinstance(buffer, bytearray):
            self.buffer = buffer = bytearray(buffer)
        checked = len(buffer)
        buffer += data
        # RFC 9112 §2.2: one empty line before a request is ignored; some clients send it behind a body. It stays in the
        # buffer until the head is whole, so that there can't be a second one.
        start = 2 if buffer.startswith(CRLF) else 0
        if buffer.startswith((CRLF, b"\n"), start):
            raise PeerError(400, "empty lines where a request should stand")
        end = buffer.find(END_OF_HEAD, max(start, checked - 3))
        if end >= 0:
            first, _, block = bytes(buffer[start:end]).partition(CRLF)
            rest = bytes(buffer[end + 4 :])
            self.buffer = b""
            return self.read_head(first, block, rest)
        self.check_unfinished(buffer, start, checked)
        return False

    def check_unfinished(self, buffer: bytearray, start: int, checked: int) -> None:
        """Refuse what would be refused whole. Bytes are looked at once: those before `checked` have passed."""
        line_end = buffer.find(CRLF, start)
        limit = self.limits.line or LONGEST_LINE
        if (len(buffer) - 1 if line_end < 0 else line_end) - start > limit:
            raise PeerError(414, f"a request line of more than {limit} bytes")
        if line_end >= 0 and len(buffer) - line_end - 5 > self.limits.block:  # but for the line ends around it
            error = PeerError(431, f"fields of more than {self.limits.block} bytes together")
            error.line = self.new_line(bytes(buffer[start:line_end]))
            raise error
        if checked and buffer[checked - 1] == 13:  # a CR that waited for its LF
            checked -= 1
        fresh = bytes(buffer[checked : -1 if buffer.endswith(b"\r") else None])
        if not only_line_ends(fresh.translate(None, FIELD_BYTES), fresh.count(CRLF)):
            raise PeerError(400, "a control character in the head, or a line that doesn't end in CRLF")

    def begin_body(self, framing: Framing, rest: bytes) -> bool:
        length = framing.length
        if length != CHUNKED and len(rest) >= length and not self.stream:
            self.body = rest[:length]
            self.buffer = rest[length:]
            return True
        self.room = ROOM
        self.reader = ChunkedReader(self.limits.body) if length == CHUNKED else LengthReader(length)
        self.buffer = b""
        if self.stream:
            if rest:
                self.feed(rest)
            return True
        self.phase = BODY
        return self.receive_body(rest) if rest else False

    def receive_body(self, data: bytes) -> bool:
        if self.phase is LOST:
            raise PeerError(400, "the body of the last request was not read to its end")
        if not self.feed(data):
            return False
        self.phase = HEAD
        return True

    def feed(self, data: bytes) -> bool:
        """Give `data` to the body's reader; its pieces stand in `pieces`. True at the end of the body."""
        reader = self.reader
        assert reader is not None, "no body is being read"
        pieces = reader.feed(data)
        if pieces:
            piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self.received += len(piece)
            self.pieces.append(piece)
            if len(self.pieces) > MOST_PIECES:
                self.pieces = [b"".join(self.pieces)]
        if not reader.done:
            return False
        self.buffer = reader.rest
        self.reader = None
        return True

    def take(self) -> bytes:
        """What of the body has come since the last call."""
        whole, self.body = self.body, None
        if whole is not None:
            return whole
        body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces = []
        return body

    def next(self) -> bool:
        """Go on to the request behind the one that was answered, if its bytes are here already. True if it is whole."""
        self.forget_body()
        if not self.buffer:
            return False
        data, self.buffer = bytes(self.buffer), b""
        room = self.room
        whole = self.receive(data)
        self.room = max(room, self.room)  # what came together may do so again
        return whole

    def forget_body(self) -> None:
        """The request with a body is answered. What of it nobody has read must never pass for a request."""
        self.phase = HEAD if self.reader is None else LOST
        self.reader = None
        self.body = None
        if self.received:
            self.received = 0
            self.pieces = []

    @property
    def between(self) -> bool:
        """No request is whole, and none that has a body has begun: another reader could go on from here."""
        return self.phase is HEAD

    @property
    def idle(self) -> bool:
        """Nothing of a request has come; an empty line is nothing."""
        return self.phase is HEAD and (not self.buffer or self.buffer == CRLF)


def room_for(length: int) -> int:
    """How much to read at once from a client whose last request had so many bytes, line ends not counted.

    Room for more than comes is made and given back each time: CPython has up to 512 bytes in stock, libc up to 1024,
    and anything more costs 0.3 µs.
    """
    return 448 if length < 400 else 960 if length < 900 else ROOM


def is_kept(line: bytes) -> bool:
    """Whether a request line is one of those that come again and again."""
    return line in _lines
