"""The arbiter where it needs no process: a fork that is refused, a reload that fails, a death and its cause."""

import errno
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from corral.arbiter.arbiter import Arbiter, Edition, Spawner
from corral.arbiter.commands import Command
from corral.arbiter.plan import SECOND, Stop
from corral.arbiter.pool import Handle, Reason
from corral.errors import ConfigError
from corral.shared.process import Death
from corral.shared.scoreboard import Cell, Row, Scoreboard, State
from corral.shared.wakeup import Wakeup


class Notebook:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.hooks: list[tuple[object, ...]] = []

    def write(self, message: str, *values: object, exc_info: object = None) -> None:
        self.lines.append(message % values)

    critical = error = warning = info = exception = write

    def debug(self, message: str, *values: object, extra: object) -> None:
        """Metrics."""


class Known(str):
    """A worker, as hooks know it: it has attributes."""


class Nursery:
    """Gives out pids without a process behind them, or refuses to."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.pid = 1 << 26  # beyond any pid_max: a signal to it reaches nobody

    def __call__(self, row: Row, age: int) -> tuple[int, Any]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.pid += 1
        return self.pid, Known(f"worker {age}")


def make_edition(generation: int = 1, spawn: Spawner | None = None, workers: int = 2) -> Edition:
    return Edition(
        generation=generation,
        app="hello:app",
        workers=workers,
        timeout=30,
        boot_timeout=300,
        graceful_timeout=30,
        spawn=spawn or Nursery(),
        adopt=lambda: None,
        discard=lambda: None,
    )


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    wakeup = Wakeup()
    yield wakeup
    wakeup.close()


@pytest.fixture
def log() -> Notebook:
    return Notebook()


@pytest.fixture
def arbiter(wakeup: Wakeup, log: Notebook) -> Arbiter:
    return Arbiter(
        log=log,  # type: ignore[arg-type]
        board=Scoreboard(8),
        wakeup=wakeup,
        edition=make_edition(),
        load_edition=make_edition,
        reopen_logs=lambda: None,
        stop_listening=lambda: None,
        call=lambda name, *arguments: log.hooks.append((name, *arguments)),
    )


def get_ready(arbiter: Arbiter) -> None:
    """All workers that boot become ready, until none boots any more."""
    while booting := [handle for handle in arbiter.pool.handles.values() if not handle.ready]:
        for handle in booting:
            handle.row.cells[Cell.STATE] = State.READY
        arbiter.note_readings()
        arbiter.settle()


def die(arbiter: Arbiter, code: int = 0, signum: int = 0) -> Handle:
    """The oldest worker dies."""
    pid = min(arbiter.pool.handles)
    handle = arbiter.pool.handles.pop(pid)
    arbiter.note_death(handle, Death(pid, code, signum, 64 << 20))
    return handle


def test_a_refused_fork_is_said_and_tried_again_later(arbiter: Arbiter, log: Notebook) -> None:
    arbiter.edition.spawn = Nursery(refusals=2)
    deadline = arbiter.settle()
    assert deadline == arbiter.edition.not_before
    assert log.lines == ["Can't fork a worker: Resource temporarily unavailable; next try in 1 s"]
    arbiter.edition.not_before = 0
    arbiter.settle()
    assert log.lines[1:] == ["Can't fork a worker: Resource temporarily unavailable; next try in 2 s"]
    arbiter.edition.not_before = 0
    arbiter.settle()
    get_ready(arbiter)
    assert len(arbiter.pool) == 2
    assert log.lines[2:] == ["Ready: hello:app served by 2 workers"]


def test_a_refused_fork_is_no_failed_reload(arbiter: Arbiter, log: Notebook) -> None:
    arbiter.settle()
    get_ready(arbiter)
    arbiter.load_edition = lambda generation: make_edition(generation, Nursery(refusals=1))
    arbiter.obey(Command.RELOAD)
    arbiter.settle()
    assert arbiter.edition.generation == 2
    assert not any("Reload failed" in line for line in log.lines)


def test_a_configuration_that_cannot_be_read_is_said_once_and_changes_nothing(arbiter: Arbiter, log: Notebook) -> None:
    def refuse(generation: int) -> Edition:
        raise ConfigError("workers: 'many' is not a number")

    arbiter.settle()
    get_ready(arbiter)
    before = dict(arbiter.pool.handles)
    arbiter.load_edition = refuse
    arbiter.obey(Command.RELOAD)
    arbiter.settle()
    assert arbiter.pool.handles == before
    assert log.lines[-2:] == [
        "Handling signal: hup",
        "Reload failed, the server goes on as before: workers: 'many' is not a number",
    ]


@pytest.mark.parametrize(
    ("facts", "code", "signum", "line"),
    [
        pytest.param({}, 7, 0, "Worker (pid:{}) exited with code 7", id="an exit code"),
        pytest.param({}, 0, 0, "Worker (pid:{}) exited with code 0, unasked", id="exit code 0, though nobody asked"),
        pytest.param({"retired_at": 1}, 0, 0, None, id="exit code 0, as it was asked to"),
        pytest.param({}, 0, signal.SIGSEGV, "was sent SIGSEGV! It crashed in native code", id="a crash"),
        pytest.param({}, 0, signal.SIGUSR1, "was sent SIGUSR1! Not by the arbiter", id="somebody's signal"),
        pytest.param({}, 0, 40, "was sent signal 40! Not by the arbiter", id="a signal without a name"),
        pytest.param({}, 0, signal.SIGKILL, "was sent SIGKILL! Not by the arbiter", id="somebody's kill"),
        pytest.param(
            {"killed_at": 1, "reason": Reason.GRACEFUL},
            0,
            signal.SIGKILL,
            "was sent SIGKILL! By the arbiter: it had not finished within graceful_timeout",
            id="our own kill",
        ),
        pytest.param(
            {"aborted_at": 1, "reason": Reason.BOOT},
            0,
            signal.SIGABRT,
            "was sent SIGABRT by the arbiter: it was not ready within boot_timeout",
            id="our own abort",
        ),
    ],
)
def test_the_cause_of_a_death(
    arbiter: Arbiter, log: Notebook, facts: dict[str, object], code: int, signum: int, line: str | None
) -> None:
    arbiter.settle()
    get_ready(arbiter)
    said = len(log.lines)
    handle = next(iter(arbiter.pool.handles.values()))
    for name, value in facts.items():
        setattr(handle, name, value)
    die(arbiter, code, signum)
    if line is None:
        assert log.lines[said:] == []
    else:
        assert line.format(handle.pid) in log.lines[said]


def test_out_of_memory_is_what_the_kernel_counts(arbiter: Arbiter, log: Notebook) -> None:
    arbiter.settle()
    arbiter.deaths.oom_kills -= 1  # as if the counter had gone up since the last look
    die(arbiter, signum=signal.SIGKILL)
    assert "By the kernel, out of memory" in log.lines[0]
    assert "peaked at 64 MiB" in log.lines[0]


@pytest.mark.parametrize("code", [3, 4])
def test_the_first_boot_of_all_decides(arbiter: Arbiter, code: int) -> None:
    arbiter.settle()
    die(arbiter, code)
    assert (arbiter.stop, arbiter.exit_code) == (Stop.QUICK, code)


@pytest.mark.parametrize("code", [3, 4, 255])
def test_once_a_worker_was_ready_no_failed_boot_stops_the_server(arbiter: Arbiter, code: int) -> None:
    arbiter.settle()
    arbiter.note_readings()
    get_ready(arbiter)
    die(arbiter, 1)
    die(arbiter, 1)
    arbiter.edition.not_before = 0
    arbiter.settle()
    die(arbiter, code)
    assert arbiter.stop is None
    assert arbiter.edition.failures == 1


def test_a_failed_generation_gives_way_to_the_one_before_and_the_next_reload_tries_again(
    arbiter: Arbiter, log: Notebook
) -> None:
    arbiter.settle()
    get_ready(arbiter)
    before = set(arbiter.pool.handles)
    discarded = []

    def load(generation: int) -> Edition:
        edition = make_edition(generation, workers=3)
        edition.discard = lambda: discarded.append(generation)
        edition.spawn = arbiter.edition.spawn
        return edition

    arbiter.load_edition = load
    arbiter.obey(Command.RELOAD)
    arbiter.settle()
    [candidate] = set(arbiter.pool.handles) - before
    handle = arbiter.pool.handles.pop(candidate)
    arbiter.note_death(handle, Death(candidate, 3, 0, 0))
    arbiter.settle()
    assert (arbiter.edition.generation, arbiter.fallback, discarded) == (1, None, [2])
    assert set(arbiter.pool.handles) == before
    assert log.lines[-1].startswith("Reload failed: generation 2 doesn't boot")
    arbiter.obey(Command.RELOAD)
    arbiter.settle()
    assert arbiter.edition.generation == 3
    assert len(arbiter.pool) == 3


def test_commands_during_a_stop_change_nothing_but_its_haste(arbiter: Arbiter) -> None:
    arbiter.settle()
    get_ready(arbiter)
    arbiter.obey(Command.STOP)
    for command in (Command.MORE, Command.RELOAD, Command.FEWER, Command.UPGRADE, Command.REOPEN, Command.STOP):
        arbiter.obey(command)
    arbiter.settle()
    assert (arbiter.stop, arbiter.edition.generation, arbiter.edition.workers) == (Stop.GRACEFUL, 1, 2)
    arbiter.obey(Command.INTERRUPT)
    arbiter.settle()
    assert arbiter.stop is Stop.QUICK
    assert all(handle.quit_at for handle in arbiter.pool.handles.values())


def test_a_worker_that_has_moved_on_is_not_aborted(arbiter: Arbiter, log: Notebook) -> None:
    arbiter.settle()
    get_ready(arbiter)
    said = len(log.lines)
    handle = next(iter(arbiter.pool.handles.values()))
    handle.begun, handle.suspected_of = (5,), 5
    handle.row.cells[Cell.BUSY_SINCE] = 6
    arbiter.abort(handle, Reason.TIMEOUT, 5)
    assert not handle.aborted_at
    assert log.lines[said:] == []


def test_an_aborted_worker_is_named_with_its_request(arbiter: Arbiter, log: Notebook) -> None:
    arbiter.settle()
    get_ready(arbiter)
    said = len(log.lines)
    handle = next(iter(arbiter.pool.handles.values()))
    line = b"GET /slow\n HTTP/1.1"
    handle.row.request[: len(line)] = line
    handle.row.cells[Cell.REQUEST_LENGTH] = len(line)
    handle.row.cells[Cell.BUSY_SINCE] = 5
    arbiter.abort(handle, Reason.TIMEOUT, 5)
    assert log.lines[said] == f"WORKER TIMEOUT (pid:{handle.pid})"
    assert rf"(pid:{handle.pid}): GET /slow\x0a HTTP/1.1, waiting: 0.00 s of CPU" in log.lines[said + 1]


def test_a_slot_is_used_again_and_goes_on_counting(arbiter: Arbiter) -> None:
    arbiter.settle()
    get_ready(arbiter)
    arbiter.pool.handles[min(arbiter.pool.handles)].row.cells[Cell.REQUESTS] = 9
    gone = die(arbiter, signum=signal.SIGSEGV)
    arbiter.edition.not_before = 0
    arbiter.settle()
    successor = max(arbiter.pool.handles.values(), key=lambda handle: handle.age)
    assert successor.row.slot == gone.row.slot
    assert successor.row.snapshot().requests == 9


def test_a_life_begins_when_a_worker_is_ready_and_lives_differ_in_length(arbiter: Arbiter) -> None:
    arbiter.edition.max_worker_lifetime = 100.0
    arbiter.edition.workers = 8
    arbiter.settle()
    get_ready(arbiter)
    lives = [handle.expires_at - handle.ready_at for handle in arbiter.pool.handles.values()]
    assert all(100 * SECOND <= life <= 110 * SECOND for life in lives)
    assert len(set(lives)) > 1


def test_without_a_limit_no_life_ends(arbiter: Arbiter) -> None:
    arbiter.settle()
    get_ready(arbiter)
    assert not any(handle.expires_at for handle in arbiter.pool.handles.values())


def test_a_worker_that_dies_young_is_replaced_a_second_later(arbiter: Arbiter) -> None:
    arbiter.settle()
    get_ready(arbiter)
    died = die(arbiter, signum=signal.SIGSEGV)
    deadline = arbiter.settle()
    assert deadline is not None
    assert 0 < deadline - died.ready_at < 3 * SECOND
    assert len(arbiter.pool) == 1
