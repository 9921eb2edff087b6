"""What every worker is doing, in memory that the arbiter and its workers share: one row a slot, one writer a cell.

It knows the layout and nothing of what the numbers lead to. A cell is an aligned 64-bit integer, so a reader never sees
half of a number; two cells of a row are not read at one instant, which is why whoever acts on a reading reads again.
"""

import mmap
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from corral.shared.recording import Recording

CELLS = 32
CELL_SIZE = 8
REQUEST_SIZE = 256
ROW_SIZE = CELLS * CELL_SIZE + REQUEST_SIZE

# The arbiter's row. 1 while the arbiter sleeps past the next possible time-out: a worker that gets busy and sees it
# stores 0 and wakes the arbiter. So an idle server makes no wake-ups, and a request that hangs is noticed all the same.
ASLEEP = 0
# 1 from the moment at which the server stops: whoever leaves then has no heir.
STOPPING = 1
# 1 while another server beside this one takes connections that are handed over: a successor, see server.upgrade.
HEIRS = 2

CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 256))}


class State(IntEnum):
    """Where the worker of a slot is in its life."""

    FREE = 0
    BOOTING = 1
    READY = 2
    DRAINING = 3


class Interface(IntEnum):
    """What the application turned out to be, once it is loaded."""

    UNKNOWN = 0
    WSGI = 1
    ASGI = 2


class Wish(IntEnum):
    """Why a worker wants to be replaced. It goes on serving until it is told to leave."""

    NONE = 0
    REQUESTS = 1
    MEMORY = 2


class Cell(IntEnum):
    """The index of a cell in its row. Instants are monotonic nanoseconds, 0 for "not now"."""

    PID = 0
    STATE = 1
    GENERATION = 2
    REQUESTS = 4
    ERRORS = 5
    CONNECTIONS = 6
    BYTES_OUT = 7
    STARTED = 8
    DRAIN_SINCE = 10
    INTERFACE = 11
    TAKES = 12  # 1 while this worker takes connections that others hand over
    GIVEN = 13
    TAKEN = 14
    BLOCKED = 19  # how often the loop didn't turn for a while, see worker.blocking
    WISH = 20
    RECORDER = 21  # the signal at which this worker writes its stacks, see worker.recorder; 0: it doesn't
    EXPLAINED = 22  # the arbiter has logged the stacks; there is no need to do it again
    # The first request in flight, see Flight. The last two, right before the request's line: a worker writes all three
    # at once, see BEGIN.
    THREAD = 29
    REQUEST_LENGTH = 30
    BUSY_SINCE = 31


# A slot goes on counting these when its worker is replaced.
TOTALS = frozenset((Cell.REQUESTS, Cell.ERRORS, Cell.BYTES_OUT, Cell.GIVEN, Cell.TAKEN, Cell.BLOCKED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One reading of a row."""

    pid: int
    state: State
    generation: int
    busy_since: int
    requests: int
    errors: int
    connections: int
    bytes_out: int
    started: int
    drain_since: int
    in_flight: str


class Flight(NamedTuple):
    """A request in flight: since when, in which thread (its ident), and its line, which is harmless.

    A worker that only says that it lives has one without a line.
    """

    since: int
    thread: int
    line: str


# How a request begins: its line's length, the instant, the line (cut to size), in one store of 0.06 µs.
BEGIN = struct.Struct(f"qq{REQUEST_SIZE}s").pack_into
# A row has room for more requests, one a thread, each laid out as the cells from THREAD on and the line.
FLIGHT = struct.Struct("qqq")
THREAD, LENGTH, SINCE = range(3)  # the cells of one flight, see Row.flight_cells
FLIGHT_SIZE = FLIGHT.size + REQUEST_SIZE


def legible(line: bytes) -> str:
    """On one line, whatever the client sent."""
    return line.decode("latin-1").translate(CONTROL)


class Row:
    """One slot's cells, and the line of the request in flight. The worker writes; the arbiter claims and releases."""

    __slots__ = ("cells", "flights", "memory", "request", "slot")

    def __init__(self, slot: int, memory: memoryview) -> None:
        self.slot = slot
        self.memory = memory
        self.cells: memoryview[int] = memory[: CELLS * CELL_SIZE].cast("q")
        self.request = memory[CELLS * CELL_SIZE : ROW_SIZE]
        self.flights = 1 + (len(memory) - ROW_SIZE) // FLIGHT_SIZE

    def claim(self, generation: int, now: int) -> None:
        """Make the row a booting worker's. The arbiter does this before the fork, when nobody else writes."""
        self.release()
        cells = self.cells
        cells[Cell.GENERATION] = generation
        cells[Cell.STARTED] = now
        cells[Cell.STATE] = State.BOOTING

    def release(self) -> None:
        """Clear what the last worker left, apart from the totals."""
        for cell in Cell:
            if cell not in TOTALS:
                self.cells[cell] = 0
        self.memory[ROW_SIZE:] = bytes(len(self.memory) - ROW_SIZE)

    def in_flight(self) -> str:
        """The request line being served, on one line whatever the client sent; empty between requests."""
        return self.flight(0).line

    def request_line(self) -> bytes:
        """Of the first flight, as it was sent, cut to REQUEST_SIZE; the last one's between requests."""
        return bytes(self.request[: self.cells[Cell.REQUEST_LENGTH]])

    def flight_at(self, number: int) -> int:
        """Where in `memory` a flight stands; BEGIN is for what follows its first cell."""
        return Cell.THREAD * CELL_SIZE if not number else ROW_SIZE + (number - 1) * FLIGHT_SIZE

    def begin_at(self, number: int) -> int:
        """Where BEGIN writes for a flight."""
        return self.flight_at(number) + CELL_SIZE

    def flight_cells(self, number: int) -> "memoryview[int]":
        """THREAD, LENGTH and SINCE of a flight, for the thread that writes them; the last two are 0 when it is over."""
        start = self.flight_at(number)
        return self.memory[start : start + FLIGHT.size].cast("q")

    def flight(self, number: int) -> Flight:
        start = self.flight_at(number)
        thread, length, since = FLIGHT.unpack_from(self.memory, start)
        start += FLIGHT.size
        line = bytes(self.memory[start : start + min(max(length, 0), REQUEST_SIZE)])
        return Flight(since, thread, legible(line))

    def begun(self) -> tuple[int, ...]:
        """Since when its requests are in flight, the oldest first."""
        if self.flights == 1:
            since = self.cells[Cell.BUSY_SINCE]
            return (since,) if since else ()
        every = (FLIGHT.unpack_from(self.memory, self.flight_at(number))[2] for number in range(self.flights))
        return tuple(sorted(since for since in every if since))

    def in_flights(self) -> list[Flight]:
        """The requests in flight, the oldest first."""
        return sorted(flight for number in range(self.flights) if (flight := self.flight(number)).since)

    def snapshot(self) -> Snapshot:
        cells = self.cells
        return Snapshot(
            pid=cells[Cell.PID],
            state=State(cells[Cell.STATE]),
            generation=cells[Cell.GENERATION],
            busy_since=cells[Cell.BUSY_SINCE],
            requests=cells[Cell.REQUESTS],
            errors=cells[Cell.ERRORS],
            connections=cells[Cell.CONNECTIONS],
            bytes_out=cells[Cell.BYTES_OUT],
            started=cells[Cell.STARTED],
            drain_since=cells[Cell.DRAIN_SINCE],
            in_flight=self.in_flight(),
        )


class Scoreboard:
    """The arbiter's row and one for each slot, in one anonymous mapping that forked children inherit.

    Pages that no worker touches cost nothing, so there are many more slots than a server usually has workers: a reload
    needs spare ones.
    """

    def __init__(self, slots: int, flights: int = 1) -> None:
        self.slots = slots
        self.recording = Recording()
        self.row_size = ROW_SIZE + (flights - 1) * FLIGHT_SIZE
        memory = memoryview(mmap.mmap(-1, (slots + 1) * self.row_size))
        self.arbiter: memoryview[int] = memory[: CELLS * CELL_SIZE].cast("q")
        self._memory = memory

    def row(self, slot: int) -> Row:
        if not 0 <= slot < self.slots:
            raise IndexError(f"slot {slot} of {self.slots}")
        start = (slot + 1) * self.row_size
        return Row(slot, self._memory[start : start + self.row_size])
