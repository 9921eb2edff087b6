"""The arbiter's half of the flight recorder: what a worker does that takes too long, said in the log.

It asks for stacks, reads them, and words what they show. When to ask is the plan's; nothing here waits.
"""

import time
from collections.abc import Sequence
from typing import Any

from corral.arbiter.plan import ANSWER, SECOND
from corral.arbiter.pool import Handle, Pool
from corral.arbiter.stacks import Stack, parse, place_of
from corral.shared import process
from corral.shared.scoreboard import Cell, Flight, Scoreboard

# How long a slow request may stay unreported because its worker doesn't get to write its stacks.
LAST_ANSWER = SECOND
# Who has spent so much of the time on a processor, or in the queue for one, isn't waiting for anything else.
SPINNING = 0.5
MOST_LINES = 2000
FATAL = "Fatal Python error"  # how faulthandler begins

SLOW = "Slow request for %.1f s (pid:%d): %s"
FLYING = "Request in flight for %.1f s (pid:%d): %s"
SILENT = "No sign of life for %.1f s (pid:%d)%s"


class Recorder:
    def __init__(self, log: Any, board: Scoreboard, pool: Pool) -> None:
        self.log = log
        self.recording = board.recording
        self.pool = pool

    # stacks

    def ask(self, handle: Handle) -> None:
        """They will be there in a moment; whatever has been written before is forgotten."""
        handle.asked_at = time.monotonic_ns()
        signum = handle.row.cells[Cell.RECORDER]
        if signum:
            self.listen(handle)
            handle.stacks = ""
            handle.awaited = not process.kill(handle.pid, signum)

    def listen(self, handle: Handle) -> list[Stack]:
        written = self.recording.read(handle.row.slot, handle.heard)
        if written:
            handle.heard += len(written)
            handle.stacks += written.decode("utf-8", "backslashreplace")
            handle.awaited = False
            if not any(other.awaited for other in self.pool.handles.values()):
                self.recording.clear()
        return parse(handle.stacks)

    def remains(self, handle: Handle) -> list[Stack]:
        """What a crash has left."""
        handle.stacks = ""
        stacks = self.listen(handle)
        handle.awaited = False
        return sorted(stacks, key=lambda stack: not stack.current) if FATAL in handle.stacks else []

    # what takes long

    def look(self, handle: Handle, since: int) -> None:
        """A request is slow. The worker may have gone on since the reading that says so."""
        handle.looked_busy = since
        handle.read()
        if since in handle.begun:
            self.measure(handle)
            self.ask(handle)
            handle.report_at = handle.asked_at + ANSWER

    def report(self, handle: Handle, app: str) -> None:
        """What the look has shown, unless the request has been answered in the meantime."""
        stacks, now = self.listen(handle), time.monotonic_ns()
        handle.report_at = 0
        flight = next((each for each in handle.row.in_flights() if each.since == handle.looked_busy), None)
        if flight is None:
            return
        if handle.awaited and now < handle.asked_at + LAST_ANSWER:
            handle.report_at = now + ANSWER
            return
        own, _ = apart(stacks, flight.thread)
        values = ((now - flight.since) / SECOND, handle.pid, flight.line, where(own, app))
        say(self.log.warning, (SLOW if flight.line else SILENT) + "%s", values, own)

    def suspect(self, handle: Handle, since: int) -> None:
        handle.suspected_of, handle.suspected_at = since, time.monotonic_ns()
        if handle.looked_busy < since:
            self.measure(handle)
        self.ask(handle)

    def measure(self, handle: Handle) -> None:
        handle.looked_at, handle.looked_cpu = time.monotonic_ns(), process.cpu_time(handle.pid)
        handle.looked_queue = process.queue_time(handle.pid)

    # what takes too long

    def boot_failed(self, handle: Handle, app: str) -> None:
        stacks, now = self.listen(handle), time.monotonic_ns()
        own, rest = apart(stacks, handle.row.flight(0).thread)
        age, pid = now - handle.born, handle.pid
        busy = pace(process.cpu_time(pid), process.queue_time(pid), age)
        line = handle.row.in_flight()
        self.explained(handle, stacks)
        sentence = "Worker (pid:%d) is not ready after %.1f s (boot_timeout)%s%s, %s"
        values = (pid, age / SECOND, line and f": {line}", where(own, app), busy)
        say(self.log.error, sentence, values, own + rest)

    def timed_out(self, handle: Handle, app: str) -> None:
        """The oldest request is the one; the others are in flight, and will be lost with it."""
        stacks, now = self.listen(handle), time.monotonic_ns()
        flights = handle.row.in_flights()
        self.explained(handle, stacks)
        if not flights:
            return
        first, *others = flights
        cpu = process.cpu_time(handle.pid) - handle.looked_cpu
        busy = pace(cpu, process.queue_time(handle.pid) - handle.looked_queue, now - handle.looked_at)
        own, rest = apart(stacks, first.thread)
        values = ((now - first.since) / SECOND, handle.pid, first.line, where(own, app), busy)
        say(self.log.error, (FLYING if first.line else SILENT) + "%s, %s", values, own + rest)
        self.name(others, handle.pid, now)

    def unfinished(self, handle: Handle, app: str) -> None:
        """It was told to leave, and its requests have outlasted graceful_timeout."""
        stacks, now = self.listen(handle), time.monotonic_ns()
        flights = handle.row.in_flights()
        self.name(flights, handle.pid, now)
        if flights:
            own, rest = apart(stacks, flights[0].thread)
            say(self.log.error, "Worker (pid:%d) can't leave%s", (handle.pid, where(own, app)), own + rest)

    def name(self, flights: list[Flight], pid: int, now: int) -> None:
        for flight in flights:
            if flight.line:
                self.log.error(FLYING, (now - flight.since) / SECOND, pid, flight.line)

    def explained(self, handle: Handle, stacks: list[Stack]) -> None:
        if stacks:
            handle.row.cells[Cell.EXPLAINED] = 1


def apart(stacks: list[Stack], thread: int) -> tuple[list[Stack], list[Stack]]:
    """A thread's stack, if it is among them (faulthandler writes those of a hundred threads), and the others."""
    own = [stack for stack in stacks if stack.thread == thread]
    return own, [stack for stack in stacks if stack.thread != thread]


def where(stacks: list[Stack], app: str) -> str:
    """Which line of the application the first of them is at, to be the end of a sentence."""
    place = place_of(stacks[0].frames, app) if stacks else None
    return f", at {place}" if place else ""


def pace(cpu: int, queue: int, wall: int) -> str:
    """Whether it has run, or wanted to, for much of some time, or has waited for something to happen."""
    what = "spinning" if wall > 0 and (cpu + queue) / wall >= SPINNING else "waiting"
    crowded = f", and {queue / SECOND:.2f} s without a processor" if queue > cpu else ""
    return (
        f"{what}: {max(cpu, 0) / SECOND:.2f} s of CPU in {wall / SECOND:.2f} s{crowded if what == 'spinning' else ''}"
    )


def say(write: Any, sentence: str, values: Sequence[object], stacks: list[Stack]) -> None:
    """One record, with the stacks on lines of their own. Each is an argument, so that the log makes it harmless."""
    lines = [line for stack in stacks for line in stack.lines][:MOST_LINES]
    write(sentence + "\n  %s" * len(lines), *values, *lines)
