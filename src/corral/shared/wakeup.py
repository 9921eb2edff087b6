"""A pipe to oneself that ends a poll: signals arrive on it as their number, pokes as a zero byte.

It knows nothing of what a signal means. Python-level handlers do nothing: the C-level handler has already written the
number, so no code of ours ever runs in the middle of other code.
"""

import os
import signal
from collections.abc import Iterable
from types import FrameType

POKE = b"\0"
CHUNK = 4096


def ignore(signum: int, frame: FrameType | None) -> None:
    """Do nothing. SIG_IGN would not do: an ignored signal doesn't reach the pipe either."""


class Wakeup:
    """The reading end is for poll; the writing end is for signals, forked children and other threads."""

    __slots__ = ("_reader", "_watching", "_writer")

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()
        self._watching = False

    def fileno(self) -> int:
        return self._reader

    def wake(self) -> None:
        """Poke the reader. A full pipe will wake it as well, and a closed one has nobody left to wake."""
        try:
            os.write(self._writer, POKE)
        except OSError:
            pass

    def drain(self) -> bytes:
        """Everything that has arrived: signal numbers in their order, zeros for pokes; never blocks."""
        arrived = b""
        try:
            while chunk := os.read(self._reader, CHUNK):
                arrived += chunk
                if len(chunk) < CHUNK:
                    break
        except BlockingIOError:
            pass
        return arrived

    def note(self, signum: int, frame: FrameType | None) -> None:
        """A handler in Python, for loops that want C's descriptor for themselves (uvloop): it writes the number."""
        try:
            os.write(self._writer, bytes((signum,)))
        except OSError:
            pass

    def watch_signals(self, signums: Iterable[int], *, by_python: bool = False) -> None:
        """From now on these signals only write their number. Main thread only."""
        if by_python:
            for signum in signums:
                signal.signal(signum, self.note)
            signal.set_wakeup_fd(-1)
            self._watching = False
            return
        # The pipe first: a signal between its handler and the pipe would be lost, and a worker that misses its TERM
        # stays until it is killed. A full pipe is not worth a warning from C code: the reader is about to wake up.
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for signum in signums:
            signal.signal(signum, ignore)
        self._watching = True

    def close_reader(self) -> None:
        """In a forked child, which only ever pokes: its parent is the one that waits."""
        os.close(self._reader)

    def close(self) -> None:
        if self._watching:
            signal.set_wakeup_fd(-1)
            self._watching = False
        os.close(self._reader)
        os.close(self._writer)


def _pipe() -> tuple[int, int]:
    """macOS has no pipe2."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    return reader, writer
