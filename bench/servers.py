"""The servers: how each is started, without an access log. One row, one server.

Each gets what its documentation recommends for speed, so that the comparison is with the peer at its best.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Server:
    name: str
    command: tuple[str, ...]
    """Its program and arguments; {port}, {app}, {directory} (of the applications), {log}, {workers} and {threads} are
    filled in. Who has no place for the last two isn't measured with more than one."""

    scenarios: tuple[str, ...] = ()
    """The scenarios it is measured in; empty: all."""

    closes_unannounced: Literal["never", "if asked", "always"] = "never"
    """It closes after a response without `Connection: close`, which wrk counts as one read error a request."""

    interfaces: tuple[str, ...] = ("wsgi",)

    def arguments(self, *, port: int, app: str, directory: str, log: str, workers: int, threads: int) -> list[str]:
        filled = {"port": port, "app": app, "directory": directory, "log": log, "workers": workers, "threads": threads}
        return [part.format_map(filled) for part in self.command]

    def can_have(self, *, workers: int, threads: int) -> bool:
        return (workers == 1 or "{workers}" in self.command) and (threads == 1 or "{threads}" in self.command)


ARBITER = ("--bind", "127.0.0.1:{port}", "--workers", "{workers}", "--chdir", "{directory}")
CORRAL = ("corral", *ARBITER, "--threads", "{threads}")
GUNICORN = ("gunicorn", *ARBITER)
GRANIAN = ("granian", "--host", "127.0.0.1", "--port", "{port}", "--http", "1", "--workers", "{workers}")
UWSGI = ("uwsgi", "--master", "--processes", "1", "--need-app", "--die-on-term", "--disable-logging")

SERVERS = (
    Server("corral", (*CORRAL, "{app}"), interfaces=("wsgi", "asgi", "websocket")),
    Server("corral+log", (*CORRAL, "--access-logfile", "{log}", "{app}"), scenarios=("bare",)),
    Server("gunicorn", (*GUNICORN, "--threads", "{threads}", "{app}")),
    Server("gunicorn-gthread", (*GUNICORN, "--threads", "4", "{app}")),
    Server(
        "granian",
        (*GRANIAN, "--interface", "wsgi", "--no-ws", "--blocking-threads", "{threads}", "--no-access-log", "{app}"),
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
    Server("corral-asyncio", (*CORRAL, "--asgi-loop", "asyncio", "{app}"), interfaces=("asgi", "websocket")),
    Server(
        "uvicorn",
        (
            *("uvicorn", "--port", "{port}", "--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio"),
            *("--lifespan", "off", "--no-access-log", "--log-level", "warning", "--app-dir", "{directory}", "{app}"),
        ),
        interfaces=("asgi", "websocket"),
    ),
    Server(
        "granian-asgi",
        (*GRANIAN, "--interface", "asginl", "--no-ws", "--no-access-log", "{app}"),
        interfaces=("asgi",),
    ),
    Server(
        "granian-websocket",
        (*GRANIAN, "--interface", "asginl", "--ws", "--no-access-log", "{app}"),
        interfaces=("websocket",),
    ),
    # Its default of four threads. With one, its loop and that thread contend for the interpreter lock under 64
    # connections: 200 or 9,000 requests a second, as it happens, and at times none in a second.
    Server("waitress", ("waitress-serve", "--listen=127.0.0.1:{port}", "--threads=4", "{app}")),
)
