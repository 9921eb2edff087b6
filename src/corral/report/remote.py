"""A daemon that is told things through a socket: syslog's, statsd's. Nothing here blocks, and nothing raises.

It knows addresses, full buffers and broken connections; not what is said.
"""

import errno
import os
import socket
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

PENDING: Final = 65536  # bytes that wait for a stream to be connected, or to be read
RETRY: Final = 5.0  # seconds until a broken stream is tried again
WAITING: Final = (errno.EAGAIN, errno.EINPROGRESS, errno.ENOTCONN)


class Address(NamedTuple):
    """`stream` None: whichever of the two the unix socket turns out to be."""

    text: str
    host: str = ""
    port: int = 0
    path: str = ""
    stream: bool | None = False


class Remote:
    """Messages for one daemon, over sockets that each process has to itself if they are streams.

    `tell` is called once in a lifetime, with the reason why the daemon can't be reached.
    """

    def __init__(self, address: Address, tell: Callable[[str], None]) -> None:
        self.address = address
        self.tell = tell
        self.told = False
        self.stream = bool(address.stream)
        self.socket: socket.socket | None = None
        self.owner = os.getpid()
        self.pending = b""
        self.again = 0.0
        self.family = socket.AF_UNIX if address.path else socket.AF_INET
        self.where: Any = address.path

    def start(self) -> None:
        """Look the name up, which may take its time: now, and never again."""
        if self.where:
            return
        kind = socket.SOCK_STREAM if self.stream else socket.SOCK_DGRAM
        try:
            found = socket.getaddrinfo(self.address.host, self.address.port, type=kind)
        except OSError as error:
            self.fail(error)
            return
        # IPv4 first: daemons on localhost listen there more often than not, and a datagram can't tell.
        self.family, _, _, _, self.where = min(found, key=lambda info: info[0] != socket.AF_INET)

    def send(self, message: bytes) -> None:
        """Soon, or never: a message is worth less than the time of a request."""
        if not self.where:
            return
        try:
            if self.stream:
                self.send_stream(message)
            else:
                self.send_datagram(message)
        except OSError as error:
            if error.errno not in WAITING:
                self.drop(error)

    def send_datagram(self, message: bytes) -> None:
        if self.socket is None:
            self.socket = socket.socket(self.family, socket.SOCK_DGRAM)
            self.socket.setblocking(False)
        try:
            # Not connected: a daemon that restarts is found again, and a refusal costs no later message.
            self.socket.sendto(message, self.where)
        except OSError as error:
            if error.errno != errno.EPROTOTYPE or self.address.stream is not None:
                raise
            self.disconnect()
            self.stream = True
            self.send_stream(message)

    def send_stream(self, message: bytes) -> None:
        """A line is a message (RFC 6587 §3.4.2); #012 is what rsyslog writes for a line's end in one."""
        line = message.replace(b"\n", b"#012") + b"\n"
        if self.owner != os.getpid():
            self.disconnect()  # after a fork the other end of it belongs to the parent
            self.owner = os.getpid()
        if len(self.pending) + len(line) <= PENDING:
            self.pending += line
        if self.socket is None:
            if time.monotonic() < self.again:
                self.pending = b""
                return
            self.connect()
        assert self.socket is not None
        self.pending = self.pending[self.socket.send(self.pending) :]

    def connect(self) -> None:
        self.socket = socket.socket(self.family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        failure = self.socket.connect_ex(self.where)
        if failure not in (0, errno.EINPROGRESS):
            # EAGAIN, too: to a unix socket whose queue is full nothing is in progress.
            raise ConnectionError(failure, os.strerror(failure))

    def disconnect(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        self.pending = b""

    def drop(self, error: OSError) -> None:
        if self.stream:
            self.disconnect()
            self.again = time.monotonic() + RETRY
        self.fail(error)

    def fail(self, error: OSError) -> None:
        if not self.told:
            self.told = True
            self.tell(error.strerror or str(error))

    def close(self) -> None:
        """Until something is sent again."""
        self.disconnect()


def split_port(text: str, default: int) -> tuple[str, int] | None:
    """`host`, `host:port`, `[::1]:port`; None if it is neither."""
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default)
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        return None
    return host.strip("[]") or "localhost", int(port)
