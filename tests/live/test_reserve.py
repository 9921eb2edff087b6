"""The last free worker and requests that compute: it is kept for others while all processors are at work."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from live.server import wait_until
from live.wire import Wire

pytestmark = pytest.mark.alone

WORKERS = 3
COMPUTES = """
import os, time

notes = os.open("notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def note(what):
    os.write(notes, f"{what}\\n".encode())


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path != "/":
        note(f"begin {path}")
        if path == "/sleep":
            time.sleep(0.3)
            while not os.path.exists("go"):
                time.sleep(0.01)
        elif path != "/uneven" or os.path.exists("long"):
            until = time.thread_time() + 0.2
            while time.thread_time() < until or not os.path.exists("go"):
                pass
        note(f"end {path}")
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture
def server(make_server):
    """On one processor, whatever the machine has."""
    server = make_server(computes=COMPUTES)
    server.command = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0))), *server.command]
    return server.start("computes:app", "--workers", str(WORKERS), "--log-level", "info")


def notes(server):
    return (server.directory / "notes").read_text().split("\n")


def begun(server, path, number):
    wait_until(lambda: notes(server).count(f"begin {path}") == number, f"{number} calls of {path}")


def ask(server, path):
    with Wire(server) as wire:
        return wire.get(path).body


def begin(server, pool, path, *, asked=WORKERS, running):
    """So many ask for what computes until it may end; wait until so many of them are served."""
    asking = [pool.submit(ask, server, path) for _ in range(asked)]
    begun(server, path, running)
    return asking


def finish(server, asking):
    """Let all of it end, and have all answers."""
    (server.directory / "go").touch()
    assert [asked.result() for asked in asking] == [b"ok"] * len(asking)


def teach(server, pool, path):
    """Have each worker answer it once: nothing is known of it, so that it takes the last one as well."""
    (server.directory / "notes").write_text("")
    (server.directory / "long").touch()
    asking = begin(server, pool, path, running=WORKERS)
    finish(server, asking)
    (server.directory / "go").unlink()
    (server.directory / "notes").write_text("")


@pytest.fixture
def pool():
    with ThreadPoolExecutor() as pool:
        yield pool


def test_the_last_free_worker_is_for_others_while_all_processors_are_at_work(server, pool):
    teach(server, pool, "/compute")
    asking = begin(server, pool, "/compute", running=WORKERS - 1)
    for _ in range(20):
        assert ask(server, "/") == b"ok"
    assert notes(server).count("begin /compute") == WORKERS - 1
    finish(server, asking)
    server.wait_for(r"GET /compute HTTP/1.1 computes for [\d.]+ s: while the processors are busy")


def test_it_is_held_for_a_few_times_its_own_length_at_most(server, pool):
    teach(server, pool, "/compute")
    asking = begin(server, pool, "/compute", running=WORKERS)  # though none of them ends
    finish(server, asking)


@pytest.mark.parametrize("path", ["/sleep", "/uneven"])
def test_one_that_sleeps_or_that_may_be_short_takes_the_last_worker_at_once(server, pool, path):
    teach(server, pool, path)
    (server.directory / "long").unlink()
    for _ in range(20 * WORKERS):
        if path == "/uneven":
            assert ask(server, path) == b"ok"
    (server.directory / "notes").write_text("")
    (server.directory / "long").touch()
    asking = begin(server, pool, path, running=WORKERS)
    finish(server, asking)
    assert server.count("computes for") == 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP], ids=["TERM", "HUP"])
def test_who_is_held_is_answered_by_a_server_that_is_told_to_leave(server, pool, how):
    teach(server, pool, "/compute")
    asking = begin(server, pool, "/compute", running=WORKERS - 1)
    server.wait_for("computes for")
    server.signal(how)
    server.wait_for(f"Handling signal: {how.name[3:].lower()}")
    finish(server, asking)


def test_nobody_computes_for_a_client_that_has_left_while_it_was_held(server, pool):
    teach(server, pool, "/compute")
    asking = begin(server, pool, "/compute", asked=WORKERS - 1, running=WORKERS - 1)
    with Wire(server) as leaving:
        leaving.send(b"GET /compute HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for("computes for")
    finish(server, asking)
    assert ask(server, "/") == b"ok"
    server.stop()
    assert notes(server).count("begin /compute") == WORKERS - 1
    assert "Traceback" not in server.log
