"""What a fork spoils in an application that was loaded before it: threads stay behind, connections get several owners.

It looks and warns. It closes nothing: what a connection is for only the application knows.
"""

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

OWN = os.path.dirname(os.path.dirname(__file__)) + os.sep
MOST_FRAMES = 8

THREAD = "preload_app: the thread %r runs here and in no worker, for a fork takes only the one that forks; start it in "
THREAD += "post_fork or post_worker_init. It was started%s"
CONNECTION = "preload_app: a connection to %s (descriptor %d) is open, and all workers would speak on it at once; open "
CONNECTION += "it later, or close it in post_fork"


class Loading:
    """`with Loading(log):` around what loads the application; at its end the log has the warnings."""

    def __init__(self, log: Any) -> None:
        self.log = log
        self.stacks: dict[Any, list[str]] = {}
        self.restore: Callable[[], None] = lambda: None
        self.before: set[int] = set()

    def __enter__(self) -> None:
        import threading  # lazily: where nothing is preloaded nobody needs it

        start: Any = threading.Thread.start

        def noted(thread: threading.Thread) -> None:
            self.stacks[thread] = list(places(sys._getframe(1)))
            start(thread)

        def restore() -> None:
            if threading.Thread.start is noted:
                threading.Thread.start = start  # type: ignore[method-assign]

        threading.Thread.start = noted  # type: ignore[method-assign, assignment]
        self.restore = restore
        self.before = set(sockets())

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.restore()
        if kind is None:
            self.warn()
        self.stacks.clear()

    def warn(self) -> None:
        import threading

        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                stack = self.stacks.get(thread, [])
                how = " at" if stack else " before anybody looked"
                self.log.warning(THREAD + "\n  %s" * len(stack), thread.name, how, *stack)
        for inode, descriptor in sockets().items():
            if inode not in self.before and (peer := peer_of(descriptor)):
                self.log.warning(CONNECTION, peer, descriptor)


def places(frame: FrameType | None) -> Iterator[str]:
    """The stack, innermost first, without what is Python's own machinery or ours."""
    machinery = (os.path.dirname(os.__file__) + os.sep + "threading.py", "<frozen", OWN)
    number = 0
    while frame is not None and number < MOST_FRAMES:
        if not frame.f_code.co_filename.startswith(machinery):
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
            number += 1
        frame = frame.f_back


def sockets() -> dict[int, int]:
    """The sockets of this process: inode and descriptor. None where the system doesn't tell."""
    found = {}
    with suppress(OSError):
        for name in os.listdir("/proc/self/fd"):
            with suppress(OSError):
                status = os.fstat(int(name))
                if stat.S_ISSOCK(status.st_mode):
                    found[status.st_ino] = int(name)
    return found


def peer_of(descriptor: int) -> str:
    """Whom a stream is connected to. Datagrams may be shared, and a pair of one process has no peer to confuse."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            if connection.type != socket.SOCK_STREAM:
                return ""
            name = connection.getpeername()
    except OSError:
        return ""
    return os.fsdecode(name) if isinstance(name, str | bytes) else f"{name[0]}:{name[1]}"
