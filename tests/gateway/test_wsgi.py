"""What an application is told of its request, what is believed of a proxy, and one call from start to close()."""

import gzip
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from wsgiref.validate import validator

import pytest

from corral.errors import AppError, PeerError
from corral.gateway.exchange import Exchange
from corral.gateway.wsgi import (
    NO_INPUT,
    Errors,
    FileWrapper,
    Trust,
    base_environ,
    cgi_keys,
    prepare_plain,
    prepare_trusted,
    run,
    strip_script_name,
)
from corral.http.head import HTTP_1_0, HTTP_1_1, Limits
from corral.http.inbound import NAMES, Inbound
from corral.http.response import Heads

BASE = base_environ(
    server=("127.0.0.1", "8000"),
    software="corral",
    multithread=False,
    multiprocess=True,
    script_name="",
    errors=Errors(),
)


class Wire:
    def __init__(self, method: str = "GET", version: str = HTTP_1_1) -> None:
        self.sent = b""
        heads = Heads("corral")
        self.exchange = Exchange(heads, method, version, True, self.transmit)

    def transmit(self, data: bytes | memoryview, last: bool = False) -> None:
        self.sent += data

    @property
    def body(self) -> bytes:
        return self.sent.partition(b"\r\n\r\n")[2]


def environ_of(head: bytes, prepare: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
    """The environ as a connection makes it of a request."""
    inbound = Inbound(BASE, Limits(), prepare)
    assert inbound.receive(head)
    environ = inbound.fields
    environ["REQUEST_METHOD"], environ["RAW_URI"], environ["PATH_INFO"], environ["QUERY_STRING"], *_ = inbound.line
    return environ


# -- environ


def test_environ_has_what_pep_3333_asks_for() -> None:
    environ = environ_of(b"GET /a%20b?c=d HTTP/1.1\r\nHost: a.example\r\nContent-Type: x/y\r\nX-A: 1\r\n\r\n")
    assert {key: environ[key] for key in sorted(environ) if not key.startswith("wsgi.")} == {
        "CONTENT_TYPE": "x/y", "HTTP_HOST": "a.example", "HTTP_X_A": "1", "PATH_INFO": "/a b", "QUERY_STRING": "c=d",
        "RAW_URI": "/a%20b?c=d", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000", "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_SOFTWARE": "corral",
    }  # fmt: skip
    assert {key: environ[key] for key in environ if key.startswith("wsgi.")} == {
        "wsgi.version": (1, 0), "wsgi.url_scheme": "http", "wsgi.input": NO_INPUT, "wsgi.input_terminated": True,
        "wsgi.errors": BASE["wsgi.errors"], "wsgi.multithread": False, "wsgi.multiprocess": True,
        "wsgi.run_once": False, "wsgi.file_wrapper": FileWrapper, "wsgi.early_hints": None,
    }  # fmt: skip
    assert type(environ) is dict


def test_the_validator_of_the_standard_library_is_content() -> None:
    @validator
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        assert environ["wsgi.input"].read(10) == b""
        environ["wsgi.errors"].flush()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"hello"]

    wire = Wire()
    run(app, environ_of(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), wire.exchange, None)
    assert wire.sent.endswith(b"hello\r\n0\r\n\r\n")


def test_the_input_of_nothing_serves_all() -> None:
    assert NO_INPUT.read() == NO_INPUT.readline() == b""
    assert list(NO_INPUT) == []
    with NO_INPUT:
        pass
    NO_INPUT.close()
    assert NO_INPUT.read(5) == b""
    for write in (lambda: NO_INPUT.write(b"a"), lambda: NO_INPUT.writelines([b"a"])):
        with pytest.raises(io.UnsupportedOperation):
            write()
    assert NO_INPUT.getvalue() == b""


def test_errors_go_to_what_stderr_is_at_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    errors = Errors()
    errors.write("one\n")
    errors.writelines(["two\n", "three\n"])
    errors.flush()
    print("four", file=errors)
    assert capsys.readouterr().err == "one\ntwo\nthree\nfour\n"
    other, before = io.StringIO(), sys.stderr
    sys.stderr = other
    try:
        errors.write("five")
    finally:
        sys.stderr = before
    assert other.getvalue() == "five"


# -- trust

SCHEMES = cgi_keys({"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"})
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"


def trusting(**more: Any) -> Trust:
    NAMES.notable.update(key for key, _ in SCHEMES)
    for name in [name for name, key in NAMES.items() if key in NAMES.notable]:
        del NAMES[name]  # another test may have learnt it
    return Trust(**{"secure_scheme_headers": SCHEMES, "forwarder_headers": ("SCRIPT_NAME", "REMOTE_USER"), **more})


def test_keys_of_the_scheme_headers() -> None:
    assert SCHEMES == (
        ("HTTP_X_FORWARDED_PROTOCOL", "ssl"), ("HTTP_X_FORWARDED_PROTO", "https"), ("HTTP_X_FORWARDED_SSL", "on"),
    )  # fmt: skip


@pytest.mark.parametrize(("fields", "scheme"), [
    pytest.param(b"", "http", id="nothing said"),
    pytest.param(b"X-Forwarded-Proto: https\r\n", "https", id="https"),
    pytest.param(b"X-Forwarded-Proto: HTTPS\r\n", "https", id="in upper case"),
    pytest.param(b"X-Forwarded-Proto: http\r\n", "http", id="http"),
    pytest.param(b"X-Forwarded-Proto: ws\r\n", "http", id="something else"),
    pytest.param(b"X-Forwarded-Proto:\r\n", "http", id="empty"),
    pytest.param(b"X-Forwarded-Ssl: on\r\n", "https", id="another header"),
    pytest.param(b"X-Forwarded-Protocol: ssl\r\n", "https", id="a third header"),
    pytest.param(b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on\r\n", "https", id="two that agree"),
    pytest.param(b"X-Forwarded-Proto: https, https\r\n", "https", id="two hops that agree"),
    pytest.param(b"X-Forwarded-Proto: https, http\r\n", "http", id="two hops that don't"),
    pytest.param(b"X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http\r\n", "http", id="the first one forged"),
])  # fmt: skip
def test_a_trusted_proxy_says_the_scheme(fields: bytes, scheme: str) -> None:
    trust = trusting()
    environ = environ_of(HEAD + fields + b"\r\n", lambda fields: prepare_trusted(fields, trust))
    assert environ["wsgi.url_scheme"] == scheme
    stranger = environ_of(HEAD + fields + b"\r\n", lambda fields: prepare_plain(fields, trust))
    assert stranger["wsgi.url_scheme"] == "http"
    assert BASE["wsgi.url_scheme"] == "http"


def test_scheme_headers_that_contradict_each_other() -> None:
    trust, head = trusting(), HEAD + b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n\r\n"
    with pytest.raises(PeerError) as refusal:
        environ_of(head, lambda fields: prepare_trusted(fields, trust))
    assert refusal.value.status == 400
    environ_of(head, lambda fields: prepare_plain(fields, trust))  # a stranger is not heard at all


DROPPED, REFUSED = None, 400


@pytest.mark.parametrize(("header_map", "trusted", "name", "outcome"), [
    pytest.param("drop", False, b"X_Odd", DROPPED, id="drop, a stranger"),
    pytest.param("drop", True, b"X_Odd", DROPPED, id="drop, a proxy, a name that isn't in forwarder_headers"),
    pytest.param("drop", False, b"Remote_User", DROPPED, id="drop, a stranger, a name in forwarder_headers"),
    pytest.param("drop", True, b"Remote_User", "v", id="drop, a proxy, a name in forwarder_headers"),
    pytest.param("refuse", False, b"X_Odd", REFUSED, id="refuse, a stranger"),
    pytest.param("refuse", True, b"X_Odd", REFUSED, id="refuse, a proxy"),
    pytest.param("refuse", False, b"REMOTE_USER", REFUSED, id="refuse, a stranger, a name in forwarder_headers"),
    pytest.param("refuse", True, b"REMOTE_USER", "v", id="refuse, a proxy, a name in forwarder_headers"),
    pytest.param("dangerous", False, b"X_Odd", "v", id="dangerous, a stranger"),
    pytest.param("dangerous", True, b"X-Odd_Name", "v", id="dangerous, a proxy, hyphens too"),
    pytest.param("dangerous", False, b"Content_Length", REFUSED, id="dangerous, but not a second length"),
    pytest.param("dangerous", False, b"Content_Type", REFUSED, id="dangerous, but not a second type"),
    pytest.param("dangerous", False, b"Transfer_Encoding", REFUSED, id="dangerous, but not a second framing"),
    pytest.param("drop", False, b"Content_Length", DROPPED, id="drop, a length"),
])  # fmt: skip
def test_underscores(header_map: str, trusted: bool, name: bytes, outcome: object) -> None:
    trust = trusting(header_map=header_map)
    prepare = prepare_trusted if trusted else prepare_plain
    head = HEAD + name + b": v\r\n\r\n"
    for _ in range(2):  # a name that is known already is judged as well
        if outcome == REFUSED:
            with pytest.raises(PeerError) as refusal:
                environ_of(head, lambda fields: prepare(fields, trust))
            assert refusal.value.status == 400
            continue
        environ = environ_of(head, lambda fields: prepare(fields, trust))
        assert environ.get("HTTP_" + name.decode().upper().replace("-", "_")) == outcome
        assert not [key for key in environ if key.startswith("_")]


def test_every_forwarder_header() -> None:
    trust = trusting(forwarder_headers=("*",))
    environ = environ_of(HEAD + b"X_Any: v\r\n\r\n", lambda fields: prepare_trusted(fields, trust))
    assert environ["HTTP_X_ANY"] == "v"


def test_a_forged_name_doesnt_replace_the_proxys() -> None:
    head = HEAD + b"X-Real-IP: 192.0.2.1\r\nX_Real_IP: 6.6.6.6\r\n\r\n"
    for header_map, value in (("drop", "192.0.2.1"), ("dangerous", "192.0.2.1,6.6.6.6")):
        trust = trusting(header_map=header_map)
        environ = environ_of(head, lambda fields, trust=trust: prepare_plain(fields, trust))  # type: ignore[misc]
        assert environ["HTTP_X_REAL_IP"] == value


def test_script_name_of_a_proxy_is_the_mount_point() -> None:
    trust = trusting()
    head = b"GET /mount/page HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /mount\r\n\r\n"
    environ = environ_of(head, lambda fields: prepare_trusted(fields, trust))
    strip_script_name(environ)
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/mount", "/page")
    assert environ_of(head, lambda fields: prepare_plain(fields, trust))["SCRIPT_NAME"] == ""
    dangerous = trusting(header_map="dangerous")
    assert environ_of(head, lambda fields: prepare_plain(fields, dangerous))["SCRIPT_NAME"] == ""


@pytest.mark.parametrize(("script_name", "path", "rest"), [
    ("/a", "/a", ""), ("/a", "/a/", "/"), ("/a", "/a/b", "/b"), ("/a/b", "/a/b/c", "/c"), ("/a/", "/a/b", "b"),
    ("/a", "/b", None), ("/a", "/", None), ("/a", "/ab", None), ("/a", "*", None), ("/a", "/A/b", None),
    ("/a", "", None),
])  # fmt: skip
def test_script_name_is_cut_off_the_path(script_name: str, path: str, rest: str | None) -> None:
    environ = {"SCRIPT_NAME": script_name, "PATH_INFO": path}
    if rest is not None:
        strip_script_name(environ)
        assert environ == {"SCRIPT_NAME": script_name, "PATH_INFO": rest}
        return
    with pytest.raises(PeerError) as refusal:
        strip_script_name(environ)
    assert refusal.value.status == 500


# -- one call, and close() exactly once


class Result:
    """An iterable that counts what is done with it."""

    def __init__(self, *pieces: bytes, fails: bool = False, length: int | None = None) -> None:
        self.pieces = pieces
        self.fails = fails
        self.closed = 0
        self.asked = 0
        if length is not None:
            self.__class__ = type("Sized", (Result,), {"__len__": lambda _: length})

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            self.asked += 1
            yield piece
        if self.fails:
            raise ValueError("in the middle")

    def close(self) -> None:
        self.closed += 1


def call(result: Any, headers: list[tuple[str, str]] | None = None, method: str = "GET", sender: Any = None) -> Wire:
    wire = Wire(method)

    def app(_: Any, start_response: Any) -> Any:
        start_response("200 OK", headers or [])
        return result

    run(app, {}, wire.exchange, sender)
    return wire


@pytest.mark.parametrize(("result", "headers"), [
    pytest.param(lambda: Result(), [], id="nothing"),
    pytest.param(lambda: Result(b"a"), [], id="one piece"),
    pytest.param(lambda: Result(b"a", length=1), [], id="one piece that says so"),
    pytest.param(lambda: Result(b"a", b"b"), [], id="two pieces"),
    pytest.param(lambda: Result(b"a", b"b"), [("Content-Length", "2")], id="with its length"),
    pytest.param(lambda: Result(b"a", b"b"), [("Content-Length", "1")], id="longer than its length"),
    pytest.param(lambda: Result(b"a", b"b"), [("Content-Length", "9")], id="shorter than its length"),
])  # fmt: skip
def test_the_iterable_is_closed_once(result: Callable[[], Result], headers: list[tuple[str, str]]) -> None:
    for method in ("GET", "HEAD"):
        made = result()
        call(made, headers, method)
        assert made.closed == 1


@pytest.mark.parametrize(("result", "error"), [
    pytest.param(Result(fails=True), ValueError, id="the application fails before the first piece"),
    pytest.param(Result(b"a", fails=True), ValueError, id="the application fails behind the first piece"),
    pytest.param(Result("a"), AppError, id="a piece of str"),  # type: ignore[arg-type]
    pytest.param(Result("a", length=1), AppError, id="the only piece, of str"),  # type: ignore[arg-type]
    pytest.param(Result(b"a", "b"), AppError, id="a second piece of str"),  # type: ignore[arg-type]
])  # fmt: skip
def test_the_iterable_is_closed_once_when_something_fails(result: Result, error: type[Exception]) -> None:
    with pytest.raises(error):
        call(result)
    assert result.closed == 1


def test_the_iterable_is_closed_when_the_client_has_gone() -> None:
    result = Result(b"a", b"b")

    def gone(_: bytes | memoryview, last: bool = False) -> None:
        raise ConnectionError

    wire = Wire()
    wire.exchange.transmit = gone

    def app(_: Any, start_response: Any) -> Result:
        start_response("200 OK", [])
        return result

    with pytest.raises(ConnectionError):
        run(app, {}, wire.exchange, None)  # type: ignore[arg-type]
    assert (result.asked, result.closed) == (1, 1)


def test_the_iterable_is_closed_when_start_response_was_not_called() -> None:
    result = Result(b"a")
    with pytest.raises(AppError):
        run(lambda *_: result, {}, Wire().exchange, None)  # type: ignore[arg-type, return-value]
    assert result.closed == 1


def test_what_close_raises_comes_out() -> None:
    class Failing(Result):
        def close(self) -> None:
            super().close()
            raise ValueError("in close()")

    result = Failing(b"a")
    with pytest.raises(ValueError, match="close"):
        call(result)
    assert result.closed == 1


def test_an_endless_body_ends_with_its_length() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"ab"

    wire = call(endless(), [("Content-Length", "5")])
    assert wire.body == b"ababa"
    assert wire.exchange.surplus


def test_start_response_may_come_with_the_first_piece() -> None:
    def app(_: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        yield b"late"

    wire = Wire()
    run(app, {}, wire.exchange, None)
    assert wire.body == b"4\r\nlate\r\n0\r\n\r\n"


@pytest.mark.parametrize(("pieces", "length", "body"), [
    pytest.param((b"a", b"b"), 1, b"a", id="a second piece is no second answer"),
    pytest.param((), 1, b"", id="none after all"),
    pytest.param((b"a",), 2, b"1\r\na\r\n0\r\n\r\n", id="one that says two"),
])  # fmt: skip
def test_a_length_of_pieces_that_is_wrong(pieces: tuple[bytes, ...], length: int, body: bytes) -> None:
    wire = call(Result(*pieces, length=length))
    assert wire.sent.count(b"HTTP/1.1 ") == 1
    assert wire.body == body


def test_write_while_the_only_piece_is_made() -> None:
    wire = Wire()

    def app(_: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [])

        class One(list):  # type: ignore[type-arg]
            def __iter__(self) -> Iterator[bytes]:
                write(b"first")
                yield b"second"

        return One([b""])

    run(app, {}, wire.exchange, None)
    assert wire.sent.count(b"HTTP/1.1 ") == 1
    assert wire.body == b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"


def test_an_application_that_returns_none() -> None:
    with pytest.raises(TypeError):
        call(None)


# -- wsgi.file_wrapper


class Kernel:
    """The way to send a file, as a connection has it."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int | None]] = []

    def send_file(self, head: bytes, file: FileWrapper, most: int | None) -> int | None:
        self.calls.append((file.filelike.tell(), most))
        return most


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


@pytest.mark.parametrize(("start", "headers", "calls", "keep_alive"), [
    pytest.param(0, [], [(0, 10)], True, id="a whole file"),
    pytest.param(4, [], [(4, 6)], True, id="from where it stands"),
    pytest.param(10, [], [(10, 0)], True, id="from its end"),
    pytest.param(20, [], [(20, 0)], True, id="from beyond its end"),
    pytest.param(0, [("Content-Length", "10")], [(0, 10)], True, id="with its length"),
    pytest.param(2, [("Content-Length", "3")], [(2, 3)], True, id="a range"),
    pytest.param(0, [("Content-Length", "15")], [(0, 10)], False, id="shorter than its length"),
])  # fmt: skip
def test_a_file_goes_to_the_kernel(
    path: Path, start: int, headers: list[tuple[str, str]], calls: list[tuple[int, int]], keep_alive: bool
) -> None:
    kernel, file = Kernel(), path.open("rb")
    file.seek(start)
    wire = call(FileWrapper(file), headers, sender=kernel)
    assert kernel.calls == calls
    assert wire.exchange.sent == calls[0][1]
    assert wire.exchange.keep_alive is keep_alive
    assert file.closed


def test_a_file_for_head_is_not_read(path: Path) -> None:
    kernel, file = Kernel(), path.open("rb")
    wire = call(FileWrapper(file), [("Content-Length", "10")], "HEAD", kernel)
    assert wire.body == b""
    assert b"Content-Length: 10\r\n" in wire.sent
    assert not kernel.calls
    assert file.closed


def test_a_file_that_a_status_forbids(path: Path) -> None:
    wire, kernel, file = Wire(), Kernel(), path.open("rb")

    def app(_: Any, start_response: Any) -> FileWrapper:
        start_response("304 Not Modified", [])
        return FileWrapper(file)

    run(app, {}, wire.exchange, kernel)
    assert wire.body == b""
    assert not kernel.calls
    assert file.closed


def compressed(path: Path) -> Any:
    with gzip.open(path, "wb") as file:
        file.write(b"0123456789")
    return gzip.open(path)


@pytest.mark.parametrize("make", [
    pytest.param(lambda _: io.BytesIO(b"0123456789"), id="bytes in memory"),
    pytest.param(compressed, id="a gzip file: its descriptor has other bytes"),
    pytest.param(lambda path: io.BufferedReader(compressed(path)), id="a buffer over a gzip file"),
    pytest.param(lambda path: Only(path.open("rb")), id="an object that can only read"),
])  # fmt: skip
def test_what_is_no_plain_file_is_read(path: Path, make: Callable[[Path], Any]) -> None:
    kernel = Kernel()
    wire = call(FileWrapper(make(path), 4), [("Content-Length", "10")], sender=kernel)
    assert wire.body == b"0123456789"
    assert not kernel.calls


class Only:
    """read() and close() are all that PEP 3333 asks of a file."""

    def __init__(self, file: Any) -> None:
        self.read, self.close = file.read, file.close


@pytest.mark.parametrize("make", [
    pytest.param(tempfile.TemporaryFile, id="a temporary file"),
    pytest.param(tempfile.NamedTemporaryFile, id="a named one, in its wrapper"),
    pytest.param(partial(tempfile.TemporaryFile, buffering=0), id="an unbuffered one"),
])  # fmt: skip
def test_files_of_the_standard_library_go_to_the_kernel(make: Callable[[], Any]) -> None:
    kernel = Kernel()
    with make() as file:
        file.write(b"0123456789")
        file.flush()
        file.seek(3)
        call(FileWrapper(file), sender=kernel)
    assert kernel.calls == [(3, 7)]


def test_a_file_without_the_kernel(path: Path) -> None:
    with path.open("rb") as file:
        assert call(FileWrapper(file, 4)).body == b"4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n"


def test_a_file_behind_write(path: Path) -> None:
    wire, kernel = Wire(), Kernel()

    def app(_: Any, start_response: Any) -> FileWrapper:
        start_response("200 OK", [])(b"before")
        return FileWrapper(path.open("rb"))

    run(app, {}, wire.exchange, kernel)
    assert wire.body == b"6\r\nbefore\r\na\r\n0123456789\r\n0\r\n\r\n"
    assert not kernel.calls


def test_a_wrapper_has_close_only_if_its_file_has() -> None:
    class Reads:
        def read(self, _: int) -> bytes:
            return b""

    assert not hasattr(FileWrapper(Reads()), "close")
    assert list(FileWrapper(Reads())) == []


# -- wsgi.early_hints

LINK = ("Link", "</a.css>; rel=preload")


def test_early_hints_go_before_the_answer() -> None:
    wire = Wire()

    def app(_: Any, start_response: Any) -> list[bytes]:
        wire.exchange.early_hints([LINK, ("Content-Length", "99"), ("Connection", "close")])
        start_response("200 OK", [])
        return [b"hello"]

    run(app, {}, wire.exchange, None)
    hints, _, answer = wire.sent.partition(b"\r\n\r\n")
    assert hints == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload"
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\nContent-Length: 5\r\n\r\nhello")
    assert wire.exchange.keep_alive


def test_early_hints_are_not_for_http_1_0() -> None:
    wire = Wire(version=HTTP_1_0)
    wire.exchange.early_hints([LINK])
    assert wire.sent == b""


def test_early_hints_that_come_late() -> None:
    wire = Wire()
    wire.exchange.start_response("200 OK", [])(b"a")
    before = wire.sent
    wire.exchange.early_hints([LINK])
    assert wire.sent == before


def test_early_hints_cant_break_the_message() -> None:
    wire = Wire()
    with pytest.raises(AppError):
        wire.exchange.early_hints([("Link", "a\r\n\r\nHTTP/1.1 200 OK")])
    assert wire.sent == b""
