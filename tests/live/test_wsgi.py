"""PEP 3333 through real sockets, plain and under the standard library's validator."""

import io
import os
from urllib.parse import urlencode

import pytest
from live.apps.calls import WAYS, digest
from live.server import wait_until
from live.wire import Wire, serving

BOTH = pytest.mark.parametrize("app", ["calls:plain", "calls:validated"], ids=["plain", "validated"])
LARGE = bytes(range(256)) * 20_000  # 5 MB, five times what is kept in memory


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """servers(app, *arguments): one process for all tests that ask for the same."""
    started, contexts = {}, []

    def serve(*arguments):
        if arguments not in started:
            contexts.append(serving(tmp_path_factory.mktemp("calls"), *arguments))
            started[arguments] = contexts[-1].__enter__()
        return started[arguments]

    yield serve
    for context in contexts:
        context.__exit__(None, None, None)
    for server in started.values():
        assert "Iterator garbage collected" not in server.log


def path(name, /, **query):
    return f"/{name}?{urlencode(query)}"


# -- environ

COMMON = {
    "REQUEST_METHOD": "GET", "RAW_URI": "/environ/%C3%A9?a=%20b", "PATH_INFO": "/environ/\u00c3\u00a9",
    "QUERY_STRING": "a=%20b", "SCRIPT_NAME": "", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
    "wsgi.version": "(1, 0)", "wsgi.input_terminated": "True", "wsgi.multithread": "False",
    "wsgi.multiprocess": "False", "wsgi.run_once": "False", "HTTP_HOST": "test", "HTTP_A_B": "1,2",
    "CONTENT_TYPE": "a/b", "HTTP_COOKIE": "a=1; b=2",
}  # fmt: skip
OBJECTS = {
    "SERVER_SOFTWARE", "wsgi.input", "wsgi.errors", "wsgi.file_wrapper", "wsgi.early_hints", "gunicorn.socket",
}  # fmt: skip
FIELDS = ("A-b: 1", "a-B: 2", "Content-Type: a/b", "Cookie: a=1; b=2")


@BOTH
def test_environ_over_tcp(servers, app):
    server = servers(app)
    with Wire(server) as wire:
        host, port = wire.socket.getsockname()
        for _ in range(3):  # the first is read, the second remembered, the third repeated
            environ = wire.get("/environ/%C3%A9?a=%20b", *FIELDS).json
            assert environ.keys() == COMMON.keys() | OBJECTS | {
                "SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT",
            }  # fmt: skip
            assert {key: environ[key] for key in COMMON} == COMMON
            assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == (host, str(port))
            assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", str(server.port))


@BOTH
def test_environ_over_a_unix_socket(app, tmp_path):
    with serving(tmp_path / "server", app, "-b", f"unix:{tmp_path}/s") as server:
        with Wire(tmp_path / "s") as wire:
            for _ in range(3):
                environ = wire.get("/environ/%C3%A9?a=%20b", *FIELDS).json
                assert environ.keys() == COMMON.keys() | OBJECTS | {"SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR"}
                assert {key: environ[key] for key in COMMON} == COMMON
                assert environ["REMOTE_ADDR"] == ""
        for host, name, port in (
            ("test", "test", "80"), ("test:81", "test", "81"), ("[::1]", "[::1]", "80"), ("[::1]:81", "[::1]", "81"),
        ):  # fmt: skip
            with Wire(tmp_path / "s") as wire:
                environ = wire.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).response().json
                assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)
        with Wire(tmp_path / "s") as wire:
            environ = wire.get("/", "X-Forwarded-Proto: https").json  # a unix socket's peers are trusted
            assert (environ["wsgi.url_scheme"], environ["SERVER_PORT"]) == ("https", "443")
            environ = wire.send(b"GET / HTTP/1.0\r\n\r\n").response().json
            assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", "80")
        assert server.stop() == 0


def test_the_socket_of_a_request(servers):
    with Wire(servers("calls:plain")) as wire:
        assert wire.get("/socket").body.decode() == repr(wire.socket.getsockname())
        assert wire.get("/socket").body.decode() == repr(wire.socket.getsockname())


def test_a_mount_point_from_the_environment(tmp_path):
    with serving(tmp_path / "server", "calls:validated", "-e", "SCRIPT_NAME=/mount") as server, Wire(server) as wire:
        for target, rest in (("/mount", ""), ("/mount/", "/"), ("/mount/a/b?c", "/a/b")):
            environ = wire.get(target).json
            assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/mount", rest)
            assert environ["RAW_URI"] == target
        assert wire.get("/elsewhere").status == 500
        assert wire.ended
        assert server.count("Request refused, from ip=127.0.0.1: 500, the path doesn't begin with SCRIPT_NAME") == 1


# -- forwarding headers

TRUSTED, STRANGE = ("--forwarded-allow-ips", "127.0.0.1"), ("--forwarded-allow-ips", "192.0.2.1")
NETWORK = ("--forwarded-allow-ips", "10.0.0.0/8,127.0.0.0/30")


@pytest.mark.parametrize(("allowed", "fields", "shown"), [
    pytest.param((), ["X-Forwarded-Proto: https"], {"wsgi.url_scheme": "https"}, id="this machine, by default"),
    pytest.param(TRUSTED, ["X-Forwarded-Proto: https"], {"wsgi.url_scheme": "https"}, id="a trusted peer"),
    pytest.param(NETWORK, ["X-Forwarded-Proto: https"], {"wsgi.url_scheme": "https"}, id="of a trusted network"),
    pytest.param(STRANGE, ["X-Forwarded-Proto: https"], {"wsgi.url_scheme": "http"}, id="a stranger"),
    pytest.param(TRUSTED, ["X-Forwarded-Ssl: on", "X-Forwarded-Proto: https"], {"wsgi.url_scheme": "https"},
                 id="two that agree"),
    pytest.param(TRUSTED, ["X-Forwarded-Ssl: on", "X-Forwarded-Proto: http"], 400, id="a contradiction"),
    pytest.param(STRANGE, ["X-Forwarded-Ssl: on", "X-Forwarded-Proto: http"], {"wsgi.url_scheme": "http"},
                 id="a stranger's contradiction"),
    pytest.param(TRUSTED, ["X-Forwarded-For: 192.0.2.7"],
                 {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.7"}, id="never REMOTE_ADDR"),
    pytest.param(TRUSTED, ["SCRIPT_NAME: /m"], {"SCRIPT_NAME": "/m", "PATH_INFO": "/page"}, id="a mount point"),
    pytest.param(STRANGE, ["SCRIPT_NAME: /m"], {"SCRIPT_NAME": "", "PATH_INFO": "/m/page"},
                 id="a stranger's mount point"),
    pytest.param(TRUSTED, ["SCRIPT_NAME: /other"], 500, id="a mount point that isn't in the path"),
    pytest.param(TRUSTED, ["REMOTE_USER: root"], {"HTTP_REMOTE_USER": None}, id="underscores, not named"),
    pytest.param((*TRUSTED, "--forwarder-headers", "REMOTE_USER"), ["REMOTE_USER: jo"], {"HTTP_REMOTE_USER": "jo"},
                 id="underscores, named"),
    pytest.param((*STRANGE, "--forwarder-headers", "REMOTE_USER"), ["REMOTE_USER: jo"], {"HTTP_REMOTE_USER": None},
                 id="a stranger's underscores, named"),
    pytest.param((*STRANGE, "--header-map", "refuse"), ["X_A: 1"], 400, id="underscores refused"),
    pytest.param((*STRANGE, "--header-map", "dangerous"), ["X_A: 1", "X-A: 2"], {"HTTP_X_A": "2,1"},
                 id="underscores passed on"),
])  # fmt: skip
def test_forwarding_headers(servers, allowed, fields, shown):
    with Wire(servers("calls:validated", *allowed)) as wire:
        if isinstance(shown, int):
            assert wire.get("/m/page", *fields).status == shown
            assert wire.ended
            return
        for _ in range(3):
            environ = wire.get("/m/page", *fields).json
            assert {key: environ.get(key) for key in shown} == shown
        assert wire.get("/m/page").json["wsgi.url_scheme"] == "http"  # nothing is left of the last request


# -- wsgi.input

BODIES = {
    "no body": b"",
    "one byte": b"a",
    "no line ends": b"a" * 100,
    "lines": b"one\n\ntwo\n" + b"three" * 30 + b"\nlast",
    "ends with a line end": b"a\n" * 50,
    "in memory": b"".join(b"%d\n" % n * (n % 7 + 1) for n in range(12_000)),
    "in a file": b"".join(b"%d\n" % n * (n % 7 + 1) for n in range(60_000)),
}
SLOW_WAYS = {"byte by byte", "in reads of 7", "lines of at most 5"}  # for the large body; and they show nothing more


def framed(body, framing, target):
    head = f"POST {target} HTTP/1.1\r\nHost: test\r\n".encode()
    if framing == "Content-Length":
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    sizes = [1, 2, 5, 1000, 65536, 100_000]
    chunks, at = [], 0
    while at < len(body):
        piece = body[at : at + sizes[len(chunks) % len(sizes)]]
        chunks.append(b"%x\r\n%b\r\n" % (len(piece), piece))
        at += len(piece)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"


@BOTH
@pytest.mark.parametrize("framing", ["Content-Length", "chunked"])
@pytest.mark.parametrize("buffering", [(), ("--no-request-buffering",)], ids=["buffered", "streamed"])
def test_the_ways_to_read_a_body(servers, app, buffering, framing):
    """All on one connection: a byte too much or too few would break the next request."""
    with Wire(servers(app, *buffering)) as wire:
        for name, body in BODIES.items():
            for way, read in WAYS.items():
                if name.startswith("in ") and way in SLOW_WAYS:
                    continue
                answer = wire.send(framed(body, framing, path("input", way=way))).response()
                found, expected = answer.json, digest(read(io.BytesIO(body)))
                length = found.pop("CONTENT_LENGTH")
                assert found == expected, (name, way)
                known = framing == "Content-Length" or not buffering
                assert length == (str(len(body)) if known else None)


@pytest.mark.parametrize("framing", ["Content-Length", "chunked"])
@pytest.mark.parametrize("buffering", [(), ("--no-request-buffering",)], ids=["buffered", "streamed"])
def test_a_body_in_drops(servers, buffering, framing):
    """Each byte alone, so that every state of the reader is entered with an empty buffer."""
    body = b"one\ntwo\r\nthree" * 3
    message = framed(body, framing, path("input", way="line by line"))
    with Wire(servers("calls:validated", *buffering)) as wire:
        for at in range(len(message)):
            wire.send(message[at : at + 1])
        found = wire.response().json
        assert found.pop("CONTENT_LENGTH") in (None, str(len(body)))
        assert found == digest(io.BytesIO(body).readlines())


def test_an_application_that_answers_while_it_reads(servers):
    with Wire(servers("calls:plain", "--no-request-buffering")) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % len(LARGE))
        wire.send(LARGE[:100_000])
        assert wire.until(b"\r\n\r\n").count(b"Connection: close") == 1  # it may leave the rest unread
        wire.send(LARGE[100_000:])
        assert wire.chunks() == LARGE
        assert wire.ended


def test_a_streamed_body_that_was_read_leaves_the_connection_open(servers):
    with Wire(servers("calls:plain", "--no-request-buffering")) as wire:
        for _ in range(2):
            answer = wire.post(path("input", way="all at once"), b"x" * 200_000)
            assert answer.field("connection") is None
        assert wire.get("/environ").status == 200


@pytest.mark.parametrize(("body", "sent"), [
    pytest.param(100_000, 100_000, id="all of it sent"), pytest.param(3_000_000, 1000, id="most of it not sent yet"),
])  # fmt: skip
def test_a_streamed_body_that_nobody_reads_ends_the_connection(servers, body, sent):
    with Wire(servers("calls:plain", "--no-request-buffering")) as wire:
        wire.send(b"POST /ignored HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % body, b"G" * sent)
        answer = wire.response()
        assert (answer.status, answer.body, answer.field("connection")) == (200, b"ignored", "close")
        assert wire.ended


@BOTH
def test_a_buffered_body_that_nobody_reads_is_forgotten(servers, app):
    with Wire(servers(app)) as wire:
        for size in (10, 100_000, 3_000_000):
            assert wire.post("/ignored", b"GET / HTTP/1.1\r\n\r\n" + b"x" * size).body == b"ignored"


@pytest.mark.parametrize("bad", [b"zz\r\n", b"3\r\nabcd\r\n", b"3\nabc\r\n"], ids=["size", "too long", "bare LF"])
def test_a_streamed_body_that_breaks_off_the_grammar(servers, bad):
    with Wire(servers("calls:plain", "--no-request-buffering")) as wire:
        target = path("input", way="all at once")
        wire.send(f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".encode() + bad)
        answer = wire.response()
        assert (answer.status, answer.field("connection")) == (400, "close")
        assert wire.ended
    with Wire(servers("calls:plain", "--no-request-buffering")) as wire:
        wire.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1000 + b"\r\n"
        )
        wire.until(b"x" * 1000 + b"\r\n")
        wire.send(bad)
        assert wire.ended  # no second head into the middle of the first body, and no end of it


def test_a_client_that_leaves_in_the_middle_of_its_body(servers):
    for arguments in ((), ("--no-request-buffering",)):
        server = servers("calls:plain", *arguments)
        tracebacks = server.count("Traceback")
        with Wire(server) as wire:
            wire.send(b"POST /input?way=iteration HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        with Wire(server) as wire:
            assert wire.get("/environ").status == 200
        assert server.count("Traceback") == tracebacks


def test_a_disk_that_is_full(tmp_path):
    """A limit on the size of files is one that a test can have: bodies are refused, responses wait for their client."""
    limited = (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))\nfrom calls import plain\n"
    )
    directory = tmp_path / "server"
    directory.mkdir()
    (directory / "limited.py").write_text(limited)
    with serving(directory, "limited:plain") as server:
        with Wire(server) as wire:
            wire.send(b"POST /ignored HTTP/1.1\r\nHost: a\r\nContent-Length: 2500000\r\n\r\n" + b"x" * 2_500_000)
            assert wire.response().status == 507
            assert wire.ended
        with Wire(server) as wire:
            assert wire.post("/ignored", b"x" * 1_900_000).status == 200
        with Wire(server, receive_buffer=4096) as wire:
            wire.send(f"GET {path('closing', case='large', name='full')} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert wire.response().body == b"x" * 65536 * 1600
            assert wire.get("/environ").status == 200
        assert server.count("Traceback") == 0
        assert server.count("closed full") == 1


# -- start_response, write, errors


@BOTH
def test_write_and_the_iterable(servers, app):
    with Wire(servers(app)) as wire:
        assert wire.get("/write").body == b"one two three four"
        assert wire.get("/write", method="HEAD").body == b""
        assert wire.get("/write").body == b"one two three four"


@BOTH
def test_an_answer_replaced_with_exc_info(servers, app):
    with Wire(servers(app)) as wire:
        answer = wire.get("/replaced")
        assert (answer.status, answer.field("x-first"), answer.field("x-second")) == (503, None, "1")
        assert answer.body == b"second"


FAILURES = [
    pytest.param("/raising?name=first", 500, "ValueError: first", id="before start_response"),
    pytest.param("/raising-after-start", 500, "ValueError: after start_response", id="after start_response"),
    pytest.param("/twice", 500, "start_response was called a second time|start_response", id="start_response twice"),
    pytest.param(path("closing", case="error first", name="f"), 500, "ValueError: at the start", id="the first piece"),
    pytest.param(path("closing", case="error", name="g"), None, "ValueError: in the middle", id="the second piece"),
    pytest.param("/replaced-too-late", None, "ValueError: too late", id="exc_info after the first piece"),
]


@BOTH
@pytest.mark.parametrize(("target", "status", "message"), FAILURES)
def test_an_error_is_answered_and_logged_once(tmp_path, app, target, status, message, servers):
    server = servers(app)
    before = server.count("Traceback")
    with Wire(server) as wire:
        wire.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        if status:
            answer = wire.response()
            assert (answer.status, answer.field("connection")) == (status, "close")
            assert wire.ended
        else:
            answer = wire.rest()  # an end of the body would say that all is well
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            assert not answer.endswith(b"0\r\n\r\n")
    with Wire(server) as wire:
        assert wire.get("/environ").status == 200
    assert server.count("Traceback") - before == 1
    assert server.count(message) >= 1
    assert server.count(rf"Error handling request GET {target.partition('?')[0]}") >= 1


@pytest.mark.parametrize(("name", "value"), [
    ("X-A", "a\r\nInjected: 1"), ("X-A", "a\nb"), ("X-A", "a\0b"), ("X A", "a"), ("X:A", "a"), ("X-A\r\nB", "a"),
    ("X-A", "\u20ac"), ("", "a"), ("Content-Length", "a"), ("Content-Length", "-1"),
])  # fmt: skip
def test_a_header_that_would_break_the_message_is_the_applications_error(servers, name, value):
    with Wire(servers("calls:plain")) as wire:
        answer = wire.get(path("header", name=name, value=value))
        assert answer.status == 500
        assert answer.field("injected") is None
        assert wire.ended


def test_an_application_that_exits(tmp_path):
    with serving(tmp_path / "server", "calls:plain") as server:
        [worker] = server.workers
        with Wire(server) as idle, Wire(server) as wire:
            assert idle.get("/environ").status == 200
            assert wire.get("/leaving").status == 500
            assert wire.ended
            assert idle.ended
        wait_until(lambda: server.workers not in ([], [worker]), "another worker", process=server.process)
        assert server.get("/environ")[0] == 200
        assert server.count("SystemExit in the application: this worker leaves") == 1
        assert server.stop() == 0


def test_wsgi_errors_reaches_the_log(servers):
    server = servers("calls:validated")
    with Wire(server) as wire:
        assert wire.get("/errors").body == b"True"
    assert server.count("^one line\ntwo lines\nthree lines$") == 1


# -- close()

CASES = {"nothing": b"", "one": b"one", "sized": b"one", "several": b"onetwo"}


@BOTH
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_close_is_called_once(servers, app, method):
    server = servers(app)
    with Wire(server) as wire:
        for case, body in CASES.items():
            name = f"{case} {method}"
            answer = wire.get(path("closing", case=case, name=name), method=method)
            assert answer.body == (body if method == "GET" else b"")
            server_said = wait_until(lambda name=name: server.count(f"^closed {name}$"), "close()")
            assert server_said == 1
    for name in ("f", "g"):  # of the failures above, if they have run
        assert server.count(f"^closed {name}$") <= 1


@pytest.mark.parametrize("case", ["error", "error first"])
def test_close_is_called_once_after_an_error(servers, case):
    server = servers("calls:plain")
    with Wire(server) as wire:
        wire.send(f"GET {path('closing', case=case, name='after ' + case)} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).rest()
    assert server.count(f"^closed after {case}$") == 1


@BOTH
def test_close_is_called_once_when_the_client_leaves(servers, app):
    server = servers(app)
    tracebacks = server.count("Traceback")
    wire = Wire(server, receive_buffer=4096)
    wire.send(b"GET /closing?case=endless&name=left HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.exactly(100_000)
    wire.leave()
    server.wait_for("^closed left$")
    with Wire(server) as other:
        assert other.get("/environ").status == 200
    assert server.count("^closed left$") == 1
    assert server.count("Traceback") == tracebacks


# -- framing of answers

LENGTHS = [
    pytest.param("5", "5", b"x" * 5, True, id="as promised"),
    pytest.param("5", "2,3", b"x" * 5, True, id="as promised, in two pieces"),
    pytest.param("5", "9", b"x" * 5, True, id="too long"),
    pytest.param("5", "3,3", b"x" * 5, True, id="too long, in the second piece"),
    pytest.param("5", "3,2,1", b"x" * 5, True, id="too long, by a third piece"),
    pytest.param("0", "5", b"", True, id="longer than nothing"),
    pytest.param("5", "3", b"x" * 3, False, id="too short"),
    pytest.param("5", "1,1", b"x" * 2, False, id="too short, in two pieces"),
    pytest.param("5", "0", b"", False, id="nothing at all"),
    pytest.param("100000", "60000,60000", b"x" * 100_000, True, id="too long and large"),
    pytest.param("100000", "60000,30000", b"x" * 90_000, False, id="too short and large"),
]


@pytest.mark.parametrize("lazy", ["", "1"], ids=["a list", "an iterator"])
@pytest.mark.parametrize(("declared", "pieces", "body", "kept"), LENGTHS)
def test_a_body_against_its_content_length(servers, declared, pieces, body, kept, lazy):
    with Wire(servers("calls:plain")) as wire:
        target = path("length", declared=declared, pieces=pieces, lazy=lazy)
        wire.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\nGET /environ HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert f"Content-Length: {declared}\r\n".encode() in wire.until(b"\r\n\r\n")
        assert wire.exactly(len(body)) == body
        if kept:
            assert wire.response().status == 200  # the pipelined one
        else:
            assert wire.ended


@pytest.mark.parametrize(("declared", "pieces"), [("5", "9"), ("5", "3"), ("5", "2,3"), ("0", "5")])
def test_head_breaks_no_promise(servers, declared, pieces):
    with Wire(servers("calls:plain")) as wire:
        for _ in range(2):
            answer = wire.get(path("length", declared=declared, pieces=pieces), method="HEAD")
            assert (answer.body, answer.field("content-length"), answer.field("connection")) == (b"", declared, None)


STATUSES = [
    pytest.param("204 No Content", None, None, id="204"),
    pytest.param("304 Not Modified", None, None, id="304"),
    pytest.param("304 Not Modified", "7", "7", id="304 of a length"),
    pytest.param("204 No Content", "7", None, id="204 has no length"),
    pytest.param("200 OK", None, "6", id="200"),
    pytest.param("205 Reset Content", None, "6", id="205"),
    pytest.param("299 Own Words", None, "6", id="299"),
    pytest.param("404 Not Found", None, "6", id="404"),
    pytest.param("599", None, "6", id="a status without a reason"),
]


@pytest.mark.parametrize(("status", "given", "length"), STATUSES)
def test_statuses_that_have_no_body(servers, status, given, length):
    with Wire(servers("calls:plain")) as wire:
        query = {"status": status, "body": "a body"} | ({"length": given} if given else {})
        for _ in range(2):
            answer = wire.get(path("status", **query))
            assert (answer.status, answer.field("content-length")) == (int(status[:3]), length)
            assert answer.field("transfer-encoding") is None
            assert answer.body == (b"a body" if length == "6" else b"")
        assert wire.get("/environ").status == 200


@BOTH
def test_early_hints(servers, app):
    with Wire(servers(app)) as wire:
        for link in ("</a.css>; rel=preload", "</b.css>; rel=preload"):
            hint = wire.get("/hinted") if link.startswith("</a") else wire.response()
            assert (hint.status, hint.headers) == (103, [("link", link)])
        assert wire.response().body == b"hinted"
        answer = wire.get("/hinted", version="1.0")
        assert (answer.status, answer.body) == (200, b"hinted")  # HTTP/1.0 has no 1xx


# -- wsgi.file_wrapper


@pytest.fixture(scope="module")
def large_file(tmp_path_factory):
    name = tmp_path_factory.mktemp("files") / "large"
    name.write_bytes(os.urandom(1 << 20) * 12)
    return name


SENDFILE = pytest.mark.parametrize(
    "arguments",
    [("calls:plain",), ("calls:plain", "--no-sendfile"), ("calls:validated",)],
    ids=["sendfile", "--no-sendfile", "validated"],
)


@SENDFILE
@pytest.mark.parametrize(("query", "start", "end"), [
    pytest.param({}, 0, None, id="all of it"),
    pytest.param({"offset": 5_000_001}, 5_000_001, None, id="from the middle"),
    pytest.param({"skip": 1000}, 1000, None, id="behind what has been read"),
    pytest.param({"offset": 100, "length": 4_000_000}, 100, 4_000_100, id="a range"),
    pytest.param({"length": 10}, 0, 10, id="its beginning"),
    pytest.param({"offset": 12 << 20}, 12 << 20, None, id="its end"),
    pytest.param({"offset": (12 << 20) - 5}, (12 << 20) - 5, None, id="a few bytes"),
])  # fmt: skip
def test_files(servers, arguments, large_file, query, start, end):
    server, content = servers(*arguments), large_file.read_bytes()[start:end]
    with Wire(server) as wire:
        for version in ("1.1", "1.1", "1.0"):
            target = path("file", path=large_file, block=100_000, **query)
            answer = wire.get(target, version=version)
            assert answer.status == 200
            assert answer.body == content


@SENDFILE
def test_a_file_for_a_slow_reader(servers, arguments, large_file):
    server, content = servers(*arguments), large_file.read_bytes()
    with Wire(server, receive_buffer=4096) as slow, Wire(server) as other:
        target = path("file", path=large_file, name="slow reader", length=len(content))
        slow.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 2)
        head = slow.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        wait_until(lambda: server.count("^closed slow reader$") == 1, "close()")
        assert other.get("/environ").status == 200  # one is served while the other hasn't read
        assert slow.exactly(len(content)) == content
        assert slow.response().body == content  # the second, which may not begin before the first is read
        assert server.count("^closed slow reader$") == 2


def test_a_file_that_is_shorter_than_promised(servers, large_file):
    with Wire(servers("calls:plain")) as wire:
        wire.send(f"GET {path('file', path=large_file, length=20 << 20)} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        wire.until(b"\r\n\r\n")
        assert wire.rest() == large_file.read_bytes()


def test_head_of_a_file(servers, large_file):
    with Wire(servers("calls:plain")) as wire:
        for query, length in (({}, None), ({"length": 12 << 20}, str(12 << 20))):
            answer = wire.get(path("file", path=large_file, **query), method="HEAD")
            assert (answer.status, answer.field("content-length")) == (200, length)
        assert wire.get("/environ").status == 200


def test_no_descriptor_is_left_behind(servers, large_file, tmp_path):
    with serving(tmp_path / "server", "calls:plain") as server:
        [worker] = server.workers
        with Wire(server) as wire:
            wire.get("/environ")
        assert server.get("/environ")[0] == 200
        before = descriptors(worker)
        for _ in range(3):
            with Wire(server, receive_buffer=4096) as wire:
                wire.send(f"GET {path('file', path=large_file)} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                wire.until(b"\r\n\r\n")
                wire.leave()
            with Wire(server) as wire:
                wire.send(b"POST /ignored HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 2_000_000)
                wire.leave()
            with Wire(server) as wire:
                assert wire.post("/ignored", b"x" * 2_000_000).status == 200
            with Wire(server) as wire:
                wire.get("/socket")
            with Wire(server, receive_buffer=4096) as wire:
                wire.send(b"GET /closing?case=large&name=left HTTP/1.1\r\nHost: a\r\n\r\n")
                wire.exactly(1000)
                wire.leave()
        wait_until(lambda: descriptors(worker) <= before, "descriptors to be closed", process=server.process)


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
