"""What the arbiter says of workers that take long, of which here only the memory is real."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from corral.arbiter.deaths import Deaths
from corral.arbiter.plan import SECOND
from corral.arbiter.pool import Handle, Pool, Reason
from corral.arbiter.recorder import Recorder, pace
from corral.shared.process import Death
from corral.shared.scoreboard import BEGIN, Cell, Scoreboard

NOBODY = 1 << 26  # beyond any pid_max: a signal to it reaches nobody
STACK = """Thread 0x0000000000000002 (most recent call first):
  File "/srv/pool.py", line 9 in wait
Current thread 0x0000000000000001 (most recent call first):
  File "/srv/app.py", line 5 in view
"""
APP = "app:app"


class Notebook:
    """A log that keeps its records."""

    def __init__(self) -> None:
        self.records: list[str] = []

    def write(self, message: str, *values: object) -> None:
        self.records.append(message % values)

    error = warning = info = write


class Case:
    """One worker, its row and what it writes."""

    def __init__(self) -> None:
        self.board = Scoreboard(4)
        self.log = Notebook()
        self.pool = Pool(4)
        self.recorder = Recorder(self.log, self.board, self.pool)
        self.row = self.board.row(2)
        self.row.cells[Cell.RECORDER] = signal.SIGUSR1
        self.row.cells[Cell.THREAD] = 1
        self.handle = Handle(pid=NOBODY, age=1, generation=1, born=time.monotonic_ns(), row=self.row)
        self.pool.handles[NOBODY] = self.handle
        self.writer = self.board.recording.open(2)

    def begin(self, line: bytes = b"GET /a HTTP/1.1", seconds: int = 16) -> int:
        since = time.monotonic_ns() - seconds * SECOND
        BEGIN(self.row.memory, self.row.flight_at(0) + 8, len(line), since, line)
        self.handle.read()
        return since

    def answer(self, text: str = STACK) -> None:
        os.write(self.writer, text.encode())


@pytest.fixture
def case() -> Iterator[Case]:
    case = Case()
    yield case
    os.close(case.writer)
    os.close(case.board.recording.fd)


def test_a_slow_request_has_one_record_with_the_stack_of_its_thread(case: Case) -> None:
    case.recorder.look(case.handle, case.begin())
    case.answer()
    case.recorder.report(case.handle, APP)
    assert case.log.records == [
        f"Slow request for 16.0 s (pid:{NOBODY}): GET /a HTTP/1.1, at /srv/app.py:5 in view\n"
        "  Current thread 0x0000000000000001 (most recent call first):\n"
        '    File "/srv/app.py", line 5 in view'
    ]
    assert not case.handle.report_at


def test_who_has_gone_on_is_not_reported(case: Case) -> None:
    case.recorder.look(case.handle, case.begin())
    case.begin(b"GET /b HTTP/1.1", 0)
    case.answer()
    case.recorder.report(case.handle, APP)
    assert case.log.records == []
    assert not case.handle.report_at


def test_who_has_gone_on_before_the_look_is_not_even_asked(case: Case) -> None:
    since = case.begin()
    case.begin(b"GET /b HTTP/1.1", 0)
    case.recorder.look(case.handle, since)
    assert not case.handle.asked_at
    assert not case.handle.report_at


def test_stacks_that_take_a_while_are_waited_for(case: Case) -> None:
    case.recorder.look(case.handle, case.begin())
    first = case.handle.report_at
    case.recorder.report(case.handle, APP)
    assert case.log.records == []
    assert case.handle.report_at > first
    case.handle.asked_at -= SECOND
    case.recorder.report(case.handle, APP)
    assert case.log.records == [f"Slow request for 16.0 s (pid:{NOBODY}): GET /a HTTP/1.1"]


def test_a_worker_without_a_recorder_is_named_all_the_same(case: Case) -> None:
    case.row.cells[Cell.RECORDER] = 0
    case.recorder.look(case.handle, case.begin())
    case.recorder.report(case.handle, APP)
    assert case.log.records == [f"Slow request for 16.0 s (pid:{NOBODY}): GET /a HTTP/1.1"]


def test_no_sign_of_life(case: Case) -> None:
    case.recorder.look(case.handle, case.begin(b""))
    case.answer()
    case.recorder.report(case.handle, APP)
    assert case.log.records[0].startswith(f"No sign of life for 16.0 s (pid:{NOBODY}), at /srv/app.py:5 in view\n")


def test_a_time_out_shows_all_stacks_that_of_the_request_first(case: Case) -> None:
    case.recorder.suspect(case.handle, case.begin(seconds=30))
    case.answer()
    case.recorder.timed_out(case.handle, APP)
    [record] = case.log.records
    assert record.startswith(f"Request in flight for 30.0 s (pid:{NOBODY}): GET /a HTTP/1.1, at /srv/app.py:5 in view,")
    assert record.index("Current thread") < record.index("in view\n") < record.index("in wait")
    assert case.row.cells[Cell.EXPLAINED]


def test_stacks_of_another_moment_are_not_shown(case: Case) -> None:
    case.answer(STACK.replace("view", "yesterday"))
    case.recorder.suspect(case.handle, case.begin(seconds=30))
    case.recorder.timed_out(case.handle, APP)
    assert "yesterday" not in case.log.records[0]
    assert not case.row.cells[Cell.EXPLAINED]


def test_text_of_a_worker_that_is_no_text_harms_nobody(case: Case) -> None:
    case.recorder.suspect(case.handle, case.begin(seconds=30))
    os.write(case.writer, b"Current thread 0x1 (most\n  \xff\x1b%s %d\n  File \n")
    case.recorder.timed_out(case.handle, APP)
    assert "%s %d" in case.log.records[0]


def test_the_memory_is_given_back_when_nobody_is_writing(case: Case) -> None:
    other = Handle(pid=NOBODY + 1, age=2, generation=1, born=0, row=case.board.row(3), awaited=True)
    case.pool.handles[other.pid] = other
    case.answer()
    case.recorder.listen(case.handle)
    assert os.fstat(case.board.recording.fd).st_blocks
    other.awaited = False
    case.answer()
    case.recorder.listen(case.handle)
    assert not os.fstat(case.board.recording.fd).st_blocks


@pytest.mark.parametrize(
    ("text", "record"),
    [
        pytest.param(
            "Fatal Python error: Segmentation fault\n\n" + STACK, ", at /srv/app.py:5 in view\n", id="its own"
        ),
        pytest.param(STACK, "GET /a HTTP/1.1", id="what was asked for earlier is not a crash's"),
    ],
)
def test_what_a_crash_has_left(case: Case, text: str, record: str) -> None:
    case.begin(seconds=2)
    case.answer(text)
    death = Death(NOBODY, 0, signal.SIGSEGV, 64 << 20)
    Deaths(case.log).explain(case.handle, death, case.recorder.remains(case.handle), APP)
    said = f"Worker (pid:{NOBODY}) was sent SIGSEGV! It crashed in native code; its memory peaked at 64 MiB; "
    assert case.log.records[0].startswith(f"{said}in flight for 2.0 s: GET /a HTTP/1.1")
    assert record in case.log.records[0]
    assert ("\n" in case.log.records[0]) == text.startswith("Fatal")


def test_what_was_said_before_a_kill_is_not_said_again(case: Case) -> None:
    case.begin()
    case.handle.reason, case.handle.aborted_at, case.handle.killed_at = Reason.TIMEOUT, 1, 2
    Deaths(case.log).explain(case.handle, Death(NOBODY, 0, signal.SIGKILL, 0), [], APP)
    assert case.log.records == [
        f"Worker (pid:{NOBODY}) was sent SIGKILL! By the arbiter: it was on one request for longer than timeout"
    ]


@pytest.mark.parametrize(
    ("cpu", "queue", "wall", "words"),
    [
        pytest.param(15 * SECOND, 0, 15 * SECOND, "spinning: 15.00 s of CPU in 15.00 s", id="it never waits"),
        pytest.param(
            SECOND,
            13 * SECOND,
            15 * SECOND,
            "spinning: 1.00 s of CPU in 15.00 s, and 13.00 s without a processor",
            id="it shares a processor with many",
        ),
        pytest.param(SECOND, 2 * SECOND, 15 * SECOND, "waiting: 1.00 s of CPU in 15.00 s", id="it polls"),
        pytest.param(SECOND // 100, 0, 15 * SECOND, "waiting: 0.01 s of CPU in 15.00 s", id="it waits"),
        pytest.param(-1, 0, 0, "waiting: 0.00 s of CPU in 0.00 s", id="nothing is known"),
    ],
)
def test_spinning_or_waiting(cpu: int, queue: int, wall: int, words: str) -> None:
    assert pace(cpu, queue, wall) == words
