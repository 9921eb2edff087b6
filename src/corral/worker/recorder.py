"""The worker's half of the flight recorder: at a signal its stacks are written to memory, whatever Python is doing.

It knows faulthandler, whose handler is C and needs no GIL. When stacks are wanted, and what is made of them, is the
arbiter's.
"""

import faulthandler
import signal
from _thread import get_ident

from corral.shared.scoreboard import Cell, Row, Scoreboard

# Nobody else's: below the last, which debuggers take, and far above those that libraries take from the first on.
SIGNAL = signal.SIGRTMAX - 4 if hasattr(signal, "SIGRTMAX") else 0


def record(board: Scoreboard, row: Row) -> None:
    """From here on this process can be asked for its stacks, and leaves them when it crashes in native code.

    It costs nothing until then. Where there is no such memory (macOS), or no /proc, it isn't asked.
    """
    row.cells[Cell.THREAD] = get_ident()
    if board.recording.fd < 0 or not SIGNAL:
        return
    try:
        descriptor = board.recording.open(row.slot)
    except OSError:
        return
    if not faulthandler.is_enabled():  # by PYTHONFAULTHANDLER, whose output goes where the user wants it
        faulthandler.enable(descriptor)
    faulthandler.register(SIGNAL, descriptor)
    row.cells[Cell.RECORDER] = SIGNAL
