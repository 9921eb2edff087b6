"""A WebSocket by hand, where a client would do more than a test wants: its handshake, and frames both ways."""

HANDSHAKE = (
    b"GET /ws_echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n%b\r\n"
)


def message(first, payload):
    """A frame of a client's, with a mask that changes nothing."""
    length = len(payload)
    size = bytes((0x80 | length,)) if length < 126 else b"\xfe" + length.to_bytes(2, "big")
    return bytes((first,)) + size + bytes(4) + payload


def echo_of(wire):
    """The first byte and the payload of the next frame."""
    first, length = wire.exactly(2)
    return first, wire.exactly(int.from_bytes(wire.exactly(2), "big") if length == 126 else length)
