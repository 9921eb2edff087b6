"""gunicorn's worker API: what a worker class of one's own is built on, and what hooks see of any worker.

It knows the moments of a worker's life and their names. How requests are served is `run`, a subclass's; who lives and
who is killed is the arbiter's, which only sees what `notify` tells it.
"""

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, ClassVar

from corral.config.settings import Config
from corral.errors import AppLoadError, PeerError
from corral.gateway.failure import failing_app
from corral.http.response import error_response
from corral.worker.place import Place

# What reaches a worker by `pkill` and is meant for its arbiter stays ignored, as it is since the fork.
HEARD = ("ABRT", "HUP", "QUIT", "INT", "TERM", "USR1", "USR2", "WINCH", "CHLD")


class Worker:
    """Made in the arbiter, before the fork; `init_process` and all after it run in the child.

    A subclass has `run`, which serves `sockets` until `alive` is false and calls `notify` at least every `timeout`
    seconds: that is half of what the arbiter waits for before it takes the worker for hung. The first `notify` says
    that the worker serves, and that no older one is needed any more.
    """

    SIGNALS: ClassVar[list[signal.Signals]] = [getattr(signal, f"SIG{name}") for name in HEARD]
    PIPE: ClassVar[list[int]] = []

    place: Place  # given by the server, before the fork

    def __init__(
        self, age: int, ppid: int, sockets: Sequence[Any], app: Any, timeout: float, cfg: Config, log: Any
    ) -> None:
        self.age = age
        self.pid: int | str = "[booting]"
        self.ppid = ppid
        self.sockets: Sequence[Any] = sockets
        self.app = app
        self.timeout = timeout
        self.cfg = cfg
        self.log = log
        self.booted = False
        self.aborted = False
        self.alive = True
        self.reloader: Any = None
        self.nr = 0
        self.max_requests = limit_of(cfg.max_requests, cfg.max_requests_jitter)
        self.tmp: Any = None  # the heartbeat, given by the server as well
        self.wsgi: Any = None
        self.wait_fds: list[Any] = []

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"

    @classmethod
    def setup(cls) -> None:
        """Called once in the arbiter, before the first worker is made."""

    @classmethod
    def check_config(cls, cfg: Config, log: Any) -> None:
        """Called once in the arbiter: the place to complain about settings that this class can't serve."""

    # -- life

    def init_process(self) -> None:
        """The child's life from here on; it returns when the worker is to exit. A subclass calls it last."""
        self.open_pipe()
        self.init_signals()
        if self.cfg.reload:
            self.start_reloader()
        self.load_wsgi()
        self.call("post_worker_init")
        if self.cfg.warmup:
            self.warm_up()
        self.booted = True
        self.run()

    def run(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no run()")

    def notify(self) -> None:
        """Tell the arbiter that this worker goes on."""
        self.tmp.notify()

    def open_pipe(self) -> None:
        """PIPE ends a `select` when a signal comes."""
        reader, writer = os.pipe()
        for fd in (reader, writer):
            os.set_blocking(fd, False)
        type(self).PIPE = [reader, writer]
        self.wait_fds = [*self.sockets, reader]

    def load_wsgi(self) -> None:
        """Set `wsgi`. Raises what the application's modules raise; with `reload` it is a page that says so instead."""
        try:
            self.wsgi = self.app.wsgi()
        except (Exception, SystemExit) as error:
            if self.reloader is None:
                raise
            self.reloader.failed(error)  # before it is logged: whoever reads the log may mend it at once
            if isinstance(error, AppLoadError):
                self.log.error("%s", error)
            else:
                self.log.exception("Exception in worker process")
            self.wsgi = failing_app(error)
        else:
            if self.reloader is not None:
                self.reloader.loaded()

    def warm_up(self) -> None:
        from corral.worker.warmup import warm_up  # lazily: few servers have it

        try:
            warm_up(self.wsgi, self.cfg, self.place.row)
        except AppLoadError as error:
            if self.reloader is None:
                raise
            self.log.error("%s", error, exc_info=error.__cause__)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a hook of this name with this worker; one that raises is named in the log, and does no other harm."""
        try:
            getattr(self.cfg, name)(self, *arguments)
        except Exception:
            self.log.exception("The hook %s failed", name)

    # -- reload

    def start_reloader(self) -> None:
        from corral.worker.reloader import Reloader  # lazily: threading, for those who develop

        self.reloader = Reloader(
            self.log, self.changed, engine=self.cfg.reload_engine, extra_files=self.cfg.reload_extra_files
        )
        self.reloader.start()

    def changed(self, path: str) -> None:
        """In the reloader's thread: a source file has changed."""
        self.alive = False
        self.call("worker_int")
        os.kill(os.getpid(), signal.SIGTERM)

    # -- signals

    def init_signals(self) -> None:
        for signum, handler in (
            (signal.SIGTERM, self.handle_exit),
            (signal.SIGINT, self.handle_quit),
            (signal.SIGQUIT, self.handle_quit),
            (signal.SIGABRT, self.handle_abort),
            (signal.SIGUSR1, self.handle_usr1),
            (signal.SIGWINCH, self.handle_winch),
        ):
            signal.signal(signum, handler)
            signal.siginterrupt(signum, False)
        signal.set_wakeup_fd(self.PIPE[1], warn_on_full_buffer=False)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """TERM: finish what has begun, and leave."""
        self.alive = False

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:
        """INT and QUIT: leave now."""
        self.alive = False
        self.call("worker_int")
        time.sleep(0.1)  # for threads of the worker's to see that it isn't alive
        sys.exit(0)

    def handle_abort(self, sig: int, frame: FrameType | None) -> None:
        """ABRT: the arbiter has waited for longer than `timeout`, and kills this process in a second."""
        self.alive = False
        self.aborted = True
        self.call("worker_abort")
        sys.exit(1)

    def handle_usr1(self, sig: int, frame: FrameType | None) -> None:
        """USR1: log files have been rotated."""
        self.log.reopen_files()

    def handle_winch(self, sig: int, frame: FrameType | None) -> None:
        """WINCH is the arbiter's."""
        self.log.debug("worker: SIGWINCH ignored.")

    # -- for subclasses that parse requests by themselves

    def handle_error(self, req: Any, client: Any, addr: Any, exc: BaseException) -> None:
        """Log what went wrong with a request, and say so to its client, a socket."""
        status, detail = (exc.status, exc.detail) if isinstance(exc, PeerError) else (500, "")
        if status == 500:
            self.log.exception("Error handling request %s", getattr(req, "uri", ""))
        else:
            self.log.warning("Invalid request from ip=%s: %s", addr[0] if addr else "-", exc)
        with suppress(OSError):
            client.sendall(error_response(status, detail, "", "corral"))


def limit_of(most: int, jitter: int) -> int:
    """max_requests and a part of the jitter, so that workers of one age don't leave at one time."""
    if not most:
        return sys.maxsize
    # Not `random`: 1 MiB, and a seed that a preloading application may have fixed.
    return most + int.from_bytes(os.urandom(4), "big") % (jitter + 1)
