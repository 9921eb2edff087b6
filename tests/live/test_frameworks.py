"""Real frameworks behind a real server, asked by a real client; each also under wsgiref's validator."""

import hashlib
import re
import textwrap

import httpx
import pytest

# PEP 3333 makes read()'s size optional, the validator insists on it: frameworks give one where the input may not end.
VALIDATED = """
from wsgiref.validate import validator
inner = app
def bounded(environ, start_response):
    environ.pop("wsgi.input_terminated")
    return inner(environ, start_response)
app = validator(bounded)
"""

FLASK = """
    from flask import Flask, Response, request, session, jsonify, abort

    app = Flask(__name__)
    app.secret_key = "test"

    @app.get("/json")
    def as_json():
        return jsonify(args=request.args, host=request.host, scheme=request.scheme)

    @app.post("/form")
    def form():
        return request.form["name"]

    @app.post("/echo")
    def echo():
        return Response(request.get_data(), mimetype="application/octet-stream")

    @app.get("/count")
    def count():
        session["n"] = session.get("n", 0) + 1
        return str(session["n"])

    @app.get("/stream")
    def stream():
        return Response((f"{n}\\n" for n in range(1000)), mimetype="text/plain")

    @app.get("/teapot")
    def teapot():
        abort(418)

    @app.get("/error")
    def error():
        raise RuntimeError("on purpose")
"""

BOTTLE = """
    import bottle

    app = bottle.Bottle()

    @app.get("/json")
    def as_json():
        request = bottle.request
        host = request.get_header("host")
        return {"args": dict(request.query.decode()), "host": host, "scheme": request.urlparts.scheme}

    @app.post("/form")
    def form():
        return bottle.request.forms.name

    @app.post("/echo")
    def echo():
        bottle.response.content_type = "application/octet-stream"
        return bottle.request.body.read()

    @app.get("/stream")
    def stream():
        return (f"{n}\\n" for n in range(1000))
"""

FALCON = """
    import falcon

    class Json:
        def on_get(self, request, response):
            host = f"{request.host}:{request.port}"
            response.media = {"args": request.params, "host": host, "scheme": request.scheme}

    class Form:
        def on_post(self, request, response):
            response.text = request.get_media()["name"]

    class Echo:
        def on_post(self, request, response):
            response.data = request.bounded_stream.read()
            response.content_type = "application/octet-stream"

    class Stream:
        def on_get(self, request, response):
            response.stream = (f"{n}\\n".encode() for n in range(1000))

    app = falcon.App()
    app.add_route("/json", Json())
    app.add_route("/form", Form())
    app.add_route("/echo", Echo())
    app.add_route("/stream", Stream())
"""

DJANGO = """
    import os, pathlib
    import django
    from django.conf import settings

    HERE = pathlib.Path(__file__).parent
    settings.configure(
        SECRET_KEY="test", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, DEBUG=False,
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / "db.sqlite3"}},
        INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                        "django.contrib.sessions", "django.contrib.messages"],
        MIDDLEWARE=["django.middleware.security.SecurityMiddleware",
                    "django.contrib.sessions.middleware.SessionMiddleware",
                    "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
                    "django.contrib.auth.middleware.AuthenticationMiddleware",
                    "django.contrib.messages.middleware.MessageMiddleware"],
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {
            "context_processors": ["django.template.context_processors.request",
                                   "django.contrib.auth.context_processors.auth",
                                   "django.contrib.messages.context_processors.messages"]}}],
        DEFAULT_AUTO_FIELD="django.db.models.AutoField", USE_TZ=True,
    )
    django.setup()
    from django.contrib import admin
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.core.wsgi import get_wsgi_application
    from django.http import FileResponse, HttpResponse, JsonResponse, StreamingHttpResponse
    from django.urls import path
    from django.views.decorators.csrf import csrf_exempt

    call_command("migrate", verbosity=0)
    if not User.objects.filter(username="root").exists():
        User.objects.create_superuser("root", "root@example.org", "secret")

    def as_json(request):
        return JsonResponse({"args": request.GET.dict(), "host": request.get_host(), "scheme": request.scheme})

    @csrf_exempt
    def form(request):
        return HttpResponse(request.POST["name"])

    @csrf_exempt
    def echo(request):
        return HttpResponse(request.body, content_type="application/octet-stream")

    def stream(request):
        return StreamingHttpResponse(f"{n}\\n" for n in range(1000))

    @csrf_exempt
    def upload(request):
        import hashlib
        digest = hashlib.sha256()
        for chunk in request.FILES["file"].chunks():
            digest.update(chunk)
        return HttpResponse(digest.hexdigest())

    def users(request):
        return JsonResponse({"users": list(User.objects.values_list("username", flat=True))})

    def this_file(request):
        return FileResponse(open(__file__, "rb"))

    urlpatterns = [path("json", as_json), path("form", form), path("echo", echo), path("stream", stream),
                   path("upload", upload), path("users", users), path("file", this_file),
                   path("admin/", admin.site.urls)]
    app = get_wsgi_application()
"""

FRAMEWORKS = {"flask": FLASK, "bottle": BOTTLE, "falcon": FALCON, "django": DJANGO}
COMMON = [
    pytest.param(name, validated, id=f"{name}{', validated' if validated else ''}")
    for name in FRAMEWORKS
    for validated in (False, True)
]


@pytest.fixture
def client(make_server):
    """client(source, *arguments) → an httpx client whose base is a server of that application."""
    clients = []

    def start(source, *arguments, validated=False):
        server = make_server(web=textwrap.dedent(source) + (VALIDATED if validated else ""))
        server.start(*arguments, "web:app")
        clients.append(httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=20))
        clients[-1].server = server
        return clients[-1]

    yield start
    for each in clients:
        each.close()


@pytest.mark.parametrize(("name", "validated"), COMMON)
def test_what_all_frameworks_do(client, name, validated):
    site = client(FRAMEWORKS[name], validated=validated)
    body = bytes(range(256)) * 20

    answer = site.get("/json", params={"a": "1 2", "ü": "é"})
    assert answer.json()["args"] == {"a": "1 2", "ü": "é"}
    assert answer.json()["host"] == f"127.0.0.1:{site.server.port}"
    assert answer.json()["scheme"] == "http"
    assert site.get("/json", headers={"X-Forwarded-Proto": "https"}).json()["scheme"] == "https"
    assert site.post("/form", data={"name": "Zoë"}).text == "Zoë"
    assert site.post("/echo", content=body).content == body
    assert site.post("/echo", content=(body[at : at + 100] for at in range(0, len(body), 100))).content == body
    assert site.get("/stream").text == "".join(f"{n}\n" for n in range(1000))
    assert site.head("/json").content == b""
    assert site.get("/nothing-here").status_code == 404
    assert site.server.count("AssertionError") == 0


def test_flask_sessions_and_errors(client):
    site = client(FLASK)
    assert [site.get("/count").text for _ in range(3)] == ["1", "2", "3"]
    assert site.get("/teapot").status_code == 418
    assert site.get("/error").status_code == 500
    assert site.get("/count").text == "4"


def test_django_admin_orm_and_files(client):
    site = client(DJANGO)
    assert site.get("/users").json() == {"users": ["root"]}
    assert b"get_wsgi_application" in site.get("/file").content
    page = site.get("/admin/login/?next=/admin/")
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
    form = {"username": "root", "password": "secret", "csrfmiddlewaretoken": token, "next": "/admin/"}
    answer = site.post("/admin/login/", data=form)
    assert answer.status_code == 302
    assert "Site administration" in site.get(answer.headers["location"]).text
    assert site.post("/admin/login/", data={**form, "csrfmiddlewaretoken": "forged"}).status_code == 403


@pytest.mark.parametrize("arguments", [(), ("--no-request-buffering",)], ids=["buffered", "streamed"])
def test_django_takes_an_upload_of_50_mb(client, arguments):
    site = client(DJANGO, *arguments)
    content = bytes(range(256)) * (50_000_000 // 256)
    answer = site.post("/upload", files={"file": ("large.bin", content)})
    assert answer.text == hashlib.sha256(content).hexdigest()
