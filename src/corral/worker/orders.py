"""What reaches a worker from outside: signals, and the end of its arbiter. Both are descriptors in its loop.

It knows what each means for a worker; no signal handler of it does anything, so nothing happens in the middle of
something else.
"""

import signal

from corral.net.reactor import NEVER
from corral.worker.worker import Worker

GRACEFUL = (signal.SIGTERM,)
QUICK = (signal.SIGINT, signal.SIGQUIT)
REOPEN = (signal.SIGUSR1,)


def watch(worker: Worker) -> None:
    """From here on signals are bytes in a pipe, read between requests.

    Those that are the arbiter's are ignored since the fork (shared.process.reset_signals).
    """
    worker.wakeup.watch_signals((*GRACEFUL, *QUICK, *REOPEN))
    worker.reactor.add(worker.wakeup.fileno(), Orders(worker))
    worker.reactor.add(worker.lifeline, Lifeline(worker))


class Quit(BaseException):
    """Leave now: nothing more is answered."""


class Orders:
    """Signals, as the reactor delivers them."""

    due = NEVER

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def ready(self, _: int) -> None:
        for signum in self.worker.wakeup.drain():
            if signum in QUICK:
                raise Quit
            if signum in GRACEFUL:
                self.worker.leave()
            elif signum in REOPEN:
                self.worker.reopen_logs()

    def expire(self, now: int) -> None:
        pass


class Lifeline:
    """End of file on a pipe that only the arbiter holds open: it is dead, and nobody will wait for this process."""

    due = NEVER

    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    def ready(self, _: int) -> None:
        self.worker.reactor.remove(self.worker.lifeline)
        if self.worker.accepting:
            self.worker.log.info("The arbiter is gone, worker (pid: %d) leaves", self.worker.pid)
            self.worker.leave()

    def expire(self, now: int) -> None:
        pass
