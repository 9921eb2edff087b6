"""Connections outlive workers: clients that never retry, and a server that reloads, recycles, scales and is upgraded.

`make test` takes a few turns of each, `make soak` (SOAK_TURNS) many.
"""

import collections
import contextlib
import os
import random
import select
import signal
import socket
from pathlib import Path

import pytest
from live.regulars import Regular, Regulars, Witness
from live.server import read_response, wait_until
from live.turns import TURNS

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

    def start(connect, number=CLIENTS, kind=Regular):
        found.append(Regulars(connect, number, kind))
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


WORK = """
import asyncio, os, random, time

HEAD = [(b"content-length", b"16")]
PID = b"%8d" % os.getpid()

def wsgi(environ, start_response):
    start_response("200 OK", [(name.decode(), value.decode()) for name, value in HEAD])
    yield PID
    time.sleep(random.random() / 100)
    yield b" is done"

async def asgi(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": HEAD})
    await send({"type": "http.response.body", "body": PID, "more_body": True})
    await asyncio.sleep(random.random() / 100)
    await send({"type": "http.response.body", "body": b" is done"})
"""


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("work:wsgi",), id="sync"),
        pytest.param(("work:wsgi", "--threads", "4"), id="threads"),
        pytest.param(("work:asgi",), id="asgi"),
    ],
)
def test_workers_that_are_killed_take_only_their_own_connections_with_them(make_server, regulars, arguments):
    """One every second or two, any one, whatever it is at."""
    server = make_server(work=WORK).start("-w", "3", "--keep-alive", "20", *arguments)
    clients = regulars(server.connect, 40, Witness)
    clients.again()
    chance = random.Random(7)
    held = {}

    for _ in range(TURNS):
        victim = chance.choice(server.workers)
        held[victim] = stop_and_look(server, victim)
        os.kill(victim, signal.SIGKILL)
        server.wait_for(rf"Worker \(pid:{victim}\) was sent SIGKILL! Not by the arbiter")
        server.wait_for_workers(3)
        clients.again(min(TURNS, 7))

    _, failures = clients.stop()
    losses = [loss for client in clients.clients for loss in client.losses]
    at_work = [loss for loss in losses if loss.worker]
    assert failures == []
    assert [loss for loss in losses if not any(loss.port in ports for ports in held.values())] == []
    assert [loss for loss in at_work if loss.port not in held.get(loss.worker, ())] == []
    assert at_work, "no worker was killed in the middle of a request"


def test_clients_that_stay_are_shared_among_idle_workers(make_server):
    """EPOLLEXCLUSIVE would give all of them to the one that has waited first."""
    server = make_server(mixed=MIXED).start("mixed:app", "-w", "4", "--keep-alive", "30")
    with contextlib.ExitStack() as stack:
        served = collections.Counter()
        for _ in range(16):
            wait_until(lambda: idle(server), "idle workers")  # one that is still awake may take another
            connection = stack.enter_context(server.connect())
            ask(connection, b"/fast")
            served[answer(connection)] += 1
        assert len(served) == 4
        assert max(served.values()) <= 8


def idle(server):
    return all("epoll" in Path(f"/proc/{pid}/wchan").read_text() for pid in server.workers)


def test_who_was_told_to_a_worker_that_is_killed_before_it_looked_is_served_by_another(make_server):
    """EPOLLEXCLUSIVE tells one worker of a connection: those that are here don't look, the next one has to."""
    server = make_server(mixed=MIXED).start("mixed:app", "-w", "2")
    victim, other = server.workers
    for worker in (victim, other):
        stop_and_look(server, worker)
    waiting = [server.connect() for _ in range(8)]
    for connection in waiting:
        connection.sendall(b"GET /fast HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    os.kill(victim, signal.SIGKILL)
    answers = [read_response(connection) for connection in waiting]
    [heir] = set(server.workers) - {other}
    os.kill(other, signal.SIGCONT)
    assert answers == [(200, str(heir).encode())] * 8
    for connection in waiting:
        connection.close()


def stop_and_look(server, pid):
    """The clients' ports of a worker's connections. Stopped, it can't get or give away any while it is looked at."""
    os.kill(pid, signal.SIGSTOP)
    tasks = [task / "stat" for task in Path(f"/proc/{pid}/task").iterdir()]
    wait_until(lambda: all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in tasks), "a worker to stop")
    sockets = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        port_of(remote)
        for _, local, remote, *_, inode in (line[:10] for line in lines)
        if port_of(local) == server.port and f"socket:[{inode}]" in sockets
    }


def port_of(address):
    return int(address.rpartition(":")[2], 16)


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
