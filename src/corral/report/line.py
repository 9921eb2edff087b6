"""A record as a line that nobody can forge, and the handler that appends it.

It knows gunicorn's format and what a terminal must not get; not what is worth logging, nor where it is configured.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from corral.report.file import LogFile

ERROR_FORMAT: Final = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
DATE_FORMAT: Final = "[%Y-%m-%d %H:%M:%S %z]"
ERROR_LOGGER: Final = "gunicorn.error"
ACCESS_LOGGER: Final = "gunicorn.access"


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


class Escaped(dict[str, Any]):
    """A record's arguments by name whose text is harmless as it is."""


class LineFormatter(logging.Formatter):
    """A record's line; only a traceback, and what the message itself spells out, make further ones."""

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
        if not record.args or message.isprintable() or isinstance(record.args, Escaped):
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
    """Writes each record whole, in one system call, and takes no notice of a failure but to count it.

    Its file is closed by who opened it: logging closes all handlers of the process when it is configured anew.
    """

    def __init__(self, file: LogFile, formatter: logging.Formatter) -> None:
        super().__init__()
        self.file = file
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.line(record)
        except Exception:  # of a formatter that isn't ours
            self.handleError(record)
            return
        lost = self.file.write(line)
        if lost:
            self.file.write(self.line(warning(record, f"{lost} lines of this log were lost: it could not be written")))

    def line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode("utf-8", "backslashreplace")

    @property
    def plain(self) -> bool:
        """Whether it is as the server made it: nobody else's formatter, level or filter."""
        return type(self.formatter) is LineFormatter and not self.filters and self.level == logging.NOTSET


def warning(after: logging.LogRecord, message: str) -> logging.LogRecord:
    """A record of the log's own, of the same instant and process as the one it follows."""
    return logging.makeLogRecord(
        {"created": after.created, "process": after.process, "levelname": "WARNING", "msg": message}
    )
