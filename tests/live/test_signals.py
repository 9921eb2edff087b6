"""What each signal does to the arbiter, to a worker, to both at once, and during a stop.

How requests fare at a stop and a reload is tested in test_arbiter_stop and test_arbiter_reload.
"""

import os
import signal
import time

import pytest
from live.server import alive, children_of, wait_until

SLOW = """
import os, time


def app(environ, start_response):
    if environ["PATH_INFO"] == "/nap":
        print("napping", flush=True)
        while True:
            time.sleep(0.05)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
BOOTING = """
import os, time

print("importing", flush=True)
while not os.path.exists("go"):
    time.sleep(0.01)


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
FOR_THE_ARBITER = [signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH]


def trouble(server):
    return server.count(r"\[(WARNING|ERROR|CRITICAL)\]|Traceback")


# the arbiter


@pytest.mark.parametrize(
    ("signum", "said", "workers", "stay"),
    [
        pytest.param(signal.SIGHUP, "Reload complete: generation 2", 2, 0, id="HUP: all are replaced"),
        pytest.param(signal.SIGTTIN, "Workers wanted: 3", 3, 2, id="TTIN: one more"),
        pytest.param(signal.SIGTTOU, "Workers wanted: 1", 1, 1, id="TTOU: one fewer"),
        pytest.param(signal.SIGUSR1, "Handling signal: usr1", 2, 2, id="USR1: logs are reopened"),
        pytest.param(signal.SIGWINCH, None, 2, 2, id="WINCH: nothing, without a daemon"),
        pytest.param(signal.SIGCHLD, None, 2, 2, id="CHLD: nobody has died"),
    ],
)
def test_the_arbiter_goes_on(server, signum, said, workers, stay):
    server.start("hello:app", "-w", "2")
    before = set(server.workers)
    server.signal(signum)
    if said:
        server.wait_for(said)
    # Signals are heard in order, so after this one was heard the other has been.
    server.signal(signal.SIGUSR1)
    server.wait_for("Handling signal: usr1")
    after = set(server.wait_for_workers(workers))
    assert len(before & after) == stay
    assert server.get()[0] == 200
    assert trouble(server) == 0
    assert server.stop() == 0


@pytest.mark.parametrize("comeback", [signal.SIGTTIN, signal.SIGHUP], ids=["by TTIN", "by HUP"])
def test_winch_parks_a_daemon_which_comes_back(server, comeback):
    server.start("hello:app", "-D", "-p", "pid", "--error-logfile", "error.log", wait=None)
    assert server.wait() == 0
    pid = int((server.directory / "pid").read_text())
    try:
        wait_until(lambda: children_of(pid), "a worker")
        os.kill(pid, signal.SIGWINCH)
        wait_until(lambda: not children_of(pid), "a parked daemon")
        assert alive(pid)
        os.kill(pid, comeback)
        wait_until(lambda: len(children_of(pid)) == 1, "a worker again")
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "the end of the daemon")
    assert "[ERROR]" not in (server.directory / "error.log").read_text()


def test_usr1_reopens_both_logs_in_all_processes(server):
    log, access = server.directory / "error.log", server.directory / "access.log"
    server.start("hello:app", "--error-logfile", str(log), "--access-logfile", str(access), wait=None)
    wait_until(lambda: log.exists() and "Ready:" in log.read_text(), "a server", process=server.process)
    for path in (log, access):
        path.rename(path.with_suffix(".1"))
    server.signal(signal.SIGUSR1)
    wait_until(lambda: log.exists() and access.exists(), "new files", process=server.process)
    [worker] = server.workers

    def written():
        files = [os.readlink(f"/proc/{worker}/fd/{name}") for name in os.listdir(f"/proc/{worker}/fd")]
        return str(log) in files and str(access) in files

    wait_until(written, "the worker's files", process=server.process)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "Shutting down: Master" in log.read_text()
    assert f"Worker exiting (pid: {worker})" in log.read_text()


# a worker


@pytest.mark.parametrize("signum", [*FOR_THE_ARBITER, signal.SIGUSR1, signal.SIGCHLD], ids=lambda each: each.name[3:])
def test_what_is_meant_for_the_arbiter_harms_no_worker(server, signum):
    server.start("hello:app")
    [pid] = server.workers
    os.kill(pid, signum)
    assert server.get() == (200, str(pid).encode())
    assert server.workers == [pid]
    assert trouble(server) == 0


@pytest.mark.parametrize(
    ("signum", "said", "silent"),
    [
        pytest.param(signal.SIGTERM, r"Worker exiting \(pid: \d+\)", True, id="TERM: it finishes and leaves"),
        pytest.param(signal.SIGINT, r"Worker exiting \(pid: \d+\)", True, id="INT: it leaves"),
        pytest.param(signal.SIGQUIT, r"Worker exiting \(pid: \d+\)", True, id="QUIT: it leaves"),
        pytest.param(signal.SIGABRT, r"\[ERROR\] Worker \(pid:\d+\) exited with code 1", False, id="ABRT: code 1"),
        pytest.param(signal.SIGKILL, r"\[ERROR\] Worker \(pid:\d+\) was sent SIGKILL! Not by", False, id="KILL: said"),
    ],
)
def test_a_worker_that_is_sent_away_is_replaced(server, signum, said, silent):
    server.start("hello:app")
    [pid] = server.workers
    os.kill(pid, signum)
    server.wait_for(said)
    wait_until(lambda: server.workers and pid not in server.workers, "another worker", process=server.process)
    assert server.get()[0] == 200
    assert server.count(r"\[ERROR\]") == 0 or not silent


def test_a_worker_that_boots_is_harmed_as_little(make_server):
    server = make_server(booting=BOOTING).start("booting:app", wait="importing")
    [pid] = server.workers
    for signum in (*FOR_THE_ARBITER, signal.SIGUSR1):
        os.kill(pid, signum)
    server.write("go", "")
    server.wait_for("Ready:")
    assert server.workers == [pid]
    assert trouble(server) == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda each: each.name[3:])
def test_a_stop_does_not_wait_for_an_import(make_server, signum):
    hooks = "def worker_int(worker): print('worker_int')\ndef worker_exit(server, worker): print('worker_exit')\n"
    server = make_server(booting=BOOTING)
    server.write("gunicorn.conf.py", hooks)
    server.start("booting:app", "-w", "2", wait="importing")
    begun = time.monotonic()
    assert server.stop(signum) == 0
    assert time.monotonic() - begun < 1.9  # less than anybody is waited for
    assert server.count(r"Worker exiting \(pid: \d+\)") == 1
    assert server.count("^worker_int$") == (signum is not signal.SIGTERM)
    assert server.count("^worker_exit$") == 1
    assert trouble(server) == 0


def test_a_worker_that_is_sent_away_while_it_imports_is_replaced(make_server):
    server = make_server(booting=BOOTING).start("booting:app", wait="importing")
    [pid] = server.workers
    os.kill(pid, signal.SIGTERM)
    server.wait_for("importing")
    server.write("go", "")
    server.wait_for("Ready:")
    assert server.workers != [pid]


def test_a_module_that_catches_everything_is_heard_out(make_server):
    stubborn = "try:\n    from booting import app\nexcept BaseException:\n    from hello import app\n"
    server = make_server(booting=BOOTING, stubborn=stubborn).start("stubborn:app", wait="importing")
    assert server.stop() == 0
    assert trouble(server) == 0


# both at once


@pytest.mark.parametrize(
    ("signum", "workers"),
    [
        pytest.param(signal.SIGHUP, 2, id="HUP"),
        pytest.param(signal.SIGUSR1, 2, id="USR1"),
        pytest.param(signal.SIGTTIN, 3, id="TTIN"),
        pytest.param(signal.SIGTTOU, 1, id="TTOU"),
        pytest.param(signal.SIGWINCH, 2, id="WINCH"),
    ],
)
def test_a_signal_to_the_whole_group_harms_nobody(server, signum, workers):
    server.start("hello:app", "-w", "2")
    os.killpg(server.pid, signum)
    if signum is signal.SIGHUP:
        server.wait_for("Reload complete")
    server.wait_for_workers(workers)
    assert server.get()[0] == 200
    assert trouble(server) == 0
    assert server.stop() == 0


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM], ids=lambda each: each.name[3:])
def test_a_stop_of_the_whole_group_is_one_stop(server, signum):
    """As Ctrl-C in a terminal is."""
    server.start("hello:app", "-w", "2", "-p", "pid")
    os.killpg(server.pid, signum)
    assert server.wait() == 0
    assert trouble(server) == 0
    assert not (server.directory / "pid").exists()


# during a stop


@pytest.mark.parametrize(
    ("first", "second", "quick"),
    [
        pytest.param(signal.SIGTERM, signal.SIGTERM, False, id="TERM TERM: still graceful"),
        pytest.param(signal.SIGTERM, signal.SIGINT, True, id="TERM INT: quick"),
        pytest.param(signal.SIGTERM, signal.SIGQUIT, True, id="TERM QUIT: quick"),
        pytest.param(signal.SIGINT, signal.SIGINT, True, id="INT INT: quick"),
        pytest.param(signal.SIGINT, signal.SIGTERM, True, id="INT TERM: no longer graceful"),
    ],
)
def test_a_second_stop(make_server, first, second, quick):
    server = make_server(slow=SLOW).start("slow:app", "--graceful-timeout", "4", "-p", "pid")
    with server.connect() as connection:
        connection.sendall(b"GET /nap HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for("napping")
        begun = time.monotonic()
        for signum in (first, second):
            server.signal(signum)
            server.wait_for(f"Handling signal: {signum.name[3:].lower()}")
        assert server.wait() == 0
        assert (time.monotonic() - begun < 3.5) is quick
    assert server.count("Shutting down: Master") == 1
    assert not (server.directory / "pid").exists()
