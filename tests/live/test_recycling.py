"""Workers that have served for long enough: another one is ready before they are told to leave."""

import os
import signal

import pytest
from live.customers import failures
from live.server import wait_until

PROCESS = """
import os, time
from pathlib import Path

BOOT = Path("boot")
while not BOOT.exists():
    time.sleep(0.01)
HOARD = []


def app(environ, start_response):
    if environ["PATH_INFO"] == "/grow":
        HOARD.append(b"x" * (64 << 20))
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
LEAVES = """
from corral import Worker


class Counting(Worker):
    def run(self):
        self.notify()
        while self.alive and self.nr < 3:
            self.nr += 1
            self.notify()
"""


@pytest.fixture
def server(make_server):
    server = make_server(process=PROCESS)
    server.write("boot", "")
    return server


def test_max_requests_loses_no_request_and_no_capacity(server, customers):
    server.start("process:app", "-w", "2", "--max-requests", "50", "--max-requests-jitter", "10")
    first = server.workers
    asking = customers(server)
    for _ in range(4):
        server.wait_for("Autorestarting worker after current request")
    wait_until(lambda: not set(first) & set(server.workers), "another generation of pids", process=server.process)
    assert failures(asking) == []
    assert server.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


def test_until_its_heir_is_ready_a_worker_goes_on(server):
    server.start("process:app", "--max-requests", "3")
    [pid] = server.workers
    (server.directory / "boot").unlink()
    for _ in range(3):
        assert server.get() == (200, str(pid).encode())
    server.wait_for("Autorestarting")
    heir = next(worker for worker in server.wait_for_workers(2) if worker != pid)
    for _ in range(5):
        assert server.get() == (200, str(pid).encode())
    server.write("boot", "")
    wait_until(lambda: server.workers == [heir], "the end of the old worker", process=server.process)
    assert server.get() == (200, str(heir).encode())
    assert server.count("Autorestarting") == 1


def test_an_heir_that_cannot_boot_leaves_everything_as_it_was(server):
    server.start("process:app", "--max-requests", "1")
    [pid] = server.workers
    server.write("process.py", "raise RuntimeError('broken since')\n")
    assert server.get() == (200, str(pid).encode())
    server.wait_for("Failed boots in a row: 1; next try in 1 s")
    assert server.get() == (200, str(pid).encode())
    server.write("process.py", PROCESS)
    wait_until(lambda: server.workers and pid not in server.workers, "an heir", process=server.process)


def test_one_at_a_time(server):
    server.start("process:app", "-w", "3", "--max-worker-lifetime", "0.4")
    first = set(server.workers)
    most = []

    def replaced():
        most.append(len(server.workers))
        return not first & set(server.workers)

    wait_until(replaced, "new workers", process=server.process)
    assert max(most) <= 5  # three, an heir, and one that leaves
    assert server.count("Reload") == 0


def test_an_idle_server_replaces_its_old_workers(server):
    server.start("process:app", "--max-worker-lifetime", "0.3")
    [pid] = server.workers
    wait_until(lambda: server.workers and pid not in server.workers, "an heir", process=server.process)
    assert server.stop() == 0


def test_a_worker_that_has_grown_is_replaced(server, customers):
    server.start("process:app", "-w", "2", "--max-worker-memory", "48M", "--keep-alive", "0")
    first = server.workers
    grown = int(server.get("/grow")[1])
    asking = customers(server, 2)
    server.wait_for(r"Worker grown to \d+ MiB \(max_worker_memory\), to be replaced")
    wait_until(lambda: grown not in server.workers, "the end of the one that has grown", process=server.process)
    assert failures(asking) == []
    assert set(first) - {grown} <= set(server.workers)


def test_a_worker_class_of_ones_own_leaves_by_itself(make_server):
    server = make_server(leaves=LEAVES)
    server.start("hello:app", "-k", "leaves.Counting", "--pythonpath", ".", wait="Booting worker")
    server.wait_for("Worker exiting")
    server.wait_for("Booting worker")
    os.kill(server.pid, signal.SIGTERM)
    server.wait()
