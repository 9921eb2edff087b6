"""A connection whose TLS handshake isn't over: the state before Connection. It knows no OpenSSL, and imports none."""

from typing import TYPE_CHECKING

from corral.errors import PeerError
from corral.net.connection import Connection
from corral.net.reactor import GRAIN, LATE, READ, WRITE

if TYPE_CHECKING:
    from corral.net.tls import TlsStream


class Handshaking:
    """Handshake and first head share one deadline: until a head is whole nobody has earned more patience."""

    __slots__ = ("connection", "due", "events", "stream")

    def __init__(self, connection: Connection, stream: "TlsStream") -> None:
        self.connection = connection
        self.stream = stream
        self.due = connection.due
        self.events = READ

    def begin(self) -> None:
        self.connection.service.reactor.add(self.connection.fd, self)
        self.connection.registered = True

    def hurry(self, due: int) -> None:
        self.due = min(self.due, due)
        self.connection.service.reactor.wake_by(self.due)

    def ready(self, _: int) -> None:
        try:
            done = self.stream.handshake()
        except PeerError as error:
            self.refuse(error)
        except OSError:
            self.connection.close()  # it left, and has heard of no request
        else:
            if done:
                self.finish()
            else:
                self.wait()

    def wait(self) -> None:
        events = READ | WRITE if self.stream.blocked else READ
        if events != self.events:
            self.events = events
            self.connection.service.reactor.change(self.connection.fd, self, events)

    def finish(self) -> None:
        """The first request may have come with the end of the handshake."""
        connection = self.connection
        connection.secure(self.stream)
        connection.due = self.due
        connection.service.reactor.change(connection.fd, connection, READ)
        connection.ready(READ)

    def refuse(self, error: PeerError) -> None:
        if not self.stream.begun:
            self.connection.refuse(error)  # in the clear, which is all that this client speaks
        else:
            self.connection.report(error)
            self.connection.linger()  # the alert has been sent; a reset would overtake it

    def expire(self, now: int) -> None:
        if now - self.due > LATE:
            self.due = now + GRAIN  # this worker was in a call, and the client may have said its part meanwhile
        else:
            self.connection.close()
