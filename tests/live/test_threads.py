"""Threads among requests of 10 ms: none waits for one that could be free, and each client has its turn; and however a
call ends at the instant at which another thread is given the lead, its client gets its answer."""

import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from live.server import cpu_seconds
from live.wire import Wire

pytestmark = pytest.mark.alone

NAP = 0.01
NAPS = """
import os, time

order = os.open("order", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def app(environ, start_response):
    os.write(order, environ["REMOTE_PORT"].encode() + b"\\n")
    time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
THREADS = 8
REQUESTS = 100


@pytest.fixture
def server(make_server):
    return make_server(naps=NAPS).start("naps:app", "--threads", str(THREADS))


def latencies(server, clients):
    """Of all requests of so many clients, each of which asks as soon as it has been answered; sorted."""
    found = []

    def ask(connection):
        for _ in range(REQUESTS):
            begun = time.perf_counter()
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
            found.append(time.perf_counter() - begun)

    connections = [server.connect() for _ in range(clients)]
    threads = [threading.Thread(target=ask, args=(connection,)) for connection in connections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for connection in connections:
        connection.close()
    assert len(found) == clients * REQUESTS
    return sorted(found)


def test_who_becomes_free_leads_though_the_leader_is_in_a_call(server):
    """It had let another one lead if there had been one; and the watcher would take half a call to see it."""
    taken = latencies(server, THREADS)
    assert taken[int(len(taken) * 0.99)] < 1.7 * NAP


def test_no_client_jumps_the_queue(server):
    latencies(server, 2 * THREADS)
    asked = (server.directory / "order").read_text().split()
    whole = asked[len(asked) // 4 : len(asked) * 3 // 4]  # while all of them ask
    last, early = {}, 0
    for at, client in enumerate(whole):
        early += at - last.get(client, -2 * THREADS) < 1.5 * THREADS
        last[client] = at
    assert early < len(whole) * 0.02


ENDINGS = """
import random
import time

BODIES = {"/short": b"ok", "/large": b"x" * 4_000_000}


def app(environ, start_response):
    if environ["QUERY_STRING"]:
        time.sleep(random.uniform(0.004, 0.011))  # about when the watcher looks
    body = BODIES[environ["PATH_INFO"]]
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


SLOW = b"GET /short?slow HTTP/1.1\r\nHost: test\r\n\r\n"


def keep(wire):
    assert wire.get("/short?slow").body == b"ok"
    assert wire.get("/short?slow").body == b"ok"


def close(wire):
    assert wire.get("/short?slow", "Connection: close").body == b"ok"
    assert wire.ended


def pipeline(wire):
    wire.send(SLOW + SLOW)
    assert [wire.response().body for _ in range(2)] == [b"ok", b"ok"]


def refuse(wire):
    wire.send(SLOW + b"GET / HTTP/1.1\r\n\r\n")
    assert wire.response().body == b"ok"
    assert wire.response().status == 400
    assert wire.ended


def flush(wire):
    assert len(wire.get("/large?slow").body) == 4_000_000
    assert wire.get("/short?slow").body == b"ok"


def keep_asking(server, path, over):
    with Wire(server) as wire:
        while not over.is_set():
            assert wire.get(path).body == b"ok"


def test_however_a_call_ends_as_another_thread_is_given_the_lead(make_server):
    """The average call is short, so that only the watcher gives the lead away."""
    server = make_server(endings=ENDINGS).start("endings:app", "--threads", "4")
    over = threading.Event()

    def ask(seed):
        choice = random.Random(seed)
        for _ in range(40):
            with Wire(server, receive_buffer=65536) as wire:
                choice.choice((keep, close, pipeline, refuse, flush))(wire)

    with ThreadPoolExecutor() as pool:
        hurrying = [pool.submit(keep_asking, server, "/short", over) for _ in range(2)]
        try:
            for asking in [pool.submit(ask, seed) for seed in range(3)]:
                asking.result()
        finally:
            over.set()
        for hurried in hurrying:
            hurried.result()
    assert "Traceback" not in server.log


ALWAYS = """
import time


def app(environ, start_response):
    if environ["PATH_INFO"] != "/short":
        time.sleep(0.3 if environ["PATH_INFO"] == "/long" else 0.005)
    body = b"x" * (4_000_000 if environ["PATH_INFO"] == "/large" else 2)
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
SLOWS = 30  # enough for the average to be known


@pytest.fixture
def slow_wire(make_server):
    """A connection of which a worker with two threads expects slow requests: it is told of them one by one."""
    server = make_server(always=ALWAYS).start("always:app", "--threads", "2", "--keep-alive", "30")
    with Wire(server, receive_buffer=65536) as wire:
        for _ in range(SLOWS):
            assert wire.get("/slow").body == b"xx"
        yield server, wire


@pytest.mark.parametrize("before", ["/slow", "/large"])
def test_what_comes_during_a_call_is_heard_after_it_and_keeps_nobody_busy(slow_wire, before):
    server, wire = slow_wire
    [worker] = server.workers
    assert wire.get(before).status == 200
    begun = cpu_seconds(worker)
    wire.send(b"GET /long HTTP/1.1\r\nHost: test\r\n\r\n")
    for _ in range(3):
        with Wire(server) as other:
            assert other.get("/slow").body == b"xx"  # somebody polls
        wire.send(b"GET /long HTTP/1.1\r\nHost: test\r\n\r\n")
    assert [wire.response().body for _ in range(4)] == [b"xx"] * 4
    assert cpu_seconds(worker) - begun < 0.3


def test_a_client_that_half_closes_among_slow_calls_is_answered_and_let_go(slow_wire):
    _, wire = slow_wire
    wire.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
    wire.socket.shutdown(socket.SHUT_WR)
    assert wire.response().body == b"xx"
    begun = time.monotonic()
    assert wire.ended
    assert time.monotonic() - begun < 5  # and not after keepalive


def test_calls_become_short_and_slow_again_on_the_same_connection(slow_wire):
    server, wire = slow_wire
    with Wire(server) as other:
        for path in ("/short", "/slow", "/short"):
            for _ in range(4 * SLOWS):
                assert wire.get(path).body == other.get(path).body == b"xx"


def test_a_head_in_drips_among_slow_calls(slow_wire):
    _, wire = slow_wire
    for _ in range(3):
        for byte in b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n":
            wire.send(bytes((byte,)))
        assert wire.response().body == b"xx"


def test_who_computes_in_another_thread_is_waited_for_once(make_server):
    """Each system call that lets go of the interpreter would be another turn for those who compute: 5 ms, or 10."""
    computing = """
import time


def app(environ, start_response):
    if environ["PATH_INFO"] == "/compute":
        until = time.thread_time() + 0.1
        while time.thread_time() < until:
            pass
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
    server = make_server(computing=computing).start("computing:app", "--threads", "4")
    over = threading.Event()

    taken = []
    with ThreadPoolExecutor() as pool, Wire(server) as wire:
        computers = [pool.submit(keep_asking, server, "/compute", over) for _ in range(2)]
        try:
            for _ in range(100):
                begun = time.perf_counter()
                assert wire.get("/").body == b"ok"
                taken.append(time.perf_counter() - begun)
        finally:
            over.set()
        for each in computers:
            each.result()
    assert sorted(taken)[len(taken) // 2] < 0.028  # it was 0.031
