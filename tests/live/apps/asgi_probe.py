"""ASGI applications that show what a server tells them, and do what it must bear."""

import asyncio
import base64
import json
import os
from pathlib import Path

PATH = Path(__file__)
state = {"lost": 0, "cancelled": 0, "ended": 0, "seen": []}


def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


async def answer(send, body, *, status=200, kind=b"application/json", headers=()):
    body = body if isinstance(body, bytes) else json.dumps(plain(body)).encode()
    fields = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def read(receive):
    body, pieces = b"", 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None, pieces
        body += message["body"]
        pieces += 1
        if not message["more_body"]:
            return body, pieces


async def lifespan(receive, send):
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return


async def scope_(scope, receive, send):
    await answer(send, dict(scope))


async def echo(scope, receive, send):
    body, _ = await read(receive)
    await answer(send, body, kind=b"application/octet-stream")


async def slow_echo(scope, receive, send):
    await asyncio.sleep(0.01)
    await echo(scope, receive, send)


async def twice(scope, receive, send):
    first = await receive()
    second = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    waiting = not second.done()
    await answer(send, [first["type"], waiting])
    state["seen"].append((await second)["type"])


async def seen(scope, receive, send):
    await answer(send, state)


async def stream(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(5):
        await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"%d\n" % number, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def endless(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
    except OSError:
        state["lost"] += 1
        raise


async def trickle(scope, receive, send):
    """`endless`, in pieces that are small enough to be sent with others'."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x" * 8192, "more_body": True})
    except OSError:
        state["lost"] += 1
        raise


async def large(scope, receive, send):
    await answer(send, scope["query_string"].ljust(16000, b"."), kind=b"text/plain")


async def exits(scope, receive, send):
    await answer(send, b"last words")
    raise SystemExit(0)


async def waiting(scope, receive, send):
    """Never answers by itself."""
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
        state["lost"] += 1
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        state["cancelled"] += 1
        raise


async def background(scope, receive, send):
    await answer(send, b"done")
    await asyncio.sleep(0.2)
    state["ended"] += 1


async def raises(scope, receive, send):
    raise RuntimeError("on purpose")


async def raises_late(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    raise RuntimeError("on purpose, late")


async def returns(scope, receive, send):
    pass


async def returns_early(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})


async def body_first(scope, receive, send):
    await send({"type": "http.response.body", "body": b"x"})


async def too_much(scope, receive, send):
    await answer(send, b"complete")
    await send({"type": "http.response.body", "body": b"more"})


async def longer(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"more than three"})


async def bad_header(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nb: c")]})
    await send({"type": "http.response.body", "body": b"x"})


async def lists(scope, receive, send):
    await send({"type": "http.response.start", "status": 204, "headers": [[b"x-list", b"yes"]]})
    await send({"type": "http.response.body"})


async def hints(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    await answer(send, b"hinted")


async def trailers(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"trailer", b"x-sum")], "trailers": True})
    await send({"type": "http.response.body", "body": b"summed"})
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")]})


async def path_send(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": str(PATH)})


async def zero_copy(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    with PATH.open("rb") as file:
        for offset in (0, 3):
            await send(
                {"type": "http.response.zerocopysend", "file": file, "offset": offset, "count": 3, "more_body": True}
            )
    await send({"type": "http.response.body", "body": b"end"})


async def tasks(scope, receive, send):
    await answer(send, {"tasks": len(asyncio.all_tasks() - {asyncio.current_task()}), "pid": os.getpid()})


async def block(scope, receive, send):
    import time

    time.sleep(float(scope["query_string"] or 0.6))
    await answer(send, b"blocked")


async def fast(scope, receive, send):
    await answer(send, b"fast")


async def patient(scope, receive, send):
    await asyncio.sleep(3)
    await answer(send, b"patient")


# -- WebSockets


async def ws_echo(scope, receive, send):
    assert (await receive())["type"] == "websocket.connect"
    chosen = scope["subprotocols"][0] if scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": chosen, "headers": [(b"x-worker", b"%d" % os.getpid())]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            state["seen"].append(message["code"])
            return
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4001, "reason": "as asked"})
        elif message.get("text") == "raise":
            raise RuntimeError("on purpose, in a WebSocket")
        elif message.get("text") == "scope":
            await send({"type": "websocket.send", "text": json.dumps(plain(scope))})
        else:
            await send({**message, "type": "websocket.send"})


async def ws_reject(scope, receive, send):
    await receive()
    await send({"type": "websocket.close"})


async def ws_deny(scope, receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"tired")]})
    await send({"type": "websocket.http.response.body", "body": base64.b64encode(b"denied")})


async def ws_raise(scope, receive, send):
    raise RuntimeError("on purpose, before accepting")


async def ws_flood(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    try:
        while True:
            await send({"type": "websocket.send", "bytes": b"x" * 65536})
    except OSError:
        state["lost"] += 1


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    name = scope["path"].removeprefix(scope["root_path"]).strip("/").partition("/")[0]
    await globals()[{"scope": "scope_", "": "echo"}.get(name, name)](scope, receive, send)
