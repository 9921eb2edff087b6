"""What the settings of connections and requests do, on the wire."""

import pytest
from live.settings.stage import Group, Row, check, each

TCP4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
STRANGER = "192.0.2.1"


def head(line, *fields):
    return "\r\n".join([line, "Host: a", *fields, "", ""]).encode()


def status(data):
    return lambda stage: stage.ask(data).status


def environ(key, *fields):
    return lambda stage: stage.told(head("GET / HTTP/1.1", *fields)).get(key)


def field(name):
    return lambda stage: stage.ask(GET).field(name)


def uwsgi(**variables):
    """A request as nginx's uwsgi_pass sends it."""
    pairs = [text.encode() for pair in variables.items() for text in pair]
    block = b"".join(len(text).to_bytes(2, "little") + text for text in pairs)
    return b"\0" + len(block).to_bytes(2, "little") + b"\0" + block


UWSGI = uwsgi(REQUEST_METHOD="GET", REQUEST_URI="/", PATH_INFO="/", QUERY_STRING="", SERVER_PROTOCOL="HTTP/1.1",
              HTTP_HOST="a")  # fmt: skip


def reads_of_a_file(stage):
    before = stage.facts["reads"]
    assert stage.ask(head("GET /file HTTP/1.1", "Connection: close")).status == 200
    return stage.facts["reads"] > before


GROUPS = (
    Group((
        Row("limit_request_line", 200, status(head(f"GET /{'a' * 300} HTTP/1.1")), 200, 414),
        Row("limit_request_fields", 6, status(head("GET / HTTP/1.1", *["A: b"] * 7)), 200, 431),
        Row("limit_request_field_size", 100, status(head("GET / HTTP/1.1", f"A: {'b' * 200}")), 200, 431),
        Row("permit_obsolete_folding", True, status(head("GET / HTTP/1.1", "A: b\r\n c")), 400, 200),
        Row("strip_header_spaces", True, status(head("GET / HTTP/1.1", "A : b")), 400, 200),
        Row("permit_unconventional_http_version", True, status(head("GET / HTTP/1.7")), 505, 200),
        Row("casefold_http_method", True, status(head("get / HTTP/1.1")), 501, 200),
        Row("header_map", "refuse", status(head("GET / HTTP/1.1", "X_A: 1")), 200, 400),
        Row("forwarder_headers", ["REMOTE_USER"], environ("HTTP_REMOTE_USER", "Remote_User: joe"), None, "joe"),
        Row("secure_scheme_headers", {"X-TLS": "on"}, environ("wsgi.url_scheme", "X-TLS: on"), "http", "https"),
        Row("keepalive", 0, field("connection"), None, "close"),
        Row("threads", 2, environ("wsgi.multithread"), False, True),
        Row("sendfile", False, reads_of_a_file, False, True),
    )),
    Group((
        Row("permit_unconventional_http_method", True, status(head("a#b / HTTP/1.1")), 501, 200),
        Row("forwarded_allow_ips", STRANGER, environ("wsgi.url_scheme", "X-Forwarded-Proto: https"), "https", "http"),
        Row("proxy_protocol", "auto", status(TCP4 + GET), 400, 200),
    )),
    Group((Row("proxy_allow_ips", STRANGER, status(TCP4 + GET), 200, 403),), base={"proxy_protocol": "v1"}),
    Group((Row("protocol", "uwsgi", status(UWSGI), 400, 200),)),
    Group((Row("uwsgi_allow_ips", STRANGER, status(UWSGI), 200, 403),), base={"protocol": "uwsgi"}),
)  # fmt: skip


@pytest.mark.parametrize(("group", "row"), each(GROUPS))
def test_the_effect_of(stage, group, row):
    check(stage, group, row)
