"""HUP with something that doesn't work: the old workers go on, no client notices, the reason is said once; and the next
HUP, when it is mended, works."""

import signal

import pytest
from live.customers import failures
from live.server import wait_until

VERSION = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "1")])
    return [b"{}"]
"""
WARM = """
import time

READY = []


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/warm":
        READY.append(environ["QUERY_STRING"])
        start_response({status!r}, [("Content-Length", "4")])
        return [b"warm"]
    if path == "/raise":
        raise RuntimeError("cold")
    if path == "/hang":
        time.sleep(60)
    body = repr((READY, environ["wsgi.multiprocess"])).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
SETTINGS = "workers = 2\nboot_timeout = 1\n"


@pytest.fixture
def server(make_server):
    server = make_server(versioned=VERSION.format(1))
    server.write("gunicorn.conf.py", SETTINGS)
    return server


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        pytest.param("versioned.py", "def app(:\n", "SyntaxError: invalid syntax$", id="a syntax error"),
        pytest.param(
            "versioned.py", "import time\ntime.sleep(60)\n", r"is not ready after 1\.\d s .*versioned\.py:2 in",
            id="an application that hangs at import",
        ),
        pytest.param(
            "versioned.py", VERSION.format(2) + "del app\n", r"\[ERROR\] .*'app'",
            id="an application that isn't there",
        ),
        pytest.param("gunicorn.conf.py", "workers = = 2\n", "gunicorn.conf.py failed: SyntaxError", id="a broken file"),
        pytest.param(
            "gunicorn.conf.py", SETTINGS + "errorlog = 'nowhere/error.log'\n", "errorlog.*nowhere/error.log",
            id="a missing log directory",
        ),
        pytest.param(
            "gunicorn.conf.py", SETTINGS + "warmup = ['/', '/x']\nraw_env = ['A']\n", "raw_env", id="a bad value"
        ),
    ],
)  # fmt: skip
def test_a_reload_that_fails_is_no_news_to_clients(server, customers, name, text, reason):
    server.start("versioned:app")
    before = server.workers
    asking = customers(server)
    wait_until(lambda: all(customer.answers for customer in asking), "answers", process=server.process)
    good = (server.directory / name).read_text()
    server.write(name, text)
    server.signal(signal.SIGHUP)
    server.wait_for("Reload failed")
    assert server.count(reason) == 1
    assert server.count("Reload failed") == 1
    wait_until(lambda: server.workers == before, "the end of the one that failed", process=server.process)
    server.write(name, good.replace('b"1"', 'b"3"'))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete")
    wait_until(lambda: not set(before) & set(server.workers), "the end of the old workers", process=server.process)
    done = len(asking[0].answers)
    wait_until(lambda: len(asking[0].answers) > done + 10, "answers of the new ones", process=server.process)
    assert failures(asking) == []


def test_never_fewer_than_all_workers_are_there(server, customers):
    server.write("gunicorn.conf.py", "workers = 4\nreload_step = 1\n")
    server.start("versioned:app")
    numbers = []
    asking = customers(server)
    before = server.workers
    server.signal(signal.SIGHUP)

    def over():
        workers = server.workers
        numbers.append(len(workers))
        return not set(before) & set(workers)

    wait_until(over, "new workers", process=server.process)
    server.wait_for("Reload complete")
    assert min(numbers) >= 4
    assert failures(asking) == []


def test_a_worker_is_ready_when_it_is_warm(make_server):
    server = make_server(warm=WARM.format(status="204 No Content"))
    server.start("warm:app", "--warmup", "/warm?a=1", "--warmup", "/warm?b")
    assert server.get() == (200, b"(['a=1', 'b'], False)")


ASYNC = """
SEEN = []


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            SEEN.append(message["type"])
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                print("shut down", flush=True)
                return
    if scope["path"] == "/raise":
        raise RuntimeError("cold")
    SEEN.append(scope["path"] + "?" + scope["query_string"].decode())
    assert (await receive())["type"] == "http.request"
    await send({"type": "http.response.start", "status": 500 if scope["path"] == "/bad" else 200, "headers": []})
    await send({"type": "http.response.body", "body": repr(SEEN).encode()})
    assert (await receive())["type"] == "http.disconnect" or scope["path"] == "/"
"""


def test_an_asgi_application_is_warmed_after_its_start(make_server):
    server = make_server(warm=ASYNC)
    server.start("warm:app", "--warmup", "/caf%C3%A9?a=1")
    assert server.get() == (200, "['lifespan.startup', '/caf\u00e9?a=1', '/?']".encode())


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        pytest.param("/bad", "warmup /bad: the application answered 500", id="an error page"),
        pytest.param("/raise", "warmup /raise: the application raised RuntimeError$", id="an exception"),
    ],
)
def test_an_asgi_application_that_cannot_be_warmed_is_shut_down(make_server, path, reason):
    server = make_server(warm=ASYNC)
    server.start("warm:app", "--warmup", path, wait=None)
    assert server.wait() == 4
    assert server.count(reason) == server.count("^shut down$") == 1


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        pytest.param("/warm", "503 Later", "warmup /warm: the application answered 503; a worker", id="an error page"),
        pytest.param("/raise", "200 OK", "warmup /raise: the application raised RuntimeError$", id="an exception"),
    ],
)
def test_a_worker_that_cannot_be_warmed_is_a_failed_boot(make_server, path, status, reason):
    server = make_server(warm=WARM.format(status=status))
    server.start("warm:app", "--warmup", path, wait=None)
    assert server.wait() == 4
    assert server.count(reason) == 1
    assert server.count("cold$") == server.count("Traceback") == (path == "/raise")


def test_a_reload_that_cannot_be_warmed_fails(make_server, customers):
    server = make_server(warm=WARM.format(status="200 OK"), versioned=VERSION.format(1))
    server.write("gunicorn.conf.py", "boot_timeout = 1\n")
    server.start("versioned:app")
    asking = customers(server, 2)
    server.write("gunicorn.conf.py", "boot_timeout = 1\nwarmup = ['/hang']\nwsgi_app = 'warm:app'\n")
    server.write("versioned.py", WARM.format(status="200 OK"))
    server.signal(signal.SIGHUP)
    server.wait_for(
        r"is not ready after 1\.\d s \(boot_timeout\): warmup GET /hang, at .*versioned\.py:\d+ in app, waiting"
    )
    server.wait_for("Reload failed: generation 2")
    assert failures(asking) == []
