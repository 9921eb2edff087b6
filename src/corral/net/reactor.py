"""The event loop of a worker: readiness by epoll, deadlines by sweep. It knows descriptors and instants.

Deadlines cost a request nothing: each handler carries the instant at which it is `due`, the reactor sleeps until the
earliest, and then looks at all of them. A heap was tried: it costs a connection 1 µs, and holds on to closed ones.
With 5,000 idle connections a sweep takes 0.3 ms, at most ten times a second, and only when something is due.
"""

import errno
import os
import select
import time
from contextlib import suppress
from typing import Any, Final, Protocol

monotonic = time.monotonic_ns
# Instants are monotonic nanoseconds, as whole numbers: no conversion on a request's way, and what the scoreboard holds.
SECOND: Final = 1_000_000_000
NEVER: Final = 1 << 62
READ: Final = getattr(select, "EPOLLIN", 1)
WRITE: Final = getattr(select, "EPOLLOUT", 4)
# One worker, not all of them, wakes up for a new connection (Linux 4.5).
EXCLUSIVE: Final = getattr(select, "EPOLLEXCLUSIVE", 0)
GRAIN: Final = SECOND // 10  # how late a deadline may be
LATE: Final = 2 * GRAIN  # after a deadline: the loop was in a call, and hasn't heard what came in time
LONG: Final = SECOND // 100  # a call, or a wait, after which it is asked whether those who wait are still there


class Handler(Protocol):
    """What the reactor calls. `due` is an instant, or NEVER."""

    due: int

    def ready(self, events: int) -> None: ...

    def expire(self, now: int) -> None: ...


class Reactor:
    __slots__ = ("_poller", "events", "handlers", "late_until", "now", "timers", "wake_at")

    def __init__(self) -> None:
        self._poller: Any = select.epoll() if hasattr(select, "epoll") else PortablePoller()
        self.handlers: dict[int, Handler] = {}
        self.events: list[tuple[int, int]] = []  # of this pass; who clears it has the rest reported again
        self.now = monotonic()  # when the last event was taken, or the last request ended: a request starts then
        self.late_until = 0  # requests that start before may have waited for a long call
        self.timers: set[Handler] = set()  # due some time, without a descriptor
        self.wake_at = NEVER  # nothing is due before; may be earlier than the earliest deadline, never later

    def add(self, fd: int, handler: Handler, events: int = READ) -> None:
        self.handlers[fd] = handler  # before it is so: from then on another thread may have it
        try:
            self._poller.register(fd, events)
        except OSError:
            self.handlers.pop(fd, None)
            raise
        if handler.due < self.wake_at:
            self.wake_at = handler.due

    def change(self, fd: int, handler: Handler, events: int) -> None:
        """`handler` takes `fd` over, and waits for `events` from now on."""
        self.handlers[fd] = handler
        try:
            self._poller.modify(fd, events)
        except FileNotFoundError:
            self._poller.register(fd, events)  # it was hidden
        if handler.due < self.wake_at:
            self.wake_at = handler.due

    def remove(self, fd: int) -> None:
        # Not left to close(2): a process that the application forked may hold the same open file, and epoll would go on
        # reporting it.
        if self.handlers.pop(fd, None) is not None:
            with suppress(FileNotFoundError):  # dup2 has put another file in its place, and ended the wait so
                self._poller.unregister(fd)

    def requeue(self, fd: int, events: int) -> None:
        """Stand behind the others that wait for `fd`, in this process or in another."""
        self._poller.unregister(fd)
        self._poller.register(fd, events)

    def hide(self, fd: int, handler: Handler) -> None:
        """`handler` takes `fd` over and hears nothing. Whoever has it next is behind those who have waited: epoll keeps
        the place in its queue of one that is only told to be silent, and has a client jump it."""
        self.handlers[fd] = handler
        self._poller.unregister(fd)

    def look(self) -> list[tuple[int, int]]:
        """What is ready, for another thread than the one that waits, and doesn't now: nothing expires."""
        events: list[tuple[int, int]] = self._poller.poll(0)
        return events

    def later(self, handler: Handler, due: int) -> None:
        """Have `handler` expire at `due`, though it waits for no descriptor."""
        handler.due = due
        self.timers.add(handler)
        self.wake_by(due)

    def wake_by(self, due: int) -> None:
        """Look at deadlines at `due` at the latest: one has been brought forward."""
        self.wake_at = min(self.wake_at, due)

    def note_wait(self, length: int) -> None:
        """A request has waited for so long, or one that took so long has let others wait. Who comes next may have, too:
        for as long again each of them is asked."""
        if length > LONG:
            self.late_until = max(self.late_until, self.now + length)

    def cancel(self, handler: Handler) -> None:
        self.timers.discard(handler)

    def wait(self) -> list[tuple[int, int]]:
        """Sleep until something is ready or due; what is due expires here, what is ready is returned."""
        wake_at = self.wake_at
        if wake_at >= NEVER:
            timeout = None
        else:
            timeout = max(0.0, (wake_at - monotonic()) / SECOND) + 0.001
        return self.gather(timeout)

    def gather(self, timeout: float | None) -> list[tuple[int, int]]:
        """What is ready within so many seconds; what is due by then expires."""
        return self.take(self._poller.poll(timeout))

    def take(self, events: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """`events` are this pass's, from whoever has asked for them."""
        self.events = events
        self.now = now = monotonic()
        if now >= self.wake_at:
            self.sweep(now)
        return events

    def turn(self) -> None:
        """One pass: wait, then let everything that is ready go on. Some of it may be gone by its turn."""
        handlers = self.handlers
        for fd, events in self.wait():
            handler = handlers.get(fd)
            if handler is not None:
                handler.ready(events)

    def sweep(self, now: int) -> None:
        for handler in [handler for handler in (*self.handlers.values(), *self.timers) if handler.due <= now]:
            self.timers.discard(handler)
            handler.expire(now)
        earliest = min((handler.due for handler in (*self.handlers.values(), *self.timers)), default=NEVER)
        self.wake_at = earliest if earliest >= NEVER else max(earliest, now + GRAIN)

    def fileno(self) -> int | None:
        """epoll's own descriptor, which is readable while anything is ready. None: there is no epoll."""
        found: int | None = self._poller.fileno() if hasattr(self._poller, "fileno") else None
        return found

    def close(self) -> None:
        self._poller.close()


class PortablePoller:
    """epoll's four verbs over poll(2), for development on systems without epoll: each wait looks at every socket."""

    def __init__(self) -> None:
        self._poll = select.poll()

    def register(self, fd: int, events: int) -> None:
        self._poll.register(fd, events & 0xFF)

    def modify(self, fd: int, events: int) -> None:
        self._poll.modify(fd, events & 0xFF)

    def unregister(self, fd: int) -> None:
        try:
            self._poll.unregister(fd)
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from None  # as epoll

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        return self._poll.poll(None if timeout is None else timeout * 1000)

    def close(self) -> None:
        pass
