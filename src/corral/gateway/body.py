"""wsgi.input for an application that takes the body as it comes (request_buffering = False), over any source of bytes.

It knows PEP 3333's four ways to read, at every size; where the bytes come from is `pull`, which returns b"" at the end.
"""

import sys
from collections.abc import Callable, Iterator


class StreamedInput:
    __slots__ = ("_ahead", "_at", "_pull")

    def __init__(self, pull: Callable[[], bytes]) -> None:
        self._pull = pull
        self._ahead = b""  # the last piece; what is read of it is not cut off, a piece may have thousands of lines
        self._at = 0

    def read(self, size: int | None = -1) -> bytes:
        at = self._at
        if size is None or size < 0:
            pieces = [self._ahead[at:], *iter(self._pull, b"")]
            self._ahead, self._at = b"", 0
            return b"".join(pieces)
        if size <= len(self._ahead) - at:
            self._at += size
            return self._ahead[at : at + size]
        pieces, missing = [self._ahead[at:]], size - len(self._ahead) + at
        self._ahead, self._at = b"", 0
        while missing > 0 and (piece := self._pull()):
            if len(piece) > missing:
                self._ahead, self._at = piece, missing
                piece = piece[:missing]
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def readline(self, size: int | None = -1) -> bytes:
        missing = sys.maxsize if size is None or size < 0 else size
        pieces: list[bytes] = []
        while missing:
            ahead, at = self._ahead, self._at
            end = ahead.find(b"\n", at, at + missing) + 1
            piece = ahead[at : end or at + missing]
            self._at += len(piece)
            missing -= len(piece)
            if end and not pieces:
                return piece
            pieces.append(piece)
            if end or not missing:
                break
            self._ahead, self._at = self._pull(), 0
            if not self._ahead:
                break
        return b"".join(pieces)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        lines, length = [], 0
        for line in self:
            lines.append(line)
            length += len(line)
            if hint is not None and 0 < hint <= length:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line
