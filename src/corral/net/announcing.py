"""A TLS connection whose PROXY header hasn't come: the state before Handshaking.

The header comes in the clear, so that a proxy need not hold the certificate. It knows no header, and imports no TLS.
"""

import os
import socket
from typing import TYPE_CHECKING, cast

from corral.errors import PeerError
from corral.net.handshake import Handshaking
from corral.net.reactor import READ
from corral.net.states import READ_SIZE

if TYPE_CHECKING:
    from corral.http.proxy import AnnouncedInbound


class Announcing(Handshaking):
    """Header, handshake and first head share one deadline."""

    __slots__ = ()

    def ready(self, _: int) -> None:
        connection = self.connection
        inbound = cast("AnnouncedInbound", connection.inbound)
        try:
            data = peek(connection.fd)
            if not data:
                connection.close()
                return
            heard = inbound.hear(data)
            # The handshake reads for itself: it must find its own first byte, and nothing before it.
            os.read(connection.fd, max(0, len(data) - len(inbound.header.rest)))
        except BlockingIOError:
            return
        except PeerError as error:
            self.refuse(error)
            return
        except OSError:
            connection.close()
            return
        if heard:
            self.go_on()

    def go_on(self) -> None:
        connection = self.connection
        handshaking = Handshaking(connection, self.stream)
        handshaking.due = self.due
        connection.service.reactor.change(connection.fd, handshaking, READ)
        handshaking.ready(READ)


def peek(fd: int) -> bytes:
    peer = socket.socket(fileno=fd)
    try:
        return peer.recv(READ_SIZE, socket.MSG_PEEK)
    finally:
        peer.detach()
