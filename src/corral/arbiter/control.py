"""The control socket: HTTP with JSON over a unix socket, a request a connection, in the arbiter's own loop.

It knows sockets and the little of HTTP that curl and `corral ctl` speak. It never waits for a visitor and keeps few of
them, for nothing here may hold up the arbiter.
"""

import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from corral.arbiter.answers import Parameters, Refusal, Respond
from corral.arbiter.arbiter import Arbiter
from corral.arbiter.plan import SECOND
from corral.config.address import Address
from corral.errors import ConfigError
from corral.net.listener import Listener, remove_stale

MOST_VISITORS = 16
MOST_BYTES = 16384  # of a request
PATIENCE = 10 * SECOND  # for a request to come, and for a response to be taken
REASONS = {
    200: "OK", 202: "Accepted", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    413: "Content Too Large", 500: "Internal Server Error", 503: "Service Unavailable",
}  # fmt: skip
Answering = Callable[[str, str, Parameters, Respond], None]


class Control:
    """The socket. `private` are the descriptors that forked processes close."""

    def __init__(self, arbiter: Arbiter, path: str, mode: int, private: set[int], answer: Answering) -> None:
        """Raises ConfigError."""
        self.arbiter = arbiter
        self.path = path
        self.mode = mode
        self.private = private
        self.answer = answer
        self.visitors: set[Visitor] = set()
        self.listener = open_socket(path, mode)
        self.hold(self.listener.socket, self.accept)

    def accept(self) -> None:
        try:
            connection, _ = self.listener.socket.accept()
        except OSError:
            return  # it has left again
        if len(self.visitors) >= MOST_VISITORS:
            connection.close()
            return
        connection.setblocking(False)
        self.visitors.add(Visitor(self, connection))

    def hold(self, sock: socket.socket, ready: Callable[[], None]) -> None:
        self.private.add(sock.fileno())
        self.arbiter.watch(sock.fileno(), ready)

    def drop(self, sock: socket.socket) -> None:
        self.arbiter.unwatch(sock.fileno())
        self.private.discard(sock.fileno())
        sock.close()

    def close(self) -> None:
        for visitor in list(self.visitors):
            visitor.leave()
        self.listener.unlink()
        self.drop(self.listener.socket)


class Visitor:
    """One connection: its request comes, then its response goes."""

    def __init__(self, control: Control, connection: socket.socket) -> None:
        self.control = control
        self.connection = connection
        self.received = b""
        self.asked = False
        self.response: bytes | None = None
        control.hold(connection, self.ready)
        self.limit()

    def limit(self) -> None:
        """Whoever is slow with what is due now must leave."""
        now = (self.asked, self.response is not None)

        def look() -> None:
            if now == (self.asked, self.response is not None):
                self.leave()

        self.control.arbiter.at(time.monotonic_ns() + PATIENCE, look)

    def ready(self) -> None:
        if self.response is not None:
            self.write()
            return
        try:
            data = self.connection.recv(MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.leave()
        elif not self.asked:
            self.received += data
            self.read()

    def read(self) -> None:
        try:
            request = parse(self.received)
            if request is None:
                return
            self.asked = True
            self.control.answer(*request, self.respond)
        except Refusal as refusal:
            self.respond(refusal.status, {"ok": False, "error": str(refusal)})
        except Exception as error:
            self.control.arbiter.log.exception("The control socket failed")
            self.respond(500, {"ok": False, "error": f"{type(error).__name__}: {error}"})

    def respond(self, status: int, answer: dict[str, Any]) -> None:
        """Does nothing for a visitor who hasn't waited."""
        import json  # lazily: most servers are never asked

        if self not in self.control.visitors or self.response is not None:
            return
        body = json.dumps(answer, indent=1).encode() + b"\n"
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        self.response = head.encode() + body
        self.limit()
        self.write()

    def write(self) -> None:
        assert self.response is not None
        try:
            self.response = self.response[self.connection.send(self.response) :]
        except BlockingIOError:
            pass
        except OSError:
            self.response = b""
        if not self.response:
            self.leave()
        else:
            self.control.arbiter.watch(self.connection.fileno(), self.ready, select.POLLOUT)

    def leave(self) -> None:
        if self in self.control.visitors:
            self.control.visitors.remove(self)
            self.control.drop(self.connection)


def open_socket(path: str, mode: int) -> Listener:
    """Raises ConfigError. Nobody else has it for a moment: it is made without rights, which it then gets."""
    address = Address(path, path=path)
    try:
        remove_stale(address, path)
    except ConfigError as error:
        raise ConfigError(str(error).replace("bind", "control_socket", 1)) from None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o777)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        os.chmod(path, mode)
        sock.listen(MOST_VISITORS)
    except OSError as error:
        sock.close()
        raise ConfigError(f"control_socket {path!r}: {error.strerror or error}") from None
    listener = Listener(sock, address)
    listener.claim(path)
    return listener


def parse(received: bytes) -> tuple[str, str, Parameters] | None:
    """Method, name and parameters; None if more is needed. Raises Refusal."""
    head, end, body = received.partition(b"\r\n\r\n")
    length = 0
    lines = head.decode("latin-1").split("\r\n")
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value) if value.strip().isdecimal() else MOST_BYTES
    if len(head) + length >= MOST_BYTES:
        raise Refusal(413, f"a request has at most {MOST_BYTES} bytes")
    if not end or len(body) < length:
        return None
    words = lines[0].split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise Refusal(400, "this is no request of HTTP/1.1")
    path, _, query = words[1].partition("?")
    return words[0], path.strip("/"), parameters(query, body[:length])


def parameters(query: str, body: bytes) -> Parameters:
    """Of the query, and of the JSON object in the body."""
    found: dict[str, Any] = {}
    for pair in filter(None, query.split("&")):
        name, equals, value = pair.partition("=")
        found[name] = value if equals else "1"
    if body:
        import json

        with suppress(ValueError):
            data = json.loads(body)
            if isinstance(data, dict):
                return found | data
        raise Refusal(400, "the body is no JSON object")
    return found
