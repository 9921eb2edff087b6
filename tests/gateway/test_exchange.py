"""How answers are framed, read back by an independent and strict client; and the rules of start_response (PEP 3333)."""

import contextlib
import gc
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any, NamedTuple

import pytest

from corral.errors import AppError
from corral.gateway.exchange import JOINED, Exchange, over
from corral.gateway.wsgi import run
from corral.http.head import HTTP_1_0, HTTP_1_1
from corral.http.response import Heads

PLAIN = [("Content-Type", "text/plain")]


class Wire:
    """An exchange that has begun, and the bytes that have left it."""

    def __init__(self, method: str = "GET", version: str = HTTP_1_1, keep_alive: bool = True) -> None:
        heads = Heads("corral")
        heads.set_date("Thu, 01 Jan 1970 00:00:00 GMT")
        self.method = method
        self.sent: list[bytes] = []
        self.last = False
        self.begin = lambda: Exchange(heads, method, version, keep_alive, self.transmit)
        self.exchange = self.begin()

    def transmit(self, data: bytes | memoryview, last: bool = False) -> None:
        assert not self.last, "bytes behind the last"
        assert len(data) > 0, "an empty write"
        self.sent.append(bytes(data))
        self.last = last

    def answer(self, app: Callable[..., Iterable[bytes]]) -> "Response":
        run(app, {}, self.exchange, None)
        return self.response

    @property
    def response(self) -> "Response":
        return read_response(b"".join(self.sent), self.method)


class Response(NamedTuple):
    status: int
    fields: dict[str, str]
    body: bytes
    framing: str  # none, length, chunked, close
    whole: bool


def read_response(raw: bytes, method: str) -> Response:
    """RFC 9112 §4 to §7 as a client that forgives nothing. All of `raw` must belong to the one response."""
    head, end, rest = raw.partition(b"\r\n\r\n")
    assert end, "the head doesn't end"
    first, *lines = head.decode("latin-1").split("\r\n")
    version, code, _ = first.split(" ", 2)
    assert version == "HTTP/1.1"
    assert len(code) == 3
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        assert colon, line
        assert name.lower() not in fields, f"{name} twice"
        fields[name.lower()] = value
    if method == "HEAD" or code[0] == "1" or code in ("204", "304"):
        assert rest == b"", "a body where none may be"
        assert "transfer-encoding" not in fields
        return Response(int(code), fields, b"", "none", True)
    if "transfer-encoding" in fields:
        assert fields["transfer-encoding"] == "chunked"
        assert "content-length" not in fields
        body, whole = read_chunks(rest)
        return Response(int(code), fields, body, "chunked", whole)
    if "content-length" in fields:
        length = int(fields["content-length"])
        assert len(rest) <= length, "bytes beyond Content-Length"
        return Response(int(code), fields, rest, "length", len(rest) == length)
    assert fields.get("connection") == "close"
    return Response(int(code), fields, rest, "close", True)


def read_chunks(rest: bytes) -> tuple[bytes, bool]:
    body = b""
    while rest:
        size, end, rest = rest.partition(b"\r\n")
        assert end
        length = int(size, 16)
        assert b"%x" % length == size
        assert rest[length : length + 2] == b"\r\n"
        body, rest = body + rest[:length], rest[length + 2 :]
        if length == 0:
            assert rest == b""
            return body, True
    return body, False


# -- the framing table

WAYS: dict[str, Callable[[list[bytes]], Any]] = {
    "a list": list,
    "a tuple": tuple,
    "a generator": lambda pieces: (piece for piece in pieces),
}
PIECES = {
    "nothing": [],
    "an empty piece": [b""],
    "one piece": [b"hello"],
    "three pieces": [b"hel", b"", b"lo"],
    "a large piece": [b"x" * (JOINED + 1)],
    "small and large pieces": [b"a", b"x" * (2 * JOINED), b"b"],
}


def application(status: str, length: int | None, pieces: list[bytes], way: str) -> Callable[..., Any]:
    headers = PLAIN if length is None else [*PLAIN, ("Content-Length", str(length))]

    def app(_: Any, start_response: Any) -> Any:
        write = start_response(status, headers)
        if way == "write()":
            for piece in pieces:
                write(piece)
            return []
        return WAYS[way](pieces)

    return app


@pytest.mark.parametrize("pieces", [pytest.param(value, id=key) for key, value in PIECES.items()])
@pytest.mark.parametrize("way", [*WAYS, "write()"])
@pytest.mark.parametrize("promise", ["no length", "the length", "too long", "too short", "a length of nothing"])
@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified", "404 Not Found"])
def test_framing(status: str, promise: str, way: str, pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    length = {
        "no length": None, "the length": len(data), "too long": len(data) + 3, "too short": max(0, len(data) - 3),
        "a length of nothing": 0,
    }[promise]  # fmt: skip
    for method, version, keep_alive in product(("GET", "HEAD", "POST"), (HTTP_1_1, HTTP_1_0), (True, False)):
        wire = Wire(method, version, keep_alive)
        response = wire.answer(application(status, length, pieces, way))
        check(response, wire.exchange, status, data, length)
        assert ("close" in response.fields.get("connection", "")) is (not keep_alive or response.framing == "close")
        if response.framing != "close" and response.whole:
            assert wire.exchange.keep_alive is keep_alive
            assert ("connection" in response.fields) is not (keep_alive and version is HTTP_1_1)
        else:
            assert not wire.exchange.keep_alive
        if version is HTTP_1_0:
            assert response.framing != "chunked"
        assert not (wire.last and wire.exchange.keep_alive)


def check(response: Response, exchange: Exchange, status: str, data: bytes, length: int | None) -> None:
    assert response.status == int(status[:3])
    assert response.fields["content-type"] == "text/plain"
    assert exchange.sent == len(response.body)
    if response.framing == "none":
        given = None if status.startswith("204") or length is None else str(length)
        assert response.fields.get("content-length") == given
        return
    assert response.body == data[:length]
    assert response.whole is (length is None or length <= len(data))
    assert exchange.surplus is (length is not None and length < len(data))
    if length is not None:
        assert response.framing == "length"


@pytest.mark.parametrize(("app", "framing"), [
    pytest.param(application("200 OK", None, [b"hello"], "a list"), "length", id="a list of one piece"),
    pytest.param(application("200 OK", None, [b"hello"], "a tuple"), "length", id="a tuple of one piece"),
    pytest.param(application("200 OK", None, [], "a list"), "length", id="an empty list"),
    pytest.param(application("200 OK", None, [], "a generator"), "length", id="a generator of nothing"),
    pytest.param(application("200 OK", None, [b""], "a generator"), "length", id="a generator of an empty piece"),
    pytest.param(application("200 OK", None, [b"hello"], "a generator"), "chunked", id="a generator"),
    pytest.param(application("200 OK", None, [b"hel", b"lo"], "a list"), "chunked", id="a list of two pieces"),
    pytest.param(application("200 OK", None, [b"hello"], "write()"), "chunked", id="write()"),
])  # fmt: skip
def test_framing_of_an_answer_without_a_length(app: Any, framing: str) -> None:
    assert Wire().answer(app).framing == framing
    old = Wire(version=HTTP_1_0)
    assert old.answer(app).framing == {"length": "length", "chunked": "close"}[framing]


def test_a_small_answer_leaves_in_one_write() -> None:
    wire = Wire()
    wire.answer(application("200 OK", None, [b"hello"], "a list"))
    assert len(wire.sent) == 1


def test_the_first_piece_leaves_with_the_head_at_once() -> None:
    wire = Wire()
    seen = []

    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b"one"
        seen.append(wire.sent[-1].endswith(b"3\r\none\r\n"))
        yield b"two"

    wire.answer(app)
    assert seen == [True]
    assert wire.sent[1:] == [b"3\r\ntwo\r\n", b"0\r\n\r\n"]


def test_an_empty_piece_doesnt_send_the_head() -> None:
    wire = Wire()

    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", PLAIN)
        yield b""
        assert not wire.sent
        start_response("500 Oh", PLAIN, (ValueError, ValueError(), None))
        yield b"sorry"

    assert wire.answer(app).status == 500


def test_the_last_write_says_so_only_if_the_connection_ends() -> None:
    app = application("200 OK", None, [b"hello"], "a list")
    for keep_alive in (True, False):
        wire = Wire(keep_alive=keep_alive)
        wire.answer(app)
        assert wire.last is not keep_alive


@pytest.mark.parametrize("keep_alive", [True, False])
def test_an_application_that_asks_to_close(keep_alive: bool) -> None:
    wire = Wire(keep_alive=keep_alive)

    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Connection", "close")])
        return [b"bye"]

    assert wire.answer(app).fields["connection"] == "close"
    assert not wire.exchange.keep_alive


def test_a_switch_of_protocols() -> None:
    wire = Wire()

    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("101 Switching Protocols", [("Upgrade", "chat"), ("Connection", "Upgrade")])
        return []

    response = wire.answer(app)
    assert (response.status, response.fields["connection"], response.fields["upgrade"]) == (101, "upgrade", "chat")
    assert "content-length" not in response.fields
    assert not wire.exchange.keep_alive


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "102 Processing", "103 Early Hints"])
def test_an_interim_status_is_no_answer(status: str) -> None:
    wire = Wire()
    with pytest.raises(AppError):
        wire.answer(application(status, None, [], "a list"))
    assert not wire.sent
    assert not wire.exchange.head_sent


@pytest.mark.parametrize(
    "late",
    [
        pytest.param(lambda exchange: exchange.start_response("200 OK", [])(b"late"), id="start_response and write"),
        pytest.param(lambda exchange: exchange.early_hints([("Link", "</a.css>")]), id="early hints"),
    ],
)
def test_what_an_application_keeps_past_its_request_writes_nowhere(late: Callable[[Exchange], object]) -> None:
    wire = Wire()
    wire.exchange.transmit = over

    with pytest.raises(AppError, match="over"):
        late(wire.exchange)

    assert wire.sent == []


def test_headers_that_change_in_place_are_never_taken_for_the_last_ones() -> None:
    headers: list[Any] = [["X-Number", "0"], ["Content-Length", "1"]]
    wire = Wire()
    for number in range(4):
        headers[0][1] = str(number)
        wire.sent.clear()
        wire.exchange = wire.begin()
        wire.exchange.start_response("200 OK", headers)
        wire.exchange.send_whole(b"a")
        assert wire.response.fields["x-number"] == str(number)


# -- start_response


def failure() -> tuple[Any, Any, Any]:
    try:
        raise ValueError("the application's own")
    except ValueError:
        return sys.exc_info()


def test_twice_without_exc_info() -> None:
    exchange = Wire().exchange
    exchange.start_response("200 OK", [])
    with pytest.raises(AppError):
        exchange.start_response("200 OK", [])


def test_exc_info_the_first_time() -> None:
    wire = Wire()
    wire.exchange.start_response("500 Oh", [], failure())
    wire.exchange.finish()
    assert wire.response.status == 500


def test_exc_info_before_the_head_is_sent_replaces_everything() -> None:
    wire = Wire()
    wire.exchange.start_response("200 OK", [("X-Old", "1"), ("Content-Length", "99")])
    wire.exchange.start_response("500 Oh", [("X-New", "1")], failure())
    wire.exchange.send_whole(b"sorry")
    response = wire.response
    assert (response.status, response.body) == (500, b"sorry")
    assert "x-new" in response.fields
    assert "x-old" not in response.fields


def test_exc_info_after_the_head_is_sent_raises_it_with_its_traceback() -> None:
    wire = Wire()
    wire.exchange.start_response("200 OK", [])
    wire.exchange.send(b"hel")
    info = failure()
    with pytest.raises(ValueError, match="the application's own") as raised:
        wire.exchange.start_response("500 Oh", [], info)
    assert raised.value is info[1]
    assert any(frame.name == "failure" for frame in raised.traceback)
    assert wire.exchange.status == "200 OK"


def test_exc_info_makes_no_cycle() -> None:
    class Watched(Exception):
        pass

    wire = Wire()
    wire.exchange.start_response("200 OK", [])
    wire.exchange.send(b"hel")
    gc.disable()
    try:
        with contextlib.suppress(Watched):
            try:
                raise Watched
            except Watched as error:
                watch = weakref.ref(error)
                wire.exchange.start_response("500 Oh", [], sys.exc_info())
        assert watch() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("status", [b"200 OK", 200, None])
def test_a_status_that_is_no_str(status: Any) -> None:
    with pytest.raises(AppError):
        Wire().exchange.start_response(status, [])


@pytest.mark.parametrize("body", [[b"hello"], [b"a", b"b"], [], iter([b"hello"]), [b""]])
def test_no_start_response(body: Any) -> None:
    wire = Wire()
    with pytest.raises(AppError, match="start_response"):
        wire.answer(lambda *_: body)
    assert not wire.sent


@pytest.mark.parametrize(
    "body", [["hello"], [b"a", "b"], ("hello",), iter(["hello"]), [None], [5], [bytearray(b"a")], "ab"]
)
def test_a_body_that_is_not_bytes(body: Any) -> None:
    wire = Wire()

    def app(_: Any, start_response: Any) -> Any:
        start_response("200 OK", PLAIN)
        return body

    with pytest.raises(AppError, match="bytes"):
        wire.answer(app)
    assert b"0\r\n\r\n" not in wire.sent  # what has been sent doesn't pass for a whole answer


def test_write_that_is_not_bytes() -> None:
    write = Wire().exchange.start_response("200 OK", [])
    with pytest.raises(AppError):
        write("hello")  # type: ignore[arg-type]


def test_write_and_then_an_iterable() -> None:
    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)(b"hel")
        return [b"lo"]

    for version, framing in ((HTTP_1_1, "chunked"), (HTTP_1_0, "close")):
        response = Wire(version=version).answer(app)
        assert (response.body, response.framing) == (b"hello", framing)


@pytest.mark.parametrize("headers", [
    [("X", "a\r\nY: b")], [("X\r\n", "a")], [("Content-Length", "5"), ("Content-Length", "6")], [("X", 5)], None,
    [None],
])  # fmt: skip
def test_bad_headers_send_nothing(headers: Any) -> None:
    wire = Wire()

    def app(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", headers)
        return [b"hello"]

    with pytest.raises((AppError, TypeError)):
        wire.answer(app)
    assert not wire.sent
    assert not wire.exchange.head_sent
