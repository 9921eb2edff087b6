"""Logs that go to syslog: its addresses and facilities, and a record as one message (RFC 3164).

It knows what gunicorn's settings say; how a message leaves is remote's affair.
"""

import logging
from typing import TYPE_CHECKING, Final

from corral.errors import ConfigError
from corral.report.line import LineFormatter
from corral.report.remote import Address, Remote, split_port

if TYPE_CHECKING:
    from corral.report.logger import Logger, LogSettings

FACILITIES: Final = {
    "kern": 0, "user": 1, "mail": 2, "daemon": 3, "auth": 4, "security": 4, "syslog": 5, "lpr": 6, "news": 7, "uucp": 8,
    "cron": 9, "authpriv": 10, "ftp": 11, "local0": 16, "local1": 17, "local2": 18, "local3": 19, "local4": 20,
    "local5": 21, "local6": 22, "local7": 23,
}  # fmt: skip
PORT: Final = 514
LIMIT: Final = 60_000  # a datagram's bytes, with room for headers; IPv4 takes no larger one


class SyslogHandler(logging.Handler):
    """Not logging.handlers': that one waits for a stream that is full, and costs 1 MiB to import."""

    def __init__(self, remote: Remote, facility: int) -> None:
        super().__init__()
        self.remote = remote
        self.facility = facility

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # of a formatter that isn't ours
            self.handleError(record)
            return
        priority = self.facility << 3 | severity(record.levelno)
        self.remote.send(f"<{priority}>{text}".encode("utf-8", "backslashreplace")[:LIMIT])

    def close(self) -> None:
        self.remote.close()
        super().close()


def severity(level: int) -> int:
    for at_least, number in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6)):
        if level >= at_least:
            return number
    return 7


def add_syslog(log: "Logger", cfg: "LogSettings") -> None:
    facility = facility_of(cfg.syslog_facility)
    address = address_of(cfg.syslog_addr)
    remote = Remote(address, lambda why: log.warning("syslog %s can't be reached: %s", address.text, why))
    name = cfg.syslog_prefix or (cfg.proc_name or cfg.wsgi_app or "gunicorn").replace(":", ".")
    loggers = [("error", log.error_log)]
    if not cfg.disable_redirect_access_to_syslog:
        loggers.append(("access", log.access_log))
    for kind, logger in loggers:
        handler = SyslogHandler(remote, facility)
        ident = f"gunicorn.{name}.{kind}".replace("%", "%%")
        handler.setFormatter(LineFormatter(f"{ident}: {log.syslog_fmt}"))
        logger.addHandler(handler)
    remote.start()


def facility_of(name: str) -> int:
    facility = FACILITIES.get(name.lower())
    if facility is None:
        import difflib  # lazily: only a typing error needs it

        nearest = difflib.get_close_matches(name.lower(), FACILITIES, 1, 0.4)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"it is one of {', '.join(FACILITIES)}"
        raise ConfigError(f"syslog_facility {name!r} is unknown; {hint}")
    return facility


def address_of(text: str) -> Address:
    scheme, _, rest = text.partition("://")
    if scheme == "unix" and rest:
        path, _, kind = rest.partition("#")
        if path and kind in ("", "dgram", "stream"):
            return Address(text, path=path, stream={"": None, "dgram": False, "stream": True}[kind])
    elif scheme in ("udp", "tcp"):
        place = split_port(rest, PORT)
        if place is not None:
            return Address(text, *place, stream=scheme == "tcp")
    raise ConfigError(
        f"syslog_addr {text!r} is malformed; write udp://HOST:PORT, tcp://HOST:PORT, or unix://PATH, perhaps with "
        "#dgram or #stream"
    )
