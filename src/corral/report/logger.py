"""The log of the server: gunicorn's Logger, which its own code calls and users derive theirs from.

It knows which loggers, handlers and files a configuration means, and how one log takes another's place; not how lines
are written, nor whether a request's goes through here (choice).
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from corral.errors import ConfigError
from corral.report import wiring
from corral.report.access import clf_stamp, is_json, parse
from corral.report.atoms import JSON, JsonAtoms, SafeAtoms, atoms_of
from corral.report.file import STDERR, STDOUT, LogFile
from corral.report.line import (
    ACCESS_LOGGER,
    DATE_FORMAT,
    ERROR_FORMAT,
    ERROR_LOGGER,
    LineFormatter,
    LineHandler,
)

if TYPE_CHECKING:
    from datetime import timedelta

# What, when it changes, makes another log.
LOG_SETTINGS: Final = (
    "errorlog", "loglevel", "capture_output", "accesslog", "access_log_format", "logger_class", "logconfig",
    "logconfig_dict", "logconfig_json", "syslog", "syslog_addr", "syslog_prefix", "syslog_facility",
    "disable_redirect_access_to_syslog", "statsd_host", "statsd_prefix", "dogstatsd_tags", "proc_name", "wsgi_app",
)  # fmt: skip
LEVELS: Final = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}


class LogSettings(Protocol):
    """The part of the configuration that is the logs'."""

    @property
    def errorlog(self) -> str: ...
    @property
    def loglevel(self) -> str: ...
    @property
    def capture_output(self) -> bool: ...
    @property
    def accesslog(self) -> str | None: ...
    @property
    def access_log_format(self) -> str: ...
    @property
    def logger_class(self) -> str | type: ...
    @property
    def logconfig(self) -> str | None: ...
    @property
    def logconfig_dict(self) -> Mapping[str, Any]: ...
    @property
    def logconfig_json(self) -> str | None: ...
    @property
    def syslog(self) -> bool: ...
    @property
    def syslog_addr(self) -> str: ...
    @property
    def syslog_prefix(self) -> str | None: ...
    @property
    def syslog_facility(self) -> str: ...
    @property
    def disable_redirect_access_to_syslog(self) -> bool: ...
    @property
    def statsd_host(self) -> Any: ...
    @property
    def statsd_prefix(self) -> str: ...
    @property
    def dogstatsd_tags(self) -> str: ...
    @property
    def proc_name(self) -> str | None: ...
    @property
    def wsgi_app(self) -> str | None: ...


class Logger:
    """`error_log` and `access_log` are the loggers that applications know by gunicorn's names.

    To make one is to make it the log of the process. The one before it stays open: a reload that fails goes back to it.
    """

    error_fmt = ERROR_FORMAT
    datefmt = DATE_FORMAT
    access_fmt = "%(message)s"
    syslog_fmt = "[%(process)d] %(message)s"
    atoms_wrapper_class: Callable[[dict[str, Any]], Mapping[str, Any]] = SafeAtoms
    loglevel = logging.INFO
    captures = False
    file: LogFile | None = None  # the error log's, unless a subclass does without
    logfile: LogFile | None = None  # where captured output goes
    present: ClassVar["Logger | None"] = None

    def __init__(self, cfg: LogSettings) -> None:
        self.cfg = cfg
        self.error_log = logging.getLogger(ERROR_LOGGER)
        self.access_log = logging.getLogger(ACCESS_LOGGER)
        self.log_files: list[LogFile] = []
        self.take_over()
        self.wires_before = self.wires_after = self.wires_last = wiring.capture()
        self.error_log.propagate = self.access_log.propagate = False
        try:
            self.setup(cfg)
        except BaseException:
            self.wires_after = wiring.capture()
            self.close()
            raise
        self.wires_after = wiring.capture()

    # -- for subclasses to extend

    def setup(self, cfg: LogSettings) -> None:
        """Handlers of the server's own first: configuring a logger, as users do, throws them out."""
        self.loglevel = level_of(cfg.loglevel)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        self._set_handler(self.error_log, cfg.errorlog, LineFormatter(self.error_fmt, self.datefmt))
        self._set_handler(self.access_log, cfg.accesslog, LineFormatter(self.access_fmt), sys.stdout)
        if cfg.syslog:
            from corral.report.syslog import add_syslog  # lazily: few servers have it

            add_syslog(self, cfg)
        if cfg.logconfig_dict or cfg.logconfig_json or cfg.logconfig:
            from corral.report.configure import configure  # lazily: it brings logging.config, 1 MiB

            configure(cfg)
        if cfg.capture_output and cfg.errorlog != "-":
            self.captures = True
            self.logfile = self.file
            self.capture()

    def _set_handler(self, log: logging.Logger, output: str | None, fmt: logging.Formatter, stream: Any = None) -> None:
        """Let `output`, instead of what setup() chose, be where a logger writes. Subclasses call it by this name."""
        for handler in [handler for handler in log.handlers if isinstance(handler, LineHandler)]:
            log.removeHandler(handler)
        if output is None:
            return
        name = "accesslog" if log is self.access_log else "errorlog"
        file = LogFile(name, output, STDOUT if stream is not None and stream is sys.stdout else STDERR)
        self.log_files.append(file)
        if log is self.error_log:
            self.file = file
        log.addHandler(LineHandler(file, fmt))

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        level = LEVELS.get(lvl.lower(), logging.INFO) if isinstance(lvl, str) else lvl
        self.error_log.log(level, msg, *args, **kwargs)

    # -- requests

    @property
    def access_log_enabled(self) -> bool:
        cfg = self.cfg
        return bool(
            cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json
            or (cfg.syslog and not cfg.disable_redirect_access_to_syslog)
        )  # fmt: skip

    def access(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: "timedelta") -> None:
        log = self.access_log
        if self.access_log_enabled and log.isEnabledFor(logging.INFO) and log.hasHandlers():
            layout, wrap = self.access_layout
            log.info(layout, wrap(self.atoms(resp, req, environ, request_time)))
        self.count_request(str(resp.status), request_time.total_seconds())

    def count_request(self, status: str, seconds: float) -> None:
        """For Statsd, which so needs no access() of its own: the short way of a line (choice) is open to it."""

    def atoms(self, resp: Any, req: Any, environ: Mapping[str, Any], request_time: "timedelta") -> dict[str, Any]:
        return atoms_of(resp, req, environ, request_time.total_seconds(), self.now())

    def now(self) -> str:
        return clf_stamp(time.time())

    @cached_property
    def access_layout(self) -> tuple[str, Callable[[dict[str, Any]], Mapping[str, Any]]]:
        """The template of a line, and what makes atoms safe in it."""
        layout = self.cfg.access_log_format
        if layout == "json":
            return JSON, JsonAtoms
        wrap = self.atoms_wrapper_class
        return layout, JsonAtoms if wrap is SafeAtoms and makes_json(layout) else wrap

    # -- files

    def capture(self) -> None:
        """What the application and its C libraries print goes to the log too."""
        assert self.logfile is not None
        for stream, fd in ((sys.stdout, STDOUT), (sys.stderr, STDERR)):
            reconfigure = getattr(stream, "reconfigure", None)
            if reconfigure is not None:
                # Python buffers 8 KiB of what goes to a file; a log that is late by that much helps nobody.
                reconfigure(line_buffering=True)
            os.dup2(self.logfile.fd, fd)

    def reopen_files(self) -> None:
        """After a rotation (USR1): these logs, and every file that the application logs to, as gunicorn does."""
        for file in self.log_files:
            failure = file.reopen()
            if failure:
                self.error("%s", failure)
        if self.captures:
            self.capture()
        for handler in file_handlers():
            try:
                reopen_handler(handler)
            except OSError as error:
                self.error("log file %r can't be reopened: %s", handler.baseFilename, error.strerror)

    def close_on_exec(self) -> None:
        """Python opens files so; somebody's may have been made inheritable."""
        for handler in file_handlers():
            if handler.stream is not None:
                os.set_inheritable(handler.stream.fileno(), False)

    # -- one log in the place of another

    def take_over(self) -> None:
        previous = Logger.present
        if previous is not None:
            previous.wires_last = wiring.capture()
            wiring.undo(previous.wires_before, previous.wires_after)
        Logger.present = self

    def reinstate(self) -> None:
        """Be the log of the process again, after a reload that failed."""
        if Logger.present is self:
            return
        self.take_over()
        wiring.restore(self.wires_last)
        if self.captures:
            self.capture()

    def close(self) -> None:
        if Logger.present is self:
            wiring.undo(self.wires_before, self.wires_after)
            Logger.present = None
        for handler in wiring.added(self.wires_before, self.wires_after) - wiring.handlers_of(wiring.capture()):
            handler.close()
        for file in self.log_files:
            file.close()


def makes_json(layout: str) -> bool:
    try:
        return is_json(list(parse(layout)))
    except ConfigError:  # atoms of a subclass's own: its template is its affair
        return False


def level_of(name: str) -> int:
    level = LEVELS.get(name.lower())
    if level is None:
        import difflib  # lazily: only a typing error needs it

        nearest = difflib.get_close_matches(name.lower(), LEVELS, 1, 0.4)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"it is one of {', '.join(LEVELS)}"
        raise ConfigError(f"loglevel {name!r} is unknown; {hint}")
    return level


def file_handlers() -> list[logging.FileHandler]:
    handlers = wiring.handlers_of(wiring.capture())
    return [handler for handler in handlers if isinstance(handler, logging.FileHandler)]


def reopen_handler(handler: logging.FileHandler) -> None:
    if handler.stream is None:
        return  # with delay=True, and nothing logged yet
    # Not handler.mode: "w" would truncate what another worker has just begun.
    stream = open(handler.baseFilename, "a", encoding=handler.encoding, errors=handler.errors)  # noqa: SIM115
    previous = handler.setStream(stream)
    if previous is not None:
        previous.close()
