"""One request of a coroutine's, as long as it goes on: what the application is told and says, and who waits for whom.

It knows a conversation's messages, the client's bytes, and their deadlines. It must not know how the loop is run, nor
what comes after it on the connection.
"""

import asyncio
import os
import select
from typing import TYPE_CHECKING, Final, cast

from corral.errors import AppError, PeerError
from corral.gateway.asgi import BODY, DISCONNECT, OVER, START, Conversation, Message, takes_trailers
from corral.gateway.wsgi import Environ
from corral.http.head import PLAIN
from corral.http.inbound import Inbound
from corral.http.pairs import UNREAD, PairsInbound
from corral.net.connection import CONTINUE, PeerGone
from corral.net.outbound import Region
from corral.net.reactor import NEVER, READ, WRITE, monotonic
from corral.net.states import READ_SIZE, progress_due

if TYPE_CHECKING:
    from corral.net.aio import AsyncConnection

LEFT: Final = getattr(select, "EPOLLRDHUP", 0)  # the client says no more
GONE: Final = getattr(select, "EPOLLERR", 8) | getattr(select, "EPOLLHUP", 16)
AHEAD: Final = 65536  # bytes of a body that wait for the application; then the client waits

Future = asyncio.Future[None]


class Talk(Conversation):
    """One request from its head to the end of its response. As a handler, its connection while an application works."""

    __slots__ = (
        "began", "block", "connection", "due", "events", "fields", "gone", "inbound", "line", "reading_due",
        "receivers", "refused", "senders", "start", "stepping", "task", "writing_due",
    )  # fmt: skip

    def __init__(self, connection: "AsyncConnection", inbound: Inbound, start: int) -> None:
        # What Exchange.__init__ sets, without the call: 0.15 µs.
        service = connection.service
        self.line = line = inbound.line
        self.heads = service.heads
        self.status = ""
        self.headers = ()
        self.head_sent = self.chunked = self.surplus = False
        self.head_only = line[0] == "HEAD"
        self.keep_alive = service.keeping
        if inbound.framing is not PLAIN:
            self.keep_alive = service.keeping and inbound.framing[1] and inbound.reader is None
        self.left = None
        self.sent = 0
        self.version = line[4]
        self.transmit = connection.sender
        self.connection = connection
        self.fields = inbound.fields
        self.block = inbound.read
        self.inbound: Inbound | None = inbound  # until its body has been given whole
        self.start = start
        self.stage = START
        self.trailers = None
        self.gone = False  # the client
        self.refused = False
        self.stepping = True  # the application is in its first step, and whoever called it sees to the rest
        self.task: asyncio.Task[None] | None = None
        self.receivers: tuple[Future, ...] = ()
        self.senders: tuple[Future, ...] = ()
        self.events = READ
        self.due = self.reading_due = self.writing_due = NEVER
        self.began = 0  # reading the body

    def environ(self) -> Environ:
        """The request as logs and hooks know it."""
        if self.fields is UNREAD:
            self.fields = cast(PairsInbound, self.connection.inbound).read_unread(self.block)
        environ = self.fields.copy()
        (
            environ["REQUEST_METHOD"], environ["RAW_URI"], environ["PATH_INFO"], environ["QUERY_STRING"],
            environ["SERVER_PROTOCOL"], _,
        ) = self.line  # fmt: skip
        return environ

    # -- what the application calls

    async def receive(self) -> Message:
        while True:
            inbound = self.inbound
            if inbound is not None:
                if inbound.reader is None:
                    self.inbound = None
                    return {"type": "http.request", "body": inbound.take(), "more_body": False}
                if inbound.pieces:
                    body = inbound.take()
                    self.want(READ)
                    return {"type": "http.request", "body": body, "more_body": True}
                if not self.gone:
                    self.ask(inbound)
            if self.gone or self.stage == OVER:
                return {"type": DISCONNECT}
            future = self.connection.service.loop.create_future()
            self.receivers = (*self.receivers, future)
            await future

    async def say(self, message: Message) -> None:
        if self.gone:
            raise PeerGone("the client has left")
        if self.stage == START and message["type"] == "http.response.start":
            self.begin(message)
            return
        try:
            self.respond(message)
        except PeerGone:
            self.lose()
            raise
        if self.stage == OVER:
            if not self.stepping:
                self.complete()
        elif self.connection.outbound is not None:
            await self.drained()

    def respond_otherwise(self, kind: str, message: Message) -> None:
        if kind == "http.response.pathsend":
            fd = os.open(message["path"], os.O_RDONLY | os.O_CLOEXEC)
            self.send_file(fd, 0, os.fstat(fd).st_size, False)
        elif kind == "http.response.zerocopysend":
            fd = os.dup(message["file"].fileno() if hasattr(message["file"], "fileno") else message["file"])
            offset, count = message.get("offset"), message.get("count")
            offset = os.lseek(fd, 0, os.SEEK_CUR) if offset is None else offset
            count = max(0, os.fstat(fd).st_size - offset) if count is None else count
            self.send_file(fd, offset, count, bool(message.get("more_body")))
        else:
            super().respond_otherwise(kind, message)

    def may_trail(self) -> bool:
        return takes_trailers(self.fields)

    def send_file(self, fd: int, offset: int, count: int, more: bool) -> None:
        """`fd` is closed here, sooner or later."""
        try:
            before, count, after = self.frame_file(count, more)
        except BaseException:
            os.close(fd)
            raise
        self.connection.send_region(before, Region(fd, offset, count), after)
        if not more:
            self.end_body()

    # -- waiting

    def ask(self, inbound: Inbound) -> None:
        """The application waits for more of the body: the client may send it, and has to."""
        connection = self.connection
        now = monotonic()
        if not self.began:
            self.began = now
            if inbound.framing.expects and not inbound.received and not self.head_sent:
                try:
                    self.transmit(CONTINUE)
                except PeerGone:
                    self.lose()
                    return
        timeouts = connection.service.timeouts
        self.reading_due = progress_due(now, self.began, inbound.received, timeouts.body, timeouts.pace)
        self.set_due()
        self.want(READ)

    async def drained(self) -> None:
        """Wait until the client has taken what was sent. Raises PeerGone if it leaves instead."""
        self.await_reader()
        while self.connection.outbound is not None and not self.gone:
            future = self.connection.service.loop.create_future()
            self.senders = (*self.senders, future)
            await future
        if self.gone:
            raise PeerGone("the client has left")

    def await_reader(self) -> None:
        self.set_writing_due(monotonic())
        self.want(self.events | WRITE)

    def set_writing_due(self, now: int) -> None:
        self.writing_due = now + self.connection.service.timeouts.write
        self.set_due()

    def set_due(self) -> None:
        self.due = due = min(self.reading_due, self.writing_due)
        reactor = self.connection.service.reactor
        if due < reactor.wake_at and not self.stepping:
            reactor.wake_at = due
            reactor.arm()

    def want(self, events: int) -> None:
        """What the reactor is to report from now on."""
        if events == self.events:
            return
        self.events = events
        if not self.stepping and not self.gone:
            self.connection.service.reactor.change(self.connection.fd, self, events)

    def wake(self) -> None:
        """Something has happened that the application may wait for."""
        waiting = self.receivers + self.senders
        self.receivers = self.senders = ()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def rouse(self) -> None:
        """`wake`, for who waits to hear of the client, at once: nobody's step is going on."""
        waiting, self.receivers = self.receivers, ()
        for future in waiting:
            self.connection.service.rouse(future)

    def go_on(self, task: "asyncio.Task[None]") -> None:
        """The first step is over, and the application isn't."""
        connection = self.connection
        service = connection.service
        self.task = task
        service.keep(task, self.ended)
        if self.gone:
            service.loop.call_later(service.grace, self.give_up)
            return
        if self.stage == OVER:
            self.complete()
            return
        inbound = connection.inbound
        if inbound.reader is None and inbound.buffer:
            self.events = (self.events & ~READ) | LEFT
        self.attend()

    def attend(self) -> None:
        """Become the connection's handler."""
        connection, reactor = self.connection, self.connection.service.reactor
        if not connection.registered:
            connection.register()
        if connection.outbound is not None and not self.events & WRITE:
            self.events |= WRITE  # somebody else's haste has sent what this one had said
            self.set_writing_due(monotonic())
        if self.events == READ:
            reactor.handlers[connection.fd] = self
            reactor.wake_at = min(reactor.wake_at, self.due)
        else:
            reactor.change(connection.fd, self, self.events)
        reactor.arm()

    # -- what the reactor calls

    def ready(self, events: int) -> None:
        connection = self.connection
        if events & WRITE and connection.outbound is not None:
            try:
                done = connection.outbound.flush(connection.fd)
            except OSError:
                self.lose()
                return
            if done:
                connection.outbound = None
                self.writing_due = NEVER
                self.set_due()
                self.want(self.events & ~WRITE)
                self.wake()
            else:
                self.set_writing_due(monotonic())
        if self.events & READ and events & ~WRITE:
            self.read_more()
        elif events & (GONE | LEFT):
            self.lose()

    def read_more(self) -> None:
        """More of the body, or another request, or the client's end."""
        connection = self.connection
        try:
            data = connection.read(connection.fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.take_in(data)
            self.rouse()
        else:
            self.lose()

    def take_in(self, data: bytes) -> None:
        inbound = self.connection.inbound
        if inbound.reader is None:
            # One request at a time; of what follows it a read is kept, and whether its sender is still there.
            inbound.buffer = bytes(inbound.buffer) + data
            self.want((self.events & ~READ) | LEFT)
        else:
            try:
                if inbound.feed(data) and not self.head_sent:
                    self.keep_alive = inbound.framing.keep_alive and self.connection.service.keeping
            except PeerError as error:
                error.line = self.line
                self.refuse(error)
                return
            self.reading_due = NEVER
            self.set_due()
            if sum(map(len, inbound.pieces)) > AHEAD or (inbound.reader is None and inbound.buffer):
                self.want(self.events & ~READ)

    def expire(self, now: int) -> None:
        if now >= self.writing_due:
            self.lose()
        elif now >= self.reading_due:
            self.refuse(PeerError(408, "the body of the request came too slowly"))

    # -- ends

    def complete(self) -> None:
        """The response is over, and the application may still have something to do."""
        connection = self.connection
        connection.after(self, connection.service.conclude(self))
        self.wake()

    def refuse(self, error: PeerError) -> None:
        """The client has broken the rules in the middle of the body: to the application it has left."""
        error.line = self.line
        self.gone = self.refused = True
        self.connection.refuse(error, self)
        self.part()

    def lose(self) -> None:
        """The client has left, or is taken for gone."""
        if not self.gone:
            self.gone = True
            self.connection.close()
            self.part()

    def part(self) -> None:
        self.keep_alive = False
        self.wake()
        if not self.stepping:
            service = self.connection.service
            service.loop.call_later(service.grace, self.give_up)

    def give_up(self) -> None:
        if self.task is not None and not self.task.done():
            self.task.cancel()

    def ended(self, task: "asyncio.Task[None]") -> None:
        """An application that outlived its first step has returned."""
        cancelled = task.cancelled()
        error = None if cancelled else task.exception()
        self.task = None
        if self.stage == OVER and not self.gone:
            if error is not None:
                self.complain(error)
        else:
            self.end(cancelled, error)

    def end(self, cancelled: bool, error: BaseException | None) -> None:
        """The application has returned before its response was complete."""
        if self.gone:
            if error is not None and not is_departure(error):
                self.complain(error)
            if not self.refused:
                self.connection.service.conclude(self)
            self.inbound = None
        else:
            self.fail(error or AppError(describe_end(self, cancelled)))

    def complain(self, error: BaseException) -> None:
        self.connection.service.failed(self.environ(), error)

    def fail(self, error: BaseException) -> None:
        """Say so to the client if that is still possible, and close the connection."""
        connection = self.connection
        service = connection.service
        self.stepping = False
        connection.application_failed(self.environ(), self, error)
        self.headers = ()
        service.conclude(self)
        self.inbound = None
        self.stage = OVER
        self.wake()
        if connection.fd >= 0:
            connection.leave_or_flush(False)
        service.reactor.arm()


def is_departure(error: BaseException | None) -> bool:
    """Whether an error comes of the client's leaving: nobody's fault."""
    seen = 0
    while error is not None and seen < 16:
        if isinstance(error, PeerGone | asyncio.CancelledError) or type(error).__name__.endswith("Disconnect"):
            return True  # frameworks say it in exceptions of their own: ClientDisconnect, WebSocketDisconnect
        if isinstance(error, BaseExceptionGroup):
            return all(is_departure(each) for each in error.exceptions)
        error = error.__cause__ or error.__context__
        seen += 1
    return False


def describe_end(talk: Talk, cancelled: bool) -> str:
    how = "cancelled itself" if cancelled else "returned"
    if talk.stage == START:
        return f"the application {how} without a response"
    what = "its body" if talk.stage == BODY else "its trailers"
    return f"the application {how} before its response was complete: the end of {what} is missing"
