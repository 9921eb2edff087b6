"""What waits for a slow reader: in order, in bounded memory, all of it or an error. A file takes the reader's place."""

import fcntl
import os
import random
import resource
import socket

import pytest

from corral.net.outbound import IN_MEMORY, TURN, Outbound, Region, open_spool


@pytest.fixture
def taker():
    """A descriptor that takes everything at once, and what it got."""
    fd = open_spool()
    yield fd
    os.close(fd)


def taken(fd):
    return os.pread(fd, 1 << 30, 0)


def region_of(data, offset=0, count=None):
    fd = open_spool()
    os.write(fd, data)
    return Region(fd, offset, len(data) - offset if count is None else count)


def flush_all(outbound, fd):
    turns = 1
    while not outbound.flush(fd):
        turns += 1
    return turns


def open_descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_an_empty_queue_is_flushed(taker):
    assert Outbound().flush(taker)
    assert taken(taker) == b""


def test_a_file_that_the_kernel_can_not_send_is_read(taker):
    """sendfile(2): EINVAL where the target is written to at its end."""
    fcntl.fcntl(taker, fcntl.F_SETFL, os.O_APPEND)
    outbound, content = Outbound(), os.urandom(200_000)
    outbound.append(b"head ")
    outbound.append_file(region_of(content, 10))
    outbound.append(b" tail")
    flush_all(outbound, taker)
    assert taken(taker) == b"head " + content[10:] + b" tail"
    assert outbound.gone == len(content)


def test_small_pieces_stay_in_memory(taker):
    outbound = Outbound()
    for piece in (b"a", b"", memoryview(b"bc"), b"d"):
        outbound.append(piece)
    assert (outbound.in_memory, outbound.spool) == (4, None)
    assert outbound.flush(taker)
    assert (taken(taker), outbound.in_memory, outbound.gone) == (b"abcd", 0, 4)


def test_the_first_piece_stays_in_memory_however_large():
    """It is the application's object: a copy on disk would cost, and free nothing."""
    outbound = Outbound()
    outbound.append(b"x" * (3 * IN_MEMORY))
    assert outbound.spool is None


def test_what_is_too_much_for_memory_goes_to_a_file(taker):
    before, outbound = open_descriptors(), Outbound()
    for number in range(40):
        outbound.append(bytes([number]) * 100_000)
    assert outbound.in_memory <= IN_MEMORY
    assert outbound.spool is not None
    assert open_descriptors() == before + 1
    flush_all(outbound, taker)
    assert taken(taker) == b"".join(bytes([number]) * 100_000 for number in range(40))
    assert open_descriptors() == before


def test_a_turn_has_its_measure(taker):
    outbound, data = Outbound(), os.urandom(1 << 20) * 3
    outbound.append(data)
    outbound.append_file(region_of(data * 2))
    outbound.append(data)
    turns = flush_all(outbound, taker)
    assert turns == -(-4 * len(data) // TURN)
    assert outbound.gone == 4 * len(data)
    assert taken(taker) == data * 4


def test_files_between_bytes_keep_their_order(taker):
    outbound = Outbound()
    outbound.append(b"head")
    outbound.append_file(region_of(b"0123456789", 2, 5))
    outbound.append(b"between")
    outbound.append_file(region_of(b"0123456789"))
    outbound.append(b"")
    outbound.append(b"tail")
    assert outbound.flush(taker)
    assert taken(taker) == b"head23456between0123456789tail"


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_appending_and_flushing_through_a_narrow_socket(seed):
    """Pieces of any size and kind, flushed at any time into a socket whose reader takes a little now and then."""
    chance, before = random.Random(seed), open_descriptors()
    reader, writer = socket.socketpair()
    with reader, writer:
        for end in (reader, writer):
            end.setblocking(False)
        outbound, expected, received = Outbound(), [], []
        for _ in range(60):
            data = chance.randbytes(chance.choice([0, 1, 100, 5000, 70_000, 300_000]))
            expected.append(data)
            if data and chance.random() < 0.2:
                outbound.append_file(region_of(data))
            else:
                outbound.append(data)
            assert outbound.in_memory <= IN_MEMORY + 300_000
            if chance.random() < 0.5:
                outbound.flush(writer.fileno())
            if chance.random() < 0.5:
                received.append(read_some(reader))
        while not outbound.flush(writer.fileno()):
            received.append(read_some(reader))
        received.append(read_some(reader))
        assert b"".join(received) == b"".join(expected)
        assert outbound.gone == sum(map(len, expected))
        assert outbound.in_memory == 0
    assert open_descriptors() == before


def read_some(reader):
    pieces = []
    try:
        while piece := reader.recv(1 << 16):
            pieces.append(piece)
    except BlockingIOError:
        pass
    return b"".join(pieces)


def test_a_piece_is_stored_whole_or_not_at_all(taker):
    """A disk that is full in the middle of a piece: the caller will send the piece by other means, once."""
    outbound = Outbound()
    outbound.append(b"m" * IN_MEMORY)
    outbound.append(b"first" * 1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            outbound.append(b"second" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    outbound.append(b"third")
    flush_all(outbound, taker)
    assert taken(taker) == b"m" * IN_MEMORY + b"first" * 1000 + b"third"


def test_a_file_that_has_shrunk_is_an_error(taker):
    outbound, before = Outbound(), open_descriptors()
    outbound.append_file(region_of(b"0123456789", 0, 20))
    with pytest.raises(OSError, match="shorter"):
        outbound.flush(taker)
    outbound.close()
    assert open_descriptors() == before


def test_a_reader_that_is_gone_is_an_error():
    reader, writer = socket.socketpair()
    with writer:
        reader.close()
        for outbound in (Outbound(), Outbound()):
            outbound.append(b"a")
            with pytest.raises(BrokenPipeError):
                outbound.flush(writer.fileno())


def test_closing_gives_everything_back():
    before, outbound = open_descriptors(), Outbound()
    for _ in range(30):
        outbound.append(b"x" * 100_000)
    outbound.append_file(region_of(b"a"))
    for _ in range(30):
        outbound.append(b"x" * 100_000)
    outbound.close()
    outbound.close()
    assert open_descriptors() == before


def test_a_temporary_file_has_no_name(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    fd = open_spool()
    try:
        assert os.listdir(tmp_path) == []
        assert os.fstat(fd).st_dev == os.stat(tmp_path).st_dev
        assert os.fstat(fd).st_nlink == 0
        assert not os.get_inheritable(fd)
    finally:
        os.close(fd)


def test_a_temporary_file_needs_its_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    fd = open_spool()  # where tempfile finds another
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)
