"""The ASGI applications of the plain scenarios, the same answers as those in `apps`; they have no lifespan."""

from collections.abc import Awaitable, Callable
from typing import Any

from apps import HELLO
from large import MEGABYTE

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
PLAIN = (b"content-type", b"text/plain")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [PLAIN, (b"content-length", b"13")]})
    await send({"type": "http.response.body", "body": HELLO})


async def count(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body and answer how long it was."""
    assert scope["type"] == "http"
    length, more = 0, True
    while more:
        message = await receive()
        length += len(message["body"])
        more = message["more_body"]
    answer = b"%d bytes" % length
    headers = [PLAIN, (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


async def megabyte(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [PLAIN, (b"content-length", b"1048576")]})
    await send({"type": "http.response.body", "body": MEGABYTE})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """What comes by WebSocket goes back; who asks by HTTP gets `hello`."""
    if scope["type"] != "websocket":
        await hello(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
