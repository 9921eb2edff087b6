"""The requests of the warm-up: what the application is asked, and which answers are good enough."""

from dataclasses import replace

import pytest

from corral.config.settings import Config
from corral.errors import AppLoadError
from corral.shared.scoreboard import Scoreboard
from corral.worker.warmup import warm_up


@pytest.fixture
def row():
    return Scoreboard(1).row(0)


def config(*paths, **settings):
    return replace(Config(), warmup=paths, **settings)


class Shop:
    """An application that notes its requests; each is closed."""

    def __init__(self, status="200 OK", row=None):
        self.status = status
        self.row = row
        self.environs = []
        self.named = []
        self.closed = 0

    def __call__(self, environ, start_response):
        self.environs.append(environ)
        self.named.append(self.row.in_flight() if self.row else "")
        write = start_response("500 Not yet", [])
        write(b"early")
        start_response(self.status, [("Content-Type", "text/plain")], None)
        return self

    def __iter__(self):
        yield b"body"

    def close(self):
        self.closed += 1


def test_each_path_is_asked_once_and_in_order(row):
    shop = Shop()
    warm_up(shop, config("/", "/caf%C3%A9/x?a=b%20c"), row)
    assert [environ["RAW_URI"] for environ in shop.environs] == ["/", "/caf%C3%A9/x?a=b%20c"]
    last = shop.environs[1]
    assert (last["PATH_INFO"], last["QUERY_STRING"]) == ("/caf\xc3\xa9/x", "a=b%20c")
    assert (last["REQUEST_METHOD"], last["SERVER_PROTOCOL"], last["HTTP_HOST"]) == ("GET", "HTTP/1.1", "localhost")
    assert last["wsgi.input"].read() == b""
    assert shop.closed == 2


def test_with_certificates_it_is_asked_as_by_https(row):
    shop = Shop()
    warm_up(shop, config("/", certfile="here.pem"), row)
    assert shop.environs[0]["wsgi.url_scheme"] == "https"


@pytest.mark.parametrize("status", ["200 OK", "301 Moved", "404 Not Found", "499 -"])
def test_below_500_it_is_warm(row, status):
    warm_up(Shop(status), config("/"), row)


def test_from_500_on_it_is_not(row):
    shop = Shop("500 Oh")
    with pytest.raises(AppLoadError, match=r"^warmup /a: the application answered 500; a worker is ready below 500$"):
        warm_up(shop, config("/a", "/b"), row)
    assert len(shop.environs) == shop.closed == 1


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1)], ids=["an exception", "sys.exit()"])
def test_what_it_raises_is_the_cause(row, error):
    def app(environ, start_response):
        raise error

    with pytest.raises(AppLoadError, match=r"^warmup /: the application raised") as caught:
        warm_up(app, config("/"), row)
    assert caught.value.__cause__ is error


def test_an_application_that_starts_no_response_is_not_warm(row):
    with pytest.raises(AppLoadError, match="answered 500"):
        warm_up(lambda environ, start_response: [], config("/"), row)


def test_the_arbiter_sees_which_path_it_is_at(row):
    shop = Shop(row=row)
    warm_up(shop, config("/a", "/" + "x" * 500), row)
    assert shop.named[0] == "warmup GET /a"
    assert shop.named[1].startswith("warmup GET /xxx")
    assert row.in_flight() == ""
    assert row.begun() == ()
