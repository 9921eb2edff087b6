"""Taking connections: how many at a time, with no descriptor left, and the last ones before a listener closes."""

import os
import resource
import socket
import struct

import pytest
from net.serving import Alarm, Told

from corral.config.settings import Config
from corral.net.acceptor import PATIENCE, PAUSE, Acceptor
from corral.net.listener import open_listeners
from corral.net.reactor import SECOND

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


class Door:
    """A listener with its acceptor, and clients before it."""

    def __init__(self, burst=8):
        [self.listener] = open_listeners(Config(bind=("127.0.0.1:0",)), {})
        self.service = Told()
        self.complaints = []
        origin = self.service.origin(local=False, family=socket.AF_INET)
        self.acceptor = Acceptor(self.listener, origin, burst, self.complaints.append)
        self.acceptor.open()
        self.clients = []

    def come(self, number=1, say=True):
        for _ in range(number):
            client = socket.create_connection(self.listener.socket.getsockname(), 10)
            if say:
                client.sendall(GET % len(self.clients))
            self.clients.append(client)

    def answers(self):
        """What each client that asked has been told, without waiting."""
        return [client.recv(1000).rpartition(b"\r\n")[2] for client in self.clients]

    def connections(self):
        return [each for each in self.service.reactor.handlers.values() if each is not self.acceptor]

    def close(self):
        for each in [*self.clients, self.listener.socket]:
            each.close()
        for connection in self.connections():
            connection.close()
        self.service.reactor.close()


@pytest.fixture
def door():
    doors = []

    def make(**options):
        doors.append(Door(**options))
        return doors[-1]

    yield make
    for each in doors:
        each.close()


def test_everybody_is_answered_in_the_order_of_coming(door):
    door = door()
    door.come(20)
    door.service.until(lambda: door.service.connections == 20)
    assert [line for line in door.service.told if line.startswith("begin")] == [
        f"begin GET /{number} HTTP/1.1" for number in range(20)
    ]
    assert door.answers() == [b"/%d" % number for number in range(20)]


@pytest.mark.parametrize("burst", [1, 3, 8])
def test_no_more_than_a_burst_at_a_time(door, burst):
    """Others may listen as well, and who is taken waits for this process."""
    door = door(burst=burst)
    door.come(60, say=False)
    taken = []
    while door.service.connections < 60:
        before = door.service.connections
        door.service.turn()
        taken.append(door.service.connections - before)
    assert max(taken) == burst


def test_who_is_accepted_with_a_request_is_answered_without_another_look(door):
    door = door()
    door.come()
    door.service.turn()
    assert door.answers() == [b"/0"]


def test_who_comes_without_a_request_is_answered_when_it_comes(door):
    """After a silent one the next are not read from at once; they are answered all the same."""
    door = door()
    door.come(1, say=False)
    door.come(PATIENCE + 5)
    door.service.until(lambda: len(door.service.told) == 2 * (PATIENCE + 5))
    door.clients[0].sendall(GET % 0)
    door.service.until(lambda: len(door.service.told) == 2 * (PATIENCE + 6))
    assert door.answers() == [b"/%d" % number for number in range(PATIENCE + 6)]


def test_a_client_that_has_left_in_the_queue_is_no_trouble(door):
    door = door()
    door.come(3)
    door.clients.pop(1).close()
    reset = door.clients.pop(1)
    reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reset.close()
    door.come()
    door.service.until(lambda: "begin GET /1 HTTP/1.1" in door.service.told[-2:])
    door.service.until(lambda: door.service.connections == 2)
    assert [client.recv(1000)[-2:] for client in door.clients] == [b"/0", b"/1"]


def test_leaving_takes_everybody_and_serves_them_later(door):
    """Nobody is served while the queue is emptied: served clients would make room for others, for ever."""
    door = door(burst=1)
    door.come(50)
    door.acceptor.drain()
    door.acceptor.close()
    door.listener.close()
    assert (door.service.connections, door.service.told) == (50, [])
    door.service.until(lambda: len(door.service.told) == 100)
    assert door.answers() == [b"/%d" % number for number in range(50)]


def test_without_a_descriptor_it_looks_away_and_comes_back(door):
    door = door()
    door.come()
    door.service.until(lambda: door.service.connections == 1)
    assert door.answers() == [b"/0"]
    door.come(3)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = highest_descriptor()
    spare = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest - len(os.listdir("/proc/self/fd")) + 5)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare[-1], highest) + 1, hard))
    try:
        fill = take_all_descriptors()
        door.service.until(lambda: door.complaints)
        assert door.acceptor.paused
        door.clients[0].sendall(GET % 0)
        door.service.until(lambda: len(door.service.told) == 4)
        assert door.clients[0].recv(1000).endswith(b"/0")
        assert turns_in(door.service, SECOND // 10) <= 3
        alarm = Alarm(door.service.reactor, 2 * PAUSE)
        door.service.until(lambda: alarm.rung)
        assert len(door.complaints) == 1  # once, however often it tries
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in (*spare, *fill):
            os.close(fd)
    door.service.until(lambda: door.service.connections == 4)
    assert [client.recv(1000)[-2:] for client in door.clients[1:]] == [b"/1", b"/2", b"/3"]
    assert not door.acceptor.paused


def test_the_application_has_descriptors_left(door):
    """Connections leave a reserve, and those who are in can make use of it."""
    door = door()
    door.come(20)
    door.acceptor.ceiling = (lowest := os.dup(0)) + 6  # the next number that is free
    os.close(lowest)
    door.service.until(lambda: door.complaints)
    assert 0 < (inside := door.service.connections) <= 7
    alarm = Alarm(door.service.reactor, 2 * PAUSE)
    door.service.until(lambda: alarm.rung)
    assert (door.service.connections, len(door.complaints)) == (inside, 1)
    door.acceptor.ceiling += 1000
    door.service.until(lambda: door.service.connections == 20)
    assert door.answers() == [b"/%d" % number for number in range(20)]


def test_leaving_takes_everybody_though_it_had_looked_away(door):
    door = door()
    door.acceptor.ceiling = 0
    door.come(5)
    door.service.until(lambda: door.acceptor.paused)
    door.acceptor.drain()
    door.acceptor.close()
    door.listener.close()
    assert door.service.connections == 5
    door.service.until(lambda: len(door.service.told) == 10)
    assert door.answers() == [b"/%d" % number for number in range(5)]
    assert door.service.reactor.timers == set()


def highest_descriptor():
    return max(int(name) for name in os.listdir("/proc/self/fd"))


def take_all_descriptors():
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return taken


def turns_in(service, duration):
    """How often the loop wakes up while nothing happens."""
    alarm, turns = Alarm(service.reactor, duration), 0
    while not alarm.rung:
        service.turn()
        turns += 1
    return turns


def test_it_can_be_closed_while_it_looks_away(door):
    door = door()
    door.acceptor.pause(OSError(24, "Too many open files"))
    door.acceptor.close()
    assert door.service.reactor.timers == set()
    assert door.connections() == []
