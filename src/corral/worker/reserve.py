"""The last free worker is kept for short requests: one that is known to compute for long isn't begun there while the
others keep all processors at work. Running it would gain nothing, and everybody else would wait for its end.

It knows which requests compute, by their lines, and which of them wait because of that. Only requests that wait in the
kernel are held, unread, so that they can still go to a sibling; and each waits a few times its own length at most.
"""

from contextlib import suppress
from threading import get_native_id
from typing import Any, Final, NamedTuple

from corral.net.acceptor import Acceptor
from corral.net.connection import Connection
from corral.net.descriptor import peek, waited
from corral.net.handoff import Taker
from corral.net.reactor import NEVER, READ, SECOND, monotonic
from corral.net.states import PARKED
from corral.shared.process import processors, work_of
from corral.shared.scoreboard import REQUEST_SIZE, Cell, Row, legible
from corral.worker.serving import Serving
from corral.worker.watch import LOOK

PATIENCE: Final = 3  # times its own length a request is held
AT_WORK: Final = 2  # of a call that computes, at least this part; another one waits for a database, or sleeps
MOST: Final = 128  # requests that are remembered
SOON: Final = SECOND // 1000  # whoever serves an unknown request for less long is free in a moment
LONGEST_LINE: Final = 2 * REQUEST_SIZE


class Held(NamedTuple):
    line: bytes
    since: int
    until: int


class Reserve:
    def __init__(self, serving: Serving, acceptors: list[Acceptor], taker: Taker) -> None:
        self.serving = serving
        self.reactor = serving.reactor
        self.row = serving.place.row
        self.acceptors = acceptors
        self.taker = taker
        self.lengths: dict[bytes, int] = {}  # nanoseconds that a request computes, by its line
        self.uneven: set[bytes] = set()  # long once, and short another time: nothing is known of them
        self.told: set[bytes] = set()
        self.held: dict[Connection, Held] = {}
        self.admitted: Connection | None = None  # whose turn has come
        self.expected = b""  # the line of one that runs, and is known
        self.began = 0
        self.observed: tuple[int, bytes, int, int] | None = None
        self.processors = processors()
        self.thread = get_native_id()
        self.siblings: list[Row] = []

    # -- what is long

    def observe(self, since: int) -> None:
        """In the watcher's thread and on its duty, while the call lasts: who is held may now go to a sibling."""
        self.release()
        with suppress(OSError, ValueError):  # not Linux: then nothing is ever known
            self.observed = since, self.row.request_line(), monotonic(), work_of(self.thread)

    def learn(self) -> None:
        """A call is over that may have been observed."""
        self.expected = b""
        if self.observed is None:
            return
        (since, line, seen, work), self.observed = self.observed, None
        now = monotonic()
        if (work_of(self.thread) - work) * AT_WORK < now - seen or line in self.uneven:
            return
        if len(self.lengths) + len(self.uneven) >= MOST:
            for lines in (self.lengths, self.uneven, self.told):
                lines.clear()
        self.lengths[line] = now - since
        self.look_first()

    def judge(self) -> None:
        """Of a request that was expected to be long nobody has observed that it was."""
        line, self.expected = self.expected, b""
        if monotonic() - self.began < LOOK * SECOND and self.lengths.pop(line, 0):
            self.uneven.add(line)
            self.look_first()

    def look_first(self) -> None:
        """While anything is known, a connection that comes is not served at once, but in its turn, when `holds` is
        asked."""
        known = bool(self.lengths)
        for acceptor in self.acceptors:
            acceptor.patience = NEVER if known else 0
        self.taker.inline = not known

    # -- who waits

    def holds(self, fd: int, handler: Any) -> bool:
        """Whether what is ready has to wait. 1.2 µs, where any request is known to compute."""
        if type(handler) is not Connection or handler.stream is not None or not handler.inbound.idle:
            return False
        line = peek(fd, handler.origin.family, LONGEST_LINE).partition(b"\r\n")[0][:REQUEST_SIZE]
        length = self.lengths.get(line)
        if length is None:
            return False
        if handler is self.admitted:
            self.admitted = None
        else:
            patience = length * PATIENCE - waited(fd, handler.origin.family)
            if patience > 0 and self.alone(first=True):
                now = monotonic()
                self.held[handler] = Held(line, now, now + patience)
                self.reactor.hide(fd, PARKED)
                return True
        self.expected = line
        self.began = monotonic()
        return False

    def wait(self) -> list[tuple[int, int]]:
        """The reactor's wait while somebody is held: what is ready, and whose turn has come."""
        events = self.reactor.gather(LOOK)
        connection, held = next(iter(self.held.items()))
        now = monotonic()
        if now < held.until and self.alone(first=False):
            self.tell(held.line)
        else:
            self.reactor.note_wait(now - held.since)  # the client may have left
            self.release()
            self.admitted = connection
            events.append((connection.fd, READ))
        return events

    def tell(self, line: bytes) -> None:
        if line not in self.told:
            self.told.add(line)
            self.serving.log.info(
                "%s computes for %.2f s: while the processors are busy it leaves the last free worker to others",
                legible(line), self.lengths.get(line, 0) / SECOND,
            )  # fmt: skip

    def release(self) -> None:
        """Let everybody be seen again: by this worker, and by its watcher while it is in a call."""
        now = monotonic()
        for connection in self.held:
            connection.due = max(connection.due, now + self.serving.timeouts.header)  # a request is here
            self.reactor.add(connection.fd, connection)
        self.held.clear()

    def alone(self, *, first: bool) -> bool:
        """Whether no sibling is free, and those that compute need all processors.

        Of two that are the last ones each sees the other free: when it is `first` asked, the one with the higher slot
        doesn't rely on that.
        """
        now = monotonic()
        free = computing = 0
        if not self.siblings:
            self.siblings = list(self.serving.siblings())
        for row in self.siblings:
            cells = row.cells
            since = cells[Cell.BUSY_SINCE]
            if not cells[Cell.TAKES]:
                continue
            if since and row.request_line() in self.lengths:
                computing += 1
            elif not since or now - since < SOON:
                if free or not first or row.slot > self.row.slot:
                    return False
                free = 1
        return computing + free >= self.processors
