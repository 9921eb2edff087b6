"""HUP: new code and new settings, without a moment in which nobody serves; and when they are bad, nothing changes."""

import os
import signal
import socket
import threading

import pytest
from live.server import children_of, wait_until

VERSION = """
import os


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "1")])
    return [b"{}"]
"""
BROKEN = "raise RuntimeError('broken on purpose')\n"
CONFIG = "workers = {}\n"


@pytest.fixture
def server(make_server):
    server = make_server(versioned=VERSION.format(1))
    server.write("gunicorn.conf.py", CONFIG.format(2))
    return server


@pytest.fixture
def customers():
    """Threads that ask all the time; `stop()` gives what they got."""
    stopping = threading.Event()
    answers = []
    threads = []

    def ask(port):
        while not stopping.is_set():
            try:
                with socket.create_connection(("127.0.0.1", port), 20) as connection:
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                    data = b""
                    while chunk := connection.recv(4096):
                        data += chunk
                    answers.append(data[9:12] + data[-1:])
            except OSError as error:
                answers.append(repr(error).encode())

    def start(port, number=4):
        threads.extend(threading.Thread(target=ask, args=(port,)) for _ in range(number))
        for thread in threads:
            thread.start()

    def stop():
        stopping.set()
        for thread in threads:
            thread.join()
        return answers

    start.stop = stop
    start.answers = answers
    yield start
    stop()


def test_new_code_is_served_and_no_request_is_lost(server, customers):
    server.start("versioned:app")
    before = server.workers
    customers(server.port)
    wait_until(lambda: server.get() == (200, b"1"), "the first version")
    server.write("versioned.py", VERSION.format(2))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete: generation 2 is ready: versioned:app")
    wait_until(lambda: not set(before) & set(server.workers), "the end of the first generation")
    assert server.get() == (200, b"2")
    wait_until(lambda: b"2002" in customers.answers, "a customer of the second version")
    assert set(customers.stop()) == {b"2001", b"2002"}
    assert server.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


def test_bad_code_leaves_the_old_workers_and_shows_its_traceback_once(server):
    server.start("versioned:app")
    before = server.workers
    server.write("versioned.py", BROKEN)
    server.signal(signal.SIGHUP)
    server.wait_for("Reload failed: generation 2 doesn't boot, see above. Generation 1 goes on")
    assert server.workers == before
    assert server.get() == (200, b"1")
    assert server.count("Traceback") == server.count("broken on purpose$") == 1
    server.write("versioned.py", VERSION.format(3))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete: generation 3")
    wait_until(lambda: server.get() == (200, b"3"), "the end of the old generation")
    assert server.stop() == 0


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("workers = = 2\n", id="a syntax error"),
        pytest.param("raise RuntimeError('no config today')\n", id="an exception"),
    ],
)
def test_a_bad_configuration_changes_nothing(server, text):
    server.start("versioned:app", "-e", "FLAVOUR=salt")
    before = server.workers
    server.write("gunicorn.conf.py", text)
    server.signal(signal.SIGHUP)
    server.wait_for("Reload failed, the server goes on as before: .*gunicorn.conf.py failed: (Syntax|Runtime)Error")
    server.wait_for(r"^  File .*gunicorn.conf.py")
    assert server.workers == before
    assert server.get() == (200, b"1")
    server.write("gunicorn.conf.py", CONFIG.format(1))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete: generation 2 is ready: .* served by 1 worker$")


def test_settings_are_read_again(server):
    server.start("versioned:app")
    server.write("gunicorn.conf.py", CONFIG.format(4))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete: .* served by 4 workers")
    server.wait_for_workers(4)
    server.write("gunicorn.conf.py", CONFIG.format(1))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete: .* served by 1 worker$")
    server.wait_for_workers(1)


def test_addresses_may_change(make_server):
    server = make_server(versioned=VERSION.format(1))
    old, new = server.directory / "old", server.directory / "new"
    config = "bind = ['127.0.0.1:0', 'unix:{}']\n"
    server.write("gunicorn.conf.py", config.format(old))
    server.start("versioned:app", "-c", "gunicorn.conf.py", bind=False)
    port = server.port
    server.write("gunicorn.conf.py", config.format(new))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete")
    assert new.exists()
    wait_until(lambda: not old.exists(), "the end of the old address")
    assert server.port == port
    assert server.get() == (200, b"1")
    server.write("gunicorn.conf.py", config.format("/nowhere/at/all"))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload failed.*/nowhere/at doesn't exist")
    assert server.get() == (200, b"1")
    assert server.stop() == 0
    assert not new.exists()


def test_a_preloaded_app_that_breaks_leaves_the_old_one(make_server):
    server = make_server(versioned=VERSION.format(1), broken=BROKEN)
    server.write("gunicorn.conf.py", "wsgi_app = 'versioned:app'\nraw_env = ['FLAVOUR=salt']\n")
    server.start("--preload")
    server.write("gunicorn.conf.py", "wsgi_app = 'broken:app'\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload failed: generation 2 doesn't boot, see above. Generation 1 goes on")
    assert server.count("Traceback") == 1
    assert server.get() == (200, b"1")
    server.write("versioned.py", VERSION.format(2))
    server.write("gunicorn.conf.py", "wsgi_app = 'versioned:app'\n")
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete: generation [23] is ready")
    wait_until(lambda: server.get() == (200, b"2"), "the end of the old generation")


def test_a_log_may_move(server):
    server.start("versioned:app")
    server.write("gunicorn.conf.py", "errorlog = 'elsewhere.log'\n")
    server.signal(signal.SIGHUP)
    log = server.directory / "elsewhere.log"
    wait_until(lambda: log.exists() and "Reload complete" in log.read_text(), "a line in the new log")
    assert "Booting worker" in log.read_text()
    server.write("versioned.py", BROKEN)
    server.write("gunicorn.conf.py", "errorlog = 'third.log'\n")
    server.signal(signal.SIGHUP)
    wait_until(lambda: "Reload failed" in log.read_text(), "the news in the log that stays", process=server.process)
    assert "broken on purpose" in (server.directory / "third.log").read_text()
    assert server.stop() == 0
    assert "Shutting down: Master" in log.read_text()


def test_ttin_and_ttou(server):
    server.start("versioned:app")
    for _ in range(2):
        server.signal(signal.SIGTTIN)
        server.wait_for("Handling signal: ttin")
    server.wait_for_workers(4)
    for _ in range(6):
        server.signal(signal.SIGTTOU)
        server.wait_for("Handling signal: ttou")
    server.wait_for_workers(1)
    assert server.get()[0] == 200


def test_a_group_hup_is_a_reload_and_kills_nobody(server):
    server.start("versioned:app")
    os.killpg(server.pid, signal.SIGHUP)
    server.wait_for("Reload complete")
    assert server.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


def test_hup_upon_hup_settles_on_the_last(server):
    server.start("versioned:app")
    for generation in (2, 3, 4, 5):
        server.write("versioned.py", VERSION.format(generation))
        server.signal(signal.SIGHUP)
    server.wait_for("Reload complete: generation 5|Reload complete: generation [234]")
    wait_until(lambda: server.get() == (200, b"5"), "the last version", process=server.process)
    server.wait_for_workers(2)


def test_usr1_reopens_the_log_everywhere(server):
    log = server.directory / "error.log"
    server.start("versioned:app", "--error-logfile", "error.log", wait=None)
    wait_until(lambda: log.exists() and "Ready:" in log.read_text(), "a server that is ready", process=server.process)
    workers = set(children_of(server.pid))
    log.rename(server.directory / "error.log.1")
    server.signal(signal.SIGUSR1)
    wait_until(log.exists, "a new log", process=server.process)

    def writers():
        target = str(log)
        return all(
            target in {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            for pid in (*workers, server.pid)
        )

    wait_until(writers, "everybody to write the new log", process=server.process)
    assert set(server.workers) == workers


def test_winch_from_a_terminal_is_ignored(server):
    server.start("versioned:app")
    before = server.workers
    server.signal(signal.SIGWINCH)
    server.signal(signal.SIGUSR1)
    server.wait_for("Handling signal: usr1")
    assert server.workers == before
    assert server.count("winch") == 0
