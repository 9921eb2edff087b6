"""A user's own configuration of logging, in its three forms, and what is said of a mistake in it."""

import json
import logging
import logging.config
from pathlib import Path
from typing import Any

import pytest

from corral.errors import ConfigError
from corral.report.configure import CONFIG_DEFAULTS
from corral.report.line import LineHandler

INI = """
[loggers]
keys=root, access
[handlers]
keys=access
[formatters]
keys=short
[logger_root]
handlers=
[logger_access]
qualname=gunicorn.access
handlers=access
propagate=0
[handler_access]
class=FileHandler
formatter=short
args=('%(here)s/access.log',)
[formatter_short]
format=ini %(message)s
"""


def own(path: Path, *loggers: str) -> dict[str, Any]:
    """Loggers that write to a file with a format of their own."""
    return {
        "version": 1,
        "formatters": {"short": {"format": "%(name)s %(message)s"}},
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(path), "formatter": "short"}},
        "root": {"handlers": []},
        "loggers": {name: {"handlers": ["file"], "level": "INFO", "propagate": False} for name in loggers},
    }


def test_a_configured_logger_has_no_handler_besides(open_log: Any, tmp_path: Path) -> None:
    log = open_log(logconfig_dict=own(tmp_path / "own", "gunicorn.error"))
    log.info("to the user's")
    assert (tmp_path / "own").read_text() == "gunicorn.error to the user's\n"
    assert (tmp_path / "error.log").read_text() == ""


def test_a_logger_that_is_not_configured_is_ours(open_log: Any, tmp_path: Path) -> None:
    log = open_log(logconfig_dict=own(tmp_path / "own", "shop"))
    log.info("to the server's")
    logging.getLogger("shop").info("to the shop's")
    assert (tmp_path / "own").read_text() == "shop to the shop's\n"
    assert (tmp_path / "error.log").read_text().endswith("[INFO] to the server's\n")


def test_a_dict_is_laid_over_the_defaults(open_log: Any, capfd: Any) -> None:
    log = open_log(logconfig_dict={"root": {"level": "ERROR", "handlers": []}})
    log.error("twice with gunicorn, for it propagates; once here, for root has no handler")
    assert capfd.readouterr().err.count("[ERROR] twice") == 1
    assert log.error_log.handlers[0].formatter._fmt == CONFIG_DEFAULTS["formatters"]["generic"]["format"]


def test_a_user_may_let_it_propagate_only(open_log: Any, tmp_path: Path) -> None:
    config = own(tmp_path / "own") | {"root": {"handlers": ["file"], "level": "INFO"}}
    config["loggers"] = {"gunicorn.error": {"propagate": True}}
    open_log(logconfig_dict=config).info("up")
    assert (tmp_path / "own").read_text() == "gunicorn.error up\n"


def test_an_ini_file_knows_where_it_is(open_log: Any, tmp_path: Path) -> None:
    (tmp_path / "log.ini").write_text(INI)
    log = open_log(logconfig=str(tmp_path / "log.ini"))
    log.access_log.info("line")
    assert (tmp_path / "access.log").read_text() == "ini line\n"
    assert isinstance(log.error_log.handlers[0], LineHandler)


def test_dict_wins_over_json_and_json_over_ini(open_log: Any, tmp_path: Path) -> None:
    (tmp_path / "log.ini").write_text(INI)
    (tmp_path / "log.json").write_text(json.dumps(own(tmp_path / "json", "gunicorn.error")))
    files = {"logconfig": str(tmp_path / "log.ini"), "logconfig_json": str(tmp_path / "log.json")}
    open_log(**files).info("x")
    assert (tmp_path / "json").read_text() == "gunicorn.error x\n"
    open_log(logconfig_dict=own(tmp_path / "dict", "gunicorn.error"), **files).info("y")
    assert (tmp_path / "dict").read_text() == "gunicorn.error y\n"
    assert (tmp_path / "json").read_text() == "gunicorn.error x\n"


def test_a_failed_reload_goes_back_to_the_configuration_before(open_log: Any, tmp_path: Path) -> None:
    first = open_log(logconfig_dict=own(tmp_path / "first", "gunicorn.error", "shop"))
    second = open_log(logconfig_dict=own(tmp_path / "second", "gunicorn.error"))
    first.info("to the second")
    assert logging.getLogger("shop").handlers == []
    second.close()
    first.reinstate()
    first.info("to the first")
    logging.getLogger("shop").info("too")
    assert (tmp_path / "first").read_text() == "gunicorn.error to the first\nshop too\n"
    assert (tmp_path / "second").read_text() == "gunicorn.error to the second\n"


def test_an_application_that_configures_logging_leaves_the_server_its_log(open_log: Any, tmp_path: Path) -> None:
    log = open_log()
    logging.config.dictConfig({"version": 1, "disable_existing_loggers": False})  # closes every handler there is
    log.info("still here")
    assert (tmp_path / "error.log").read_text().endswith("[INFO] still here\n")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"logconfig": "none.ini"}, "logconfig 'none.ini': none.ini: No such file", id="no INI file"),
        pytest.param({"logconfig_json": "none"}, "logconfig_json 'none': none: No such file", id="no JSON file"),
        pytest.param({"logconfig_json": "broken"}, "logconfig_json 'broken': Expecting property name", id="no JSON"),
        pytest.param({"logconfig_json": "list"}, "logconfig_json 'list': it must be an object", id="not an object"),
        pytest.param({"logconfig": "broken"}, "logconfig 'broken': File contains no section headers", id="no INI"),
        pytest.param({"logconfig": "empty"}, "logconfig 'empty': there is no 'formatters'", id="an empty INI"),
        pytest.param(
            {"logconfig_dict": {"handlers": {"x": {"class": "logging.FileHandler", "filename": "/none/x"}}}},
            "logconfig_dict: Unable to configure handler 'x': /none/x: No such file or directory",
            id="what the handler said",
        ),
        pytest.param(
            {"logconfig_dict": {"handlers": {"x": {"class": "shop.Handler"}}}},
            "logconfig_dict: Unable to configure handler 'x': Cannot resolve 'shop.Handler': No module named 'shop'",
            id="no such class",
        ),
        pytest.param({"logconfig_dict": {"version": 2}}, "logconfig_dict: Unsupported version: 2", id="a version"),
    ],
)
def test_a_mistake_is_one_line(
    open_log: Any, tmp_path: Path, monkeypatch: Any, settings: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken").write_text("{broken")
    (tmp_path / "list").write_text("[]")
    (tmp_path / "empty").write_text("")
    with pytest.raises(ConfigError) as caught:
        open_log(**settings)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("No such") <= 1
    assert str(caught.value).count("No module") <= 1
