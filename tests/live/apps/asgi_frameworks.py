"""Small sites on ASGI's frameworks; each has the same pages, where the framework can serve them."""

import asyncio
import contextlib
import gc
import os

done = []


# -- FastAPI


def fastapi_site():
    from fastapi import BackgroundTasks, FastAPI, Request, WebSocket
    from fastapi.responses import FileResponse, StreamingResponse

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield {"started": "yes"}

    app = FastAPI(lifespan=lifespan)

    @app.get("/items/{number}")
    async def item(number: int, currency: str = "EUR"):
        return {"number": number, "currency": currency}

    @app.get("/sync/{number}")
    def in_a_thread(number: int):
        return {"number": number}

    @app.get("/state")
    async def state(request: Request):
        return {"started": request.state.started}

    @app.post("/upload")
    async def upload(request: Request):
        return {"bytes": len(await request.body())}

    @app.get("/stream")
    async def stream():
        async def numbers():
            for number in range(100):
                yield f"{number}\n"
                await asyncio.sleep(0)

        return StreamingResponse(numbers())

    @app.get("/file")
    async def file():
        return FileResponse(__file__)

    @app.get("/background")
    async def background(tasks: BackgroundTasks):
        tasks.add_task(done.append, "task")
        return {"done": len(done)}

    @app.websocket("/ws")
    async def ws(socket: WebSocket):
        await socket.accept()
        while True:
            await socket.send_text(await socket.receive_text())

    return app


# -- Starlette, with the middleware that is hard on servers


def starlette_site():
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import JSONResponse, StreamingResponse
    from starlette.routing import Route, WebSocketRoute

    class Timing(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            response = await call_next(request)
            response.headers["x-timed"] = "yes"
            return response

    async def item(request):
        return JSONResponse({"number": request.path_params["number"], "currency": request.query_params["currency"]})

    async def upload(request):
        return JSONResponse({"bytes": sum([len(piece) async for piece in request.stream()])})

    async def stream(request):
        async def numbers():
            for number in range(100):
                yield f"{number}\n"

        return StreamingResponse(numbers())

    async def endless(request):
        async def pieces():
            try:
                while True:
                    yield b"x" * 65536
                    await asyncio.sleep(0)
            finally:
                done.append("endless")

        return StreamingResponse(pieces())

    async def tell(request):
        gc.collect()  # generators that were left in the middle end when they are collected
        return JSONResponse({"done": done, "tasks": len(asyncio.all_tasks())})

    async def ws(socket):
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    return Starlette(
        routes=[
            Route("/items/{number:int}", item),
            Route("/upload", upload, methods=["POST"]),
            Route("/stream", stream),
            Route("/endless", endless),
            Route("/done", tell),
            WebSocketRoute("/ws", ws),
        ],
        middleware=[Middleware(Timing)],
    )


# -- Litestar


def litestar_site():
    from litestar import Litestar, Request, get, post, websocket_listener
    from litestar.response import Stream

    @get("/items/{number:int}")
    async def item(number: int, currency: str) -> dict:
        return {"number": number, "currency": currency}

    @get("/sync/{number:int}", sync_to_thread=True)
    def in_a_thread(number: int) -> dict:
        return {"number": number}

    @post("/upload", status_code=200)
    async def upload(request: Request) -> dict:
        return {"bytes": len(await request.body())}

    @get("/stream")
    async def stream() -> Stream:
        async def numbers():
            for number in range(100):
                yield f"{number}\n"

        return Stream(numbers())

    @websocket_listener("/ws")
    async def ws(data: str) -> str:
        return data

    return Litestar([item, in_a_thread, upload, stream, ws])


# -- Quart


def quart_site():
    from quart import Quart, request, websocket

    app = Quart(__name__)

    @app.get("/items/<int:number>")
    async def item(number):
        return {"number": number, "currency": request.args["currency"]}

    @app.post("/upload")
    async def upload():
        return {"bytes": len(await request.get_data())}

    @app.get("/stream")
    async def stream():
        async def numbers():
            for number in range(100):
                yield f"{number}\n"

        return numbers()

    @app.websocket("/ws")
    async def ws():
        while True:
            await websocket.send(await websocket.receive())

    return app


# -- Django, and Channels over it


def django_site():
    import django
    from django.conf import settings
    from django.core.asgi import get_asgi_application
    from django.http import JsonResponse, StreamingHttpResponse
    from django.urls import path

    def in_a_thread(request, number):
        return JsonResponse({"number": number})

    async def item(request, number):
        return JsonResponse({"number": number, "currency": request.GET["currency"]})

    async def upload(request):
        return JsonResponse({"bytes": len(request.body)})

    async def stream(request):
        async def numbers():
            for number in range(100):
                yield f"{number}\n"

        return StreamingHttpResponse(numbers())

    urls = type(os)("asgi_urls")
    urls.urlpatterns = [
        path("items/<int:number>", item),
        path("sync/<int:number>", in_a_thread),
        path("upload", upload),
        path("stream", stream),
    ]
    settings.configure(
        DEBUG=False,
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="of a test",
        ROOT_URLCONF=urls,
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        DATA_UPLOAD_MAX_MEMORY_SIZE=None,
    )
    django.setup()
    return get_asgi_application()


def channels_site():
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.urls import path

    http = django_site()

    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            await self.send(text_data=text_data, bytes_data=bytes_data)

    return ProtocolTypeRouter({"http": http, "websocket": URLRouter([path("ws", Echo.as_asgi())])})


# -- Socket.IO


def socketio_site():
    import socketio

    server = socketio.AsyncServer(async_mode="asgi")

    @server.event
    async def say(sid, text):
        await server.emit("said", text, to=sid)
        return text

    return socketio.ASGIApp(server)
