"""Where the body of a request ends: by length, or by chunks (RFC 9112 §6, §7). It keeps no body.

A reader's `feed(data)` returns the pieces of body in `data`; `done` and `rest` say that the body has ended and which
bytes are already the next request's.
"""

from typing import Final, Protocol

from corral.errors import PeerError
from corral.http.syntax import CRLF, END_OF_HEAD, FIELD_BYTES, HEX, is_token, only_line_ends

LONGEST_SIZE_LINE: Final = 256  # digits and extensions; extensions carry nothing that anybody uses
MOST_EXTENSIONS: Final = 16384  # in all chunks of one body, so that padding can't cost more than the body
LONGEST_TRAILERS: Final = 8192
MOST_TRAILERS: Final = 100


class BodyReader(Protocol):
    done: bool
    rest: bytes

    def feed(self, data: bytes) -> list[bytes]: ...


class LengthReader:
    """A body of `length` bytes."""

    __slots__ = ("done", "left", "rest")

    def __init__(self, length: int) -> None:
        self.left = length
        self.done = length == 0
        self.rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        if len(data) < self.left:
            self.left -= len(data)
            return [data]
        piece, self.rest = data[: self.left], data[self.left :]
        self.left = 0
        self.done = True
        return [piece]


class ChunkedReader:
    """A chunked body. `limit` bounds the sum of its chunks, 0 is none.

    Trailers are checked and dropped (RFC 9110 §6.5.1).
    """

    __slots__ = ("at", "buffer", "done", "extensions", "left", "limit", "received", "rest", "step")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.received = 0
        self.extensions = 0
        self.left = 0  # of the chunk being read
        self.buffer = b""  # a line that hasn't ended yet
        self.at = 0  # how much of the buffer is read: cutting it at each chunk would be quadratic
        self.done = False
        self.rest = b""
        self.step = self.read_size  # which bytes come next is a function, not a flag

    def feed(self, data: bytes) -> list[bytes]:
        pieces: list[bytes] = []
        self.buffer += data
        while not self.done and self.step(pieces):
            pass
        self.buffer, self.at = self.buffer[self.at :], 0
        if self.done:
            self.rest, self.buffer = self.buffer, b""
        return pieces

    def read_size(self, pieces: list[bytes]) -> bool:
        """chunk-size [ chunk-ext ] CRLF"""
        buffer, at = self.buffer, self.at
        end = buffer.find(b"\n", at, at + LONGEST_SIZE_LINE)
        if end < 0:
            if len(buffer) - at >= LONGEST_SIZE_LINE:
                raise PeerError(400, "a chunk's size line is too long")
            check_size_prefix(buffer[at:])
            return False
        line, self.at = buffer[at:end], end + 1
        if line[-1:] != b"\r":  # RFC 9112 §7.1: a bare LF here is how two parsers come to disagree
            raise PeerError(400, "a chunk's size line doesn't end in CRLF")
        self.left = self.read_chunk_size(line[:-1])
        self.received += self.left
        if self.limit and self.received > self.limit:
            raise PeerError(413, f"the body is larger than {self.limit} bytes")
        self.step = self.read_data if self.left else self.read_trailers
        return True

    def read_chunk_size(self, line: bytes) -> int:
        size, semicolon, extension = line.partition(b";")
        if semicolon:
            # BWS before the semicolon is a sender's fault that recipients must bear (RFC 9112 §7.1.1).
            size = size.rstrip(b" \t")
            self.extensions += len(extension)
            if extension.translate(None, FIELD_BYTES) or self.extensions > MOST_EXTENSIONS:
                raise PeerError(400, "a chunk extension is malformed or too long")
            check_extension(extension)
        if not size or size.translate(None, HEX) or len(size) > 15:
            raise PeerError(400, "a chunk's size is not a hexadecimal number")
        return int(size, 16)

    def read_data(self, pieces: list[bytes]) -> bool:
        piece = self.buffer[self.at : self.at + self.left]
        if piece:
            pieces.append(piece)
            self.at += len(piece)
            self.left -= len(piece)
        if self.left:
            return False
        end = self.buffer[self.at : self.at + 2]
        if end != CRLF[: len(end)]:
            raise PeerError(400, "a chunk is longer than its size")
        if len(end) < 2:
            return False
        self.at += 2
        self.step = self.read_size
        return True

    def read_trailers(self, pieces: list[bytes]) -> bool:
        """trailer-section CRLF. They may not carry what frames or routes a message, and nobody asked for them."""
        buffer, at = self.buffer, self.at
        if buffer.startswith(CRLF, at):
            self.at += 2
            self.done = True
            return False
        end = buffer.find(END_OF_HEAD, at)
        if end < 0:
            check_unfinished_trailers(buffer[at:])
            return False
        check_trailers(buffer[at:end])
        self.at = end + 4
        self.done = True
        return False


def check_size_prefix(buffer: bytes) -> None:
    """Refuse at once what can't become a size line, rather than wait for its end."""
    digits = buffer.partition(b";")[0].rstrip(b"\r \t")
    if digits.translate(None, HEX) or len(digits) > 15:
        raise PeerError(400, "a chunk's size is not a hexadecimal number")


def check_extension(extension: bytes) -> None:
    """*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) (RFC 9112 §7.1.1), past the first semicolon."""
    text = extension.decode("latin-1")
    while True:
        text = text.lstrip(" \t")
        name_end = next((at for at, letter in enumerate(text) if letter in "=; \t"), len(text))
        if not is_token(text[:name_end]):
            raise PeerError(400, "a chunk extension's name is not a token")
        text = text[name_end:].lstrip(" \t")
        if text.startswith("="):
            text = skip_value(text[1:].lstrip(" \t")).lstrip(" \t")
        if not text:
            return
        if text[0] != ";":
            raise PeerError(400, "a chunk extension is malformed")
        text = text[1:]


def skip_value(text: str) -> str:
    """What follows a token or a quoted-string at the start of `text`."""
    if text.startswith('"'):
        at = 1
        while at < len(text) and text[at] != '"':
            at += 2 if text[at] == "\\" else 1
        if at >= len(text):
            raise PeerError(400, "a chunk extension's quotes don't close")
        return text[at + 1 :]
    end = next((at for at, letter in enumerate(text) if letter in "; \t"), len(text))
    if not is_token(text[:end]):
        raise PeerError(400, "a chunk extension's value is not a token")
    return text[end:]


def check_unfinished_trailers(block: bytes) -> None:
    if len(block) > LONGEST_TRAILERS + 3:  # but for the line ends behind them
        raise PeerError(431, "the trailers are too long")
    lines = block[:-1] if block.endswith(b"\r") else block
    if not only_line_ends(lines.translate(None, FIELD_BYTES), lines.count(CRLF)):
        raise PeerError(400, "a trailer has a control character, or a line doesn't end in CRLF")


def check_trailers(block: bytes) -> None:
    lines = block.decode("latin-1").split("\r\n")
    if len(block) > LONGEST_TRAILERS or len(lines) > MOST_TRAILERS:
        raise PeerError(431, "the trailers are too long or too many")
    if not only_line_ends(block.translate(None, FIELD_BYTES), len(lines) - 1):
        raise PeerError(400, "the trailers are malformed")
    for line in lines:
        name, colon, _ = line.partition(":")
        if not colon or not is_token(name):
            raise PeerError(400, "a trailer's name is not a token")
