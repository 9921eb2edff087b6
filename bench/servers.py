"""The servers: how each is started with one worker and without an access log. One row, one server.

Each gets what its documentation recommends for speed, so that the comparison is with the peer at its best.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Server:
    name: str
    command: tuple[str, ...]
    """Its program and arguments; {port}, {app}, {directory} (of the applications) and {log} are filled in."""

    scenarios: tuple[str, ...] = ()
    """The scenarios it is measured in; empty: all."""

    closes_unannounced: Literal["never", "if asked", "always"] = "never"
    """It closes after a response without `Connection: close`, which wrk counts as one read error a request."""

    interfaces: tuple[str, ...] = ("wsgi",)

    def arguments(self, *, port: int, app: str, directory: str, log: str) -> list[str]:
        return [part.format(port=port, app=app, directory=directory, log=log) for part in self.command]


CORRAL = ("corral", "--bind", "127.0.0.1:{port}", "--workers", "1", "--chdir", "{directory}")
GUNICORN = ("gunicorn", "--bind", "127.0.0.1:{port}", "--workers", "1", "--chdir", "{directory}")
UWSGI = ("uwsgi", "--master", "--processes", "1", "--need-app", "--die-on-term", "--disable-logging")

SERVERS = (
    Server("corral", (*CORRAL, "{app}"), interfaces=("wsgi", "asgi")),
    Server("corral+log", (*CORRAL, "--access-logfile", "{log}", "{app}"), scenarios=("bare",)),
    Server("gunicorn", (*GUNICORN, "{app}")),
    Server("gunicorn-gthread", (*GUNICORN, "--threads", "4", "{app}")),
    Server(
        "granian",
        (
            *("granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}", "--http", "1", "--no-ws"),
            *("--workers", "1", "--blocking-threads", "1", "--no-access-log", "{app}"),
        ),
    ),
    # Not --http11-socket: one worker serves one of its keep-alive connections and lets the 63 others wait.
    # So there are two rows: no keep-alive, and keep-alive by the router, which is a second process.
    Server("uwsgi", (*UWSGI, "--http-socket", "127.0.0.1:{port}", "--module", "{app}"), closes_unannounced="always"),
    Server(
        "uwsgi-router",
        (*UWSGI, "--http", "127.0.0.1:{port}", "--http-keepalive", "--module", "{app}"),
        closes_unannounced="if asked",
    ),
    Server("fastpysgi", ("fastpysgi", "--host", "127.0.0.1", "--port", "{port}", "{app}")),
    Server("corral-asyncio", (*CORRAL, "--asgi-loop", "asyncio", "{app}"), interfaces=("asgi",)),
    Server(
        "uvicorn",
        (
            *("uvicorn", "--port", "{port}", "--loop", "uvloop", "--http", "httptools", "--lifespan", "off"),
            *("--no-access-log", "--log-level", "warning", "--app-dir", "{directory}", "{app}"),
        ),
        interfaces=("asgi",),
    ),
    Server(
        "granian-asgi",
        (
            *("granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", "{port}", "--http", "1", "--no-ws"),
            *("--workers", "1", "--no-access-log", "{app}"),
        ),
        interfaces=("asgi",),
    ),
    # Its default of four threads. With one, its loop and that thread contend for the interpreter lock under 64
    # connections: 200 or 9,000 requests a second, as it happens, and at times none in a second.
    Server("waitress", ("waitress-serve", "--listen=127.0.0.1:{port}", "--threads=4", "{app}")),
)
