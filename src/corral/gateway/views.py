"""What hooks and loggers see of a request and its response: gunicorn's attributes, read off environ and exchange.

Nothing of it exists unless somebody asks: a server without such hooks and loggers makes no view.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Headers = Iterable[tuple[str, str]]
VIEW = "corral.request"  # a key of environ, while there are hooks


class Request:
    """gunicorn.http.message.Request, as `pre_request`, `post_request` and Logger.access get it."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ.get("REQUEST_METHOD", "")
        self.uri: str = environ.get("RAW_URI", "")
        self.path, _, query = self.uri.partition("?")
        self.query, _, self.fragment = query.partition("#")
        self.scheme: str = environ.get("wsgi.url_scheme", "http")
        self.body: Any = environ.get("wsgi.input")
        self.trailers: list[tuple[str, str]] = []

    @property
    def version(self) -> tuple[int, int]:
        """(1, 1)"""
        major, _, minor = str(self.environ.get("SERVER_PROTOCOL", "HTTP/1.1")).rpartition("/")[2].partition(".")
        return int(major), int(minor or 0)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names in capitals, with hyphens, in the order in which they came."""
        return list(header_names(self.environ))

    @property
    def peer_addr(self) -> tuple[str, int] | str:
        """(host, port); "" on a unix socket."""
        port = self.environ.get("REMOTE_PORT")
        address = str(self.environ.get("REMOTE_ADDR", ""))
        return (address, int(port)) if port else address

    @property
    def remote_addr(self) -> tuple[str, int] | str:
        return self.peer_addr

    def should_close(self) -> bool:
        options = [option.strip() for option in str(self.environ.get("HTTP_CONNECTION", "")).lower().split(",")]
        return "close" in options or (self.version <= (1, 0) and "keep-alive" not in options)


def request_of(environ: Mapping[str, Any]) -> Request:
    """The view that pre_request had, if there was one: packages write on it what they want to know at the end."""
    found: Request = environ.get(VIEW) or Request(environ)
    return found


def header_names(environ: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key[5:].replace("_", "-"), value
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            yield key.replace("_", "-"), value


class Response:
    """gunicorn.http.wsgi.Response once it is over, as `post_request` and Logger.access get it."""

    def __init__(
        self, status: str, headers: Headers, sent: int, *, chunked: bool = False, keep_alive: bool = False
    ) -> None:
        self.status = status
        self.headers = list(headers)
        self.sent = sent
        self.chunked = chunked
        self.headers_sent = True
        self.must_close = not keep_alive

    @property
    def status_code(self) -> int:
        """0 where the client left before there was one."""
        code = self.status[:3]
        return int(code) if code.isdecimal() else 0

    @property
    def response_length(self) -> int | None:
        """What Content-Length promised, or None."""
        for name, value in self.headers:
            if name.lower() == "content-length":
                return int(value)
        return None

    def is_chunked(self) -> bool:
        return self.chunked

    def should_close(self) -> bool:
        return self.must_close
