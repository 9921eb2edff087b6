"""What a syslog daemon receives, over each kind of socket, and that one that isn't there holds nobody up."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corral.errors import ConfigError
from corral.report.choice import open_access
from corral.report.remote import PENDING, Address, Remote
from corral.report.syslog import address_of

from .test_logger import serve

Receive = Callable[[], str]
PID = os.getpid()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: Any) -> Path:
    """Where sockets are: paths of sockets are short."""
    monkeypatch.chdir(tmp_path)
    return Path("daemon")


def listening(kind: str) -> tuple[socket.socket, str]:
    """A daemon's socket and how syslog_addr names it."""
    transport, _, suffix = kind.partition("#")
    stream = transport == "tcp" or suffix.endswith("stream")
    daemon = socket.socket(
        socket.AF_UNIX if transport == "unix" else socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    )
    daemon.settimeout(10)
    daemon.bind("daemon" if transport == "unix" else ("127.0.0.1", 0))
    if stream:
        daemon.listen()
    suffix = "" if suffix.startswith("any") or not suffix else f"#{suffix}"
    return (
        daemon,
        f"unix://daemon{suffix}" if transport == "unix" else f"{transport}://127.0.0.1:{daemon.getsockname()[1]}",
    )


@pytest.fixture(params=["udp", "tcp", "unix#dgram", "unix#stream", "unix#any-dgram", "unix#any-stream"])
def daemon(request: Any, place: Path) -> Iterator[tuple[str, Receive]]:
    """Its address, and a function that gives its next message."""
    listener, address = listening(request.param)
    if listener.type == socket.SOCK_DGRAM:
        yield address, lambda: listener.recv(65536).decode()
    else:
        opened: list[Any] = []

        def receive() -> str:
            if not opened:
                connection, _ = listener.accept()
                connection.settimeout(10)
                opened.extend((connection.makefile("rb"), connection))
            return str(opened[0].readline().removesuffix(b"\n").decode())

        yield address, receive
        for each in opened:
            each.close()
    listener.close()


def test_both_logs(open_log: Any, daemon: tuple[str, Receive]) -> None:
    address, receive = daemon
    log = open_log(syslog=True, syslog_addr=address, syslog_facility="local3", access_log_format="%(U)s %(s)s")
    log.error("no %s", "disk\n")
    assert receive() == rf"<155>gunicorn.shop.app.error: [{PID}] no disk\n"
    serve(open_access(log.cfg, log), '/"')
    assert receive() == rf"<158>gunicorn.shop.app.access: [{PID}] /\x22 200"
    log.debug("below the level")
    log.critical("Größe")
    assert receive() == f"<154>gunicorn.shop.app.error: [{PID}] Größe"


def test_a_message_of_several_lines(open_log: Any, daemon: tuple[str, Receive]) -> None:
    address, receive = daemon
    log = open_log(syslog=True, syslog_addr=address, syslog_prefix="my shop")
    log.warning("two\nlines")
    lines = "two#012lines" if "tcp" in address or log.error_log.handlers[-1].remote.stream else "two\nlines"
    assert receive() == f"<12>gunicorn.my shop.error: [{PID}] {lines}"


def test_a_file_gets_them_too(open_log: Any, tmp_path: Path, place: Path) -> None:
    listener, address = listening("udp")
    open_log(syslog=True, syslog_addr=address).info("to both")
    assert listener.recv(100).decode() == f"<14>gunicorn.shop.app.error: [{PID}] to both"
    assert (tmp_path / "error.log").read_text().endswith("[INFO] to both\n")
    listener.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("udp://localhost:514", Address("", "localhost", 514), id="a host and a port"),
        pytest.param("tcp://[::1]:6514", Address("", "::1", 6514, stream=True), id="IPv6"),
        pytest.param("udp://logs", Address("", "logs", 514), id="syslog's port"),
        pytest.param("unix:///dev/log", Address("", path="/dev/log", stream=None), id="a path"),
        pytest.param("unix:///dev/log#dgram", Address("", path="/dev/log"), id="for datagrams"),
        pytest.param("unix:///dev/log#stream", Address("", path="/dev/log", stream=True), id="for a stream"),
    ],
)
def test_an_address(text: str, expected: Address) -> None:
    assert address_of(text) == expected._replace(text=text)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param(
            {"syslog_addr": "localhost:514"}, "syslog_addr 'localhost:514' is malformed; write", id="no scheme"
        ),
        pytest.param({"syslog_addr": "udp://x:port"}, "syslog_addr 'udp://x:port' is malformed", id="no number"),
        pytest.param({"syslog_addr": "unix:///log#x"}, "syslog_addr 'unix:///log#x' is malformed", id="no such kind"),
        pytest.param({"syslog_facility": "locl3"}, "syslog_facility 'locl3' is unknown; did you mean", id="nearly one"),
        pytest.param({"syslog_facility": "?"}, "syslog_facility '?' is unknown; it is one of kern", id="no facility"),
    ],
)
def test_a_mistake(open_log: Any, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_log(syslog=True, **settings)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    "scheme", ["unix://daemon", "unix://daemon#stream", "tcp://127.0.0.1:1", "udp://none.invalid:1"]
)
def test_a_daemon_that_is_not_there_is_said_once(open_log: Any, tmp_path: Path, place: Path, scheme: str) -> None:
    log = open_log(syslog=True, syslog_addr=scheme)
    access = open_access(log.cfg, log)
    for number in range(20):
        log.info("message %d", number)
        serve(access)
    text = (tmp_path / "error.log").read_text()
    assert text.count("can't be reached") == 1
    assert f"[WARNING] syslog {scheme} can't be reached: " in text
    assert text.count("message") == 20


def test_a_daemon_that_reads_nothing_holds_nobody_up(place: Path) -> None:
    told: list[str] = []
    for kind in ("unix#stream", "unix#dgram"):
        listener, address = listening(kind)
        remote = Remote(address_of(address), told.append)
        began = time.monotonic()
        for _ in range(2000):
            remote.send(b"x" * 1000)
        assert time.monotonic() - began < 10
        assert len(remote.pending) <= PENDING
        remote.close()
        listener.close()
        place.unlink()
    assert told == []


def test_a_daemon_that_comes_back_is_found_again(place: Path) -> None:
    told: list[str] = []
    listener, address = listening("unix#dgram")
    remote = Remote(address_of(address), told.append)
    remote.send(b"1")
    assert listener.recv(10) == b"1"
    listener.close()
    place.unlink()
    remote.send(b"2")
    listener, _ = listening("unix#dgram")
    remote.send(b"3")
    assert listener.recv(10) == b"3"
    assert told == ["No such file or directory"]
    remote.close()
    listener.close()


def test_a_stream_that_broke_is_tried_again_later(place: Path) -> None:
    told: list[str] = []
    listener, address = listening("unix#stream")
    remote = Remote(address_of(address), told.append)
    remote.send(b"1")
    connection, _ = listener.accept()
    connection.close()
    remote.send(b"2")
    remote.send(b"3")
    assert told == ["Broken pipe"]
    remote.again = 0.0
    remote.send(b"4")
    connection, _ = listener.accept()
    assert connection.recv(10) == b"4\n"
    for each in (connection, listener, remote):
        each.close()


def test_each_process_has_a_stream_of_its_own(place: Path) -> None:
    listener, address = listening("unix#stream")
    remote = Remote(address_of(address), lambda why: None)
    remote.send(b"parent")
    child = os.fork()
    if child == 0:
        remote.send(b"child")
        os._exit(0)
    os.waitpid(child, 0)
    received = []
    for _ in range(2):
        connection, _ = listener.accept()
        received.append(connection.recv(100))
        connection.close()
    assert received == [b"parent\n", b"child\n"]
    remote.close()
    listener.close()
