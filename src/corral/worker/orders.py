"""What reaches a worker from outside: signals, and the end of its arbiter. Both are descriptors in its loop.

It knows which signals there are, and that nothing happens in the middle of something else; what each means for a worker
is the worker's: `handle_exit` and the others of gunicorn's API.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from corral.net.reactor import NEVER
from corral.worker.place import Place
from corral.worker.serving import Serving

LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

Handle = Callable[[int, FrameType | None], None]


class Heeding(Protocol):
    """A worker that heeds its orders."""

    @property
    def serving(self) -> Serving: ...

    place: Place
    pid: int | str
    log: Any

    def handle_exit(self, sig: int, frame: FrameType | None) -> None: ...
    def handle_quit(self, sig: int, frame: FrameType | None) -> None: ...
    def handle_abort(self, sig: int, frame: FrameType | None) -> None: ...
    def handle_usr1(self, sig: int, frame: FrameType | None) -> None: ...


class Quit(BaseException):
    """Leave now: nothing more is answered."""


def watch(worker: Heeding, *, by_python: bool = False) -> None:
    """From here on signals are bytes in a pipe, read between requests; but for ABRT, which is for a request that hangs.

    Those that are the arbiter's are ignored since the fork (shared.process.reset_signals). `by_python`: see Wakeup.
    """
    handlers: dict[int, Handle] = {
        signal.SIGTERM: worker.handle_exit,
        signal.SIGINT: worker.handle_quit,
        signal.SIGQUIT: worker.handle_quit,
        signal.SIGUSR1: worker.handle_usr1,
    }
    serving = worker.serving
    serving.wakeup.watch_signals(handlers, by_python=by_python)
    signal.signal(signal.SIGABRT, worker.handle_abort)
    serving.reactor.add(serving.wakeup.fileno(), Orders(serving, handlers))
    serving.reactor.add(worker.place.lifeline, Lifeline(worker))


@contextmanager
def leaving_at_once(worker: Heeding) -> Iterator[None]:
    """While the application is imported, which may take minutes or hang: there is nothing to finish yet.

    A module that catches everything goes on with its import; then the order is in the pipe as ever.
    """
    before = {signum: signal.getsignal(signum) for signum in LEAVE}

    def leave(signum: int, frame: FrameType | None) -> None:
        note = before[signal.Signals(signum)]
        if callable(note):
            note(signum, frame)
        if signum != signal.SIGTERM:
            worker.handle_quit(signum, frame)
        raise Quit

    for signum in LEAVE:
        signal.signal(signum, leave)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


class Orders:
    """Signals, as the reactor delivers them."""

    due = NEVER

    def __init__(self, serving: Serving, handlers: dict[int, Handle]) -> None:
        self.serving = serving
        self.handlers = handlers

    def ready(self, _: int) -> None:
        for signum in self.serving.wakeup.drain():
            handler = self.handlers.get(signum)
            if handler is not None:
                handler(signum, None)

    def expire(self, now: int) -> None:
        pass


class Lifeline:
    """End of file on a pipe that only the arbiter holds open: it is dead, and nobody will wait for this process."""

    due = NEVER

    def __init__(self, worker: Heeding) -> None:
        self.worker = worker

    def ready(self, _: int) -> None:
        worker = self.worker
        worker.serving.reactor.remove(worker.place.lifeline)
        worker.place.remind()  # the main thread, if this is another one
        if worker.serving.accepting:
            worker.log.info("The arbiter is gone, worker (pid: %s) leaves", worker.pid)
            worker.serving.leave()

    def expire(self, now: int) -> None:
        pass
