"""What the settings permit_... and so on let pass, and that nothing else comes with it."""

from typing import Any

import corpus
import pytest
from cutting import ways
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import PeerError
from corral.http.head import Limits
from corral.http.inbound import Inbound
from corral.http.lenient import Leniency, LenientInbound

NONE = Leniency()
ALL = Leniency(folding=True, spaces=True, method=True, version=True, casefold=False)
EACH = [NONE._replace(**{name: True}) for name in Leniency._fields]
FOLDING, SPACES, METHOD, VERSION, CASEFOLD = EACH
CORPUS = [pytest.param(case[1], id=name) for name, case in corpus.CASES]


def get(fields: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\nHost: a\r\n" + fields + b"\r\n\r\n"


def line(first: bytes) -> bytes:
    return first + b"\r\nHost: a\r\n\r\n"


def drive(inbound: Inbound, chunks: list[bytes]) -> list[Any]:
    """The requests as (line, fields, framing, body); then a status, or ... if more is awaited."""
    requests: list[Any] = []
    for chunk in chunks:
        try:
            whole = inbound.receive(chunk)
            while whole:
                requests.append((inbound.line, inbound.fields.copy(), inbound.framing, inbound.take()))
                if not inbound.framing.keep_alive or inbound.framing.upgrade:
                    return requests
                whole = inbound.next()
        except PeerError as error:
            return [*requests, error.status]
    return requests if inbound.idle else [*requests, ...]


def lenient(leniency: Leniency, chunks: list[bytes], limits: Limits | None = None) -> list[Any]:
    return drive(LenientInbound({}, limits or Limits(), lambda _: None, leniency=leniency), chunks)


def strict(chunks: list[bytes]) -> list[Any]:
    return drive(Inbound({}, Limits(), lambda _: None), chunks)


FOLDED = [
    pytest.param(get(b"X-A: 1\r\n 2"), "1 2", id="one line, by a blank"),
    pytest.param(get(b"X-A: 1\r\n\t2"), "1 2", id="one line, by a tab"),
    pytest.param(get(b"X-A: 1 \t \r\n \t  2\t"), "1 2", id="blanks on both sides become one"),
    pytest.param(get(b"X-A: 1\r\n 2\r\n 3\r\nX-B: 4"), "1 2 3", id="two lines"),
    pytest.param(get(b"X-A:\r\n 1"), "1", id="a value that begins on the second line"),
    pytest.param(get(b"X-A: 1\r\n "), "1", id="a last line of blanks"),
    pytest.param(get(b"X-A: 1\r\n \r\n 2"), "1 2", id="a line of blanks in between"),
    pytest.param(get(b"X-A: 1\r\n X-B: 2"), "1 X-B: 2", id="a line that looks like a field"),
    pytest.param(get(b"X-A: 1\r\n" + b" 2\r\n" * 90 + b"X-B: 1"), "1" + " 2" * 90, id="ninety lines"),
]  # fmt: skip
NEVER_FOLDED = [
    pytest.param(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", id="the first line after the request line"),
    pytest.param(get(b"Content-Length:\r\n 5") + b"hello", id="a folded length"),
    pytest.param(get(b"Content-Length: 5\r\n ") + b"hello", id="a length with an empty fold"),
    pytest.param(get(b"content-length : 5\r\n\t") + b"hello", id="a folded length with a blank before its colon"),
    pytest.param(get(b"Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n", id="a folded coding"),
    pytest.param(get(b"Transfer-Encoding: gzip,\r\n chunked") + b"0\r\n\r\n", id="a folded list of codings"),
    pytest.param(get(b"X-A: 1\r\n Content-Length: 5") + b"hello", id="a fold that some would read as a length"),
    pytest.param(get(b"X-A: 1\r\n\tTransfer-Encoding : chunked"), id="a fold that some would read as a coding"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", id="a host of two words"),
    pytest.param(get(b"X-A: 1\n 2"), id="a bare line feed"),
    pytest.param(get(b"X-A: 1\r 2"), id="a bare carriage return"),
    pytest.param(get(b"X-A: 1\r\n \0"), id="a control character in the fold"),
    pytest.param(get(b"X-A\r\n : 1"), id="a fold before the colon"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "value"), FOLDED)
def test_a_folded_value_is_joined_by_one_blank(data: bytes, value: str) -> None:
    for chunks in ways(data):
        [(_, fields, framing, _)] = lenient(FOLDING, chunks)
        assert fields["HTTP_X_A"] == value
        assert framing.length == 0
        assert strict(chunks) == lenient(SPACES, chunks) == [400]


@pytest.mark.parametrize("data", NEVER_FOLDED)
def test_folds_that_are_refused_anyhow(data: bytes) -> None:
    for chunks in ways(data):
        assert lenient(ALL, chunks) == [400]


def test_a_fold_is_not_free_of_the_limits() -> None:
    limits = Limits(field_size=100)
    assert lenient(FOLDING, [get(b"X-A: 1\r\n" + b" 2\r\n" * 60 + b"X-B: 1")], limits) == [431]
    assert lenient(FOLDING, [get(b"X-A: 1" + b"\r\n " * 30000)]) == [431]
    for chunks in ways(get(b"X-A: 1" + b"\r\n " * 400)):
        assert lenient(FOLDING, chunks, Limits(fields=5, field_size=100)) == [431]


@pytest.mark.parametrize(("fields", "key", "value"), [
    pytest.param(b"X-A : 1", "HTTP_X_A", "1", id="a blank"),
    pytest.param(b"X-A \t : 1", "HTTP_X_A", "1", id="blanks and tabs"),
    pytest.param(b"X-A :1 : 2", "HTTP_X_A", "1 : 2", id="and blanks before a colon of the value, which stay"),
    pytest.param(b"X-A: 1 : 2", "HTTP_X_A", "1 : 2", id="no blank but in the value"),
    pytest.param(b"X-A : 1\r\nX-A: 2", "HTTP_X_A", "1,2", id="a field that comes again without"),
])  # fmt: skip
def test_blanks_before_the_colon_are_dropped(fields: bytes, key: str, value: str) -> None:
    for chunks in ways(get(fields)):
        [(_, seen, _, _)] = lenient(SPACES, chunks)
        assert seen[key] == value
        if b"X-A: 1 " not in fields:
            assert strict(chunks) == lenient(FOLDING, chunks) == [400]


@pytest.mark.parametrize("data", [
    pytest.param(get(b"Content-Length : 5") + b"hello", id="before the colon of a length"),
    pytest.param(get(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n", id="before the colon of a coding"),
    pytest.param(get(b"Content-Length: 5\r\nContent-Length : 5") + b"hello", id="of a second length"),
    pytest.param(get(b"Host : b"), id="of a second host"),
    pytest.param(get(b"X A: 1"), id="in a name"),
    pytest.param(get(b" : 1"), id="without a name"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n X-A: 1\r\n\r\n", id="before a name"),
])  # fmt: skip
def test_blanks_that_are_refused_anyhow(data: bytes) -> None:
    for chunks in ways(data):
        assert lenient(SPACES, chunks) == [400]


@pytest.mark.parametrize("method", [
    "get", "Get", "g", "#", "GET#1", "!#$%&'*+-.^_`|~", "A" * 21, "A" * 255, "connect", "options", "head",
])  # fmt: skip
def test_a_method_may_be_any_token(method: str) -> None:
    for chunks in ways(line(method.encode() + b" /a?b HTTP/1.1")):
        [(seen, fields, _, _)] = lenient(METHOD, chunks)
        assert seen == (method, "/a?b", "/a", "b", "HTTP/1.1", None)
        assert fields["SERVER_PROTOCOL"] == "HTTP/1.1"
        assert strict(chunks) == [501]


@pytest.mark.parametrize(("first", "status"), [
    pytest.param(b"A" * 256 + b" / HTTP/1.1", 501, id="a method that is too long"),
    pytest.param(b"G(T / HTTP/1.1", 400, id="a method that is no token"),
    pytest.param(b"G\xc9T / HTTP/1.1", 400, id="a method beyond ASCII"),
    pytest.param(b" / HTTP/1.1", 400, id="no method"),
    pytest.param(b"get  / HTTP/1.1", 400, id="two blanks"),
    pytest.param(b"get /\t HTTP/1.1", 400, id="a tab in the target"),
    pytest.param(b"get * HTTP/1.1", 400, id="a star for another method than OPTIONS"),
    pytest.param(b"connect a.example:80 HTTP/1.1", 400, id="an authority for another method than CONNECT"),
    pytest.param(b"CONNECT a.example:80 HTTP/1.1", 405, id="CONNECT"),
    pytest.param(b"get /" + b"a" * 4090 + b" HTTP/1.1", 414, id="a line that is too long"),
])  # fmt: skip
def test_lines_that_are_refused_anyhow(first: bytes, status: int) -> None:
    assert lenient(ALL, [line(first)]) == [status]
    for chunks in ways(line(first)):
        assert lenient(ALL, chunks) == [status]


def test_an_odd_methods_absolute_target_outranks_host() -> None:
    [(seen, fields, _, _)] = lenient(METHOD, [line(b"get http://b.example/c HTTP/1.1")])
    assert seen[0] == "get"
    assert fields["HTTP_HOST"] == "b.example"


@pytest.mark.parametrize(("method", "upper"), [
    ("get", "GET"), ("Get", "GET"), ("GET", "GET"), ("version-control", "VERSION-CONTROL"), ("a" * 20, "A" * 20),
])  # fmt: skip
def test_a_method_is_casefolded(method: str, upper: str) -> None:
    for leniency in (CASEFOLD, CASEFOLD._replace(method=True)):
        for chunks in ways(line(method.encode() + b" / HTTP/1.1")):
            [(seen, _, _, _)] = lenient(leniency, chunks)
            assert seen[0] == upper


@pytest.mark.parametrize(("first", "status"), [
    pytest.param(b"get#1 / HTTP/1.1", 501, id="not what only permit_unconventional_http_method permits"),
    pytest.param(b"connect a.example:80 HTTP/1.1", 405, id="connect is CONNECT then"),
    pytest.param(b"get / http/1.1", 400, id="the version's name isn't folded"),
])  # fmt: skip
def test_casefolding_goes_no_further(first: bytes, status: int) -> None:
    assert lenient(CASEFOLD, [line(first)]) == [status]


@pytest.mark.parametrize(("version", "modern"), [
    ("HTTP/0.9", False), ("HTTP/1.2", True), ("HTTP/1.9", True), ("HTTP/2.0", True), ("HTTP/9.9", True),
    ("HTTP/0.0", False),
])  # fmt: skip
def test_a_version_is_treated_as_the_nearest(version: str, modern: bool) -> None:
    for chunks in ways(line(b"GET / " + version.encode())):
        [(seen, fields, framing, _)] = lenient(VERSION, chunks)
        assert seen[4] == ("HTTP/1.1" if modern else "HTTP/1.0")
        assert framing.keep_alive is modern
        assert fields["SERVER_PROTOCOL"] == version
        assert strict(chunks) == [505]


@pytest.mark.parametrize("version", [
    "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/1.10", "HTTP/11.1", "http/1.1", "HTTP/1,1", "HTTP/a.b", "HTTP/+1.1",
    "HTPP/1.1", "HTTP/1.\xb2",
])  # fmt: skip
def test_what_is_no_version_is_none(version: str) -> None:
    assert lenient(VERSION, [line(b"GET / " + version.encode("latin-1"))]) == [400]


@pytest.mark.parametrize("data", [
    pytest.param(b"GET / HTTP/0.9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="no chunks before HTTP/1.1"),
    pytest.param(b"GET / HTTP/1.5\r\n\r\n", id="no request without Host from HTTP/1.1 on"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="no preface of HTTP/2"),
])  # fmt: skip
def test_a_version_brings_its_rules(data: bytes) -> None:
    assert lenient(VERSION, [data]) == [400]


def test_the_version_is_said_as_it_came_among_requests_that_repeat() -> None:
    versions = ["1.1", "1.1", "1.1", "1.7", "1.1", "1.1", "1.8", "1.8", "1.1", "1.0", "0.9", "1.0", "1.1", "1.1", "1.1"]
    for target in (b"/", b"http://b.example/"):
        inbound = LenientInbound({}, Limits(), lambda _: None, leniency=VERSION)
        for _ in range(3):
            for version in versions:
                assert inbound.receive(
                    b"GET " + target + b" HTTP/" + version.encode() + b"\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
                )
                assert inbound.fields["SERVER_PROTOCOL"] == f"HTTP/{version}"


def test_the_line_is_kept_as_it_came() -> None:
    inbound = LenientInbound({}, Limits(), lambda _: None, leniency=ALL)
    assert inbound.receive(line(b"get / HTTP/1.7"))
    assert inbound.line_bytes == b"get / HTTP/1.7"


def test_bodies_are_framed_as_ever() -> None:
    data = b"post / HTTP/1.9\r\nHost : a\r\nX-A: 1\r\n 2\r\nContent-Length: 5\r\n\r\nhello"
    chunked = b"post / HTTP/1.9\r\nHost : a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    for chunks in ways((data + chunked) * 2):
        outcome = lenient(ALL, chunks)
        assert [request[3] for request in outcome] == [b"hello"] * 4


# -- nothing else changes


@pytest.mark.parametrize("data", CORPUS)
def test_what_is_strictly_right_is_read_the_same(data: bytes) -> None:
    expected = strict([data])
    for leniency in (NONE, *EACH, ALL):
        outcome = lenient(leniency, [data])
        if expected[-1:] in ([400], [501], [505]):
            assert outcome[: len(expected) - 1] == expected[:-1]
            if leniency is NONE:
                assert outcome == expected
        else:
            assert outcome == expected


@pytest.mark.parametrize("data", [
    param for param in CORPUS if any(word in str(param.id) for word in ("length:", "transfer_encoding:", "chunks:"))
])  # fmt: skip
def test_no_leniency_frames_a_body_that_is_strictly_none(data: bytes) -> None:
    expected = strict([data])
    if expected[-1:] == [400]:
        assert lenient(ALL, [data]) == expected


def test_a_strict_connection_learns_nothing_from_a_lenient_one() -> None:
    for data in (line(b"get / HTTP/1.1"), line(b"GET / HTTP/1.7"), get(b"X-A: 1\r\n 2"), get(b"X-A : 1")):
        for _ in range(4):
            assert len(lenient(ALL, [data * 4])) == 4
        assert strict([data])[0] in (400, 501, 505)


PIECES = [
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b"X-A",
    b"Content-Length",
    b"Transfer-Encoding",
    b"chunked",
    b"5",
    b"\n",
    b"\r",
    b"get",
]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=14))
@settings(max_examples=500, deadline=None, database=None, derandomize=True)
def test_whatever_passes_has_only_lines_that_end_in_crlf(pieces: list[bytes]) -> None:
    data = get(b"X-B: 1\r\n" + b"".join(pieces))
    outcomes = [lenient(ALL, chunks) for chunks in ways(data)]
    for outcome in outcomes:
        for request in outcome:
            if isinstance(request, tuple):
                assert not any("\r" in value or "\n" in value for value in request[1].values())
    statuses = [outcome[-1] for outcome in outcomes if outcome]
    assert all(isinstance(status, int) for status in statuses) or all(outcome == outcomes[0] for outcome in outcomes)
