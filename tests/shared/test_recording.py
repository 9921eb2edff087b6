"""The file in memory: each writer has its region and its own position, whatever is read or cleared in between."""

import os

import pytest

from corral.shared.recording import CHUNK, Recording


@pytest.fixture
def recording():
    recording = Recording()
    yield recording
    os.close(recording.fd)


@pytest.fixture
def writers(recording):
    found = [recording.open(slot) for slot in (0, 1, 1023)]
    yield found
    for descriptor in found:
        os.close(descriptor)


def test_each_slot_has_a_region(recording, writers):
    for number, writer in enumerate(writers):
        os.write(writer, b"%d" % number)
    assert [recording.read(slot, 0) for slot in (0, 1, 1023, 5)] == [b"0", b"1", b"2", b""]


def test_what_has_been_read_is_not_read_again(recording, writers):
    os.write(writers[1], b"first")
    os.write(writers[1], b"second")
    assert recording.read(1, 5) == b"second"
    assert recording.read(1, 11) == b""


def test_more_than_a_chunk_is_read_whole(recording, writers):
    text = b"x" * (2 * CHUNK + 1)
    os.write(writers[0], text)
    assert recording.read(0, 0) == text


def test_clearing_frees_the_memory_and_moves_nobody(recording, writers):
    os.write(writers[0], b"old")
    os.write(writers[2], b"old")
    recording.clear()
    assert os.fstat(recording.fd).st_blocks == 0
    os.write(writers[2], b"new")
    assert recording.read(0, 3) == recording.read(0, 0) == b""
    assert recording.read(1023, 3) == b"new"
    os.write(writers[0], b"news")
    assert recording.read(0, 3) == b"news"


def test_a_child_that_opens_it_again_has_its_own_position(recording, writers):
    pid = os.fork()
    if pid == 0:
        os.write(recording.open(7), b"child")
        os._exit(0)
    os.waitpid(pid, 0)
    assert recording.read(7, 0) == b"child"
