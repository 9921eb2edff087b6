"""One client's connection: bytes to requests, requests to the application, answers to bytes; and every deadline of it.

It joins http, gateway and the reactor; it must not know processes, signals or logs: whoever serves is a `Service`.
A connection's state is the handler that the reactor holds for it: Connection reads requests; net.states has the others.
"""

import io
import os
from collections.abc import Callable
from io import BytesIO
from socket import AF_UNIX
from sys import getrefcount
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from corral.errors import PeerError
from corral.gateway.body import StreamedInput
from corral.gateway.exchange import Exchange, Transmit, over
from corral.gateway.wsgi import Environ, FileWrapper, run, strip_script_name
from corral.http.head import PLAIN, RequestLine
from corral.http.inbound import Inbound, Phase
from corral.http.response import error_response
from corral.net.descriptor import PeerSocket, half_close, has_left, peek, send_last, wait_for, waited
from corral.net.outbound import IN_MEMORY, NO_SENDFILE, Outbound, Region, open_spool, sendfile
from corral.net.reactor import GRAIN, LATE, LONG, READ, WRITE, monotonic
from corral.net.service import Origin
from corral.net.states import READ_SIZE, Flushing, Lingering, progress_due

if TYPE_CHECKING:
    from corral.net.tls import TlsStream

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
read = os.read
write = os.write


def references(holder: Any) -> int:
    """How many there are to an object that an attribute holds, as `serve` counts them: Pythons differ."""
    exchange = holder.exchange
    return getrefcount(exchange)


# An exchange of which an application holds nothing is used again: another one for each request would cost 0.3 µs.
UNSHARED: Final = references(SimpleNamespace(exchange=object()))


class PeerGone(ConnectionError):
    """The client left before its answer was sent: nobody's fault, and nothing to log as an error."""


class Connection:
    __slots__ = (
        "began", "due", "fd", "inbound", "origin", "outbound", "peer", "read", "reading", "registered", "sender",
        "service", "spool", "stream", "write",
    )  # fmt: skip
    read: Callable[[int, int], bytes]
    write: Callable[[int, bytes | memoryview], int]

    def __init__(self, fd: int, peer: Any, origin: Origin) -> None:
        self.fd = fd
        self.read = read
        self.write = write
        self.sender: Transmit = self.transmit  # what exchanges hold: bound once, 0.05 µs
        self.stream: TlsStream | None = None
        self.service = service = origin.service
        self.origin = origin
        self.peer = peer
        prepare = origin.prepare_trusted
        own: Environ
        if origin.local:
            own = {"gunicorn.socket": PeerSocket(fd), "REMOTE_ADDR": ""}
        else:
            address = peer[0]
            own = {"gunicorn.socket": PeerSocket(fd), "REMOTE_ADDR": address, "REMOTE_PORT": str(peer[1])}
            if not origin.trusts(address):
                prepare = origin.prepare_plain
        self.inbound = origin.inbound(origin.base, service.limits, prepare, service.streaming, own)
        if origin.announced is not None:
            self.inbound = origin.announced(self.inbound, self.enter)
        self.outbound: Outbound | None = None
        self.spool: io.BufferedRandom | None = None
        self.registered = False
        self.reading: Phase | None = Phase.HEAD  # what `due` limits; None while the client may be silent
        self.began = 0  # the body
        self.due = service.reactor.now + service.timeouts.header
        service.connections += 1

    def ready(self, _: int) -> None:
        read = self.read  # not self.read(...): CPython looks methods up slowly where there is a slot, 0.04 µs
        inbound = self.inbound
        try:
            data = read(self.fd, inbound.room)
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
            whole = inbound.receive(data)
        except PeerError as error:
            self.refuse(error)
            return
        if whole:
            self.serve()
        else:
            self.wait_for_more()

    def enter(self, inbound: Inbound) -> None:
        """The PROXY header has been read: what follows is the client's."""
        self.inbound = inbound

    @property
    def fresh(self) -> bool:
        """Nothing has come yet."""
        return self.reading is Phase.HEAD and self.fd >= 0 and self.inbound.idle

    def register(self) -> None:
        self.registered = True  # before it is so: from then on another thread may have the connection
        self.service.reactor.add(self.fd, self)

    def secure(self, stream: "TlsStream") -> None:
        """A handshake is over: what is read and written from now on is sealed."""
        self.stream = stream
        self.read = stream.read
        self.write = stream.write
        self.inbound.own["gunicorn.socket"] = stream.peer_socket()

    # -- a request that is whole

    def serve(self) -> None:
        """Answer the request that stands, and those that came with it."""
        service = self.service
        inbound = self.inbound
        while True:
            start = service.begin(inbound.line_bytes)
            if start < service.reactor.late_until and not self.still_wanted(start):
                return
            environ = inbound.fields.copy() if inbound.repeated else inbound.fields
            method, environ["RAW_URI"], environ["PATH_INFO"], environ["QUERY_STRING"], version, _ = inbound.line
            environ["REQUEST_METHOD"] = method
            framing = inbound.framing
            keep_alive = service.keeping
            if framing is not PLAIN:
                # While a streamed body is unread nothing is promised: `pull` does, at its end.
                keep_alive = keep_alive and framing[1] and inbound.reader is None
            exchange = service.exchange
            if getrefcount(exchange) == UNSHARED:
                exchange.renew(method, version, keep_alive, self.sender)
            else:
                exchange = service.exchange = Exchange(service.heads, method, version, keep_alive, self.sender)
            environ["wsgi.early_hints"] = exchange.early_hints
            body = inbound.body
            if body is not None:
                environ["wsgi.input"] = BytesIO(body)
                inbound.body = None
            elif framing[0] and not self.add_body(environ, exchange):
                return
            try:
                if environ["SCRIPT_NAME"]:
                    strip_script_name(environ)
                run(service.app, environ, exchange, self if service.sendfile else None)
            except PeerGone:
                exchange.keep_alive = False
            except PeerError as error:  # a body that is being streamed, or SCRIPT_NAME
                error.line = inbound.line
                self.refuse(error, exchange)
                return
            except BaseException as error:
                self.application_failed(environ, exchange, error)
            if framing is not PLAIN and body is None:
                self.end_body(exchange)
            end = service.account(environ, exchange, start)
            exchange.transmit = over
            if self.outbound is not None or not exchange.keep_alive:
                self.leave_or_flush(exchange.keep_alive)
                return
            # The client may be silent until it has another request.
            self.reading = None
            self.due = due = end + service.keepalive
            if due < service.reactor.wake_at:
                service.reactor.wake_at = due
            if framing is not PLAIN and body is None:
                inbound.forget_body()
            if not inbound.buffer:
                if not self.registered:
                    self.register()
                return
            if not self.go_on():
                return

    def still_wanted(self, start: int) -> bool:
        """A request that had to wait for a long call: answer it only if somebody waits for the answer. One that hadn't
        may come of a client that has half-closed its connection, and is still there."""
        service, inbound = self.service, self.inbound
        family, reactor = self.origin.family, service.reactor
        wait = waited(self.fd, family)
        # Over a unix socket nobody knows: then whoever comes after a long call, but not this second's sample.
        late = wait > LONG or (family == AF_UNIX and reactor.late_until > start + 1)
        if late and has_left(self.fd):
            service.dropped(self.environ_of(inbound.line))
            self.close()
            return False
        reactor.note_wait(wait)
        if service.timeouts.queue < wait:
            error = PeerError(503, "the request has waited for a worker for too long")
            error.line = inbound.line
            self.refuse(error)
            return False
        return True

    def go_on(self) -> bool:
        """Whether another request came whole with the one that was answered."""
        self.service.end_call()
        try:
            if self.inbound.next():
                return True
        except PeerError as error:
            self.refuse(error)
            return False
        if not self.inbound.idle:
            self.wait_for_more()
        elif not self.registered:
            self.register()
        return False

    def leave_or_flush(self, keep_alive: bool) -> None:
        self.service.end_call()
        if self.outbound is not None:
            Flushing(self, self.outbound, keep_alive).begin()
        elif self.inbound.reader is not None or self.inbound.buffer:
            self.linger()  # closing over unread bytes would reset the connection, and the answer with it
        else:
            self.close()

    def application_failed(self, environ: Environ, exchange: Exchange, error: BaseException) -> None:
        service = self.service
        exchange.keep_alive = False
        service.failed(environ, error)
        if exchange.head_sent:
            return
        exchange.status = "500 Internal Server Error"
        heads = service.heads
        page = error_response(500, "", heads.date, heads.server, body=not exchange.head_only)
        try:
            self.transmit(page)
        except PeerGone:
            pass

    # -- the body of a request

    def add_body(self, environ: Environ, exchange: Exchange) -> bool:
        """Set wsgi.input, for a body that didn't come with its head. False if it can't be stored, and the request has
        been refused."""
        inbound = self.inbound
        if not self.service.streaming:
            if inbound.framing.length < 0:
                # Frameworks read Content-Length bytes: what came chunked now has a length.
                environ["CONTENT_LENGTH"] = str(inbound.received)
                environ.pop("HTTP_TRANSFER_ENCODING", None)
            if self.spool is not None:
                if not self.spool_body(whole=True):
                    return False
                environ["wsgi.input"] = self.spool
            elif inbound.received:
                environ["wsgi.input"] = BytesIO(inbound.take())
        elif inbound.reader is not None or inbound.pieces:
            environ["wsgi.input"] = StreamedInput(lambda: self.pull(exchange))
        return True

    def end_body(self, exchange: Exchange) -> None:
        if self.inbound.reader is not None:
            exchange.keep_alive = False  # a streamed body that nobody read: the next request can't be found
        if self.spool is not None:
            self.spool.close()  # not left to whoever may keep the environ
            self.spool = None

    def wait_for_more(self) -> None:
        """A request has begun and isn't whole."""
        now = monotonic()
        inbound = self.inbound
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
            self.due = now + self.service.timeouts.header
        reactor = self.service.reactor
        if not self.registered:
            self.register()
        elif self.due < reactor.wake_at:
            reactor.wake_at = self.due

    def body_due(self, now: int) -> int:
        return progress_due(
            now, self.began, self.inbound.received, self.service.timeouts.body, self.service.timeouts.pace
        )

    def transmit_continue(self) -> None:
        try:
            self.transmit(CONTINUE)
        except PeerGone:
            self.close()

    def spool_body(self, *, whole: bool = False) -> bool:
        """Move what has come of a large body to a temporary file. False if the disk doesn't take it."""
        inbound = self.inbound
        if inbound.received <= self.service.request_memory:
            return True
        try:
            if self.spool is None:
                self.spool = os.fdopen(open_spool(), "w+b")
            self.spool.write(inbound.take())
            if whole:
                self.spool.seek(0)  # writes what the file object has kept
        except OSError as error:
            refusal = PeerError(507, f"the body can't be stored: {error.strerror}")
            refusal.line = inbound.line
            self.refuse(refusal)
            return False
        return True

    def pull(self, exchange: Exchange) -> bytes:
        """For an application that streams: the next piece of body, b"" at its end. Waits for the client."""
        inbound = self.inbound
        if exchange.transmit is over:
            return b""  # kept past its request: what comes now is the next one's
        if (
            inbound.reader is not None
            and inbound.framing.expects
            and not inbound.received
            and self.reading is not Phase.BODY
            and not exchange.head_sent
        ):
            self.transmit(CONTINUE)
        if self.reading is not Phase.BODY:
            self.reading, self.began = Phase.BODY, monotonic()
        while not inbound.pieces and inbound.reader is not None:
            data = self.read_waiting(self.body_due(monotonic()))
            if not data:
                raise PeerGone("the client left in the middle of the body")
            if inbound.feed(data) and not exchange.head_sent:
                exchange.keep_alive = inbound.framing.keep_alive and self.service.keeping
        return inbound.take() if inbound.pieces else b""

    def read_waiting(self, due: int) -> bytes:
        while True:
            try:
                return self.read(self.fd, READ_SIZE)
            except BlockingIOError:
                if not wait_for(self.fd, READ, due):
                    raise PeerError(408, "the body came too slowly") from None
            except OSError as error:
                raise PeerGone(str(error)) from error

    # -- bytes out

    def transmit(self, data: bytes | memoryview, last: bool = False) -> None:
        """Send now what the socket takes, and keep the rest. Raises PeerGone."""
        outbound = self.outbound
        if outbound is not None:
            self.queue(outbound, data)
            return
        write = self.write
        try:
            if last and self.stream is None:
                sent = send_last(self.fd, self.origin.family, data)
            else:
                sent = write(self.fd, data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise PeerGone(str(error)) from error
        if sent != len(data):
            self.outbound = outbound = self.new_outbound()
            outbound.append(memoryview(data)[sent:])

    def new_outbound(self) -> Outbound:
        stream = self.stream
        return Outbound() if stream is None else Outbound(stream.write, stream.sendfile)

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
            if not wait_for(self.fd, WRITE, monotonic() + write_timeout):
                raise PeerGone("the client doesn't read")
        self.outbound = None

    def send_file(self, head: bytes, file: FileWrapper, most: int | None) -> int:
        """`most` bytes of a real file, from where it stands, by sendfile. How many there were. Raises PeerGone."""
        self.transmit(head)
        source, count = file.filelike, most or 0
        region = Region(source.fileno(), source.tell(), count)
        try:
            if self.outbound is None:
                region.send(self.fd, sendfile=sendfile if self.stream is None else self.stream.sendfile)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno in NO_SENDFILE:
                return self.send_blocks(source, region)
            raise PeerGone(str(error)) from error
        if region.count:
            try:
                region.fd = os.dup(region.fd)  # the application closes its own before the reader has read
            except OSError:
                return count - region.count + self.send_blocks(source, region)
            if self.outbound is None:
                self.outbound = self.new_outbound()
            self.outbound.append_file(region)
        return count

    def send_blocks(self, source: BinaryIO, region: Region) -> int:
        """What sendfile refuses (some file systems), or there is no descriptor for: read it."""
        source.seek(region.offset)
        sent = 0
        while sent < region.count and (data := source.read(min(region.count - sent, READ_SIZE))):
            self.transmit(data)
            sent += len(data)
        return sent

    # -- ends

    def refuse(self, error: PeerError, exchange: Exchange | None = None) -> None:
        """Say what was wrong, and go. Only a request whose body is streamed has an `exchange` then: all others have not
        reached the application."""
        self.service.end_call()
        line = self.report(error)
        if exchange is not None and exchange.head_sent:
            self.leave_or_flush(False)  # the application has said something else already
            return
        heads = self.service.heads
        body = line is None or line[0] != "HEAD"
        try:
            self.transmit(error_response(error.status, error.detail, heads.date, heads.server, body=body))
        except PeerGone:
            self.close()
            return
        if self.outbound is not None:
            Flushing(self, self.outbound, keep_alive=False).begin()
        else:
            self.linger()

    def report(self, error: PeerError) -> RequestLine | None:
        """Tell the service who was refused; the line of the request, if it was read."""
        line = error.line if self.inbound.phase is Phase.HEAD else self.inbound.line
        self.service.refused(self.environ_of(line), error)
        return line

    def environ_of(self, line: RequestLine | None) -> Environ:
        """What is known of a request that the application doesn't get, for the logs."""
        inbound = self.inbound
        environ = {key: value for key, value in (inbound.base | inbound.own).items() if value != ""}
        if line is not None:
            method, target, path, query, version, _ = line
            environ.update(
                REQUEST_METHOD=method, RAW_URI=target, PATH_INFO=path, QUERY_STRING=query, SERVER_PROTOCOL=version
            )
        return environ

    def expire(self, now: int) -> None:
        silent = self.reading is None or (self.reading is Phase.HEAD and self.inbound.idle)
        if (silent or now - self.due > LATE) and peek(self.fd, self.origin.family, 1):
            self.due = now + GRAIN  # it is this worker who is late, after a long call: what the client says is here
        elif silent:
            self.close()  # since it came, or since its last response
        else:
            what = "head" if self.reading is Phase.HEAD else "body"
            self.refuse(PeerError(408, f"the {what} of the request came too slowly"))

    def linger(self) -> None:
        """Half-close, then read on for a moment: a reset would throw away what the client hasn't read."""
        try:
            if self.stream is None:
                half_close(self.fd)
            else:
                self.stream.half_close()
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
        self.sender = over  # or the connection would hold itself
        if self.registered:
            self.service.reactor.remove(fd)
        if self.stream is not None:
            self.stream.say_goodbye()
        os.close(fd)
        self.inbound.own["gunicorn.socket"].part()
        self.service.connections -= 1
        if self.outbound is not None:
            self.outbound.close()
            self.outbound = None
        if self.spool is not None:
            self.spool.close()
            self.spool = None
