"""What statsd receives: gunicorn's names, a datagram each."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corral.errors import ConfigError
from corral.report.choice import CountedAccess, LoggedAccess, heed, open_access
from corral.report.remote import Address
from corral.report.statsd import Statsd, address_of

from .test_logger import serve


@pytest.fixture
def statsd() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.settimeout(10)
        daemon.bind(("127.0.0.1", 0))
        yield daemon


def received(daemon: socket.socket, log: Any) -> list[str]:
    """All that came, up to a last one that says so."""
    log.gauge("end", 0)
    found: list[str] = []
    while not found or "end:0|g" not in found[-1]:
        found.append(daemon.recv(1000).decode())
    return found[:-1]


def test_a_request_is_three_metrics(open_log: Any, statsd: socket.socket) -> None:
    log = open_log(of=Statsd, statsd_host=statsd.getsockname())
    serve(open_access(log.cfg, log))
    assert sorted(received(statsd, log)) == [
        "gunicorn.request.duration:41.0|ms",
        "gunicorn.request.status.200:1|c|@1.0",
        "gunicorn.requests:1|c|@1.0",
    ]


def test_a_request_without_an_answer_has_no_status(open_log: Any, statsd: socket.socket) -> None:
    log = open_log(of=Statsd, statsd_host=statsd.getsockname())
    access = open_access(log.cfg, log)
    access.request({}, "", (), 0, 0.0, 0.0)
    assert len(received(statsd, log)) == 2


def test_a_request_is_a_line_as_well(open_log: Any, statsd: socket.socket, tmp_path: Path) -> None:
    """Both ways: compiled, and once a filter asks for it, through the logger."""
    target = tmp_path / "access"
    log = open_log(of=Statsd, statsd_host=statsd.getsockname(), accesslog=str(target), access_log_format="%(U)s %(s)s")
    access = open_access(log.cfg, log)
    assert isinstance(access, CountedAccess)
    serve(access)
    target.rename(tmp_path / "access.1")
    access.reopen()
    log.reopen_files()
    serve(access)
    log.access_log.addFilter(lambda record: record.args["U"] != "/health")
    access = heed(log, access)
    assert isinstance(access, LoggedAccess)
    serve(access, "/health")
    serve(access)
    assert target.read_text() == "/news 200\n/news 200\n"
    assert len(received(statsd, log)) == 12


def test_a_subclass_decides_what_counts(open_log: Any, statsd: socket.socket) -> None:
    class WithoutHealthChecks(Statsd):
        def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
            if req.path != "/health":
                super().access(resp, req, environ, request_time)

    log = open_log(of=WithoutHealthChecks, statsd_host=statsd.getsockname())
    access = open_access(log.cfg, log)
    serve(access, "/health")
    serve(access)
    assert len(received(statsd, log)) == 3


@pytest.mark.parametrize(
    ("prefix", "tags", "expected"),
    [
        pytest.param("", "", "x:1|c|@1.0", id="plain"),
        pytest.param("shop", "", "shop.x:1|c|@1.0", id="a prefix"),
        pytest.param("shop.", "", "shop.x:1|c|@1.0", id="a prefix with its dot"),
        pytest.param("", "a:b,c", "x:1|c|@1.0|#a:b,c", id="tags"),
    ],
)
def test_prefix_and_tags(open_log: Any, statsd: socket.socket, prefix: str, tags: str, expected: str) -> None:
    log = open_log(of=Statsd, statsd_host=statsd.getsockname(), statsd_prefix=prefix, dogstatsd_tags=tags)
    log.increment("x", 1)
    assert statsd.recv(100).decode() == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(lambda log: log.critical("x"), ["gunicorn.log.critical:1|c|@1.0"], id="critical"),
        pytest.param(lambda log: log.error("x"), ["gunicorn.log.error:1|c|@1.0"], id="error"),
        pytest.param(lambda log: log.warning("x"), ["gunicorn.log.warning:1|c|@1.0"], id="warning"),
        pytest.param(lambda log: log.exception("x"), ["gunicorn.log.exception:1|c|@1.0"], id="exception"),
        pytest.param(lambda log: log.info("x"), [], id="info"),
        pytest.param(lambda log: log.debug("x", extra=of("workers", 0, "gauge")), ["workers:0|g"], id="a gauge of 0"),
        pytest.param(lambda log: log.info("", extra=of("a", 2, "counter")), ["a:2|c|@1.0"], id="a counter"),
        pytest.param(lambda log: log.log(20, "x", extra=of("a", 2.5, "timer")), ["a:2.5|ms"], id="a timer"),
        pytest.param(lambda log: log.info("x", extra=of("a", 3, "histogram")), ["a:3|h"], id="a histogram"),
        pytest.param(lambda log: log.info("x", extra=of("a", 3, "none")), [], id="no such kind"),
        pytest.param(lambda log: log.info("x", extra={"user": 3}), [], id="no metric"),
        pytest.param(lambda log: log.decrement("a", 1, 0.5), ["a:-1|c|@0.5"], id="down"),
    ],
)
def test_a_message(open_log: Any, statsd: socket.socket, call: Any, expected: list[str]) -> None:
    log = open_log(of=Statsd, statsd_host=statsd.getsockname())
    call(log)
    assert received(statsd, log) == expected


def of(name: str, value: float, kind: str) -> dict[str, Any]:
    return {"metric": name, "value": value, "mtype": kind}


def test_a_message_is_also_logged_unless_it_is_empty(open_log: Any, statsd: socket.socket, tmp_path: Path) -> None:
    log = open_log(of=Statsd, statsd_host=statsd.getsockname())
    log.info("said", extra=of("a", 1, "gauge"))
    log.info("", extra=of("a", 1, "gauge"))
    log.log(logging.DEBUG, "below the level", extra=of("a", 1, "gauge"))
    assert (tmp_path / "error.log").read_text().count("\n") == 1
    assert len(received(statsd, log)) == 3


def test_over_a_unix_socket(open_log: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.settimeout(10)
        daemon.bind("statsd")
        log = open_log(of=Statsd, statsd_host="unix://statsd")
        log.gauge("x", 1)
        assert daemon.recv(100) == b"x:1|g"


def test_a_daemon_that_is_not_there_is_said_once(open_log: Any, tmp_path: Path) -> None:
    log = open_log(of=Statsd, statsd_host=f"unix://{tmp_path}/none")
    for _ in range(9):
        serve(open_access(log.cfg, log))
    text = (tmp_path / "error.log").read_text()
    assert text.count("\n") == 1
    assert text.endswith(f"[WARNING] statsd unix://{tmp_path}/none can't be reached: No such file or directory\n")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("localhost:8125", Address("localhost:8125", "localhost", 8125), id="text"),
        pytest.param(("localhost", 8126), Address("localhost:8126", "localhost", 8126), id="a pair"),
        pytest.param("unix:///run/s", Address("unix:///run/s", path="/run/s"), id="a path"),
        pytest.param("/run/s", Address("/run/s", path="/run/s"), id="a bare path"),
        pytest.param("statsd", Address("statsd", "statsd", 8125), id="statsd's port"),
    ],
)
def test_an_address(value: Any, expected: Address) -> None:
    assert address_of(value) == expected


def test_a_malformed_address_is_a_mistake(open_log: Any) -> None:
    with pytest.raises(ConfigError, match=r"^statsd_host 'x:y' is malformed; write HOST:PORT or unix://PATH$"):
        open_log(of=Statsd, statsd_host="x:y")
