"""Several threads, leader and followers: one polls and runs the application itself; before a call that is likely to be
slow it lets another one lead. So a fast application never pays for a switch of threads.

It knows who leads. What a thread needs of its own, a head in the making and a place on the scoreboard, is its Lane.
"""

import time
from _thread import RLock, allocate_lock, get_ident, start_new_thread
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeGuard

from corral.gateway.exchange import over
from corral.gateway.wsgi import App, Environ
from corral.http.response import Heads
from corral.net.acceptor import Acceptor
from corral.net.connection import Connection
from corral.net.handoff import Taker
from corral.net.held import ONCE, hold
from corral.net.reactor import NEVER, READ, SECOND, monotonic
from corral.net.states import PARKED, read
from corral.shared.scoreboard import LENGTH, SINCE, THREAD
from corral.worker.leaving import drain
from corral.worker.serving import Hooked, Serving, server_name
from corral.worker.watch import LOOK, Watch

SLOW: Final = SECOND // 2000  # a moving average of calls above this: the next one is likely to be slow as well
WEIGHT: Final = 16  # of the past in that average


class Crew:
    """The threads of one worker. The main thread is one of them: signals are its."""

    def __init__(self, serving: Serving, threads: int, app: App) -> None:
        self.serving = serving
        self.reactor = serving.reactor
        self.accepting = True
        self.leadership = allocate_lock()
        self.lock = RLock()  # of what all count together
        self.waiting: deque[None] = deque()  # a mark for each thread that would lead; len() and append are atomic
        self.pending: deque[tuple[int, int]] = deque()
        self.average = 2 * SLOW  # until it is known: of the first requests none waits for another
        self.settled = 0
        self.sleeps_until = 0
        self.leader: Lane | None = None
        self.failure: BaseException | None = None
        self.drained = False
        self.held = hold(self.reactor)
        kind = HookedLane if isinstance(serving, Hooked) else Lane
        self.lanes = [kind(self, number, app) for number in range(threads)]
        self.watch: Watch

    def open(self, acceptors: list[Acceptor], taker: Taker | None) -> None:
        first = self.lanes[0]
        for acceptor in acceptors:
            acceptor.origin = acceptor.origin._replace(service=first)
            acceptor.patience = NEVER  # a connection is served when it is readable, by whoever leads then
        if taker is not None:
            taker.inline = False
            taker.service = first
            taker.origins = {name: origin._replace(service=first) for name, origin in taker.origins.items()}
        self.watch = Watch(self.lanes[0], acceptors, taker, self.since, self.promote)
        self.watch.start()

    def serve(self) -> None:
        """In the main thread; returns when the worker has left."""
        for lane in self.lanes[1:]:
            start_new_thread(self.run, (lane,))
        self.run(self.lanes[0])
        self.leadership.acquire()  # by now another thread may have drained
        if self.failure is not None:
            raise self.failure
        if not self.drained:
            self.drain(self.lanes[0])

    def drain(self, lane: "Lane") -> None:
        """By whoever leads: the main thread may be in a long call."""
        self.drained = True
        self.watch.stop()
        for handler in list(self.reactor.handlers.values()):
            lane.stays(handler)
        drain(lane, self.watch.acceptors, self.watch.taker)

    def run(self, lane: "Lane") -> None:
        lane.begin_thread()
        try:
            while self.accepting:
                self.waiting.append(None)
                if self.average > SLOW:
                    self.watch.offer()  # who leads may have begun a call when nobody was free
                self.leadership.acquire()
                self.waiting.pop()
                self.leader = lane
                lane.leading = True
                lane.lead()
            if lane is not self.lanes[0]:
                self.outlast()
        except BaseException as error:
            self.failure = self.failure or error
            self.disperse()
            if lane.leading:
                lane.leading = False
                self.leadership.release()
            if lane is self.lanes[0]:
                raise

    def outlast(self) -> None:
        """The main thread may be in a call for ever, and have missed that nobody is left who would end it."""
        while self.lanes[0].since():
            self.serving.place.remind()
            time.sleep(LOOK)

    def disperse(self) -> None:
        """No thread leads again; the one that does now sees it at its next turn."""
        with self.lock:
            self.accepting = False
        for lane in self.lanes:
            lane.accepting = False

    def leave(self) -> None:
        with self.lock:
            Serving.leave(self.lanes[0])
            self.disperse()
            for lane in self.lanes:
                lane.keeping = self.lanes[0].keeping
                lane.stop_at = self.lanes[0].stop_at
        self.serving.wakeup.wake()

    # -- for the watcher

    def since(self) -> int:
        leader = self.leader
        return 0 if leader is None else leader.since()

    def promote(self) -> bool:
        """Let a waiting thread lead, if there is one."""
        leader = self.leader
        if leader is None or not leader.calling or not self.waiting:
            return False
        leader.let_lead()
        return True


class Lane(Serving):
    """One thread's view of the worker."""

    __slots__ = ("began", "connection", "crew", "inner", "leading", "parked", "read")

    def __init__(self, crew: Crew, number: int, app: App) -> None:
        for name in Serving.__slots__:  # what all have in common
            if hasattr(crew.serving, name):
                setattr(self, name, getattr(crew.serving, name))
        self.crew = crew
        self.heads = Heads(server_name())
        self.exchange = None
        self.next_date = 0
        self.fly(number)
        self.connections = self.requests = self.errors = self.bytes_out = self.given = self.taken = 0
        self.leading = False
        self.began = 0  # the pass
        self.parked = False
        self.connection: Connection | None = None
        self.read: Callable[[int, int], bytes] = read if crew.held is None else crew.held.reader()
        self.serve_app(app)
        self.inner = self.app

    def begin_thread(self) -> None:
        self.flight[THREAD] = get_ident()

    def lead(self) -> None:
        """Poll and serve, until another thread leads."""
        crew, reactor = self.crew, self.reactor
        self.choose_way()
        self.began = monotonic()
        pending, handlers, watch, flight = crew.pending, reactor.handlers, crew.watch, self.flight
        settled = True
        while self.leading and self.accepting:
            if not pending:
                if not settled:
                    self.settle()
                    settled = True
                crew.sleeps_until = reactor.wake_at
                pending.extend(self.gather())
                self.began = reactor.now
                if pending and watch.dormant:
                    watch.rouse()
                continue
            fd, events = pending.popleft()
            handler = handlers.get(fd)
            if handler is None:
                continue
            armed = False
            if type(handler) is Connection:
                handler.service = self
                if handler.read is not read and handler.stream is None:
                    handler.read = self.read
                    armed = True
            else:
                self.take(handler)
            settled = False
            watch.current = handler
            handler.ready(events)
            flight[SINCE] = 0
            if watch.deciding:
                watch.halt()
            if not self.leading:
                self.unpark()
            elif armed and handlers.get(fd) is handler:
                self.stays(handler)
        self.settle()
        if self.leading:
            if not self.crew.drained and self.crew.failure is None:
                self.crew.drain(self)
            self.leading = False
            crew.leader = None
            crew.leadership.release()

    def gather(self) -> list[tuple[int, int]]:
        """What is ready. While calls are slow another thread may compute: the interpreter is let go only to wait."""
        held = self.crew.held
        if held is not None and self.crew.average > SLOW and (events := held.look()):
            return self.reactor.take(events)
        return self.reactor.wait()

    def choose_way(self) -> None:
        """Short calls go straight to the application: to be asked first would cost each of them 0.1 µs."""
        self.app = self.inner if self.crew.average <= SLOW else self.call_slow

    def call_slow(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The application, after another thread has taken the lead, if one is free."""
        crew = self.crew
        if crew.waiting and not crew.drained:  # who drains leads to the end
            with crew.watch.duty:  # the watcher may be about to do the same
                if self.leading:
                    self.let_lead()
        return self.inner(environ, start_response)

    def let_lead(self) -> None:
        """Stop leading. This thread's connection is its own until its request is answered."""
        self.connection = connection = connection_of(self.crew.watch.current)
        if connection is not None and connection.registered and connection.fd >= 0:
            if is_armed(connection):
                self.reactor.handlers[connection.fd] = PARKED  # its event has come, and there is no other
            else:
                self.reactor.hide(connection.fd, PARKED)
            self.parked = True
        self.leading = False
        self.crew.leader = None
        self.crew.leadership.release()

    def unpark(self) -> None:
        connection, handlers = self.connection, self.reactor.handlers
        self.connection = None
        if self.parked:
            self.parked = False
            if connection is not None and connection.fd >= 0 and handlers.get(connection.fd) is PARKED:
                self.keep(connection)
        if not self.accepting or (connection is not None and connection.due < self.crew.sleeps_until):
            self.wakeup.wake()

    def keep(self, connection: Connection) -> None:
        """Have its next request heard: while calls are slow by one event, for one at a time can have it; and it stands
        behind all who have asked before. epoll keeps the place in its queue of one that it goes on telling about."""
        crew, fd, reactor = self.crew, connection.fd, self.reactor
        if connection.stream is None:
            connection.read = read
            with crew.lock:  # once the worker leaves they are all told of as ever: `drain` sees to those from before
                if crew.held is not None and crew.accepting and crew.average > SLOW:
                    connection.read = self.read
                    reactor.handlers[fd] = connection  # before it is so: from then on another thread may have it
                    try:
                        crew.held.arm(fd)
                    except FileNotFoundError:  # it was hidden
                        reactor.add(fd, connection, ONCE)
                    return
        reactor.change(fd, connection, READ)

    def since(self) -> int:
        return self.flight[SINCE]

    # -- a Serving's

    def stays(self, handler: Any) -> None:
        if is_armed(handler):
            self.keep(handler)

    def turn(self) -> None:
        """One pass while this thread drains: nobody else polls, and calls end one after the other."""
        handlers = self.reactor.handlers
        for fd, events in self.reactor.wait():
            handler = handlers.get(fd)
            if handler is not None:
                self.take(handler)
                handler.ready(events)
                self.flight[SINCE] = self.flight[LENGTH] = 0

    def take(self, handler: Any) -> None:
        connection = connection_of(handler)
        if connection is not None:
            connection.service = self
            if connection.stream is None:
                connection.read = read  # what stands for it is told again and again, and so will it be

    def leave(self) -> None:
        if self.accepting:
            self.crew.leave()

    def note_long_call(self, length: int) -> None:
        if self.leading:  # nobody else has polled meanwhile
            super().note_long_call(length)

    def end_call(self) -> None:
        """What the connection does now, the watcher must not see half done. If it only falls silent there is nothing to
        see, and `lead` waits for the watcher afterwards."""
        if self.exchange is not None:
            self.exchange.transmit = over
        if self.crew.watch.deciding:
            with self.crew.watch.duty:
                pass

    @property
    def calling(self) -> bool:
        """Whether this thread is between the application's call and the end of its request."""
        return self.exchange is not None and self.exchange.transmit is not over

    def settle(self) -> None:
        crew = self.crew
        with crew.lock:
            if self.requests:  # one measurement a pass: one a request would cost 0.2 µs
                mean = (self.reactor.now - self.began) // self.requests
                crew.average += (mean - crew.average) * min(self.requests, WEIGHT) // WEIGHT
            self.choose_way()
            self.settled = crew.settled
            super().settle()
            crew.settled = self.settled

    def total_connections(self) -> int:
        return sum(lane.connections for lane in self.crew.lanes)


def is_armed(handler: Any) -> TypeGuard[Connection]:
    """Whether it is a Connection that epoll tells about once, see `keep`."""
    return type(handler) is Connection and handler.stream is None and handler.read is not read


def connection_of(handler: Any) -> Any:
    """The Connection that a handler is or stands for; None: a listener's, or the channel's."""
    return handler if type(handler) is Connection else getattr(handler, "connection", None)


class HookedLane(Lane, Hooked):
    """With pre_request or post_request."""
