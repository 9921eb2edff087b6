"""What the arbiter knows of its workers: a Handle for each, with the last reading of its row and what it was told.

It holds facts and answers questions about them. Whether something follows from a fact is decided in `plan`.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from corral.shared.scoreboard import Cell, Row, State


class Reason(Enum):
    """Why the arbiter itself kills a worker; the text completes "killed by the arbiter: "."""

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

    # the last reading of its row
    state: State = State.BOOTING
    busy_since: int = 0
    drain_since: int = 0

    # what was noticed and done
    ready_at: int = 0
    suspected_at: int = 0
    suspected_busy: int = 0
    retired_at: int = 0
    quit_at: int = 0
    aborted_at: int = 0
    killed_at: int = 0
    reason: Reason | None = None

    def read(self) -> None:
        cells = self.row.cells
        self.state = State(cells[Cell.STATE])
        self.busy_since = cells[Cell.BUSY_SINCE]
        self.drain_since = cells[Cell.DRAIN_SINCE]

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
