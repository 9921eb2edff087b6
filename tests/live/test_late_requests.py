"""Requests that had to wait for others: nobody works for a client that has left, or that has waited too long."""

from contextlib import ExitStack

import pytest
from live.server import read_response

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
