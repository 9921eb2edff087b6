"""wsgi.input for an application that takes the body as it comes (request_buffering = False), over any source of bytes.

It knows PEP 3333's four ways to read, at every size; where the bytes come from is `pull`, which returns b"" at the end.
"""

from collections.abc import Callable, Iterator


class StreamedInput:
    __slots__ = ("_ahead", "_pull")

    def __init__(self, pull: Callable[[], bytes]) -> None:
        self._pull = pull
        self._ahead = b""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            pieces = [self._ahead]
            while piece := self._pull():
                pieces.append(piece)
            self._ahead = b""
            return b"".join(pieces)
        pieces, length = [self._ahead], len(self._ahead)
        while length < size:
            piece = self._pull()
            if not piece:
                break
            pieces.append(piece)
            length += len(piece)
        data = b"".join(pieces)
        self._ahead = data[size:]
        return data[:size]

    def readline(self, size: int | None = -1) -> bytes:
        most = -1 if size is None or size < 0 else size
        data, searched = self._ahead, 0
        while True:
            end = data.find(b"\n", searched) + 1
            if 0 <= most < (end or len(data) + 1):
                end = most
            if end or most == 0:
                break
            searched = len(data)
            piece = self._pull()
            if not piece:
                end = len(data)
                break
            data += piece
        self._ahead = data[end:]
        return data[:end]

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
