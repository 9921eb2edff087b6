"""A reactor in somebody else's loop, asyncio's or uvloop's, which sleeps for both.

It knows how a loop is asked to wake up, and nothing of what is served.
"""

import asyncio
from collections.abc import Callable

from corral.net.reactor import NEVER, READ, WRITE, Reactor, monotonic


class LoopPoller:
    """epoll's verbs where there is no epoll to be a guest (macOS, for development): each descriptor is the loop's."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.turn: Callable[[], None]
        self.wanted: dict[int, int] = {}
        self.ready: dict[int, int] = {}

    def enter(self, loop: asyncio.AbstractEventLoop, turn: Callable[[], None]) -> None:
        self.loop, self.turn = loop, turn
        for fd, events in self.wanted.items():
            self.modify(fd, events)

    def register(self, fd: int, events: int) -> None:
        self.modify(fd, events)

    def modify(self, fd: int, events: int) -> None:
        self.wanted[fd] = events
        if self.loop is None:
            return
        if events & READ:
            self.loop.add_reader(fd, self.note, fd, READ)
        else:
            self.loop.remove_reader(fd)
        if events & WRITE:
            self.loop.add_writer(fd, self.note, fd, WRITE)
        else:
            self.loop.remove_writer(fd)

    def unregister(self, fd: int) -> None:
        self.modify(fd, 0)
        del self.wanted[fd]
        self.ready.pop(fd, None)

    def note(self, fd: int, event: int) -> None:
        self.ready[fd] = self.ready.get(fd, 0) | event
        self.turn()

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        ready, self.ready = self.ready, {}
        return list(ready.items())

    def close(self) -> None:
        pass


class GuestReactor(Reactor):
    """A reactor in a loop that sleeps for both. Its deadlines are one timer of the loop."""

    __slots__ = ("armed_at", "loop", "stirred", "timer", "turned", "turning")

    def __init__(self) -> None:
        super().__init__()
        if not hasattr(self._poller, "fileno"):
            self._poller = LoopPoller()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.armed_at = NEVER
        self.turning = False
        self.turned: Callable[[], None] = self.arm
        self.stirred: Callable[[], None] = self.arm  # called before each turn

    def enter(self, loop: asyncio.AbstractEventLoop, turned: Callable[[], None]) -> None:
        """From here on `loop` sleeps; `turned` is called after each turn."""
        self.loop = loop
        self.turned = turned
        if isinstance(self._poller, LoopPoller):
            self._poller.enter(loop, self.turn)
        else:
            loop.add_reader(self._poller.fileno(), self.turn)
        self.arm()

    def leave(self) -> None:
        if self.loop is not None:
            if not isinstance(self._poller, LoopPoller):
                self.loop.remove_reader(self._poller.fileno())
            if self.timer is not None:
                self.timer.cancel()
        self.loop = None

    def wait(self) -> list[tuple[int, int]]:
        """What is ready now. The loop has slept."""
        self.stirred()
        return self.gather(0)

    def turn(self) -> None:
        self.turning = True
        try:
            super().turn()
        finally:
            self.turning = False
            self.turned()
        if self.wake_at < self.armed_at:
            self.arm()

    def arm(self) -> None:
        """Have the loop wake up when something is due; after whatever sets a deadline outside of a turn."""
        wake_at = self.wake_at
        if wake_at >= self.armed_at or self.loop is None:
            return
        if self.timer is not None:
            self.timer.cancel()
        self.armed_at = wake_at
        self.timer = self.loop.call_later(max(0, wake_at - monotonic()) / 1e9 + 0.001, self.ring)

    def ring(self) -> None:
        self.timer = None
        self.armed_at = NEVER
        self.turn()
        self.arm()
