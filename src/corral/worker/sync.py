"""One thread, one loop: the application runs between two polls. A slow or silent client costs only its descriptor.

It knows how listeners, connections and the worker meet; it must not know HTTP.
"""

from types import FrameType
from typing import Any, ClassVar

from corral.app import serving_interface
from corral.config.hooks import NO_HOOK
from corral.config.settings import Config
from corral.net.acceptor import Acceptor
from corral.net.connection import Connection
from corral.net.handoff import Taker
from corral.net.listener import Listener
from corral.net.service import Origin, Seal
from corral.report.choice import heed
from corral.shared.scoreboard import SINCE, Cell, Interface
from corral.worker.base import Worker
from corral.worker.leaving import drain
from corral.worker.orders import Quit, leaving_at_once, watch
from corral.worker.origins import origin
from corral.worker.reserve import Reserve
from corral.worker.serving import Hooked, Serving
from corral.worker.watch import Watch

OF_GUNICORNS = ("accept", "handle", "handle_request", "run_for_one", "run_for_multiple", "enqueue_req")
BURST = 8  # connections accepted a wake-up, where no sibling could take them


class SyncWorker(Worker):
    """The worker of `worker_class = "sync"`."""

    # What serves: without and with pre_request or post_request.
    servings: ClassVar[tuple[type[Serving], type[Serving]]] = (Serving, Hooked)
    interface: ClassVar[Interface] = Interface.WSGI
    connection: ClassVar[type[Connection]] = Connection

    serving: Serving
    seal: Seal | None

    @classmethod
    def check_config(cls, cfg: Config, log: Any) -> None:
        """Tell those who override gunicorn's way through a request that there is another one here."""
        for name in OF_GUNICORNS:
            if hasattr(cls, name):
                log.warning("%s.%s() is never called: use pre_request and post_request", cls.__name__, name)

    def init_process(self) -> None:
        self.serving = self.make_serving()
        try:
            super().init_process()
        except Quit:
            self.serving.settle()

    def make_serving(self) -> Serving:
        hooked = self.cfg.pre_request is not NO_HOOK or self.cfg.post_request is not NO_HOOK
        return self.servings[hooked](self)

    def init_signals(self) -> None:
        watch(self)

    def open_pipe(self) -> None:
        """Signals are in the loop, see `orders`."""

    def load_wsgi(self) -> None:
        self.seal = self.place.secure()
        with leaving_at_once(self):
            super().load_wsgi()
        self.suit()
        self.place.access = heed(self.log, self.place.access)
        self.place.row.cells[Cell.INTERFACE] = self.interface

    def suit(self) -> None:
        """Be the worker that the application needs, now that it is there. Raises AppLoadError."""
        if serving_interface(self.wsgi, str(self.cfg.wsgi_app), self.cfg.interface) == "asgi":
            from corral.worker.aio import become_async  # lazily: asyncio, 3 MiB, for those who have such an application

            become_async(self)

    def run(self) -> None:
        self.serving.access = self.place.access
        self.serving.serve_app(self.wsgi)
        several = self.cfg.workers > 1
        acceptors, taker = self.open(1 if several else BURST)
        self.notify()
        self.serving.settle()  # what that sign of life began would never end in a worker without requests
        threads = min(self.cfg.threads, self.place.row.flights)
        if threads > 1:
            from corral.worker.threads import Crew  # lazily: most workers have one thread

            crew = Crew(self.serving, threads, self.wsgi)
            self.serving = crew.lanes[0]
            crew.open(acceptors, taker)
            crew.serve()
        elif several and taker is not None:
            serve_watched(self.serving, acceptors, taker)
        else:
            serve(self.serving, acceptors, taker)

    def open(self, burst: int) -> tuple[list[Acceptor], Taker | None]:
        """Wait for connections, at the listeners and from siblings."""
        serving, channel = self.serving, self.place.channel
        acceptors = []
        for listener in self.place.listeners:
            acceptors.append(Acceptor(listener, self.origin_of(listener), burst, self.cant_accept))
            acceptors[-1].open()
        if channel is None:
            return acceptors, None
        taker = Taker(channel, {acceptor.origin.name: acceptor.origin for acceptor in acceptors}, acceptors[0].ceiling)
        taker.open()
        serving.cells[Cell.TAKES] = 1
        return acceptors, taker

    def origin_of(self, listener: Listener) -> Origin:
        """What the connections of a listener have in common."""
        return origin(self.serving, listener, self.seal)._replace(connection=self.connection)

    def cant_accept(self, error: OSError) -> None:
        self.log.error("Can't accept a connection: %s; trying again in a moment", error.strerror)

    def notify(self) -> None:
        """The loop has its own way to be seen; called by an application, this gives its request another `timeout`."""
        cells = self.place.row.cells
        if not self.tmp.ready or cells[Cell.BUSY_SINCE]:
            self.tmp.notify()

    # -- signals: all but ABRT come through the loop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.serving.leave()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        self.alive = False
        self.call("worker_int")
        raise Quit

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        super().handle_usr1(sig, frame)
        if self.place.access is not None:
            self.place.access.reopen()


def serve(serving: Serving, acceptors: list[Acceptor], taker: Taker | None) -> None:
    while serving.accepting:
        serving.reactor.turn()
        serving.settle()
    drain(serving, acceptors, taker)


def serve_watched(serving: Serving, acceptors: list[Acceptor], taker: Taker) -> None:
    """The same where siblings can take what waits for a long call: 0.06 µs more an event."""
    reactor, flight = serving.reactor, serving.flight
    handlers = reactor.handlers
    reserve = Reserve(serving, acceptors, taker)
    watch = Watch(serving, acceptors, taker, lambda: flight[SINCE], lambda: False, reserve.observe)
    watch.start()
    while serving.accepting:
        events = reactor.wait() if not reserve.held else reserve.wait()
        if events and watch.dormant:
            watch.rouse()
        for fd, mask in events:
            handler = handlers.get(fd)
            if handler is None or (reserve.lengths and reserve.holds(fd, handler)):
                continue
            watch.current = handler
            handler.ready(mask)
            flight[SINCE] = 0
            if watch.deciding:
                watch.halt()
                reserve.learn()
            elif reserve.expected:
                reserve.judge()
        serving.settle()
    reserve.release()
    watch.stop()
    drain(serving, acceptors, taker)
