"""A client's connection whose application is a coroutine: which requests it has, and what each is told of the client.

It adds to Connection what a coroutine needs: a request goes on while others are served, as a Talk, and its body is read
as it is asked for. It must not know how the loop is run: whoever serves is a `Site`. Connections stand in the reactor,
as everywhere, and the reactor is a guest of the loop, see GuestReactor.

An asyncio transport for each connection was tried: it costs a request 2 to 4 µs, a connection 1.5 to 3 KiB, can't hand
its descriptor to another worker, can't send a file on uvloop, and is another implementation of everything that
Connection, TlsStream and Outbound do.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from corral.gateway.asgi import (
    HTTP_EXTENSIONS,
    OVER,
    App,
    Fields,
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
)  # fmt: skip
from corral.gateway.exchange import JOINED
from corral.gateway.wsgi import Environ
from corral.http.head import PLAIN
from corral.http.inbound import Inbound
from corral.http.pairs import UNREAD, PairsInbound
from corral.net.connection import Connection, PeerGone
from corral.net.guest import GuestReactor
from corral.net.outbound import Outbound, Region
from corral.net.outbox import MOST_HELD, Outbox
from corral.net.reactor import READ
from corral.net.service import Origin, Service
from corral.net.states import Flushing
from corral.net.talk import Talk

WILDCARDS: Final = ("0.0.0.0", "::")


class Site(Service, Protocol):
    """Who serves coroutines."""

    app: App  # type: ignore[assignment]
    loop: asyncio.AbstractEventLoop
    reactor: GuestReactor
    outbox: Outbox
    mount: Mount
    grace: float  # seconds that a request goes on whose client has left
    launch: Callable[[Any], "asyncio.Task[None]"]
    rouse: Callable[["asyncio.Future[None]"], None]
    hooked: bool
    sockets: set[Any]  # WebSockets that are open
    ping_interval: int  # nanoseconds
    ping_timeout: int

    def upgrade(self, connection: "AsyncConnection") -> bool: ...

    def greet(self, talk: Talk) -> None: ...

    def conclude(self, talk: Talk) -> int: ...

    def keep(self, task: "asyncio.Task[None]", ended: Callable[["asyncio.Task[None]"], None]) -> None: ...


class AsyncConnection(Connection):
    """Connection, for applications that are coroutines."""

    __slots__ = ("base", "headers", "keeps", "line", "own_keys", "seen", "trailing", "untold")
    service: Site

    def __init__(self, fd: int, peer: Any, origin: Origin) -> None:
        super().__init__(fd, peer, origin)
        self.sender = self.post
        self.base: Scope | None = None  # made at the first request: a PROXY header may say who the client is
        self.line = b""  # whose target `base` has
        self.keeps: Callable[[bytes], bool]
        self.own_keys = 0  # of the fields, those that aren't the client's
        self.trailing = False  # the scope offers trailers
        self.untold = False  # no field has told `base` anything
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
                launch, app = service.launch, service.app  # see Connection.ready
                task = launch(app(self.scope(), talk.receive, talk.say))
            except BaseException as error:
                talk.fail(error)
                return
            talk.stepping = False
            if not task.done():
                talk.go_on(task)
                return
            if talk.gone or talk.stage != OVER:
                cancelled = task.cancelled()
                talk.end(cancelled, None if cancelled else task.exception())
                return
            if task._exception is not None:  # to ask `cancelled` and `exception` each time would take 0.1 µs
                talk.complain(cast(BaseException, task.exception()))
            end = service.conclude(talk)
            talk.inbound = None
            if inbound.buffer:
                self.send_held()  # before the next answer of this connection
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
        headers = inbound.pairs
        if headers is None or not self.untold:
            if inbound.fields is not self.seen:
                self.read_fields(inbound)
            headers = self.headers
        base = cast(Scope, self.base)
        line = inbound.line_bytes
        if line is not self.line:
            target = targets.get(line) or read_target(inbound.line, line)
            base["method"], base["path"], base["raw_path"], base["query_string"], base["http_version"] = target
            self.line = line
        scope = base.copy()
        scope["headers"] = headers.copy()
        if "state" in scope:
            scope["state"] = scope["state"].copy()
        root_path = scope["root_path"]
        if root_path:
            mounted(scope, root_path)
        return scope

    def read_fields(self, inbound: Inbound) -> None:
        """Fields that the client hasn't sent before: what scopes say of them."""
        if inbound.fields is UNREAD:
            inbound.fields = cast(PairsInbound, inbound).read_unread(inbound.read)
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
        # What no field has told need not be asked of the next ones, if they are ordinary: see http.pairs.
        self.untold = (
            "HTTP_X_FORWARDED_FOR" not in fields
            and not self.trailing
            and fields["wsgi.url_scheme"] == inbound.base["wsgi.url_scheme"]
            and fields["SCRIPT_NAME"] == inbound.base["SCRIPT_NAME"]
        )

    def make_base(self, inbound: Inbound) -> Scope:
        """What all scopes of this connection have in common."""
        mount, fields = self.service.mount, inbound.fields
        self.keeps = keeper(mount.trust, inbound.prepare is self.origin.prepare_trusted)
        self.own_keys = len(inbound.base.keys() | inbound.own.keys())
        self.line = b""
        self.base = base = base_scope(mount, client=client_of(fields), server=self.server())
        base["scheme"] = fields["wsgi.url_scheme"]
        base["root_path"] = fields["SCRIPT_NAME"] or mount.root_path
        if self.stream is not None:
            from corral.net.tls import tls_of  # lazily: it is there already where anybody speaks TLS

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

    def after(self, talk: Talk, end: int) -> None:
        """In the middle of an application's step: nothing of another's may run before it ends."""
        reactor = self.service.reactor
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

    def post(self, data: bytes | memoryview, last: bool = False) -> None:
        """What an application says: send it at once; or with the others of this turn, if there are any."""
        service = self.service
        reactor = service.reactor
        if len(reactor.events) < 2 or self.outbound is not None or len(data) > JOINED:
            self.transmit(data, last)
            return
        outbox = service.outbox
        held = outbox.held
        if 0 < len(held) < MOST_HELD - 1 and reactor.now <= outbox.send_by:
            held.append((self, data))  # without another call: 0.1 µs
        else:
            outbox.hold(self, data)

    def transmit(self, data: bytes | memoryview, last: bool = False) -> None:
        self.send_held()
        super().transmit(data, last)

    def send_held(self) -> None:
        """Nothing may overtake what is held: nor the end of the connection."""
        outbox = self.service.outbox
        if outbox.held:
            outbox.send()

    def await_reader(self) -> None:
        """The client hasn't taken what had been held for it: wait until it does.

        Whose application is in its first step looks at `outbound` after it anyway, and this changes nothing for it.
        """
        handler = self.service.reactor.handlers.get(self.fd)
        assert self.outbound is not None
        if isinstance(handler, Talk):
            handler.await_reader()
        elif handler is not None:
            Flushing(self, self.outbound, keep_alive=True).begin()

    def leave_or_flush(self, keep_alive: bool) -> None:
        self.send_held()
        super().leave_or_flush(keep_alive)

    def close(self) -> None:
        self.send_held()
        super().close()

    def queue(self, outbound: Outbound, data: bytes | memoryview) -> None:
        """In memory, however much it is: an application waits until it has left before it sends more."""
        outbound.items.append(memoryview(data))
        outbound.in_memory += len(data)

    def send_region(self, before: bytes, region: Region, after: bytes) -> None:
        """A piece of a file; its descriptor is the region's own, and closed when it has left. Raises PeerGone."""
        self.send_held()
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
            done = outbound.flush(self.fd)
        except OSError as error:
            outbound.close()
            raise PeerGone(str(error)) from error
        self.outbound = None if done else outbound


def client_of(fields: Environ) -> tuple[str, int] | None:
    address = fields.get("REMOTE_ADDR")
    return (address, int(fields.get("REMOTE_PORT") or 0)) if address else None


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
