"""gunicorn's import paths: each name means an object, and those that mean none say what to use instead."""

import importlib
import socket
import sys

import pytest

import corral
from corral.config.draft import Draft, Option
from corral.config.load import load_own
from corral.errors import ConfigError
from corral.names import Finder, furnish, provide
from corral.names.table import ABSENT, MODULES
from corral.net.listener import open_listeners


def forget():
    for name in [name for name in sys.modules if name.partition(".")[0] == "gunicorn"]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _provided(monkeypatch):
    """The paths, and after the test none of them, nor what was imported by them."""
    monkeypatch.setattr(sys, "meta_path", [finder for finder in sys.meta_path if not isinstance(finder, Finder)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    forget()
    provide()
    yield
    forget()


@pytest.fixture
def module():
    return importlib.import_module


NAMES = [(module, name) for module, names in MODULES.items() for name in names]


@pytest.mark.parametrize(("path", "name"), NAMES, ids=[".".join(pair) for pair in NAMES])
def test_every_name_means_something(module, path, name):
    found = module(path)
    assert getattr(found, name) is getattr(found, name)
    assert name in dir(found)


def test_importing_looks_nothing_up(module):
    for path, names in MODULES.items():
        assert not set(names) & set(vars(module(path)))


@pytest.mark.parametrize(
    ("path", "name", "home"),
    [
        pytest.param("gunicorn.workers.base", "Worker", "corral.worker.base", id="the worker API"),
        pytest.param("gunicorn.workers.gthread", "ThreadWorker", "corral.worker.sync", id="one worker for both"),
        pytest.param("gunicorn.glogging", "Logger", "corral.report.logger", id="the logger"),
        pytest.param("gunicorn.arbiter", "Arbiter", "corral.server.master", id="the arbiter object"),
        pytest.param("gunicorn.app.base", "BaseApplication", "corral.application", id="the application"),
        pytest.param("gunicorn.errors", "AppImportError", "corral.errors", id="an error"),
    ],
)
def test_a_name_is_our_object_itself(module, path, name, home):
    assert getattr(module(path), name).__module__ == home


@pytest.mark.parametrize("path", ABSENT)
def test_an_absent_name_says_what_to_use_instead(path):
    parent, _, name = path.rpartition(".")
    with pytest.raises(ImportError, match=f"Corral has no {path}: "):
        exec(f"from {parent} import {name}")


def test_an_unknown_name_is_an_ordinary_mistake(module):
    with pytest.raises(AttributeError, match=r"module 'gunicorn\.util' has no attribute 'nonsense'"):
        _ = module("gunicorn.util").nonsense
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'gunicorn\.nonsense'"):
        module("gunicorn.nonsense")
    with pytest.raises(AttributeError, match="has no attribute 'Nonsense'"):
        _ = module("gunicorn.config").Nonsense


def test_a_submodule_is_an_attribute_without_an_import_of_its_own(module):
    assert module("gunicorn").workers.sync.SyncWorker.__name__ == "SyncWorker"


# Who provides


REAL = "def real(): ..."


def test_the_real_gunicorn_comes_first(module, tmp_path):
    package = tmp_path / "gunicorn"
    package.mkdir()
    (package / "__init__.py").write_text(REAL)
    (package / "util.py").write_text(REAL)
    sys.path.insert(0, str(tmp_path))
    assert module("gunicorn").real
    assert module("gunicorn.util").real
    with pytest.raises(ModuleNotFoundError):
        module("gunicorn.arbiter")


def test_a_mere_directory_of_that_name_is_no_package(module, tmp_path):
    (tmp_path / "gunicorn").mkdir()
    (tmp_path / "gunicorn" / "conf.py").write_text("")
    sys.path.insert(0, str(tmp_path))
    assert module("gunicorn").__version__ == "27.0.1"


def test_a_distribution_furnishes_its_own_package(module, tmp_path):
    package = tmp_path / "gunicorn"
    package.mkdir()
    (package / "__init__.py").write_text("import sys\nfrom corral.names import furnish\nfurnish(sys.modules[__name__])")
    (package / "extra.py").write_text("")
    sys.path.insert(0, str(tmp_path))
    assert module("gunicorn").__file__ == str(package / "__init__.py")
    assert module("gunicorn").SERVER_SOFTWARE == corral.SOFTWARE
    assert module("gunicorn.arbiter").Arbiter
    assert module("gunicorn.extra").__file__ == str(package / "extra.py")


def test_provided_twice_is_provided_once():
    provide()
    furnish(importlib.import_module("gunicorn"))
    assert sum(isinstance(finder, Finder) for finder in sys.meta_path) == 1


def test_corral_names_what_others_build_on():
    assert corral.Worker.__module__ == "corral.worker.base"
    assert corral.Logger.__module__ == "corral.report.logger"
    assert corral.BaseApplication.__module__ == "corral.application"
    with pytest.raises(AttributeError, match="module 'corral' has no attribute 'nonsense'"):
        _ = corral.nonsense


# Where a name means an adapter


def test_configuration(module, tmp_path, monkeypatch):
    config = module("gunicorn.config")
    assert config.Config is Draft
    assert config.AccessLogFormat.default == '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
    assert {setting.name for setting in config.KNOWN_SETTINGS} >= {"bind", "workers", "post_fork"}
    assert isinstance(config.make_settings()["bind"], Option)
    assert "bind" not in config.make_settings(ignore=["bind"])
    monkeypatch.chdir(tmp_path)
    assert config.get_default_config_file() is None
    (tmp_path / "gunicorn.conf.py").write_text("")
    assert config.get_default_config_file() == str(tmp_path / "gunicorn.conf.py")
    assert config.validate_bool("true") is True
    assert config.validate_pos_int("3") == 3
    assert config.validate_class(" sync ") == "sync"
    assert config.validate_class(str) is str
    assert config.validate_callable(1)(lambda worker: worker)
    assert config.validate_callable(-1)(print) is print
    with pytest.raises(ValueError, match="must take the arguments"):
        config.validate_callable(2)(lambda: None)
    with pytest.raises(TypeError, match="Mine: the table of settings can't be extended"):
        type("Mine", (config.Setting,), {"name": "mine"})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("127.0.0.1:80", ("127.0.0.1", 80), id="an address"),
        pytest.param("example.org", ("example.org", 9), id="the default port"),
        pytest.param("[::1]", ("::1", 9), id="an IPv6 address and the default port"),
        pytest.param("[::1]:80", ("::1", 80), id="an IPv6 address"),
        pytest.param("unix:/run/app.sock", "/run/app.sock", id="a unix socket"),
        pytest.param("fd://3", 3, id="a descriptor"),
    ],
)
def test_addresses(module, text, place):
    assert module("gunicorn.util").parse_address(text, default_port="9") == place


def test_utilities(module, tmp_path):
    util = module("gunicorn.util")
    with pytest.raises(ConfigError):
        util.parse_address("h:x")
    assert (util.is_hoppish("Keep-Alive "), util.is_hoppish("accept")) == (True, False)
    assert (util.is_ipv6("::1"), util.is_ipv6("127.0.0.1")) == (True, False)
    assert util.http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert util.http_date().endswith(" GMT")
    assert util.load_class("sync").__name__ == "SyncWorker"
    assert util.load_class("gunicorn.workers.gthread.ThreadWorker").__name__ == "SyncWorker"
    assert util.load_class(str) is str
    assert util.import_app("wsgiref.simple_server:demo_app").__name__ == "demo_app"
    assert (util.to_bytestring("é"), util.bytes_to_str(b"\xe9")) == (b"\xc3\xa9", "é")
    assert (util.to_bytestring(b"x"), util.bytes_to_str("x")) == (b"x", "x")
    assert (util.has_fileno(object()), util.has_fileno(sys.__stderr__)) == (False, True)
    util.unlink(str(tmp_path / "absent"))
    with pytest.raises(KeyError):
        util.reraise(KeyError, None)


def test_writing_to_a_client(module):
    util = module("gunicorn.util")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        util.write(ours, b"ab")
        util.write(ours, b"ab", chunked=True)
        util.write_nonblock(ours, b"", chunked=True)
        assert theirs.recv(100) == b"ab2\r\nab\r\n0\r\n\r\n"
        util.write_error(ours, 400, "Bad Request", "no")
        head, _, body = theirs.recv(1000).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"no" in body
        util.close(ours)


def test_sockets_of_a_configuration(module, tmp_path):
    sock = module("gunicorn.sock")
    path = tmp_path / "app.sock"
    cfg = Draft()
    cfg.set("bind", [f"unix:{path}", "127.0.0.1:0"])
    config = load_own(cfg.layer(), {}, str(tmp_path)).config
    unix, tcp = sock.create_sockets(config, None)
    assert str(unix) == f"unix:{path}"
    assert str(tcp) == f"http://127.0.0.1:{tcp.getsockname()[1]}"
    assert isinstance(tcp, sock.TCPSocket)
    sock.close_sockets([unix, tcp])
    assert not path.exists()


def test_a_listener_passes_for_its_socket(tmp_path):
    cfg = Draft()
    cfg.set("bind", "127.0.0.1:0")
    config = load_own(cfg.layer(), {}, str(tmp_path)).config
    (listener,) = open_listeners(config, {})
    assert listener.sock is listener.socket
    assert (listener.type, listener.getsockname()) == (socket.SOCK_STREAM, listener.socket.getsockname())
    with pytest.raises(AttributeError):
        _ = listener.nonsense
    listener.close()


def test_pid_files(module, tmp_path):
    path = tmp_path / "pid"
    pidfile = module("gunicorn.pidfile").Pidfile(str(path))
    assert pidfile.validate() is None
    pidfile.create(99999999)
    assert path.read_text() == "99999999\n"
    pidfile.rename(f"{path}.2")
    assert not path.exists()
    pidfile.unlink()
    assert list(tmp_path.iterdir()) == []
    path.write_text("1\n")
    with pytest.raises(RuntimeError, match="Already running on PID 1"):
        pidfile.__class__(str(path)).create(2)


def test_a_heartbeat_of_a_class_that_makes_its_own(module):
    heartbeat = module("gunicorn.workers.workertmp").WorkerTmp(Draft())
    heartbeat.notify()
    heartbeat.close()
    assert heartbeat.last_update() == 0


def test_halting(module):
    halt = module("gunicorn.errors").HaltServer("no more", 3)
    assert (halt.reason, halt.exit_status, halt.code) == ("no more", 3, 3)
    assert str(halt) == "<HaltServer 'no more' 3>"
    assert not isinstance(halt, Exception)


def test_a_tool_that_makes_flags_of_the_settings(monkeypatch):
    import argparse

    cfg = Draft()
    parser = argparse.ArgumentParser()
    for option in sorted(cfg.settings.values()):
        option.add_option(parser)
    cfg.settings["reload"].short = "anew"
    assert parser.parse_args(["--workers", "3", "--reload"]).workers == "3"
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--workers 4 --name 'a b'")
    assert cfg.get_cmd_args_from_env() == ["--workers", "4", "--name", "a b"]
    assert cfg.parser().parse_args(["-w", "2"]).workers == "2"
    cfg.set("workers", 5)
    assert "\nworkers = 5\n" in str(cfg)
