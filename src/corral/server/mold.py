"""The mold of a generation with preload_app: a process that loads the application once and forks the workers from it.

So the arbiter never imports the application, a reload loads new code, and the workers share what was loaded. It forks
when the arbiter orders it, twice: an orphaned grandchild is the arbiter's child (prctl(2), PR_SET_CHILD_SUBREAPER).
"""

import errno
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from corral.app import interface_of
from corral.arbiter.arbiter import Arbiter
from corral.arbiter.plan import ABORT_GRACE, SECOND
from corral.arbiter.recorder import say
from corral.arbiter.stacks import parse
from corral.config.hooks import NO_HOOK
from corral.errors import EXIT_BOOT, AppLoadError, ConfigError
from corral.server.order import Order, Traces
from corral.server.sharing import Loading
from corral.server.surroundings import Surroundings
from corral.shared import process
from corral.shared.wakeup import ignore
from corral.worker.orphan import end_at_once

if TYPE_CHECKING:
    from corral.server.composition import Server
    from corral.server.generation import Generation

LOADED = b"loaded"
FORKED = b"forked"
REFUSED = b"refused"
LONGEST = 1 << 17
# A fork takes milliseconds, even of a gigabyte; a mold that doesn't get to it is held up by the application's threads.
FORK_PATIENCE = 5.0
# The interpreter rewrites code that it has run some times, which unshares its page; better before the fork.
ROUNDS = 16


class Mold:
    """The arbiter's side."""

    def __init__(self, server: "Server", number: int) -> None:
        self.server = server
        self.number = number  # of its generation
        self.pid = 0
        self.channel: socket.socket | None = None
        self.stacks = -1  # where it leaves them when it is aborted
        self.loaded = False
        self.overdue_since = 0
        self.logs_reopened = False

    @property
    def arbiter(self) -> Arbiter:
        assert self.server.arbiter is not None
        return self.server.arbiter

    # birth

    def ready(self) -> bool:
        """Whether it can fork; if there is none, one is begun."""
        if self.channel is None:
            self.start()
        return self.loaded

    def start(self) -> None:
        """Raises OSError."""
        server, generation = self.server, self.server.generations[self.number]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.stacks = os.memfd_create("stacks")
        server.shared.private.add(ours.fileno())
        try:
            self.pid = process.fork(lambda: be_mold(server, generation, theirs, self.stacks))
        except OSError:
            server.shared.private.discard(ours.fileno())
            ours.close()
            os.close(self.stacks)
            raise
        finally:
            theirs.close()
        self.channel, self.loaded, self.logs_reopened = ours, False, False
        generation.log.info("Loading the application in a mold (pid: %d)", self.pid)
        arbiter = self.arbiter
        arbiter.kin[self.pid] = self.note_death
        arbiter.watch(ours.fileno(), self.hear)
        if generation.config.boot_timeout:
            pid, due = self.pid, time.monotonic_ns() + int(generation.config.boot_timeout * SECOND)
            arbiter.at(due, lambda: self.abort(pid))

    def hear(self) -> None:
        """Between two orders: that the application is loaded, or the end."""
        channel = self.channel
        assert channel is not None
        word, _, value = channel.recv(LONGEST).partition(b" ")
        if word == LOADED:
            self.loaded = True
            edition = self.arbiter.edition_numbered(self.number)
            if edition is not None:
                edition.not_before = 0
            self.server.let_go()
        elif word == FORKED:
            process.kill(int(value), signal.SIGKILL)  # too late: another one has its place
        elif not word:
            self.arbiter.unwatch(channel.fileno())

    # orders

    def fork(self, slot: int, worker: Any) -> int:
        """Its pid. `worker` is what hooks in the arbiter know of it. Raises OSError."""
        traces = Traces(worker)
        self.server.master.call("pre_fork", worker)
        left = traces.since(self.server.log)
        return self.order(Order(slot, worker.age, self.logs_reopened, left).pack())

    def order(self, message: bytes) -> int:
        assert self.channel is not None
        self.channel.send(message)
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        answer = self.channel.recv(LONGEST) if poll.poll(FORK_PATIENCE * 1000) else b"late"
        word, _, value = answer.partition(b" ")
        if word == FORKED:
            return int(value)
        if word == REFUSED:
            raise OSError(int(value), os.strerror(int(value)))
        # It is dead, or as good as that; without it the next try begins with another one.
        process.kill(self.pid, signal.SIGKILL)
        what = "has died" if not answer else f"hasn't forked within {FORK_PATIENCE:g} s"
        raise OSError(errno.ECHILD, f"the mold (pid: {self.pid}) {what}")

    # end

    def abort(self, pid: int) -> None:
        """At boot_timeout. Its stacks are written by the way it ends."""
        if pid != self.pid or self.loaded:
            return
        self.overdue_since = time.monotonic_ns()
        self.server.log.critical("WORKER TIMEOUT (pid:%d)", pid)
        process.kill(pid, signal.SIGABRT)
        self.arbiter.at(self.overdue_since + ABORT_GRACE, lambda: self.kill(pid))

    def kill(self, pid: int) -> None:
        if pid == self.pid:
            process.kill(pid, signal.SIGKILL)

    def dismiss(self, *, wait: bool = False) -> None:
        """It isn't needed any more. It has nothing to finish: all that is worth something is in the workers."""
        if not self.pid:
            return
        pid = self.pid
        self.part()
        process.kill(pid, signal.SIGKILL)
        if wait:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
        self.arbiter.kin.pop(pid, None)

    def part(self) -> None:
        """Forget the process."""
        assert self.channel is not None
        self.arbiter.unwatch(self.channel.fileno())
        self.server.shared.private.discard(self.channel.fileno())
        self.channel.close()
        os.close(self.stacks)
        self.channel, self.pid, self.loaded = None, 0, False

    def note_death(self, death: process.Death) -> None:
        log, arbiter, loaded = self.server.log, self.arbiter, self.loaded
        if arbiter.stop is None:
            self.explain(death)
        self.part()
        edition = arbiter.edition_numbered(self.number)
        if arbiter.stop is not None or edition is None:
            return
        if loaded:
            edition.not_before = 0
            log.info("The next worker of generation %d begins with a new mold", self.number)
        else:
            arbiter.note_failed_boot(edition, time.monotonic_ns(), death.code)
            if arbiter.stop is None:
                self.server.let_go()

    def explain(self, death: process.Death) -> None:
        log = self.server.log
        if self.overdue_since and not self.loaded:
            age = self.server.generations[self.number].config.boot_timeout
            stacks = parse(read_all(self.stacks))
            say(log.error, "The mold (pid:%d) hasn't loaded the application within %g s (boot_timeout)",
                (death.pid, age), stacks)  # fmt: skip
        elif death.signum:
            log.error("The mold (pid:%d) was sent signal %d", death.pid, death.signum)
        elif self.loaded or death.code not in (EXIT_BOOT, AppLoadError.exit_code):
            log.error("The mold (pid:%d) exited with code %d", death.pid, death.code)
        self.overdue_since = 0


def read_all(descriptor: int) -> str:
    return os.pread(descriptor, LONGEST, 0).decode("utf-8", "backslashreplace")


# The mold's side


def be_mold(server: "Server", generation: "Generation", channel: socket.socket, stacks: int) -> int:
    """The process: load, say so, fork when told, end when nobody is there to tell."""
    config, shared = generation.config, server.shared
    generation.part(shared)
    shared.private.add(channel.fileno())  # the workers' to close
    for signum in process.WORKER_LEAVES:
        signal.signal(signum, ignore)  # a Ctrl-C is the arbiter's, who still may need workers
    process.set_title(f"corral: mold [{config.proc_name}]")
    end_at_once(shared.lifeline)
    code = load(generation, shared.surroundings, stacks)
    os.close(stacks)
    if code:
        return code
    if server.daemon is not None:
        process.leave_terminal(keep_output=config.enable_stdio_inheritance)
    process.freeze()
    channel.send(LOADED)
    while order := channel.recv(LONGEST):
        obey(channel, lambda order=order: generation.cast(shared, order))  # type: ignore[misc]
    return 0


def load(generation: "Generation", surroundings: Surroundings, stacks: int) -> int:
    """The exit code, 0 if there is an application."""
    import faulthandler

    config, log = generation.config, generation.log
    if not faulthandler.is_enabled():
        faulthandler.enable(stacks)
    try:
        surroundings.leave()  # they may be those of a later generation
        surroundings.enter(config)
        become_owner(config, log)
        return load_site(generation)
    except ConfigError as error:
        log.error("%s", error)
        return EXIT_BOOT
    finally:
        faulthandler.disable()


def become_owner(config: Any, log: Any) -> None:
    """Before a line of the application runs, unless somebody needs root later: post_fork, or whoever binds a port."""
    if config.post_fork is NO_HOOK and not config.reuse_port:
        process.drop_privileges(config.user, config.group, config.initgroups)
    elif process.resolve_owner(config.user, config.group).changes:
        why = "post_fork" if config.post_fork is not NO_HOOK else "reuse_port"
        log.warning("preload_app: because of %s the application is loaded as the present user, not as `user`", why)


def load_site(generation: "Generation") -> int:
    """Load the application here: what is forked has it. The exit code, 0 if there is one."""
    log = generation.log
    try:
        with Loading(log):
            application = generation.site.wsgi()
            if generation.config.warmup and interface_of(application) == "wsgi":
                warm(application, generation.config)
    except AppLoadError as error:
        log.error("%s", error, exc_info=error.__cause__)
        return error.exit_code
    except (Exception, SystemExit):
        log.exception("Exception while loading the application %s", generation.config.proc_name)
        return EXIT_BOOT
    return 0


def warm(application: Any, config: Any) -> None:
    """So that modules that are imported late, templates and caches are shared as well. Raises AppLoadError."""
    from corral.worker.warmup import warm_up  # lazily: few servers have it

    for _ in range(ROUNDS):
        warm_up(application, config)


def obey(channel: socket.socket, worker: Callable[[], int]) -> None:
    """Fork a process that forks a worker and ends: so the worker is an orphan, and the arbiter adopts it."""
    try:
        between = process.fork(lambda: fork_worker(channel, worker), frozen=True)
    except OSError as error:
        channel.send(b"%b %d" % (REFUSED, error.errno or errno.EAGAIN))
        return
    os.waitpid(between, 0)


def fork_worker(channel: socket.socket, worker: Callable[[], int]) -> int:
    reader, writer = os.pipe()

    def adopted() -> int:
        os.close(writer)
        os.read(reader, 1)  # the end of this process's parent: from here on getppid() tells the arbiter
        os.close(reader)
        return worker()

    try:
        pid = process.fork(adopted, frozen=True)
    except OSError as error:
        channel.send(b"%b %d" % (REFUSED, error.errno or errno.EAGAIN))
    else:
        channel.send(b"%b %d" % (FORKED, pid))
    return 0
