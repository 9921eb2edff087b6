"""Takes connections from a listener. It knows how many at a time, and what to do when no descriptor is left."""

import errno
import os
from collections.abc import Callable
from typing import Final

from corral.net.connection import Connection
from corral.net.handshake import Handshaking
from corral.net.listener import Listener
from corral.net.reactor import EXCLUSIVE, NEVER, READ, SECOND, monotonic
from corral.net.service import Origin

OUT_OF_ROOM: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
# Where the kernel waits for the first bytes of a connection (defer_accept), or the server is busy, they are here when
# it is accepted, and epoll need not be asked. Elsewhere looking for them costs 2 µs: then leave it for so many
# connections.
PATIENCE: Final = 64
WAITING: Final = 64  # taken without being served, at a time
# EPOLLEXCLUSIVE tells whoever has waited first, again and again: of 64 clients that come at once, and stay, one idle
# worker had all. After so many it stands behind the others; 0.7 µs.
SHARE: Final = 2
PAUSE: Final = SECOND // 2  # without accepting, when there is no room
SILENCE: Final = 60 * SECOND  # between two complaints about it
RESERVE: Final = 64  # descriptors that connections leave to the application: a database, a file to send


class Acceptor:
    """`burst` connections are taken a wake-up: one where siblings could serve the next, more where there are none."""

    __slots__ = (
        "_accept", "burst", "ceiling", "complain", "due", "handshaking", "likely", "listener", "origin", "patience",
        "paused", "silent_until", "since_turn",
    )  # fmt: skip

    def __init__(self, listener: Listener, origin: Origin, burst: int, complain: Callable[[OSError], None]) -> None:
        self.listener = listener
        self.origin = origin
        self.burst = burst
        self.likely = 1  # connections that wait at a wake-up
        self.patience = 0
        self.complain = complain
        limit = os.sysconf("SC_OPEN_MAX")
        self.ceiling = limit - min(RESERVE, limit // 4) if limit > 0 else NEVER  # descriptors are numbered from below
        self.due = NEVER
        self.paused = False
        self.since_turn = 0  # connections taken
        self.silent_until = 0  # a lack of descriptors may last for hours: it is said once a while
        # socket.accept makes a socket object, 2 µs more: a connection needs nothing but the descriptor.
        self._accept = listener.socket._accept  # type: ignore[attr-defined]
        self.handshaking = Handshaking
        if origin.announced is not None:
            from corral.net.announcing import Announcing  # lazily: for a PROXY header before TLS

            self.handshaking = Announcing

    def open(self) -> None:
        self.origin.service.reactor.add(self.listener.fileno(), self, READ | EXCLUSIVE)

    def ready(self, _: int) -> None:
        if self.since_turn >= SHARE and self.burst == 1:
            self.since_turn = 0  # now, not after a call, in which the watcher may have looked away from the listener
            self.origin.service.reactor.requeue(self.listener.fileno(), READ | EXCLUSIVE)
        taken = 0
        while taken < self.likely and self.accept_one():
            taken += 1
        # An accept that finds nobody costs as much as one that does: try as often as it worked the last time, plus one.
        self.likely = min(taken + 1, self.burst) if taken == self.likely else max(taken, 1)
        self.since_turn += taken

    def accept_one(self) -> bool:
        try:
            fd, peer = self._accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in OUT_OF_ROOM:
                self.pause(error)
                return False
            return True  # that client has left already, or a firewall said no: the next one is another story
        os.set_blocking(fd, False)
        connection = (self.origin.connection or Connection)(fd, peer, self.origin)
        if self.origin.seal is not None:
            self.handshaking(connection, self.origin.seal(fd)).begin()
        elif self.patience:
            self.patience -= 1
            connection.register()
        else:
            connection.ready(READ)
            if connection.fresh and not self.listener.deferring:
                self.patience = PATIENCE
        if fd >= self.ceiling:
            self.pause(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))
        return not self.paused

    def drain(self) -> None:
        """Take everybody who waits, and serve them later: while some are served others would queue up, for ever."""
        self.patience = 1 << 30
        self.ceiling = NEVER
        self.origin.service.reactor.cancel(self)
        self.paused = False
        while self.accept_one():
            pass

    def pause(self, error: OSError) -> None:
        """Level-triggered epoll would report the waiting client again at once, for ever: look away for a moment."""
        now = monotonic()
        if now >= self.silent_until:
            self.complain(error)
            self.silent_until = now + SILENCE
        reactor = self.origin.service.reactor
        reactor.remove(self.listener.fileno())
        self.paused = True
        reactor.later(self, now + PAUSE)

    def expire(self, now: int) -> None:
        if not self.has_room():
            self.origin.service.reactor.later(self, now + PAUSE)
            return
        self.due = NEVER
        self.paused = False
        self.open()

    def has_room(self) -> bool:
        try:
            fd = os.dup(self.listener.fileno())
        except OSError:
            return False
        os.close(fd)
        return fd < self.ceiling

    def suspend(self) -> None:
        """Look away: this worker can't serve anybody now, and others may. Who waits is taken first: he may have been
        told to this worker alone (EPOLLEXCLUSIVE), and nobody else would look."""
        if self.paused:
            return
        patience, self.patience = self.patience, WAITING
        while self.patience and self.accept_one():
            pass
        self.patience = patience
        if not self.paused:
            self.origin.service.reactor.remove(self.listener.fileno())

    def resume(self) -> None:
        if not self.paused:
            self.open()

    def close(self) -> None:
        reactor = self.origin.service.reactor
        if self.paused:
            reactor.cancel(self)
        else:
            reactor.remove(self.listener.fileno())
