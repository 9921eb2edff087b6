"""ASGI over HTTP in real processes: scopes, bodies, ends, and what an application may not do. On both loops."""

import socket
import time

import pytest
from live.server import wait_until
from live.wire import APPS, Wire

LOOPS = ("asyncio", "uvloop")


@pytest.fixture(params=LOOPS)
def probe(request, make_server):
    server = make_server()
    return server.start("asgi_probe:app", "--chdir", str(APPS), "--asgi-loop", request.param)


def test_the_scope_is_the_specifications(probe):
    with Wire(probe) as wire:
        scope = wire.get("/scope/caf%C3%A9%20x?a=%20b", "X-Two: 1", "x-two:2 ", "Under_Score: no").json
        port = wire.socket.getsockname()[1]
    assert scope == {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/scope/café x",
        "raw_path": "/scope/caf%C3%A9%20x",
        "query_string": "a=%20b",
        "root_path": "",
        "headers": [["host", "test"], ["x-two", "1"], ["x-two", "2"]],
        "client": ["127.0.0.1", port],
        "server": ["127.0.0.1", probe.port],
        "state": {},
        "extensions": {
            "http.response.early_hint": {},
            "http.response.pathsend": {},
            "http.response.zerocopysend": {},
        },
    }


def test_bodies_arrive_whole_in_pieces_and_chunked(probe):
    with Wire(probe) as wire:
        assert wire.post("/echo", b"short").body == b"short"
        assert wire.post("/echo", b"").body == b""
        large = bytes(range(256)) * 4096
        for path in ("/echo", "/slow_echo"):
            assert wire.post(path, large).body == large
            wire.send(b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode())
            wire.send(b"3\r\nabc\r\n", b"2\r\nde\r\n", b"0\r\n\r\n")
            assert wire.response().body == b"abcde"


def test_a_client_that_expects_is_told_to_continue_when_the_body_is_asked_for(probe):
    with Wire(probe) as wire:
        wire.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(b"body")
        assert wire.response().body == b"body"


def test_requests_in_one_packet_are_answered_in_their_order(probe):
    with Wire(probe) as wire:
        one = b"POST /slow_echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n"
        wire.send(one + b"1" + one + b"2" + one + b"3")
        assert [wire.response().body for _ in range(3)] == [b"1", b"2", b"3"]
        wire.send(one + b"4")
        assert wire.response().body == b"4"


def test_disconnect_is_told_after_the_response_and_not_before(probe):
    with Wire(probe) as wire:
        assert wire.get("/twice").json == ["http.request", True]
        wait_until(lambda: wire.get("/seen").json["seen"] == ["http.disconnect"], "the application to hear of it")


@pytest.mark.parametrize(
    ("target", "body"),
    [
        pytest.param("/stream", b"0\n1\n2\n3\n4\n", id="in chunks"),
        pytest.param("/path_send", (APPS / "asgi_probe.py").read_bytes(), id="pathsend"),
        pytest.param("/zero_copy", b'"""ASGend', id="zerocopysend"),
        pytest.param("/trailers", b"summed", id="trailers that nobody asked for"),
    ],
)
def test_bodies_leave_in_every_way(probe, target, body):
    with Wire(probe) as wire:
        assert wire.get(target).body == body
        assert wire.get(target).body == body
        assert wire.get(target, method="HEAD").body == b""
        assert wire.get("/echo").status == 200


def test_http_1_0_gets_its_body_until_the_end_of_the_connection(probe):
    with Wire(probe) as wire:
        assert wire.get("/stream", version="1.0").body == b"0\n1\n2\n3\n4\n"


def test_trailers_go_to_clients_that_take_them(probe):
    with Wire(probe) as wire:
        wire.send(b"GET /trailers HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n")
        assert wire.until(b"\r\n\r\n").endswith(b"\r\n\r\n")
        assert wire.until(b"\r\n\r\n") == b"6\r\nsummed\r\n0\r\nx-sum: 42\r\n\r\n"
        assert "http.response.trailers" in wire.get("/scope", "TE: trailers").json["extensions"]
        assert "http.response.trailers" not in wire.get("/scope").json["extensions"]


def test_early_hints_come_before_the_response(probe):
    with Wire(probe) as wire:
        wire.send(b"GET /hints HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n")
        assert wire.response().body == b"hinted"


@pytest.mark.parametrize(
    ("target", "logged"),
    [
        pytest.param("/raises", "RuntimeError: on purpose", id="raises"),
        pytest.param("/returns", "returned without a response", id="returns without a response"),
        pytest.param("/body_first", "what may come now is http.response.start", id="sends a body first"),
        pytest.param("/bad_header", "has a control character", id="sends a header that would be two"),
    ],
)
def test_an_application_that_fails_is_a_500_and_the_connection_ends(probe, target, logged):
    with Wire(probe) as wire:
        answer = wire.get(target)
        assert (answer.status, answer.field("connection")) == (500, "close")
        assert wire.socket.recv(1) == b""
    probe.wait_for(logged)


@pytest.mark.parametrize("target", ["/raises_late", "/returns_early"])
def test_a_response_that_breaks_off_is_never_taken_for_whole(probe, target):
    with Wire(probe) as wire:
        wire.send(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        data = b""
        while chunk := wire.socket.recv(65536):
            data += chunk
    assert data.endswith(b"5\r\nbegun\r\n")
    probe.wait_for("Error handling request GET /")


def test_what_comes_after_the_end_is_an_error_of_the_applications_alone(probe):
    with Wire(probe) as wire:
        assert wire.get("/too_much").body == b"complete"
        probe.wait_for("what may come now is nothing: the response is complete")
        assert wire.get("/echo").status == 200
        assert wire.get("/longer").body == b"mor"
        probe.wait_for("longer than its Content-Length")
        assert wire.get("/lists").field("x-list") == "yes"


def test_a_task_goes_on_behind_its_response(probe):
    with Wire(probe) as wire:
        assert wire.get("/background").body == b"done"
        assert wire.get("/seen").json["ended"] == 0
        wait_until(lambda: wire.get("/seen").json["ended"] == 1, "the task's end")


def test_an_application_waits_for_a_slow_reader_and_hears_of_one_that_leaves(probe):
    worker = probe.workers[0]
    with Wire(probe, receive_buffer=4096) as wire:
        wire.send(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.until(b"xxxx")
        before = memory_of(worker)
        with Wire(probe) as other:
            for _ in range(20):
                assert other.get("/echo").status == 200
        assert memory_of(worker) - before < 8 << 20
    with Wire(probe) as wire:
        wait_until(lambda: wire.get("/seen").json["lost"] == 1, "the application to hear of it")
        assert wire.get("/tasks").json["tasks"] == 2  # the worker's and the lifespan's
    assert "Error handling" not in probe.log


def test_an_application_that_ignores_the_clients_leaving_is_cancelled_in_the_end(make_server):
    server = make_server().start("asgi_probe:app", "--chdir", str(APPS), "--asgi-disconnect-grace-period", "0.1")
    for _ in range(50):
        with Wire(server) as wire:
            wire.send(b"POST /waiting HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
    with Wire(server) as wire:
        wait_until(lambda: wire.get("/seen").json["cancelled"] == 50, "all to be cancelled")
        assert wire.get("/seen").json["lost"] == 50
        assert wire.get("/tasks").json["tasks"] == 2
    assert "never retrieved" not in server.log
    assert "Error handling" not in server.log


def test_a_unix_socket_has_a_path_and_no_client(make_server, tmp_path):
    path = tmp_path / "s"
    make_server().start("asgi_probe:app", "--chdir", str(APPS), "--bind", f"unix:{path}")
    with Wire(path) as wire:
        scope = wire.get("/scope").json
    assert (scope["client"], scope["server"]) == (None, [str(path), None])


def test_a_trusted_proxy_says_the_scheme_and_the_client(make_server):
    server = make_server().start("asgi_probe:app", "--chdir", str(APPS), "--root-path", "/api")
    with Wire(server) as wire:
        scope = wire.get("/scope", "X-Forwarded-Proto: https", "X-Forwarded-For: 10.0.0.1, 192.0.2.7, 127.0.0.1").json
        assert (scope["scheme"], scope["client"]) == ("https", ["192.0.2.7", 0])
        assert wire.get("/api/scope").json["path"] == "/api/scope"
        assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/api", "/api/scope", "/api/scope")


def test_what_a_proxy_says_of_one_client_is_not_said_of_the_next(probe):
    with Wire(probe) as wire:
        own = ["127.0.0.1", wire.socket.getsockname()[1]]
        for number in range(3):
            assert wire.get("/scope", f"X-Number: a{number}").json["client"] == own
            told = wire.get("/scope", f"X-Number: b{number}", "X-Forwarded-For: 192.0.2.7", "TE: trailers").json
            assert told["client"] == ["192.0.2.7", 0]
            assert "http.response.trailers" in told["extensions"]
            scope = wire.get("/scope", f"X-Number: c{number}").json
            assert (scope["client"], scope["headers"][1:]) == (own, [["x-number", f"c{number}"]])
            assert "http.response.trailers" not in scope["extensions"]


def test_an_idle_server_makes_no_wake_ups(make_server):
    server = make_server().start("asgi_probe:app", "--chdir", str(APPS))
    worker = server.workers[0]
    with Wire(server) as wire:
        wire.get("/echo")
    wait_until(lambda: server.get("/echo")[0] == 200, "an answer")
    wait_until(lambda: sleeps_within(worker, 1) == 0, "rest")
    assert sleeps_within(worker, 2) <= 2


def sleeps_within(pid, seconds):
    before = sleeps(pid)
    time.sleep(seconds)  # what is measured is that nothing happens
    return sleeps(pid) - before


def memory_of(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


def sleeps(pid):
    """How often it has gone to sleep, and so was woken before."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))


def test_half_closing_is_leaving(probe):
    with Wire(probe) as wire:
        wire.send(b"GET /waiting HTTP/1.1\r\nHost: x\r\n\r\n")
        wire.socket.shutdown(socket.SHUT_WR)
        with Wire(probe) as other:
            wait_until(lambda: other.get("/seen").json["lost"] == 1, "the application to hear of it")
