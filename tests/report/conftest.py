"""What the tests of this package share: settings, logs that are closed, and loggers that are left as they were."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from corral.report import wiring
from corral.report.logger import Logger

OpenLog = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the logs ask of a configuration."""

    errorlog: str = "-"
    loglevel: str = "info"
    capture_output: bool = False
    accesslog: str | None = None
    access_log_format: str = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
    logger_class: Any = "gunicorn.glogging.Logger"
    logconfig: str | None = None
    logconfig_dict: Any = dataclasses.field(default_factory=dict)
    logconfig_json: str | None = None
    syslog: bool = False
    syslog_addr: str = "udp://localhost:514"
    syslog_prefix: str | None = None
    syslog_facility: str = "user"
    disable_redirect_access_to_syslog: bool = False
    statsd_host: Any = None
    statsd_prefix: str = ""
    dogstatsd_tags: str = ""
    proc_name: str | None = None
    wsgi_app: str | None = "shop:app"


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    before = wiring.capture()
    yield
    after = wiring.capture()
    if Logger.present is not None:
        Logger.present.close()
    for handler in wiring.added(before, after):
        handler.close()
    wiring.restore({**dict.fromkeys(after, wiring.UNTOUCHED), **before})


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[OpenLog]:
    """Opens a log, by default in the test's own directory; all are closed at the end."""
    opened: list[Logger] = []

    def open_log(
        errorlog: str = str(tmp_path / "error.log"),
        loglevel: str = "info",
        capture: bool = False,
        of: type[Logger] = Logger,
        **settings: Any,
    ) -> Logger:
        log = of(Settings(errorlog=errorlog, loglevel=loglevel, capture_output=capture, **settings))
        opened.append(log)
        return log

    yield open_log
    for log in opened:
        log.close()
