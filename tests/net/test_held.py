"""Reads and looks that hold on to the interpreter, at real sockets, and in several threads."""

import os
import select
import socket
import sys
import threading

import pytest

from corral.net.held import ONCE, hold
from corral.net.reactor import NEVER, READ, PortablePoller, Reactor


class Silent:
    due = NEVER

    def ready(self, events):
        raise AssertionError("nobody turns this reactor")

    def expire(self, now):
        raise AssertionError("nothing is due")


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    reactor.close()


@pytest.fixture
def held(reactor):
    return hold(reactor)


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def test_a_reader_reads_as_os_read_does(held, pair):
    ours, theirs = pair
    read = held.reader()
    with pytest.raises(BlockingIOError):
        read(ours.fileno(), 100)
    theirs.sendall(b"GET / HTTP/1.1\r\n\0\xff")
    assert read(ours.fileno(), 5) == b"GET /"
    assert read(ours.fileno(), 100) == b" HTTP/1.1\r\n\0\xff"
    theirs.close()
    assert read(ours.fileno(), 100) == b""


def test_an_error_is_the_one_that_os_read_raises(held):
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        served, _ = listener.accept()
        with served:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close(2) resets
            client.close()
            with pytest.raises(ConnectionResetError):
                held.reader()(served.fileno(), 100)


def test_more_than_a_reader_has_room_for_is_read_in_parts(held, pair):
    ours, theirs = pair
    sent = os.urandom(200_000)
    sender = threading.Thread(target=theirs.sendall, args=(sent,))
    sender.start()
    read, found = held.reader(), b""
    while len(found) < len(sent):
        try:
            found += read(ours.fileno(), 1 << 20)
        except BlockingIOError:
            select.select([ours], [], [])
    sender.join()
    assert found == sent


def test_readers_of_several_threads_keep_their_bytes_apart(held):
    def exchange(letter, wrong):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        read = held.reader()
        with ours, theirs:
            for length in range(1, 3000):
                theirs.sendall(letter * length)
                if read(ours.fileno(), 4096) != letter * length:
                    wrong.append(length)

    wrong = []
    threads = [threading.Thread(target=exchange, args=(letter, wrong)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_who_is_armed_is_told_once_until_armed_again(reactor, held, pair):
    ours, theirs = pair
    fd = ours.fileno()
    reactor.add(fd, Silent(), ONCE)
    assert held.look() == []
    theirs.sendall(b"a")
    assert held.look() == [(fd, READ)]
    theirs.sendall(b"b")
    assert held.look() == []
    held.arm(fd)
    assert held.look() == [(fd, READ)]
    assert held.look() == []


def test_who_is_armed_again_stands_behind_who_has_asked_before(reactor, held):
    pairs = [socket.socketpair() for _ in range(3)]
    order = [ours.fileno() for ours, _ in pairs]
    for ours, theirs in pairs:
        reactor.add(ours.fileno(), Silent(), ONCE)
        theirs.sendall(b"a")
    assert [fd for fd, _ in held.look()] == order
    for fd in reversed(order):
        held.arm(fd)
    assert [fd for fd, _ in held.look()] == order[::-1]
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_arming_who_is_hidden_says_so(reactor, held, pair):
    ours, _ = pair
    reactor.add(ours.fileno(), Silent())
    reactor.hide(ours.fileno(), Silent())
    with pytest.raises(FileNotFoundError):
        held.arm(ours.fileno())


def test_the_reactor_and_a_look_tell_of_the_same(reactor, held, pair):
    ours, theirs = pair
    reactor.add(ours.fileno(), Silent())
    theirs.sendall(b"a")
    assert held.look() == reactor.look() == [(ours.fileno(), READ)]


def test_where_there_is_no_epoll_threads_do_without(reactor):
    reactor.close()
    reactor._poller = PortablePoller()
    assert hold(reactor) is None


def test_where_there_is_no_ctypes_threads_do_without(monkeypatch, reactor):
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert hold(reactor) is None
