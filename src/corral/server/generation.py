"""One generation: a configuration, what it holds in the arbiter, and how a worker of it is born.

It knows the order of a birth: what is done before user code runs, and what only the arbiter may hold. How many workers
there are, and when one is born, is the arbiter's.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corral.arbiter.arbiter import NotYet
from corral.config.settings import Config
from corral.net.handoff import Channel
from corral.net.listener import Listener
from corral.report.choice import open_access
from corral.server.master import Master
from corral.server.site import Site
from corral.server.surroundings import Surroundings
from corral.shared import process
from corral.shared.scoreboard import Row, Scoreboard
from corral.shared.wakeup import Wakeup
from corral.worker.life import run_worker
from corral.worker.place import Heartbeat, Place

if TYPE_CHECKING:
    from corral.net.tls import ContextFactory
    from corral.server.mold import Mold


@dataclass(slots=True, kw_only=True, eq=False)
class Shared:
    """What all workers of all generations share with the arbiter."""

    board: Scoreboard
    wakeup: Wakeup
    lifeline: int
    private: set[int]  # descriptors that are the arbiter's alone, among them the lifeline's other end
    surroundings: Surroundings
    master: Master
    channel: Channel | None  # by which connections move from one to another

    def inheritable(self) -> dict[str, int]:
        """What a successor of this server gets besides the listeners."""
        if self.channel is None:
            return {}
        return {"giving": self.channel.giving.fileno(), "taking": self.channel.taking.fileno()}


@dataclass(slots=True, eq=False)
class Generation:
    """The next one may share its log and its listeners."""

    site: Site
    config: Config
    log: Any
    worker_class: Any
    tls: "ContextFactory | None" = None
    listeners: list[Listener] = field(default_factory=list)
    mold: "Mold | None" = None  # with preload_app

    def spawn(self, shared: Shared, row: Row, age: int) -> tuple[int, Any]:
        """Fork a worker: its pid, and itself as it was before the fork. Raises OSError, and NotYet."""
        if self.mold is not None and not self.mold.ready():
            raise NotYet
        worker = self.worker(shared, row, age)
        if self.mold is None:
            shared.master.call("pre_fork", worker)
            worker.pid = process.fork(lambda: self.child(shared, worker))
        else:
            worker.pid = self.mold.fork(row.slot, worker)
        return worker.pid, worker

    def worker(self, shared: Shared, row: Row, age: int) -> Any:
        place = Place(
            row=row,
            board=shared.board,
            lifeline=shared.lifeline,
            wake_arbiter=shared.wakeup.wake,
            listeners=self.listeners,
            secure=self.secure,
            channel=shared.channel,
        )
        worker = self.worker_class(
            age, shared.master.pid, self.listeners, self.site, self.config.timeout / 2, self.config, self.log
        )
        if worker.tmp is not None:
            worker.tmp.close()  # a file, of a class that isn't derived from ours
        worker.place = place
        worker.tmp = Heartbeat(worker, place)
        return worker

    def child(self, shared: Shared, worker: Any) -> int:
        self.part(shared)
        return self.live(shared, worker)

    def cast(self, shared: Shared, message: bytes) -> int:
        """In a process forked from the mold, which has parted already: be the worker that the arbiter has ordered."""
        from corral.server.order import Order  # lazily: only who preloads

        process.close_descriptors(shared.private)
        order = Order.unpack(message)
        worker = self.worker(shared, shared.board.row(order.slot), order.age)
        order.left.leave(worker)
        if order.logs_reopened:
            self.log.reopen_files()
        return self.live(shared, worker)

    def part(self, shared: Shared) -> None:
        """Close what is the arbiter's, or another generation's."""
        # While a copy of the lifeline's writing end is open anywhere else, the arbiter's death would go unnoticed.
        process.close_descriptors(shared.private)
        shared.private.clear()
        shared.wakeup.close_reader()
        # Another generation's address, open here, would outlive it: clients would connect, and wait for ever.
        for listener in shared.master.server.listeners():
            if listener not in self.listeners:
                listener.close()

    def live(self, shared: Shared, worker: Any) -> int:
        """No line of the application runs before it is who `user` says, and where `chdir` says."""
        config, log = self.config, self.log
        process.set_title(f"corral: worker [{config.proc_name}]")

        def prepare() -> None:
            worker.sockets = worker.place.listeners = [
                listener.own(config.backlog, config.defer_accept) for listener in self.listeners
            ]
            shared.master.call("post_fork", worker)
            shared.surroundings.enter(config)
            worker.place.access = open_access(config, log)
            process.drop_privileges(config.user, config.group, config.initgroups)
            if config.spew:
                from corral.worker.spew import install  # lazily: it traces, and few want that

                install(sys.stderr.write)

        return run_worker(worker, prepare, lambda: shared.master.call("worker_exit", worker))

    def secure(self) -> "Callable[[int], Any] | None":
        """What makes a connection speak TLS. Raises ConfigError, and whatever the hook ssl_context raises."""
        if self.tls is None:
            return None
        from corral.net.tls import TlsStream, make_context  # lazily: only who has certificates pays for ssl

        context = make_context(self.config, self.tls)
        return lambda fd: TlsStream(fd, context)


def prepare_tls(config: Config) -> "ContextFactory | None":
    """What makes the context of a generation's workers. Raises ConfigError: never is the clear a way out."""
    if not config.is_ssl:
        return None
    from corral.net.tls import prepare_context  # lazily: only who has certificates pays for ssl

    return prepare_context(config)
