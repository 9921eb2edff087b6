"""What a connection does with its descriptor that os.read and os.write don't: calls that want a socket."""

import _socket
import os
import select
import socket
import sys
from typing import Any, Final

from corral.net.reactor import NEVER, monotonic

LEFT: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
TCP_INFO: Final = getattr(socket, "TCP_INFO", 0)
LAST_DATA_RECEIVED: Final = 52  # where tcpi_last_data_recv stands: milliseconds, 32 bits
MORE: Final = getattr(socket, "MSG_MORE", 0)


class PeerSocket:
    """environ["gunicorn.socket"]: the connection as a socket object, made when somebody asks for it."""

    __slots__ = ("_fd", "_socket")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._socket: socket.socket | None = None

    def __getattr__(self, name: str) -> Any:
        if self._socket is None:
            self._socket = socket.socket(fileno=os.dup(self._fd))
        return getattr(self._socket, name)

    def fileno(self) -> int:
        return self._fd

    def part(self) -> None:
        """The connection is closed: its number may be another client's next."""
        self._fd = -1


def send_last(fd: int, family: int, data: bytes | memoryview) -> int:
    """Send what a close(2) will follow at once: MSG_MORE lets the kernel put both into one packet, 4 µs less."""
    peer = _socket.socket(family, socket.SOCK_STREAM, 0, fd)
    try:
        return peer.send(data, MORE)
    finally:
        peer.detach()


def peek(fd: int, family: int, size: int) -> bytes:
    """What waits to be read, without reading it; b"" if nothing does, or nothing will."""
    peer = _socket.socket(family, socket.SOCK_STREAM, 0, fd)
    try:
        return peer.recv(size, socket.MSG_PEEK)
    except OSError:
        return b""
    finally:
        peer.detach()


def has_left(fd: int) -> bool:
    """Whether the peer has closed its side, or the connection is broken."""
    poller = select.poll()
    poller.register(fd, LEFT)
    return bool(poller.poll(0))


def waited(fd: int, family: int) -> int:
    """For how many nanoseconds what the peer sent last has been here; 0 where nobody knows (tcp(7), TCP_INFO)."""
    if family == socket.AF_UNIX or not TCP_INFO:
        return 0
    peer = _socket.socket(family, socket.SOCK_STREAM, 0, fd)
    try:
        found = peer.getsockopt(socket.IPPROTO_TCP, TCP_INFO, LAST_DATA_RECEIVED + 4)
    except OSError:
        return 0
    finally:
        peer.detach()
    return int.from_bytes(found[LAST_DATA_RECEIVED:], sys.byteorder) * 1_000_000


def half_close(fd: int) -> None:
    peer = socket.socket(fileno=fd)
    try:
        peer.shutdown(socket.SHUT_WR)
    finally:
        peer.detach()


def wait_for(fd: int, events: int, due: int) -> bool:
    """Block until `fd` is ready; False if `due` comes first."""
    poller = select.poll()
    poller.register(fd, events)
    return bool(poller.poll(None if due >= NEVER else max(0, due - monotonic()) // 1_000_000))
