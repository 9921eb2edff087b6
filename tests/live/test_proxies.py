"""nginx by uwsgi, haproxy with PROXY headers, and the settings that permit what sloppy clients send."""

import contextlib
import os
import socket
import ssl

import pytest
from certificates import Authority
from live.proxies import haproxy, nginx
from live.server import PATIENCE, Server
from live.wire import APPS, Wire, serving

CLIENT = "127.0.0.2"  # loopback has many addresses: one that neither the proxy nor the server has
VERSIONS = [
    pytest.param("v1", "send-proxy", id="version 1"),
    pytest.param("v2", "send-proxy-v2", id="version 2"),
    pytest.param("v2", "send-proxy-v2 proxy-v2-options crc32c,ssl,cert-cn,unique-id", id="version 2 with records"),
    pytest.param("auto", "send-proxy", id="version 1, where both are heard"),
    pytest.param("auto", "send-proxy-v2", id="version 2, where both are heard"),
]
TCP4 = b"PROXY TCP4 192.0.2.1 198.51.100.2 56155 443\r\n"
GET = b"GET /environ HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def start(tmp_path):
    """Starts servers of one application, each stopped at the end."""
    with contextlib.ExitStack() as stack:

        def enter(*arguments, **options):
            return stack.enter_context(serving(tmp_path / "server", "calls:plain", *arguments, **options))

        yield enter


def connect(proxy, source=CLIENT):
    """A client of the proxy, from an address of its own."""
    wire = object.__new__(Wire)
    wire.socket = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE, (source, 0))
    wire.ahead = b""
    return wire


# -- PROXY headers


@pytest.mark.parametrize(("mode", "options"), VERSIONS)
def test_haproxys_client_is_the_requests(start, tmp_path, mode, options):
    server = start("--proxy-protocol", mode)
    with haproxy(tmp_path / "haproxy", f"127.0.0.1:{server.port}", options) as proxy, connect(proxy) as wire:
        port = str(wire.socket.getsockname()[1])
        for _ in range(3):  # remembered for all requests of the connection
            environ = wire.get("/environ").json
            assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (CLIENT, port)
            assert environ["PROXY_PROTOCOL"] == "TCP4"
            assert (environ["PROXY_ADDR"], environ["PROXY_PORT"]) == ("127.0.0.1", str(proxy.port))


def test_haproxys_clients_are_told_apart(start, tmp_path):
    server = start("--proxy-protocol")
    with haproxy(tmp_path / "haproxy", f"127.0.0.1:{server.port}", "send-proxy-v2", mode="http") as proxy:
        for number in (2, 3, 2, 4):
            with connect(proxy, f"127.0.0.{number}") as wire:
                assert wire.get("/environ").json["REMOTE_ADDR"] == f"127.0.0.{number}"


def test_a_unix_sockets_peers_may_send_headers(start, tmp_path):
    path = tmp_path / "corral.sock"
    start("--proxy-protocol", "v2", "--proxy-allow-from", "192.0.2.9", "--bind", f"unix:{path}", bind=False)
    with haproxy(tmp_path / "haproxy", f"unix@{path}", "send-proxy-v2") as proxy, connect(proxy) as wire:
        assert wire.get("/environ").json["REMOTE_ADDR"] == CLIENT


def test_haproxys_health_checks_are_the_proxys_own(start, tmp_path):
    server = start("--proxy-protocol", "v2", "--access-logfile", "-", "--access-logformat", "%(m)s %(U)s from %(h)s")
    options = "send-proxy-v2 check inter 50ms\n    option httpchk GET /environ"
    with haproxy(tmp_path / "haproxy", f"127.0.0.1:{server.port}", options, mode="http"):
        for _ in range(3):
            server.wait_for(r"^GET /environ from 127\.0\.0\.1$")
    assert not server.count("Invalid request")


def test_a_header_in_pieces_and_requests_behind_it(start):
    server = start("--proxy-protocol", "v1")
    with Wire(server) as wire:
        wire.send(TCP4[:3], TCP4[3:30], TCP4[30:] + GET + GET)
        for _ in range(2):
            assert wire.response().json["REMOTE_ADDR"] == "192.0.2.1"
        assert wire.get("/environ").json["PROXY_PORT"] == "443"


@pytest.mark.parametrize(("mode", "data", "status"), [
    pytest.param("v1", GET, 400, id="no header where one must be"),
    pytest.param("v2", TCP4, 400, id="the other version"),
    pytest.param("auto", b"PROXY nonsense\r\n" + GET, 400, id="a malformed header"),
    pytest.param("auto", b"PROXY " + b"a" * 200, 400, id="a header without an end"),
    pytest.param("auto", TCP4 + b"BAD\r\n\r\n", 400, id="a bad request behind a header"),
    pytest.param("auto", GET, 200, id="no header where none must be"),
])  # fmt: skip
def test_what_else_comes_first(start, mode, data, status):
    server = start("--proxy-protocol", mode)
    with Wire(server) as wire:
        assert wire.send(data).response().status == status


@pytest.mark.parametrize(("allowed", "status"), [("192.0.2.0/24,127.0.0.0/8", 200), ("192.0.2.1", 403), ("*", 200)])
def test_who_may_send_headers(start, allowed, status):
    server = start("--proxy-protocol", "v1", "--proxy-allow-from", allowed)
    with Wire(server) as wire:
        assert wire.send(TCP4 + GET).response().status == status


def test_a_client_that_never_sends_its_header(start):
    server = start("--proxy-protocol", "v1", "--header-timeout", "0.3")
    with Wire(server) as silent, Wire(server) as slow:
        slow.send(TCP4[:10])
        assert slow.response().status == 408
        assert silent.ended


# -- PROXY headers before TLS


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def start_tls(start, authority):
    certificate = authority.issue()
    return lambda *arguments: start("--certfile", certificate.certfile, "--keyfile", certificate.keyfile, *arguments)


def secured(wire, authority):
    """Go on in TLS."""
    context = ssl.create_default_context(cafile=authority.file)
    wire.socket = context.wrap_socket(wire.socket, server_hostname="localhost")
    return wire


@pytest.mark.parametrize(("mode", "options"), VERSIONS)
def test_haproxy_passes_tls_on_behind_its_header(start_tls, tmp_path, authority, mode, options):
    server = start_tls("--proxy-protocol", mode)
    with haproxy(tmp_path / "haproxy", f"127.0.0.1:{server.port}", options) as proxy, connect(proxy) as wire:
        port = str(wire.socket.getsockname()[1])
        secured(wire, authority)
        for _ in range(3):
            environ = wire.get("/environ").json
            assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (CLIENT, port)
            assert (environ["PROXY_PORT"], environ["wsgi.url_scheme"]) == (str(proxy.port), "https")


@pytest.mark.parametrize("mode", ["v1", "auto"])
def test_a_header_in_pieces_before_tls(start_tls, authority, mode):
    server = start_tls("--proxy-protocol", mode)
    with Wire(server) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.send(*(TCP4[at : at + 5] for at in range(0, len(TCP4), 5)))
        assert secured(wire, authority).get("/environ").json["REMOTE_ADDR"] == "192.0.2.1"


def test_no_header_before_tls(start_tls, authority):
    server = start_tls("--proxy-protocol", "auto")
    with Wire(server) as wire:
        assert secured(wire, authority).get("/environ").json["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize(("arguments", "data", "status"), [
    pytest.param(["--proxy-protocol", "v1"], b"\x16\x03\x01\x00\x05", 400, id="no header where one must be"),
    pytest.param(["--proxy-protocol", "v2"], TCP4, 400, id="the other version"),
    pytest.param(["--proxy-protocol", "auto"], b"PROXY nonsense\r\n", 400, id="a malformed header"),
    pytest.param(["--proxy-protocol", "auto"], TCP4 + GET, 400, id="a request in the clear"),
    pytest.param(["--proxy-protocol", "auto", "--proxy-allow-from", "192.0.2.1"], TCP4, 403, id="of another peer"),
])  # fmt: skip
def test_what_else_comes_before_tls(start_tls, arguments, data, status):
    """Refused in the clear: there is no other language yet."""
    server = start_tls(*arguments)
    with Wire(server) as wire:
        assert wire.send(data).response().status == status


def test_a_client_that_never_sends_its_header_before_tls(start_tls):
    server = start_tls("--proxy-protocol", "v1", "--header-timeout", "0.3")
    with Wire(server) as silent, Wire(server) as slow:
        slow.send(TCP4[:10])
        assert slow.ended
        assert silent.ended


def test_a_stop_doesnt_wait_for_a_header_before_tls(start_tls):
    server = start_tls("--proxy-protocol", "v1")
    with Wire(server) as wire:
        wire.send(TCP4[:10])
        assert server.stop() == 0


# -- uwsgi


@pytest.fixture
def through_nginx(start, tmp_path):
    server = start("--protocol", "uwsgi")
    with nginx(tmp_path / "nginx", f"127.0.0.1:{server.port}") as proxy:
        yield proxy


def test_nginx_names_the_request(through_nginx):
    with connect(through_nginx) as wire:
        port = str(wire.socket.getsockname()[1])
        for target in ("/environ?b=%20c", "/%65nviron?"):
            answer = wire.get(target, "X-A: 1", "X-B: \xe9", "Cookie: a=1")
            environ = answer.json
            assert answer.status == 200
            assert environ["REQUEST_METHOD"] == "GET"
            assert environ["RAW_URI"] == target
            assert environ["PATH_INFO"] == "/environ"
            assert environ["QUERY_STRING"] == target.partition("?")[2]
            assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (CLIENT, port)
            assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("front.example", str(through_nginx.port))
            assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
            assert environ["wsgi.url_scheme"] == "http"
            assert (environ["HTTP_X_A"], environ["HTTP_X_B"], environ["HTTP_COOKIE"]) == ("1", "\xe9", "a=1")
            assert environ["SCRIPT_NAME"] == ""
            assert not {"CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"} & {*environ}


def test_a_head_through_nginx(through_nginx):
    with connect(through_nginx) as wire:
        for _ in range(2):
            answer = wire.get("/environ", method="HEAD")
            assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
def test_bodies_through_nginx(through_nginx, size):
    body = os.urandom(size)
    with connect(through_nginx) as wire:
        for _ in range(2):
            assert wire.post("/echo", body).body == body


def test_chunks_through_nginx(through_nginx):
    body = os.urandom(300_000)
    chunks = b"".join(b"%x\r\n%b\r\n" % (100_000, body[at : at + 100_000]) for at in range(0, 300_000, 100_000))
    head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(through_nginx) as wire:
        assert wire.send(head, chunks, b"0\r\n\r\n").response().body == body


def test_an_answer_of_unknown_length_goes_through_nginx(through_nginx):
    with connect(through_nginx) as wire:
        answer = wire.get("/write")
        assert (answer.status, answer.body) == (200, b"one two three four")
        assert wire.get("/environ").status == 200


def test_a_failure_goes_through_nginx(through_nginx):
    with connect(through_nginx) as wire:
        assert wire.get("/raising").status == 500
        assert wire.get("/environ").status == 200


def test_nginx_by_a_unix_socket(start, tmp_path):
    path = tmp_path / "corral.sock"
    start("--protocol", "uwsgi", "--uwsgi-allow-from", "192.0.2.9", "--bind", f"unix:{path}", bind=False)
    with nginx(tmp_path / "nginx", f"unix:{path}") as proxy, connect(proxy) as wire:
        environ = wire.get("/environ").json
        assert (environ["REMOTE_ADDR"], environ["SERVER_NAME"]) == (CLIENT, "front.example")


@pytest.mark.parametrize(("allowed", "status"), [("127.0.0.0/8", 200), ("192.0.2.0/24", 403), ("*", 200)])
def test_who_may_speak_uwsgi(start, tmp_path, allowed, status):
    server = start("--protocol", "uwsgi", "--uwsgi-allow-from", allowed)
    with nginx(tmp_path / "nginx", f"127.0.0.1:{server.port}") as proxy, connect(proxy) as wire:
        assert wire.get("/environ").status == status


def test_http_where_uwsgi_is_spoken(start):
    server = start("--protocol", "uwsgi")
    with Wire(server) as wire:
        answer = wire.send(GET).response()
        assert answer.status == 400
        assert b"uwsgi" in answer.body


# -- leniency


@pytest.mark.parametrize(("setting", "data", "key", "value"), [
    pytest.param(
        "--permit-obsolete-folding", b"GET /environ HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n  2\r\n\r\n", "HTTP_X_A", "1 2",
        id="a folded line",
    ),
    pytest.param(
        "--strip-header-spaces", b"GET /environ HTTP/1.1\r\nHost: a\r\nX-A : 1\r\n\r\n", "HTTP_X_A", "1",
        id="a blank before a colon",
    ),
    pytest.param(
        "--permit-unconventional-http-method", b"get#it /environ HTTP/1.1\r\nHost: a\r\n\r\n", "REQUEST_METHOD",
        "get#it", id="an odd method",
    ),
    pytest.param(
        "--permit-unconventional-http-version", b"GET /environ HTTP/1.7\r\nHost: a\r\n\r\n", "SERVER_PROTOCOL",
        "HTTP/1.7", id="an odd version",
    ),
    pytest.param(
        "--casefold-http-method", b"get /environ HTTP/1.1\r\nHost: a\r\n\r\n", "REQUEST_METHOD", "GET",
        id="a method in lower case",
    ),
])  # fmt: skip
def test_what_a_setting_permits(start, setting, data, key, value):
    with Wire(start(setting)) as wire:
        for piece in (data, GET, data, data):
            answer = wire.send(piece).response()
            assert answer.status == 200
            if piece is data:
                assert answer.json[key] == value


def test_settings_of_a_file_and_of_an_unknown_mode(tmp_path):
    server = Server(tmp_path, files={"gunicorn.conf.py": "proxy_protocol = True\npermit_obsolete_folding = True\n"})
    try:
        server.start("calls:plain", "--pythonpath", str(APPS))
        with Wire(server) as wire:
            answer = wire.send(TCP4 + b"GET /environ HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n").response()
            assert (answer.json["REMOTE_ADDR"], answer.json["HTTP_X_A"]) == ("192.0.2.1", "1 2")
    finally:
        server.clean_up()
    server.start("calls:plain", "--pythonpath", str(APPS), "--proxy-protocol", "v3", wait=None)
    assert server.wait(PATIENCE) != 0
