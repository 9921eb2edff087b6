"""Requests that had to wait for others: nobody works for a client that has left, or that has waited too long; and it is
no client's fault if the only worker was in a call when its time was up."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from live.server import read_response
from live.wire import Wire

SLEEPER = """
import time

def app(environ, start_response):
    print("called", environ["PATH_INFO"], flush=True)
    if environ["PATH_INFO"] == "/slow":
        time.sleep(1)
    if environ["PATH_INFO"] == "/short":
        time.sleep(0.008)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


def ask(server, path):
    connection = server.connect()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    return connection


@pytest.fixture
def server(make_server):
    return make_server(sleeper=SLEEPER)


def start(server, *arguments):
    server.start("sleeper:app", "--access-logfile", "-", "--access-logformat", "%(U)s %(s)s", *arguments)
    slow = ask(server, "/slow")
    server.wait_for("^called /slow$")
    return slow


@pytest.mark.parametrize("silent", [0, 1], ids=["read when accepted", "read when readable"])
def test_a_client_that_has_left_is_not_served_and_counts_as_499(server, silent):
    with start(server) as slow, ExitStack() as others:
        for _ in range(silent):  # one that says nothing: those after it are looked at when epoll says so
            others.enter_context(server.connect())
        for _ in range(5):
            others.enter_context(ask(server, "/before"))
        ask(server, "/gone").close()
        with ask(server, "/here") as patient:
            assert read_response(patient)[0] == 200
        assert read_response(slow)[0] == 200
    server.wait_for("^/gone 499$")
    assert server.count("^called /gone$") == 0


def test_who_only_says_no_more_is_answered(server):
    """Also the one request a second that is asked how long it has waited."""
    server.start("sleeper:app")
    begun = time.monotonic()
    while time.monotonic() < begun + 2.5:
        with ask(server, "/here") as connection:
            connection.shutdown(socket.SHUT_WR)
            assert read_response(connection) == (200, b"ok")


def test_who_has_waited_longer_than_queue_timeout_gets_503(server):
    with start(server, "--queue-timeout", "0.3") as slow, ask(server, "/late") as late:
        assert read_response(late)[0] == 503
        assert read_response(slow)[0] == 200
    server.wait_for("^/late 503$")
    assert server.count("^called /late$") == 0
    with ask(server, "/next") as connection:
        assert read_response(connection)[0] == 200


def test_many_short_calls_make_a_long_wait_as_well(server):
    server.start("sleeper:app", "--queue-timeout", "0.4")
    with ExitStack() as clients:
        waiting = [clients.enter_context(ask(server, "/short")) for _ in range(300)]
        assert {read_response(client)[0] for client in waiting} == {200, 503}


def test_without_queue_timeout_everybody_waits(server):
    with start(server) as slow, ask(server, "/late") as late:
        assert read_response(late) == (200, b"ok")
        assert read_response(slow)[0] == 200


BLOCKED = """
import time

LARGE = b"x" * 30_000_000


def answer(path):
    if path == "/slow":
        print("called", flush=True)
        time.sleep(2)
    return LARGE if path == "/large" else b"ok"


def wsgi(environ, start_response):
    body = answer(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


async def asgi(scope, receive, send):
    body = answer(scope["path"])
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})
"""
LOOPS = [("wsgi",), ("asgi", "--loop", "asyncio"), ("asgi", "--loop", "uvloop")]


def start_blocked(make_server, loop, *arguments):
    app, *which = loop
    return make_server(blocked=BLOCKED).start(f"blocked:{app}", "--asgi-lifespan", "off", *which, *arguments)


@pytest.mark.parametrize("loop", LOOPS, ids=" ".join)
def test_what_a_client_said_in_time_is_heard_after_a_call_longer_than_its_time(make_server, loop):
    """Of a connection between two requests, of one that is new, and of a head that had begun."""
    server = start_blocked(make_server, loop, "--keep-alive", "0.5", "--header-timeout", "1")
    head = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
    with Wire(server) as slow, Wire(server) as idle, Wire(server) as new, Wire(server) as begun:
        assert idle.get("/").body == b"ok"
        begun.send(head[:10])
        slow.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for("^called$")
        idle.send(head)
        new.send(head)
        begun.send(head[10:])
        assert [wire.response().body for wire in (slow, idle, new, begun)] == [b"ok"] * 4


@pytest.mark.parametrize("loop", LOOPS, ids=" ".join)
def test_who_reads_in_time_gets_all_of_it_after_a_call_longer_than_its_time(make_server, loop):
    server = start_blocked(make_server, loop, "--write-timeout", "1")
    with Wire(server, receive_buffer=65536) as reader, Wire(server) as slow, ThreadPoolExecutor() as pool:
        reader.send(b"GET /large HTTP/1.1\r\nHost: test\r\n\r\n")
        reader.ahead = reader.more("")
        slow.send(b"GET /slow HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for("^called$")
        read = pool.submit(reader.response)
        assert slow.response().body == b"ok"
        assert len(read.result().body) == 30_000_000
