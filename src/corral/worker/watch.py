"""Looks after a worker while it is inside the application: who waits there is passed on, to a thread or to a sibling.

It knows how long a call has lasted and what may be done meanwhile. It is one thread that looks every few milliseconds
while there are requests, and sleeps while there are none; a request of a few microseconds never notices it.

The loop and the watcher must not touch one connection at one time. After each event the loop clears its `since` and
then asks `deciding`; the watcher sets `deciding`, takes `duty` and then asks whether `since` is still what it was. So
either the watcher sees that the call is over, or the loop sees the watcher and waits for it in `halt`.
"""

import time
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable
from typing import Any, Final

from corral.net.acceptor import Acceptor
from corral.net.descriptor import wait_for
from corral.net.handoff import Taker, give, movable
from corral.net.reactor import READ, SECOND, monotonic
from corral.worker.serving import Serving

LOOK: Final = 0.005  # seconds: a call that lasts longer is a long one
QUIET: Final = 4  # looks at an idle worker, and the watcher sleeps


class Watch:
    """`since` tells when the call began that keeps the loop busy, 0: none does. `promote` lets a free thread lead.
    `observe` is told of a call that is a long one, while it lasts; the loop then calls `halt` at its end."""

    def __init__(
        self,
        serving: Serving,
        acceptors: list[Acceptor],
        taker: Taker | None,
        since: Callable[[], int],
        promote: Callable[[], bool],
        observe: Callable[[int], None] = lambda since: None,
    ) -> None:
        self.serving = serving
        self.acceptors = acceptors
        self.taker = taker
        self.since = since
        self.promote = promote
        self.observe = observe
        self.duty = allocate_lock()
        self.rest = allocate_lock()
        self.rest.acquire()
        self.dormant = True
        self.deciding = False
        self.acting = False
        self.stopped = False
        self.current: Any = None  # the handler that the loop is in

    def start(self) -> None:
        start_new_thread(self.run, ())

    def stop(self) -> None:
        """The worker leaves; nothing more is passed on from here."""
        self.stopped = True
        self.halt()

    # -- the loop's side

    def rouse(self) -> None:
        self.dormant = False
        self.rest.release()

    def halt(self) -> None:
        """The call is over: the loop has its connections again."""
        with self.duty:
            self.let_go()

    def let_go(self) -> None:
        """On duty: who serves has the connections again, and those that come."""
        self.deciding = False
        if self.acting:
            self.acting = False
            self.resume()

    def offer(self) -> None:
        """A thread has become free: it leads from now on if the one that does is in a call."""
        with self.duty:
            self.deciding = True
            if self.promote() or not self.acting:
                self.let_go()

    # -- the watcher's

    def run(self) -> None:
        while not self.stopped:
            self.rest.acquire()
            quiet = before = 0
            while quiet < QUIET and not self.stopped:
                time.sleep(LOOK)
                since = self.since()
                quiet = 0 if since else quiet + 1
                if since and since == before:
                    self.serving.place.remind()
                    self.act(since)
                before = since
            self.dormant = True
            if self.since() and self.dormant:
                self.rouse()  # it began between the last look and now

    def act(self, since: int) -> None:
        self.deciding = True
        with self.duty:
            over = self.since() != since or self.stopped
            if over or self.promote() or not self.serving.has_heirs():
                self.deciding = False
                return
            self.acting = True
            self.suspend()
            self.observe(since)
        while self.acting:
            self.serving.place.remind()
            self.pass_on()

    def pass_on(self) -> None:
        """Wait until some are readable, and give them away."""
        reactor, channel = self.serving.reactor, self.serving.place.channel
        assert channel is not None  # has_heirs has seen that
        stayed = False
        self.rest_until_ready()
        with self.duty:
            if not self.acting:
                return
            if self.promote():
                self.let_go()
                return
            for fd, _ in reactor.look():
                handler = reactor.handlers.get(fd)
                if handler is not self.current and movable(handler) and give(handler, channel):
                    self.serving.given += 1
                else:
                    stayed = True
                    self.serving.stays(handler)
        if stayed:
            time.sleep(LOOK)  # it is still readable, and would be reported again at once

    def rest_until_ready(self) -> None:
        """For LOOK at most. Nothing is taken from epoll: by then the loop may have its connections again."""
        epoll = self.serving.reactor.fileno()
        if epoll is None:
            time.sleep(LOOK)
        else:
            wait_for(epoll, READ, monotonic() + int(LOOK * SECOND))

    def suspend(self) -> None:
        """Who is not accepted yet is for others, and so are those in transit."""
        for acceptor in self.acceptors:
            acceptor.suspend()
        if self.taker is not None:
            self.taker.suspend()

    def resume(self) -> None:
        for acceptor in self.acceptors:
            acceptor.resume()
        if self.taker is not None:
            self.taker.open()
