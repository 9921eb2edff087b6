"""One request's answer while it is made: what the application said, how it is framed, how much of it is gone.

It knows start_response (PEP 3333) and how responses are framed (RFC 9112 §6); bytes leave through `transmit`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from corral.errors import AppError
from corral.http.head import HTTP_1_1
from corral.http.response import CLOSE, Header, Heads, without_length

# A body up to this many bytes is joined with its head, a larger one goes beside it: copying 16 KiB costs 0.4 µs,
# about what a second buffer costs the kernel.
JOINED = 16384


class Transmit(Protocol):
    """Send bytes, soon and in order. `last`: the connection will be closed right after them."""

    def __call__(self, data: bytes | memoryview, last: bool = False) -> None: ...


def over(data: bytes | memoryview, last: bool = False) -> NoReturn:
    raise AppError("the request that this belongs to is over")


class Exchange:
    """One request's at a time: `renew` makes it the next one's. Not while an application holds any of it, such as its
    start_response, or what it says late would be read as somebody else's response: see Connection.serve."""

    __slots__ = (
        "chunked", "head_only", "head_sent", "headers", "heads", "keep_alive", "left", "sent", "status", "surplus",
        "transmit", "version",
    )  # fmt: skip

    def __init__(self, heads: Heads, method: str, version: str, keep_alive: bool, transmit: Transmit) -> None:
        self.heads = heads
        self.renew(method, version, keep_alive, transmit)

    def renew(self, method: str, version: str, keep_alive: bool, transmit: Transmit) -> None:
        self.status = ""  # "" until start_response is called
        self.headers: Sequence[Header] = ()
        self.head_sent = False
        self.head_only = method == "HEAD"
        self.chunked = False
        self.keep_alive = keep_alive
        self.left: int | None = None  # bytes of body that Content-Length still promises; None: it doesn't say
        self.sent = 0  # bytes of body, as the access log counts them
        self.surplus = False
        self.version = version
        self.transmit: Transmit = transmit  # `over` once the request is

    def start_response(self, status: str, headers: Sequence[Header], exc_info: Any = None) -> Callable[[bytes], None]:
        """PEP 3333. Nothing is sent yet: an application may still replace its answer, with exc_info."""
        if exc_info is not None:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no cycle through the traceback's frame
        elif self.status:
            raise AppError("start_response was called a second time, without exc_info")
        if not isinstance(status, str):
            raise AppError(f"the status must be str, not {type(status).__name__}")
        self.status = status
        self.headers = headers
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's imperative way: what start_response returns."""
        self.send(data)

    def early_hints(self, headers: Sequence[Header]) -> None:
        """environ["wsgi.early_hints"]: a 103 (RFC 8297) before the response; not to HTTP/1.0, which has no 1xx."""
        if self.head_sent or self.version is not HTTP_1_1:
            return
        hints = without_length(self.heads.write("103 Early Hints", headers)[1:])
        self.transmit(b"".join([b"HTTP/1.1 103 Early Hints\r\n", *hints, b"\r\n"]))

    def send_whole(self, body: bytes, *, last: bool = False) -> None:
        """The head and the only piece of body, in one go. The way of nearly every response: 0.5 to 1.2 µs.

        `last` says that the application has nothing more to do for this request, so that a connection which ends with
        it may be closed in the same packet.
        """
        heads = self.heads
        transmit = self.transmit  # not self.transmit(...): see Connection.ready
        if (
            self.status == heads.same_status
            and self.headers == heads.same_headers
            and len(body) == heads.same_length
            and self.version is HTTP_1_1
            and not self.head_only
        ):
            self.head_sent = True
            self.left = 0
            self.sent = len(body)
            if self.keep_alive:
                transmit(heads.same_head + body)
            else:
                transmit(heads.same_last_head + body, last)
            return
        head = self.head(len(body))
        if self.head_only or self.left == 0:
            if body and not self.head_only:
                self.surplus = True
            transmit(head)
            return
        if len(body) != self.left:
            transmit(head)
            self.send(body)
            self.check_promise()
            return
        self.sent = len(body)
        self.left = 0
        if len(body) <= JOINED:
            transmit(head + body, last and not self.keep_alive)
        else:
            transmit(head)
            transmit(body)

    def send(self, data: bytes) -> None:
        """One piece of body of several; an empty one sends nothing, not even the head (PEP 3333)."""
        if not isinstance(data, bytes):
            raise AppError(f"a piece of body must be bytes, not {type(data).__name__}")
        if not data:
            return
        head = b"" if self.head_sent else self.head(None)
        if self.head_only:
            data = b""
        elif self.left is not None:
            if len(data) > self.left:
                # RFC 9112 §6.3: what goes beyond Content-Length would be read as the next response.
                self.surplus = True
                data = data[: self.left]
            self.left -= len(data)
        self.sent += len(data)
        if self.chunked and data:
            self.transmit(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        elif len(data) > JOINED:
            if head:
                self.transmit(head)
            self.transmit(data)
        elif head or data:
            self.transmit(head + data)

    def head(self, whole: int | None) -> bytes:
        """The head; `whole` is the length of the body if it is known though the application didn't say it."""
        if not self.status:
            raise AppError("the application returned a body without calling start_response")
        heads = self.heads
        lines = heads.write(self.status, self.headers)
        length = heads.length
        if heads.bodiless:
            self.frame_bodiless(lines, length)
        elif length is not None:
            self.left = length
        elif self.head_only:
            pass  # an application that cuts HEAD's body doesn't know its length, and RFC 9110 §9.3.2 allows to omit it
        elif whole is not None:  # PEP 3333 allows it when the iterable has one piece
            self.left = whole
            lines.append(b"Content-Length: %d\r\n" % whole)
        elif self.version is HTTP_1_1:
            self.chunked = True
            lines.append(b"Transfer-Encoding: chunked\r\n")
        else:
            self.keep_alive = False  # RFC 9112 §6.3: the end of the connection is the end of the body
        self.head_sent = True
        if heads.upgrade and self.status.startswith("101"):
            lines.append(b"Connection: upgrade\r\nUpgrade: %b\r\n\r\n" % heads.upgrade.encode("latin-1"))
            self.keep_alive = False
        elif heads.close or not self.keep_alive:
            if not heads.close and length is not None and length <= JOINED and not self.head_only:
                heads.remember(self.status, self.headers, lines)
            self.keep_alive = False
            lines.append(CLOSE)
        elif self.version is HTTP_1_1:
            if length is not None and length <= JOINED and not self.head_only:
                heads.remember(self.status, self.headers, lines)
            lines.append(b"\r\n")
        else:
            lines.append(b"Connection: keep-alive\r\n\r\n")
        return b"".join(lines)

    def frame_bodiless(self, lines: list[bytes], length: int | None) -> None:
        """RFC 9110 §8.6: no Content-Length in 1xx and 204; in 304 it speaks of the 200 that was not sent."""
        if self.status[0] == "1" and not (self.status.startswith("101") and self.heads.upgrade):
            # RFC 9110 §15.2: the client would go on waiting; §15.2.2: a switch names its protocol.
            raise AppError(f"{self.status!r} is no final status")
        self.head_only = True
        if length is not None and not self.status.startswith("304"):
            lines[:] = without_length(lines)

    def finish(self) -> None:
        """After the last piece: send what ends the body, and see whether it kept its promise."""
        if not self.head_sent:
            self.send_whole(b"")
        elif self.chunked:
            self.transmit(b"0\r\n\r\n")
        self.check_promise()

    def check_promise(self) -> None:
        if self.left and not self.head_only:
            self.keep_alive = False  # the client would wait for the rest, and take the next response for it
