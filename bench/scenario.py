"""The scenarios, a row each: which application is served, what is asked of it, and the answer that must come."""

import http.client
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from apps import HELLO
from figures import CPU, LONGEST, MEAN, P50, P90, P99, PER_CPU_SECOND, PSS, RATE, Figure
from large import MEGABYTE, TEN_KILOBYTES

SCRIPTS = Path(__file__).parent / "scenarios"
ITEM = {"number": 42, "name": "item 42", "currency": "CHF", "tags": ["a", "b"]}


class WrongAnswer(Exception):
    """A server doesn't give the application's answer, so that its figures would mean nothing."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    name: str
    what: str
    app: str = "apps:hello"
    path: str = "/"
    script: str | None = None
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    content_type: str = "text/plain"
    answer: bytes | dict[str, object] = HELLO
    interface: str = "wsgi"
    workers: int = 1
    threads: int = 1
    load: Literal["wrk", "mixed", "echo"] = "wrk"
    clients: int = 64
    slow_path: str = ""
    """What a mixed load asks now and then."""
    at_least: float = 0.0
    """Seconds: in less there are too few requests for a percentile."""
    shown: tuple[Figure, ...] = (CPU, RATE, PSS)


LATENCIES = (MEAN, P50, P90, P99, LONGEST)

SCENARIOS = (
    Scenario(name="bare", what="one Host header"),
    Scenario(name="browser", what="twelve headers of a browser, a cookie among them", script="browser.lua"),
    Scenario(name="different", what="a path and eleven header values that never come twice", script="different.lua"),
    Scenario(
        name="post",
        what="a body of 1 KB that the application reads",
        app="apps:count",
        script="post.lua",
        method="POST",
        headers={"Content-Type": "application/octet-stream"},
        body=b"x" * 1024,
        answer=b"1024 bytes",
    ),
    Scenario(name="10k", what="an answer of 10 KB", app="large:ten_kilobytes", answer=TEN_KILOBYTES),
    Scenario(name="1m", what="an answer of 1 MB", app="large:megabyte", answer=MEGABYTE),
    Scenario(
        name="connect", what="a new connection each request", script="connect.lua", headers={"Connection": "close"}
    ),
    Scenario(
        name="flask",
        what="a JSON view of a small Flask application",
        app="flask_site:app",
        path="/items/42?currency=CHF",
        content_type="application/json",
        answer=ITEM,
    ),
    Scenario(
        name="django",
        what="a JSON view of a small Django site with the common middleware",
        app="django_site:app",
        path="/items/42?currency=CHF",
        content_type="application/json",
        answer=ITEM,
    ),
    Scenario(name="asgi-bare", what="ASGI, one Host header", app="asgi_apps:hello", interface="asgi"),
    Scenario(
        name="asgi-browser",
        what="ASGI, twelve headers of a browser, a cookie among them",
        app="asgi_apps:hello",
        script="browser.lua",
        interface="asgi",
    ),
    Scenario(
        name="asgi-different",
        what="ASGI, a path and eleven header values that never come twice",
        app="asgi_apps:hello",
        script="different.lua",
        interface="asgi",
    ),
    Scenario(
        name="asgi-post",
        what="ASGI, a body of 1 KB that the application reads",
        app="asgi_apps:count",
        script="post.lua",
        method="POST",
        headers={"Content-Type": "application/octet-stream"},
        body=b"x" * 1024,
        answer=b"1024 bytes",
        interface="asgi",
    ),
    Scenario(
        name="asgi-1m", what="ASGI, an answer of 1 MB", app="asgi_apps:megabyte", answer=MEGABYTE, interface="asgi"
    ),
    Scenario(
        name="fastapi",
        what="a JSON view of a small FastAPI application",
        app="fastapi_site:app",
        path="/items/42?currency=CHF",
        content_type="application/json",
        answer=ITEM,
        interface="asgi",
    ),
    Scenario(name="threads-bare", what="four threads, one Host header", threads=4),
    Scenario(
        name="threads-sleep",
        what="eight threads, an application that sleeps 10 ms: 800 requests a second are possible",
        app="apps:slow",
        path="/nap",
        threads=8,
        clients=16,
        shown=(CPU, RATE, P99),
    ),
    Scenario(
        name="mixed-sleep",
        what="four workers; one request in twenty sleeps 200 ms, the others are timed",
        app="apps:slow",
        workers=4,
        load="mixed",
        clients=40,
        slow_path="/sleep",
        at_least=6.0,
        shown=LATENCIES,
    ),
    Scenario(
        name="mixed-cpu",
        what="four workers; one request in twenty computes for 100 ms, the others are timed",
        app="apps:slow",
        workers=4,
        load="mixed",
        clients=40,
        slow_path="/compute",
        at_least=6.0,
        shown=LATENCIES,
    ),
    Scenario(
        name="websocket",
        what="WebSocket, messages of 128 bytes that come back",
        app="asgi_apps:echo",
        interface="websocket",
        load="echo",
        clients=32,
        shown=(PER_CPU_SECOND, RATE, P99, PSS),
    ),
)


def verify(scenario: Scenario, port: int) -> None:
    """Ask once, as the load will, and compare the whole answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(scenario.method, scenario.path, scenario.body, scenario.headers)
        response = connection.getresponse()
        check_answer(scenario, response.status, dict(response.getheaders()), response.read())
    except (OSError, http.client.HTTPException) as error:
        raise WrongAnswer(f"no answer: {type(error).__name__}: {error}") from error
    finally:
        connection.close()


def check_answer(scenario: Scenario, status: int, headers: dict[str, str], body: bytes) -> None:
    received = {name.lower(): value for name, value in headers.items()}
    if status != 200:
        raise WrongAnswer(f"status {status}, not 200")
    content_type = received.get("content-type", "none")
    if content_type.partition(";")[0] != scenario.content_type:
        raise WrongAnswer(f"content type {content_type}, not {scenario.content_type}")
    length = received.get("content-length")
    if length is not None and int(length) != len(body):
        raise WrongAnswer(f"content length {length}, but a body of {len(body)} bytes")
    expected = scenario.answer
    if (body if isinstance(expected, bytes) else json.loads(body)) != expected:
        raise WrongAnswer(f"another body of {len(body)} bytes: {body[:60]!r}")
