"""Requests that a loop finds at once: what is said to several clients in one turn, and written together at its end."""

import contextlib

import pytest
from live.frames import HANDSHAKE, echo_of, message
from live.server import private_memory, wait_until
from live.wire import APPS, Wire

KINDS = [
    b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /fast HTTP/1.0\r\n\r\n",
    b"HEAD /fast HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /large?one HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /stream HTTP/1.0\r\n\r\n",
    b"GET /hints HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /trailers HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n",
    b"GET /path_send HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /zero_copy HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /background HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /raises HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /raises_late HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /returns HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /returns_early HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /too_much HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /longer HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\nGET /large?two HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"no request\r\n\r\n",
    b"GET /fast HTTP/1.1\r\nHost: x\r\n\r\nno request\r\n\r\n",
]
EACH = 3
LAST = b"GET /fast HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(params=["asyncio", "uvloop"])
def server(make_server, request):
    return make_server().start("asgi_probe:app", "--chdir", str(APPS), "--asgi-loop", request.param)


@contextlib.contextmanager
def company(server, count, **options):
    """So many connections whose requests the loop will find at once: until the end of the block it is in a call."""
    with contextlib.ExitStack() as wires:
        blocking = wires.enter_context(Wire(server))
        crowd = [wires.enter_context(Wire(server, **options)) for _ in range(count)]
        for wire in crowd:
            assert wire.get("/fast").body == b"fast"  # all of them are in the loop's hands
        blocking.send(b"GET /block?0.2 HTTP/1.1\r\nHost: x\r\n\r\n")
        yield crowd
        assert blocking.response().body == b"blocked"


def said(wire):
    """All that the server says until it closes, without what differs from time to time."""
    lines = wire.rest().split(b"\r\n")
    return [line for line in lines if not line.startswith((b"Date:", b"Last-Modified:"))]


def closing(request):
    """The same, with a last request that ends the connection, where it doesn't end by itself."""
    return request if b"close" in request or b"HTTP/1.0" in request else request + LAST


def test_everybody_gets_what_he_would_get_alone(server):
    requests = [closing(request) for request in KINDS]
    alone = []
    for request in requests:
        with Wire(server) as wire:
            alone.append(said(wire.send(request)))
    assert all(lines[0].startswith(b"HTTP/1.1 ") for lines in alone)
    with company(server, EACH * len(requests)) as crowd:
        for wire, request in zip(crowd, requests * EACH, strict=True):
            wire.send(request)
        assert [said(wire) for wire in crowd] == alone * EACH


def test_who_reads_slowly_gets_all_of_it_and_holds_nobody_up(server):
    with company(server, 6, receive_buffer=4096) as crowd:
        targets = [f"/large?{number}" for number in range(300)]
        asked = "".join(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n" for target in targets).encode()
        for wire in crowd[:3]:
            wire.send(asked)
        for wire in crowd[3:]:
            assert wire.get("/fast").body == b"fast"
        for wire in crowd[:3]:
            for target in targets:
                assert wire.response().body.decode().rstrip(".") == target.partition("?")[2]
            assert wire.get("/fast").body == b"fast"


def test_who_streams_waits_for_its_reader(server):
    [worker] = server.workers
    with company(server, 12) as crowd:
        before = private_memory(worker)
        for wire in crowd[:6]:
            wire.send(b"GET /trickle HTTP/1.1\r\nHost: x\r\n\r\n")
        for wire in crowd[6:]:
            assert wire.get("/fast").body == b"fast"
        for wire in crowd[:6]:
            assert len(wire.exactly(1 << 20)) == 1 << 20
        assert private_memory(worker) - before < 8 << 20
        for wire in crowd[:6]:
            wire.leave()
        wait_until(lambda: crowd[6].get("/seen").json["lost"] == 6, "all six to be told that their readers have left")


def test_who_leaves_takes_nobody_along(server):
    with company(server, 30) as crowd:
        for number, wire in enumerate(crowd):
            wire.send(b"GET /large?%d HTTP/1.1\r\nHost: x\r\n\r\n" % number)
        for wire in crowd[::3]:
            wire.leave()
        for number, wire in enumerate(crowd):
            if number % 3:
                assert wire.response().body.rstrip(b".") == b"%d" % number
                assert wire.get("/fast").body == b"fast"


def test_a_worker_that_ends_says_what_was_said(server):
    """The application asks for its end in the middle of a turn: who was answered before it, and who after, hears so."""
    with company(server, 20) as crowd:
        for number, wire in enumerate(crowd):
            wire.send(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % (b"exits" if number == 10 else b"large?x"))
        bodies = [wire.response().body.rstrip(b".") for wire in crowd]
    assert bodies == [b"last words" if number == 10 else b"x" for number in range(20)]


def test_websockets_keep_their_order(server):
    words = [(0x81, b"%d" % number) for number in range(50)]
    with company(server, 20) as crowd:
        for wire in crowd:
            assert wire.send(HANDSHAKE % b"").until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        for first, payload in words:
            for wire in crowd:
                wire.send(message(first, payload))
        for wire in crowd:
            assert [echo_of(wire) for _ in words] == words
