"""Connections outlive workers: clients that never retry, and a server that reloads, recycles, scales and is upgraded.

`make test` takes a few turns of each, `make soak` (SOAK_TURNS) many.
"""

import os
import random
import select
import signal
import socket

import pytest
from live.regulars import Regulars
from live.server import wait_until

TURNS = int(os.environ.get("SOAK_TURNS", "3"))
CLIENTS = 50
MIXED = """
import os, time

def app(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(2)
    if environ["PATH_INFO"] == "/spin":
        end = time.monotonic() + 2
        while time.monotonic() < end:
            pass
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
KINDS = [
    pytest.param((), id="sync"),
    pytest.param(("--preload",), id="preload_app"),
    pytest.param(("--threads", "4"), id="threads"),
    pytest.param(("-b", "unix:app.sock"), id="a unix socket"),
]


@pytest.fixture
def regulars():
    found = []

    def start(connect, number=CLIENTS):
        found.append(Regulars(connect, number))
        return found[-1]

    yield start
    for each in found:
        each.stop()


def connector(server):
    path = server.directory / "app.sock"

    def connect():
        if not path.exists():
            return server.connect(20)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(20)
        connection.connect(str(path))
        return connection

    return connect


@pytest.mark.parametrize("arguments", KINDS)
def test_reloads_close_no_connection(make_server, regulars, arguments):
    server = make_server(mixed=MIXED).start("mixed:app", "-w", "3", "--keep-alive", "20", *arguments)
    clients = regulars(connector(server))
    clients.again()

    for generation in range(2, 2 + TURNS):
        server.signal(signal.SIGHUP)
        server.wait_for(f"Reload complete: generation {generation} is ready")
        clients.again()

    requests, failures = clients.stop()
    assert failures == []
    assert requests > CLIENTS * TURNS


@pytest.mark.parametrize("arguments", KINDS)
def test_recycled_workers_close_no_connection(make_server, regulars, arguments):
    server = make_server(mixed=MIXED)
    server.start("mixed:app", "-w", "2", "--keep-alive", "20", "--max-requests", "500", *arguments)
    clients = regulars(connector(server), 20)
    wait_until(lambda: server.count("Worker exiting") > 3 * TURNS, "recycled workers", patience=60)
    clients.again(30)

    _, failures = clients.stop()
    assert failures == []


@pytest.mark.parametrize("arguments", KINDS[::2])
def test_scaling_up_and_down_closes_no_connection(make_server, regulars, arguments):
    server = make_server(mixed=MIXED).start("mixed:app", "-w", "3", "--keep-alive", "20", *arguments)
    clients = regulars(connector(server), 30)
    chance = random.Random(7)
    wanted = 3

    for _ in range(4 * TURNS):
        up = wanted == 1 or (wanted < 6 and chance.random() < 0.5)
        wanted += 1 if up else -1
        server.signal(signal.SIGTTIN if up else signal.SIGTTOU)
        server.wait_for_workers(wanted)
        clients.again()

    _, failures = clients.stop()
    assert failures == []


def test_a_worker_that_is_killed_takes_only_its_own_connections_with_it(make_server, regulars):
    """Each kill may cost the connections that its worker held, and no other."""
    server = make_server(mixed=MIXED).start("mixed:app", "-w", "3", "--keep-alive", "20")
    clients = regulars(connector(server), 30)
    clients.again(3)

    [victim, *_] = server.workers
    held = connections_of(victim)
    os.kill(victim, signal.SIGKILL)
    server.wait_for("was sent SIGKILL")
    server.wait_for_workers(3)
    clients.again(20)

    _, failures = clients.stop()
    assert len(failures) <= held + 1


def connections_of(pid):
    names = (os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd"))
    return sum(name.startswith("socket:") for name in names)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("-w", "2"), id="by a sibling"),
        pytest.param(("-w", "1", "--threads", "2"), id="by another thread"),
        pytest.param(("-w", "2", "--threads", "2"), id="by another thread, or a sibling"),
    ],
)
@pytest.mark.parametrize("path", [b"/sleep", b"/spin"])
def test_who_waits_for_a_long_call_is_served_meanwhile(make_server, arguments, path):
    server = make_server(mixed=MIXED).start("mixed:app", "--keep-alive", "20", *arguments)
    slow, *others = [server.connect() for _ in range(20)]
    for connection in (slow, *others):
        ask(connection, b"/fast")
        answer(connection)

    ask(slow, path)
    for connection in others:
        ask(connection, b"/fast")
    for connection in others:
        answer(connection)

    assert not select.select([slow], [], [], 0)[0], "the slow one was answered first"
    answer(slow)
    for connection in (slow, *others):
        connection.close()


def ask(connection, path):
    connection.sendall(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % path)


def answer(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(4096)
    return data.rpartition(b"\r\n\r\n")[2].decode()
