"""The process that keeps the workers: wait, note what happened, plan, act.

It knows pids, signals, the scoreboard and what to say about a death. What a worker does, how the configuration is read
and what it listens on belong to others; it gets them as an Edition.
"""

import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from corral.arbiter.commands import WATCHED, Command, decode
from corral.arbiter.deaths import Deaths
from corral.arbiter.news import Hearer, News
from corral.arbiter.plan import (
    SECOND,
    YOUNG,
    Abandon,
    Abort,
    Action,
    Ask,
    Kill,
    Look,
    Quit,
    Report,
    Retire,
    Spawn,
    Stop,
    Suspect,
    Want,
    backoff,
    patience,
    plan,
)
from corral.arbiter.pool import Handle, Pool, Reason
from corral.arbiter.recorder import Recorder
from corral.errors import EXIT_APP, EXIT_BOOT, ConfigError
from corral.report.logger import Logger
from corral.shared import process
from corral.shared.scoreboard import ASLEEP, STOPPING, Cell, Interface, Row, Scoreboard, State
from corral.shared.wakeup import Wakeup

# TERM to the whole group, and again from a supervisor that passes it on, is one TERM.
SAME_TERM = SECOND
LOADING = 3600 * SECOND  # when to look again, if nobody says that it is loaded
Spawner = Callable[[Row, int], tuple[int, Any]]


class NotYet(Exception):
    """A generation still loads its application. Whoever has begun that sets `not_before` when it has ended."""


@dataclass(slots=True, kw_only=True, eq=False)
class Edition:
    """One generation: a configuration, how to fork a worker of it, and how its boots have gone."""

    generation: int
    app: str
    workers: int
    timeout: float
    boot_timeout: float
    graceful_timeout: float
    shutdown_delay: float = 0.0
    reload_step: int = 0
    max_worker_lifetime: float = 0.0
    spawn: Spawner  # (row, age) → pid, and the worker as hooks know it; OSError if there is no fork to be had
    adopt: Callable[[], None]  # it works: let go of what only its predecessor had
    discard: Callable[[], None]  # it doesn't: let go of what only it has

    proven: bool = False
    announced: bool = False
    failures: int = 0  # boots that failed in a row
    refusals: int = 0  # forks that failed in a row
    not_before: int = 0

    def want(self, slots: int, fallback: "Edition | None", stop: Stop | None) -> Want:
        return Want(
            workers=self.workers,
            generation=self.generation,
            proven=self.proven,
            failed=self.failures > 0 and not self.proven,
            fallback=fallback.want(slots, None, None) if fallback is not None else None,
            slots=slots,
            not_before=self.not_before,
            timeout=int(self.timeout * SECOND),
            boot_timeout=int(self.boot_timeout * SECOND),
            graceful_timeout=int(self.graceful_timeout * SECOND),
            reload_step=self.reload_step,
            stop=stop,
        )


class Arbiter:
    """`run` returns the exit code of the server. `load_edition` reads the configuration again, for a reload."""

    def __init__(
        self,
        *,
        log: Logger,
        board: Scoreboard,
        wakeup: Wakeup,
        edition: Edition,
        load_edition: Callable[[int], Edition],
        reopen_logs: Callable[[], None],
        stop_listening: Callable[[], None],
        call: Callable[..., None],
        upgrade: Callable[[], None] = lambda: None,
        daemon: bool = False,
    ) -> None:
        self.log = log
        self.board = board
        self.wakeup = wakeup
        self.edition = edition
        self.fallback: Edition | None = None  # what served before `edition`, until that is proven
        self.load_edition = load_edition
        self.reopen_logs = reopen_logs
        self.stop_listening = stop_listening
        self.call = call  # a hook, by its name
        self.upgrade = upgrade
        self.daemon = daemon
        self.beside = False  # another server serves the same listeners, so that this one may as well not be
        self.pool = Pool(board.slots)
        self.age = 0
        self.measured = 0  # workers, as the metric has them
        self.generation = edition.generation  # the latest given out
        self.ever_ready = False
        self.stop: Stop | None = None
        self.told_to_stop = 0  # the instant
        self.exit_code = 0
        self.deaths = Deaths(log)
        self.recorder = Recorder(log, board, self.pool)
        self.poll = select.poll()
        self.poll.register(wakeup.fileno(), select.POLLIN)
        self.sources: dict[int, Callable[[], None]] = {}  # other descriptors that end a sleep
        self.arrived: list[tuple[int, int]] = []
        self.appointments: list[tuple[int, Callable[[], None]]] = []
        self.kin: dict[int, Callable[[process.Death], None]] = {}  # children that are no workers, by pid
        self.hearers: list[Hearer] = []

    def run(self) -> int:
        self.wakeup.watch_signals(WATCHED)
        while self.stop is None or self.pool.handles:
            deadline = self.settle()
            if self.stop is None or self.pool.handles:
                self.wait(deadline)
                self.note()
        self.log.info("Shutting down: Master")
        return self.exit_code

    # what others have to do with it

    def watch(self, fd: int, ready: Callable[[], None], events: int = select.POLLIN) -> None:
        """Call `ready` when something is to be read from a descriptor, or written if `events` says so."""
        self.sources[fd] = ready
        self.poll.register(fd, events)  # once more only changes the events

    def unwatch(self, fd: int) -> None:
        if self.sources.pop(fd, None) is not None:
            self.poll.unregister(fd)

    def at(self, instant: int, act: Callable[[], None]) -> None:
        """Call `act` at an instant of the monotonic clock, or soon after."""
        self.appointments.append((instant, act))

    def tell(self, news: News, sentence: str = "") -> None:
        for hearer in list(self.hearers):
            hearer(news, sentence)

    def keep_appointments(self) -> None:
        now = time.monotonic_ns()
        for appointment in [each for each in self.appointments if each[0] <= now]:
            self.appointments.remove(appointment)
            appointment[1]()

    def settle(self) -> int | None:
        """Act until the plan has nothing left that is due; when it next will, or None for never."""
        while True:
            self.keep_appointments()
            want = self.edition.want(self.board.slots, self.fallback, self.stop)
            due, deadline = plan(self.pool.handles.values(), want, time.monotonic_ns())
            if not due:
                self.measure()
                instants = [instant for instant, _ in self.appointments]
                return min(instants if deadline is None else [deadline, *instants], default=None)
            for action in due:
                self.act(action)

    def measure(self) -> None:
        """gunicorn's metric, when it changes."""
        number = len(self.pool.handles)
        if number != self.measured:
            self.measured = number
            self.log.debug(
                "%d workers", number, extra={"metric": "gunicorn.workers", "value": number, "mtype": "gauge"}
            )

    # wait

    def wait(self, deadline: int | None) -> None:
        """Sleep until the deadline or a wake-up. A sleep that is longer than a request may take unnoticed asks the
        workers to end it.

        When it sleeps shorter than that it needs no call: whoever gets busy now is slow only after the deadline.
        """
        unnoticed = patience(int(self.edition.timeout * SECOND), silent=False)
        now = time.monotonic_ns()
        if unnoticed and any(handle.begun and not handle.killed_at for handle in self.pool.handles.values()):
            # Of a worker that gives signs of life each one would be a call; it is soon enough to see the last of them.
            deadline = now + unnoticed if deadline is None else min(deadline, now + unnoticed)
        if unnoticed and (deadline is None or deadline > now + unnoticed):
            self.board.arbiter[ASLEEP] = 1
            # A worker may have become busy after the last reading and before the line above, and called nobody. The
            # system call in between keeps this store ahead of those loads.
            self.arrived = self.poll.poll(0)
            if self.arrived or any(map(became_busy, self.pool.handles.values())):
                self.board.arbiter[ASLEEP] = 0
                return
        self.arrived = self.poll.poll(None if deadline is None else milliseconds(deadline - now))
        self.board.arbiter[ASLEEP] = 0

    # note

    def note(self) -> None:
        """Take in all that happened: commands, deaths, and what the workers wrote on the scoreboard."""
        commands = list(decode(self.wakeup.drain()))
        self.note_readings()
        for death in process.reap():
            handle = self.pool.handles.pop(death.pid, None)
            if handle is not None:
                self.note_death(handle, death)
            elif note_kin := self.kin.pop(death.pid, None):
                note_kin(death)
        for fd, _ in self.arrived:
            if ready := self.sources.get(fd):
                ready()
        for command in commands:
            self.obey(command)

    def note_readings(self) -> None:
        for handle in self.pool.handles.values():
            self.note_reading(handle)
        self.announce()

    def note_reading(self, handle: Handle) -> None:
        handle.read()
        if handle.state in (State.READY, State.DRAINING) and not handle.ready_at:
            handle.ready_at = time.monotonic_ns()
            edition = self.edition_of(handle)
            if edition is not None and edition.max_worker_lifetime:
                handle.expires_at = handle.ready_at + scattered(int(edition.max_worker_lifetime * SECOND))
            self.note_ready(handle)

    def note_ready(self, handle: Handle) -> None:
        self.ever_ready = True
        edition = self.edition
        if handle.generation != edition.generation:
            return
        edition.failures = 0
        edition.not_before = 0
        if not edition.proven:
            edition.proven = True
            edition.adopt()
            self.fallback = None
            self.tell(News.READY)

    def announce(self) -> None:
        """Say it once when all workers of a generation serve, and none of an older one."""
        edition, handles = self.edition, self.pool.handles.values()
        if edition.announced or not edition.workers or self.stop is not None:
            return
        serving = [handle for handle in handles if handle.staying and handle.ready]
        if len(serving) < edition.workers or any(handle.generation != edition.generation for handle in serving):
            return
        edition.announced = True
        interface = Interface(serving[0].row.cells[Cell.INTERFACE])
        kind = f" ({interface.name})" if interface else ""
        workers = "1 worker" if edition.workers == 1 else f"{edition.workers} workers"
        prefix = "Ready" if edition.generation == 1 else f"Reload complete: generation {edition.generation} is ready"
        self.log.info("%s: %s%s served by %s", prefix, edition.app, kind, workers)
        self.tell(News.COMPLETE, f"generation {edition.generation} is ready: {edition.app}{kind} served by {workers}")

    def note_death(self, handle: Handle, death: process.Death) -> None:
        # It may have become ready, or begun to drain, since the last reading.
        self.note_reading(handle)
        self.deaths.explain(handle, death, self.recorder.remains(handle), self.app_of(handle))
        handle.row.release()
        self.call("child_exit", handle.worker)
        if handle.told or self.stop is not None:
            return
        now = time.monotonic_ns()
        edition = self.edition_of(handle)
        if not handle.ready_at:
            self.note_failed_boot(edition, now, death.code)
        elif (death.code or death.signum) and edition is not None and now - handle.ready_at < YOUNG:
            edition.not_before = now + backoff(1)

    def edition_of(self, handle: Handle) -> Edition | None:
        return self.edition_numbered(handle.generation)

    def edition_numbered(self, generation: int) -> Edition | None:
        for edition in (self.edition, self.fallback):
            if edition is not None and edition.generation == generation:
                return edition
        return None

    def app_of(self, handle: Handle) -> str:
        edition = self.edition_of(handle)
        return self.edition.app if edition is None else edition.app

    def note_failed_boot(self, edition: Edition | None, now: int, code: int) -> None:
        """The first boot of all decides whether there is a server; later ones only when there is another try."""
        if edition is None:
            return
        edition.failures += 1
        edition.not_before = now + backoff(edition.failures)
        if not self.ever_ready and (self.beside or code in (EXIT_BOOT, EXIT_APP)):
            whose = "the server before this one goes on" if self.beside else "nothing serves, so the server stops"
            self.log.error("Worker failed to boot, see above; %s", whose)
            self.exit_code = code or EXIT_BOOT
            self.begin_stop(Stop.QUICK)
        elif edition.proven or self.fallback is None:
            self.log.error(
                "Failed boots in a row: %d; next try in %d s", edition.failures, backoff(edition.failures) // SECOND
            )

    # obey

    def obey(self, command: Command) -> None:
        """A command changes what is wanted, and nothing else; so each is heard at any time, also during a stop."""
        if command is Command.PARK and not self.daemon:
            return  # without a daemon's session it only means that somebody has resized the terminal
        self.log.info("Handling signal: %s", command.value)
        match command:
            case Command.STOP:
                self.heed_term()
            case Command.QUIT | Command.INTERRUPT:
                self.begin_stop(Stop.QUICK)
            case Command.REOPEN:
                self.reopen()
            case _ if self.stop is not None:
                self.log.info("The server is stopping; %s has no effect", command.value)
            case Command.RELOAD:
                self.reload()
            case Command.UPGRADE:
                self.upgrade()
            case Command.MORE:
                self.scale(self.edition.workers + 1)
            case Command.FEWER:
                self.scale(max(self.edition.workers - 1, 1))
            case Command.PARK:
                self.scale(0)

    def heed_term(self) -> None:
        """The first one stops gracefully, after `shutdown_delay`; the second is in a hurry."""
        now = time.monotonic_ns()
        delay = int(self.edition.shutdown_delay * SECOND)
        if not self.told_to_stop:
            self.told_to_stop = now
            if delay and self.stop is None:
                self.log.info("Accepting for %g s more (shutdown_delay)", self.edition.shutdown_delay)
                self.tell(News.LEAVING)
                self.at(now + delay, lambda: self.begin_stop(self.stop or Stop.GRACEFUL))
            else:
                self.begin_stop(self.stop or Stop.GRACEFUL)
        elif now - self.told_to_stop >= SAME_TERM:
            self.begin_stop(Stop.QUICK)

    def begin_stop(self, stop: Stop) -> None:
        if self.stop is None:
            self.stop_listening()
        already, self.stop = self.stop, stop
        self.board.arbiter[STOPPING] = 1
        if already is None:
            self.tell(News.STOPPING)

    def reload(self) -> None:
        generation = self.generation + 1
        self.tell(News.RELOADING)
        try:
            edition = self.load_edition(generation)
        except ConfigError as error:
            # Where the user's own code failed, the error's further lines are its traceback; the log has its own way.
            what, _, _ = str(error).partition("\n")
            self.log.error("Reload failed, the server goes on as before: %s", what, exc_info=error.__cause__)
            self.tell(News.FAILED, what)
            return
        except Exception as error:
            self.log.exception("Reload failed, the server goes on as before")
            self.tell(News.FAILED, f"{type(error).__name__}: {error}")
            return
        self.generation = generation
        if self.edition.proven:
            self.fallback = self.edition
        else:
            self.edition.discard()
        self.edition = edition

    def scale(self, workers: int) -> None:
        """More or fewer workers, for the generation to come as well as for the one that serves."""
        before = self.edition.workers
        for edition in (self.edition, self.fallback):
            if edition is not None:
                edition.workers = min(workers, self.board.slots)
        self.log.info("Workers wanted: %d", workers)
        self.tell(News.SCALED)
        self.call("nworkers_changed", self.edition.workers, before)

    def reopen(self) -> None:
        self.reopen_logs()
        for handle in self.pool.handles.values():
            self.send(handle, signal.SIGUSR1)

    # act

    def act(self, action: Action) -> None:
        match action:
            case Spawn(generation):
                self.spawn(generation)
            case Abandon():
                self.abandon()
            case Retire(pid):
                self.retire(self.pool.handles[pid])
            case Quit(pid):
                self.quit(self.pool.handles[pid])
            case Look(pid, since):
                self.recorder.look(self.pool.handles[pid], since)
            case Report(pid):
                self.recorder.report(self.pool.handles[pid], self.app_of(self.pool.handles[pid]))
            case Ask(pid):
                self.recorder.ask(self.pool.handles[pid])
            case Suspect(pid, since):
                self.recorder.suspect(self.pool.handles[pid], since)
            case Abort(pid, reason, since):
                self.abort(self.pool.handles[pid], reason, since)
            case Kill(pid, reason):
                self.kill(self.pool.handles[pid], reason)

    def spawn(self, generation: int) -> None:
        edition = self.edition
        if self.fallback is not None and self.fallback.generation == generation:
            edition = self.fallback
        now = time.monotonic_ns()
        if now < edition.not_before:
            return  # the fork before this one, of the same plan, has failed
        row = self.board.row(self.pool.free_slot())
        row.claim(generation, now)
        self.age += 1
        try:
            pid, worker = edition.spawn(row, self.age)
        except NotYet:
            row.release()
            self.age -= 1
            edition.not_before = now + LOADING
            return
        except OSError as error:
            row.release()
            edition.refusals += 1
            pause = backoff(edition.refusals)
            edition.not_before = time.monotonic_ns() + pause
            self.log.error("Can't fork a worker: %s; next try in %d s", error.strerror, pause // SECOND)
            return
        except Exception:  # the user's: a class whose __init__ raises
            row.release()
            self.log.exception("Exception in making a worker")
            self.note_failed_boot(edition, time.monotonic_ns(), EXIT_BOOT)
            return
        edition.refusals = 0
        self.pool.handles[pid] = Handle(pid=pid, age=self.age, generation=generation, born=now, row=row, worker=worker)

    def abandon(self) -> None:
        failed, previous = self.edition, self.fallback
        assert previous is not None
        failed.discard()
        self.edition, self.fallback = previous, None
        self.log.error(
            "Reload failed: generation %d doesn't boot, see above. Generation %d goes on serving; HUP tries again",
            failed.generation, previous.generation,
        )  # fmt: skip
        self.tell(News.FAILED, f"generation {failed.generation} doesn't boot, see the log")

    def retire(self, handle: Handle) -> None:
        handle.retired_at = time.monotonic_ns()
        self.send(handle, signal.SIGTERM)

    def quit(self, handle: Handle) -> None:
        handle.quit_at = time.monotonic_ns()
        self.send(handle, signal.SIGQUIT)

    def abort(self, handle: Handle, reason: Reason, since: int) -> None:
        """The reading that led here may be old by now, so look once more before anything that can't be undone."""
        handle.read()
        if reason is Reason.BOOT and handle.state is not State.BOOTING:
            return
        if reason is Reason.TIMEOUT and since not in handle.begun:
            return
        now = time.monotonic_ns()
        self.log.critical("WORKER TIMEOUT (pid:%d)", handle.pid)
        if reason is Reason.BOOT:
            self.recorder.boot_failed(handle, self.app_of(handle))
            self.note_failed_boot(self.edition_of(handle), now, 0)
        else:
            self.recorder.timed_out(handle, self.app_of(handle))
        handle.aborted_at, handle.reason = now, reason
        self.send(handle, signal.SIGABRT)

    def kill(self, handle: Handle, reason: Reason) -> None:
        if reason is Reason.GRACEFUL:
            self.recorder.unfinished(handle, self.app_of(handle))
        handle.killed_at = time.monotonic_ns()
        handle.reason = reason
        self.send(handle, signal.SIGKILL)

    def send(self, handle: Handle, signum: signal.Signals) -> None:
        refused = process.kill(handle.pid, signum)
        if refused:
            self.log.error("Can't send %s to worker (pid:%d): %s", signum.name, handle.pid, refused)


def became_busy(handle: Handle) -> bool:
    """Since the last reading: what the plan knows of has its deadline."""
    begun = handle.row.begun()
    return bool(begun) and begun != handle.begun


def scattered(lifetime: int) -> int:
    """Up to a tenth more, lest all that were born together go together."""
    # Not `random`: 1 MiB, and a seed that a preloading application may have fixed.
    return lifetime + lifetime // 10 * os.urandom(1)[0] // 255


def milliseconds(nanoseconds: int) -> int:
    """For poll: rounded up, or the arbiter would spin through the last millisecond before each deadline."""
    return max(-(-nanoseconds // 1_000_000), 0)
