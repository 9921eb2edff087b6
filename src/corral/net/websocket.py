"""A connection that has become a WebSocket: the handler of its descriptor, and the application's two calls.

It adds to Talk what RFC 6455 adds to HTTP: a handshake that the application answers, messages both ways, pings, and an
end on which both sides agree. Frames are gateway.websocket's affair.
"""

from typing import Any, Final

from corral.errors import AppError, PeerError
from corral.gateway.asgi import OVER, START, Conversation, Message, Scope
from corral.gateway.websocket import ABNORMAL, GOING_AWAY, INTERNAL, NO_CODE, NORMAL, WebSocket, answer_headers
from corral.gateway.websocket import subprotocols as subprotocols_of
from corral.net.aio import AsyncConnection
from corral.net.connection import PeerGone
from corral.net.reactor import NEVER, READ, SECOND, monotonic
from corral.net.talk import AHEAD, Talk, is_departure

FAREWELL: Final = 5 * SECOND  # for the client to answer a close
SWITCHING: Final = "101 Switching Protocols"
DENIAL: Final = "websocket.http.response."

# What the application may say next.
CONNECTING: Final = START
TALKING: Final = 10
DENYING: Final = 11
CLOSED: Final = OVER


class SocketTalk(Talk):
    """As an exchange it is its handshake's response; what is sent later counts as the body."""

    greeted = False  # the application has been told of the connection
    parted = False  # and of its end
    heard_at = 0
    pinged = False
    denial: Conversation | None = None
    farewell_at = NEVER
    ahead = 0  # bytes of messages that came while nobody waited for them, since the inbox was empty

    def __init__(self, connection: AsyncConnection, start: int, socket: WebSocket) -> None:
        super().__init__(connection, connection.inbound, start)
        self.inbound = None
        self.keep_alive = False
        self.socket = socket
        self.inbox: list[Message] = []  # not a deque, which has room for 64 from the start: 0.6 KiB
        self.offered: list[str] = []

    def scope(self) -> Scope:
        connection = self.connection
        scope = connection.scope()
        del scope["method"]
        scope["type"] = "websocket"
        scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
        scope["subprotocols"] = self.offered = subprotocols_of(scope["headers"])
        extensions: Scope = {"websocket.http.response": {}}
        if "tls" in scope["extensions"]:
            extensions["tls"] = scope["extensions"]["tls"]
        scope["extensions"] = extensions
        return scope

    # -- what the application calls

    async def receive(self) -> Message:
        if not self.greeted:
            self.greeted = True
            return {"type": "websocket.connect"}
        while not self.inbox:
            if self.gone or self.stage == CLOSED or self.socket.close_code:
                self.parted = True
                code = self.socket.close_code or (ABNORMAL if self.gone else NO_CODE)
                return {"type": "websocket.disconnect", "code": code, "reason": self.socket.close_reason}
            future = self.connection.service.loop.create_future()
            self.receivers = (*self.receivers, future)
            await future
        message = self.inbox.pop(0)
        if not self.inbox:
            if self.ahead > AHEAD:
                self.want(self.events | READ)
            self.ahead = 0
        return message

    async def say(self, message: Message) -> None:
        if self.gone:
            raise PeerGone("the client has left")
        kind = message["type"]
        try:
            if kind == "websocket.send" and self.stage == TALKING:
                if self.socket.close_code:
                    raise PeerGone(f"the WebSocket is closed ({self.socket.close_code})")
                self.sent += self.socket.send(message)
                self.connection.service.reactor.now = monotonic()  # for how long others' messages have been held
                self.transmit(self.socket.take())
            elif kind == "websocket.accept" and self.stage == CONNECTING:
                self.accept(message)
            elif kind == "websocket.close" and self.stage == TALKING:
                self.close(message.get("code") or NORMAL, message.get("reason") or "")
            elif kind == "websocket.close" and self.stage == CONNECTING:
                self.deny({"type": f"{DENIAL}start", "status": 403, "headers": [(b"content-length", b"0")]})
                self.deny({"type": f"{DENIAL}body"})
            elif kind.startswith(DENIAL) and self.stage in (CONNECTING, DENYING):
                self.deny(message)
            else:
                raise AppError(f"the application sent {kind!r}; what may come now is {EXPECTED[self.stage]}")
        except PeerGone:
            if not self.socket.close_code:
                self.lose()
            raise
        if self.connection.outbound is not None and not self.gone:
            await self.drained()

    def accept(self, message: Message) -> None:
        headers = answer_headers(self.socket, message, self.offered)
        self.heads.upgrade = ""
        lines = self.heads.write(SWITCHING, headers)  # type: ignore[arg-type]
        self.status, self.headers, self.head_sent = SWITCHING, headers, True  # type: ignore[assignment]
        self.transmit(b"".join([*lines, b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"]))
        self.stage = TALKING
        connection = self.connection
        connection.service.sockets.add(self)
        self.heard_at = monotonic()
        self.set_ping()
        ahead, connection.inbound.buffer = bytes(connection.inbound.buffer), b""
        if ahead:
            self.take_in(ahead)
            self.wake()
        self.want(self.events | READ)

    def deny(self, message: Message) -> None:
        """An answer of HTTP's instead of a WebSocket."""
        denial = self.denial
        if denial is None:
            denial = self.denial = Conversation(self.heads, self.line[0], self.line[4], False, self.connection.transmit)
            self.stage = DENYING
        denial.respond({**message, "type": f"http.response.{message['type'].removeprefix(DENIAL)}"})
        self.status, self.headers, self.sent = denial.status, denial.headers, denial.sent
        self.head_sent = denial.head_sent
        if denial.stage == OVER:
            self.stage = CLOSED
            self.finish_connection()

    def close(self, code: int, reason: str) -> None:
        self.stage = CLOSED
        if self.socket.open:
            self.socket.close(code, reason)
            self.transmit(self.socket.take())
            self.farewell_at = monotonic() + FAREWELL
            self.set_due()
        self.wake()

    def go_away(self) -> None:
        """This worker leaves. The application hears of it as of any end."""
        if self.stage == CONNECTING:
            return
        try:
            self.socket.close(GOING_AWAY)
            self.transmit(self.socket.take())
        except PeerGone:
            self.lose()
            return
        self.farewell_at = monotonic() + FAREWELL
        self.set_due()
        self.wake()

    # -- what the reactor calls

    def take_in(self, data: bytes) -> None:
        if self.stage in (CONNECTING, DENYING):
            inbound = self.connection.inbound
            inbound.buffer = bytes(inbound.buffer) + data
            if len(inbound.buffer) > AHEAD:
                self.want(self.events & ~READ)
            return
        socket = self.socket
        self.heard_at = self.connection.service.reactor.now
        self.pinged = False
        messages = socket.receive(data)
        if messages and self.stage == TALKING and not self.parted:
            self.inbox += messages
            if not self.receivers or len(messages) > 1:
                self.ahead += sum(map(size_of, messages))
                if self.ahead > AHEAD:
                    self.want(self.events & ~READ)
        if socket.outgoing:
            try:
                outgoing = socket.take()
                if outgoing:
                    self.transmit(outgoing)
            except PeerGone:
                self.lose()
                return
        if socket.over:
            self.finish_connection()

    def set_due(self) -> None:
        super().set_due()
        if self.farewell_at < self.due:
            self.due = self.farewell_at
            reactor = self.connection.service.reactor
            if self.due < reactor.wake_at:
                reactor.wake_at = self.due
                reactor.arm()

    def set_ping(self) -> None:
        """reading_due is the next ping, or the end of the wait for a pong."""
        service = self.connection.service
        wait = service.ping_timeout if self.pinged else service.ping_interval
        self.reading_due = self.heard_at + wait if wait else NEVER
        self.set_due()

    def expire(self, now: int) -> None:
        if now >= self.writing_due or now >= self.farewell_at:
            self.lose()
        elif now >= self.reading_due:
            self.beat(now)

    def beat(self, now: int) -> None:
        service = self.connection.service
        silence = now - self.heard_at
        if self.events & READ and not self.pinged and silence >= service.ping_interval:
            self.pinged = True
            self.heard_at = now
            try:
                self.socket.ping()
                self.transmit(self.socket.take())
            except PeerGone:
                self.lose()
                return
        elif self.pinged and silence >= service.ping_timeout:
            self.socket.fail(1011, "keepalive ping timeout")
            try:
                self.transmit(self.socket.take())
            except PeerGone:
                pass
            self.lose()
            return
        elif not self.events & READ:
            self.heard_at = now  # it is this side that doesn't listen
        self.set_ping()

    # -- ends

    def lose(self) -> None:
        if not self.gone:
            self.socket.lost()
        super().lose()

    def finish_connection(self) -> None:
        """Nothing more is said: close the connection once everything has left."""
        connection = self.connection
        if self.gone:
            return
        self.gone = True
        connection.service.sockets.discard(self)
        if not self.stepping:
            self.close_connection()
            if self.task is not None:
                connection.service.loop.call_later(connection.service.grace, self.give_up)
        self.wake()

    def close_connection(self) -> None:
        connection = self.connection
        connection.send_held()
        if connection.outbound is None and not self.socket.answered:
            connection.linger()  # what the client still sends would reset the connection, and lose the reason
        else:
            connection.leave_or_flush(False)
        connection.service.reactor.arm()

    def go_on(self, task: Any) -> None:
        self.task = task
        service = self.connection.service
        service.keep(task, self.ended)
        if self.connection.fd < 0:
            service.loop.call_later(service.grace, self.give_up)
        elif self.gone:
            self.close_connection()
            service.loop.call_later(service.grace, self.give_up)
        else:
            self.attend()

    def ended(self, task: Any) -> None:
        cancelled = task.cancelled()
        error = None if cancelled else task.exception()
        self.task = None
        self.end(cancelled, error)

    def end(self, cancelled: bool, error: BaseException | None) -> None:
        """The application has returned. What it has left open is closed in its name."""
        connection = self.connection
        if self.stage in (CONNECTING, DENYING) and not self.gone:
            self.fail(error or AppError(f"the application returned, and what may come now is {EXPECTED[self.stage]}"))
            return
        if error is not None and not ((self.gone or self.socket.close_code) and is_departure(error)):
            self.complain(error)
        if self.stage == TALKING and not self.gone:
            try:
                self.close(INTERNAL if error is not None or cancelled else NORMAL, "")
            except PeerGone:
                self.lose()
        self.stage = CLOSED
        connection.service.sockets.discard(self)
        connection.service.conclude(self)
        # Until the client has answered the close this remains its handler.
        if not self.gone and connection.fd >= 0:
            self.attend()


EXPECTED: Final = {
    CONNECTING: "websocket.accept, websocket.close or a response",
    TALKING: "websocket.send or websocket.close",
    DENYING: "the rest of the response",
    CLOSED: "nothing: the WebSocket is closed",
}


def size_of(message: Message) -> int:
    return len(message["text"] if "text" in message else message["bytes"])


def take_over(connection: AsyncConnection) -> bool:
    """Make a request for a WebSocket one; False if it asks for something else."""
    inbound = connection.inbound
    if inbound.fields.get("HTTP_UPGRADE", "").lower() != "websocket":
        return False
    service: Any = connection.service
    if inbound.fields is not connection.seen:
        connection.read_fields(inbound)
    try:
        socket = WebSocket(inbound.line, connection.headers, service.config.websocket_max_message_size)
    except PeerError as error:
        error.line = inbound.line
        connection.refuse(error)
        return True
    talk = SocketTalk(connection, service.begin(inbound.line_bytes), socket)
    try:
        if service.hooked:
            service.greet(talk)
        task = service.launch(service.app(talk.scope(), talk.receive, talk.say))
    except BaseException as error:
        talk.fail(error)
        return True
    talk.stepping = False
    if not task.done():
        talk.go_on(task)
    else:
        if talk.gone and connection.fd >= 0:
            talk.close_connection()
        talk.end(task.cancelled(), None if task.cancelled() else task.exception())
    return True
