"""What the tests of this package share: a log, and a logger that is left as it was found."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from corral.report.log import Log

OpenLog = Callable[..., Log]


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[OpenLog]:
    """Opens an error log, by default in the test's own directory; all are closed at the end."""
    opened = []

    def open_log(errorlog: str = str(tmp_path / "error.log"), loglevel: str = "info", capture: bool = False) -> Log:
        log = Log(SimpleNamespace(errorlog=errorlog, loglevel=loglevel, capture_output=capture))
        opened.append(log)
        for handler in [handler for handler in log.error_log.handlers if handler is not log.handler]:
            log.error_log.removeHandler(handler)  # pytest's own, which refuses what the log must survive
        return log

    yield open_log
    for log in opened:
        log.close()
    logging.getLogger("gunicorn.error").propagate = True
