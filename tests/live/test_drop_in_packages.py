"""Packages made for gunicorn, unmodified, by its import paths: worker classes, logger classes, hooks, applications.

Where those paths come from is told by PYTHONPATH: the corral command itself, the distribution corral-gunicorn, or the
real gunicorn, whose classes run here as well.
"""

import contextlib
import os
import re
import signal
import sys
import textwrap

import pytest
from live.packages import installed, python_path
from live.server import wait_until

FASTAPI = """
    import os
    import time
    from contextlib import asynccontextmanager

    from fastapi import FastAPI

    @asynccontextmanager
    async def lifespan(app):
        if os.path.exists("broken"):
            raise RuntimeError("no database")
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def pid():
        return os.getpid()

    @app.get("/hang")
    async def hang():
        time.sleep(60)
"""

AIOHTTP = """
    import os
    import time

    from aiohttp import web

    async def pid(request):
        return web.json_response(os.getpid())

    async def hang(request):
        time.sleep(60)

    async def app():
        if os.path.exists("broken"):
            raise RuntimeError("no database")
        app = web.Application()
        app.add_routes([web.get("/", pid), web.get("/hang", hang)])
        return app
"""

WSGI = """
    import os
    import time

    if os.path.exists("broken"):
        raise RuntimeError("no database")

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/hang":
            time.sleep(60)
        body = str(os.getpid()).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]
"""

OWN_CLASS = """
    from gunicorn.workers.sync import SyncWorker

    class Worker(SyncWorker):
        pass
"""

CLASSES = [
    pytest.param("uvicorn_worker.UvicornWorker", FASTAPI, ("uvicorn-worker",), id="uvicorn-worker"),
    pytest.param("uvicorn_worker.UvicornH11Worker", FASTAPI, ("uvicorn-worker",), id="uvicorn-worker, h11"),
    pytest.param("uvicorn.workers.UvicornWorker", FASTAPI, ("corral-gunicorn",), id="uvicorn.workers, corral-gunicorn"),
    pytest.param(
        "uvicorn_worker.UvicornWorker", FASTAPI, ("uvicorn-worker", "gunicorn"), id="uvicorn-worker, beside gunicorn"
    ),
    pytest.param("aiohttp.GunicornWebWorker", AIOHTTP, (), id="aiohttp"),
    pytest.param("aiohttp.GunicornUVLoopWebWorker", AIOHTTP, (), id="aiohttp, uvloop"),
    pytest.param("aiohttp.GunicornWebWorker", AIOHTTP, ("gunicorn",), id="aiohttp, beside gunicorn"),
    pytest.param("own.Worker", WSGI, (), id="a class of one's own"),
    pytest.param("own.Worker", WSGI, ("gunicorn",), id="a class of one's own, beside gunicorn"),
]


SOME = [case for case in CLASSES if case.id in ("uvicorn-worker", "uvicorn-worker, beside gunicorn", "aiohttp")]
WITH_LIMIT = [case for case in CLASSES if "aiohttp" not in case.id]  # aiohttp's knows no max_requests


@pytest.fixture
def drop_in(make_server):
    """Makes a server with files, and with packages on its path."""

    def make(*packages, env=None, **files):
        files = {name: textwrap.dedent(text) for name, text in files.items()}
        return make_server(env={"PYTHONPATH": python_path(*packages), **(env or {})}, **files)

    return make


@pytest.fixture
def serving(drop_in, kind, app, packages):
    """A server with one worker of a class."""
    server = drop_in(*packages, served=app, own=OWN_CLASS)
    server.kind = ("-k", kind, "served:app")
    return server


def pid_of(server):
    status, body = server.get()
    assert status == 200, body
    return int(body)


# Worker classes


@pytest.mark.parametrize(("kind", "app", "packages"), CLASSES)
def test_a_worker_class_serves_reloads_and_stops(serving):
    serving.start(*serving.kind)
    first = pid_of(serving)
    assert serving.workers == [first]
    serving.signal(signal.SIGHUP)
    serving.wait_for("Reload complete: generation 2 is ready")
    wait_until(lambda: first not in serving.workers, "the end of the first worker")
    second = pid_of(serving)
    assert second != first
    assert serving.stop() == 0
    assert not re.search("WARNING|ERROR|CRITICAL|Traceback", serving.log)


@pytest.mark.parametrize(("kind", "app", "packages"), CLASSES)
def test_a_hung_worker_is_replaced(serving):
    serving.start("-t", "2", *serving.kind)  # aiohttp's gives a sign of life each second
    first = pid_of(serving)
    with serving.connect() as connection:
        connection.sendall(b"GET /hang HTTP/1.1\r\nHost: test\r\n\r\n")
        serving.wait_for(rf"WORKER TIMEOUT \(pid:{first}\)")
        wait_until(lambda: pid_of(serving) != first, "an answer of another worker")
    serving.wait_for(rf"Worker \(pid:{first}\) was sent SIG(ABRT|KILL!) [Bb]y the arbiter")
    assert serving.stop() == 0


@pytest.mark.parametrize(("kind", "app", "packages"), SOME)
def test_an_application_that_fails_to_start_is_a_failed_boot(serving):
    """Also where it fails after gunicorn takes the worker for booted, as a lifespan does."""
    serving.write("broken", "")
    serving.start(*serving.kind, wait="")
    assert serving.wait() == 3
    assert serving.count("^RuntimeError: no database") == 1


@pytest.mark.parametrize(("kind", "app", "packages"), CLASSES)
def test_a_reload_to_an_application_that_fails_to_start_is_given_up(serving):
    serving.start(*serving.kind)
    first = pid_of(serving)
    serving.write("broken", "")
    serving.signal(signal.SIGHUP)
    serving.wait_for("Reload failed: generation 2 doesn't boot")
    assert pid_of(serving) == first
    assert serving.stop() == 0


@pytest.mark.parametrize(("kind", "app", "packages"), SOME)
def test_a_worker_obeys_signals_that_are_not_the_arbiters(serving):
    serving.start(*serving.kind)
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGABRT):  # to QUIT uvicorn's is deaf, also under gunicorn
        before = pid_of(serving)
        os.kill(before, signum)
        wait_until(lambda before=before: serving.workers and before not in serving.workers, f"the end by {signum}")
        assert pid_of(serving) != before
    assert serving.stop(signal.SIGINT) == 0


@pytest.mark.parametrize(("kind", "app", "packages"), SOME)
def test_usr1_reopens_what_a_worker_logs_to(serving):
    serving.start("--log-file", "errors", "--access-logfile", "access", *serving.kind, wait="")
    log = serving.directory / "errors"
    wait_until(lambda: log.exists() and "Ready" in log.read_text(), "a server", process=serving.process)
    port = re.search(r"127\.0\.0\.1:(\d+)", log.read_text())[1]
    serving.log_path.write_text(f"Listening at: http://127.0.0.1:{port}")
    (serving.directory / "access").rename(serving.directory / "access.1")
    serving.signal(signal.SIGUSR1)
    wait_until((serving.directory / "access").exists, "a new file")
    worker = pid_of(serving)
    wait_until(lambda: "GET / HTTP/1.1" in (serving.directory / "access").read_text(), "a line in the new file")
    assert serving.workers == [worker]
    assert serving.stop() == 0


@pytest.mark.parametrize(("kind", "app", "packages"), WITH_LIMIT)
def test_max_requests_replaces_a_worker(serving):
    serving.start("--max-requests", "3", *serving.kind)
    first = pid_of(serving)

    def replaced():
        # uvicorn's accepts a few connections more than it serves then, and resets them.
        with contextlib.suppress(ConnectionResetError):
            return pid_of(serving) != first

    wait_until(replaced, "another worker")
    assert not re.search("WARNING|ERROR", serving.log)
    assert serving.stop() == 0


# Logger classes


HEALTHY = """
    from gunicorn import glogging

    class Quiet(glogging.Logger):
        def access(self, resp, req, environ, request_time):
            if req.path != "/health":
                super().access(resp, req, environ, request_time)

    logger_class = Quiet
    accesslog = "-"
    access_log_format = "%(m)s %(U)s %(s)s"
"""


@pytest.mark.parametrize("packages", [(), ("corral-gunicorn",)], ids=["by the command", "corral-gunicorn"])
def test_a_logger_class_leaves_out_health_checks(drop_in, packages):
    server = drop_in(*packages, settings=HEALTHY).start("-c", "settings.py", "hello:app")
    for path in ("/health", "/one", "/health", "/two"):
        assert server.get(path)[0] == 200
    server.wait_for("GET /two 200")
    assert server.stop() == 0
    assert server.count("GET /one 200") == 1
    assert "/health" not in server.log


# Hooks


TIMING = """
    from gunicorn import glogging

    class Timed(glogging.Logger):
        def access(self, resp, req, environ, request_time):
            self.access_log.info("%s began as request %s", req.path, req.number)

    logger_class = Timed
    accesslog = "-"

    def pre_request(worker, req):
        req.number = worker.nr

    def post_request(worker, req, environ, resp):
        worker.log.info("Request %s ended", req.number)
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_a_request_is_one_object_for_hooks_and_logger(drop_in, threads):
    server = drop_in(settings=TIMING).start("-c", "settings.py", "--threads", threads, "hello:app")
    pid_of(server)
    server.wait_for("/ began as request 0")
    server.wait_for("Request 0 ended")
    assert server.stop() == 0


INNER = """
    from gunicorn.workers.sync import SyncWorker

    class Counting(SyncWorker):
        def handle_request(self, listener, req, client, addr):
            self.counted += 1
            return super().handle_request(listener, req, client, addr)
"""


def test_a_class_that_overrides_what_is_never_called_is_told(drop_in):
    server = drop_in(inner=INNER).start("-k", "inner.Counting", "hello:app")
    assert server.count(r"WARNING\] Counting.handle_request\(\) is never called: use pre_request and post_request") == 1
    assert server.stop() == 0


PROMETHEUS = """
    from prometheus_client import multiprocess

    bind = "127.0.0.1:0"
    workers = 2

    def child_exit(server, worker):
        multiprocess.mark_process_dead(worker.pid)
"""

COUNTING = """
    import os

    from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest, multiprocess

    requests = Counter("requests", "Requests so far.")
    alive = Gauge("alive", "Workers that have served.", multiprocess_mode="livesum")

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/metrics":
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)
            body = generate_latest(registry)
        else:
            requests.inc()
            alive.set(1)
            body = str(os.getpid()).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
"""


def test_prometheus_forgets_the_gauges_of_dead_workers_and_keeps_their_counters(drop_in, tmp_path):
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    server = drop_in(settings=PROMETHEUS, served=COUNTING, env={"PROMETHEUS_MULTIPROC_DIR": str(metrics)})
    server.start("-c", "settings.py", "served:app")
    pids = set()
    asked = 0
    while len(pids) < 2:
        pids.add(pid_of(server))
        asked += 1
    lines = server.get("/metrics")[1].decode().splitlines()
    assert f"requests_total {float(asked)}" in lines
    assert "alive 2.0" in lines
    os.kill(pids.pop(), signal.SIGTERM)
    wait_until(lambda: b"\nalive 1.0\n" in server.get("/metrics")[1], "one gauge less", process=server.process)
    assert f"requests_total {float(asked)}" in server.get("/metrics")[1].decode().splitlines()
    assert server.stop() == 0


HALTING = """
    import gunicorn
    from gunicorn.errors import HaltServer

    gunicorn.SERVER = "undisclosed"

    def child_exit(server, worker):
        raise HaltServer("a worker has died", 7)
"""


def test_what_configuration_files_do_with_gunicorns_names(drop_in):
    """They hide what the server is, and end it when a worker dies."""
    server = drop_in(settings=HALTING).start("-c", "settings.py", "hello:app")
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        assert b"\r\nServer: undisclosed\r\n" in connection.recv(65536)
    os.kill(pid_of(server), signal.SIGKILL)
    assert server.wait() == 7


OBSERVED = """
    import newrelic.agent

    def app(environ, start_response):
        body = type(newrelic.agent.current_transaction()).__name__.encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]
"""

AGENT = """\
[newrelic]
app_name = test
developer_mode = true
license_key = 0000000000000000000000000000000000000000
"""


@pytest.mark.parametrize("packages", [(), ("corral-gunicorn",)], ids=["by the command", "corral-gunicorn"])
def test_new_relic_wraps_the_application_by_the_name_it_has_in_gunicorn(drop_in, packages):
    server = drop_in(*packages, "newrelic", served=OBSERVED, env={"NEW_RELIC_CONFIG_FILE": "newrelic.ini"})
    server.write("newrelic.ini", AGENT)
    agent = str(installed("newrelic") / "bin" / "newrelic-admin")
    server.command = [sys.executable, agent, "run-program", sys.executable, "-m", "corral"]
    server.start("served:app")
    wait_until(lambda: server.get()[1] == b"WSGIWebTransaction", "the agent to have started", process=server.process)
    assert server.stop() == 0


TRACING = """
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    def post_fork(server, worker):
        server.log.info("Tracing worker %s", worker.pid)
        out = open(f"spans.{worker.pid}", "w")
        provider = TracerProvider(resource=Resource.create({"worker": worker.pid}))
        # It exports once a minute, and at the end of the process.
        provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(out=out), schedule_delay_millis=60000))
        trace.set_tracer_provider(provider)
"""

TRACED = """
    import os

    from opentelemetry import trace

    def app(environ, start_response):
        with trace.get_tracer("served").start_as_current_span(environ["PATH_INFO"]):
            body = str(os.getpid()).encode()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
"""


@pytest.mark.parametrize("how", [(), ("--preload",)], ids=["loaded by workers", "preloaded"])
def test_opentelemetry_exports_what_it_has_when_a_worker_ends(drop_in, how):
    server = drop_in(settings=TRACING, served=TRACED).start("-c", "settings.py", *how, "served:app")
    pid = pid_of(server)
    server.get("/second")
    assert server.count(f"Tracing worker {pid}") == 1
    assert server.stop() == 0
    spans = (server.directory / f"spans.{pid}").read_text()
    assert re.findall('"name": "(.*)"', spans) == ["/", "/second"]
    assert f'"worker": {pid}' in spans


# Applications that start the server themselves

EMBEDDED = """
    import os

    from gunicorn.app.base import BaseApplication

    def app(environ, start_response):
        body = str(os.getpid()).encode()
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    class Standalone(BaseApplication):
        def __init__(self, app, options=None):
            self.options = options or {}
            self.application = app
            super().__init__()

        def load_config(self):
            for key, value in self.options.items():
                if key in self.cfg.settings and value is not None:
                    self.cfg.set(key.lower(), value)

        def load(self):
            return self.application

    if __name__ == "__main__":
        Standalone(app, {"bind": "127.0.0.1:0", "workers": 2, "unknown": 1}).run()
"""

PASSED_ON = """
    import sys

    from gunicorn.app.wsgiapp import run

    if __name__ == "__main__":
        sys.argv = ["gunicorn", "-b", "127.0.0.1:0", "-w", "2", "hello:app"]
        run()
"""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param([sys.executable, "embedded.py"], id="a script on BaseApplication"),
        pytest.param([sys.executable, "passed_on.py"], id="a script that calls wsgiapp.run"),
        pytest.param([sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "-w", "2", "hello:app"], id="-m gunicorn"),
        pytest.param(["bin/gunicorn", "-b", "127.0.0.1:0", "-w", "2", "hello:app"], id="the command gunicorn"),
    ],
)
def test_what_starts_gunicorn_starts_corral(drop_in, command):
    server = drop_in("corral-gunicorn", embedded=EMBEDDED, passed_on=PASSED_ON)
    server.command = [str(installed("corral-gunicorn") / part) if part.startswith("bin/") else part for part in command]
    server.start(bind=False)
    assert pid_of(server) in server.wait_for_workers(2)
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete")
    assert server.stop() == 0


SITE = """
    import os

    from django.http import HttpResponse
    from django.urls import path

    ALLOWED_HOSTS = ["*"]
    DATABASES = {}
    DEBUG = False
    INSTALLED_APPS = ["rungunicorn", "django_serve"]
    MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]  # it counts the length
    ROOT_URLCONF = "site_of_one_file"
    SECRET_KEY = "x"
    USE_TZ = True
    WSGI_APPLICATION = "django.core.wsgi.get_wsgi_application"

    urlpatterns = [path("", lambda request: HttpResponse(str(os.getpid())))]
"""


def test_a_management_command_made_of_gunicorns_configuration_and_arbiter(drop_in):
    """django-rungunicorn: it makes flags of cfg.settings, reads GUNICORN_CMD_ARGS, and runs an Arbiter."""
    variables = {"DJANGO_SETTINGS_MODULE": "site_of_one_file", "GUNICORN_CMD_ARGS": "--threads 1 --workers 3"}
    server = drop_in("corral-gunicorn", "django-rungunicorn", "django-serve", site_of_one_file=SITE, env=variables)
    server.command = [sys.executable, "-m", "django", "rungunicorn", "--workers", "2"]
    server.start()
    assert pid_of(server) in server.wait_for_workers(2)
    assert server.stop() == 0


def test_a_management_command_that_changes_gunicorns_reloader(drop_in):
    """django-serve: what its command runs in a process of its own."""
    variables = {"DJANGO_SETTINGS_MODULE": "site_of_one_file"}
    server = drop_in("corral-gunicorn", "django-rungunicorn", "django-serve", site_of_one_file=SITE, env=variables)
    server.command = [sys.executable, "-m", "django_serve", "--workers", "1", "--name", "django", "--log-file", "-"]
    server.start(
        "--access-logfile", "-", "--reload", "--reload-engine", "auto", "django.core.wsgi:get_wsgi_application()"
    )
    assert pid_of(server) in server.workers
    assert server.stop() == 0


# The distribution


def test_the_distribution_refuses_to_stand_beside_gunicorn(drop_in):
    server = drop_in("corral-gunicorn", "gunicorn")
    server.command = [sys.executable, "-m", "gunicorn"]
    server.start(wait="")
    assert server.wait() == 1
    assert "gunicorn and corral-gunicorn are both installed" in server.log.splitlines()[-1]
