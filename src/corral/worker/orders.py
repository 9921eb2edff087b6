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
# These are the arbiter's. A signal to the whole process group must not kill workers.
DEAF = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH)


def watch(worker: Worker) -> None:
    """From here on signals are bytes in a pipe, read between requests."""
    worker.wakeup.watch_signals((*GRACEFUL, *QUICK, *REOPEN))
    for signum in DEAF:
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGABRT, signal.SIG_DFL)
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
