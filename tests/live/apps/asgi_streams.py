"""ASGI applications of long bodies: one writes as fast as it may, one reads no faster than it is told to."""

import asyncio
import time
from urllib.parse import parse_qsl

from asgi_probe import answer, lifespan

PIECE = b"x" * 65536
done = {"written": 0, "read": 0}


async def write(send, size):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while done["written"] < size:
        piece = PIECE[: size - done["written"]]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        done["written"] += len(piece)
    await send({"type": "http.response.body"})


async def read(receive, send, rate):
    begun = time.monotonic()
    more = True
    while more:
        message = await receive()
        done["read"] += len(message["body"])
        more = message["more_body"]
        await asyncio.sleep(begun + done["read"] / rate - time.monotonic())
    await answer(send, done)


async def app(scope, receive, send):
    query = {name: int(value) for name, value in parse_qsl(scope.get("query_string", b"").decode())}
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"] == "/write":
        await write(send, **query)
    elif scope["path"] == "/read":
        await read(receive, send, **query)
    else:
        await answer(send, done)
