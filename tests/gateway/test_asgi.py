"""Scopes, and one request's conversation: which bytes come of which messages, and which messages may not come."""

import pytest

from corral.errors import AppError, PeerError
from corral.gateway.asgi import (
    OVER,
    AsgiHeads,
    Conversation,
    Mount,
    base_scope,
    headers_of,
    keeper,
    mounted,
    read_headers,
    read_target,
)
from corral.gateway.websocket import WebSocket, answer_headers, subprotocols
from corral.gateway.wsgi import Trust
from corral.http.head import HTTP_1_0, HTTP_1_1, read_request_line

HEAD = b"HTTP/1.1 200 OK\r\nServer: s\r\nDate: d\r\n"
START = {"type": "http.response.start", "status": 200, "headers": []}


class Wire:
    def __init__(self, method="GET", version=HTTP_1_1, keep_alive=True):
        heads = AsgiHeads("s")
        heads.set_date("d")
        self.sent = b""
        self.talk = Conversation(heads, method, version, keep_alive, self.transmit)

    def transmit(self, data, last=False):
        self.sent += bytes(data)

    def say(self, *messages):
        for message in messages:
            self.talk.respond(message)
        return self


def body(data=b"", more=False):
    return {"type": "http.response.body", "body": data, "more_body": more}


def start(*headers, status=200, **more):
    return {"type": "http.response.start", "status": status, "headers": list(headers), **more}


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        pytest.param([START, body(b"hi")], HEAD + b"Content-Length: 2\r\n\r\nhi", id="one piece has a length"),
        pytest.param(
            [START, body(b"a", True), body(b"b")],
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
            id="several are chunks",
        ),
        pytest.param(
            [START, body(b"", True)], HEAD + b"Transfer-Encoding: chunked\r\n\r\n", id="an empty one sends the head"
        ),
        pytest.param(
            [start((b"content-length", b"2")), body(b"a", True), body(b"b")],
            HEAD + b"Content-Length: 2\r\n\r\nab",
            id="a length that was said",
        ),
        pytest.param(
            [start((b"content-length", b"1")), body(b"ab")], HEAD + b"Content-Length: 1\r\n\r\na", id="never more"
        ),
        pytest.param([{"type": "http.response.start", "status": 204}, {"type": "http.response.body"}],
            HEAD.replace(b"200 OK", b"204 No Content") + b"\r\n", id="no body, and nothing that is optional"),
        pytest.param([start(status=299), body()], HEAD.replace(b"200 OK", b"299 ") + b"Content-Length: 0\r\n\r\n",
            id="a status without a name"),
        pytest.param([start([b"x", b"1"]), body()], HEAD + b"x: 1\r\nContent-Length: 0\r\n\r\n", id="headers as lists"),
        pytest.param([START, body(bytearray(b"hi"))], HEAD + b"Content-Length: 2\r\n\r\nhi", id="a bytearray"),
        pytest.param([start(trailers=True), body(b"x"), {"type": "http.response.trailers", "headers": [(b"a", b"b")]}],
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", id="trailers nobody takes are dropped"),
    ],
)  # fmt: skip
def test_messages_become_bytes(messages, sent):
    assert Wire().say(*messages).sent == sent


def test_the_same_head_twice_is_the_same():
    wire = Wire()
    wire.say(start((b"content-length", b"2"), (b"x", b"y")), body(b"ab"))
    first = wire.sent
    again = Conversation(wire.talk.heads, "GET", HTTP_1_1, True, wire.transmit)
    again.respond(start((b"content-length", b"2"), (b"x", b"y")))
    again.respond(body(b"ab"))
    assert wire.sent == first * 2


def test_head_has_a_length_and_no_body():
    wire = Wire("HEAD").say(start((b"content-length", b"5")), body(b"hello"))
    assert wire.sent == HEAD + b"Content-Length: 5\r\n\r\n"
    assert wire.talk.stage == OVER
    assert wire.talk.keep_alive


def test_http_1_0_ends_with_its_connection():
    wire = Wire(version=HTTP_1_0).say(START, body(b"a", True), body(b"b"))
    assert wire.sent == HEAD + b"Connection: close\r\n\r\nab"
    assert not wire.talk.keep_alive


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        pytest.param([body()], "may come now is http.response.start", id="a body first"),
        pytest.param([START, START], "may come now is http.response.body", id="two starts"),
        pytest.param([START, body(), body()], "the response is complete", id="after the end"),
        pytest.param([start(trailers=True), body(), body()], "is http.response.trailers", id="a body for trailers"),
        pytest.param([{"type": "http.response.push"}], "http.response.push", id="what nobody has offered"),
        pytest.param([start(status="200")], "a number of three digits", id="a status that is text"),
        pytest.param([start(status=1000)], "a number of three digits", id="a status that is none"),
        pytest.param([start(status=100), body()], "no final status", id="an interim status"),
        pytest.param([START, body("text")], "must be bytes, not str", id="a body that is text"),
        pytest.param([start(("a", "b")), body()], "must be two byte strings", id="headers that are text"),
        pytest.param([start((b"a", b"b", b"c")), body()], "must be two byte strings", id="three of them"),
        pytest.param([start((b"a", b"b\nc")), body()], "has a control character", id="a header that would be two"),
        pytest.param([start((b"content-length", b"x")), body()], "which is no number", id="a length that is none"),
        pytest.param(
            [start(trailers=True), body(), {"type": "http.response.trailers", "headers": [(b"content-length", b"1")]}],
            "can't be a trailer", id="a trailer that frames",
        ),
    ],
)  # fmt: skip
def test_what_may_not_come_is_named(messages, said):
    with pytest.raises(AppError, match=said):
        Wire().say(*messages)


def test_a_body_that_is_shorter_than_its_length_ends_the_connection():
    assert not Wire().say(start((b"content-length", b"3")), body(b"ab")).talk.keep_alive


def test_a_file_is_framed_like_any_piece():
    wire = Wire().say(START)
    assert wire.talk.frame_file(5, more=False) == (HEAD + b"Content-Length: 5\r\n\r\n", 5, b"")
    wire = Wire().say(START)
    assert wire.talk.frame_file(5, more=True)[0].endswith(b"chunked\r\n\r\n5\r\n")
    assert wire.talk.frame_file(0, more=True) == (b"", 0, b"")
    wire = Wire().say(start((b"content-length", b"3")))
    assert wire.talk.frame_file(5, more=False)[1:] == (3, b"")
    assert wire.talk.surplus


# -- scopes


@pytest.mark.parametrize(
    ("line", "target"),
    [
        pytest.param(b"GET /a%20b?c=%20d HTTP/1.1", ("GET", "/a b", b"/a%20b", b"c=%20d", "1.1"), id="decoded"),
        pytest.param(b"GET /%C3%A9 HTTP/1.0", ("GET", "/é", b"/%C3%A9", b"", "1.0"), id="UTF-8"),
        pytest.param(b"GET /%FF HTTP/1.1", ("GET", "/\ufffd", b"/%FF", b"", "1.1"), id="no UTF-8"),
        pytest.param(b"GET http://x/y?z HTTP/1.1", ("GET", "/y", b"/y", b"z", "1.1"), id="the absolute form"),
        pytest.param(b"OPTIONS * HTTP/1.1", ("OPTIONS", "*", b"*", b"", "1.1"), id="an asterisk"),
    ],
)
def test_a_request_line_becomes_the_scopes_keys(line, target):
    assert read_target(read_request_line(line), line) == target


@pytest.mark.parametrize(
    ("path", "wanted"),
    [("/x", "/api/x"), ("/api/x", "/api/x"), ("/api", "/api"), ("/apix", "/api/apix"), ("/", "/api/")],
)
def test_the_path_begins_with_the_root_path(path, wanted):
    scope = base_scope(Mount(Trust(), "/api"), client=None, server=("s", 1))
    scope["path"], scope["raw_path"] = path, path.encode()
    mounted(scope, "/api")
    assert (scope["path"], scope["raw_path"], scope["root_path"]) == (wanted, wanted.encode(), "/api")


@pytest.mark.parametrize(
    ("trust", "trusted", "kept"),
    [
        pytest.param(Trust(), False, False, id="dropped"),
        pytest.param(Trust(header_map="dangerous"), False, True, id="passed on, dangerously"),
        pytest.param(Trust(forwarder_headers=("X_USER",)), True, True, id="a trusted proxy's"),
        pytest.param(Trust(forwarder_headers=("X_USER",)), False, False, id="a stranger's"),
    ],
)
def test_names_with_an_underscore(trust, trusted, kept):
    headers = read_headers(b"Host: x\r\nX_User:  me \r\nX-User: y", keeper(trust, trusted))
    assert ((b"x_user", b"me") in headers) == kept
    assert headers[0] == (b"host", b"x")


def test_headers_from_cgi_keys():
    fields = {"HTTP_X_A": "1", "CONTENT_TYPE": "t", "SERVER_NAME": "s"}
    assert headers_of(fields) == [(b"x-a", b"1"), (b"content-type", b"t")]


# -- WebSockets

UPGRADE = [
    (b"connection", b"Upgrade"), (b"upgrade", b"websocket"), (b"sec-websocket-version", b"13"),
    (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="), (b"sec-websocket-protocol", b"a, b"),
]  # fmt: skip
GET = read_request_line(b"GET /ws HTTP/1.1")


def test_a_handshake_is_answered():
    socket = WebSocket(GET, UPGRADE, 0)
    assert socket.handshake == [(b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")]  # RFC 6455 §1.3
    headers = answer_headers(socket, {"subprotocol": "b"}, subprotocols(UPGRADE))
    assert headers[1:] == [(b"Sec-WebSocket-Protocol", b"b")]
    with pytest.raises(AppError, match="hasn't offered"):
        answer_headers(socket, {"subprotocol": "c"}, ["a", "b"])


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(UPGRADE[:3], 400, id="no key"),
        pytest.param([*UPGRADE[:2], (b"sec-websocket-version", b"8"), UPGRADE[3]], 400, id="another version"),
        pytest.param(UPGRADE[1:], 426, id="no upgrade"),
    ],
)
def test_what_is_no_handshake_is_refused(headers, status):
    with pytest.raises(PeerError) as caught:
        WebSocket(GET, headers, 0)
    assert caught.value.status == status


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 255, 256, 65535, 65536, 100_000])
def test_a_message_of_every_kind_of_length_is_read_and_written(length):
    payload = b"x" * length
    size = (
        bytes((0x80 | length,)) if length < 126
        else b"\xfe" + length.to_bytes(2, "big") if length < 65536
        else b"\xff" + length.to_bytes(8, "big")
    )  # fmt: skip
    frame = b"\x82" + size + bytes(4) + payload
    for cuts in ([frame], [frame[:1], frame[1:]], [frame[: len(frame) // 2], frame[len(frame) // 2 :]]):
        socket = WebSocket(GET, UPGRADE, 0)
        messages = [message for data in cuts for message in socket.receive(data)]
        assert messages == [{"type": "websocket.receive", "bytes": payload}]
        assert socket.clean
    socket.send({"type": "websocket.send", "bytes": payload})
    assert socket.take() == b"\x82" + (bytes((size[0] & 0x7F,)) + size[1:]) + payload


def test_the_limit_holds_for_whole_frames_too():
    socket = WebSocket(GET, UPGRADE, 10)
    assert socket.receive(b"\x82\x8b" + bytes(4) + b"x" * 11) == []
    assert socket.close_code == 1009
