"""The ways of four frameworks to send a file and to take an upload. FILE names the file; each has a NAME_validated."""

import hashlib
import os
from pathlib import Path
from wsgiref.validate import validator

FILE = Path(os.environ["FILE"])


def note(text):
    os.write(2, f"{text}\n".encode())


def make_flask():
    from flask import Flask, request, send_file

    app = Flask("files")

    @app.get("/file")
    def file():
        return send_file(FILE, mimetype="application/octet-stream", conditional=True)

    @app.post("/upload")
    def upload():
        return hashlib.sha256(request.files["file"].stream.read()).hexdigest()

    @app.post("/raw")
    def raw():
        return hashlib.sha256(request.stream.read(-1)).hexdigest()  # the validator wants a size

    return app


def make_bottle():
    import bottle

    app = bottle.Bottle()

    @app.get("/file")
    def file():
        return bottle.static_file(FILE.name, root=FILE.parent, mimetype="application/octet-stream")

    @app.post("/upload")
    def upload():
        return hashlib.sha256(bottle.request.files["file"].file.read()).hexdigest()

    @app.post("/raw")
    def raw():
        return hashlib.sha256(bottle.request.body.read()).hexdigest()

    return app


def make_falcon():
    import falcon

    class Raw:
        def on_post(self, request, response):
            digest = hashlib.sha256()
            while piece := request.bounded_stream.read(65536):
                digest.update(piece)
            response.text = digest.hexdigest()

    class Upload:
        def on_post(self, request, response):
            for part in request.get_media():
                response.text = hashlib.sha256(part.stream.read()).hexdigest()

    class File:
        def on_get(self, request, response):
            response.set_stream(FILE.open("rb"), FILE.stat().st_size)
            response.content_type = "application/octet-stream"

        on_head = on_get

    app = falcon.App()
    app.add_route("/raw", Raw())
    app.add_route("/upload", Upload())
    app.add_route("/file", File())
    return app


def make_django():
    from django.conf import settings

    settings.configure(SECRET_KEY="test", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, DATA_UPLOAD_MAX_MEMORY_SIZE=None)
    import django
    from django.core.signals import request_finished
    from django.core.wsgi import get_wsgi_application

    django.setup()
    request_finished.connect(finished)
    return get_wsgi_application()


def finished(sender, **_):
    note("finished")


class Urls:
    """Django asks for `urlpatterns` once there is a request."""

    def __iter__(self):
        from django.http import FileResponse, HttpResponse
        from django.urls import path

        def file(request):
            return FileResponse(FILE.open("rb"), content_type="application/octet-stream")

        def upload(request):
            digest = hashlib.sha256()
            for piece in request.FILES["file"].chunks():
                digest.update(piece)
            return HttpResponse(digest.hexdigest())

        def raw(request):
            return HttpResponse(hashlib.sha256(request.body).hexdigest())

        return iter([path("file", file), path("upload", upload), path("raw", raw)])


urlpatterns = Urls()
MAKERS = {"flask": make_flask, "bottle": make_bottle, "falcon": make_falcon, "django": make_django}


def __getattr__(name):
    """Only the framework that is asked for is imported."""
    framework, _, validated = name.partition("_")
    if framework not in MAKERS:
        raise AttributeError(name)
    app = MAKERS[framework]()
    return validator(app) if validated else app
