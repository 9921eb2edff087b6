"""What a connection is while it reads no requests: each a handler of its descriptor, or a stand-in.

Flushing writes what a slow client hasn't taken, Lingering waits until a refused one has read why. They know deadlines
and bytes that nobody parses; what comes before and after them is the connection's.
"""

import os
from typing import TYPE_CHECKING, Final

from corral.net.outbound import Outbound
from corral.net.reactor import GRAIN, LATE, NEVER, READ, SECOND, WRITE, monotonic

if TYPE_CHECKING:
    from corral.net.connection import Connection

READ_SIZE: Final = 65536
LINGER: Final = 2 * SECOND  # of silence, for a refused client to read why
LONGEST_LINGER: Final = 10 * SECOND
LINGER_BYTES: Final = 64 << 20  # many clients read nothing before they have sent all; dropping it costs 20 ms
read = os.read


class Parked:
    """Stands for a connection that somebody has in hand who doesn't poll: epoll tells nothing of it, and it is still
    among the handlers."""

    due = NEVER

    def ready(self, _: int) -> None:
        pass

    def expire(self, now: int) -> None:
        pass


PARKED: Final = Parked()


class Flushing:
    """A connection whose client reads slowly. It may not ask again before it has read what it asked for."""

    __slots__ = ("began", "connection", "due", "keep_alive", "outbound")

    def __init__(self, connection: "Connection", outbound: Outbound, keep_alive: bool) -> None:
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

    def set_due(self, now: int) -> None:
        timeouts = self.connection.service.timeouts
        self.due = progress_due(now, self.began, self.outbound.gone, timeouts.write, timeouts.pace)

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
        if not self.keep_alive or not connection.service.keeping:
            connection.linger()
            return
        connection.reading = None
        connection.due = monotonic() + connection.service.keepalive
        connection.service.reactor.change(connection.fd, connection, READ)
        if connection.go_on():
            connection.serve()

    def expire(self, now: int) -> None:
        if now - self.due > LATE:
            self.due = now + GRAIN  # the client may have read meanwhile
        else:
            self.connection.close()


class Lingering:
    """A connection that has been told to go: what it still sends is read and dropped, for a moment."""

    __slots__ = ("connection", "due", "end", "left")

    def __init__(self, connection: "Connection") -> None:
        now = monotonic()
        self.connection = connection
        self.left = LINGER_BYTES
        self.end = now + LONGEST_LINGER
        self.due = now + LINGER

    def begin(self) -> None:
        self.connection.service.reactor.change(self.connection.fd, self, READ)

    def ready(self, _: int) -> None:
        try:
            data = read(self.connection.fd, READ_SIZE)  # sealed or not
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.left -= len(data)
        if not data or self.left <= 0:
            self.connection.close()
        self.due = min(monotonic() + LINGER, self.end)

    def expire(self, now: int) -> None:
        self.connection.close()


def progress_due(now: int, began: int, done: int, timeout: int, pace: int) -> int:
    """No progress for `timeout`, or on the whole slower than `pace` allows: whichever comes first."""
    if not pace:
        return now + timeout
    return min(now + timeout, began + timeout + done * pace)
