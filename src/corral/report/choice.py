"""Which class logs, and which way the line of a request takes: compiled here, or through the user's logger.

It knows gunicorn's names of loggers and what makes the short way wrong; not how either writes.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from corral.config.named import load_class
from corral.report.access import AccessLog, Environ, Headers, compile_format
from corral.report.line import ACCESS_LOGGER, ERROR_LOGGER, LineHandler
from corral.report.logger import LOG_SETTINGS, Logger, LogSettings

SIMPLE: Final = ("gunicorn.glogging.Logger", "simple", "egg:gunicorn#simple", "corral.report.logger.Logger")
STATSD: Final = ("gunicorn.instrument.statsd.Statsd", "statsd", "egg:gunicorn#statsd")
GROUP: Final = "gunicorn.loggers"
# A line doesn't depend on more of a logger than this. As they are before anybody patches them: people do.
OURS: Final[Mapping[str, object]] = {
    name: vars(Logger)[name] for name in ("access", "atoms", "now", "atoms_wrapper_class", "access_log_enabled")
}


# The class


def load_logger_class(cfg: LogSettings) -> Any:
    """The class that `logger_class` means; Statsd in the place of the default if there is a `statsd_host`."""
    name = cfg.logger_class
    if name in SIMPLE or name is Logger:
        name = STATSD[0] if cfg.statsd_host else SIMPLE[0]
    found = name if isinstance(name, type) else named(str(name))
    prepare = getattr(found, "install", None)
    if prepare is not None and prepare is not getattr(Logger, "install", None):
        prepare()  # gunicorn's hook: once, before there is a logger
    return found


def open_log(cfg: LogSettings) -> Any:
    """The log of a configuration. It is a Logger, or has at least gunicorn's methods."""
    return load_logger_class(cfg)(cfg)


def same_log(new: LogSettings, old: LogSettings) -> bool:
    """Whether a reload may go on with the log there is. What stands in a file is read again."""
    if new.logconfig or new.logconfig_json:
        return False
    return all(getattr(new, name) == getattr(old, name) for name in LOG_SETTINGS)


def check(cfg: LogSettings) -> None:
    """What a start would find wrong, as far as that can be known without opening anything."""
    found = load_logger_class(cfg)
    if is_ours(found):
        compile_format(cfg.access_log_format, 0)
    if cfg.syslog:
        from corral.report import syslog  # lazily: few servers have it

        syslog.address_of(cfg.syslog_addr)
        syslog.facility_of(cfg.syslog_facility)


def reinstate(log: Any) -> None:
    """Back to a log, after a reload that failed."""
    if isinstance(log, Logger):
        log.reinstate()


def close(log: Any) -> None:
    if isinstance(log, Logger):
        log.close()


def named(name: str) -> Any:
    return load_class("logger_class", name, GROUP, OWN)


def statsd() -> Any:
    from corral.report.statsd import Statsd  # lazily: it brings socket

    return Statsd


OWN: Final[Mapping[str, Callable[[], Any]]] = {
    **{name: lambda: Logger for name in SIMPLE},
    **dict.fromkeys(STATSD, statsd),
}


# The line


class LoggedAccess:
    """AccessLog's interface over a logger: each request is told to its access(), as gunicorn would."""

    __slots__ = ("log", "request_view", "response_view", "timedelta")

    def __init__(self, log: Any) -> None:
        # Lazily: with the short way nobody needs them.
        from datetime import timedelta

        from corral.gateway.views import Response, request_of

        self.log = log
        self.request_view = request_of
        self.response_view = Response
        self.timedelta = timedelta

    def request(self, environ: Environ, status: str, headers: Headers, sent: int, seconds: float, now: float) -> None:
        try:
            self.log.access(
                self.response_view(status, headers, sent),
                self.request_view(environ),
                environ,
                self.timedelta(seconds=seconds),
            )
        except Exception:
            # The answer has been sent, and a bug in somebody's logger is no reason to fail the next one.
            self.log.exception("Error in the access log")

    def flush(self) -> None:
        """Handlers write at once."""

    def reopen(self) -> None:
        """The logger's reopen_files() has done so."""

    def close(self) -> None:
        """The logger closes its own."""


class CountedAccess:
    """AccessLog's interface over one, or over none where no line is wanted, and statsd."""

    __slots__ = ("count", "lines")

    def __init__(self, lines: AccessLog | None, count: Callable[[str, float], None]) -> None:
        self.lines = lines
        self.count = count

    def request(self, environ: Environ, status: str, headers: Headers, sent: int, seconds: float, now: float) -> None:
        if self.lines is not None:
            self.lines.request(environ, status, headers, sent, seconds, now)
        self.count(status, seconds)

    def flush(self) -> None:
        if self.lines is not None:
            self.lines.flush()

    def reopen(self) -> None:
        if self.lines is not None:
            self.lines.reopen()

    def close(self) -> None:
        if self.lines is not None:
            self.lines.close()


Access = AccessLog | LoggedAccess | CountedAccess


def open_access(cfg: LogSettings, log: Any) -> Access | None:
    """Who is told of each request; None: nobody."""
    if not lines_are_ours(log):
        return LoggedAccess(log)
    lines = None
    if log.access_log_enabled:
        if not cfg.accesslog or not writes_alone(log):
            return LoggedAccess(log)
        lines = AccessLog(cfg.accesslog, cfg.access_log_format)
    return lines if type(log).count_request is Logger.count_request else CountedAccess(lines, log.count_request)


def heed(log: Any, access: Access | None) -> Access | None:
    """Look again once the application is loaded: it may have given `gunicorn.access` a filter, or another handler."""
    for name in (ERROR_LOGGER, ACCESS_LOGGER):
        # dictConfig disables what it doesn't name, unless it is told not to. Nobody means the server's tracebacks.
        logging.getLogger(name).disabled = False
    lines = access.lines if isinstance(access, CountedAccess) else access
    if not isinstance(lines, AccessLog) or (lines_are_ours(log) and writes_alone(log)):
        return access
    lines.close()
    return LoggedAccess(log)


def is_ours(kind: Any) -> bool:
    """No access() but ours is to be called, nor any other method that makes a line what it is."""
    return all(getattr(kind, name, None) is ours for name, ours in OURS.items())


def lines_are_ours(log: Any) -> bool:
    return is_ours(type(log)) and not any(name in vars(log) for name in OURS)


def writes_alone(log: Logger) -> bool:
    """What `gunicorn.access` is told goes to `accesslog`, as it is, and nowhere else."""
    logger = log.access_log
    return (
        len(logger.handlers) == 1
        and isinstance(logger.handlers[0], LineHandler)
        and logger.handlers[0].plain
        and log.access_fmt == "%(message)s"
        and not logger.filters
        and not logger.propagate
        and logger.level <= logging.INFO
    )
