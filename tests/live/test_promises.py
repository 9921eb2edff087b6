"""What a server promises in bad weather: slow clients, stops with work in hand, no descriptors, bodies cut short."""

import contextlib
import resource
import signal
import socket
import time

import pytest
from live.server import cpu_seconds, private_memory, read_response, wait_until

pytestmark = pytest.mark.alone

APP = """
import os, time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    headers = []
    if path == "/wait":  # until the test says go on
        open("running", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
        body = [b"waited"]
    elif path == "/big":
        body = [b"x" * (16 << 20)]
    elif path == "/generated":
        body = Pieces(200)
    elif path == "/short":
        headers, body = [("Content-Length", "10")], [b"short"]
    elif path == "/long":
        headers, body = [("Content-Length", "2")], [b"longer"]
    elif path == "/exit":
        raise SystemExit(1)
    else:
        body = [b"ok"]
    start_response("200 OK", headers)
    return body


class Pieces:
    def __init__(self, count):
        self.left = count

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        self.left -= 1
        return b"y" * (1 << 20)

    def close(self):
        with open("closed", "a") as file:
            file.write("closed\\n")
"""
GET = b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n"
CLOSE = b"GET %b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


@pytest.fixture
def site(make_server):
    return make_server(web=APP)


def ask(connection, request=GET % b"/"):
    """One small response on a connection that stays open."""
    connection.sendall(request)
    data = b""
    while not data.endswith((b"\r\n\r\nok", b"\r\n\r\nwaited")):
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


def test_drips_and_silence_hold_nobody_up(site):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most[1]), most[1]))
    site.start("web:app")
    with contextlib.ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(site.connect())
        drips = [stack.enter_context(site.connect()) for _ in range(300)]
        for drip in drips:
            drip.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ")
        quick = stack.enter_context(site.connect())
        times = []
        start = drip_at = time.perf_counter()
        while (now := time.perf_counter()) < start + 4:
            if now >= drip_at:
                drip_at += 1
                for drip in drips:
                    drip.sendall(b"a")
            ask(quick)
            times.append(time.perf_counter() - now)
    times.sort()
    assert times[int(len(times) * 0.99)] < 0.050
    assert site.stop() == 0


def test_term_lets_every_request_complete(site):
    site.start("web:app")
    with contextlib.ExitStack() as stack:
        idle, half, slow, running = (stack.enter_context(site.connect()) for _ in range(4))
        ask(idle)
        half.sendall(b"GET / HTTP/1.1\r\nHo")
        slow.sendall(GET % b"/big")
        assert slow.recv(4096)
        running.sendall(GET % b"/wait")
        wait_until(lambda: (site.directory / "running").exists(), "the request to run")
        queued = [stack.enter_context(site.connect()) for _ in range(5)]
        for each in queued:
            each.sendall(GET % b"/")
        site.signal(signal.SIGTERM)
        site.wait_for("Handling signal: term")
        (site.directory / "go").touch()
        half.sendall(b"st: test\r\n\r\n")
        assert read_response(running) == (200, b"waited")
        assert [read_response(each) for each in queued] == [(200, b"ok")] * 5
        assert read_response(half) == (200, b"ok")
        received = 4096
        while piece := slow.recv(1 << 20):
            received += len(piece)
        assert received > 16 << 20
        assert idle.recv(100) == b""
    assert site.wait() == 0


def test_a_lack_of_descriptors_is_survived(make_server):
    site = make_server(web=APP)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, hard))
    try:
        site.start("--keep-alive", "30", "web:app")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(site.connect())
        ask(first)
        others = [stack.enter_context(site.connect()) for _ in range(64)]
        site.wait_for("Can't accept a connection: Too many open files")
        [worker] = site.workers
        before, start = cpu_seconds(worker), time.monotonic()
        while time.monotonic() < start + 1:
            ask(first)
            first.settimeout(max(start + 1 - time.monotonic(), 0.001))
            with contextlib.suppress(TimeoutError):  # silence, until the second is over
                first.recv(1)
            first.settimeout(20)
        assert cpu_seconds(worker) - before < 0.5
        ask(first)
        for each in others:
            each.close()
        assert site.get("/") == (200, b"ok")
    assert site.count("Too many open files") <= 2
    assert site.stop() == 0


def test_a_slow_reader_holds_neither_the_worker_nor_its_memory(site):
    site.start("web:app")
    [worker] = site.workers
    with site.connect() as slow:
        before = private_memory(worker)
        slow.sendall(GET % b"/generated")
        wait_until(lambda: (site.directory / "closed").exists(), "the application to finish", process=site.process)
        assert site.get("/") == (200, b"ok")
        assert private_memory(worker) - before < 8 << 20
        received = 0
        while received < 200 << 20:
            received += len(slow.recv(1 << 20))
    assert (site.directory / "closed").read_text() == "closed\n"
    assert site.stop() == 0


def test_close_is_called_once_when_the_client_leaves(site):
    site.start("web:app")
    with site.connect() as gone:
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.sendall(GET % b"/generated")
        assert gone.recv(100)
    wait_until(lambda: (site.directory / "closed").exists(), "close()", process=site.process)
    assert site.get("/") == (200, b"ok")
    assert (site.directory / "closed").read_text() == "closed\n"
    assert site.count("Traceback") == 0


def test_a_body_that_breaks_its_content_length_never_desynchronises(site):
    site.start("web:app")
    with site.connect() as connection:
        connection.sendall(GET % b"/short" + GET % b"/")
        assert read_response(connection) == (200, b"short")  # and then the end of the connection
    with site.connect() as connection:
        connection.sendall(GET % b"/long" + CLOSE % b"/")
        data = b""
        while piece := connection.recv(65536):
            data += piece
        assert data.count(b"HTTP/1.1 200 OK") == 2
        assert b"\r\n\r\nloHTTP/1.1" in data
    assert site.count("shorter than its Content-Length") == 1
    assert site.count("longer than its Content-Length") == 1


def test_an_application_that_exits_is_answered_and_replaced(site):
    site.start("web:app")
    [worker] = site.workers
    assert site.get("/exit")[0] == 500
    wait_until(lambda: site.workers not in ([], [worker]), "another worker", process=site.process)
    site.wait_for(r"SystemExit in the application")
    assert site.get("/") == (200, b"ok")


@pytest.mark.parametrize(
    ("arguments", "sent", "status"),
    [
        pytest.param(["--header-timeout", "0.3"], b"GET / HTTP/1.1\r\nHost", 408, id="a head that doesn't end"),
        pytest.param(
            ["--body-timeout", "0.3"],
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
            408,
            id="a body that stops",
        ),
        pytest.param(
            ["--limit-request-body", "9"],
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
            413,
            id="a large body",
        ),
        pytest.param(
            ["--limit-request-body", "9"],
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n",
            413,
            id="a large chunked body",
        ),
        pytest.param(["--limit-request-line", "20"], b"GET /" + b"a" * 30, 414, id="a long request line"),
        pytest.param(["--limit-request-fields", "1"], GET[:-2] % b"/" + b"A: b\r\n\r\n", 431, id="many fields"),
        pytest.param(["--limit-request-field_size", "9"], GET % b"/", 431, id="a long field"),
    ],
)
def test_limits_are_answered_and_the_connection_closed(site, arguments, sent, status):
    site.start(*arguments, "web:app")
    with site.connect() as connection:
        connection.sendall(sent)
        data = b""
        while piece := connection.recv(65536):
            data += piece
    assert data.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in data
    assert site.count(rf"Invalid request from ip=127.0.0.1: {status}") == 1


def test_an_early_error_reaches_a_client_that_is_still_sending(site):
    site.start("--limit-request-body", "1000", "web:app")
    with site.connect() as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n")
        for _ in range(8):
            connection.sendall(b"x" * 100_000)
        assert read_response(connection)[0] == 413


def test_100_continue_comes_only_when_the_body_is_missing(site):
    site.start("web:app")
    head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    with site.connect() as connection:
        connection.sendall(head)
        assert connection.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hi")
        assert read_response(connection) == (200, b"ok")
    with site.connect() as connection:
        connection.sendall(head + b"hi")
        assert read_response(connection) == (200, b"ok")


def test_an_idle_connection_is_closed_after_keepalive(site):
    site.start("--keep-alive", "0.3", "web:app")
    with site.connect() as connection:
        ask(connection)
        start = time.monotonic()
        assert connection.recv(1) == b""
        assert 0.2 < time.monotonic() - start < 2
