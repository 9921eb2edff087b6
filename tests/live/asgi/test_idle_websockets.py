"""Thousands of WebSockets that are silent: what each of them takes of a worker's memory."""

import contextlib
import zlib

import pytest
from live.frames import HANDSHAKE, echo_of, message
from live.server import private_memory
from live.turns import TURNS
from live.wire import APPS, Wire

IDLE = min(TURNS * 500, 10_000)
FIRST = 100  # after them everything that is made once has been made
MOST_EACH = 12 << 10
LONG = b"a message that is worth compressing. " * 200
HERE = (0x81, b"here")


def deflated(text):
    """RFC 7692 §7.2.1: a block that is flushed, without its last four bytes."""
    deflate = zlib.compressobj(wbits=-12)
    return (deflate.compress(text) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(payload):
    return zlib.decompressobj(wbits=-12).decompress(payload + b"\0\0\xff\xff")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("offer", "first", "payload"),
    [
        pytest.param(b"", 0x81, LONG, id="plain"),
        pytest.param(b"Sec-WebSocket-Extensions: permessage-deflate\r\n", 0xC1, deflated(LONG), id="deflated"),
    ],
)
def test_an_idle_websocket_takes_little_memory(make_server, many_descriptors, loop, offer, first, payload):
    server = make_server().start("asgi_probe:app", "--chdir", str(APPS), "--asgi-loop", loop)
    [worker] = server.workers

    def join():
        """Say something long, whose memory should be free again, and something short, and be silent."""
        wire = crowd.enter_context(Wire(server))
        head = wire.send(HANDSHAKE % offer).until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        assert (b"permessage-deflate" in head) == bool(offer)
        echoed_first, echoed = echo_of(wire.send(message(first, payload)))
        assert (echoed_first, inflated(echoed) if offer else echoed) == (first, LONG)
        assert echo_of(wire.send(message(*HERE))) == HERE
        return wire

    with contextlib.ExitStack() as crowd:
        for _ in range(FIRST):
            join()
        before = private_memory(worker)
        idle = [join() for _ in range(IDLE)]
        each = (private_memory(worker) - before) / IDLE
        assert each <= MOST_EACH
        for wire in idle:
            wire.send(message(*HERE))
        assert {echo_of(wire) for wire in idle} == {HERE}
