"""Heads: what an application may say, and what never reaches the wire."""

import pytest

from corral.errors import AppError
from corral.http import response
from corral.http.response import Heads, error_response

DATE = "Thu, 01 Jan 1970 00:00:00 GMT"


@pytest.fixture
def heads() -> Heads:
    heads = Heads("corral")
    heads.set_date(DATE)
    return heads


def lines(heads: Heads, *headers: tuple[str, str], status: str = "200 OK") -> list[bytes]:
    """The lines of the application's own headers."""
    return b"".join(heads.write(status, list(headers))).split(b"\r\n")[3:-1]


def test_a_head_begins_with_status_server_and_date(heads: Heads) -> None:
    assert heads.write("200 OK", []) == [f"HTTP/1.1 200 OK\r\nServer: corral\r\nDate: {DATE}\r\n".encode()]


def test_a_new_date_reaches_the_next_head(heads: Heads) -> None:
    heads.write("200 OK", [])
    heads.set_date("Thu, 01 Jan 1970 00:00:01 GMT")
    assert b"00:00:01" in heads.write("200 OK", [])[0]


@pytest.mark.parametrize(("status", "line"), [
    pytest.param("200 OK", b"HTTP/1.1 200 OK", id="common"),
    pytest.param("200", b"HTTP/1.1 200 ", id="no reason: its blank stays, RFC 9112 §4"),
    pytest.param("299 Odd", b"HTTP/1.1 299 Odd", id="unknown code"),
    pytest.param("404 No \xe9", b"HTTP/1.1 404 No \xe9", id="latin-1 reason"),
    pytest.param("999 Last", b"HTTP/1.1 999 Last", id="the last code"),
])  # fmt: skip
def test_status(heads: Heads, status: str, line: bytes) -> None:
    assert heads.write(status, [])[0].split(b"\r\n")[0] == line


@pytest.mark.parametrize("status", [
    "", "OK", "20 OK", "2000 OK", "2OO OK", "-20 OK", "099 OK", "000", "200OK", " 200 OK", "200\tOK",
    "\u0662\u0660\u0660 OK",
    "200 OK\r\nX: y", "200 OK\n", "200 \0", "200 \x7f", "200 \u20ac", "+20 OK", "2_0 OK",
])  # fmt: skip
def test_a_status_that_could_break_the_message(heads: Heads, status: str) -> None:
    with pytest.raises(AppError):
        heads.write(status, [])


@pytest.mark.parametrize(("status", "bodiless"), [
    ("200 OK", False), ("204 No Content", True), ("205 Reset Content", False), ("304 Not Modified", True),
    ("101 Switching Protocols", True), ("404 Not Found", False), ("500 Oh", False),
])  # fmt: skip
def test_what_a_status_forbids(heads: Heads, status: str, bodiless: bool) -> None:
    for _ in range(2):
        heads.write(status, [])
        assert heads.bodiless is bodiless


def test_headers_go_out_as_given_and_in_order(heads: Heads) -> None:
    for _ in range(2):  # the second time from memory
        assert lines(heads, ("X-B", "2"), ("x-a", "1"), ("X-B", "3")) == [b"X-B: 2", b"x-a: 1", b"X-B: 3"]


@pytest.mark.parametrize(("value", "line"), [
    pytest.param("", b"X: ", id="empty"),
    pytest.param(" \t a \t ", b"X: a", id="blanks around"),
    pytest.param("a\tb", b"X: a\tb", id="a tab inside"),
    pytest.param("caf\xe9", b"X: caf\xe9", id="latin-1"),
    pytest.param("a" * 5000, b"X: " + b"a" * 5000, id="long"),
    pytest.param("a: b; c=\"d\"", b'X: a: b; c="d"', id="punctuation"),
])  # fmt: skip
def test_values(heads: Heads, value: str, line: bytes) -> None:
    assert lines(heads, ("X", value)) == [line]
    assert lines(heads, ("X", value)) == [line]


@pytest.mark.parametrize("name", [
    "", " ", "X ", " X", "X:", "X Y", "X\r\nY", "X\n", "X\0", "X\xe9", "X(", "X/Y", "\u212a", "X\t", "X=Y", '"X"',
])  # fmt: skip
def test_names_that_are_no_token(heads: Heads, name: str) -> None:
    with pytest.raises(AppError):
        heads.write("200 OK", [(name, "a")])


@pytest.mark.parametrize("value", [
    "a\r\nX: y", "a\nX: y", "a\rX: y", "a\r\n b", "\r", "a\0", "a\x7f", "a\x1b", "a\x0b", "a\r\n", "\n", "\u20ac",
])  # fmt: skip
@pytest.mark.parametrize("name", ["X", "Set-Cookie", "Location", "Content-Length", "Connection", "Upgrade", "Server"])
def test_values_that_could_start_another_line(heads: Heads, name: str, value: str) -> None:
    for _ in range(2):
        with pytest.raises(AppError):
            heads.write("200 OK", [(name, value)])


@pytest.mark.parametrize("header", [
    pytest.param(("X", b"a"), id="bytes for a value"),
    pytest.param((b"X", "a"), id="bytes for a name"),
    pytest.param(("X", 1), id="a number"),
    pytest.param(("X", None), id="nothing"),
    pytest.param(("X",), id="one part"),
    pytest.param(("X", "a", "b"), id="three parts"),
    pytest.param(["X"], id="a list of one"),
    pytest.param(["X", 1], id="a list with a number"),
    pytest.param(("X", ["a"]), id="a list for a value"),
    pytest.param("X: a", id="a line"),
    pytest.param(None, id="None"),
    pytest.param(5, id="no pair at all"),
])  # fmt: skip
def test_headers_that_are_no_pair_of_str(heads: Heads, header: object) -> None:
    with pytest.raises(AppError):
        heads.write("200 OK", [header])  # type: ignore[list-item]


def test_lists_for_headers_work_as_elsewhere(heads: Heads) -> None:
    heads.write("200 OK", [["X", "a"], ("Content-Length", "5"), ["Y", "b"]])  # type: ignore[list-item]
    assert heads.length == 5
    out = b"".join(heads.write("200 OK", [["X", "a"], ["Content-Length", "5"]]))  # type: ignore[list-item]
    assert out.endswith(b"X: a\r\nContent-Length: 5\r\n")


@pytest.mark.parametrize("name", [
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailers", "Transfer-Encoding",
    "Upgrade", "Server", "Date", "transfer-encoding", "CONNECTION", "dAtE",
])  # fmt: skip
def test_what_is_the_servers_own_affair_is_passed_over(heads: Heads, name: str) -> None:
    for _ in range(2):
        assert lines(heads, ("X", "a"), (name, "chunked"), ("Y", "b")) == [b"X: a", b"Y: b"]


@pytest.mark.parametrize(("headers", "close"), [
    ([("Connection", "close")], True),
    ([("connection", "Foo, CLOSE")], True),
    ([("Connection", "keep-alive")], False),
    ([("Connection", "closed")], False),
    ([("Connection", "close"), ("Connection", "keep-alive")], True),
    ([("X", "close")], False),
    ([], False),
])  # fmt: skip
def test_an_application_may_ask_to_close(heads: Heads, headers: list[tuple[str, str]], close: bool) -> None:
    heads.write("200 OK", [("Connection", "close")])
    heads.write("200 OK", headers)
    assert heads.close is close


def test_an_application_may_switch_protocols(heads: Heads) -> None:
    heads.write("101 Switching Protocols", [("Upgrade", "websocket")])
    assert heads.upgrade == "websocket"
    heads.write("200 OK", [])
    assert heads.upgrade == ""


@pytest.mark.parametrize(("values", "length"), [
    pytest.param([], None, id="none"),
    pytest.param(["5"], 5, id="one"),
    pytest.param(["0"], 0, id="nothing"),
    pytest.param([" 5 "], 5, id="between blanks"),
    pytest.param(["5", "5"], 5, id="two equal"),
    pytest.param(["5", "5", "5"], 5, id="three equal"),
    pytest.param(["5", "05"], 5, id="two that mean the same"),
])  # fmt: skip
def test_content_length_goes_out_once(heads: Heads, values: list[str], length: int | None) -> None:
    headers = [("Content-Length" if number % 2 else "content-length", value) for number, value in enumerate(values)]
    for _ in range(3):
        assert len(lines(heads, *headers)) == min(1, len(values))
        assert heads.length == length


@pytest.mark.parametrize("value", [
    "", " ", "-1", "+1", "1_0", "0x5", "5.0", "5, 5", "five", "\u0665", "\xb2", "1" * 19, "5 5", "5;",
])  # fmt: skip
def test_content_length_is_a_number(heads: Heads, value: str) -> None:
    for _ in range(2):
        with pytest.raises(AppError):
            heads.write("200 OK", [("Content-Length", value)])


@pytest.mark.parametrize("order", [("5", "6"), ("6", "5"), ("0", "5"), ("5", "5", "6")])
def test_two_lengths_are_refused_also_from_memory(heads: Heads, order: tuple[str, ...]) -> None:
    for value in ("5", "6", "0"):
        heads.write("200 OK", [("Content-Length", value)])
    for _ in range(2):
        with pytest.raises(AppError):
            heads.write("200 OK", [("Content-Length", value) for value in order])


def test_an_application_cant_fill_the_memory(heads: Heads) -> None:
    for number in range(3 * response.MOST_LINES):
        heads.write(f"200 {number}", [("X", str(number)), ("Content-Length", str(number)), ("ETag", str(number))])
        assert heads.length == number
    assert len(heads.lines) <= response.MOST_LINES
    assert len(heads.lengths) <= response.MOST_LINES
    assert len(heads.starts) <= 64
    assert not [name for name, _ in heads.lines if name == "ETag"]


def test_an_error_response_is_whole() -> None:
    raw = error_response(431, 'a <b> & "c"', DATE, "corral")
    head, _, page = raw.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 431 Request Header Fields Too Large", b"Server: corral", f"Date: {DATE}".encode(),
        b"Connection: close", b"Content-Type: text/html", b"Content-Length: %d" % len(page),
    ]  # fmt: skip
    assert b"a &lt;b&gt; &amp; &quot;c&quot;" in page


def test_an_error_response_to_head_has_no_body() -> None:
    whole, head = (error_response(404, "", DATE, "corral", body=body) for body in (True, False))
    assert whole.startswith(head)
    assert head.endswith(b"\r\n\r\n")


def test_method_not_allowed_says_what_is() -> None:
    assert b"\r\nAllow: GET, " in error_response(405, "", DATE, "corral")


@pytest.mark.parametrize("status", [400, 408, 413, 414, 417, 431, 500, 501, 503, 505, 507])
def test_each_refusal_has_its_reason(status: int) -> None:
    assert error_response(status, "", DATE, "corral").split(b"\r\n")[0] != b"HTTP/1.1 %d Error" % status
