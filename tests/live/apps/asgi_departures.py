"""ASGI applications whose clients leave in the middle: each notes what it is told, and where it hears it."""

import asyncio
import gc
from collections import Counter

from asgi_probe import answer, lifespan

PIECE = b"x" * 65536
LAST = {
    "http": {"type": "http.response.body", "body": b"the end"},
    "websocket": {"type": "websocket.send", "text": "the end"},
}
noted = Counter()


async def outcome(awaitable):
    """The type of what receive returns, with the code if there is one; or of what send raises."""
    try:
        message = await awaitable
    except OSError:
        return "OSError"
    return " ".join(str(message[key]) for key in ("type", "code") if key in message)


async def ever(send, message):
    while True:
        await send(message)


async def next_but(receive, kind):
    """The first message that is of another kind."""
    while (message := await receive())["type"] == kind:
        pass
    return message


async def stream(scope, receive, send):
    """Writes until it is told."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    piece = {"type": "http.response.body", "body": PIECE, "more_body": True}
    return await outcome(ever(send, piece)), await outcome(next_but(receive, "http.request"))


async def watched_stream(scope, receive, send):
    """Writes in one task and listens in another, as Starlette's streaming responses do."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    piece = {"type": "http.response.body", "body": PIECE, "more_body": True}
    writing = asyncio.create_task(outcome(ever(send, piece)))
    heard = await outcome(next_but(receive, "http.request"))
    return heard, await writing


async def upload(scope, receive, send):
    heard = await outcome(next_but(receive, "http.request"))
    return heard, await outcome(send({"type": "http.response.start", "status": 200, "headers": []}))


async def socket(scope, receive, send):
    """Answers each message."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
    return f"{message['type']} {message['code']}", await outcome(send({"type": "websocket.send", "text": "late"}))


async def flood(scope, receive, send):
    """Sends until it is told."""
    await receive()
    await send({"type": "websocket.accept"})
    return await outcome(ever(send, {"type": "websocket.send", "bytes": PIECE})), await outcome(receive())


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"] == "/noted":
        gc.collect()  # a task whose exception nobody has asked for says so when it goes
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await answer(send, {"noted": noted, "tasks": len(tasks)})
    else:
        name = scope["path"][1:]
        noted[", ".join((name, *await globals()[name](scope, receive, send)))] += 1
        await send(LAST[scope["type"]])  # raises, and what is let through of the client's leaving is no error
