"""How a server stops: gracefully, quickly, and with an ear for everything that is said meanwhile."""

import os
import signal
import time

import pytest
from live.server import alive, read_response, wait_until

SLOW = """
import os, time


def app(environ, start_response):
    seconds = float(environ["QUERY_STRING"] or 0)
    if seconds:
        os.write(2, b"napping\\n")
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.05)
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
"""

WHOSE = """
import threading, time


def app(environ, start_response):
    time.sleep(0.1)  # long enough for another thread to lead meanwhile
    body = b"main" if threading.current_thread() is threading.main_thread() else b"other"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def ask(server, target):
    connection = server.connect()
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    return connection


@pytest.mark.parametrize(
    ("signum", "name"),
    [(signal.SIGTERM, "term"), (signal.SIGINT, "int"), (signal.SIGQUIT, "quit")],
    ids=["TERM", "INT", "QUIT"],
)
def test_each_stop_says_so_exits_0_and_leaves_nothing(server, signum, name):
    path = server.directory / "s"
    server.start("hello:app", "-w", "2", "-b", "127.0.0.1:0", "-b", f"unix:{path}", "-p", "pid")
    workers = server.workers
    assert server.stop(signum) == 0
    assert server.count(f"Handling signal: {name}$") == 1
    assert server.count("Shutting down: Master$") == 1
    assert server.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0
    assert not any(map(alive, workers))
    assert sorted(entry.name for entry in server.directory.iterdir() if entry.name != "__pycache__") == [
        "hello.py", "server.log",
    ]  # fmt: skip


def test_a_graceful_stop_finishes_what_has_begun(make_server):
    server = make_server(slow=SLOW).start("slow:app")
    with ask(server, "/?1") as connection:
        server.wait_for("napping")
        server.signal(signal.SIGTERM)
        assert read_response(connection) == (200, b"done")
    assert server.wait() == 0


def test_a_graceful_stop_has_its_limit_and_says_what_it_killed(make_server):
    server = make_server(slow=SLOW).start("slow:app", "--graceful-timeout", "0.5")
    with ask(server, "/?60"):
        server.wait_for("napping")
        started = time.monotonic()
        assert server.stop() == 0
    assert time.monotonic() - started < 10
    server.wait_for(r"was sent SIGKILL! By the arbiter: it had not finished within graceful_timeout")


def test_a_quick_stop_does_not_wait_for_a_request(make_server):
    server = make_server(slow=SLOW).start("slow:app")
    with ask(server, "/?60"):
        server.wait_for("napping")
        started = time.monotonic()
        assert server.stop(signal.SIGINT) == 0
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT], ids=["INT", "QUIT"])
@pytest.mark.parametrize("leader", ["main", "other"])
def test_a_quick_stop_is_heard_by_whichever_thread_leads(make_server, signum, leader):
    server = make_server(whose=WHOSE).start("whose:app", "--threads", "2")
    # Of two threads the one that doesn't lead is the one that has answered last.
    answered = {"main": b"other", "other": b"main"}[leader]
    assert any(server.get()[1] == answered for _ in range(10))
    assert server.stop(signum) == 0
    assert server.count("SIGKILL") == 0
    assert server.count(r"Worker exiting \(pid: \d+\)") == 1


def test_every_command_is_heard_during_a_graceful_stop(make_server):
    server = make_server(slow=SLOW).start("slow:app")
    with ask(server, "/?60"):
        server.wait_for("napping")
        for signum in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGTTIN, signal.SIGUSR2):
            server.signal(signum)
            server.wait_for(f"Handling signal: {signum.name[3:].lower()}$")
        assert server.process.poll() is None
        assert len(server.workers) == 1
        server.signal(signal.SIGQUIT)
        server.wait_for("Handling signal: quit")
        assert server.wait() == 0
    assert "Traceback" not in server.log


def test_a_worker_that_fails_to_boot_during_a_stop_is_no_failure_of_the_stop(make_server):
    late = "import sys, time\nprint('importing', flush=True)\ntime.sleep(0.5)\nraise RuntimeError('too late')\n"
    server = make_server(late=late).start("late:app", wait="importing")
    assert server.stop() == 0
    assert server.count("Shutting down: Master") == 1


def test_a_signal_to_the_whole_group_is_one_stop(server):
    server.start("hello:app", "-w", "2")
    os.killpg(server.pid, signal.SIGTERM)
    assert server.wait() == 0
    assert server.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


def test_a_port_is_free_for_a_successor_while_the_last_request_is_served(make_server):
    first = make_server(slow=SLOW).start("slow:app")
    with ask(first, "/?2") as connection:
        first.wait_for("napping")
        first.signal(signal.SIGTERM)
        second = make_server().start("hello:app", "-b", f"127.0.0.1:{first.port}")
        assert second.get()[0] == 200
        assert read_response(connection) == (200, b"done")
    assert first.wait() == 0
    wait_until(lambda: second.get()[0] == 200, "the successor")
