"""APPs that are nearly right: the error says what was probably meant; what only looks odd is let be."""

import sys

import pytest

from corral import app
from corral.errors import AppLoadError

MODULE = """
import functools

def create_app(): return wsgi
def configured(config=None, *, debug=False): return wsgi
def wsgi(environ, start_response): return []
def anything(*args): return []
def bound(prefix, environ, start_response): return []
def view(): return "text"

class Asgi:
    async def __call__(self, scope, receive, send): pass

class Wsgi:
    def __init__(self, environ, start_response): pass

@functools.wraps(view)
def wrapper(environ, start_response): return []

partial = functools.partial(bound, "/prefix")
method = type("Holder", (), {"serve": lambda self, environ, start_response: []})().serve
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "guessed.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("guessed", None)


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        pytest.param("guessed:create_app", "write guessed:create_app()", id="a factory that isn't called"),
        pytest.param("guessed:configured", "write guessed:configured()", id="a factory with options that isn't called"),
        pytest.param("guessed:Asgi", "write guessed:Asgi()", id="a class whose instances are applications"),
        pytest.param("guessed.wsgi:application", "did you mean guessed:wsgi?", id="a dot where a colon belongs"),
    ],
)
@pytest.mark.usefixtures("place")
def test_the_error_says_what_was_meant(uri, meant):
    with pytest.raises(AppLoadError) as caught:
        app.serving_interface(app.load(uri).callable, uri)
    assert meant in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        pytest.param("guessed:anything", id="a function of any arguments"),
        pytest.param("guessed:Wsgi", id="a class that is made for each request"),
        pytest.param("guessed:wrapper", id="a wrapper that passes for what it wraps"),
        pytest.param("guessed:partial", id="a partial"),
        pytest.param("guessed:method", id="a bound method"),
        pytest.param("guessed:configured(debug=True)", id="a factory with a keyword"),
    ],
)
@pytest.mark.usefixtures("place")
def test_unusual_applications_are_let_be(uri):
    assert app.load(uri).interface == "wsgi"
