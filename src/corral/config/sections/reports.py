"""What the server says: its logs, and its metrics."""

import dataclasses
import sys
from typing import Any

from corral.config import values
from corral.config.classes import LOGGER, logger_class
from corral.config.row import setting, switch

ACCESS_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
LEVELS = ("debug", "info", "warning", "error", "critical")
SYSLOG = "unix:///var/run/syslog" if sys.platform == "darwin" else "udp://localhost:514"


# A row is a paragraph:
# fmt: off
@dataclasses.dataclass(frozen=True, kw_only=True, init=False, eq=False, repr=False)
class Reports:
    """Logs, syslog and StatsD."""

    __slots__ = ()

    # -- Logs --
    accesslog: str | None = setting(
        None, "--access-logfile", accept=values.optional_text, section="Logs", metavar="FILE",
        help="Where requests are logged; - is standard output.",
    )
    access_log_format: str = setting(
        ACCESS_FORMAT, "--access-logformat", accept=values.text, section="Logs", metavar="FORMAT",
        help="The line of a request, see docs/logging.md; json is an object a line.",
    )
    errorlog: str = setting(
        "-", "--error-logfile", "--log-file", accept=values.text, section="Logs", metavar="FILE",
        help="Where the server logs; - is standard error.",
    )
    loglevel: str = setting(
        "info", "--log-level", accept=values.choice(*LEVELS, also={"warn": "warning", "fatal": "critical"}),
        section="Logs", metavar="LEVEL", help="How much of it: debug, info, warning, error, critical.",
    )
    capture_output: bool = switch(
        "--capture-output", section="Logs", help="Send what the application prints to errorlog.",
    )
    logger_class: str | type[Any] = setting(
        LOGGER, "--logger-class", accept=logger_class, section="Logs", metavar="CLASS",
        help="The class that writes both logs: package.module.Class, or the class itself.",
    )
    logconfig: str | None = setting(
        None, "--log-config", accept=values.optional_text, section="Logs", metavar="FILE",
        help="Configure logging with this file, in the format of logging.config.fileConfig.",
    )
    logconfig_dict: values.Fixed = setting(
        values.Fixed(), accept=values.table, section="Logs",
        help="Configure logging with this dict, in the format of logging.config.dictConfig. It wins over the files.",
    )
    logconfig_json: str | None = setting(
        None, "--log-config-json", accept=values.optional_text, section="Logs", metavar="FILE",
        help="Configure logging with such a dict, which stands in a JSON file. It wins over logconfig.",
    )

    # -- Syslog --
    syslog: bool = switch("--log-syslog", section="Syslog", help="Send both logs to syslog.")
    syslog_addr: str = setting(
        SYSLOG, "--log-syslog-to", accept=values.text, section="Syslog", metavar="ADDRESS",
        help="Where it is: udp://HOST:PORT, tcp://HOST:PORT or unix://PATH, with #stream or #dgram if you like.",
    )
    syslog_prefix: str | None = setting(
        None, "--log-syslog-prefix", accept=values.optional_text, section="Syslog", metavar="TEXT",
        help="What messages begin with, instead of the process's name.",
    )
    syslog_facility: str = setting(
        "user", "--log-syslog-facility", accept=values.text, section="Syslog", metavar="NAME",
        help="The facility: user, daemon, local0, ...",
    )
    disable_redirect_access_to_syslog: bool = switch(
        "--disable-redirect-access-to-syslog", section="Syslog", help="Send syslog no requests.",
    )

    # -- StatsD --
    statsd_host: tuple[str, int] | str | None = setting(
        None, "--statsd-host", accept=values.metrics_address, section="StatsD", metavar="ADDRESS",
        help="Send metrics to the StatsD server at HOST:PORT or unix://PATH.",
    )
    statsd_prefix: str = setting(
        "", "--statsd-prefix", accept=values.some_text, section="StatsD", metavar="TEXT",
        help="What the names of metrics begin with.",
    )
    dogstatsd_tags: str = setting(
        "", "--dogstatsd-tags", accept=values.some_text, section="StatsD", metavar="TAGS",
        help="Tags that each metric carries, with commas between.",
    )
    enable_backlog_metric: bool = switch(
        "--enable-backlog-metric", section="StatsD",
        help="Send how many connections wait to be accepted, where the system tells.",
    )
