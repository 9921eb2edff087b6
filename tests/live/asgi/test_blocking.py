"""A loop that doesn't turn is named while it is blocked, and its worker killed only after `timeout`."""

from live.server import wait_until
from live.wire import APPS, Wire


def test_the_line_that_blocks_is_named_and_the_worker_goes_on(make_server):
    server = make_server().start("asgi_probe:app", "--chdir", str(APPS))
    worker = server.workers[0]
    with Wire(server) as wire:
        assert wire.get("/block?0.8").body == b"blocked"
        server.wait_for(r"The loop has been blocked for 0\.\d+ s by .*asgi_probe\.py:\d+ \(block\)")
        server.wait_for(r"The loop goes on: it was blocked for 0\.\d+ s")
        assert wire.get("/echo").status == 200
    assert server.workers == [worker]
    assert server.count("has been blocked") == 1


def test_a_loop_that_is_blocked_for_longer_than_timeout_is_killed(make_server):
    server = make_server().start("asgi_probe:app", "--chdir", str(APPS), "--timeout", "2")
    worker = server.workers[0]
    with Wire(server) as wire:
        wire.send(b"GET /block?30 HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for(r"WORKER TIMEOUT|timeout")
        server.wait_for("Booting worker")
    wait_until(lambda: worker not in server.workers, "the end of the worker")
    assert server.get("/echo")[0] == 200


def test_a_request_that_waits_longer_than_timeout_is_not(make_server):
    server = make_server().start("asgi_probe:app", "--chdir", str(APPS), "--timeout", "1", "--keep-alive", "5")
    with Wire(server) as wire:
        wire.send(b"GET /patient HTTP/1.1\r\nHost: x\r\n\r\n")
        assert wire.response().body == b"patient"
    assert server.count("TIMEOUT") == 0
