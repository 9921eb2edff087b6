"""kill -9 of the arbiter: its workers finish what they run and end, and a new server finds nothing in its way."""

import contextlib
import os
import signal
import time

import pytest
from live.server import alive, children_of, read_response, wait_until

PACES = """
import threading, time


def app(environ, start_response):
    match environ["PATH_INFO"]:
        case "/slow":
            time.sleep(1)
        case "/sleep":
            time.sleep(600)
        case "/lock":
            lock = threading.Lock()
            lock.acquire()
            lock.acquire()
        case "/spin":
            while True:
                pass
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]
"""
# From the one call to the other Python looks for no signal: what comes meanwhile is noted, and the lock is waited for.
DEAF = """
import functools, operator, os, threading


def fall_asleep():
    lock = threading.Lock()
    lock.acquire()
    os.write(2, b"counting\\n")
    list(map(operator.call, (functools.partial(sum, range(50_000_000)), lock.acquire)))


def app(environ, start_response):
    fall_asleep()


async def async_app(scope, receive, send):
    assert scope["type"] == "http"
    fall_asleep()
"""
HANG = "import threading\nthreading.Event().wait()\n"


@pytest.fixture
def orphans():
    """Whatever a test leaves behind."""
    pids = []
    yield pids
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def ask(server, path):
    connection = server.connect()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    return connection


def kill_arbiter(server, orphans):
    orphans += children_of(server.pid)
    server.process.kill()
    server.process.wait()
    return list(orphans)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="sync"),
        pytest.param(("--preload",), id="preload_app"),
        pytest.param(("--threads", "2"), id="threads"),
    ],
)
def test_workers_finish_what_they_run_and_a_new_server_binds_at_once(make_server, orphans, arguments):
    server = make_server(paces=PACES)
    arguments = ("paces:app", "-w", "2", "-p", "pid", "-b", f"unix:{server.directory}/s", *arguments)
    server.start(*arguments, "-b", "127.0.0.1:0")
    port = server.port
    with ask(server, "/slow") as connection:
        wait_until(lambda: busy(server), "a busy worker")
        left = kill_arbiter(server, orphans)
        server.start(*arguments, "-b", f"127.0.0.1:{port}")
        assert server.get("/") == (200, b"done")
        assert read_response(connection) == (200, b"done")
    wait_until(lambda: not any(map(alive, left)), "the end of every process of the old server")
    assert server.count("trying again") == 0
    assert server.stop() == 0


def busy(server):
    """One of its workers sleeps in the application: it isn't in epoll_wait."""
    return any(
        "epoll" not in open_text(f"/proc/{pid}/wchan")
        and open_text(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] == "S"
        for pid in server.workers
    )


def open_text(path):
    with contextlib.suppress(OSError), open(path) as file:
        return file.read()
    return ") Z"


@pytest.mark.parametrize("path", ["/sleep", "/lock", "/spin"])
def test_a_worker_that_hangs_ends_at_graceful_timeout(make_server, orphans, path):
    server = make_server(paces=PACES).start("paces:app", "-w", "2", "--graceful-timeout", "1")
    with ask(server, path):
        wait_until(lambda: busy(server) or path == "/spin", "a busy worker")
        left = kill_arbiter(server, orphans)
        started = time.monotonic()
        wait_until(lambda: not any(map(alive, left)), "the end of the workers")
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("deaf:app", "-w", "2"), id="sync"),
        pytest.param(("deaf:app", "--threads", "2"), id="threads"),
        pytest.param(("deaf:async_app",), id="asgi"),
    ],
)
def test_a_worker_that_missed_the_signal_is_reminded(make_server, orphans, arguments):
    server = make_server(deaf=DEAF).start(*arguments, "--graceful-timeout", "0.5")
    with ask(server, "/"):
        server.wait_for("counting")
        left = kill_arbiter(server, orphans)
        wait_until(lambda: not any(map(alive, left)), "the end of the workers")


def test_a_mold_that_is_loading_ends_at_once(make_server, orphans):
    server = make_server(hang=HANG).start("hang:app", "--preload", wait="Loading the application in a mold")
    wait_until(lambda: children_of(server.pid), "a mold")
    left = kill_arbiter(server, orphans)
    wait_until(lambda: not any(map(alive, left)), "the end of the mold")
