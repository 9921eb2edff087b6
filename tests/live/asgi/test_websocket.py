"""WebSockets in real processes, with the client of `websockets`: handshakes, messages, ends, reloads."""

import asyncio
import json
import signal
import socket

import pytest
import websockets
from live.server import wait_until
from live.wire import APPS, Wire
from websockets.exceptions import ConnectionClosed, InvalidStatus

LOOPS = ("asyncio", "uvloop")


@pytest.fixture(params=LOOPS)
def probe(request, make_server):
    server = make_server()
    return server.start("asgi_probe:app", "--chdir", str(APPS), "--asgi-loop", request.param)


def connect(server, path="/ws_echo", **options):
    return websockets.connect(f"ws://127.0.0.1:{server.port}{path}", proxy=None, **options)


def test_messages_come_back_short_long_and_in_fragments(probe):
    async def talk():
        # Sooner than the client's first ping, which would wake whoever has been forgotten.
        async with asyncio.timeout(15), connect(probe) as client:
            for message in ("", "héllo", b"", b"\xff" * 125, "x" * 126, b"y" * 70_000, "z" * 300):
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "pieces"])
            assert await client.recv() == "in three pieces"
            await asyncio.gather(*(client.send(str(number)) for number in range(200)))
            assert [await client.recv() for _ in range(200)] == [str(number) for number in range(200)]
            await (await client.ping())

    asyncio.run(talk())


@pytest.mark.parametrize("compression", ["deflate", None])
def test_compression_is_negotiated(probe, compression):
    async def talk():
        async with connect(probe, compression=compression) as client:
            assert bool(client.protocol.extensions) == (compression is not None)
            for _ in range(3):
                await client.send("compressible " * 1000)
                assert await client.recv() == "compressible " * 1000

    asyncio.run(talk())


def test_the_scope_and_the_subprotocol(probe):
    async def talk():
        async with connect(probe, "/ws_echo?a=1", subprotocols=["graphql", "other"]) as client:
            assert client.subprotocol == "graphql"
            assert client.response.headers["x-worker"] == str(probe.workers[0])
            await client.send("scope")
            return json.loads(await client.recv())

    scope = asyncio.run(talk())
    assert (scope["type"], scope["scheme"], scope["subprotocols"]) == ("websocket", "ws", ["graphql", "other"])
    assert (scope["path"], scope["query_string"], "method" in scope) == ("/ws_echo", "a=1", False)
    assert scope["extensions"] == {"websocket.http.response": {}}


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        pytest.param("/ws_reject", 403, b"", id="closed before it was accepted"),
        pytest.param("/ws_deny", 401, b"ZGVuaWVk", id="denied by a response"),
        pytest.param("/ws_raise", 500, None, id="raises"),
    ],
)
def test_what_isnt_accepted_is_answered_by_http(probe, path, status, body):
    async def talk():
        with pytest.raises(InvalidStatus) as caught:
            async with connect(probe, path):
                pass
        return caught.value.response

    response = asyncio.run(talk())
    assert response.status_code == status
    assert body is None or response.body == body


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        pytest.param("close", 4001, "as asked", id="the application closes"),
        pytest.param("raise", 1011, "", id="the application raises"),
    ],
)
def test_the_applications_end_has_a_code(probe, message, code, reason):
    async def talk():
        async with connect(probe) as client:
            await client.send(message)
            with pytest.raises(ConnectionClosed) as caught:
                await client.recv()
            return caught.value.rcvd

    end = asyncio.run(talk())
    assert (end.code, end.reason) == (code, reason)


def test_the_clients_end_is_told_with_its_code(probe):
    async def talk():
        async with connect(probe) as client:
            await client.send("x")
            await client.recv()
            await client.close(4321, "bye")
        async with connect(probe) as client:
            client.transport.abort()

    asyncio.run(talk())
    with Wire(probe) as wire:
        wait_until(lambda: wire.get("/seen").json["seen"] == [4321, 1006], "both ends")
        assert wire.get("/tasks").json["tasks"] == 2
    assert "Error handling" not in probe.log


def test_a_message_that_is_too_large_closes_with_1009(make_server):
    server = make_server().start("asgi_probe:app", "--chdir", str(APPS), "--websocket-max-message-size", "1000")

    async def talk():
        for message in ("x" * 1001, ["y" * 600, "y" * 600]):
            async with connect(server) as client:
                await client.send(message)
                with pytest.raises(ConnectionClosed) as caught:
                    await client.recv()
                assert caught.value.rcvd.code == 1009

    asyncio.run(talk())


def test_a_client_that_is_silent_is_asked_and_then_dropped(make_server):
    server = make_server().start(
        "asgi_probe:app", "--chdir", str(APPS), "--websocket-ping-interval", "0.3", "--websocket-ping-timeout", "0.3"
    )

    async def talk():
        async with connect(server) as client:
            await asyncio.sleep(1.5)  # its pongs keep it
            await client.send("here")
            assert await client.recv() == "here"

    asyncio.run(talk())
    with Wire(server) as wire:
        handshake(wire)
        ping = wire.exactly(2)
        assert ping == b"\x89\x00"
        assert wire.exactly(2)[0] == 0x88  # its end, as nobody has answered


def handshake(wire, path="/ws_echo"):
    wire.send(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    assert wire.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 Switching Protocols\r\n")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x81\x02hi", 1002, id="not masked"),
        pytest.param(b"\x83\x80\0\0\0\0", 1002, id="an opcode that is none"),
        pytest.param(b"\xc1\x81\0\0\0\0x", 1002, id="a bit that nobody has negotiated"),
        pytest.param(b"\x81\x81\0\0\0\0\xff", 1007, id="text that is no UTF-8"),
        pytest.param(b"\x80\x81\0\0\0\0x", 1002, id="the end of a message that hasn't begun"),
        pytest.param(b"\x01\x81\0\0\0\0x\x81\x81\0\0\0\0x", 1002, id="a message in a message"),
        pytest.param(b"\x89\xfe\0\x80\0\0\0\0" + bytes(128), 1002, id="a ping that is too long"),
    ],
)
def test_a_client_that_breaks_the_rules_is_told_which(probe, data, code):
    with Wire(probe) as wire:
        handshake(wire)
        wire.send(data)
        first, length = wire.exactly(2)
        assert (first, int.from_bytes(wire.exactly(length)[:2], "big")) == (0x88, code)
        assert wire.socket.recv(1) == b""


def test_every_cut_of_a_message_is_the_same_message(probe):
    frame = b"\x81\x85\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"hello", b"\x01\x02\x03\x04\x01", strict=True))
    with Wire(probe) as wire:
        handshake(wire)
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(frame)):
            wire.send(frame + frame[:cut])
            assert wire.exactly(7) == b"\x81\x05hello"
            wire.send(frame[cut:])
            assert wire.exactly(7) == b"\x81\x05hello"


def test_a_client_that_doesnt_read_stops_the_application(probe):
    with Wire(probe, receive_buffer=4096) as wire:
        handshake(wire, "/ws_flood")
        with Wire(probe) as other:
            for _ in range(20):
                assert other.get("/echo").status == 200
    with Wire(probe) as wire:
        wait_until(lambda: wire.get("/seen").json["lost"] == 1, "the application to hear of it")


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGTERM])
def test_every_websocket_is_told_that_the_worker_goes(probe, signum):
    async def talk():
        clients = [await connect(probe) for _ in range(200)]
        await asyncio.gather(*(client.send("x") for client in clients))
        await asyncio.gather(*(client.recv() for client in clients))
        probe.signal(signum)
        async with asyncio.timeout(20):
            await asyncio.gather(*(client.wait_closed() for client in clients))
        return {client.close_code for client in clients}

    assert asyncio.run(talk()) == {1001}


def test_access_log_and_counts(make_server):
    server = make_server().start(
        "asgi_probe:app", "--chdir", str(APPS), "--access-logfile", "-", "--access-logformat", "%(r)s %(s)s %(B)s",
        "--max-requests", "3",
    )  # fmt: skip

    async def talk():
        for _ in range(3):
            async with connect(server) as client:
                await client.send("12345")
                await client.recv()

    asyncio.run(talk())
    server.wait_for(r"GET /ws_echo HTTP/1.1 101 5")
    server.wait_for("Autorestarting worker after current request")
