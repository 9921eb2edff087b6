"""The scoreboard: what is written in a row is read from it, whoever reads, and however the text is made."""

import os
import struct

import pytest

from corral.shared.scoreboard import ASLEEP, BEGIN, REQUEST_SIZE, Cell, Flight, Row, Scoreboard, State


@pytest.fixture
def row() -> Row:
    return Scoreboard(4).row(2)


def put_request(row: Row, line: bytes, length: int | None = None) -> None:
    row.request[: len(line)] = line
    row.cells[Cell.REQUEST_LENGTH] = len(line) if length is None else length


def test_rows_and_the_arbiters_row_do_not_overlap() -> None:
    board = Scoreboard(3)
    board.arbiter[ASLEEP] = -1
    for slot in range(3):
        row = board.row(slot)
        row.cells[:] = memoryview(bytes([slot + 1]) * row.cells.nbytes).cast("q")
        row.request[:] = bytes([slot + 1]) * REQUEST_SIZE
    assert board.arbiter[ASLEEP] == -1
    for slot in range(3):
        assert set(board.row(slot).cells.tobytes()) == {slot + 1}
        assert set(bytes(board.row(slot).request)) == {slot + 1}


@pytest.mark.parametrize("slot", [-1, 4, 1000])
def test_a_slot_that_does_not_exist_is_refused(slot: int) -> None:
    with pytest.raises(IndexError):
        Scoreboard(4).row(slot)


def test_a_child_writes_and_its_parent_reads() -> None:
    board = Scoreboard(1)
    pid = os.fork()
    if pid == 0:
        board.row(0).cells[Cell.REQUESTS] = 42
        board.arbiter[ASLEEP] = 7
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.row(0).cells[Cell.REQUESTS] == 42
    assert board.arbiter[ASLEEP] == 7


def test_a_new_worker_in_a_slot_starts_clean_and_goes_on_counting(row: Row) -> None:
    for cell in Cell:
        row.cells[cell] = 3
    row.claim(generation=9, now=1234)
    snapshot = row.snapshot()
    assert (snapshot.requests, snapshot.errors, snapshot.bytes_out) == (3, 3, 3)
    assert (snapshot.state, snapshot.generation, snapshot.started) == (State.BOOTING, 9, 1234)
    assert (snapshot.pid, snapshot.busy_since, snapshot.connections, snapshot.drain_since) == (0, 0, 0, 0)
    row.release()
    assert row.snapshot().state is State.FREE


@pytest.mark.parametrize(
    ("line", "text"),
    [
        pytest.param(b"", "", id="nothing is in flight"),
        pytest.param(b"GET /a?b=c HTTP/1.1", "GET /a?b=c HTTP/1.1", id="a plain line is shown as it is"),
        pytest.param(b"GET /\r\nfake HTTP/1.1", r"GET /\x0d\x0afake HTTP/1.1", id="it can't make a second log line"),
        pytest.param(b"GET /\x1b[2J\x7f", r"GET /\x1b[2J\x7f", id="nor speak to the terminal"),
        pytest.param(b"GET /\xc3\xa9", r"GET /\xc3\xa9", id="bytes above ASCII are shown as bytes"),
    ],
)
def test_the_request_in_flight_is_one_harmless_line(row: Row, line: bytes, text: str) -> None:
    put_request(row, line)
    assert row.in_flight() == text
    assert row.request_line() == line


@pytest.mark.parametrize("length", [-5, 10**9])
def test_a_length_that_makes_no_sense_is_clipped(row: Row, length: int) -> None:
    put_request(row, b"GET /", length)
    assert len(row.in_flight().replace(r"\x00", ".")) == min(max(length, 0), REQUEST_SIZE)


def test_a_row_has_room_for_a_request_a_thread() -> None:
    board = Scoreboard(2, flights=3)
    row = board.row(0)
    for number, since in ((0, 30), (2, 10)):
        struct.pack_into("q", row.memory, row.flight_at(number), 100 + number)
        BEGIN(row.memory, row.flight_at(number) + 8, 5, since, b"GET /")
    assert row.begun() == (10, 30)
    assert row.in_flights() == [Flight(10, 102, "GET /"), Flight(30, 100, "GET /")]
    assert row.cells[Cell.BUSY_SINCE] == 30
    assert board.row(1).begun() == ()
    row.release()
    assert row.in_flights() == []


def test_with_one_thread_a_row_is_what_it_was(row: Row) -> None:
    BEGIN(row.memory, row.begin_at(0), 6, 7, b"GET /a")
    assert row.begun() == (7,)
    assert row.in_flights() == [Flight(7, 0, "GET /a")]
    assert row.in_flight() == "GET /a"
