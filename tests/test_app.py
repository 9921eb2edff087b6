"""APP to an application: its spellings, which interface it has, and what is said where there is none."""

import functools
import sys

import pytest

from corral import app
from corral.errors import AppLoadError

SHOP = """
def application(environ, start_response): ...
def other(environ, start_response): ...
async def asgi(scope, receive, send): ...
def asgi_factory(scope, receive, send): ...
def make(*args, **kwargs):
    def made(environ, start_response): return args, kwargs
    return made
def exact(name, *, debug=False): return application
def typed(name): return len(3)
def nothing(): return None
number = 3
missing = None
class Wsgi:
    def __call__(self, environ, start_response): ...
class Asgi:
    async def __call__(self, scope, receive, send): ...
class OneRequest:
    def __init__(self, environ, start_response): ...
    async def __call__(self): ...
wsgi_object, asgi_object = Wsgi(), Asgi()
class Framework:
    def wsgi(self, environ, start_response): ...
    async def asgi(self, scope, receive, send): ...
wsgi_method, asgi_method = Framework().wsgi, Framework().asgi
"""


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """The modules of a directory, forgotten afterwards."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "my-shop.py").write_text("app = lambda environ, start_response: None")
    (tmp_path / "factories.py").write_text("def create_app(): ...")
    (tmp_path / "raising.py").write_text("1 / 0")
    (tmp_path / "importing.py").write_text("import no_such_module_of_theirs")
    (tmp_path / "self_importing.py").write_text("import self_importing.deeper")
    (tmp_path / "leaving.py").write_text("raise SystemExit(7)")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "app.py").write_text("def application(environ, start_response): ...")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        pytest.param("shop", "application", id="a module"),
        pytest.param("shop:other", "other", id="a name"),
        pytest.param("shop: other ", "other", id="a name between blanks"),
        pytest.param("shop:make()", "made", id="a factory"),
        pytest.param("package.app", "application", id="a module in a package"),
        pytest.param("my-shop", "<lambda>", id="a module with a hyphen, whose name is app"),
    ],
)
def test_the_spellings_of_app(uri, name):
    found = app.load(uri)
    assert found.callable.__name__ == name
    assert (found.uri, found.interface) == (uri, "wsgi")


def test_a_factory_gets_literals():
    found = app.load("shop:make('a', -1, [True, None], key={'b': 2.5})")
    assert found.callable(None, None) == (("a", -1, [True, None]), {"key": {"b": 2.5}})


@pytest.mark.parametrize(
    ("name", "interface"),
    [
        pytest.param("application", "wsgi", id="a function"),
        pytest.param("asgi", "asgi", id="a coroutine function"),
        pytest.param("asgi_factory", "asgi", id="a function that takes scope, receive and send"),
        pytest.param("wsgi_object", "wsgi", id="an object"),
        pytest.param("asgi_object", "asgi", id="an object with a coroutine function"),
        pytest.param("wsgi_method", "wsgi", id="a method"),
        pytest.param("asgi_method", "asgi", id="a coroutine method"),
        pytest.param("OneRequest", "wsgi", id="a class whose instances are responses"),
    ],
)
def test_the_interface(name, interface):
    assert app.load(f"shop:{name}").interface == interface


def test_the_interface_of_what_has_no_signature():
    assert app.interface_of(functools.partial(app.load("shop:asgi").callable)) == "asgi"
    assert app.interface_of(dict.fromkeys) == "wsgi"


@pytest.mark.parametrize(
    ("uri", "line"),
    [
        pytest.param("shop.py", "'shop.py' names a file, not a module; write: corral shop", id="a file"),
        pytest.param(
            "shop.py:x", "'shop.py:x' names a file, not a module; write: corral shop:x",
            id="a file and a name",
        ),
        pytest.param(
            "./a/shop.py:x", "'./a/shop.py:x' names a file, not a module; write: corral a.shop:x", id="a relative path"
        ),
        pytest.param(
            "/srv/shop.py:x", "'/srv/shop.py:x' names a file, not a module; write: corral --chdir /srv shop:x",
            id="an absolute path",
        ),
        pytest.param(
            "../shop.py", "'../shop.py' names a file, not a module; write: corral --chdir .. shop", id="a path upwards"
        ),
        pytest.param("", "'' is no APP; write MODULE:NAME, for instance myproject.wsgi:application", id="nothing"),
        pytest.param(
            ".shop:x", "'.shop:x' is no APP; write MODULE:NAME, for instance myproject.wsgi:application",
            id="a relative name",
        ),
        pytest.param("shop:", "'shop:': '' is neither a name nor a call", id="a colon and no name"),
        pytest.param("shop:a b", "'shop:a b': 'a b' is neither a name nor a call", id="no expression"),
        pytest.param(
            "shop:a.b", "'shop:a.b': 'a.b' is neither a name nor a call with literal arguments", id="a dotted name"
        ),
        pytest.param(
            "shop:othr", "'shop:othr': module 'shop' has no 'othr'; did you mean other or nothing?",
            id="a misspelt name",
        ),
        pytest.param(
            "shop:number", "'shop:number' is an int, which is not callable; name an application",
            id="a number",
        ),
        pytest.param("shop:missing", "'shop:missing' is no application: it is None", id="None"),
        pytest.param(
            "shop:nothing()",
            "'shop:nothing()' is no application: its factory returned None; it must return the application",
            id="a factory that returns None",
        ),
        pytest.param("shop:number()", "'shop:number()': number is an int, which is not callable", id="a number called"),
        pytest.param(
            "shop:make(x)", "'shop:make(x)': the arguments must be literals, such as 'text', 1, True or None",
            id="a variable",
        ),
        pytest.param(
            "shop:make(**{})", "'shop:make(**{})': the arguments must be literals, such as 'text', 1, True or None",
            id="unpacking",
        ),
        pytest.param(
            "shop:exact()", "'shop:exact()': the factory takes other arguments: missing a required argument: 'name'",
            id="too few arguments",
        ),
        pytest.param(
            "factories", "module 'factories' has neither `application` nor `app`; write factories:create_app()",
            id="a module with a factory",
        ),
        pytest.param(
            "package", "module 'package' has neither `application` nor `app`; write package:NAME",
            id="a package",
        ),
    ],
)  # fmt: skip
def test_what_names_no_application_is_one_line_and_exit_code_4(uri, line):
    with pytest.raises(AppLoadError) as caught:
        app.load(uri)
    assert str(caught.value) == line
    assert caught.value.exit_code == 4


def test_a_submodule_called_app_is_no_application():
    app.load("package.app")
    with pytest.raises(AppLoadError, match="'package' is a module, which is not callable"):
        app.load("package")


@pytest.mark.parametrize(
    ("uri", "start"),
    [
        pytest.param("shpo:app", "there is no module 'shpo'; looked in ", id="a module"),
        pytest.param("no.such:app", "there is no 'no', so no module 'no.such'; looked in ", id="a package"),
    ],
)
def test_a_module_that_is_not_there_is_one_line_that_says_where_it_looked(directory, uri, start):
    with pytest.raises(AppLoadError) as caught:
        app.load(uri)
    line = str(caught.value)
    assert line.startswith(f"{start}{directory}")
    assert line.endswith("; see --chdir and --pythonpath")
    assert "lib-dynload" not in line
    assert caught.value.exit_code == 3  # to gunicorn it is a failed import


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        pytest.param("raising", ZeroDivisionError, id="an exception"),
        pytest.param("importing", ModuleNotFoundError, id="an import of another module"),
        pytest.param("self_importing", ModuleNotFoundError, id="an import below its own name"),
        pytest.param("leaving", SystemExit, id="an exit"),
        pytest.param("shop:typed('x')", TypeError, id="a TypeError inside a factory"),
    ],
)
def test_the_users_own_exceptions_come_through(uri, error):
    with pytest.raises(error):
        app.load(uri)
