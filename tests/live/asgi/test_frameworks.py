"""ASGI's frameworks in real processes, with real clients: httpx, websockets, aiohttp, Socket.IO's."""

import asyncio

import httpx
import pytest
import websockets
from live.server import wait_until
from live.wire import APPS

NUMBERS = "".join(f"{number}\n" for number in range(100))
SITES = ("fastapi", "starlette", "litestar", "quart", "django", "channels")


@pytest.fixture
def serve(make_server):
    def start(site, *args):
        server = make_server()
        return server.start(f"asgi_frameworks:{site}_site()", "--chdir", str(APPS), *args)

    return start


@pytest.mark.parametrize("site", SITES)
def test_pages_uploads_and_streams(serve, site):
    server = serve(site)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        for number in range(5):
            answer = client.get(f"/items/{number}?currency=CHF")
            assert answer.json() == {"number": number, "currency": "CHF"}
        assert client.post("/upload", content=b"x" * 3_000_000).json() == {"bytes": 3_000_000}
        assert client.get("/stream").text == NUMBERS
        assert client.get("/nowhere").status_code == 404
        if site in ("fastapi", "litestar", "django"):
            assert client.get("/sync/7").json() == {"number": 7}
        assert client.head("/stream").content == b""
        assert client.get("/items/1?currency=CHF").status_code == 200
    assert "Error handling" not in server.log
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("site", [site for site in SITES if site != "django"])
def test_websockets(serve, site):
    server = serve(site)

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{server.port}/ws", proxy=None) as client:
            for text in ("one", "zwei", "x" * 70_000):
                await client.send(text)
                assert await client.recv() == text

    asyncio.run(talk())
    server.get("/nowhere")
    assert server.stop() == 0
    assert "Traceback" not in server.log


def test_fastapis_lifespan_files_and_background_tasks(serve):
    server = serve("fastapi")
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert client.get("/state").json() == {"started": "yes"}
        assert client.get("/file").text.startswith('"""Small sites')
        assert client.get("/background").json() == {"done": 0}
        wait_until(lambda: client.get("/background").json()["done"] > 0, "the task")


def test_starlettes_middleware_hears_of_a_client_that_leaves(serve):
    server = serve("starlette")
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert client.get("/items/1?currency=CHF").headers["x-timed"] == "yes"
        for _ in range(10):
            with client.stream("GET", "/endless") as answer:
                next(answer.iter_bytes())
        wait_until(lambda: len(client.get("/done").json()["done"]) == 10, "ten streams to end")
        wait_until(lambda: client.get("/done").json()["tasks"] < 8, "their tasks to end")
    assert "never retrieved" not in server.log
    assert "Traceback" not in server.log


def test_aiohttps_client(serve):
    import aiohttp

    server = serve("quart")

    async def talk():
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            async with session.get("/items/3?currency=CHF") as answer:
                assert await answer.json() == {"number": 3, "currency": "CHF"}
            async with session.post("/upload", data=chunks()) as answer:
                assert await answer.json() == {"bytes": 30_000}
            async with session.ws_connect("/ws", compress=15) as ws:
                await ws.send_str("y" * 5000)
                assert (await ws.receive()).data == "y" * 5000

    async def chunks():
        for _ in range(10):
            yield b"z" * 3000

    asyncio.run(talk())


@pytest.mark.parametrize("transport", ["websocket", "polling"])
def test_socket_io(serve, transport):
    import socketio

    server = serve("socketio")

    async def talk():
        client = socketio.AsyncClient()
        said = asyncio.get_running_loop().create_future()
        client.on("said", said.set_result)
        await client.connect(f"http://127.0.0.1:{server.port}", transports=[transport])
        assert await client.call("say", "hello") == "hello"
        assert await asyncio.wait_for(said, 10) == "hello"
        await client.disconnect()

    asyncio.run(talk())


def test_a_start_up_that_raises_is_shown(make_server):
    text = """
import contextlib
from starlette.applications import Starlette

@contextlib.asynccontextmanager
async def lifespan(app):
    raise RuntimeError("no database")
    yield

app = Starlette(lifespan=lifespan)
"""
    server = make_server(started=text).start("started:app", wait=None)
    assert server.wait() == 3
    assert "RuntimeError: no database" in server.log
    assert "start-up failed" in server.log


@pytest.mark.parametrize(
    ("body", "mode", "code", "logged"),
    [
        pytest.param("assert scope['type'] == 'http'", "auto", None, "Ready", id="knows no lifespan"),
        pytest.param("assert scope['type'] == 'http'", "on", 3, "start-up raised", id="must have one"),
        pytest.param("return", "on", 3, "returned from its lifespan", id="returns, and must have one"),
        pytest.param("await receive(); 1 / 0", "auto", 3, "ZeroDivisionError", id="raises at its start"),
        pytest.param("await receive(); 1 / 0", "off", None, "Ready", id="isn't asked"),
    ],
)
def test_lifespans(make_server, body, mode, code, logged):
    text = f"""
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        {body}
"""
    server = make_server(life=text)
    server.start("life:app", "--asgi-lifespan", mode, wait=None if code else "Ready")
    assert code is None or server.wait() == code
    assert logged in server.log


def test_the_other_interface_is_refused_with_a_hint(make_server):
    server = make_server().start("hello:app", "-k", "asgi", wait=None)
    assert server.wait() == 4
    assert "hello:app is a WSGI application, and worker_class asgi serves ASGI" in server.log
    assert "a2wsgi" in server.log
