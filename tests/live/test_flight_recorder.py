"""What the log says of a request that takes too long: which one, for how long, where it is, and what it does there."""

import os
import re
import signal
from pathlib import Path

import pytest
from live.server import wait_until

from corral.shared.process import cpu_time

pytestmark = pytest.mark.alone

STUCK = """
import os, re, threading, time


def spin():
    while True:
        pass


def nap():
    os.write(2, b"napping\\n")
    time.sleep(60)


def hold_the_gil():
    return re.match(r"(a+)+$", "a" * 64 + "b")


def lock_twice():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def elsewhere():
    threading.Thread(target=spin_a_little, daemon=True).start()
    time.sleep(60)


def spin_a_little():
    threading.Event().wait(60)


def crash():
    import ctypes
    ctypes.string_at(0)


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    name = environ["PATH_INFO"].strip("/").replace("-", "_")
    if name:
        globals()[name]()
    return [b"ok"]
"""
LINES = STUCK.splitlines()
SIGN = """
import time
from corral import Worker


class Silent(Worker):
    def run(self):
        self.notify()
        while self.alive:
            self.doze()

    def doze(self):
        time.sleep(1000)


class Often(Worker):
    def run(self):
        while self.alive:
            self.notify()
            time.sleep(0.01)


class Late(Worker):
    def run(self):
        while self.alive:
            self.notify()
            time.sleep(self.timeout)
"""


def line_of(text):
    return next(number for number, line in enumerate(LINES, 1) if text in line)


@pytest.fixture
def server(make_server):
    return make_server(stuck=STUCK)


def ask(server, path):
    connection = server.connect()
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
    return connection


@pytest.mark.parametrize(
    ("path", "function", "pace"),
    [
        pytest.param("/spin", "spin", "spinning", id="Python that goes round"),
        pytest.param("/nap", "nap", "waiting", id="time.sleep"),
        pytest.param("/hold-the-gil", "hold_the_gil", "spinning", id="C that holds the GIL"),
        pytest.param("/lock-twice", "lock_twice", "waiting", id="a lock that never opens"),
    ],
)
def test_a_request_that_hangs_is_explained_twice_and_its_worker_replaced(server, path, function, pace):
    first = line_of(f"def {function}") + 1
    server.start("stuck:app", "--timeout", "1")
    [pid] = server.workers
    with ask(server, f"{path}?a=1"):
        slow = server.wait_for(
            rf"\[WARNING\] Slow request for (\d\.\d) s \(pid:{pid}\): GET {path}\?a=1 HTTP/1\.1, "
            rf"at {server.directory}/stuck\.py:(\d+) in {function}$"
        )
        assert 0.5 <= float(slow[1]) < 1.5
        assert first <= int(slow[2]) <= first + 2
        server.wait_for(rf'^    File ".*stuck\.py", line \d+ in {function}$')
        server.wait_for(rf"\[CRITICAL\] WORKER TIMEOUT \(pid:{pid}\)$")
        hung = server.wait_for(
            rf"\[ERROR\] Request in flight for (\d\.\d) s \(pid:{pid}\): GET {path}\?a=1 HTTP/1\.1, "
            rf"at {server.directory}/stuck\.py:(\d+) in {function}, {pace}: \d\.\d\d s of CPU in \d\.\d\d s"
        )
        assert 1.0 <= float(hung[1]) < 2.0
        server.wait_for(rf"Worker \(pid:{pid}\) was sent SIG(ABRT by|KILL! By) the arbiter: it was on one request for")
        wait_until(lambda: server.workers and pid not in server.workers, "another worker")
    assert server.get() == (200, b"ok")
    assert server.count(rf'^    File ".*stuck\.py", line \d+ in {function}$') == 2, "each stack is shown once"
    assert server.count("Traceback") == 0


def test_all_threads_are_shown_at_the_time_out_and_one_before(server):
    server.start("stuck:app", "--timeout", "1")
    with ask(server, "/elsewhere"):
        server.wait_for("Slow request .* in elsewhere$")
        server.wait_for("WORKER TIMEOUT")
        assert "in spin_a_little" not in server.log[: server.seen]
        server.wait_for("Request in flight .* in elsewhere, waiting")
        server.wait_for(r"^  Thread 0x\w+ \(most recent call first\):$")
        server.wait_for("in spin_a_little$")


def test_each_thread_s_request_is_seen_with_its_own_stack(server):
    server.start("stuck:app", "--timeout", "1", "--threads", "3")
    [pid] = server.workers
    with ask(server, "/lock-twice"):
        server.wait_for(rf"Slow request for \d\.\d s \(pid:{pid}\): GET /lock-twice HTTP/1\.1, at .* in lock_twice$")
        with ask(server, "/nap?2"):
            server.wait_for("^napping$")
            assert server.get() == (200, b"ok")
            server.wait_for("Request in flight for .* GET /lock-twice HTTP/1.1, at .* in lock_twice, waiting")
            server.wait_for(r"Request in flight for \d\.\d s .*: GET /nap\?2 HTTP/1\.1$")
            server.wait_for("it was on one request for longer than timeout")
    assert server.get() == (200, b"ok")


def test_a_request_that_is_slow_and_finishes_is_said_once_and_harms_nobody(make_server):
    server = make_server(patient="import time\nfrom hello import app as inner\n\n\ndef app(*request):\n"
                         "    time.sleep(0.8)\n    return inner(*request)\n")  # fmt: skip
    server.start("patient:app", "--timeout", "1.2")
    [pid] = server.workers
    for _ in range(2):
        assert server.get() == (200, str(pid).encode())
    assert server.count("Slow request") == 2
    assert server.count("TIMEOUT") == 0


def test_somebodys_abort_shows_a_traceback_of_the_workers_own(server):
    server.start("stuck:app")
    [pid] = server.workers
    with ask(server, "/nap"):
        server.wait_for("^napping$")
        os.kill(pid, signal.SIGABRT)
        server.wait_for("Error handling request GET /nap$")
        server.wait_for(r'^  File ".*stuck\.py", line \d+, in nap$')
        wait_until(lambda: server.workers and pid not in server.workers, "another worker")


def test_a_preloaded_application_is_seen_as_well(server):
    server.start("stuck:app", "--timeout", "1", "--preload", "-w", "2")
    with ask(server, "/nap"):
        server.wait_for(r"Slow request for \d\.\d s .* in nap$")
        server.wait_for(r"Request in flight for \d\.\d s .* in nap, waiting")
        server.wait_for("was sent SIG(ABRT by|KILL! By) the arbiter: it was on one request for longer than timeout")
    assert server.get() == (200, b"ok")


def test_a_crash_in_native_code_shows_where_python_was(server):
    server.start("stuck:app")
    [pid] = server.workers
    with ask(server, "/crash"):
        server.wait_for(
            rf"Worker \(pid:{pid}\) was sent SIGSEGV! It crashed in native code; its memory peaked at \d+ MiB; "
            rf"in flight for \d\.\d s: GET /crash HTTP/1\.1, at {server.directory}/stuck\.py:\d+ in crash$"
        )
        server.wait_for(r'^    File ".*ctypes/__init__\.py", line \d+ in string_at$')
    assert server.get() == (200, b"ok")


def test_a_boot_that_hangs_is_shown(make_server):
    server = make_server(sleepy="import time\n\n\ndef connect():\n    time.sleep(60)\n\n\nconnect()\n")
    server.start(
        "sleepy:app", "--boot-timeout", "0.5",
        wait=r"not ready after \d\.\d s \(boot_timeout\), at .*/sleepy\.py:5 in connect, waiting: \d\.\d\d s of CPU in",
    )  # fmt: skip
    server.wait_for(r'^    File ".*sleepy\.py", line 8 in <module>$')
    server.wait_for("was sent SIGABRT by the arbiter: it was not ready within boot_timeout")


def test_what_outlasts_graceful_timeout_is_named(server):
    server.start("stuck:app", "--graceful-timeout", "0.5")
    [pid] = server.workers
    with ask(server, "/nap?b=2"):
        server.wait_for("^napping$")
        assert server.stop() == 0
    server.wait_for(rf"\[ERROR\] Request in flight for \d\.\d s \(pid:{pid}\): GET /nap\?b=2 HTTP/1\.1$")
    server.wait_for(rf"\[ERROR\] Worker \(pid:{pid}\) can't leave, at .*stuck\.py:\d+ in nap$")
    server.wait_for("was sent SIGKILL! By the arbiter: it had not finished within graceful_timeout")


def test_a_worker_class_of_ones_own_that_gives_no_sign_is_explained(make_server):
    server = make_server(sign=SIGN)
    server.start("hello:app", "-k", "sign.Silent", "--timeout", "1", "--pythonpath", ".")
    [pid] = server.workers
    server.wait_for(rf"\[WARNING\] No sign of life for \d\.\d s \(pid:{pid}\), at .*sign\.py:\d+ in doze$")
    server.wait_for(rf"\[ERROR\] No sign of life for \d\.\d s \(pid:{pid}\), at .*sign\.py:\d+ in doze, waiting")


def switches(pid):
    """How often a process has slept."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[1])


def test_signs_of_life_that_come_when_they_are_due_are_enough(make_server):
    server = make_server(sign=SIGN)
    server.start("hello:app", "-k", "sign.Late", "--timeout", "0.6", "--pythonpath", ".")
    [pid] = server.workers
    before = switches(pid)
    wait_until(lambda: switches(pid) >= before + 6, "six signs", process=server.process)
    assert server.count("No sign of life") == 0
    assert server.workers == [pid]


def test_signs_of_life_wake_nobody(make_server):
    server = make_server(sign=SIGN)
    server.start("hello:app", "-k", "sign.Often", "--timeout", "2", "--pythonpath", ".")
    [pid] = server.workers
    signs, sleeps = switches(pid), switches(server.pid)
    wait_until(lambda: switches(pid) >= signs + 300, "three hundred signs", process=server.process)
    assert switches(server.pid) - sleeps <= 10
    assert cpu_time(server.pid) < 1.5e9
