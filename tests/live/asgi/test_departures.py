"""Clients that leave in the middle of something: the application is told as ASGI has it, and nothing stays behind."""

import os

import pytest
from live.server import wait_until
from live.turns import TURNS
from live.wire import APPS, Wire

CROWD = 50  # leave at once, so many times
GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /%b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
SWITCH = (
    b"GET /%b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
HELLO = b"\x81\x82\0\0\0\0hi"
GOODBYE = b"\x88\x82\0\0\0\0" + (4321).to_bytes(2, "big")


# -- how they get into the middle


def reads(wire, name):
    wire.send(GET % name).until(b"xxxx")


def writes(wire, name):
    wire.send(POST % name).until(b"100 Continue\r\n\r\n")
    wire.send(b"x" * 500_000)


def talks(wire, name):
    wire.send(SWITCH % name).until(b"\r\n\r\n")
    wire.send(HELLO)
    assert wire.exactly(4) == b"\x81\x02hi"


def listens(wire, name):
    wire.send(SWITCH % name).until(b"xxxx")


# -- how they leave


def closes(wire):
    wire.socket.close()


def says_goodbye(wire):
    wire.send(GOODBYE)
    assert wire.exactly(4) == b"\x88\x02" + GOODBYE[-2:]
    wire.socket.close()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("name", "begin", "leave", "told"),
    [
        pytest.param("stream", reads, closes, "OSError, http.disconnect", id="a response"),
        pytest.param("stream", reads, Wire.leave, "OSError, http.disconnect", id="a response, by a reset"),
        pytest.param("watched_stream", reads, closes, "http.disconnect, OSError", id="a response in a task of its own"),
        pytest.param("upload", writes, closes, "http.disconnect, OSError", id="an upload"),
        pytest.param("upload", writes, Wire.leave, "http.disconnect, OSError", id="an upload, by a reset"),
        pytest.param("socket", talks, closes, "websocket.disconnect 1006, OSError", id="a WebSocket"),
        pytest.param(
            "socket", talks, says_goodbye, "websocket.disconnect 4321, OSError", id="a WebSocket, by its rules"
        ),
        pytest.param("flood", listens, closes, "OSError, websocket.disconnect 1006", id="a WebSocket that is sent to"),
    ],
)
def test_the_application_is_told_and_nothing_stays(make_server, loop, name, begin, leave, told):
    server = make_server()
    server.start("asgi_departures:app", "--chdir", str(APPS), "--asgi-loop", loop, "--keep-alive", "60")
    [worker] = server.workers
    with Wire(server) as staying:
        before = staying.get("/noted").json
        descriptors = len(os.listdir(f"/proc/{worker}/fd"))
        for _ in range(TURNS):
            crowd = [Wire(server, receive_buffer=4096) for _ in range(CROWD)]
            for client in crowd:
                begin(client, name.encode())
            for client in crowd:
                leave(client)
        noted = {f"{name}, {told}": CROWD * TURNS}
        wait_until(lambda: sum(staying.get("/noted").json["noted"].values()) == CROWD * TURNS, "all to be told")
        assert staying.get("/noted").json == {"noted": noted, "tasks": before["tasks"]}
        wait_until(lambda: len(os.listdir(f"/proc/{worker}/fd")) == descriptors, "the descriptors to be closed")
    assert server.stop() == 0
    assert "never retrieved" not in server.log
    assert "Traceback" not in server.log
