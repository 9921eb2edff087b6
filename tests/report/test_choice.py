"""The name of a logger class, and the class it means."""

import sys
from pathlib import Path
from typing import Any

import pytest

from corral.errors import ConfigError
from corral.report.choice import check, close, load_logger_class, open_log, reinstate, same_log
from corral.report.logger import Logger
from corral.report.statsd import Statsd

from .conftest import Settings
from .test_logger import Anonymous


class Own(Logger):
    prepared = 0

    @classmethod
    def install(cls) -> None:
        cls.prepared += 1


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: Any) -> Path:
    """A directory of modules and of a distribution with an entry point."""
    (tmp_path / "shoplog.py").write_text(
        "from corral.report.logger import Logger\nclass ShopLogger(Logger): pass\nN = 1"
    )
    (tmp_path / "brokenlog.py").write_text("1 / 0")
    info = tmp_path / "shop-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[gunicorn.loggers]\nown = shoplog:ShopLogger\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("shoplog", None)


@pytest.mark.parametrize(
    ("name", "statsd_host", "expected"),
    [
        pytest.param("gunicorn.glogging.Logger", None, Logger, id="gunicorn's default"),
        pytest.param("corral.report.logger.Logger", None, Logger, id="our own name of it"),
        pytest.param("simple", None, Logger, id="short"),
        pytest.param(Logger, None, Logger, id="itself"),
        pytest.param("gunicorn.instrument.statsd.Statsd", None, Statsd, id="statsd"),
        pytest.param("statsd", None, Statsd, id="statsd, short"),
        pytest.param("egg:gunicorn#statsd", None, Statsd, id="statsd, as an egg"),
        pytest.param("gunicorn.glogging.Logger", ("localhost", 8125), Statsd, id="a host makes it statsd"),
        pytest.param("simple", "/run/statsd", Statsd, id="so does a path"),
        pytest.param(Own, ("localhost", 8125), Own, id="not where there is a class of one's own"),
        pytest.param("shoplog.ShopLogger", None, "ShopLogger", id="dotted"),
        pytest.param("egg:shop#own", None, "ShopLogger", id="an entry point of a distribution"),
        pytest.param("own", None, "ShopLogger", id="an entry point"),
    ],
)
def test_a_name(modules: Path, name: Any, statsd_host: Any, expected: Any) -> None:
    found = load_logger_class(Settings(logger_class=name, statsd_host=statsd_host))
    assert found is expected or found.__name__ == expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param(
            "gunicorn.gloging.Logger",
            "logger_class 'gunicorn.gloging.Logger': there is no module 'gunicorn.gloging'; did you mean "
            "'gunicorn.glogging.Logger'?",
            id="nearly gunicorn's",
        ),
        pytest.param(
            "shoplog.ShopLoger",
            "logger_class 'shoplog.ShopLoger': module 'shoplog' has no 'ShopLoger'; did you mean 'ShopLogger'?",
            id="nearly one of a module",
        ),
        pytest.param("shoplog.N", "logger_class 'shoplog.N' is no class but int", id="not a class"),
        pytest.param("none.Logger", "logger_class 'none.Logger': there is no module 'none'", id="no module"),
        pytest.param(
            "brokenlog.Logger",
            "logger_class 'brokenlog.Logger' can't be imported: ZeroDivisionError: division by zero",
            id="a module that raises",
        ),
        pytest.param(
            "simpel", "logger_class 'simpel' is not installed; did you mean 'simple'?", id="nearly a short name"
        ),
        pytest.param(
            "egg:shop#owm",
            "logger_class 'egg:shop#owm' is not installed; did you mean 'egg:shop#own'?",
            id="nearly an entry point",
        ),
    ],
)
def test_a_mistake_is_one_line(modules: Path, name: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_logger_class(Settings(logger_class=name))
    assert str(caught.value) == said


def test_a_class_is_prepared_once() -> None:
    Own.prepared = 0
    load_logger_class(Settings(logger_class=Own))
    assert Own.prepared == 1


def test_a_log_of_another_family_has_no_way_back(tmp_path: Path) -> None:
    class Duck:
        def __init__(self, cfg: Any) -> None:
            self.cfg = cfg

    log = open_log(Settings(logger_class=Duck))
    reinstate(log)
    close(log)
    first = open_log(Settings(errorlog=str(tmp_path / "first")))
    second = open_log(Settings(errorlog=str(tmp_path / "second")))
    close(second)
    reinstate(first)
    first.info("back")
    assert (tmp_path / "first").read_text().endswith("[INFO] back\n")
    close(first)


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        pytest.param({}, True, id="nothing changed"),
        pytest.param({"loglevel": "debug"}, False, id="a level"),
        pytest.param({"logger_class": Own}, False, id="a class"),
        pytest.param({"logconfig_dict": {"version": 1}}, False, id="a dict"),
    ],
)
def test_a_reload_keeps_the_log_if_it_may(settings: dict[str, Any], same: bool) -> None:
    assert same_log(Settings(**settings), Settings()) is same


def test_a_reload_reads_a_file_again() -> None:
    settings = Settings(logconfig="log.ini")
    assert not same_log(settings, settings)


NOWHERE = "/none/error.log"


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="the defaults"),
        pytest.param({"access_log_format": "%(nope)s", "logger_class": Anonymous}, id="an atom of the class's own"),
        pytest.param({"syslog": True}, id="syslog"),
    ],
)
def test_a_check_opens_nothing(settings: dict[str, Any]) -> None:
    check(Settings(errorlog=NOWHERE, **settings))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        pytest.param({"access_log_format": "%(nope)s"}, "access_log_format: '%(nope)s' at character 1", id="an atom"),
        pytest.param({"logger_class": "none.Logger"}, "logger_class 'none.Logger'", id="a class"),
        pytest.param({"syslog": True, "syslog_addr": "x"}, "syslog_addr 'x'", id="an address"),
        pytest.param({"syslog": True, "syslog_facility": "x"}, "syslog_facility 'x'", id="a facility"),
    ],
)
def test_a_check_finds_a_mistake(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(Settings(errorlog=NOWHERE, **settings))
    assert str(caught.value).startswith(said)
