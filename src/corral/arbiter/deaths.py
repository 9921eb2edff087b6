"""Why a worker died, in words: its own end, the arbiter's doing, the kernel's, a crash, or somebody else's signal.

It knows signals, exit codes and the kernel's counters. What follows from a death is decided elsewhere.
"""

import signal
import time
from typing import Any

from corral.arbiter.plan import SECOND
from corral.arbiter.pool import Handle
from corral.arbiter.recorder import say, where
from corral.arbiter.stacks import Stack
from corral.errors import EXIT_APP, EXIT_BOOT, EXIT_CRASH
from corral.shared import process

CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS)
EXITS = {
    EXIT_BOOT: "its boot failed, see above",
    EXIT_APP: "there is no application to serve, see above",
    EXIT_CRASH: "an exception that nobody caught, see above",
}


class Deaths:
    """`oom_kills` is what the kernel had counted when somebody last asked."""

    def __init__(self, log: Any) -> None:
        self.log = log
        self.oom_kills = process.oom_kills()

    def explain(self, handle: Handle, death: process.Death, stacks: list[Stack], app: str) -> None:
        """`stacks` are those that a crash has left."""
        level, cause = self.cause(handle, death)
        if not level:
            return
        values: list[object]
        sentence, values = "Worker (pid:%d) %s", [handle.pid, cause]
        if handle.reason is None:  # else all has been said before the arbiter killed it
            now = time.monotonic_ns()
            for flight in handle.row.in_flights():
                if flight.line:
                    sentence += "; in flight for %.1f s: %s"
                    values += ((now - flight.since) / SECOND, flight.line)
            if stacks:
                sentence += "%s"
                values.append(where(stacks, app))
        say(getattr(self.log, level), sentence, values, [] if handle.reason else stacks)

    def cause(self, handle: Handle, death: process.Death) -> tuple[str, str]:
        """How loud to say it, and what; nothing for a worker that has left as it was told to."""
        ours = handle.reason.value if handle.reason is not None else ""
        if handle.aborted_at and ours and death.signum in (0, signal.SIGABRT):
            return "error", f"was sent SIGABRT by the arbiter: {ours}"
        if death.signum:
            return self.cause_of_signal(handle, death, ours)
        if death.code:
            meaning = EXITS.get(death.code)
            return "error", f"exited with code {death.code}" + (f": {meaning}" if meaning else "")
        if not handle.told and not handle.drain_since:
            return "warning", "exited with code 0, unasked"
        return "", ""

    def cause_of_signal(self, handle: Handle, death: process.Death, ours: str) -> tuple[str, str]:
        said = f"was sent {signal_name(death.signum)}"
        if death.signum == signal.SIGKILL:
            cause = f"By the arbiter: {ours}" if handle.killed_at and ours else self.cause_of_kill(death)
            return "error", f"{said}! {cause}"
        if death.signum == signal.SIGTERM and handle.told:
            return "info", f"{said} by the arbiter"
        if death.signum in CRASHES:
            return "warning", f"{said}! It crashed in native code; {peak(death)}"
        return "warning", f"{said}! Not by the arbiter"

    def cause_of_kill(self, death: process.Death) -> str:
        """The kernel counts its own; else it was somebody."""
        before, self.oom_kills = self.oom_kills, process.oom_kills()
        if self.oom_kills > before:
            return f"By the kernel, out of memory: the oom_kill counter of the cgroup went up; {peak(death)}"
        return (
            f"Not by the arbiter, and the cgroup counts no oom_kill: somebody's kill -9, or dmesg tells; {peak(death)}"
        )


def peak(death: process.Death) -> str:
    return f"its memory peaked at {death.peak_memory >> 20} MiB"


def signal_name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
