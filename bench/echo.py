"""WebSocket clients that send a message as soon as their last one has come back, every byte of which is compared.

Frames are made beforehand and compared whole, so that the clients cost less than any server.
"""

import base64
import hashlib
import select
import socket
import time
from random import Random

from report import Latency, LoadFailed, Report
from scenario import Scenario

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPTED = base64.b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
FINAL_TEXT = b"\x81"
CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"
LENGTH = 128
"""Of a message; from 126 on a frame tells it in two more bytes."""
MESSAGES = 16
"""Different ones a client."""
ANSWERED_WITHIN = 10.0
AT_MOST = 15.0
"""Seconds: after 20 the first server pings, and would have to be answered."""


def asked(message: bytes, mask: bytes) -> bytes:
    """The frame of a client, which RFC 6455 section 5.3 wants masked."""
    masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(message))
    return FINAL_TEXT + bytes([0x80 | 126]) + len(message).to_bytes(2) + mask + masked


def answered(message: bytes) -> bytes:
    return FINAL_TEXT + bytes([126]) + len(message).to_bytes(2) + message


def put_load(scenario: Scenario, port: int, seconds: float) -> Report:
    clients: list[Client] = []
    try:
        for number in range(scenario.clients):
            clients.append(Client(port, Random(number)))
        return converse(clients, min(seconds, AT_MOST))
    except OSError as error:
        raise LoadFailed(f"a connection failed: {type(error).__name__} {error}") from error
    finally:
        for client in clients:
            client.close()


def converse(clients: list["Client"], seconds: float) -> Report:
    """Until the time is over and every message has come back."""
    by_descriptor = {client.socket.fileno(): client for client in clients}
    taken: list[float] = []
    with select.epoll() as poll:
        for descriptor in by_descriptor:
            poll.register(descriptor, select.EPOLLIN)
        began = time.perf_counter()
        until = began + seconds
        for client in clients:
            client.send(began)
        waiting = len(clients)
        while waiting:
            ready = poll.poll(ANSWERED_WITHIN)
            if not ready:
                raise LoadFailed(f"{waiting} messages haven't come back within {ANSWERED_WITHIN:g} s")
            for descriptor, _ in ready:
                client = by_descriptor[descriptor]
                if not client.receive():
                    continue
                now = time.perf_counter()
                taken.append(now - client.sent)
                if now < until:
                    client.send(now)
                else:
                    waiting -= 1
    return Report(requests=len(taken), rate=len(taken) / (time.perf_counter() - began), latency=Latency.of(taken))


class Client:
    def __init__(self, port: int, random: Random) -> None:
        messages = [random.randbytes(LENGTH // 2).hex().encode() for _ in range(MESSAGES)]
        self.frames = [(asked(message, random.randbytes(4)), answered(message)) for message in messages]
        self.turn = 0
        self.expected = b""
        self.received = b""
        self.sent = 0.0
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWERED_WITHIN)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.shake_hands()
        except BaseException:
            self.socket.close()
            raise

    def shake_hands(self) -> None:
        self.socket.sendall(HANDSHAKE)
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            part = self.socket.recv(4096)
            head += part
            if not part or len(head) > 8192:
                break
        if not head.startswith(b"HTTP/1.1 101 ") or ACCEPTED not in head:
            raise LoadFailed(f"the handshake was answered with {head[:80]!r}")

    def send(self, now: float) -> None:
        frame, self.expected = self.frames[self.turn % MESSAGES]
        self.turn += 1
        self.received = b""
        self.sent = now
        self.socket.sendall(frame)

    def receive(self) -> bool:
        """Whether the whole message has come back."""
        part = self.socket.recv(4096)
        self.received += part
        if self.received == self.expected:
            return True
        if not part or not self.expected.startswith(self.received):
            raise LoadFailed(f"another message came back: {self.received[:60]!r}, then {len(part)} bytes")
        return False

    def close(self) -> None:
        with self.socket:
            try:
                self.socket.sendall(CLOSE)
            except OSError:
                pass
