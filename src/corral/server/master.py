"""What hooks get as `server`: gunicorn's Arbiter, as far as hooks and those who start a server by hand know it.

It shows what others hold, and calls the hooks themselves, so that one that raises harms nobody.
"""

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from corral.errors import EXIT_APP, EXIT_BOOT
from corral.server.site import Site

if TYPE_CHECKING:
    from corral.server.composition import Server


def sending(signum: signal.Signals) -> "Callable[[Master], None]":
    """A method that does what the signal does: the arbiter has one way to be told, and no second one to be in."""

    def send(master: "Master") -> None:
        os.kill(master.pid, signum)

    return send


class Master:
    """Arbiter(app).run() of gunicorn's."""

    WORKER_BOOT_ERROR: ClassVar[int] = EXIT_BOOT
    APP_LOAD_ERROR: ClassVar[int] = EXIT_APP

    server: "Server"

    def __init__(self, app: Site) -> None:
        self.app = app
        self.pid = os.getpid()
        self.early = 0  # workers that a hook asked for before there was anybody to fork them

    def run(self) -> None:
        """Serve until told to stop; raises SystemExit with the exit code."""
        from corral.server.composition import serve  # lazily: it is made of this

        raise SystemExit(serve(self.app, self.app.present(), master=self))

    @property
    def cfg(self) -> Any:
        return self.server.config if hasattr(self, "server") else self.app.cfg

    @property
    def log(self) -> Any:
        return self.server.log

    @property
    def master_name(self) -> str:
        """ "Master.2" beside a server that it is to replace."""
        return f"Master{self.server.suffix}"

    @property
    def master_pid(self) -> int:
        """Of the server before this one, while both are there; or 0."""
        before = self.server.upgrade.predecessor
        return 0 if before is None else before.pid

    @property
    def reexec_pid(self) -> int:
        """Of the server that USR2 has started, while it is there; or 0."""
        after = self.server.upgrade.successor
        return 0 if after is None else after.pid

    @property
    def worker_class(self) -> Any:
        return self.server.latest.worker_class

    @property
    def address(self) -> Any:
        return self.cfg.address

    @property
    def timeout(self) -> float:
        return float(self.cfg.timeout)

    @property
    def proc_name(self) -> str:
        return f"{self.cfg.proc_name}{self.server.suffix}"

    @property
    def LISTENERS(self) -> list[Any]:
        return list(self.server.latest.listeners)

    @property
    def WORKERS(self) -> dict[int, Any]:
        """Workers by pid."""
        arbiter = self.server.arbiter
        return {} if arbiter is None else {pid: handle.worker for pid, handle in arbiter.pool.handles.items()}

    @property
    def worker_age(self) -> int:
        return 0 if self.server.arbiter is None else self.server.arbiter.age

    @property
    def num_workers(self) -> int:
        """How many are wanted; may be set."""
        arbiter = self.server.arbiter
        return (self.early or self.server.config.workers) if arbiter is None else arbiter.edition.workers

    @num_workers.setter
    def num_workers(self, wanted: int) -> None:
        if self.server.arbiter is not None:
            self.server.arbiter.scale(wanted)
            self.server.wakeup.wake()
        elif wanted != (before := self.num_workers):
            self.early = wanted
            self.call("nworkers_changed", wanted, before)

    def kill_worker(self, pid: int, sig: int) -> None:
        if pid in self.WORKERS:
            os.kill(pid, sig)

    def kill_workers(self, sig: int) -> None:
        for pid in self.WORKERS:
            os.kill(pid, sig)

    def wakeup(self) -> None:
        self.server.wakeup.wake()

    def stop(self, graceful: bool = True) -> None:
        os.kill(self.pid, signal.SIGTERM if graceful else signal.SIGQUIT)

    reload = handle_hup = sending(signal.SIGHUP)
    handle_term = sending(signal.SIGTERM)
    handle_int = sending(signal.SIGINT)
    handle_quit = sending(signal.SIGQUIT)
    handle_ttin = sending(signal.SIGTTIN)
    handle_ttou = sending(signal.SIGTTOU)
    handle_usr1 = sending(signal.SIGUSR1)
    handle_usr2 = sending(signal.SIGUSR2)
    handle_winch = sending(signal.SIGWINCH)

    def call(self, name: str, *arguments: Any) -> None:
        """Call a hook with this server; if it raises, the log says which one, and all goes on."""
        try:
            getattr(self.cfg, name)(self, *arguments)
        except Exception:
            self.log.exception("The hook %s failed", name)
