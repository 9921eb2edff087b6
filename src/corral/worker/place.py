"""What only the server can give a worker: its row of the scoreboard, its listeners, and ways to be heard and to hear.

A class that knows only gunicorn's API has all of it but the heartbeat behind `place`, and need not look there.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from corral.net.handoff import Channel
from corral.net.listener import Listener
from corral.net.reactor import SECOND
from corral.shared.scoreboard import ASLEEP, Cell, Row, Scoreboard, State, Wish
from corral.worker.scales import Scales


@dataclass(slots=True, kw_only=True, eq=False)
class Place:
    """One worker's. `listeners` and `access` are its own from the fork on."""

    row: Row
    board: Scoreboard
    lifeline: int  # end of file: the arbiter is dead
    wake_arbiter: Callable[[], None]
    secure: Callable[[], Any]  # what makes a connection speak TLS, or None
    channel: Channel | None = None
    access: Any = None
    # For threads that look on: Python looks for a signal before a call that waits for a lock, and when one comes during
    # it. One in between is noted and never acted upon; if it was the end of the arbiter, this sends it again.
    remind: Callable[[], None] = lambda: None
    listeners: list[Listener]

    def wake_if_asleep(self) -> None:
        if self.board.arbiter[ASLEEP]:
            self.board.arbiter[ASLEEP] = 0
            self.wake_arbiter()

    def enter(self, state: State) -> None:
        self.row.cells[Cell.STATE] = state
        self.wake_arbiter()

    def wish(self, wish: Wish) -> bool:
        """Ask for another worker in this one's place, which serves on until that is ready. True the first time."""
        if self.row.cells[Cell.WISH]:
            return False
        self.row.cells[Cell.WISH] = wish
        self.wake_arbiter()
        return True


class Heartbeat:
    """worker.tmp: to gunicorn a file whose times are touched, here a cell: busy since the last beat.

    So a worker that goes on beating is never busy for long, and one that stops is overdue as one with a hung request.
    """

    def __init__(self, worker: Any, place: Place) -> None:
        self.worker = worker
        self.place = place
        self.ready = False
        self.scales = Scales(worker.cfg.max_worker_memory, worker.log, place.wish)

    def notify(self) -> None:
        cells = self.place.row.cells
        now = time.monotonic_ns()
        if self.worker.booted and not self.ready:
            self.ready = True
            self.place.enter(State.READY)
        cells[Cell.BUSY_SINCE] = now
        self.scales.weigh(now, self.worker.nr)
        self.place.wake_if_asleep()

    def last_update(self) -> float:
        """Seconds, of the monotonic clock."""
        return self.place.row.cells[Cell.BUSY_SINCE] / SECOND

    def fileno(self) -> int:
        """A descriptor, for those who mark it close-on-exec or wait for it: readable once the arbiter is dead."""
        return self.place.lifeline

    def close(self) -> None:
        """There is nothing to close."""
