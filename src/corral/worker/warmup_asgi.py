"""`warmup` of an ASGI application, in its own loop, after its start-up. It knows as little of sockets as `warmup`."""

import asyncio
from collections.abc import Callable
from typing import Any

from corral.config.settings import Config
from corral.gateway.asgi import Mount, Scope, base_scope
from corral.shared.scoreboard import Row
from corral.worker.warmup import AGENT, Judge, name

Message = dict[str, Any]


async def warm_up(app: Callable[..., Any], config: Config, row: Row, mount: Mount) -> None:
    """Raises AppLoadError at the first path that isn't answered below 500."""
    for path in config.warmup:
        name(row, f"warmup GET {path}")
        with Judge(path) as judge:
            judge.status = await ask(app, request(path, config, mount))
    name(row, "")


def request(path: str, config: Config, mount: Mount) -> Scope:
    from urllib.parse import unquote  # lazily: most servers have no warm-up

    plain, _, query = path.partition("?")
    return base_scope(mount, client=("127.0.0.1", 0), server=("localhost", 443 if config.is_ssl else 80)) | {
        "scheme": "https" if config.is_ssl else "http",
        "method": "GET",
        "path": unquote(plain),
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost"), (b"user-agent", AGENT.encode())],
    }


async def ask(app: Callable[..., Any], scope: Scope) -> int:
    """The status; the body is made and thrown away. The client stays until the response is complete."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    statuses = [500]

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])
        elif message["type"] == "http.response.body" and not message.get("more_body", False):
            inbox.put_nowait({"type": "http.disconnect"})

    await app(scope, inbox.get, send)
    return statuses[-1]
