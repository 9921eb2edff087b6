"""The page that is served while an application can't be imported."""

import gc
import weakref

import pytest

from corral.errors import AppLoadError
from corral.gateway.failure import failing_app

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"


def respond(error, accept="*/*"):
    started = []
    body = failing_app(error)({"HTTP_ACCEPT": accept}, lambda status, headers: started.append((status, dict(headers))))
    [(status, headers)] = started
    assert int(headers["Content-Length"]) == len(b"".join(body))
    return status, headers, b"".join(body).decode()


def raised(source, name="shop", filename="/srv/shop.py"):
    """What a module raises when it is imported."""
    try:
        exec(compile(source, filename, "exec"), {"__name__": name})
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        pytest.param(BROWSER, "text/html; charset=utf-8", id="a browser"),
        pytest.param("TEXT/HTML", "text/html; charset=utf-8", id="in capitals"),
        pytest.param("*/*", "text/plain; charset=utf-8", id="curl"),
        pytest.param("", "text/plain; charset=utf-8", id="nothing said"),
        pytest.param("application/json", "text/plain; charset=utf-8", id="a script"),
    ],
)
def test_everybody_gets_500_in_a_form_of_their_own(accept, kind):
    status, headers, body = respond(raised("1 / 0"), accept)
    assert status == "500 Internal Server Error"
    assert headers["Content-Type"] == kind
    assert headers["Cache-Control"] == "no-store"
    assert headers["Vary"] == "Accept"
    assert "ZeroDivisionError: division by zero" in body
    assert ("<h1>" in body) == ("html" in kind)


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        pytest.param("1 / 0", ["Traceback", "/srv/shop.py", "ZeroDivisionError"], id="an exception"),
        pytest.param("x = (", ["/srv/shop.py", "line 1", "x = (", "SyntaxError"], id="a syntax error"),
        pytest.param("import no_such_thing", ["ModuleNotFoundError: No module named 'no_such_thing'"], id="an import"),
        pytest.param("raise SystemExit(3)", ["SystemExit: 3"], id="an exit"),
        pytest.param(
            "try:\n  1 / 0\nexcept ValueError as e: pass\nfinally:\n  raise KeyError('color')",
            ["ZeroDivisionError", "During handling", "KeyError: 'color'"],
            id="an exception's context",
        ),
        pytest.param(
            "raise ExceptionGroup('both', [ValueError(1), KeyError(2)])", ["both", "ValueError"], id="a group"
        ),
    ],
)
def test_the_traceback_is_whole(source, parts):
    body = respond(raised(source))[2]
    for part in parts:
        assert part in body


def test_what_the_error_says_is_text_and_no_markup():
    body = respond(raised("raise ValueError('<script>alert(\"&\")</script>')"), BROWSER)[2]
    assert "<script>" not in body
    assert "&lt;script&gt;alert(&quot;&amp;&quot;)&lt;/script&gt;" in body


def test_text_that_has_no_encoding_is_shown_all_the_same():
    assert r"\udcff" in respond(raised(r"raise ValueError('\udcff')"))[2]


def test_an_error_of_our_own_is_one_line_without_a_traceback():
    assert (
        respond(AppLoadError("'shop:ap' has no 'ap'; did you mean app?"))[2]
        == "'shop:ap' has no 'ap'; did you mean app?\n"
    )


def test_the_way_to_the_import_is_left_out():
    def load():
        exec(compile("import no_such_thing", "/srv/shop.py", "exec"), {"__name__": "shop"})

    scope = {"__name__": "corral.app", "load": load}
    exec("def enter(): load()", scope)
    try:
        scope["enter"]()
    except ModuleNotFoundError as error:
        own = failing_app(error.with_traceback(error.__traceback__.tb_next))  # without this test's frame
    [body] = own({}, lambda status, headers: None)
    assert b"/srv/shop.py" in body
    assert b"in enter" not in body


def test_neither_the_variables_nor_their_values_are_shown_or_kept():
    class Treasure:
        pass

    def fail():
        password = "hunter" + "2"
        treasure = Treasure()
        kept.append(weakref.ref(treasure))
        raise ValueError(len(password))

    kept = []
    try:
        fail()
    except ValueError as error:
        app = failing_app(error)
    gc.collect()
    assert kept[0]() is None
    [body] = app({"HTTP_ACCEPT": BROWSER}, lambda status, headers: None)
    assert b"hunter2" not in body
