"""The worker of ASGI applications: one loop, asyncio's or uvloop's, in which the reactor is a guest.

It knows loops, tasks and the order of a life: start-up, readiness, leaving, shutdown. What a request is, is the
connection's affair (net.aio, net.talk), what the application's start and end are, the lifespan's.
"""

import asyncio
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, Final

from corral.app import check_served
from corral.errors import AppLoadError, ConfigError
from corral.gateway.asgi import AsgiHeads, Mount, texts
from corral.gateway.failure import failing_asgi, is_failure
from corral.gateway.views import Request
from corral.http.inbound import Inbound
from corral.http.pairs import PairsInbound
from corral.net.acceptor import Acceptor
from corral.net.aio import AsyncConnection
from corral.net.guest import GuestReactor
from corral.net.handoff import Taker
from corral.net.listener import Listener
from corral.net.outbox import Outbox
from corral.net.reactor import NEVER, SECOND, monotonic
from corral.net.service import Origin
from corral.net.talk import Talk
from corral.shared.scoreboard import SINCE, Cell, Interface
from corral.worker.base import Worker
from corral.worker.blocking import BlockWatch
from corral.worker.leaving import close_all, draining
from corral.worker.lifespan import Lifespan
from corral.worker.orders import watch
from corral.worker.origins import trust_of
from corral.worker.serving import Hooked, Serving
from corral.worker.steps import launcher, rouser
from corral.worker.sync import SyncWorker

Task = asyncio.Task[None]
MOST_PARTINGS: Final = 100  # WebSockets a second that are told to go: all come back, to whoever is left
DRAIN_TURN: Final = 0.1  # seconds between two looks at what is left
SHUTDOWN_SHARE: Final = 0.1  # of graceful_timeout, for the application's shutdown
LEAST_SHUTDOWN: Final = 1.0


class AsyncServing(Serving):
    """A connection's Site."""

    __slots__ = (
        "gone", "grace", "hooked", "launch", "loop", "mount", "outbox", "ping_interval", "ping_timeout", "rouse",
        "slack", "sockets", "tasks", "turning", "websockets",
    )  # fmt: skip
    make_reactor = GuestReactor
    make_heads = AsgiHeads

    reactor: GuestReactor
    heads: AsgiHeads
    loop: asyncio.AbstractEventLoop
    outbox: Outbox
    app: Any

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self.hooked = False
        # What takes a WebSocket over, once one has come; False: nothing is there that could.
        self.websockets: Any = None
        self.streaming = True
        self.grace = self.config.asgi_disconnect_grace_period
        self.mount = Mount(trust_of(self.config))
        self.tasks: set[Task] = set()
        self.sockets: set[Any] = set()
        self.ping_interval = int(self.config.websocket_ping_interval * SECOND)
        self.ping_timeout = int(self.config.websocket_ping_timeout * SECOND) or NEVER
        self.launch: Callable[[Any], Task]
        self.rouse: Callable[[asyncio.Future[None]], None]
        self.gone: asyncio.Future[None] | None = None
        self.turning: asyncio.Future[None] | None = None
        # The loop is seen to live at each turn, and is due for the next before half of `timeout` has passed.
        self.slack = int(self.config.timeout * SECOND) // 2

    def enter(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.outbox = Outbox(loop, self.reactor)
        self.launch = launcher(loop)
        self.rouse = rouser(loop)
        self.gone = loop.create_future()
        self.reactor.enter(loop, self.turned)

    def leave(self) -> None:
        super().leave()
        self.stop_at -= int(min(self.config.graceful_timeout * SHUTDOWN_SHARE, LEAST_SHUTDOWN) * SECOND)
        if self.gone is not None and not self.gone.done():
            self.gone.set_result(None)

    # -- the loop

    def watch_blocks(self) -> None:
        """From here on; what the application's start-up does holds up nobody."""
        self.reactor.stirred = BlockWatch(self.loop, self.answering, self.note_block, self.place.remind, self.log).stir

    def answering(self) -> bool:
        """Whether a request is in flight that isn't a WebSocket's, which may be silent for hours."""
        return len(self.tasks) > len(self.sockets)

    def note_block(self) -> None:
        self.cells[Cell.BLOCKED] += 1

    def turned(self) -> None:
        self.outbox.send()
        self.settle()
        if self.turning is not None and not self.turning.done():
            self.turning.set_result(None)

    def settle(self) -> None:
        super().settle()
        self.flight[SINCE] = monotonic() + self.slack

    def beat(self) -> None:
        """The loop lives, though nothing has come: the only wake-up of a server that is idle."""
        self.settle()
        if self.slack:
            self.loop.call_later(self.slack / SECOND, self.beat)

    def keep(self, task: Task, ended: Callable[[Task], None]) -> None:
        """Hold a task that goes on: the loop itself doesn't."""
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(ended)

    # -- what a connection asks of its Site

    def upgrade(self, connection: AsyncConnection) -> bool:
        """Whether the request was one for a WebSocket, and has been taken over."""
        if self.websockets is None:
            try:
                from corral.net.websocket import take_over  # lazily: 3 MiB, for applications that have WebSockets

                self.websockets = take_over
            except ImportError:
                self.websockets = False
                self.log.warning("A client asks for a WebSocket, which needs: pip install 'corral[websockets]'")
        return bool(self.websockets and self.websockets(connection))

    def greet(self, talk: Talk) -> None:
        """With pre_request."""

    def conclude(self, talk: Talk) -> int:
        """`account`, which needs an environ only if somebody looks at it."""
        if self.access is None and not talk.surplus and not talk.left and not self.hooked:
            self.reactor.now = now = monotonic()
            self.requests += 1
            self.bytes_out += talk.sent
            return now
        talk.headers = texts(talk.headers)
        return self.account(talk.environ(), talk, talk.start)


class AsyncHooked(AsyncServing, Hooked):
    """With pre_request or post_request."""

    __slots__ = ()

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker)
        self.hooked = True

    def serve_app(self, app: Any) -> None:
        self.app = app

    def greet(self, talk: Talk) -> None:
        worker = self.worker
        worker.nr = self.settled + self.requests
        self.config.pre_request(worker, Request(talk.environ()))
        worker.nr += 1


def new_loop(choice: str, log: Any) -> asyncio.AbstractEventLoop:
    """asgi_loop. Raises ConfigError if uvloop is asked for and isn't there."""
    if choice != "asyncio":
        try:
            import uvloop  # lazily: it is an extra
        except ImportError:
            if choice == "uvloop":
                raise ConfigError("asgi_loop is uvloop, which isn't installed: pip install 'corral[uvloop]'") from None
        else:
            log.debug("The loop is uvloop")
            loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
            return loop
    log.debug("The loop is asyncio's")
    return asyncio.new_event_loop()


class AsyncWorker(SyncWorker):
    """The worker of `worker_class = "asgi"`, and what a sync one becomes that has loaded an ASGI application."""

    servings = (AsyncServing, AsyncHooked)
    interface = Interface.ASGI
    connection = AsyncConnection

    serving: AsyncServing
    started = False
    hurried = False

    def init_signals(self) -> None:
        watch(self, by_python=True)

    def origin_of(self, listener: Listener) -> Origin:
        shared = super().origin_of(listener)
        return shared._replace(inbound=PairsInbound) if shared.inbound is Inbound else shared

    def suit(self) -> None:
        if is_failure(self.wsgi):
            self.wsgi = failing_asgi(self.wsgi)
        check_served(self.wsgi, str(self.cfg.wsgi_app), "asgi", self.cfg.interface)

    def run(self) -> None:
        loop = new_loop(self.cfg.asgi_loop, self.log)
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self.live(loop))
        finally:
            self.serving.settle()
            end_loop(loop)

    async def live(self, loop: asyncio.AbstractEventLoop) -> None:
        """A worker's life in its loop, from the application's start-up to its shutdown."""
        serving = self.serving
        serving.access = self.place.access
        serving.serve_app(self.wsgi)
        serving.enter(loop)
        lifespan = Lifespan(self.wsgi, self.cfg.asgi_lifespan, self.log)
        if not await self.start(lifespan):
            return
        serving.mount = Mount(trust_of(self.cfg), self.cfg.root_path, lifespan.state)
        if self.cfg.warmup:
            await self.warm(lifespan)
        # One a wake-up, however few workers there are: what is accepted is served before the next, and the
        # application's own tasks go on in between.
        acceptors, taker = self.open(1)
        self.started = True
        self.notify()
        serving.watch_blocks()
        serving.beat()
        assert serving.gone is not None
        await serving.gone
        if not self.hurried:
            await self.drain(acceptors, taker)
        await self.let_go()
        left = (serving.stop_at - monotonic()) / SECOND if not self.hurried else 0
        await lifespan.stop(max(LEAST_SHUTDOWN, left))

    def warm_up(self) -> None:
        """In the loop, after the application's start-up, see `warm`."""

    async def warm(self, lifespan: Lifespan) -> None:
        from corral.worker.warmup_asgi import warm_up  # lazily: few servers have it

        try:
            await warm_up(self.wsgi, self.cfg, self.place.row, self.serving.mount)
        except AppLoadError as error:
            if self.reloader is None:
                await lifespan.stop(LEAST_SHUTDOWN)
                raise
            self.log.error("%s", error, exc_info=error.__cause__)

    async def start(self, lifespan: Lifespan) -> bool:
        """Whether the application has started; False if the worker was told to leave before. Raises StartFailed."""
        gone = self.serving.gone
        assert gone is not None
        starting = asyncio.ensure_future(lifespan.start())
        await asyncio.wait((starting, gone), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await lifespan.cut()
            return False
        starting.result()
        return True

    async def drain(self, acceptors: list[Acceptor], taker: Taker | None) -> None:
        """leaving.draining, each step of it in the loop itself: an application may begin with a request there."""
        serving, loop = self.serving, self.serving.loop
        self.part_sockets(loop)
        steps = draining(serving, acceptors, taker)

        def step() -> bool | None:
            serving.outbox.send()  # what a connection has to say it says before it moves
            return next(steps, True)

        while await in_loop(loop, step) is None and not self.hurried:
            serving.reactor.arm()
            serving.turning = loop.create_future()
            await asyncio.wait((serving.turning,), timeout=DRAIN_TURN)
        while serving.tasks and monotonic() < serving.stop_at and not self.hurried:
            await asyncio.wait(serving.tasks, timeout=DRAIN_TURN)

    def part_sockets(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell every WebSocket to go, one by one: their clients come back at once."""
        sockets = list(self.serving.sockets)
        span = min(len(sockets) / MOST_PARTINGS, self.cfg.graceful_timeout / 2)
        for number, socket in enumerate(sockets):
            loop.call_later(span * number / len(sockets), socket.go_away)

    async def let_go(self) -> None:
        """Close what is left, and cancel who is at work still."""
        for left in list(self.serving.reactor.handlers.values()):
            if isinstance(left, Talk):
                left.lose()
        close_all(self.serving)
        tasks = list(self.serving.tasks)
        if tasks:
            self.log.warning("%d requests were cut short", len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=LEAST_SHUTDOWN)

    def notify(self) -> None:
        """The loop has its own way to be seen, but for the moment at which the worker is ready."""
        if self.started and not self.tmp.ready:
            self.tmp.notify()

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        self.alive = False
        self.hurried = True
        self.call("worker_int")
        self.serving.leave()


async def in_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], Any]) -> Any:
    """Call `function` outside of any task."""
    future = loop.create_future()

    def call() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    loop.call_soon(call)
    return await future


def end_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the application's own tasks, and give its generators a moment; its threads end with the process."""
    try:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        ends: Iterable[Any] = [asyncio.wait(tasks, timeout=LEAST_SHUTDOWN)] if tasks else []
        for end in (*ends, asyncio.wait_for(loop.shutdown_asyncgens(), LEAST_SHUTDOWN)):
            loop.run_until_complete(end)
    finally:
        asyncio.set_event_loop(None)


def become_async(worker: SyncWorker) -> None:
    """The application turned out to be ASGI. The object stays: hooks hold it, and what they have put on it."""
    if type(worker) is not SyncWorker:
        check_served(worker.wsgi, str(worker.cfg.wsgi_app), "wsgi", worker.cfg.interface)
    before = worker.serving
    worker.__class__ = AsyncWorker
    worker.serving = worker.make_serving()
    worker.init_signals()
    for signum in before.wakeup.drain():  # one that came while the application was loaded
        worker.serving.wakeup.note(signum, None)
    before.reactor.close()
    before.wakeup.close()
