"""What the arbiter knows of its workers: a Handle for each, with the last reading of its row and what it was told.

It holds facts and answers questions about them. Whether something follows from a fact is decided in `plan`.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from corral.shared.scoreboard import Cell, Row, State, Wish


class Reason(Enum):
    """Why the arbiter itself kills a worker; the text completes "by the arbiter: "."""

    TIMEOUT = "it was on one request for longer than timeout"
    BOOT = "it was not ready within boot_timeout"
    GRACEFUL = "it had not finished within graceful_timeout"
    QUICK = "it had not left on a quick stop"


@dataclass(slots=True, kw_only=True)
class Handle:
    """One worker process, as the arbiter sees it. Instants are monotonic nanoseconds, 0 for "not yet"."""

    pid: int
    age: int
    generation: int
    born: int
    row: Row
    worker: Any = None  # as hooks know it
    expires_at: int = 0  # the end of max_worker_lifetime

    # the last reading of its row
    state: State = State.BOOTING
    begun: tuple[int, ...] = ()  # since when its requests are in flight, the oldest first; or it last gave a sign
    silent: bool = False  # it gives signs of life, and doesn't say what it serves
    drain_since: int = 0
    wish: int = Wish.NONE

    # what was noticed and done
    ready_at: int = 0
    looked_at: int = 0
    looked_busy: int = 0  # the youngest request that has been looked at for being slow
    looked_cpu: int = 0
    looked_queue: int = 0
    report_at: int = 0  # when its stacks will be there, for a line about a slow request
    asked_at: int = 0  # for its stacks
    suspected_at: int = 0
    suspected_of: int = 0  # the beginning of what is overdue
    retired_at: int = 0
    quit_at: int = 0
    aborted_at: int = 0
    killed_at: int = 0
    reason: Reason | None = None

    # what it has written of its stacks
    awaited: bool = False
    heard: int = 0  # bytes that have been read
    stacks: str = ""

    def read(self) -> None:
        cells = self.row.cells
        self.state = State(cells[Cell.STATE])
        self.begun = self.row.begun()
        self.silent = not cells[Cell.REQUEST_LENGTH]
        self.drain_since = cells[Cell.DRAIN_SINCE]
        self.wish = cells[Cell.WISH]

    @property
    def busy_since(self) -> int:
        """The oldest request in flight, or sign of life; 0 while it is idle."""
        return self.begun[0] if self.begun else 0

    @property
    def ready(self) -> bool:
        return self.state is State.READY

    @property
    def told(self) -> bool:
        """The arbiter has sent it away, so that its death is no surprise."""
        return bool(self.retired_at or self.quit_at or self.aborted_at or self.killed_at)

    @property
    def leaving_since(self) -> int:
        """When it began to drain, told or by its own decision; 0 while it stays."""
        if self.retired_at and self.drain_since:
            return min(self.retired_at, self.drain_since)
        return self.retired_at or self.drain_since

    @property
    def staying(self) -> bool:
        return not (self.told or self.drain_since or self.state is State.DRAINING)


@dataclass(slots=True)
class Pool:
    """The living workers by pid, and the slots of the scoreboard that are free."""

    slots: int
    handles: dict[int, Handle] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.handles)

    def free_slot(self) -> int:
        """The lowest free slot, so that a server with 4 workers touches 4 rows, or 5."""
        taken = {handle.row.slot for handle in self.handles.values()}
        return next(slot for slot in range(self.slots) if slot not in taken)
