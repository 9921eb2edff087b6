"""A file that takes whole lines and never raises.

It knows how lines are appended, what is kept of them when they can't be, and how to go on after a rotation; not what is
in them.
"""

import os
import select
import stat
import sys
from contextlib import suppress
from typing import Final

from corral.errors import ConfigError

STDOUT: Final = 1
STDERR: Final = 2
# What is kept of lines that can't be written now. A disk that is full for a moment, or a pipe whose reader is slow,
# then costs no line; one that stays so costs no memory.
PENDING: Final = 65536


class LogFile:
    """Where lines go: a file that grows at its end, or with `-` one of the process's own streams.

    Several processes append to one file, so nothing here seeks, truncates, or writes less than a line if it can.
    """

    __slots__ = ("at_once", "failure", "fd", "lost", "path", "pending", "setting")

    def __init__(self, setting: str, path: str, stream: int) -> None:
        self.setting = setting
        self.path = path
        self.pending = b""  # begins with the rest of a line if the last write cut one
        self.lost = 0  # lines, since writing failed
        self.failure = ""  # why, until writing works again
        if path == "-":
            self.fd = stream
        else:
            try:
                self.fd = open_to_append(path)
            except OSError as error:
                raise ConfigError(f"{setting} {path!r} can't be opened: {error.strerror}") from None
        self.at_once = self.whole_write()

    def whole_write(self) -> int:
        """How many bytes one write appends without another process's in between: to a file any number, to a pipe
        PIPE_BUF (POSIX; 4096 on Linux)."""
        try:
            return sys.maxsize if stat.S_ISREG(os.fstat(self.fd).st_mode) else select.PIPE_BUF
        except OSError:
            return select.PIPE_BUF

    def write(self, lines: bytes) -> int:
        """Append whole lines with one system call. How many were lost before them, said once writing works again.

        It never raises: a full disk or a reader that went away is no reason to fail a request.
        """
        if self.failure:
            return self.write_again(lines)
        rest = self.push(lines)
        if rest:
            self.keep(rest)
        return 0

    def write_again(self, lines: bytes) -> int:
        """After a failure: first what was kept, so that the lines stay in order."""
        self.pending = self.push(self.pending)
        rest = lines if self.pending else self.push(lines)
        if rest:
            self.keep(rest)
            return 0
        lost, self.lost, self.failure = self.lost, 0, ""
        return lost

    def push(self, data: bytes) -> bytes:
        """Write; what could not be written is returned."""
        try:
            # A write that is cut short is tried again for its error, or to finish the line.
            while data:
                data = data[os.write(self.fd, data) :]
        except OSError as error:
            self.failure = error.strerror or "it can't be written"
        return data

    def keep(self, data: bytes) -> None:
        """Hold back what there is room for, to the end of a line, and count the other lines as lost."""
        room = PENDING - len(self.pending)
        end = len(data) if len(data) <= room else data.rfind(b"\n", 0, max(room, 0)) + 1
        if not self.pending and end == 0:
            end = data.find(b"\n") + 1  # one line larger than all the room may be the rest of one: not to be cut twice
        self.pending += data[:end]
        self.lost += data.count(b"\n", end)

    def reopen(self) -> str:
        """Go on in a new file of the same name, under the same descriptor. Why not, or "" if all is well."""
        if self.path == "-":
            return ""
        try:
            fd = open_to_append(self.path)
        except OSError as error:
            return f"{self.setting} {self.path!r} can't be reopened: {error.strerror}; the old file is still written"
        # dup2 replaces the file in one step: another thread never meets a closed descriptor.
        os.dup2(fd, self.fd, inheritable=False)
        os.close(fd)
        self.at_once = self.whole_write()
        return ""

    def close(self) -> None:
        if self.path != "-" and self.fd >= 0:
            with suppress(OSError):  # a network file system may tell only now that it has no room
                os.close(self.fd)
            self.fd = -1  # a late line is lost, and not written to whatever gets this number next


def open_to_append(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
