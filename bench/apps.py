"""The WSGI applications of the plain scenarios, as small as they can be: what is measured is the server."""

import time
from collections.abc import Callable, Iterable
from typing import Any

HELLO = b"Hello, World!"

Environ = dict[str, Any]
StartResponse = Callable[..., Any]


def hello(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [HELLO]


def count(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Read the whole body and answer how long it was."""
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    answer = b"%d bytes" % len(body)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


def slow(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """`hello`, at once or after what the path says."""
    match environ["PATH_INFO"]:
        case "/nap":
            time.sleep(0.01)
        case "/sleep":
            time.sleep(0.2)
        case "/compute":
            until = time.thread_time() + 0.1
            while time.thread_time() < until:
                pass
    return hello(environ, start_response)
