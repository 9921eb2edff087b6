"""One client's connection: bytes to requests, requests to the application, answers to bytes; and every deadline of it.

It joins http, gateway and the reactor; it must not know processes, signals or logs: whoever serves is a `Service`.
A connection's state is the handler that the reactor holds for it: Connection reads, Flushing writes, Lingering waits for
a client to hear why it was refused.
"""

import errno
import io
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from corral.errors import PeerError
from corral.gateway.body import StreamedInput
from corral.gateway.exchange import Exchange
from corral.gateway.wsgi import App, Environ, FileWrapper, remote, run, strip_script_name
from corral.http.head import PLAIN, Limits
from corral.http.inbound import Inbound, Phase
from corral.http.response import error_response
from corral.net.outbound import IN_MEMORY, Outbound, Region, open_spool
from corral.net.reactor import NEVER, READ, WRITE, Reactor

READ_SIZE: Final = 65536
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LINGER: Final = 2.0  # seconds for a refused client to read why
LINGER_BYTES: Final = 1 << 20
monotonic = time.monotonic
read = os.read
write = os.write


class PeerGone(ConnectionError):
    """The client left before its answer was sent: nobody's fault, and nothing to log as an error."""


class Timeouts(NamedTuple):
    """Seconds, 0 is never; `rate` is bytes a second."""

    header: float = 20
    body: float = 30
    write: float = 60
    keepalive: float = 2
    rate: float = 500


class Service(Protocol):
    """Who serves: a worker, as a connection sees it."""

    app: App
    exchange: Exchange
    reactor: Reactor
    limits: Limits
    timeouts: Timeouts
    request_memory: int
    buffering: bool
    sendfile: bool
    accepting: bool  # False: this worker is leaving, no connection goes on after its response
    connections: int

    def begin(self, line: bytes) -> float: ...

    def account(self, environ: Environ, exchange: Exchange, seconds: float) -> None: ...

    def failed(self, environ: Environ, error: BaseException) -> None: ...

    def refused(self, environ: Environ, error: PeerError) -> None: ...


class Origin(NamedTuple):
    """What the connections of one listener share."""

    service: Service
    base: Environ
    trusts: Callable[[str], bool]  # whether the peer at this address may speak for its clients
    prepare_plain: Callable[[Environ], None]
    prepare_trusted: Callable[[Environ], None]
    local: bool  # a unix socket: its peers are on this machine, and are trusted


class PeerSocket:
    """environ["gunicorn.socket"]: the connection as a socket object, made when somebody asks for it."""

    __slots__ = ("_fd", "_socket")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._socket: socket.socket | None = None

    def __getattr__(self, name: str) -> Any:
        if self._socket is None:
            self._socket = socket.socket(fileno=os.dup(self._fd))
        return getattr(self._socket, name)

    def fileno(self) -> int:
        return self._fd


class Connection:
    __slots__ = ("began", "due", "fd", "inbound", "outbound", "reading", "registered", "service", "spool")

    def __init__(self, fd: int, peer: Any, origin: Origin) -> None:
        self.fd = fd
        self.service = origin.service
        base = origin.base.copy()
        base.update(remote(peer))
        base["gunicorn.socket"] = PeerSocket(fd)
        trusted = origin.local or origin.trusts(base["REMOTE_ADDR"])
        prepare = origin.prepare_trusted if trusted else origin.prepare_plain
        self.inbound = Inbound(base, origin.service.limits, prepare, stream=not origin.service.buffering)
        self.outbound: Outbound | None = None
        self.spool: io.BufferedRandom | None = None
        self.registered = False
        self.reading: Phase | None = Phase.HEAD  # what `due` limits; None while the client may be silent
        self.began = 0.0  # of the body
        header = origin.service.timeouts.header
        self.due = monotonic() + header if header else NEVER
        origin.service.connections += 1

    def ready(self, _: int) -> None:
        try:
            data = read(self.fd, READ_SIZE)
        except BlockingIOError:
            if not self.registered:
                self.register()
            return
        except OSError:
            self.close()
            return
        if not data:
            self.close()  # a client that shuts its half down has left; RFC 9112 §9.6 lets a server close then
            return
        try:
            whole = self.inbound.receive(data)
        except PeerError as error:
            self.refuse(error)
            return
        if whole:
            self.serve()
        else:
            self.wait_for_more()

    def register(self) -> None:
        self.service.reactor.add(self.fd, self)
        self.registered = True

    # -- a request that is whole

    def serve(self) -> None:
        """Answer the request that stands, and those that came with it."""
        service = self.service
        inbound = self.inbound
        exchange = service.exchange
        while True:
            start = service.begin(inbound.line_bytes)
            environ = inbound.fields.copy() if inbound.repeated else inbound.fields
            method, environ["RAW_URI"], environ["PATH_INFO"], environ["QUERY_STRING"], version, _ = inbound.line
            environ["REQUEST_METHOD"] = method
            environ["SERVER_PROTOCOL"] = version
            framing = inbound.framing
            exchange.begin(method, version, framing.keep_alive and service.accepting, self.transmit)
            try:
                if framing is not PLAIN:
                    self.add_body(environ)
                if environ["SCRIPT_NAME"]:
                    strip_script_name(environ)
                run(service.app, environ, exchange, self.send_file if service.sendfile else None)
            except PeerGone:
                exchange.keep_alive = False
            except PeerError as error:  # a body that is being streamed, or SCRIPT_NAME
                self.refuse(error)
                return
            except BaseException as error:
                self.application_failed(environ, error)
            end = monotonic()
            service.account(environ, exchange, end - start)
            if self.fd < 0:
                return
            if self.outbound is not None or not exchange.keep_alive:
                self.leave_or_flush(exchange.keep_alive)
                return
            self.rest(end)
            if not inbound.buffer:
                inbound.next()
                if not self.registered:
                    self.register()
                return
            if not self.go_on():
                return

    def rest(self, now: float) -> None:
        """The client may be silent until it has another request."""
        self.reading = None
        keepalive = self.service.timeouts.keepalive
        self.due = due = now + keepalive if keepalive else NEVER
        reactor = self.service.reactor
        if due < reactor.wake_at:
            reactor.wake_at = due

    def go_on(self) -> bool:
        """Bytes of another request came with the last one: whether it is whole."""
        try:
            if self.inbound.next():
                return True
        except PeerError as error:
            self.refuse(error)
            return False
        self.wait_for_more()
        return False

    def leave_or_flush(self, keep_alive: bool) -> None:
        if self.outbound is not None:
            Flushing(self, self.outbound, keep_alive).begin()
        elif self.inbound.reader is not None or self.inbound.buffer:
            self.linger()  # closing over unread bytes would reset the connection, and the answer with it
        else:
            self.close()

    def application_failed(self, environ: Environ, error: BaseException) -> None:
        service, exchange = self.service, self.service.exchange
        exchange.keep_alive = False
        service.failed(environ, error)
        if exchange.head_sent:
            return
        exchange.status = "500 Internal Server Error"
        page = error_response(500, "", exchange.heads.date, exchange.heads.server, body=not exchange.head_only)
        try:
            self.transmit(page)
        except PeerGone:
            pass

    # -- the body of a request

    def add_body(self, environ: Environ) -> None:
        inbound = self.inbound
        if self.service.buffering:
            if inbound.framing.length < 0:
                # Frameworks read Content-Length bytes: what came chunked now has a length.
                environ["CONTENT_LENGTH"] = str(inbound.received)
                environ.pop("HTTP_TRANSFER_ENCODING", None)
            if self.spool is not None:
                self.spool.seek(0)
                environ["wsgi.input"], self.spool = self.spool, None
            elif inbound.received:
                environ["wsgi.input"] = io.BytesIO(inbound.take())
        elif inbound.reader is not None or inbound.pieces:
            environ["wsgi.input"] = StreamedInput(self.pull)

    def wait_for_more(self) -> None:
        """A request has begun and isn't whole."""
        now = monotonic()
        timeouts, inbound = self.service.timeouts, self.inbound
        if inbound.phase is Phase.BODY:
            if self.reading is not Phase.BODY:
                self.reading = Phase.BODY
                self.began = now
                if inbound.framing.expects and not inbound.received:
                    self.transmit_continue()
                    if self.fd < 0:
                        return
            if not self.spool_body():
                return
            self.due = self.body_due(now)
        elif self.reading is None and inbound.buffer:
            self.reading = Phase.HEAD
            self.due = now + timeouts.header if timeouts.header else NEVER
        reactor = self.service.reactor
        if not self.registered:
            self.register()
        elif self.due < reactor.wake_at:
            reactor.wake_at = self.due

    def body_due(self, now: float) -> float:
        """No progress for `body` seconds, or on the whole slower than `rate`: whichever comes first."""
        timeouts = self.service.timeouts
        if not timeouts.body:
            return NEVER
        due = now + timeouts.body
        if timeouts.rate:
            due = min(due, self.began + timeouts.body + self.inbound.received / timeouts.rate)
        return due

    def transmit_continue(self) -> None:
        try:
            self.transmit(CONTINUE)
        except PeerGone:
            self.close()

    def spool_body(self) -> bool:
        """Move what has come of a large body to a temporary file. False if the disk doesn't take it."""
        inbound = self.inbound
        if inbound.received <= self.service.request_memory:
            return True
        try:
            if self.spool is None:
                self.spool = os.fdopen(open_spool(), "w+b")
            self.spool.write(inbound.take())
        except OSError as error:
            self.refuse(PeerError(507, f"the body can't be stored: {error.strerror}"))
            return False
        return True

    def pull(self) -> bytes:
        """For an application that streams: the next piece of body, b"" at its end. Waits for the client, within limits."""
        inbound = self.inbound
        if inbound.reader is not None and inbound.framing.expects and not inbound.received and self.reading is not Phase.BODY:
            self.transmit(CONTINUE)
        if self.reading is not Phase.BODY:
            self.reading, self.began = Phase.BODY, monotonic()
        while not inbound.pieces and inbound.reader is not None:
            data = self.read_waiting(self.body_due(monotonic()))
            if not data:
                raise PeerGone("the client left in the middle of the body")
            inbound.feed(data)
        return inbound.take() if inbound.pieces else b""

    def read_waiting(self, due: float) -> bytes:
        while True:
            try:
                return read(self.fd, READ_SIZE)
            except BlockingIOError:
                if not wait_for(self.fd, READ, due):
                    raise PeerError(408, "the body came too slowly") from None
            except OSError as error:
                raise PeerGone(str(error)) from error

    # -- bytes out

    def transmit(self, data: bytes | memoryview) -> None:
        """Send now what the socket takes, and keep the rest. Raises PeerGone."""
        outbound = self.outbound
        if outbound is not None:
            self.queue(outbound, data)
            return
        try:
            sent = write(self.fd, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise PeerGone(str(error)) from error
        if sent != len(data):
            self.outbound = outbound = Outbound()
            outbound.append(memoryview(data)[sent:])

    def queue(self, outbound: Outbound, data: bytes | memoryview) -> None:
        try:
            if outbound.in_memory > IN_MEMORY // 2 and outbound.flush(self.fd):
                self.outbound = None
                self.transmit(data)
                return
        except OSError as error:
            raise PeerGone(str(error)) from error
        try:
            outbound.append(data)
        except OSError:
            self.flush_waiting(outbound)  # no room on the disk: the client sets the pace after all
            self.transmit(data)

    def flush_waiting(self, outbound: Outbound) -> None:
        outbound.spool = None
        write_timeout = self.service.timeouts.write
        while True:
            try:
                if outbound.flush(self.fd):
                    break
            except OSError as error:
                raise PeerGone(str(error)) from error
            if not wait_for(self.fd, WRITE, monotonic() + write_timeout if write_timeout else NEVER):
                raise PeerGone("the client doesn't read")
        self.outbound = None

    def send_file(self, head: bytes, file: FileWrapper, most: int | None) -> int:
        """`most` bytes of a real file, from where it stands, by sendfile. Raises PeerGone."""
        self.transmit(head)
        count = most or 0
        region = Region(os.dup(file.filelike.fileno()), file.filelike.tell(), count)
        try:
            if self.outbound is None:
                region.send(self.fd)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.ENOSYS):
                return self.send_blocks(region)
            os.close(region.fd)
            raise PeerGone(str(error)) from error
        if not region.count:
            os.close(region.fd)
            return count
        if self.outbound is None:
            self.outbound = Outbound()
        self.outbound.append_file(region)
        return count

    def send_blocks(self, region: Region) -> int:
        """A file that sendfile refuses (a pipe's end, some file systems): read it."""
        with os.fdopen(region.fd, "rb") as file:
            file.seek(region.offset)
            sent = 0
            while region.count and (data := file.read(min(region.count, READ_SIZE))):
                self.transmit(data)
                sent += len(data)
                region.count -= len(data)
        return sent

    # -- ends

    def refuse(self, error: PeerError) -> None:
        """Say what was wrong, and go. A request that was refused never reaches the application."""
        service, inbound = self.service, self.inbound
        environ = inbound.base.copy()
        head_read = inbound.phase is not Phase.HEAD
        if head_read:
            line = inbound.line
            environ.update(REQUEST_METHOD=line.method, RAW_URI=line.target, SERVER_PROTOCOL=line.version)
        service.refused(environ, error)
        heads = service.exchange.heads
        body = not head_read or inbound.line.method != "HEAD"
        try:
            self.transmit(error_response(error.status, error.detail, heads.date, heads.server, body=body))
        except PeerGone:
            self.close()
            return
        if self.outbound is not None:
            Flushing(self, self.outbound, keep_alive=False).begin()
        else:
            self.linger()

    def expire(self, now: float) -> None:
        if self.reading is None or (self.reading is Phase.HEAD and self.inbound.idle):
            self.close()  # silent since it came, or since its last response
        else:
            what = "head" if self.reading is Phase.HEAD else "body"
            self.refuse(PeerError(408, f"the {what} of the request came too slowly"))

    def linger(self) -> None:
        """Half-close, then read on for a moment: a reset would throw away what the client hasn't read."""
        try:
            half_close(self.fd)
        except OSError:
            self.close()
            return
        if not self.registered:
            self.register()
        Lingering(self).begin()

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd < 0:
            return
        if self.registered:
            self.service.reactor.remove(fd)
        os.close(fd)
        self.service.connections -= 1
        if self.outbound is not None:
            self.outbound.close()
            self.outbound = None
        if self.spool is not None:
            self.spool.close()
            self.spool = None


class Flushing:
    """A connection whose client reads slowly. It may not ask again before it has read what it asked for."""

    __slots__ = ("began", "connection", "due", "keep_alive", "outbound")

    def __init__(self, connection: Connection, outbound: Outbound, keep_alive: bool) -> None:
        self.connection = connection
        self.outbound = outbound
        self.keep_alive = keep_alive
        self.began = monotonic()
        self.due = NEVER

    def begin(self) -> None:
        connection = self.connection
        if not connection.registered:
            connection.register()
        self.set_due(self.began)
        connection.service.reactor.change(connection.fd, self, WRITE)

    def set_due(self, now: float) -> None:
        timeouts = self.connection.service.timeouts
        if timeouts.write:
            self.due = now + timeouts.write
            if timeouts.rate:
                self.due = min(self.due, self.began + timeouts.write + self.outbound.gone / timeouts.rate)

    def ready(self, _: int) -> None:
        connection = self.connection
        try:
            done = self.outbound.flush(connection.fd)
        except OSError:
            connection.close()
            return
        if not done:
            self.set_due(monotonic())
            return
        connection.outbound = None
        if not self.keep_alive or not connection.service.accepting:
            connection.linger()
            return
        connection.service.reactor.change(connection.fd, connection, READ)
        connection.rest(monotonic())
        if not connection.inbound.buffer:
            connection.inbound.next()
        elif connection.go_on():
            connection.serve()

    def expire(self, now: float) -> None:
        self.connection.close()


class Lingering:
    """A connection that has been told to go: what it still sends is read and dropped, for a moment."""

    __slots__ = ("connection", "due", "left")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.left = LINGER_BYTES
        self.due = monotonic() + LINGER

    def begin(self) -> None:
        self.connection.service.reactor.change(self.connection.fd, self, READ)

    def ready(self, _: int) -> None:
        try:
            data = read(self.connection.fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.left -= len(data)
        if not data or self.left <= 0:
            self.connection.close()

    def expire(self, now: float) -> None:
        self.connection.close()


def half_close(fd: int) -> None:
    peer = socket.socket(fileno=fd)
    try:
        peer.shutdown(socket.SHUT_WR)
    finally:
        peer.detach()


def wait_for(fd: int, events: int, due: float) -> bool:
    """Block until `fd` is ready; False if `due` comes first."""
    import select

    poller = select.poll()
    poller.register(fd, events)
    timeout = None if due is NEVER else max(0.0, due - monotonic()) * 1000
    return bool(poller.poll(timeout))
