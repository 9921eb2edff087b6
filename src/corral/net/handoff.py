"""Connections move between workers: one channel that all of them share, and what goes with a connection through it.

It knows descriptors and messages. Which connection moves, and when, is decided by whoever has it; who takes it is
whoever is idle, for a busy worker doesn't look. If the channel is full, or the platform has none, a connection stays
where it is: nothing is ever lost by moving.

A message is one packet: VERSION, the lengths of what follows, the name of the listener, the peer and the environ keys
that are the connection's own, and what of a request has been read. The descriptor goes beside it (unix(7), SCM_RIGHTS).
What waits in the channel is in the kernel: it survives its sender, and every receiver that hasn't taken it.
"""

import os
import socket
import struct
from typing import Any, Final, NamedTuple, TypeGuard

from corral.net.connection import Connection
from corral.net.reactor import EXCLUSIVE, NEVER, READ, SECOND, monotonic
from corral.net.service import Origin

VERSION: Final = 1
# version, bytes of the listener's name, of the pairs, requests served so far, when it left (monotonic nanoseconds)
HEAD: Final = struct.Struct("!BHHIQ")
MOST_BYTES: Final = 60_000  # of a request that has begun: a packet must fit the socket's buffer
LONGEST: Final = HEAD.size + 2 * 65535 + MOST_BYTES
BUFFER: Final = 4 << 20  # some thousand connections in transit
PAUSE: Final = SECOND // 2  # of looking away from what this worker can't take
BURST: Final = 4  # taken a wake-up: others may be idle as well
OWN: Final = ("REMOTE_ADDR", "REMOTE_PORT", "PROXY_PROTOCOL", "PROXY_ADDR", "PROXY_PORT")


class Passage(NamedTuple):
    """What goes with a connection."""

    listener: str
    peer: tuple[str, int]
    own: dict[str, str]
    served: int
    read: bytes
    left: int = 0

    def pack(self) -> bytes:
        listener = self.listener.encode()
        pairs = "\0".join((str(self.peer[0]), str(self.peer[1]), *(text for pair in self.own.items() for text in pair)))
        packed = pairs.encode("utf-8", "surrogateescape")
        return HEAD.pack(VERSION, len(listener), len(packed), self.served, self.left) + listener + packed + self.read


def unpack(message: bytes) -> Passage | None:
    """None: it is from a later version, which does otherwise."""
    if len(message) < HEAD.size or message[0] != VERSION:
        return None
    _, first, second, served, left = HEAD.unpack_from(message)
    listener = message[HEAD.size : HEAD.size + first].decode()
    pairs = message[HEAD.size + first : HEAD.size + first + second].decode("utf-8", "surrogateescape").split("\0")
    host, port, *own = pairs
    read = message[HEAD.size + first + second :]
    return Passage(listener, (host, int(port)), dict(zip(own[::2], own[1::2], strict=True)), served, read, left)


class Channel:
    """Both ends; every process has both, so that it lives as long as any of them."""

    __slots__ = ("giving", "taking")

    def __init__(self, giving: socket.socket, taking: socket.socket) -> None:
        self.giving = giving
        self.taking = taking

    @classmethod
    def open(cls) -> "Channel | None":
        """None where the platform has no packets in order over unix sockets (macOS)."""
        try:
            giving, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except (OSError, AttributeError):
            return None
        for end in (giving, taking):
            end.setblocking(False)
        giving.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        return cls(giving, taking)

    def give(self, fd: int, message: bytes) -> bool:
        """Whether it has left; the sender closes its own descriptor then."""
        try:
            socket.send_fds(self.giving, [message], [fd])
        except OSError:
            return False  # full, or too many descriptors in flight
        return True

    def take(self) -> tuple[int, bytes] | None:
        """The next connection's descriptor and its message; None if there is none, or somebody was quicker."""
        message, fds, _, _ = socket.recv_fds(self.taking, LONGEST, 1)
        return (fds[0], message) if fds else None


def movable(connection: Any) -> TypeGuard[Connection]:
    """A plain connection, between two requests or with one that is only beginning."""
    if not isinstance(connection, Connection) or connection.fd < 0 or connection.stream is not None:
        return False
    inbound = connection.inbound
    return (
        connection.outbound is None
        and connection.spool is None
        and inbound.between
        and len(inbound.buffer) <= MOST_BYTES
    )


def pack(connection: Connection) -> bytes:
    inbound = connection.inbound
    own: dict[str, str] = {name: inbound.own[name] for name in OWN if name in inbound.own}
    served = 0 if connection.fresh else 1
    return Passage(
        connection.origin.name, connection.peer or ("", 0), own, served, bytes(inbound.buffer), monotonic()
    ).pack()


def give(connection: Connection, channel: Channel) -> bool:
    """Let a connection go to whoever is idle. False: it stays."""
    if not channel.give(connection.fd, pack(connection)):
        return False
    connection.close()  # this process's descriptor; the connection is in the channel
    return True


class Taker:
    """Takes connections from the channel while this worker is idle. From `ceiling` on there are too many."""

    def __init__(self, channel: Channel, origins: dict[str, Origin], ceiling: int = NEVER) -> None:
        self.channel = channel
        # A PROXY header stands at a connection's beginning, and that has been read.
        self.origins = {name: origin._replace(announced=None) for name, origin in origins.items()}
        self.service: Any = next(iter(origins.values())).service
        self.ceiling = ceiling
        self.opened = False
        self.inline = True  # a connection that is taken is served at once
        self.due = NEVER

    def open(self) -> None:
        if not self.opened:
            self.opened = True
            self.service.reactor.add(self.channel.taking.fileno(), self, READ | EXCLUSIVE)

    def close(self) -> None:
        if self.opened:
            self.opened = False
            self.service.reactor.remove(self.channel.taking.fileno())
        self.service.reactor.cancel(self)

    def suspend(self) -> None:
        """Look away: this worker can't serve anybody now. A few that wait are taken first, for whoever is free."""
        inline, self.inline = self.inline, False
        self.ready(0)
        self.inline = inline
        self.close()

    def ready(self, _: int) -> None:
        for _turn in range(BURST):
            if not self.take_one():
                return

    def drain(self) -> None:
        """All that wait: nobody else is left to take them."""
        while self.take_one():
            pass

    def take_one(self) -> bool:
        try:
            taken = self.channel.take()
        except OSError:
            return False  # somebody was quicker
        return taken is not None and self.adopt(*taken)

    def adopt(self, fd: int, message: bytes) -> bool:
        """Whether to go on taking."""
        passage = unpack(message)
        if passage is None:
            self.channel.give(fd, message)  # whoever has sent it may know it, or its heir
            os.close(fd)
            self.pause()
            return False
        os.set_blocking(fd, False)
        origin = self.origins.get(passage.listener) or next(iter(self.origins.values()))
        connection = (origin.connection or Connection)(fd, passage.peer, origin)
        connection.inbound.own.update(passage.own)
        if passage.served and not passage.read:
            connection.reading = None
            connection.due = self.service.reactor.now + self.service.keepalive
        connection.inbound.buffer = bytearray(passage.read)
        self.service.taken += 1
        self.service.reactor.note_wait(monotonic() - passage.left)  # all were busy
        if self.inline:
            connection.ready(READ)
        else:
            connection.register()
        if fd >= self.ceiling:
            self.pause()
            return False
        return True

    def pause(self) -> None:
        self.close()
        self.service.reactor.later(self, monotonic() + PAUSE)

    def expire(self, now: int) -> None:
        self.due = NEVER
        self.open()
