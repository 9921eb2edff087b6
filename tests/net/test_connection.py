"""One connection over a real socket pair: whatever comes, in whatever pieces; what is told to who serves; deadlines."""

import os
import random
import resource
import socket

import pytest
from net.serving import Alarm, Told, hello

from corral.errors import AppError
from corral.gateway.exchange import over
from corral.http.head import Limits
from corral.net.connection import Connection
from corral.net.descriptor import PeerSocket
from corral.net.reactor import NEVER, READ, SECOND, monotonic
from corral.net.states import LINGER, LONGEST_LINGER, Flushing, Lingering, progress_due

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(autouse=True)
def no_descriptor_is_left():
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.fixture
def connect():
    """connect(app, **settings) → service, connection, the client's socket. All is closed behind the test."""
    made = []

    def make(app=hello, **settings):
        service = Told(app, **settings)
        connection, client = service.connect()
        made.append((service, connection, client))
        return made[-1]

    yield make
    for service, connection, client in made:
        client.close()
        connection.close()
        service.reactor.close()
        assert service.connections == 0


def bodies(received):
    """The bodies of responses that all say Content-Length; and that nothing else stands between them."""
    found = []
    while received:
        head, mark, received = received.partition(b"\r\n\r\n")
        assert mark, received
        fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(fields[b"Content-Length"])
        found.append(received[:length])
        assert len(found[-1]) == length
        received = received[length:]
    return found


# -- requests in pieces


@pytest.mark.parametrize("seed", range(25))
def test_any_requests_in_any_pieces(connect, seed):
    """A random pipeline cut at random: each request is begun once, ended once, and answered in its place."""
    chance = random.Random(seed)
    service, _, client = connect(request_memory=chance.choice([0, 1000, 1 << 20]))
    sent, expected = b"", []
    for _ in range(chance.randrange(1, 30)):
        body = chance.randbytes(chance.choice([1, 5, 300, 9000]))
        kind = chance.choice(["get", "length", "chunked", "empty"])
        if kind == "get":
            sent += GET
            expected.append(b"/a")
        elif kind == "length":
            sent += POST % len(body) + body
            expected.append(body)
        elif kind == "empty":
            sent += POST % 0
            expected.append(b"/b")
        else:
            cut = chance.randrange(len(body))
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:cut], body[cut:]) if part)
            sent += CHUNKED + chunks + b"0\r\n\r\n"
            expected.append(body)
    received, closed = b"", False
    while sent:
        size = chance.choice([1, 2, 10, 100, 5000, 100_000])
        more, closed = service.exchange_bytes(client, sent[:size])
        received += more
        assert not closed
        sent = sent[size:]
    assert bodies(received) == expected
    assert [line.split()[0] for line in service.told] == ["begin", "end"] * len(expected)


def test_a_request_that_comes_with_its_connection(connect):
    service = Told()
    client, server = socket.socketpair()
    with client:
        server.setblocking(False)
        client.sendall(GET)
        connection = Connection(server.detach(), "", service.origin())
        connection.ready(READ)
        assert client.recv(1000).endswith(b"/a")
        connection.close()
    service.reactor.close()


@pytest.mark.parametrize("said", [b"", b"GET", GET[:-1], POST % 5, POST % 5 + b"hell", CHUNKED + b"5\r\nhello\r\n"],
                         ids=["nothing", "a word", "a head", "no body", "a body", "chunks"])  # fmt: skip
def test_a_client_that_leaves_early_is_nobodys_fault(connect, said):
    service, connection, client = connect(request_memory=2)
    service.exchange_bytes(client, said)
    client.close()
    service.until(lambda: connection.fd < 0)
    assert (service.told, service.connections, service.reactor.handlers) == ([], 0, {})


# -- deadlines


def test_which_deadline_holds_when(connect):
    service, connection, client = connect(header=20, body=30, keepalive=2)
    assert 19 < left(connection) <= 20
    service.exchange_bytes(client, b"GET / HT")
    assert 19 < left(connection) <= 20
    service.exchange_bytes(client, b"TP/1.1\r\nHost: a\r\n\r\n")
    assert 1 < left(connection) <= 2
    service.exchange_bytes(client, b"\r\n")
    assert left(connection) <= 20
    service.exchange_bytes(client, POST % 5)
    assert 29 < left(connection) <= 30
    service.exchange_bytes(client, b"hello")
    assert 1 < left(connection) <= 2


def test_no_limit_is_no_deadline(connect):
    limits = {"header": NEVER, "body": NEVER, "write": NEVER, "keepalive": NEVER}
    service, connection, client = connect(**limits)
    for piece in (b"GET / HT", b"TP/1.1\r\nHost: a\r\n\r\n", POST % 5, b"hello"):
        service.exchange_bytes(client, piece)
        assert connection.due >= NEVER
        assert service.reactor.wake_at > monotonic() + 1000 * SECOND


def left(connection):
    return (connection.due - monotonic()) / SECOND


@pytest.mark.parametrize(("said", "answer"), [
    pytest.param(b"", b"", id="nothing at all"),
    pytest.param(b"\r\n", b"", id="an empty line"),
    pytest.param(GET, b"200", id="between requests"),
    pytest.param(GET + b"\r\n", b"200", id="between requests, an empty line"),
    pytest.param(b"GET", b"408", id="in a head"),
    pytest.param(POST % 5 + b"hell", b"408", id="in a body"),
])  # fmt: skip
def test_what_a_client_hears_when_its_time_is_over(connect, said, answer):
    service, connection, client = connect()
    received, _ = service.exchange_bytes(client, said)
    connection.expire(monotonic())
    more, closed = service.exchange_bytes(client, b"")
    assert (received + more)[9:12] == answer
    assert closed


@pytest.mark.parametrize(("now", "done", "timeout", "pace", "due"), [
    pytest.param(100, 0, 30, 0, 130, id="no minimum rate: so long without progress"),
    pytest.param(100, 0, 30, 2, 30, id="nothing came: the timeout from the start"),
    pytest.param(100, 50, 30, 2, 130, id="as fast as it must be"),
    pytest.param(100, 40, 30, 2, 110, id="too slow: before the timeout"),
    pytest.param(100, 10**9, 30, 2, 130, id="fast, then silent"),
])  # fmt: skip
def test_progress(now, done, timeout, pace, due):
    assert progress_due(now, 0, done, timeout, pace) == due


# -- answers


def large(environ, start_response):
    start_response("200 OK", [("Content-Length", str(5 << 20))])
    return [b"x" * (5 << 20)]


def test_a_reader_who_is_slow_is_waited_for_and_then_heard_again(connect):
    service, connection, client = connect(large)
    client.sendall(GET + GET)
    service.turn()
    handler = service.reactor.handlers[connection.fd]
    assert isinstance(handler, Flushing)
    assert 59 < left(handler) <= 60
    assert service.told == ["begin GET /a HTTP/1.1", f"end 200 {5 << 20}"]  # the second may not begin yet
    received, closed = service.exchange_bytes(client, b"")
    assert [len(body) for body in bodies(received)] == [5 << 20] * 2
    assert not closed
    assert service.reactor.handlers[connection.fd] is connection


def test_a_reader_who_takes_nothing_is_left(connect):
    service, connection, client = connect(large, write=0.02)
    client.sendall(GET)
    service.until(lambda: connection.fd < 0)
    assert service.connections == 0


def test_a_reader_who_leaves_is_left(connect):
    service, connection, client = connect(large)
    client.sendall(GET)
    service.turn()
    client.close()
    service.until(lambda: connection.fd < 0)
    assert service.connections == 0


def test_a_worker_that_leaves_says_so(connect):
    service, connection, client = connect()
    service.keeping = False
    received, closed = service.exchange_bytes(client, GET)
    assert b"\r\nConnection: close\r\n" in received
    assert closed
    assert connection.fd < 0


def test_a_worker_that_leaves_while_it_flushes_ends_the_connection(connect):
    service, _, client = connect(large)
    client.sendall(GET)
    service.turn()
    service.keeping = False
    received, closed = service.exchange_bytes(client, b"")
    assert len(bodies(received)[0]) == 5 << 20
    assert closed


# -- refusals


def test_the_refused_are_listened_to_for_a_while(connect):
    service, connection, client = connect(limits=Limits(body=10))
    client.sendall(POST % 100_000)
    service.turn()
    assert [line[:11] for line in service.told] == ["refused 413"]
    handler = service.reactor.handlers[connection.fd]
    assert isinstance(handler, Lingering)
    assert 0 < left(handler) <= LINGER / SECOND
    handler.end = handler.due = monotonic() + SECOND // 2
    received, closed = service.exchange_bytes(client, b"x" * 100_000)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert closed
    assert left(handler) <= 0.5  # it goes on sending, and can't stay
    assert LINGER < LONGEST_LINGER
    client.close()
    service.until(lambda: connection.fd < 0)


def test_the_refused_who_say_nothing_more_are_forgotten(connect):
    service, connection, client = connect()
    client.sendall(b"nonsense\r\n\r\n")
    service.turn()
    handler = service.reactor.handlers[connection.fd]
    handler.due = monotonic()
    service.reactor.wake_at = handler.due
    service.until(lambda: connection.fd < 0)
    assert client.recv(1000).startswith(b"HTTP/1.1 400 ")


# -- errors of an application


@pytest.mark.parametrize("error", [ValueError("a"), SystemExit(1), KeyboardInterrupt(), RecursionError()],
                         ids=lambda error: type(error).__name__)  # fmt: skip
def test_whatever_an_application_raises_is_answered(connect, error):
    def app(environ, start_response):
        raise error

    service, _, client = connect(app)
    received, closed = service.exchange_bytes(client, GET)
    assert received.startswith(b"HTTP/1.1 500 ")
    assert closed
    assert service.told == ["begin GET /a HTTP/1.1", f"failed {error!r}", "end 500 0"]


def test_a_body_that_has_no_room_is_refused_once(connect):
    service, connection, client = connect(request_memory=1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        received, closed = service.exchange_bytes(client, POST % 100_000 + b"x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert received.startswith(b"HTTP/1.1 507 ")
    assert closed
    assert service.told == ["refused 507 POST"]
    client.close()
    service.until(lambda: connection.fd < 0)


def test_a_body_whose_last_bytes_have_no_room_is_refused(connect):
    """They wait in the file object's own buffer until it is rewound."""
    service, connection, client = connect(request_memory=1000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        received, _ = service.exchange_bytes(client, POST % 10_010 + b"x" * 10_000)
        assert received == b""
        received, closed = service.exchange_bytes(client, b"x" * 10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert received.startswith(b"HTTP/1.1 507 ")
    assert closed
    assert [line for line in service.told if not line.startswith("begin")] == ["refused 507 POST"]
    client.close()
    service.until(lambda: connection.fd < 0)


# -- streams


def test_a_stream_is_read_as_it_comes(connect):
    seen = []

    def app(environ, start_response):
        seen.append(environ["wsgi.input"].read(3))
        client.sendall(b"lo")  # not before the first three are here
        seen.append(environ["wsgi.input"].read())
        start_response("200 OK", [("Content-Length", "0")])
        return []

    service, _, client = connect(app, streaming=True)
    received, closed = service.exchange_bytes(client, POST % 5 + b"hel")
    assert seen == [b"hel", b"lo"]
    assert b"Connection" not in received
    assert not closed


def test_a_stream_that_stops_is_an_error_of_the_client(connect):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    service, _, client = connect(app, streaming=True, body=0.02)
    received, closed = service.exchange_bytes(client, POST % 5 + b"hel")
    assert received.startswith(b"HTTP/1.1 408 ")
    assert closed
    assert service.told == ["begin POST /b HTTP/1.1", "refused 408 POST"]


def test_a_stream_that_stops_behind_the_head_of_the_answer_ends_it(connect):
    def app(environ, start_response):
        start_response("200 OK", [])(b"begun")
        return [environ["wsgi.input"].read()]

    service, _, client = connect(app, streaming=True, body=0.02)
    received, closed = service.exchange_bytes(client, POST % 5 + b"hel")
    assert received.count(b"HTTP/1.1 ") == 1
    assert received.endswith(b"5\r\nbegun\r\n")
    assert closed
    assert service.told[-1] == "refused 408 POST"


# -- the socket for an application


def test_the_socket_of_a_connection_is_made_when_it_is_asked_for():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        peer = PeerSocket(ours.fileno())
        assert peer.fileno() == ours.fileno()
        assert peer._socket is None
        peer.sendall(b"a")
        assert theirs.recv(1) == b"a"
        assert peer._socket.fileno() != ours.fileno()
        peer.close()
        theirs.sendall(b"b")
        assert ours.recv(1) == b"b"  # the connection is its own


def test_alarms_ring():
    """The tests' own deadline works: no test waits for ever."""
    service = Told()
    alarm = Alarm(service.reactor, SECOND // 100)
    service.until(lambda: alarm.rung)
    service.reactor.close()


# -- what an application keeps past its request


def test_what_is_kept_past_its_request_says_nothing_to_whoever_comes_next(connect):
    """start_response, write, early hints, a streamed body and the socket, of a request that is over."""
    kept = []

    def app(environ, start_response):
        if not kept:
            kept.append((environ, start_response, start_response("200 OK", [("Content-Length", "5")])))
            return [b"first"]
        before, late_start, late_write = kept[0]
        late_write(b"late")
        with pytest.raises(AppError, match="second time"):
            late_start("500 Late", [])
        before["wsgi.early_hints"]([("Link", "</late.css>")])
        assert before["wsgi.input"].read() == b""
        return hello(environ, start_response)

    service, connection, client = connect(app, streaming=True)
    received, _ = service.exchange_bytes(client, POST % 5 + b"12345")
    received, _ = service.exchange_bytes(client, POST % 3 + b"new")

    assert bodies(received) == [b"new"]
    client.close()
    service.until(lambda: connection.fd < 0)
    with pytest.raises(OSError):
        kept[0][0]["gunicorn.socket"].getpeername()


@pytest.mark.parametrize(
    "keep",
    [
        pytest.param(lambda environ, start, write: start, id="start_response"),
        pytest.param(lambda environ, start, write: write, id="write"),
        pytest.param(lambda environ, start, write: environ["wsgi.early_hints"], id="early hints"),
        pytest.param(lambda environ, start, write: environ, id="environ"),
    ],
)
def test_each_of_them_keeps_the_exchange_from_the_next_request(connect, keep):
    """The service uses an exchange again, but none of which an application still has anything."""
    kept = []

    def app(environ, start_response):
        write = start_response("200 OK", [])
        if environ["PATH_INFO"] == "/keep":
            kept.append(keep(environ, start_response, write))
        return [environ["PATH_INFO"].encode()]

    service, _, client = connect(app)
    paths = [b"/keep", b"/", b"/keep", b"/keep", b"/"]
    for path in paths:
        received, _ = service.exchange_bytes(client, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert bodies(received) == [path]

    exchanges = [getattr(late, "__self__", None) or late["wsgi.early_hints"].__self__ for late in kept]
    assert len({*map(id, exchanges), id(service.exchange)}) == 4
    assert all(exchange.transmit is over for exchange in exchanges)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        pytest.param(b"HEAD / HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n", "refused 400 HEAD", id="a field"),
        pytest.param(b"HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: a\r\n\r\n", "refused 501 HEAD", id="framing"),
        pytest.param(b"HEAD / HTTP/1.1\r\nA: " + b"b" * 70000, "refused 431 HEAD", id="a head that never ends"),
        pytest.param(b"HEAD / HTTP/7.1\r\nHost: a\r\n\r\n", "refused 505 -", id="no request line"),
    ],
)
def test_a_refused_request_is_told_with_its_line_if_it_has_one(connect, sent, told):
    service, _, client = connect()

    received, closed = service.exchange_bytes(client, sent)

    assert service.told == [told]
    assert closed
    assert received.endswith(b"\r\n\r\n") is told.endswith("HEAD"), "an answer to HEAD has no body"
