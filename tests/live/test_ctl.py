"""`corral ctl` and the control socket: every question and command, from the command line, by curl and by strangers."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from live.server import PATIENCE, alive, children_of, wait_until

VERSION = """
import threading


def app(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        threading.Event().wait()
    start_response("200 OK", [("Content-Length", "1")])
    return [b"{}"]
"""
BROKEN = "raise RuntimeError('broken on purpose')\n"


@pytest.fixture
def server(make_server):
    return make_server(versioned=VERSION.format(1))


def ctl(server, *arguments, code=0):
    """What it prints: standard output, or the reason if it fails."""
    command = [sys.executable, "-m", "corral", "ctl", *arguments]
    done = subprocess.run(
        command, cwd=server.directory, env=server.env, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr
    return done.stderr if code else done.stdout


def start(server, *arguments):
    server.write("gunicorn.conf.py", "control_socket = 'ctl'\n")
    return server.start("versioned:app", *arguments)


def curl(server, path, *arguments):
    command = ["curl", "-s", "-w", "\n%{http_code}", "--unix-socket", str(server.directory / "ctl"), *arguments]
    done = subprocess.run([*command, f"http://localhost{path}"], capture_output=True, text=True, timeout=PATIENCE)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


def ask(connection):
    connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    return connection.recv(65536).split()[1]


def connections_of(server):
    return json.loads(ctl(server, "--json", "status"))["connections"]


def test_a_connection_counts_when_it_has_said_something(server):
    """That it was accepted before would show here."""
    start(server, "--defer-accept", "20", "--keep-alive", "30")
    with server.connect() as silent, server.connect() as client:
        assert ask(client) == b"200"
        assert connections_of(server) == 1
        assert ask(silent) == b"200"
        wait_until(lambda: connections_of(server) == 2, "both")


def test_without_defer_accept_the_silent_count_as_well(server):
    start(server, "--defer-accept", "0")
    with server.connect():
        wait_until(lambda: connections_of(server) == 1, "the silent one")


# where it is


def test_there_is_none_unless_it_is_named(server):
    server.start("versioned:app")
    assert not any(path.is_socket() for path in server.directory.iterdir())
    assert "name its control socket" in ctl(server, "status", code=1)


def test_it_is_the_owners_alone_unless_a_mode_says_otherwise_and_goes_with_the_server(server):
    start(server)
    path = server.directory / "ctl"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.write("gunicorn.conf.py", "control_socket = 'ctl'\ncontrol_socket_mode = 0o660\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    server.write("gunicorn.conf.py", "control_socket = 'other'\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete")
    assert not path.exists()
    assert "serving" in ctl(server, "status")
    assert server.stop() == 0
    assert not (server.directory / "other").exists()


def test_systemd_gives_a_directory(server):
    server.env["RUNTIME_DIRECTORY"] = str(server.directory)
    server.start("versioned:app")
    assert "serving" in ctl(server, "status")
    assert server.stop() == 0
    server.start("versioned:app", "--no-control-socket")
    assert not (server.directory / "corral.ctl").exists()


def test_one_that_cannot_be_made_is_said_at_the_start(server):
    server.start("versioned:app", "--control-socket", "/nowhere/ctl", wait=None)
    assert server.wait() == 1
    assert server.count("control_socket '/nowhere/ctl': No such file or directory") == 1


def test_another_servers_is_left_alone_and_a_dead_ones_is_replaced(make_server, server):
    start(server)
    path = str(server.directory / "ctl")
    second = make_server().start("hello:app", "--control-socket", path, wait=None)
    assert second.wait() == 1
    assert second.count(r"control_socket .*another process listens") == 1
    server.process.kill()
    server.process.wait()
    third = make_server().start("hello:app", "--control-socket", path)
    assert "hello:app: serving" in ctl(third, "-s", path, "status")


# questions


def test_status_and_workers(server):
    start(server, "-w", "2")
    for _ in range(3):
        assert server.get() == (200, b"1")
    wait_until(lambda: "requests     3, 0 errors" in ctl(server, "status"), "three requests")
    assert ctl(server, "status").startswith(f"versioned:app: serving, generation 1, pid {server.pid}\n")
    answer = json.loads(ctl(server, "--json", "status"))
    assert (answer["state"], answer["ready"], answer["workers"]) == (
        "serving",
        True,
        {"wanted": 2, "ready": 2, "alive": 2},
    )
    workers = json.loads(ctl(server, "--json", "workers"))["workers"]
    assert [worker["pid"] for worker in workers] == server.workers
    assert [worker["slot"] for worker in workers] == [0, 1]
    assert sum(worker["requests"] for worker in workers) == 3
    lines = ctl(server, "workers").splitlines()
    assert lines[0].split()[:4] == ["slot", "pid", "generation", "state"]
    assert len(lines) == 3


def test_trace_shows_what_a_hung_worker_is_at(server):
    start(server, "-w", "2")
    with server.connect() as connection:
        connection.sendall(b"GET /hang?a=1 HTTP/1.1\r\nHost: test\r\n\r\n")
        wait_until(lambda: "/hang?a=1" in ctl(server, "workers"), "a request in flight")
        told = ctl(server, "trace")
        assert told.count("worker in slot") == 2
        assert ": GET /hang?a=1 HTTP/1.1" in told
        assert "versioned.py" in told
        workers = json.loads(ctl(server, "--json", "workers"))["workers"]
        slot = next(str(worker["slot"]) for worker in workers if worker["in_flight"])
        assert ctl(server, "trace", slot).count("worker in slot") == 1
    assert "there is no worker in slot 7" in ctl(server, "trace", "7", code=1)


# commands


def test_a_reload_that_is_waited_for_says_how_it_went(server):
    start(server, "-w", "2")
    server.write("versioned.py", VERSION.format(2))
    assert "generation 2 is ready: versioned:app (WSGI) served by 2 workers" in ctl(server, "reload", "--wait")
    assert server.get() == (200, b"2")
    server.write("versioned.py", BROKEN)
    assert "generation 3 doesn't boot" in ctl(server, "reload", "--wait", code=1)
    server.write("gunicorn.conf.py", "workers = = 3\n")
    assert "SyntaxError" in ctl(server, "-s", "ctl", "reload", "--wait", code=1)
    assert server.get() == (200, b"2")


def test_a_reload_that_is_not_waited_for(server):
    start(server)
    ctl(server, "reload")
    server.wait_for("Reload complete: generation 2")


def test_scale(server):
    start(server)
    assert ctl(server, "scale", "3") == "3 workers wanted\n"
    server.wait_for_workers(3)
    ctl(server, "scale", "1")
    server.wait_for_workers(1)
    for wrong in ("-1", "100000"):
        assert "workers must be between" in ctl(server, "scale", wrong, code=1)


@pytest.mark.parametrize("arguments", [("stop",), ("stop", "--quick")], ids=["gracefully", "quickly"])
def test_stop(server, arguments):
    start(server)
    ctl(server, *arguments)
    assert server.wait() == 0
    assert not (server.directory / "ctl").exists()
    assert "no server answers" in ctl(server, "status", code=1)


def test_an_upgrade_that_is_waited_for_says_how_it_went(server):
    start(server)
    server.write("versioned.py", BROKEN)
    assert "exited with code 3, see the log" in ctl(server, "upgrade", "--wait", code=1)
    server.write("versioned.py", VERSION.format(2))
    told = ctl(server, "upgrade", "--wait")
    new = int(told.split("pid: ")[1].split(")")[0])
    try:
        assert server.wait() == 0
        answered = (server.directory / "ctl").exists
        wait_until(answered, "the new server's socket")
        assert f"pid {new}" in ctl(server, "status")
    finally:
        os.kill(new, signal.SIGTERM)
        wait_until(lambda: not alive(new), "the end of the new server")


def test_shutdown_delay_fails_readiness_first_and_goes_on_accepting(server):
    start(server, "--shutdown-delay", "60")
    assert curl(server, "/ready") == (200, {"ready": True, "state": "serving"})
    server.signal(signal.SIGTERM)
    server.wait_for(r"Accepting for 60 s more \(shutdown_delay\)")
    assert curl(server, "/ready") == (503, {"ready": False, "state": "leaving"})
    assert server.get() == (200, b"1")
    assert server.stop(signal.SIGINT) == 0


def test_shutdown_delay_ends(server):
    server.start("versioned:app", "--shutdown-delay", "0.3")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


# by curl and by strangers


def test_curl(server):
    start(server)
    status, answer = curl(server, "/status")
    assert (status, answer["pid"]) == (200, server.pid)
    assert curl(server, "/scale", "-d", '{"workers": 2}') == (200, {"ok": True, "workers": 2})
    server.wait_for_workers(2)
    status, answer = curl(server, "/reload?wait=1", "-X", "POST")
    assert (status, answer["ok"]) == (200, True)


@pytest.mark.parametrize(
    ("path", "arguments", "status"),
    [
        pytest.param("/nothing", (), 404, id="no such command"),
        pytest.param("/reload", (), 405, id="a command that is only asked"),
        pytest.param("/status", ("-X", "POST"), 405, id="a question that is told"),
        pytest.param("/scale", ("-X", "POST"), 400, id="a number is missing"),
        pytest.param("/scale", ("-d", "[1"), 400, id="a body that is no JSON"),
        pytest.param("/scale", ("-d", "x" * 30000), 413, id="a body that is too long"),
        pytest.param("/trace?slot=x", (), 400, id="a slot that is no number"),
    ],
)
def test_mistakes(server, path, arguments, status):
    start(server)
    found, answer = curl(server, path, *arguments)
    assert found == status
    assert answer["ok"] is False
    assert server.get() == (200, b"1")


def test_strangers_do_not_hold_up_the_arbiter(server):
    start(server)
    path = str(server.directory / "ctl")
    silent = []
    try:
        for data in (b"", b"GET /sta", b"\r\n\r\n", b"nonsense\r\n\r\n", b"\0" * 20000, *[b"GET"] * 30):
            stranger = socket.socket(socket.AF_UNIX)
            silent.append(stranger)
            with contextlib.suppress(OSError):
                stranger.connect(path)
                stranger.sendall(data)
        server.signal(signal.SIGHUP)
        server.wait_for("Reload complete")
        assert server.get() == (200, b"1")
    finally:
        for stranger in silent:
            stranger.close()
    assert "serving" in ctl(server, "status")
    assert server.count("Traceback") == 0


def test_workers_hold_no_part_of_it(server):
    start(server, "-w", "2")
    waiting = threading.Thread(target=ctl, args=(server, "reload", "--wait"))
    waiting.start()
    waiting.join()
    ours = {
        line.split()[6]
        for line in Path("/proc/net/unix").read_text().splitlines()
        if line.endswith(str(server.directory / "ctl"))
    }
    assert ours
    for pid in children_of(server.pid):
        held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert not {f"socket:[{inode}]" for inode in ours} & held
