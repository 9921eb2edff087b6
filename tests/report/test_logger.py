"""The logger class: what subclasses of gunicorn's do with it, and one log in the place of another."""

import json
import logging
import logging.config
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from corral.gateway.views import Request, Response
from corral.report.access import AccessLog
from corral.report.choice import LoggedAccess, heed, open_access
from corral.report.line import LineHandler
from corral.report.logger import Logger

ENVIRON = {
    "REMOTE_ADDR": "203.0.113.7",
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/a%20b?page=2",
    "PATH_INFO": "/a b",
    "QUERY_STRING": "page=2",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_USER_AGENT": "curl",
    "HTTP_X_REQUEST_ID": "7f",
    "wsgi.url_scheme": "https",
}
HEADERS = [("Content-Type", "text/html"), ("ETag", '"1"')]
DURATION = timedelta(milliseconds=41)


def serve(access: Any, path: str = "/news", **changes: str) -> None:
    environ = ENVIRON | {"RAW_URI": path, "PATH_INFO": path} | changes
    access.request(environ, "200 OK", HEADERS, 512, 0.041, 1795508441.25)
    access.flush()


def lines_of(open_log: Any, path: Path, of: type[Logger], *paths: str, **settings: Any) -> list[str]:
    """The access log after a request for each path."""
    log = open_log(of=of, accesslog=str(path), **settings)
    access = open_access(log.cfg, log)
    assert isinstance(access, LoggedAccess)
    for each in paths or ("/news",):
        serve(access, each)
    return path.read_text().splitlines()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


# What people write


class WithoutHealthChecks(Logger):
    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        if req.path != "/health":
            super().access(resp, req, environ, request_time)


class Json(Logger):
    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        atoms = self.atoms(resp, req, environ, request_time)
        self.access_log.info(json.dumps({"path": atoms["U"], "status": atoms["s"], "ms": atoms["M"]}))


class Anonymous(Logger):
    def atoms(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> dict[str, Any]:
        atoms = super().atoms(resp, req, environ, request_time)
        atoms["h"] = atoms["h"].rpartition(".")[0] + ".0"
        atoms["shop"] = "two\nlines"
        return atoms


class OtherClock(Logger):
    def now(self) -> str:
        return "[now]"


class OtherFormatter(Logger):
    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self._set_handler(self.access_log, cfg.accesslog, logging.Formatter("access: %(message)s"))


class Filtered(Logger):
    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.access_log.addFilter(lambda record: record.args["U"] != "/health")


class Quiet(Logger):
    """The way of those who log with another library."""

    def setup(self, cfg: Any) -> None:
        self.error_log.addHandler(logging.NullHandler())
        self.access_log.addHandler(logging.NullHandler())


@pytest.mark.parametrize(
    ("of", "layout", "expected"),
    [
        pytest.param(WithoutHealthChecks, "%(U)s %(s)s", ["/news 200"], id="access() drops some"),
        pytest.param(Filtered, "%(U)s %(s)s", ["/news 200"], id="a filter reads the atoms"),
        pytest.param(
            Json,
            "",
            ['{"path": "/health", "status": "200", "ms": 41}', '{"path": "/news", "status": "200", "ms": 41}'],
            id="access() writes JSON",
        ),
        pytest.param(
            Anonymous,
            "%(h)s %(shop)s %(none)s",
            [r"203.0.113.0 two\x0alines -", r"203.0.113.0 two\x0alines -"],
            id="atoms() changes one and adds one",
        ),
        pytest.param(OtherClock, "%(t)s", ["[now]", "[now]"], id="now() has another format"),
        pytest.param(OtherFormatter, "%(U)s", ["access: /health", "access: /news"], id="a formatter of its own"),
        pytest.param(Quiet, "%(U)s", None, id="setup() without ours"),
    ],
)
def test_a_subclass(open_log: Any, target: Path, of: type[Logger], layout: str, expected: list[str] | None) -> None:
    if expected is None:
        open_log(of=of, accesslog=str(target)).error("nowhere")
        assert not target.exists()
        return
    assert lines_of(open_log, target, of, "/health", "/news", access_log_format=layout) == expected


def test_json_is_made_of_the_atoms_of_a_subclass(open_log: Any, target: Path) -> None:
    [line] = lines_of(open_log, target, Anonymous, '/"\n', access_log_format="json")
    made = json.loads(line)
    assert made.pop("time")
    assert made.pop("pid")
    assert made == {
        "remote_addr": "203.0.113.0", "method": "GET", "path": '/"\n', "query": "page=2", "protocol": "HTTP/1.1",
        "status": 200, "bytes": 512, "duration_ms": 41.0, "referer": None, "user_agent": "curl", "request_id": "7f",
        "host": None,
    }  # fmt: skip


def test_a_json_template_stays_json(open_log: Any, target: Path) -> None:
    [line] = lines_of(open_log, target, WithoutHealthChecks, '/"\\\n', access_log_format='{"path": "%(U)s"}')
    assert json.loads(line) == {"path": '/"\\\n'}


# Both ways give the same line

LAYOUTS = [
    '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    "%(m)s %(U)s %(q)s %(H)s %(B)s %(T)s %(D)d %(M)s %(L)s %(p)s",
    "%({User-Agent}i)s %({etag}o)s %({wsgi.url_scheme}e)s %({REMOTE_ADDR}e)s %({none}i)s",
    "tab\t%(U)s",
    '{"p": "%(U)s"}',
]


@pytest.mark.parametrize("path", ["/plain", '/"', "/\n", "/\\", "/\x1b[2J", "/é\u2028😀\udce9"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_long_way_writes_what_the_short_way_does(open_log: Any, tmp_path: Path, layout: str, path: str) -> None:
    class Same(Logger):
        def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
            super().access(resp, req, environ, request_time)

        def now(self) -> str:
            return "[24/Nov/2026:08:20:41 +0000]"

    short = AccessLog(str(tmp_path / "short"), layout)
    short.format = short.format._replace(stamp=lambda now: "[24/Nov/2026:08:20:41 +0000]")
    serve(short, path)
    short.close()
    [line] = lines_of(open_log, tmp_path / "long", Same, path, access_log_format=layout)
    assert line == (tmp_path / "short").read_text().removesuffix("\n")


def test_the_atoms_are_gunicorns(open_log: Any) -> None:
    log = open_log()
    atoms = log.atoms(Response("404 Not Found", HEADERS, 0), Request(ENVIRON), ENVIRON, DURATION)
    assert {"h", "l", "u", "t", "r", "s", "m", "U", "q", "H", "b", "B", "f", "a", "T", "D", "M", "L", "p"} < set(atoms)
    assert atoms["s"] == "404"
    assert atoms["D"] == 41000
    assert atoms["{user-agent}i"] == "curl"
    assert atoms["{etag}o"] == '"1"'
    assert atoms["{wsgi.url_scheme}e"] == "https"
    safe = log.atoms_wrapper_class(atoms)
    assert safe["{ETag}o"] == safe.get("{etag}o") == dict(safe.items())["{etag}o"] == r"\x221\x22"
    assert safe["D"] == 41000
    assert safe["none"] == "-"
    assert safe.get("none", 1) == 1


# Which way


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, None, id="nothing set"),
        pytest.param({"accesslog": "access.log"}, AccessLog, id="a file"),
        pytest.param({"logconfig_dict": {"version": 1}}, LoggedAccess, id="logging configured"),
        pytest.param({"accesslog": "access.log", "logconfig_dict": {"version": 1}}, LoggedAccess, id="both"),
        pytest.param({"syslog": True}, LoggedAccess, id="syslog"),
        pytest.param({"syslog": True, "accesslog": "access.log"}, LoggedAccess, id="syslog and a file"),
        pytest.param({"syslog": True, "disable_redirect_access_to_syslog": True}, None, id="errors to syslog"),
        pytest.param(
            {"syslog": True, "disable_redirect_access_to_syslog": True, "accesslog": "access.log"},
            AccessLog,
            id="errors to syslog, requests to a file",
        ),
    ],
)
def test_the_way_of_a_line(
    open_log: Any, tmp_path: Path, monkeypatch: Any, settings: dict[str, Any], expected: type | None
) -> None:
    monkeypatch.chdir(tmp_path)
    log = open_log(**settings)
    access = open_access(log.cfg, log)
    assert type(access) is (expected or type(None))
    if access is not None:
        access.close()


def test_a_patched_method_is_called(open_log: Any, target: Path, monkeypatch: Any) -> None:
    seen: list[str] = []
    monkeypatch.setattr(Logger, "access", lambda log, resp, req, environ, request_time: seen.append(req.uri))
    log = open_log()
    serve(open_access(log.cfg, log))
    assert seen == ["/news"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda log: log.addFilter(lambda record: record.args["U"] != "/health"), id="a filter"),
        pytest.param(
            lambda log: log.handlers[0].addFilter(lambda record: "health" not in record.getMessage()), id="one deeper"
        ),
        pytest.param(lambda log: log.setLevel("WARNING"), id="a level"),
        pytest.param(lambda log: log.handlers[0].setLevel("ERROR"), id="a handler's level"),
        pytest.param(lambda log: log.removeHandler(log.handlers[0]), id="no handler"),
    ],
)
def test_an_application_that_configures_the_access_log_is_heeded(open_log: Any, target: Path, change: Any) -> None:
    log = open_log(accesslog=str(target))
    access = open_access(log.cfg, log)
    assert heed(log, access) is access
    change(log.access_log)
    access = heed(log, access)
    assert isinstance(access, LoggedAccess)
    serve(access, "/health")
    assert target.read_text() == ""


def test_an_application_that_forgot_the_server_does_not_silence_it(open_log: Any, tmp_path: Path, target: Path) -> None:
    log = open_log(of=WithoutHealthChecks, accesslog=str(target), access_log_format="%(U)s")
    access = open_access(log.cfg, log)
    logging.config.dictConfig({"version": 1})  # disable_existing_loggers is True by default
    log.error("dropped")
    access = heed(log, access)
    log.error("said")
    serve(access)
    assert (tmp_path / "error.log").read_text().count("\n") == 1
    assert target.read_text() == "/news\n"


def test_a_logger_that_raises_fails_no_request(open_log: Any, tmp_path: Path) -> None:
    class Broken(Logger):
        def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
            raise LookupError("a bug")

    log = open_log(of=Broken)
    serve(open_access(log.cfg, log))
    assert "Error in the access log\nTraceback" in (tmp_path / "error.log").read_text()


def test_a_logger_of_another_family(open_log: Any) -> None:
    class Duck:
        def __init__(self, cfg: Any) -> None:
            self.lines: list[str] = []

        def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
            self.lines.append(f"{req.method} {req.path} {resp.status_code} {request_time.microseconds}")

    duck = Duck(None)
    serve(open_access(open_log().cfg, duck))
    assert duck.lines == ["GET /news 200 41000"]


def test_handlers_are_there_before_a_worker_is_made(open_log: Any, target: Path) -> None:
    log = open_log(accesslog=str(target))
    [error], [access] = log.error_log.handlers, log.access_log.handlers
    assert isinstance(error, LineHandler)
    assert log.error_log.level == logging.INFO
    logger = logging.getLogger("another.access")
    logger.handlers, logger.propagate = log.access_log.handlers, False
    logger.error('%s - "%s" %d', "203.0.113.7:1", "GET /\n", 200)
    assert access.file.path == str(target)
    assert target.read_text() == '203.0.113.7:1 - "GET /\\n" 200\n'


def test_a_level_by_its_name(open_log: Any, tmp_path: Path) -> None:
    log = open_log()
    log.log("warning", "by name")
    log.log(logging.ERROR, "by number")
    text = (tmp_path / "error.log").read_text()
    assert "[WARNING] by name\n" in text
    assert "[ERROR] by number\n" in text


# One in the place of another


def test_a_new_log_takes_the_place_of_the_old_one_with_all_it_brought(open_log: Any, tmp_path: Path) -> None:
    extra = logging.NullHandler()
    first = open_log(
        of=Filtered, accesslog=str(tmp_path / "access"), logconfig_dict={"version": 1, "loggers": {}, "root": {
            "level": "ERROR", "handlers": ["console"]}},
    )  # fmt: skip
    first.error_log.addHandler(extra)  # an application's, not the log's
    second = open_log(str(tmp_path / "second"))
    assert logging.root.level != logging.ERROR
    assert first.access_log.filters == []
    assert extra in second.error_log.handlers
    assert [handler.file for handler in second.error_log.handlers if handler is not extra] == [second.file]
    first.close()
    assert len(second.error_log.handlers) == 2


def test_a_log_that_cannot_be_set_up_leaves_the_way_back_open(open_log: Any, tmp_path: Path) -> None:
    first = open_log(of=Filtered, accesslog=str(tmp_path / "access"))
    with pytest.raises(Exception, match="logconfig"):
        open_log(str(tmp_path / "second"), logconfig=str(tmp_path / "none"))
    first.reinstate()
    assert len(first.access_log.filters) == len(first.access_log.handlers) == len(first.error_log.handlers) == 1
    first.info("as before")
    assert (tmp_path / "error.log").read_text().endswith("[INFO] as before\n")
    assert not first.error_log.propagate


def test_both_logs_are_reopened(open_log: Any, tmp_path: Path, target: Path) -> None:
    log = open_log(of=WithoutHealthChecks, accesslog=str(target), access_log_format="%(U)s")
    access = open_access(log.cfg, log)
    target.rename(tmp_path / "access.log.1")
    log.reopen_files()
    access.reopen()
    serve(access)
    access.close()
    assert target.read_text() == "/news\n"
