"""What the settings of logs, syslog and StatsD do."""

import json

import pytest
from live.settings.stage import Group, Row, check, each

GET = b"GET /print HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
MINE = """
from corral.report.logger import Logger


class Mine(Logger):
    def info(self, msg, *args, **kwargs):
        super().info(f"mine: {msg}", *args, **kwargs)
"""
CONFIGURED = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "configured.log"}},
    "root": {"handlers": []},  # gunicorn's own, which a dict replaces key by key, names a handler that isn't here
    "loggers": {"gunicorn.error": {"handlers": ["file"], "level": "INFO"}},
}
INI = """
[loggers]
keys=root,error
[handlers]
keys=file
[formatters]
keys=
[logger_root]
handlers=
[logger_error]
qualname=gunicorn.error
level=INFO
handlers=file
[handler_file]
class=FileHandler
args=("configured.log",)
"""


def logged(text, name=None):
    """Whether a request has put it there: into a file, or into what the server writes to its terminal."""

    def observe(stage):
        stage.ask(GET)
        stage.ask(GET)  # a worker that takes the second request has written what it says of the first
        path = stage.directory / name if name else stage.output
        return path.exists() and text in path.read_text()

    return observe


def to_syslog(test):
    def observe(stage):
        stage.ask(GET)
        stage.ask(b"BAD\r\n\r\n")
        if not stage.settings.get("syslog"):
            return stage.daemons["syslog"].all() != []
        return any(map(test, stage.daemons["syslog"].until("Invalid request")))

    return observe


def to_statsd(test):
    def observe(stage):
        stage.ask(GET)
        if not stage.settings.get("statsd_host"):
            return stage.daemons["statsd"].all() != []
        return any(map(test, stage.daemons["statsd"].until("request.status.200")))

    return observe


SYSLOG = {"syslog": True, "syslog_addr": "unix://syslog#dgram", "accesslog": "access.log"}
STATSD = {"statsd_host": "unix://statsd"}
GROUPS = (
    Group((
        Row("errorlog", "error.log", logged("Listening at", "error.log"), False, True),
        Row("capture_output", True, logged("printed by the application", "error.log"), False, True),
        Row("loglevel", "debug", logged("[DEBUG]", "error.log"), False, True),
        Row("accesslog", "access.log", logged("/print", "access.log"), False, True),
        Row("access_log_format", "shop %(m)s %(U)s %(s)s", logged("shop GET /print 200\n", "access.log"), False, True),
    ), log="error.log"),
    Group((Row("access_log_format", "%(m)s %(U)s %(s)s", logged("\nGET /print 200\n"), False, True),),
          base={"accesslog": "-"}),
    Group((Row("logger_class", "mine.Mine", logged("mine: Listening at"), False, True),), files={"mine.py": MINE}),
    Group((Row("logconfig_dict", CONFIGURED, logged("Listening", "configured.log"), False, True),),
          log="configured.log"),
    Group((Row("logconfig_json", "log.json", logged("Listening", "configured.log"), False, True),),
          files={"log.json": json.dumps(CONFIGURED)}, log="configured.log"),
    Group((Row("logconfig", "log.ini", logged("Listening", "configured.log"), False, True),),
          files={"log.ini": INI}, log="configured.log"),
    Group((
        Row("syslog", True, to_syslog(lambda message: "Listening at" in message), False, True),
        Row("syslog_addr", "unix://syslog#dgram", to_syslog(lambda message: "Listening at" in message), False, True),
    )),
    Group((
        Row("syslog_prefix", "shop", to_syslog(lambda message: "shop" in message.split()[0]), False, True),
        # <PRI> is facility * 8 + severity (RFC 5424 §6.2.1): local3 is 19, a warning 4.
        Row("syslog_facility", "local3", to_syslog(lambda message: message.startswith("<156>")), False, True),
        Row("disable_redirect_access_to_syslog", True, to_syslog(lambda message: "/print" in message), True, False),
    ), base=SYSLOG),
    Group((Row("statsd_host", "unix://statsd", to_statsd(lambda metric: metric == "gunicorn.workers:1|g"), False,
               True),)),
    Group((
        Row("statsd_prefix", "shop", to_statsd(lambda metric: metric.startswith("shop.gunicorn.requests")), False,
            True),
        Row("dogstatsd_tags", "a:1,b", to_statsd(lambda metric: metric.endswith("|#a:1,b")), False, True),
        Row("enable_backlog_metric", True, to_statsd(lambda metric: "gunicorn.backlog:" in metric), False, True),
    ), base=STATSD),
)  # fmt: skip


@pytest.mark.parametrize(("group", "row"), each(GROUPS))
def test_the_effect_of(stage, group, row):
    check(stage, group, row)
