"""The error log: gunicorn's logger and line format, and a file that takes whole lines and never raises.

It knows how a line is stamped, escaped and appended, and what happens when it can't be; not what is worth logging.
"""

import logging
import os
import select
import stat
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from corral.errors import ConfigError

STDOUT: Final = 1
STDERR: Final = 2
ERROR_LOGGER: Final = "gunicorn.error"
LEVELS: Final = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
ERROR_FORMAT: Final = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
DATE_FORMAT: Final = "[%Y-%m-%d %H:%M:%S %z]"
# What is kept of lines that can't be written now. A disk that is full for a moment, or a pipe whose reader is slow,
# then costs no line; one that stays so costs no memory.
PENDING: Final = 65536


class LogSettings(Protocol):
    """The part of the configuration that is the error log's."""

    @property
    def errorlog(self) -> str: ...
    @property
    def loglevel(self) -> str: ...
    @property
    def capture_output(self) -> bool: ...


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


# Escaping. A line of the error log is for people: what prints stays as it is, in UTF-8.


def printable(text: str) -> str:
    """`text` on one line and harmless to a terminal: what doesn't print is written as in a Python literal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


class OneLine:
    """An argument whose text is made when, and as, the message asks for it; then it is one line."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value

    def __str__(self) -> str:
        return printable(str(self.value))

    def __repr__(self) -> str:
        return printable(repr(self.value))


def guard(value: object) -> object:
    """Numbers stay what they are, for %d and %.1f; everything else may carry a peer's text."""
    return value if isinstance(value, (int, float)) else OneLine(value)


class LineFormatter(logging.Formatter):
    """gunicorn's line; only a traceback, and what the message itself spells out, make further ones."""

    def __init__(self) -> None:
        super().__init__(ERROR_FORMAT, DATE_FORMAT)

    def format(self, record: logging.LogRecord) -> str:
        # A copy: another handler must find its own arguments, and makes its own text of the traceback.
        record = logging.makeLogRecord({**record.__dict__, "msg": message_of(record), "args": (), "exc_text": None})
        return super().format(record)

    def formatException(self, ei: Any) -> str:
        return self.inset(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:
        return self.inset(super().formatStack(stack_info))

    def inset(self, text: str) -> str:
        """An exception's message may have lines of its own, and a peer may have written them.

        A record starts with `[` and no line of a traceback does, so one that does is moved to the right.
        """
        return "\n".join(
            printable(line) if not line.startswith("[") else " " + printable(line) for line in text.split("\n")
        )


def message_of(record: logging.LogRecord) -> str:
    """The message, whatever is wrong with it: a bug in a format string is no reason to lose it, or the request."""
    try:
        message = record.getMessage()
        if not record.args or message.isprintable():
            return message
    except Exception as error:
        return f"{printable(str(record.msg))} (its arguments don't fit: {type(error).__name__})"
    try:
        if isinstance(record.args, Mapping):
            return str(record.msg) % {name: guard(value) for name, value in record.args.items()}
        return str(record.msg) % tuple(guard(value) for value in record.args)
    except Exception:
        return printable(message)  # a number of a foreign type; the message's own line ends are lost with the others


class LineHandler(logging.Handler):
    """Writes each record whole, in one system call, and takes no notice of a failure but to count it."""

    def __init__(self, file: LogFile) -> None:
        super().__init__()
        self.file = file
        self.setFormatter(LineFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        lost = self.file.write(self.line(record))
        if lost:
            self.file.write(self.line(warning(record, f"{lost} lines of this log were lost: it could not be written")))

    def line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode("utf-8", "backslashreplace")

    def close(self) -> None:
        self.file.close()
        super().close()


def warning(after: logging.LogRecord, message: str) -> logging.LogRecord:
    """A record of the log's own, of the same instant and process as the one it follows."""
    return logging.makeLogRecord(
        {"created": after.created, "process": after.process, "levelname": "WARNING", "msg": message}
    )


class Log:
    """The error log as the server uses it. `error_log` is the logger that applications know by gunicorn's name."""

    error_fmt = ERROR_FORMAT
    datefmt = DATE_FORMAT

    def __init__(self, config: LogSettings) -> None:
        self.level = level_of(config.loglevel)
        self.file = LogFile("errorlog", config.errorlog, STDERR)
        self.handler = LineHandler(self.file)
        self.captures = config.capture_output and config.errorlog != "-"
        self.error_log = logging.getLogger(ERROR_LOGGER)
        self.critical = self.error_log.critical
        self.error = self.error_log.error
        self.warning = self.error_log.warning
        self.info = self.error_log.info
        self.debug = self.error_log.debug
        self.exception = self.error_log.exception
        self.log = self.error_log.log
        self.install()

    def install(self) -> None:
        """Make this the log of the process. The one before it stays open: a reload that fails goes back to it."""
        logger = self.error_log
        for handler in [handler for handler in logger.handlers if isinstance(handler, LineHandler)]:
            logger.removeHandler(handler)
        logger.propagate = False
        logger.setLevel(self.level)
        logger.addHandler(self.handler)
        if self.captures:
            self.capture()

    def capture(self) -> None:
        """What the application and its C libraries print goes to the log too."""
        for stream, fd in ((sys.stdout, STDOUT), (sys.stderr, STDERR)):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                # Python buffers 8 KiB of what goes to a file; a log that is late by that much helps nobody.
                reconfigure(line_buffering=True)
            os.dup2(self.file.fd, fd)

    def reopen_files(self) -> None:
        """After a rotation (USR1): this log, and every file that the application logs to, as gunicorn does."""
        failure = self.file.reopen()
        if failure:
            self.error("%s", failure)
        if self.captures:
            self.capture()
        for handler in file_handlers():
            try:
                reopen_handler(handler)
            except OSError as error:
                self.error("log file %r can't be reopened: %s", handler.baseFilename, error.strerror)

    def close(self) -> None:
        self.error_log.removeHandler(self.handler)
        self.handler.close()


def level_of(name: str) -> int:
    level = LEVELS.get(name.lower())
    if level is None:
        import difflib  # lazily: only a typing error needs it

        nearest = difflib.get_close_matches(name.lower(), LEVELS, 1, 0.4)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"it is one of {', '.join(LEVELS)}"
        raise ConfigError(f"loglevel {name!r} is unknown; {hint}")
    return level


def file_handlers() -> list[logging.FileHandler]:
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = [handler for logger in loggers for handler in getattr(logger, "handlers", ())]
    return [handler for handler in dict.fromkeys(handlers) if isinstance(handler, logging.FileHandler)]


def reopen_handler(handler: logging.FileHandler) -> None:
    if handler.stream is None:
        return  # with delay=True, and nothing logged yet
    # Not handler.mode: "w" would truncate what another worker has just begun.
    stream = open(handler.baseFilename, "a", encoding=handler.encoding, errors=handler.errors)  # noqa: SIM115
    previous = handler.setStream(stream)
    if previous is not None:
        previous.close()
