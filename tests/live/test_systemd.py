"""NOTIFY_SOCKET and WATCHDOG_USEC, as systemd gives them: every message in its order, from whom it is due."""

import os
import signal
import socket

import pytest
from live.server import PATIENCE, wait_until

FINE = "from hello import app\n"
BROKEN = "raise RuntimeError('broken on purpose')\n"


class Listening:
    """What a service manager hears."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(PATIENCE)

    def message(self):
        return self.socket.recv(4096).decode().split("\n")

    def until(self, line):
        """Every message up to one with this line."""
        heard = []
        while not heard or not any(text.startswith(line) for text in heard[-1]):
            heard.append(self.message())
        return heard

    def silence(self):
        self.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            self.message()


@pytest.fixture(params=["path", "abstract"])
def address(request, tmp_path):
    return str(tmp_path / "notify") if request.param == "path" else f"@corral-test-{os.getpid()}-{tmp_path.name}"


@pytest.fixture
def make_supervised(make_server, tmp_path):
    listening = []

    def make(address=None, **env):
        address = address or str(tmp_path / "notify")
        server = make_server(fine=FINE, env={"NOTIFY_SOCKET": address, **env})
        listening.append(Listening(address.replace("@", "\0")))
        return server, listening[-1]

    yield make
    for each in listening:
        each.socket.close()


def test_from_the_start_to_the_end(make_supervised, address):
    server, systemd = make_supervised(address)
    server.start("fine:app", "-w", "2")
    assert systemd.message() == ["READY=1", "STATUS=1 of 2 workers ready, generation 1"]
    assert systemd.until("STATUS=2 of 2")[-1] == ["READY=1", "STATUS=2 of 2 workers ready, generation 1"]
    server.signal(signal.SIGHUP)
    first, *others = systemd.until("STATUS=2 of 2 workers ready, generation 2")
    assert first[0] == "RELOADING=1"
    assert first[1].removeprefix("MONOTONIC_USEC=").isdecimal()
    assert all(message[0] == "READY=1" for message in others)
    server.write("fine.py", BROKEN)
    server.signal(signal.SIGHUP)
    assert [message[0] for message in systemd.until("STATUS=2 of 2")] == ["RELOADING=1", "READY=1"]
    assert "reload failed: generation 3 doesn't boot" in server.log or server.wait_for("Reload failed")
    server.signal(signal.SIGTTIN)
    assert systemd.message() == ["STATUS=2 of 3 workers ready, generation 2"]
    assert server.stop() == 0
    assert systemd.message() == ["STOPPING=1", "STATUS=Stopping"]
    systemd.silence()


def test_a_server_that_fails_to_start_is_never_ready(make_supervised):
    server, systemd = make_supervised()
    server.write("fine.py", BROKEN)
    server.start("fine:app", wait="Shutting down")
    assert server.wait() == 3
    assert systemd.message()[0] == "STOPPING=1"
    systemd.silence()


def test_an_upgrade_hands_the_service_over(make_supervised):
    server, systemd = make_supervised(WATCHDOG_PID="1")
    server.start("fine:app")
    systemd.until("STATUS=1 of 1")
    server.signal(signal.SIGUSR2)
    new = int(server.wait_for(r"starting a new server \(pid: (\d+)\)")[1])
    try:
        *begun, handed = systemd.until("MAINPID")
        assert begun[-1][0] == "RELOADING=1"
        assert handed == [f"MAINPID={new}", "READY=1"]
        assert server.wait() == 0
        assert "STOPPING=1" not in str(systemd.until("STATUS=1 of 1"))
        os.kill(new, signal.SIGTERM)
        assert systemd.until("STOPPING=1")[-1] == ["STOPPING=1", "STATUS=Stopping"]
    finally:
        os.kill(new, signal.SIGTERM)


def test_an_upgrade_that_fails_leaves_the_service_where_it_is(make_supervised):
    server, systemd = make_supervised()
    server.start("fine:app")
    systemd.until("STATUS=1 of 1")
    server.write("fine.py", BROKEN)
    server.signal(signal.SIGUSR2)
    assert systemd.message()[0] == "RELOADING=1"
    assert systemd.message() == [f"MAINPID={server.pid}", "READY=1", "STATUS=1 of 1 workers ready, generation 1"]
    assert server.stop() == 0


def test_signs_of_life_come_twice_as_often_as_they_must(make_supervised):
    server, systemd = make_supervised(WATCHDOG_USEC="200000")
    server.start("fine:app")
    systemd.until("STATUS=1 of 1")
    assert [systemd.message() for _ in range(4)] == [["WATCHDOG=1"]] * 4
    assert server.stop() == 0


def test_who_is_not_watched_does_not_wake_up(make_supervised):
    server, systemd = make_supervised(WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    server.start("fine:app")
    heard = systemd.until("STATUS=1 of 1")
    assert ["WATCHDOG=1"] not in heard
    assert server.stop() == 0
    assert systemd.message()[0] == "STOPPING=1"


def test_nobody_listens_and_nobody_minds(make_server, tmp_path):
    server = make_server(env={"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "100000"})
    server.start("hello:app")
    wait_until(lambda: server.get()[0] == 200, "an answer")
    assert server.stop() == 0
    assert server.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0
