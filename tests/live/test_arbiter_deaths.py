"""What kills workers, and what the log says about it: always the true cause, and always somebody serves again."""

import os
import signal
import time
from pathlib import Path

import pytest
from live.server import wait_until

HANG = """
import os, signal, time


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/hang":
        while True:
            time.sleep(1)
    if path == "/deaf":
        signal.signal(signal.SIGABRT, signal.SIG_IGN)
        while True:
            time.sleep(1)
    if path == "/crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path == "/exit":
        os._exit(7)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture
def server(make_server):
    return make_server(hang=HANG)


def provoke(server, path):
    connection = server.connect()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return connection


def test_a_hung_request_is_named_and_its_worker_replaced(server):
    server.start("hang:app", "--timeout", "0.5")
    [pid] = server.workers
    with provoke(server, "/hang?token=1"):
        server.wait_for(rf"\[CRITICAL\] WORKER TIMEOUT \(pid:{pid}\)$")
        match = server.wait_for(rf"Request in flight for (\d\.\d) s \(pid:{pid}\): GET /hang\?token=1 HTTP/1\.1, at ")
        assert 0.5 <= float(match[1]) < 5
        server.wait_for(rf"Worker \(pid:{pid}\) was sent SIGABRT by the arbiter: it was on one request for longer")
        wait_until(lambda: server.workers and pid not in server.workers, "another worker")
    assert server.get() == (200, b"ok")


def test_who_ignores_the_abort_is_killed_and_the_log_says_by_whom(server):
    server.start("hang:app", "--timeout", "0.5")
    [pid] = server.workers
    with provoke(server, "/deaf"):
        server.wait_for("WORKER TIMEOUT")
        server.wait_for(rf"Worker \(pid:{pid}\) was sent SIGKILL! By the arbiter: it was on one request for longer")
    assert server.get() == (200, b"ok")


def test_an_idle_worker_is_not_timed_out(server):
    server.start("hang:app", "--timeout", "0.3")
    before = server.workers
    for requests in (0, 1, 1, 2):
        for _ in range(requests):
            assert server.get() == (200, b"ok")
        time.sleep(0.5)  # longer than `timeout`, with nothing in flight
    assert server.workers == before
    assert server.count("TIMEOUT") == 0


def test_a_request_that_hangs_while_the_arbiter_is_fast_asleep_is_noticed(server):
    server.start("hang:app", "--timeout", "1", "-w", "2")
    stat = Path(f"/proc/{server.pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "S", "an arbiter that sleeps")
    with provoke(server, "/hang"):
        server.wait_for("WORKER TIMEOUT")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param(
            "/crash",
            r"\[WARNING\] Worker \(pid:\d+\) was sent SIGSEGV! It crashed in native code; its memory",
            id="a crash",
        ),
        pytest.param(
            "/exit",
            r"\[ERROR\] Worker \(pid:\d+\) exited with code 7; in flight for 0\.\d s: GET /exit",
            id="an exit code",
        ),
    ],
)
def test_a_worker_that_dies_by_itself_is_replaced(server, path, line):
    server.start("hang:app")
    with provoke(server, path):
        server.wait_for(line)
    assert server.get() == (200, b"ok")


@pytest.mark.parametrize(
    ("signum", "line"),
    [
        pytest.param(signal.SIGKILL, r"was sent SIGKILL! Not by the arbiter, and the cgroup counts no", id="KILL"),
        pytest.param(signal.SIGUSR2, None, id="USR2 is not for workers"),
    ],
)
def test_somebody_elses_signal(server, signum, line):
    server.start("hang:app")
    [pid] = server.workers
    os.kill(pid, signum)
    if line:
        server.wait_for(rf"Worker \(pid:{pid}\) {line}")
        wait_until(lambda: server.workers and pid not in server.workers, "another worker")
    assert server.get() == (200, b"ok")


def test_somebody_elses_term_is_a_worker_that_drains_and_is_replaced(server):
    server.start("hang:app")
    [pid] = server.workers
    os.kill(pid, signal.SIGTERM)
    server.wait_for(rf"Worker exiting \(pid: {pid}\)")
    wait_until(lambda: server.workers and pid not in server.workers, "another worker")
    assert server.get() == (200, b"ok")
    assert server.count(r"\[ERROR\]") == 0


def test_a_boot_that_takes_too_long_is_ended_and_tried_again(make_server):
    server = make_server(sleepy="import time\ntime.sleep(60)\n")
    server.start("sleepy:app", "--boot-timeout", "0.5", wait=r"is not ready after \d\.\d s \(boot_timeout\)")
    server.wait_for("was sent SIGABRT by the arbiter: it was not ready within boot_timeout")
    server.write("sleepy.py", "from hello import app\n")
    server.wait_for("Ready:")
    assert server.get()[0] == 200
    assert server.stop() == 0


def test_a_crash_loop_backs_off_and_ends_when_the_cause_is_gone(make_server):
    server = make_server(crash="import os\nos.abort()\n")
    server.start("crash:app", "-w", "4", wait="Failed boots in a row: 1; next try in 1 s")
    server.wait_for("Failed boots in a row: 2; next try in 2 s")
    assert server.count("Booting worker") == 2
    server.write("crash.py", "from hello import app\n")
    server.wait_for("Ready: .* 4 workers")


def test_a_reload_ends_a_crash_loop_at_once(make_server):
    server = make_server(crash="import os\nos.abort()\n")
    server.start("crash:app", "-w", "2", wait="Failed boots in a row: 1")
    server.write("crash.py", "from hello import app\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete: generation 2 is ready: .* 2 workers")
    assert server.count("Booting worker") == 3
    assert server.get()[0] == 200
    assert server.stop() == 0


def test_code_that_breaks_later_does_not_stop_what_serves(make_server):
    server = make_server(fragile="from hello import app\n")
    server.start("fragile:app", "-w", "2")
    victim, survivor = server.workers
    server.write("fragile.py", "raise RuntimeError('broken since')\n")
    os.kill(victim, signal.SIGKILL)
    server.wait_for("broken since")
    server.wait_for("Failed boots in a row: 1")
    assert server.get() == (200, str(survivor).encode())
    server.write("fragile.py", "from hello import app\n")
    server.wait_for_workers(2)
    assert server.stop() == 0


def test_a_stopped_and_continued_server_kills_nobody(server):
    server.start("hang:app", "--timeout", "1", "-w", "2")
    before = server.workers
    pids = [server.pid, *before]
    with provoke(server, "/") as connection:
        assert connection.recv(100)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(1.2)  # longer than `timeout`
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)
    assert server.get() == (200, b"ok")
    assert server.workers == before
    assert server.count("TIMEOUT") == 0
