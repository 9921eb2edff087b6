"""System calls during which a thread holds on to the interpreter: read(2), and epoll's questions that need no waiting.

Python lets go of its lock around each system call and asks for it again behind it. Where other threads compute, that
may cost a turn of theirs, 5 ms each (sys.getswitchinterval); where several end their calls together, they wake each
other for nothing. These calls come back at once, so they needn't let go. By way of ctypes each takes 0.7 µs more,
which only who has slow calls won't notice. It knows descriptors and bytes.
"""

import os
import select
import struct
from collections.abc import Callable
from typing import Final

from corral.net.reactor import READ, Reactor
from corral.net.states import READ_SIZE

ONCE: Final = READ | getattr(select, "EPOLLONESHOT", 0)  # told once, and silent until it is asked for again
MODIFY: Final = 3  # EPOLL_CTL_MOD
MOST_EVENTS: Final = 256  # a look
# struct epoll_event, in whose data Python keeps a descriptor; packed on x86-64 alone.
DATA: Final = 4 if os.uname().machine == "x86_64" else struct.calcsize("@IQ") - 8
EVENT: Final = struct.Struct(f"=I{DATA - 4}xi4x")


class Held:
    """What threads share, with the descriptor of the epoll that they wait at in turn."""

    def __init__(self, epoll: int) -> None:
        import ctypes  # lazily: 1 MiB, for those who have threads

        number, size, pointer = ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p
        library = ctypes.PyDLL(None, use_errno=True)  # unlike CDLL it doesn't let go
        self.epoll = epoll
        self._buffer = ctypes.create_string_buffer
        self._address = ctypes.addressof
        self._errno = ctypes.get_errno
        self._receive = library.recv
        self._receive.argtypes, self._receive.restype = (number, pointer, size, number), ctypes.c_ssize_t
        self._control = library.epoll_ctl
        self._control.argtypes = (number, number, number, ctypes.c_char_p)
        self._wait = library.epoll_wait
        self._wait.argtypes = (number, pointer, number, number)
        self._found = self._buffer(EVENT.size * MOST_EVENTS)
        self._found_at = self._address(self._found)
        self._found_view = memoryview(self._found).cast("B")

    def look(self) -> list[tuple[int, int]]:
        """What is ready now. By whoever leads, and by nobody else at that time."""
        count = self._wait(self.epoll, self._found_at, MOST_EVENTS, 0)
        if count <= 0:
            return []
        return [(fd, events) for events, fd in EVENT.iter_unpack(self._found_view[: count * EVENT.size])]

    def arm(self, fd: int) -> None:
        """Tell once when `fd` is readable. Raises FileNotFoundError if it is not among those that epoll knows."""
        if self._control(self.epoll, MODIFY, fd, EVENT.pack(ONCE, fd)) < 0:
            raise self.error()

    def reader(self) -> Callable[[int, int], bytes]:
        """os.read for sockets. Each thread has its own, for it keeps what it reads into."""
        room = self._buffer(READ_SIZE)
        address, view, receive = self._address(room), memoryview(room).cast("B"), self._receive

        def read(fd: int, count: int) -> bytes:
            found: int = receive(fd, address, min(count, READ_SIZE), 0)
            if found < 0:
                raise self.error()
            return view[:found].tobytes()

        return read

    def error(self) -> OSError:
        code = self._errno()
        return OSError(code, os.strerror(code))


def hold(reactor: Reactor) -> Held | None:
    """None: this system has no epoll, or this Python no ctypes; then threads do without."""
    epoll = reactor.fileno()
    try:
        return None if epoll is None else Held(epoll)
    except ImportError:
        return None
