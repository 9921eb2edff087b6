"""uwsgi packets: which variables are the request, cut in every way, and which packets are refused."""

from typing import Any

import pytest
from cutting import ways
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import PeerError
from corral.gateway.wsgi import Trust, name_server, prepare_trusted
from corral.http import uwsgi
from corral.http.head import LAST, Limits
from corral.http.inbound import LOST, NAMES
from corral.http.uwsgi import MOST_VARIABLES, UwsgiInbound

BASE = {
    "SERVER_NAME": "listener", "SERVER_PORT": "8000", "SCRIPT_NAME": "", "SERVER_PROTOCOL": "",
    "wsgi.url_scheme": "http",
}  # fmt: skip
OWN = {"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "40000"}
NGINX = {  # what its uwsgi_params say, and two fields
    "QUERY_STRING": "b=1", "REQUEST_METHOD": "GET", "CONTENT_TYPE": "", "CONTENT_LENGTH": "", "REQUEST_URI": "/%41?b=1",
    "PATH_INFO": "/A", "DOCUMENT_ROOT": "/srv/html", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http",
    "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "5000", "SERVER_PORT": "80", "SERVER_NAME": "front.example",
    "HTTP_HOST": "a.example", "HTTP_ACCEPT": "*/*",
}  # fmt: skip


def everybody(address: str) -> bool:
    assert address == "127.0.0.1"
    return True


def nobody(address: str) -> bool:
    return not everybody(address)


def strings(*pairs: tuple[str | bytes, str | bytes]) -> bytes:
    block = b""
    for pair in pairs:
        for text in pair:
            raw = text.encode("latin-1") if isinstance(text, str) else text
            block += len(raw).to_bytes(2, "little") + raw
    return block


def packet(*more: tuple[str | bytes, str | bytes], modifiers: bytes = b"\0\0", **changes: str | None) -> bytes:
    variables = {key: value for key, value in {**NGINX, **changes}.items() if value is not None}
    block = strings(*variables.items(), *more)
    return modifiers[:1] + len(block).to_bytes(2, "little") + modifiers[1:] + block


def drive(chunks: list[bytes], limits: Limits | None = None) -> Any:
    """The request as a dict, a status, or ... if more is awaited."""
    inbound = UwsgiInbound(BASE, limits or Limits(), lambda _: None, own=OWN, allows=everybody)
    whole = False
    try:
        for chunk in chunks:
            whole = whole or inbound.receive(chunk)
            assert len(inbound.buffer) <= 65539 + len(chunk)
    except PeerError as error:
        return error.status
    if not whole:
        return ...
    method, target, path, query, version, authority = inbound.line
    assert (version, authority) == ("HTTP/1.0", None)
    assert not inbound.framing.keep_alive
    return {
        "method": method, "target": target, "path": path, "query": query, "body": inbound.take(),
        "length": inbound.framing.length, "fields": inbound.fields,
    }  # fmt: skip


GOOD = [
    pytest.param(packet(), {}, {}, id="what nginx sends"),
    pytest.param(packet(modifiers=b"\0\7"), {}, {}, id="any second modifier"),
    pytest.param(packet(REQUEST_METHOD="PROPFIND"), {"method": "PROPFIND"}, {}, id="another method"),
    pytest.param(
        packet(REQUEST_METHOD="POST", CONTENT_LENGTH="5", CONTENT_TYPE="text/plain") + b"hello",
        {"method": "POST", "body": b"hello", "length": 5},
        {"CONTENT_LENGTH": "5", "CONTENT_TYPE": "text/plain"}, id="a body",
    ),
    pytest.param(packet(CONTENT_LENGTH="0"), {}, {"CONTENT_LENGTH": "0"}, id="an empty body"),
    pytest.param(
        packet(CONTENT_LENGTH="5", HTTP_CONTENT_LENGTH="5", HTTP_CONTENT_TYPE="a/b", CONTENT_TYPE="a/b") + b"hello",
        {"body": b"hello", "length": 5},
        {"HTTP_CONTENT_LENGTH": None, "HTTP_CONTENT_TYPE": None, "CONTENT_TYPE": "a/b"},
        id="a body's fields, which nginx sends twice",
    ),
    pytest.param(
        packet(CONTENT_LENGTH="5", HTTP_TRANSFER_ENCODING="chunked") + b"hello", {"body": b"hello", "length": 5},
        {"HTTP_TRANSFER_ENCODING": None}, id="chunks that nginx has taken apart",
    ),
    pytest.param(packet(("CONTENT_LENGTH", "")), {}, {"CONTENT_LENGTH": None}, id="no length, twice"),
    pytest.param(packet(QUERY_STRING=None), {}, {}, id="the query of the target"),
    pytest.param(packet(PATH_INFO=None), {}, {}, id="the path of the target"),
    pytest.param(packet(PATH_INFO="/rewritten", QUERY_STRING="q"), {"path": "/rewritten", "query": "q"}, {},
                 id="a path and a query that nginx has rewritten"),
    pytest.param(packet(REQUEST_URI=None, PATH_INFO="/a b%\xe9?"),
                 {"target": "/a%20b%25%E9%3F?b=1", "path": "/a b%\xe9?"}, {}, id="a path without a target"),
    pytest.param(packet(PATH_INFO="/a\r\nb\xff"), {"path": "/a\r\nb\xff"}, {}, id="a path decoded to anything"),
    pytest.param(packet(SCRIPT_NAME="/mount", PATH_INFO="/a"), {"path": "/mount/a"}, {"SCRIPT_NAME": "/mount"},
                 id="a mount point"),
    pytest.param(packet(HTTPS="on"), {}, {"wsgi.url_scheme": "https", "HTTPS": "on"}, id="https by HTTPS"),
    pytest.param(packet(HTTPS="off"), {}, {"wsgi.url_scheme": "http"}, id="no https by HTTPS"),
    pytest.param(packet(UWSGI_SCHEME="https"), {}, {"wsgi.url_scheme": "https"}, id="https by UWSGI_SCHEME"),
    pytest.param(packet(REQUEST_SCHEME="https"), {}, {"wsgi.url_scheme": "https"}, id="https by REQUEST_SCHEME"),
    pytest.param(packet(SERVER_PROTOCOL="HTTP/2.0"), {}, {"SERVER_PROTOCOL": "HTTP/2.0"}, id="a client of HTTP/2"),
    pytest.param(packet(SERVER_PROTOCOL=None), {}, {"SERVER_PROTOCOL": "HTTP/1.0"}, id="no protocol"),
    pytest.param(packet(REMOTE_ADDR=None, REMOTE_PORT=None), {}, OWN, id="no client's address: the peer's"),
    pytest.param(packet(("HTTP_X_A", "1"), ("HTTP_X_A", "2")), {}, {"HTTP_X_A": "1,2"}, id="a field twice"),
    pytest.param(packet(("HTTP_COOKIE", "a=1"), ("HTTP_COOKIE", "b=2")), {}, {"HTTP_COOKIE": "a=1; b=2"},
                 id="cookies twice"),
    pytest.param(packet(SERVER_NAME="", SERVER_PORT=""), {}, {"SERVER_NAME": "listener", "SERVER_PORT": "8000"},
                 id="an nginx that has no name: the listener's"),
    pytest.param(packet(("SERVER_NAME", "b")), {}, {"SERVER_NAME": "b"}, id="a parameter twice"),
    pytest.param(packet(("wsgi.input", "a"), ("gunicorn.socket", "a")), {},
                 {"wsgi.input": None, "gunicorn.socket": None}, id="the server's own keys"),
    pytest.param(packet(("geo_city", "K\xf6ln")), {}, {"geo_city": "K\xf6ln"}, id="a parameter of any name"),
    pytest.param(packet() + b"more", {}, {}, id="bytes behind the request"),
    pytest.param(packet(*[(f"X{number}", "") for number in range(MOST_VARIABLES - len(NGINX))]), {}, {"X0": ""},
                 id="as many variables as may be"),
    pytest.param(packet(("HTTP_X_A", "a" * 65000)), {}, {"HTTP_X_A": "a" * 65000}, id="a long value"),
]  # fmt: skip

BAD = [
    pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="HTTP"),
    pytest.param(b"\x16\x03\x01\x00\x05hello", 400, id="TLS"),
    pytest.param(packet(modifiers=b"\5\0"), 400, id="another first modifier"),
    pytest.param(packet(REQUEST_METHOD=None), 400, id="no method"),
    pytest.param(packet(REQUEST_METHOD=""), 400, id="an empty method"),
    pytest.param(packet(REQUEST_METHOD="G T"), 400, id="a method that is no token"),
    pytest.param(packet(REQUEST_METHOD="get"), 501, id="a method in lower case"),
    pytest.param(packet(REQUEST_URI=None, PATH_INFO=None), 400, id="neither target nor path"),
    pytest.param(packet(REQUEST_URI=""), 400, id="an empty target"),
    pytest.param(packet(REQUEST_URI="/a b"), 400, id="a blank in the target"),
    pytest.param(packet(REQUEST_URI="/a\r\nb"), 400, id="a line end in the target"),
    pytest.param(packet(REQUEST_URI="/\xe9"), 400, id="a target beyond ASCII"),
    pytest.param(packet(REQUEST_URI="/" + "a" * 4090), 414, id="a target that is too long"),
    pytest.param(packet(SERVER_PROTOCOL="HTTP/1.1\r\n"), 400, id="a line end in the protocol"),
    pytest.param(packet(SERVER_PROTOCOL="INCLUDED"), 400, id="a protocol that is no HTTP"),
    pytest.param(packet(SERVER_PROTOCOL=""), 400, id="an empty protocol"),
    pytest.param(packet(SERVER_PROTOCOL="HTTP 1.1"), 400, id="a blank in the protocol"),
    pytest.param(packet(CONTENT_LENGTH="5 "), 400, id="a length with a blank"),
    pytest.param(packet(CONTENT_LENGTH="-5"), 400, id="a length with a sign"),
    pytest.param(packet(CONTENT_LENGTH="5,5"), 400, id="a list of lengths"),
    pytest.param(packet(("CONTENT_LENGTH", "6"), CONTENT_LENGTH="5"), 400, id="two lengths"),
    pytest.param(packet(HTTP_TRANSFER_ENCODING="chunked"), 400, id="chunks without a length"),
    pytest.param(packet(HTTP_HOST="a b"), 400, id="a malformed host"),
    pytest.param(packet(("HTTP_HOST", "b")), 400, id="two hosts"),
    pytest.param(packet(HTTP_X_A="a\r\nb"), 400, id="a line end in a field"),
    pytest.param(packet(HTTP_X_A="a\0b"), 400, id="a NUL in a field"),
    pytest.param(packet(("", "a")), 400, id="an empty name"),
    pytest.param(packet(("A B", "a")), 400, id="a name with a blank"),
    pytest.param(packet((b"\xc3\x9c", "a")), 400, id="a name beyond ASCII"),
    pytest.param(packet(*[(f"X{number}", "") for number in range(MOST_VARIABLES)]), 400, id="too many variables"),
    pytest.param(packet(*[("X", "")] * MOST_VARIABLES), 400, id="too many variables of one name"),
    pytest.param(b"\0\1\0\0\1", 400, id="half a size of a name"),
    pytest.param(b"\0\2\0\0\1\0", 400, id="a name beyond the packet"),
    pytest.param(b"\0\3\0\0\1\0A", 400, id="a name without a value"),
    pytest.param(b"\0\5\0\0\1\0A\1\0", 400, id="a value beyond the packet"),
    pytest.param(b"\0\0\0\0", 400, id="an empty packet"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "request_changes", "fields"), GOOD)
def test_a_packet_is_read_however_it_comes(
    data: bytes, request_changes: dict[str, Any], fields: dict[str, str | None]
) -> None:
    plain = {"method": "GET", "target": "/%41?b=1", "path": "/A", "query": "b=1", "body": b"", "length": 0}
    wanted = {
        "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "192.0.2.1", "SERVER_NAME": "front.example", "SERVER_PORT": "80",
        "HTTP_HOST": "a.example", "HTTP_ACCEPT": "*/*", "wsgi.url_scheme": "http", **fields,
    }  # fmt: skip
    for chunks in ways(data):
        outcome = drive(chunks)
        seen = outcome.pop("fields")
        assert outcome == {**plain, **request_changes}
        assert {key: seen.get(key) for key in wanted} == wanted
        if "CONTENT_LENGTH" not in fields and "body" not in request_changes:
            assert "CONTENT_LENGTH" not in seen
            assert "CONTENT_TYPE" not in seen


@pytest.mark.parametrize(("data", "status"), BAD)
def test_a_bad_packet_is_refused_however_it_comes(data: bytes, status: int) -> None:
    for chunks in ways(data):
        assert drive(chunks) == status


def test_a_packet_that_has_not_all_come_is_awaited() -> None:
    data = packet(REQUEST_METHOD="POST", CONTENT_LENGTH="5") + b"hello"
    for end in (1, 3, 4, 5, 100, len(data) - 5, len(data) - 1):
        assert drive([data[:end]]) is ...


def test_a_stranger_cant_fill_the_table_of_names() -> None:
    for turn in range(3):
        assert isinstance(drive([packet(*[(f"X{turn}_{number}", "") for number in range(900)])]), dict)
    assert len(uwsgi._keys) <= uwsgi.MOST_KEYS


def test_a_body_is_bounded() -> None:
    assert drive([packet(CONTENT_LENGTH="6") + b"hello!"], Limits(body=5)) == 413


def test_a_peer_that_is_not_allowed_is_refused_at_its_first_byte() -> None:
    inbound = UwsgiInbound(BASE, Limits(), lambda _: None, own=OWN, allows=nobody)
    with pytest.raises(PeerError) as caught:
        inbound.receive(b"\0")
    assert caught.value.status == 403


def test_a_refused_request_is_known_by_its_line() -> None:
    inbound = UwsgiInbound(BASE, Limits(), lambda _: None, own=OWN, allows=everybody)
    with pytest.raises(PeerError) as caught:
        inbound.receive(packet(CONTENT_LENGTH="?"))
    assert caught.value.line[:2] == ("GET", "/%41?b=1")


def test_a_request_without_body_is_the_last_one() -> None:
    inbound = UwsgiInbound(BASE, Limits(), lambda _: None, own=OWN, allows=everybody)
    assert inbound.idle
    assert inbound.receive(packet())
    assert inbound.framing is LAST
    assert inbound.line_bytes == b"GET /%41?b=1 HTTP/1.1"
    assert not inbound.next()


def test_a_streamed_body_is_whole_with_its_packet() -> None:
    inbound = UwsgiInbound(BASE, Limits(), lambda _: None, True, OWN, allows=everybody)
    assert inbound.receive(packet(CONTENT_LENGTH="10") + b"hello")
    assert inbound.take() == b"hello"
    assert inbound.feed(b"world")
    assert inbound.take() == b"world"
    inbound = UwsgiInbound(BASE, Limits(), lambda _: None, True, OWN, allows=everybody)
    assert inbound.receive(packet(CONTENT_LENGTH="10"))
    inbound.forget_body()
    assert inbound.phase is LOST
    with pytest.raises(PeerError):
        inbound.receive(packet())


def prepared(trust: Trust, *, local: bool, **changes: str) -> dict[str, Any]:
    def prepare(fields: dict[str, Any]) -> None:
        prepare_trusted(fields, trust)
        if local:
            name_server(fields)

    inbound = UwsgiInbound(BASE, Limits(), prepare, own=OWN, allows=everybody)
    assert inbound.receive(packet(**changes))
    return inbound.fields


@pytest.mark.parametrize(("changes", "scheme"), [
    pytest.param({}, "http", id="neither says https"),
    pytest.param({"HTTP_X_FORWARDED_PROTO": "https"}, "https", id="a proxy before nginx says https"),
    pytest.param({"HTTP_X_FORWARDED_PROTO": "http", "HTTPS": "on"}, "https", id="nginx itself outranks a client"),
])  # fmt: skip
def test_who_says_the_scheme(monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], scheme: str) -> None:
    monkeypatch.setattr(NAMES, "notable", {"HTTP_X_FORWARDED_PROTO", "HTTP_HOST"})
    trust = Trust(secure_scheme_headers=(("HTTP_X_FORWARDED_PROTO", "https"),))
    for local in (True, False):
        fields = prepared(trust, local=local, **changes)
        assert fields["wsgi.url_scheme"] == scheme
        assert (fields["SERVER_NAME"], fields["SERVER_PORT"]) == ("front.example", "80")


@given(data=st.binary(max_size=80), sized=st.booleans())
@settings(max_examples=500, deadline=None, database=None, derandomize=True)
def test_noise_raises_nothing_but_peer_errors(data: bytes, sized: bool) -> None:
    data = b"\0" + len(data).to_bytes(2, "little") + b"\0" + data if sized else b"\0" + data
    outcomes = [drive(chunks) for chunks in ways(data)]
    assert all(outcome == outcomes[0] for outcome in outcomes)


@given(variables=st.lists(st.tuples(
    st.sampled_from(["HTTP_X", "HTTP_HOST", "CONTENT_LENGTH", "PATH_INFO", "REQUEST_URI", "HTTPS", "SCRIPT_NAME"]),
    st.text(st.characters(max_codepoint=255), max_size=8)), max_size=6,
))  # fmt: skip
@settings(max_examples=500, deadline=None, database=None, derandomize=True)
def test_no_value_brings_a_line_end_into_a_field_or_a_target(variables: list[tuple[str, str]]) -> None:
    outcome = drive([packet(*variables)])
    if isinstance(outcome, dict):
        fields = [value for key, value in outcome["fields"].items() if key.startswith("HTTP_")]
        assert not any(letter in text for text in [*fields, outcome["target"]] for letter in "\r\n\0")
