"""HTTP/1.1 and 1.0 as a client sees them: connections, pipelines, expectations, limits and deadlines."""

import select
import socket
import time

import httpx
import pytest
from live.server import wait_until
from live.wire import Wire, serving

GET = b"GET /environ HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE_BODY = b"x" * (20 << 20)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("calls") / "server", "calls:plain") as server:
        yield server


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A server whose limits are small, and which has little patience."""
    arguments = (
        "--header-timeout", "0.5", "--body-timeout", "0.5", "--write-timeout", "0.5", "--keep-alive", "0.5",
        "--limit-request-line", "100", "--limit-request-fields", "10", "--limit-request-field_size", "200",
        "--limit-request-body", "100000",
    )  # fmt: skip
    with serving(tmp_path_factory.mktemp("calls") / "server", "calls:plain", *arguments) as server:
        yield server


# -- connections

CONNECTIONS = [
    pytest.param("1.1", [], True, None, id="1.1"),
    pytest.param("1.1", ["Connection: keep-alive"], True, None, id="1.1 that asks for what it has"),
    pytest.param("1.1", ["Connection: close"], False, "close", id="1.1, close"),
    pytest.param("1.1", ["Connection: Close"], False, "close", id="1.1, close in other letters"),
    pytest.param("1.1", ["Connection: x, close ,y"], False, "close", id="1.1, close among others"),
    pytest.param("1.1", ["Connection: x", "Connection: close"], False, "close", id="1.1, close in a second field"),
    pytest.param("1.1", ["Connection: keep-alive, close"], False, "close", id="1.1, both"),
    pytest.param("1.1", ["Connection: closed"], True, None, id="1.1, another word"),
    pytest.param("1.0", [], False, "close", id="1.0"),
    pytest.param("1.0", ["Connection: keep-alive"], True, "keep-alive", id="1.0, keep-alive"),
    pytest.param("1.0", ["Connection: Keep-Alive"], True, "keep-alive", id="1.0, keep-alive in other letters"),
    pytest.param("1.0", ["Connection: keep-alive, close"], False, "close", id="1.0, both"),
]


@pytest.mark.parametrize(("version", "fields", "kept", "said"), CONNECTIONS)
@pytest.mark.parametrize("target", ["/environ", "/length?declared=3&pieces=1,2&lazy=1"], ids=["one piece", "two"])
def test_which_connections_go_on(server, target, version, fields, kept, said):
    with Wire(server) as wire:
        for _ in range(3 if kept else 1):
            answer = wire.get(target, *fields, version=version)
            assert (answer.status, answer.version, answer.field("connection")) == (200, "HTTP/1.1", said)
        if not kept:
            assert wire.ended


def test_a_body_of_unknown_length_ends_an_http_1_0_connection(server):
    with Wire(server) as wire:
        answer = wire.get("/write", "Connection: keep-alive", version="1.0")
        assert (answer.body, answer.field("connection")) == (b"one two three four", "close")
        assert (answer.field("content-length"), answer.field("transfer-encoding")) == (None, None)


def test_an_application_may_close(server):
    with Wire(server) as wire:
        answer = wire.get("/close")
        assert (answer.body, answer.field("connection")) == (b"the last", "close")
        assert wire.ended


def test_a_client_that_has_said_all_it_will_say(server):
    """A half-closed connection is no reason not to answer what came before."""
    with Wire(server) as wire:
        wire.send(GET + GET).socket.shutdown(socket.SHUT_WR)
        assert wire.response().status == wire.response().status == 200
        assert wire.ended


# -- pipelines


@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_a_pipeline_is_answered_in_order(server, version):
    with Wire(server) as wire:
        head = "POST /input?way=iteration HTTP/{}\r\nHost: a\r\nConnection: keep-alive\r\nContent-Length: {}\r\n\r\n"
        sizes = [0, 1, 10, 70_000, 3, 0, 1_200_000, 5] * 5
        for at in range(0, len(sizes), 8):  # as many as fit into socket buffers: answers are small
            wire.send("".join(head.format(version, size) + "x" * size for size in sizes[at : at + 8]).encode())
            for size in sizes[at : at + 8]:
                assert wire.response().json["CONTENT_LENGTH"] == str(size)


def test_a_pipeline_in_pieces_of_every_size(server):
    requests = GET + b"POST /environ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\r\n" + GET
    for size in (1, 2, 3, 7, 31, 32, 33, 34, 35, 64, 90, 97, 98, 99):
        with Wire(server) as wire:
            for at in range(0, len(requests), size):
                wire.send(requests[at : at + size])
            methods = [wire.response().json["REQUEST_METHOD"] for _ in range(3)]
            assert methods == ["GET", "POST", "GET"]


def test_a_pipeline_ends_where_a_request_says_close(server):
    with Wire(server) as wire:
        wire.send(GET + b"GET /environ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + GET)
        assert wire.response().field("connection") is None
        assert wire.response().field("connection") == "close"
        assert wire.ended


def test_a_pipeline_ends_with_what_is_malformed(server):
    with Wire(server) as wire:
        wire.send(GET * 2 + b"GET /\r\n\r\n" + GET)
        assert [wire.response().status for _ in range(3)] == [200, 200, 400]
        assert wire.ended


def test_a_pipeline_behind_a_large_answer_waits_for_its_reader(server):
    with Wire(server, receive_buffer=65536) as wire:
        large = b"GET /length?declared=9000000&pieces=3000000,6000000 HTTP/1.1\r\nHost: a\r\n\r\n"
        wire.send((large + GET) * 3)
        for _ in range(3):
            assert len(wire.response().body) == 9_000_000
            assert wire.response().json["RAW_URI"] == "/environ"


# -- expectations

EXPECT = b"POST /input?way=iteration HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize("buffering", [(), ("--no-request-buffering",)], ids=["buffered", "streamed"])
def test_100_continue(tmp_path, buffering):
    with serving(tmp_path / "server", "calls:plain", *buffering) as server, Wire(server) as wire:
        for _ in range(2):
            wire.send(EXPECT % 5)
            assert wire.response().status == 100
            assert wire.send(b"hello").response().status == 200
        wire.send(EXPECT % 5 + b"hello")
        assert wire.response().status == 200
        if not buffering:
            wire.send(EXPECT % 5 + b"he")  # it isn't waiting
            assert wire.send(b"llo").response().status == 200
        assert wire.send(EXPECT % 0).response().status == 200
        chunked = EXPECT.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
        assert wire.send(chunked).response().status == 100
        assert wire.send(b"0\r\n\r\n").response().status == 200
        assert wire.send((EXPECT % 5).replace(b"1.1\r\n", b"1.0\r\n") + b"hello").response().status == 200
        assert wire.ended


def test_an_expectation_that_is_answered_without_its_body(tmp_path):
    with serving(tmp_path / "server", "calls:plain", "--no-request-buffering") as server, Wire(server) as wire:
        answer = wire.send((EXPECT % 5).replace(b"/input?way=iteration", b"/ignored")).response()
        assert (answer.status, answer.field("connection")) == (200, "close")  # no 100: nobody wanted the body
        assert wire.ended


def test_100_continue_never_stands_in_the_middle_of_an_answer(tmp_path):
    with serving(tmp_path / "server", "calls:plain", "--no-request-buffering") as server, Wire(server) as wire:
        wire.send((EXPECT % 5).replace(b"/input?way=iteration", b"/write-then-read"))
        assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK")
        assert wire.until(b"begun\r\n") == b"5\r\nbegun\r\n"
        wire.send(b"hello")
        assert wire.chunks() == b"hello"


@pytest.mark.parametrize(("fields", "status"), [
    pytest.param("Expect: 200-ok", 417, id="unknown"),
    pytest.param("Expect: 100-continue, x", 417, id="one of two unknown"),
    pytest.param("Expect: 100-Continue", 100, id="in other letters"),
])  # fmt: skip
def test_expectations(server, fields, status):
    with Wire(server) as wire:
        wire.send(f"POST /ignored HTTP/1.1\r\nHost: a\r\n{fields}\r\nContent-Length: 5\r\n\r\n".encode())
        answer = wire.response()
        assert answer.status == status
        if status == 417:
            assert answer.field("connection") == "close"
            assert wire.ended


# -- limits

REFUSALS = [
    pytest.param(b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, id="a long line"),
    pytest.param(b"GET /" + b"a" * 200, 414, id="a long line that doesn't end"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 10 + b"\r\n", 431, id="many fields"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 500, 431, id="endless fields"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 300 + b"\r\n\r\n", 431, id="a long field"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 3000, 431, id="a field that doesn't end"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n", 413, id="a large body"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100001\r\n\r\n", 413,
                 id="a large body, before it is sent"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                 + b"c350\r\n" + b"x" * 50000 + b"\r\nc351\r\n", 413, id="a large chunked body"),
    pytest.param(b"G", 408, id="a letter"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n", 408, id="a head that isn't finished"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 408, id="a body that doesn't come"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", 408, id="a body that isn't finished"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 408,
                 id="a last chunk that doesn't come"),
    pytest.param(b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, id="a version that isn't spoken"),
    pytest.param(b"GARBAGE / HTTP/1.1 \r\n\r\n", 400, id="a line that is malformed"),
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no Host"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400,
                 id="two framings"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS where there is none"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), REFUSALS)
def test_refusals(limited, sent, status):
    """Alone and behind an answered request."""
    for first in (b"", GET):
        with Wire(limited) as wire:
            if first:
                assert wire.send(first).response().status == 200
            begun = time.monotonic()
            answer = wire.send(sent).response()
            assert (answer.status, answer.field("connection")) == (status, "close")
            assert answer.field("date").endswith(" GMT")
            assert int(answer.field("content-length")) == len(answer.body)
            assert (time.monotonic() - begun > 0.3) == (status == 408)
            assert wire.ended
    assert limited.count("Traceback") == 0


def test_refusals_of_head_have_no_body(limited):
    with Wire(limited) as wire:
        wire.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
        assert wire.response("HEAD").status == 408
        assert wire.ended


@pytest.mark.parametrize("chunked", [False, True], ids=["Content-Length", "chunked"])
def test_an_early_error_reaches_a_client_that_sends_everything_first(limited, chunked):
    """20 MB more than anybody wanted, and the client reads nothing before it has sent them."""
    with Wire(limited) as wire:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(LARGE_BODY)
        wire.send(b"POST /ignored HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        wire.send(*[b"%x\r\n" % len(LARGE_BODY)] * chunked, LARGE_BODY)
        answer = wire.response()
        assert (answer.status, answer.field("connection")) == (413, "close")
        assert wire.ended


def test_an_early_error_reaches_httpx(limited):
    with httpx.Client(base_url=f"http://127.0.0.1:{limited.port}") as client:
        for _ in range(3):
            assert client.post("/ignored", content=LARGE_BODY).status_code == 413
            assert client.post("/ignored", content=b"x" * 100_000).text == "ignored"


def test_a_client_that_is_refused_cannot_stay(limited):
    """It goes on sending, and never reads: not for ever."""
    with Wire(limited) as wire:
        wire.send(b"GET / HTTP/9.9\r\n\r\n")
        begun = time.monotonic()
        while time.monotonic() < begun + 20 and sent(wire, LARGE_BODY):
            pass
        assert time.monotonic() < begun + 20


def sent(wire, data):
    try:
        wire.send(data)
    except ConnectionError:
        return False
    return True


# -- deadlines


def test_a_slow_head_is_answered_in_time_though_bytes_come(limited):
    with Wire(limited) as wire:
        begun = time.monotonic()
        assert drip(wire, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100, 0.05).status == 408
        assert 0.4 < time.monotonic() - begun < 2
        assert wire.ended


def test_a_steady_body_has_all_the_time_it_needs(limited):
    with Wire(limited) as wire:
        wire.send(b"POST /ignored HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n")
        answer = drip(wire, b"x" * 2000, 0.1, piece=200)
        assert answer.body == b"ignored"


def test_a_body_slower_than_min_rate(limited):
    """10 bytes, 20 times a second: no silence of 0.5 s, and less than 500 bytes a second."""
    with Wire(limited) as wire:
        begun = time.monotonic()
        wire.send(b"POST /ignored HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n")
        assert drip(wire, b"x" * 2000, 0.05, piece=10).status == 408
        assert 0.4 < time.monotonic() - begun < 3
        assert wire.ended


def test_a_slow_body_of_an_application_that_streams(tmp_path):
    arguments = ("--no-request-buffering", "--body-timeout", "0.3")
    with serving(tmp_path / "server", "calls:plain", *arguments) as server, Wire(server) as wire:
        wire.send(b"POST /input?way=iteration HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\nx")
        answer = wire.response()
        assert (answer.status, answer.field("connection")) == (408, "close")
        assert wire.ended


def drip(wire, data, pause, piece=1):
    """Send a piece every `pause` seconds until the server answers; its answer."""
    wire.socket.settimeout(pause)
    for at in range(0, len(data), piece):
        wire.send(data[at : at + piece])
        try:
            wire.ahead = wire.more(b"")
            break
        except TimeoutError:
            continue
    wire.socket.settimeout(20)
    return wire.response()


@pytest.mark.parametrize(
    "first", [b"", GET, b"\r\n", GET + b"\r\n"], ids=["new", "used", "an empty line", "used, empty"]
)
def test_silence_is_ended_without_a_word(limited, first):
    with Wire(limited) as wire:
        wire.send(first)
        if first.startswith(b"GET"):
            assert wire.response().status == 200
        begun = time.monotonic()
        assert wire.ended
        assert 0.3 < time.monotonic() - begun < 2


def test_each_request_renews_keepalive(limited):
    with Wire(limited) as wire:
        for _ in range(4):
            assert wire.get("/environ").status == 200
            pause(wire, 0.25)


def pause(wire, seconds):
    """Wait, and hear of it if the server closes."""
    wire.socket.settimeout(seconds)
    with pytest.raises(TimeoutError):
        wire.more(b"")
    wire.socket.settimeout(20)


def test_a_reader_that_never_reads(limited):
    wait_until(lambda: not open_connections(limited), "other tests' connections to end")
    with Wire(limited, receive_buffer=4096) as wire:
        wire.send(b"GET /length?declared=30000000&pieces=30000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        wire.exactly(1000)
        begun = time.monotonic()
        wait_until(lambda: not open_connections(limited), "the server to give up")
        assert time.monotonic() - begun < 3
        with pytest.raises((ConnectionError, AssertionError)):
            wire.exactly(30_000_000)


def test_a_reader_slower_than_min_rate(tmp_path):
    """It takes something now and then, and on the average too little."""
    arguments = ("--write-timeout", "0.5", "--min-rate", "100000000")
    with serving(tmp_path / "server", "calls:plain", *arguments) as server:
        with Wire(server, receive_buffer=4096) as wire:
            wire.send(b"GET /length?declared=60000000&pieces=60000000 HTTP/1.1\r\nHost: a\r\n\r\n")
            wire.until(b"\r\n\r\n")
            begun = time.monotonic()
            while open_connections(server) and time.monotonic() < begun + 10:
                wire.socket.recv(50_000)
                select.select((), (), (), 0.02)
            assert 0.4 < time.monotonic() - begun < 5
        assert server.get("/environ")[0] == 200


def open_connections(server):
    """Connections to the server's port, as the worker holds them."""
    port = f":{server.port:04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return sum(1 for row in rows if row[1].endswith(port) and row[3] != "0A" and row[9] != "0")


# -- real clients


def test_httpx_reuses_its_connection(server):
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        ports = {client.get("/environ").json()["REMOTE_PORT"] for _ in range(20)}
        ports |= {client.post("/environ", content=b"x" * 2_000_000).json()["REMOTE_PORT"] for _ in range(3)}
        ports |= {client.get("/write").status_code and client.get("/environ").json()["REMOTE_PORT"]}
        assert client.get("/raising").status_code == 500
        assert len(ports) == 1


def test_the_methods(server):
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert client.request(method, "/environ").json()["REQUEST_METHOD"] == method
        assert client.head("/environ").content == b""
    with Wire(server) as wire:
        assert wire.get("*", method="OPTIONS").json["PATH_INFO"] == "*"
        answer = wire.send(b"GET http://b.example:1/environ?c HTTP/1.1\r\nHost: a\r\n\r\n").response().json
        assert (answer["HTTP_HOST"], answer["PATH_INFO"], answer["QUERY_STRING"]) == ("b.example:1", "/environ", "c")
        assert wire.get("/environ").json["HTTP_HOST"] == "test"
