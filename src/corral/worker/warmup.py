"""`warmup`: a few requests that the application answers before the worker counts as ready, without a socket.

So what is made at the first request, connections, templates, caches, is there before the first client is. It knows
WSGI; what a failed boot leads to is the arbiter's.
"""

from collections.abc import Callable
from typing import Any

from corral import SOFTWARE
from corral.config.settings import Config
from corral.errors import AppLoadError
from corral.gateway.wsgi import App, Environ, Errors, base_environ
from corral.shared.scoreboard import REQUEST_SIZE, Cell, Row

AGENT = "corral-warmup"


def warm_up(app: App, config: Config, row: Row | None = None) -> None:
    """Raises AppLoadError at the first path that isn't answered below 500."""
    for path in config.warmup:
        name(row, f"warmup GET {path}")
        with Judge(path) as judge:
            judge.status = ask(app, request(path, config))
    name(row, "")


class Judge:
    """Of the answer to one path: it is a `status`, or what the application raises. Raises AppLoadError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.status = 500

    def __enter__(self) -> "Judge":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Exception | SystemExit):
            raise AppLoadError(f"warmup {self.path}: the application raised {type(error).__name__}") from error
        if error is None and self.status >= 500:
            raise AppLoadError(
                f"warmup {self.path}: the application answered {self.status}; a worker is ready below 500"
            )


def name(row: Row | None, text: str) -> None:
    """For the arbiter, which says it if boot_timeout passes: it isn't a request, so there is no instant with it."""
    if row is None:
        return
    line = text.encode("utf-8", "replace")[:REQUEST_SIZE]
    row.request[: len(line)] = line
    row.cells[Cell.REQUEST_LENGTH] = len(line)


def request(path: str, config: Config) -> Environ:
    from urllib.parse import unquote_to_bytes  # lazily: most servers have no warm-up

    plain, _, query = path.partition("?")
    environ = base_environ(
        server=("localhost", "443" if config.is_ssl else "80"),
        software=SOFTWARE,
        multithread=config.threads > 1,
        multiprocess=config.workers > 1,
        script_name="",
        errors=Errors(),
    )
    return environ | {
        "wsgi.url_scheme": "https" if config.is_ssl else "http",
        "REQUEST_METHOD": "GET",
        "RAW_URI": path,
        "PATH_INFO": unquote_to_bytes(plain).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "localhost",
        "HTTP_USER_AGENT": AGENT,
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": "0",
    }


def ask(app: App, environ: Environ) -> int:
    """The status; the body is made and thrown away."""
    statuses = ["500"]

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return len  # write(): somebody who takes bytes

    body = app(environ, start_response)
    try:
        for _ in body:
            pass
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return int(statuses[-1][:3])
