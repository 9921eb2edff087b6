"""Applications from Paste Deploy files, and what such a file says about its server."""

import sys

import pytest

from corral.app import load_paste
from corral.config.paste import Place, parse_place, server_settings
from corral.errors import AppLoadError, ConfigError

FACTORIES = """
def shop(global_conf, **local_conf):
    def application(environ, start_response): return global_conf, local_conf
    return application
def number(global_conf): return 3
def raising(global_conf): return {}["color"]
class Asgi:
    async def __call__(self, scope, receive, send): ...
def asynchronous(global_conf): return Asgi()
"""
INI = """
[DEFAULT]
debug = false
[app:main]
use = call:paste_factories:shop
color = green
database = %(here)s/shop.db
price = 3 %(currency)s
[app:number]
use = call:paste_factories:number
[app:raising]
use = call:paste_factories:raising
[app:asynchronous]
use = call:paste_factories:asynchronous
"""


@pytest.fixture
def directory(tmp_path, monkeypatch):
    (tmp_path / "paste_factories.py").write_text(FACTORIES)
    (tmp_path / "shop.ini").write_text(INI)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    sys.modules.pop("paste_factories", None)


GLOBAL = {"currency": "EUR"}


def test_a_section_is_an_application_with_its_own_and_the_global_configuration(directory):
    loaded = load_paste("shop.ini", GLOBAL)
    global_conf, local_conf = loaded.callable({}, None)
    assert loaded.interface == "wsgi"
    assert loaded.uri == "shop.ini"
    assert local_conf == {"color": "green", "database": f"{directory}/shop.db", "price": "3 EUR"}
    assert global_conf["currency"] == "EUR"
    assert global_conf["debug"] == "false"


@pytest.mark.parametrize(
    ("uri", "interface"),
    [
        pytest.param("shop.ini#main", "wsgi", id="a section by name"),
        pytest.param("config:shop.ini", "wsgi", id="with its scheme"),
        pytest.param("shop.ini#asynchronous", "asgi", id="an ASGI application"),
    ],
)
def test_spellings_and_interfaces(directory, uri, interface):
    assert load_paste(uri, GLOBAL).interface == interface


@pytest.mark.parametrize(
    ("uri", "error", "said"),
    [
        pytest.param("shop.ini#books", AppLoadError, "No section 'books'", id="a section that isn't there"),
        pytest.param("shop.ini#number", AppLoadError, "is an int, which is not callable", id="a factory of numbers"),
        pytest.param("shop.ini#raising", KeyError, "color", id="a factory that raises, even a LookupError"),
        pytest.param("books.ini", FileNotFoundError, "books.ini", id="a file that isn't there"),
    ],
)
def test_mistakes(directory, uri, error, said):
    with pytest.raises(error, match=said):
        load_paste(uri, GLOBAL)


def test_without_paste_deploy_the_extra_is_named(directory, monkeypatch):
    monkeypatch.setitem(sys.modules, "paste.deploy", None)
    with pytest.raises(ConfigError, match=r"pip install 'corral\[paste\]'"):
        load_paste("shop.ini", GLOBAL)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("dev.ini", Place("/srv/dev.ini", "main"), id="relative"),
        pytest.param("/etc/dev.ini#shop", Place("/etc/dev.ini", "shop"), id="absolute, with a section"),
        pytest.param("config:dev.ini#shop", Place("/srv/dev.ini", "shop"), id="with its scheme"),
        pytest.param("egg:Shop#main", None, id="no file"),
    ],
)
def test_places(text, place):
    assert parse_place(text, "/srv") == place


@pytest.mark.parametrize(
    ("ini", "settings"),
    [
        pytest.param("[app:main]\n", {}, id="no server"),
        pytest.param("[server:main]\nuse = egg:waitress#main\nthreads = 4\n", {}, id="another server"),
        pytest.param("[server:main]\nworkers = 3\n", {"workers": "3"}, id="a server without a name"),
        pytest.param("[server:main]\nuse = egg:gunicorn#main\nworkers = 3\n", {"workers": "3"}, id="gunicorn"),
        pytest.param("[server:main]\nuse = egg:corral\nworkers = 3\n", {"workers": "3"}, id="corral, in short"),
        pytest.param("[server:main]\nhost = ::1\nport = 6543\n", {"bind": "[::1]:6543"}, id="host and port"),
        pytest.param("[server:main]\nport = 6543\n", {"bind": "127.0.0.1:6543"}, id="port alone"),
        pytest.param("[server:main]\nport = 1\nbind = :2\n", {"bind": ":2"}, id="bind over port"),
        pytest.param("[DEFAULT]\ndebug = 1\n[server:main]\nworkers = 3\n", {"workers": "3"}, id="not the defaults"),
        pytest.param("[server:main]\nworkers = %(many)s\n", {"workers": "7"}, id="interpolated"),
        pytest.param(
            "[server:main]\nchdir = %(here)s\naccess_log_format = %%(h)s\n",
            {"chdir": "HERE", "access_log_format": "%(h)s"},
            id="here, and an escaped percent sign",
        ),
        pytest.param("[loggers]\nkeys = root\n", {"logconfig": "HERE/dev.ini"}, id="logging of the file"),
        pytest.param(
            "[server:main]\nuse = egg:waitress\n[loggers]\nkeys = root\n",
            {"logconfig": "HERE/dev.ini"},
            id="logging, with another server",
        ),
        pytest.param(
            "[server:main]\nlogconfig = other.ini\n[loggers]\nkeys = root\n",
            {"logconfig": "other.ini"},
            id="logging of another file",
        ),
    ],
)
def test_what_a_file_says_about_its_server(tmp_path, ini, settings):
    (tmp_path / "dev.ini").write_text(ini)
    found = server_settings("dev.ini#shop", str(tmp_path), {"many": "7"})
    assert found == {name: value.replace("HERE", str(tmp_path)) for name, value in settings.items()}


@pytest.mark.parametrize(
    ("ini", "said"),
    [
        pytest.param(None, "can't be read: No such file", id="no file"),
        pytest.param("[server:main]\nbind = %(nowhere)s\n", "nowhere", id="a name that isn't there"),
        pytest.param("bind = 1\n", "no section headers", id="no section"),
    ],
)
def test_bad_files_are_one_line(tmp_path, ini, said):
    if ini is not None:
        (tmp_path / "dev.ini").write_text(ini)
    with pytest.raises(ConfigError, match=said) as caught:
        server_settings("dev.ini", str(tmp_path), {})
    assert "\n" not in str(caught.value)


def test_an_egg_has_no_file(tmp_path):
    assert server_settings("egg:Shop#main", str(tmp_path), {}) == {}
