"""WebSocket (RFC 6455) as ASGI's messages, on the sans-I/O protocol of the `websockets` library. Pure.

It knows frames only where that saves time: whole short ones that nobody has compressed. All else, and every rule, is
the library's. It must not know sockets, loops and clocks.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from websockets.datastructures import Headers
from websockets.exceptions import ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import CLOSED, OPEN
from websockets.server import ServerProtocol

from corral.errors import AppError, PeerError
from corral.gateway.asgi import Fields, Message
from corral.http.head import RequestLine

try:
    from websockets.speedups import apply_mask  # in C, an eighth of what the other takes
except ImportError:
    from websockets.utils import apply_mask

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
NO_CODE: Final = 1005
ABNORMAL: Final = 1006
INTERNAL: Final = 1011
NO_LIMIT: Final = 1 << 62
SHORT: Final = 125  # bytes: the length stands in the frame's second byte
# Shorter messages hardly become shorter still, and deflate takes 10 µs to say so.
WORTH_DEFLATING: Final = 256
TEXT: Final = 0x81  # whole: FIN is set
BINARY: Final = 0x82


class Quiet:
    """The library's logger. What happens to a client the access log tells; what it does wrong, its close code."""

    def isEnabledFor(self, level: int) -> bool:
        return False

    def debug(self, *_: Any, **__: Any) -> None:
        pass

    info = warning = error = exception = debug


QUIET: Final = Quiet()


class Sparing(PerMessageDeflate):
    """permessage-deflate for messages that are worth it. RFC 7692 §6 lets a sender choose for each."""

    def encode(self, frame: Frame) -> Frame:
        if frame.fin and len(frame.data) < WORTH_DEFLATING:
            return frame
        return super().encode(frame)


class SparingFactory(ServerPerMessageDeflateFactory):
    def process_request_params(self, *arguments: Any) -> tuple[Any, PerMessageDeflate]:
        params, extension = super().process_request_params(*arguments)
        extension.__class__ = Sparing
        return params, extension


# No context is kept from message to message: a compressor and a decompressor hold 32 and 11 KiB even of a client that
# says nothing, and of 10,000 clients most say nothing at any time. Made for each message they cost 8 µs.
EXTENSIONS: Final = [
    SparingFactory(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=12,
        client_max_window_bits=12,
        compress_settings={"memLevel": 5},
    )
]


class WebSocket:
    """One connection's protocol: bytes to messages, messages to bytes. `outgoing` is to be sent after each call."""

    __slots__ = ("clean", "close_code", "close_reason", "handshake", "kind", "most", "outgoing", "pieces", "protocol")

    def __init__(self, line: RequestLine, headers: Fields, max_size: int) -> None:
        """Raises PeerError for a handshake that isn't one."""
        if line[0] != "GET":
            raise PeerError(405, "a WebSocket begins with GET")
        self.protocol = ServerProtocol(
            state=OPEN,
            extensions=EXTENSIONS,
            max_size=max_size or None,
            logger=QUIET,  # type: ignore[arg-type]
        )
        offered = Headers()
        for name, value in headers:
            if name[:4] == b"sec-" or name in (b"connection", b"upgrade"):
                offered[name.decode("latin-1")] = value.decode("latin-1")
        response = self.protocol.accept(Request(line[1], offered))
        if response.status_code != 101:
            raise PeerError(response.status_code, bytes(response.body or b"").decode().strip())
        self.handshake = [
            (name.encode(), value.encode()) for name, value in response.headers.raw_items() if name.startswith("Sec-")
        ]
        self.most = max_size or NO_LIMIT
        self.clean = True  # the library is between two messages
        self.kind = TEXT
        self.pieces: list[bytes] | None = None  # of a message in fragments
        self.outgoing: list[bytes] = []
        self.close_code = 0  # 0: it is open
        self.close_reason = ""

    @property
    def open(self) -> bool:
        return not self.close_code and self.protocol.state is OPEN

    @property
    def over(self) -> bool:
        """Both sides have said that they say no more, or one has broken the rules: the connection may be closed."""
        return self.protocol.eof_sent or self.protocol.state is CLOSED

    @property
    def answered(self) -> bool:
        """The client has said that it says no more."""
        return self.protocol.close_rcvd is not None

    # -- in

    def receive(self, data: bytes) -> list[Message]:
        """The messages in `data`. Look at `close_code` afterwards."""
        messages: list[Message] = []
        if self.clean and not self.close_code:
            data = read_whole(data, messages, self.most)
            if not data:
                return messages
        protocol = self.protocol
        protocol.receive_data(data)
        self.outgoing += protocol.data_to_send()
        for frame in protocol.events_received():
            if isinstance(frame, Frame):
                if frame.opcode is not Opcode.PING and frame.opcode is not Opcode.PONG:
                    self.take_frame(frame, messages)
                frame.data = b""  # the library's parser holds its last frame until there is another
        if protocol.close_sent is not None and protocol.close_rcvd is None and not self.close_code:
            self.close_code, self.close_reason = protocol.close_sent.code, protocol.close_sent.reason
        self.clean = self.pieces is None and not protocol.reader.buffer and is_between(protocol.parser)
        return messages

    def take_frame(self, frame: Frame, messages: list[Message]) -> None:
        if frame.opcode is Opcode.CLOSE:
            received = self.protocol.close_rcvd
            if not self.close_code and received is not None:
                self.close_code, self.close_reason = received.code, received.reason
            return
        if frame.opcode is not Opcode.CONT:
            self.kind = TEXT if frame.opcode is Opcode.TEXT else BINARY
            self.pieces = []
        if self.pieces is None or self.close_code:
            return
        self.pieces.append(bytes(frame.data))
        if not frame.fin:
            return
        data, self.pieces = b"".join(self.pieces), None
        if self.kind == BINARY:
            messages.append({"type": "websocket.receive", "bytes": data})
            return
        try:
            messages.append({"type": "websocket.receive", "text": data.decode()})
        except UnicodeDecodeError as error:
            self.fail(1007, f"{error.reason} at position {error.start}")

    def fail(self, code: int, reason: str = "") -> None:
        if self.protocol.state is OPEN:
            self.protocol.fail(code, reason)
            self.outgoing += self.protocol.data_to_send()
        self.close_code, self.close_reason = self.close_code or code, reason

    def lost(self) -> None:
        """The client has left without a word."""
        self.close_code = self.close_code or ABNORMAL

    # -- out

    def send(self, message: Message) -> int:
        """Take a websocket.send; the number of its bytes. Raises AppError."""
        data = message.get("bytes")
        if data is not None:
            first, data = BINARY, data if type(data) is bytes else bytes(data)
        else:
            text = message.get("text")
            if not isinstance(text, str):
                raise AppError("websocket.send needs either bytes or a str as text")
            first, data = TEXT, text.encode()
        length = len(data)
        if length <= SHORT:
            self.outgoing.append(bytes((first, length)) + data)
        elif length < WORTH_DEFLATING or (not self.protocol.extensions and length < 65536):
            self.outgoing.append(bytes((first, 126, length >> 8, length & 255)) + data)
        else:
            (self.protocol.send_text if first == TEXT else self.protocol.send_binary)(data)
            self.outgoing += self.protocol.data_to_send()
        return length

    def close(self, code: int, reason: str = "") -> None:
        """Say goodbye; the client has to answer. Raises AppError for a code that may not be sent."""
        if not self.open:
            return
        try:
            self.protocol.send_close(code, reason)
        except ProtocolError as error:
            raise AppError(f"a WebSocket can't be closed with {code} and {reason!r}: {error}") from None
        self.outgoing += self.protocol.data_to_send()
        self.close_code, self.close_reason = code, reason

    def ping(self) -> None:
        if self.open:
            self.protocol.send_ping(b"")
            self.outgoing += self.protocol.data_to_send()

    def take(self) -> bytes:
        """What is to be sent. The library's marks that nothing follows are empty, and `over` says as much."""
        outgoing, self.outgoing = self.outgoing, []
        return outgoing[0] if len(outgoing) == 1 else b"".join(outgoing)


def read_whole(data: bytes, messages: list[Message], most: int) -> bytes:
    """Whole messages of one frame at the start of `data`, 1 µs each where the library takes 6; the rest is for it."""
    at, end = 0, len(data)
    while end - at >= 6:
        first, size, start = data[at], data[at + 1] - 0x80, at + 2  # below 0: it isn't masked, which is an error
        if first != TEXT and first != BINARY:
            break
        if size > SHORT:
            if size != 126:
                break
            size, start = data[at + 2] << 8 | data[at + 3], at + 4
        stop = start + 4 + size
        if size < 0 or stop > end or size > most:
            break
        payload = apply_mask(data[start + 4 : stop], data[start : start + 4])
        if first == TEXT:
            try:
                messages.append({"type": "websocket.receive", "text": payload.decode()})
            except UnicodeDecodeError:
                break
        else:
            messages.append({"type": "websocket.receive", "bytes": payload})
        at = stop
    return data[at:] if at else data


def is_between(parser: Any) -> bool:
    """Whether the library's parser waits for the first byte of a frame."""
    while parser is not None:
        if getattr(parser, "__name__", "") == "at_eof":
            return True
        parser = parser.gi_yieldfrom
    return False


def subprotocols(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    return [
        name.strip()
        for key, value in headers
        if key == b"sec-websocket-protocol"
        for name in value.decode("latin-1").split(",")
        if name.strip()
    ]


def answer_headers(socket: WebSocket, message: Message, offered: Sequence[str]) -> list[tuple[bytes, bytes]]:
    """The fields of the 101, for a websocket.accept. Raises AppError."""
    headers: list[tuple[bytes, bytes]] = list(socket.handshake)
    subprotocol = message.get("subprotocol")
    if subprotocol is not None:
        if subprotocol not in offered:
            raise AppError(f"the client hasn't offered the subprotocol {subprotocol!r}, but {list(offered)!r}")
        headers.append((b"Sec-WebSocket-Protocol", subprotocol.encode("latin-1")))
    for name, value in message.get("headers", ()):
        if bytes(name).lower() in (b"sec-websocket-protocol", b"sec-websocket-accept", b"sec-websocket-extensions"):
            raise AppError(f"{name!r} is the server's affair; a subprotocol is named in websocket.accept")
        headers.append((name, value))
    return headers
