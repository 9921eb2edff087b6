"""What a slow reader hasn't taken yet: bytes in memory, then in a temporary file, and files that the kernel sends.

It knows file descriptors and nothing of HTTP. So an application that answers faster than its client reads is never held
up, and what it yields is never piled up in memory.
"""

import errno
import os
from collections import deque
from collections.abc import Callable
from typing import Final

IN_MEMORY: Final = 1 << 20
TURN: Final = 4 << 20  # what one reader gets before the others have their turn, however fast it reads
BLOCK: Final = 65536  # of a file that the kernel can't send
NO_SENDFILE: Final = frozenset((errno.EINVAL, errno.ENOSYS))  # some file systems
write = os.write
sendfile = os.sendfile


def open_spool() -> int:
    """A nameless temporary file, open for reading and writing. Raises OSError."""
    directory = os.environ.get("TMPDIR", "/tmp")
    flag = getattr(os, "O_TMPFILE", 0)
    if flag:
        try:
            return os.open(directory, flag | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError:
            pass  # not every file system has it
    import tempfile  # lazily: 1 MiB of modules that most systems never need

    fd, path = tempfile.mkstemp(prefix="corral-")
    os.unlink(path)
    return fd


class Region:
    """`count` bytes of an open file from `offset` on; the descriptor is the region's own."""

    __slots__ = ("count", "fd", "offset")

    def __init__(self, fd: int, offset: int, count: int) -> None:
        self.fd = fd
        self.offset = offset
        self.count = count

    def send(self, to: int, most: int = TURN, sendfile: Callable[[int, int, int, int], int] = sendfile) -> None:
        """Send `most` bytes, or as many as `to` takes. Raises OSError, also if the file has shrunk."""
        while self.count and most > 0:
            sent = sendfile(to, self.fd, self.offset, min(self.count, most))
            if sent == 0:
                raise OSError("the file became shorter while it was sent")
            self.offset += sent
            self.count -= sent
            most -= sent


class Outbound:
    """A queue for one connection. `gone` counts bytes that left, for the deadline's minimum rate.

    Under TLS `write` and `sendfile` are the stream's. What they refused is what they are given first the next time.
    """

    __slots__ = ("gone", "in_memory", "items", "sendfile", "spool", "write")

    def __init__(
        self,
        write: Callable[[int, memoryview], int] = write,
        sendfile: Callable[[int, int, int, int], int] = sendfile,
    ) -> None:
        self.write = write
        self.sendfile = sendfile
        self.items: deque[memoryview | Region] = deque()
        self.in_memory = 0
        self.gone = 0
        self.spool: Region | None = None

    def append(self, data: bytes | memoryview) -> None:
        """Raises OSError if the temporary file can't grow."""
        if self.spool is None and self.in_memory + len(data) > IN_MEMORY and self.items:
            self.spool = Region(open_spool(), 0, 0)
            self.items.append(self.spool)
        if self.spool is not None and self.spool is self.items[-1]:
            view, end = memoryview(data), self.spool.offset + self.spool.count
            while view:
                written = os.pwrite(self.spool.fd, view, end)
                end += written
                view = view[written:]
            self.spool.count = end - self.spool.offset  # all of it or nothing: the caller sends what isn't here
        else:
            self.items.append(memoryview(data))
            self.in_memory += len(data)

    def append_file(self, region: Region) -> None:
        self.items.append(region)
        self.spool = None  # what comes behind the file can't go into a spool before it

    def flush(self, to: int) -> bool:
        """Send a turn of what `to` takes; True when nothing is left. Raises OSError if the reader is gone.

        A file that the kernel can't send is read.
        """
        items = self.items
        end = self.gone + TURN
        while items and self.gone < end:
            item = items[0]
            try:
                if isinstance(item, Region):
                    before = item.count
                    try:
                        item.send(to, end - self.gone, self.sendfile)
                    finally:
                        self.gone += before - item.count
                    if item.count:
                        continue
                    self.drop(item)
                else:
                    sent = self.write(to, item[: end - self.gone])
                    self.gone += sent
                    self.in_memory -= sent
                    if sent < len(item):
                        items[0] = item[sent:]
                        continue
                items.popleft()
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno not in NO_SENDFILE or not isinstance(item, Region) or self.sendfile is read_and_write:
                    raise
                self.sendfile = read_and_write
        return not items

    def drop(self, region: Region) -> None:
        os.close(region.fd)
        region.fd = -1
        if region is self.spool:
            self.spool = None

    def close(self) -> None:
        for item in self.items:
            if isinstance(item, Region) and item.fd >= 0:
                self.drop(item)
        self.items.clear()


def read_and_write(to: int, fd: int, offset: int, count: int) -> int:
    data = os.pread(fd, min(count, BLOCK), offset)
    return os.write(to, data) if data else 0
