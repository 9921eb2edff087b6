"""A client's connection whose application is a coroutine: what it is told, what it says, and how long either may wait.

It adds to Connection what a coroutine needs: a request goes on while others are served, its body is read as it is asked
for, and an application waits for a client that reads slowly. It must not know how the loop is run: whoever serves is a
`Site`. Connections stand in the reactor, as everywhere, and the reactor is a guest of the loop, see GuestReactor.

An asyncio transport for each connection was tried: it costs a request 2 to 4 µs, a connection 1.5 to 3 KiB, can't hand
its descriptor to another worker, can't send a file on uvloop, and is another implementation of everything that
Connection, TlsStream and Outbound do.
"""

import asyncio
import errno
import os
import select
from collections.abc import Callable
from typing import Any, Final, Protocol

from corral.errors import AppError, PeerError
from corral.gateway.asgi import (
    BODY,
    DISCONNECT,
    HTTP_EXTENSIONS,
    OVER,
    START,
    App,
    Conversation,
    Fields,
    Message,
    Mount,
    Scope,
    base_scope,
    headers_behind,
    headers_of,
    keeper,
    mounted,
    read_headers,
    read_target,
    takes_trailers,
    targets,
)
from corral.gateway.exchange import over
from corral.gateway.wsgi import Environ
from corral.http.head import PLAIN
from corral.http.inbound import Inbound
from corral.net.connection import CONTINUE, READ_SIZE, Connection, PeerGone, progress_due
from corral.net.outbound import Outbound, Region
from corral.net.reactor import NEVER, READ, WRITE, Reactor, monotonic
from corral.net.service import Origin, Service

LEFT: Final = getattr(select, "EPOLLRDHUP", 0)  # the client says no more
GONE: Final = getattr(select, "EPOLLERR", 8) | getattr(select, "EPOLLHUP", 16)
AHEAD: Final = 65536  # bytes of a body that wait for the application; then the client waits
WILDCARDS: Final = ("0.0.0.0", "::")

Future = asyncio.Future[None]


class Site(Service, Protocol):
    """Who serves coroutines."""

    app: App  # type: ignore[assignment]
    loop: asyncio.AbstractEventLoop
    reactor: "GuestReactor"
    mount: Mount
    grace: float  # seconds that a request goes on whose client has left
    launch: Callable[[Any], "asyncio.Task[None]"]
    hooked: bool
    sockets: set[Any]  # WebSockets that are open
    ping_interval: int  # nanoseconds
    ping_timeout: int

    def upgrade(self, connection: "AsyncConnection") -> bool: ...

    def greet(self, talk: "Talk") -> None: ...

    def conclude(self, talk: "Talk") -> int: ...

    def keep(self, task: "asyncio.Task[None]", ended: Callable[["asyncio.Task[None]"], None]) -> None: ...


class LoopPoller:
    """epoll's verbs where there is no epoll to be a guest (macOS, for development): each descriptor is the loop's."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.turn: Callable[[], None]
        self.wanted: dict[int, int] = {}
        self.ready: dict[int, int] = {}

    def enter(self, loop: asyncio.AbstractEventLoop, turn: Callable[[], None]) -> None:
        self.loop, self.turn = loop, turn
        for fd, events in self.wanted.items():
            self.modify(fd, events)

    def register(self, fd: int, events: int) -> None:
        self.modify(fd, events)

    def modify(self, fd: int, events: int) -> None:
        self.wanted[fd] = events
        if self.loop is None:
            return
        if events & READ:
            self.loop.add_reader(fd, self.note, fd, READ)
        else:
            self.loop.remove_reader(fd)
        if events & WRITE:
            self.loop.add_writer(fd, self.note, fd, WRITE)
        else:
            self.loop.remove_writer(fd)

    def unregister(self, fd: int) -> None:
        self.modify(fd, 0)
        del self.wanted[fd]
        self.ready.pop(fd, None)

    def note(self, fd: int, event: int) -> None:
        self.ready[fd] = self.ready.get(fd, 0) | event
        self.turn()

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        ready, self.ready = self.ready, {}
        return list(ready.items())

    def close(self) -> None:
        pass


class GuestReactor(Reactor):
    """A reactor in a loop that sleeps for both. Its deadlines are one timer of the loop."""

    __slots__ = ("armed_at", "loop", "stirred", "timer", "turned")

    def __init__(self) -> None:
        super().__init__()
        if not hasattr(self._poller, "fileno"):
            self._poller = LoopPoller()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.armed_at = NEVER
        self.turned: Callable[[], None] = self.arm
        self.stirred: Callable[[], None] = self.arm  # called before each turn

    def enter(self, loop: asyncio.AbstractEventLoop, turned: Callable[[], None]) -> None:
        """From here on `loop` sleeps; `turned` is called after each turn."""
        self.loop = loop
        self.turned = turned
        if isinstance(self._poller, LoopPoller):
            self._poller.enter(loop, self.turn)
        else:
            loop.add_reader(self._poller.fileno(), self.turn)
        self.arm()

    def leave(self) -> None:
        if self.loop is not None:
            if not isinstance(self._poller, LoopPoller):
                self.loop.remove_reader(self._poller.fileno())
            if self.timer is not None:
                self.timer.cancel()
        self.loop = None

    def wait(self) -> list[tuple[int, int]]:
        """What is ready now. The loop has slept."""
        self.stirred()
        events: list[tuple[int, int]] = self._poller.poll(0)
        self.now = now = monotonic()
        if now >= self.wake_at:
            self.sweep(now)
        return events

    def turn(self) -> None:
        super().turn()
        self.turned()
        if self.wake_at < self.armed_at:
            self.arm()

    def arm(self) -> None:
        """Have the loop wake up when something is due; after whatever sets a deadline outside of a turn."""
        wake_at = self.wake_at
        if wake_at >= self.armed_at or self.loop is None:
            return
        if self.timer is not None:
            self.timer.cancel()
        self.armed_at = wake_at
        self.timer = self.loop.call_later(max(0, wake_at - monotonic()) / 1e9 + 0.001, self.ring)

    def ring(self) -> None:
        self.timer = None
        self.armed_at = NEVER
        self.turn()
        self.arm()


class AsyncConnection(Connection):
    """Connection, for applications that are coroutines."""

    __slots__ = ("base", "headers", "keeps", "own_keys", "seen", "trailing")
    service: Site

    def __init__(self, fd: int, peer: Any, origin: Origin) -> None:
        super().__init__(fd, peer, origin)
        self.base: Scope | None = None  # made at the first request: a PROXY header may say who the client is
        self.keeps: Callable[[bytes], bool]
        self.own_keys = 0  # of the fields, those that aren't the client's
        self.trailing = False  # the scope offers trailers
        self.headers: Fields = []
        self.seen: Environ | None = None  # the fields that `headers` and `base` tell of

    # -- a request that is whole

    def serve(self) -> None:
        """Let the application begin with the request that stands. If it ends at once, go on to the next."""
        service = self.service
        inbound = self.inbound
        while True:
            framing = inbound.framing
            if framing is not PLAIN and framing.upgrade and service.upgrade(self):
                return
            talk = Talk(self, inbound, service.begin(inbound.line_bytes))
            try:
                if service.hooked:
                    service.greet(talk)
                task = service.launch(service.app(self.scope(), talk.receive, talk.say))
            except BaseException as error:
                talk.fail(error)
                return
            talk.stepping = False
            if not task.done():
                talk.go_on(task)
                return
            error_or_none = None if task.cancelled() else task.exception()
            if talk.gone or talk.stage != OVER:
                talk.end(task.cancelled(), error_or_none)
                return
            if error_or_none is not None:
                talk.complain(error_or_none)
            end = service.conclude(talk)
            talk.transmit = over
            talk.inbound = None
            if self.outbound is not None or not talk.keep_alive:
                self.leave_or_flush(talk.keep_alive)
                return
            # As in Connection.serve: a call would cost both 0.1 µs.
            self.reading = None
            self.due = due = end + service.keepalive
            if due < service.reactor.wake_at:
                service.reactor.wake_at = due
            if framing is not PLAIN:
                inbound.forget_body()
            if not inbound.buffer:
                if not self.registered:
                    self.register()
                return
            if not self.go_on():
                return

    def scope(self) -> Scope:
        inbound = self.inbound
        if inbound.fields is not self.seen:
            self.read_fields(inbound)
        scope: Scope = self.base.copy()  # type: ignore[union-attr]
        (scope["method"], scope["path"], scope["raw_path"], scope["query_string"], scope["http_version"]) = targets.get(
            inbound.line_bytes
        ) or read_target(inbound.line, inbound.line_bytes)
        scope["headers"] = self.headers.copy()
        if "state" in scope:
            scope["state"] = scope["state"].copy()
        root_path = scope["root_path"]
        if root_path:
            mounted(scope, root_path)
        return scope

    def read_fields(self, inbound: Inbound) -> None:
        """Fields that the client hasn't sent before: what scopes say of them."""
        fields = inbound.fields
        base = self.base or self.make_base(inbound)
        block = inbound.read
        if not block:
            self.headers = headers_of(fields)
        else:
            headers = headers_behind(fields, self.own_keys, block.count(b"\r") + 1)
            self.headers = read_headers(block, self.keeps) if headers is None else headers
            if inbound.line[5] is not None:  # RFC 9112 §3.2.2: the target's authority outranks Host
                host = inbound.line[5].encode("latin-1")
                self.headers = [(b"host", host), *(pair for pair in self.headers if pair[0] != b"host")]
        if not block or inbound.prepare is self.origin.prepare_trusted:
            base["client"] = client_of(fields)
            if "HTTP_X_FORWARDED_FOR" in fields:
                base["client"] = self.forwarded(fields["HTTP_X_FORWARDED_FOR"]) or base["client"]
            base["scheme"] = fields["wsgi.url_scheme"]
            base["root_path"] = fields["SCRIPT_NAME"] or self.service.mount.root_path
        if "HTTP_TE" in fields or self.trailing:
            self.offer_trailers(base, takes_trailers(fields))
        self.seen = fields

    def make_base(self, inbound: Inbound) -> Scope:
        """What all scopes of this connection have in common."""
        mount, fields = self.service.mount, inbound.fields
        self.keeps = keeper(mount.trust, inbound.prepare is self.origin.prepare_trusted)
        self.own_keys = len(inbound.base.keys() | inbound.own.keys())
        self.base = base = base_scope(mount, client=client_of(fields), server=self.server())
        base["scheme"] = fields["wsgi.url_scheme"]
        base["root_path"] = fields["SCRIPT_NAME"] or mount.root_path
        if self.stream is not None:
            base["extensions"] = {**HTTP_EXTENSIONS, "tls": tls_of(self.stream)}
        return base

    def offer_trailers(self, base: Scope, offered: bool) -> None:
        if offered != self.trailing:
            self.trailing = offered
            extensions = {key: value for key, value in base["extensions"].items() if key != "http.response.trailers"}
            base["extensions"] = {**extensions, "http.response.trailers": {}} if offered else extensions

    def server(self) -> tuple[str, int | None]:
        origin = self.origin
        if origin.local:
            return origin.name.removeprefix("unix:"), None
        name = origin.base["SERVER_NAME"]
        if name in WILDCARDS:
            name, port, *_ = self.inbound.own["gunicorn.socket"].getsockname()
            return name, port
        return name, int(origin.base["SERVER_PORT"])

    def forwarded(self, value: str) -> tuple[str, int] | None:
        """Who asks, by a trusted proxy's word: the last of its list that is no trusted proxy itself."""
        hops = [hop.strip() for hop in value.split(",")]
        for hop in reversed(hops):
            if hop and not self.origin.trusts(hop):
                return hop, 0
        return (hops[0], 0) if hops[0] else None

    # -- a request that went on by itself, and is over

    def after(self, talk: "Talk", end: int) -> None:
        """In the middle of an application's step: nothing of another's may run before it ends."""
        reactor = self.service.reactor
        talk.transmit = over
        talk.inbound = None
        inbound = self.inbound
        if self.outbound is not None or not talk.keep_alive:
            talk.want(READ)
            self.leave_or_flush(talk.keep_alive)
        else:
            self.reading = None
            self.due = end + self.service.keepalive
            if inbound.framing is not PLAIN:
                inbound.forget_body()
            handler = Resuming(self) if inbound.buffer else self
            if not self.registered:
                self.register()
            if talk.events == READ:
                reactor.handlers[self.fd] = handler
                reactor.wake_at = min(reactor.wake_at, self.due)
            else:
                reactor.change(self.fd, handler, READ)
            if handler is not self:
                self.service.loop.call_soon(handler.ready, 0)
        reactor.arm()

    # -- bytes out

    def queue(self, outbound: Outbound, data: bytes | memoryview) -> None:
        """In memory, however much it is: an application waits until it has left before it sends more."""
        outbound.items.append(memoryview(data))
        outbound.in_memory += len(data)

    def send_region(self, before: bytes, region: Region, after: bytes) -> None:
        """A piece of a file; its descriptor is the region's own, and closed when it has left. Raises PeerGone."""
        outbound = self.outbound or self.new_outbound()
        if before:
            self.queue(outbound, before)
        if region.count:
            outbound.append_file(region)
        else:
            os.close(region.fd)
        if after:
            self.queue(outbound, after)
        try:
            done = flush(outbound, self.fd)
        except OSError as error:
            outbound.close()
            raise PeerGone(str(error)) from error
        self.outbound = None if done else outbound


def client_of(fields: Environ) -> tuple[str, int] | None:
    address = fields.get("REMOTE_ADDR")
    return (address, int(fields.get("REMOTE_PORT") or 0)) if address else None


def flush(outbound: Outbound, to: int) -> bool:
    try:
        return outbound.flush(to)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS) or outbound.sendfile is read_and_write:
            raise
    outbound.sendfile = read_and_write  # some file systems have no sendfile
    return outbound.flush(to)


def read_and_write(to: int, fd: int, offset: int, count: int) -> int:
    data = os.pread(fd, min(count, READ_SIZE), offset)
    return os.write(to, data) if data else 0


class Resuming:
    """A connection with another request in its buffer, which may begin once the present step is over."""

    __slots__ = ("connection", "due")

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.due = connection.due

    def ready(self, _: int) -> None:
        connection = self.connection
        reactor = connection.service.reactor
        if reactor.handlers.get(connection.fd) is not self:
            return
        reactor.handlers[connection.fd] = connection
        if connection.go_on():
            connection.serve()
        reactor.arm()

    def expire(self, now: int) -> None:
        pass


class Talk(Conversation):
    """One request, from its head to the end of its response; as a handler, its connection while the application works.

    What most requests never need are class attributes: an instance has them once they are changed.
    """

    stepping = True  # the application is in its first step, and whoever called it sees to the rest
    gone = False  # the client
    refused = False
    task: "asyncio.Task[None] | None" = None
    receivers: tuple[Future, ...] = ()
    senders: tuple[Future, ...] = ()
    events = READ
    due = NEVER
    reading_due = NEVER
    writing_due = NEVER
    began = 0  # reading the body

    def __init__(self, connection: AsyncConnection, inbound: Inbound, start: int) -> None:
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
        self.transmit = connection.transmit
        self.connection = connection
        self.fields = inbound.fields
        self.inbound: Inbound | None = inbound  # until its body has been given whole
        self.start = start

    def environ(self) -> Environ:
        """The request as logs and hooks know it."""
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
        self.set_writing_due(monotonic())
        self.want(self.events | WRITE)
        while self.connection.outbound is not None and not self.gone:
            future = self.connection.service.loop.create_future()
            self.senders = (*self.senders, future)
            await future
        if self.gone:
            raise PeerGone("the client has left")

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
                done = flush(connection.outbound, connection.fd)
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
        inbound = connection.inbound
        if not data:
            self.lose()
        elif inbound.reader is None:
            # One request at a time; of what follows it a read is kept, and whether its sender is still there.
            inbound.buffer = bytes(inbound.buffer) + data
            self.want((self.events & ~READ) | LEFT)
        else:
            try:
                if inbound.feed(data) and not self.head_sent:
                    self.keep_alive = inbound.framing.keep_alive and connection.service.keeping
            except PeerError as error:
                error.line = self.line
                self.refuse(error)
                return
            self.reading_due = NEVER
            self.set_due()
            if sum(map(len, inbound.pieces)) > AHEAD or (inbound.reader is None and inbound.buffer):
                self.want(self.events & ~READ)
            self.wake()

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
            self.transmit = over
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
        self.transmit = over
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


def tls_of(stream: Any) -> Scope:
    """scope["extensions"]["tls"], as far as Python's OpenSSL tells."""
    import ssl  # lazily: it is there already where anybody speaks TLS

    tls = stream.tls
    cipher = tls.cipher()
    numbers = {each["name"]: each["id"] & 0xFFFF for each in tls.context.get_ciphers()}
    certificate = tls.getpeercert(True)
    return {
        "server_cert": None,
        "client_cert_chain": [ssl.DER_cert_to_PEM_cert(certificate)] if certificate else [],
        "client_cert_name": distinguished_name(tls.getpeercert()) if certificate else None,
        "client_cert_error": None,
        "tls_version": TLS_VERSIONS.get(tls.version()),
        "cipher_suite": numbers.get(cipher[0]) if cipher else None,
    }


TLS_VERSIONS: Final = {"TLSv1": 0x0301, "TLSv1.1": 0x0302, "TLSv1.2": 0x0303, "TLSv1.3": 0x0304}
SHORT_NAMES: Final = {
    "commonName": "CN", "localityName": "L", "stateOrProvinceName": "ST", "organizationName": "O",
    "organizationalUnitName": "OU", "countryName": "C", "streetAddress": "STREET", "domainComponent": "DC",
    "userId": "UID",
}  # fmt: skip


def distinguished_name(certificate: Any) -> str | None:
    """The subject as RFC 4514 writes it: the last part first."""
    parts = []
    for relative in reversed((certificate or {}).get("subject", ())):
        pairs = []
        for name, value in relative:
            escaped = "".join(f"\\{letter}" if letter in ',+"\\<>;=' else letter for letter in value)
            pairs.append(f"{SHORT_NAMES.get(name, name)}={escaped}")
        parts.append("+".join(pairs))
    return ",".join(parts) or None
