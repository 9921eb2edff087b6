"""Hooks in a real server: each once and in the right process, and what happens when one raises.

What their arguments look like, and in which order they come, is compared in test_hooks_like_gunicorn.
"""

import json
import os
import signal

import pytest
from live.server import alive, read_response, wait_until
from live.wire import APPS

FARM = """
import os, time


def app(environ, start_response):
    if environ["PATH_INFO"] == "/hang":
        while True:
            time.sleep(0.01)
    if environ["PATH_INFO"].startswith("/slow"):
        time.sleep(0.05)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""


@pytest.fixture
def server(make_server):
    return make_server(farm=FARM)


def configured(server, text, *arguments, **options):
    server.write("gunicorn.conf.py", text)
    return server.start("farm:app", *arguments, **options)


# each, once


def test_each_hook_is_called_once_and_in_the_right_process(make_server):
    server = make_server()
    server.env["RECORD"] = str(server.directory / "record")
    server.start("-c", str(APPS / "recorder.py"), "--pythonpath", str(APPS), "recorder")
    assert server.get() == (200, b"hello")
    assert server.stop() == 0
    record = server.directory / f"record.{server.pid}"
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    assert {entry["process"] for entry in entries if entry["role"] == "master"} == {server.pid}
    assert len({entry["process"] for entry in entries if entry["role"] == "worker"}) == 1
    assert [entry["hook"] for entry in entries if entry["role"] == "master"] == [
        "nworkers_changed", "on_starting", "when_ready", "pre_fork", "child_exit", "on_exit",
    ]  # fmt: skip
    assert [entry["hook"] for entry in entries if entry["role"] == "worker"] == [
        "post_fork", "post_worker_init", "pre_request", "post_request", "worker_exit",
    ]  # fmt: skip


# those that raise


def nothing(server):
    """Its moment is the start."""


def ask(server):
    assert server.get() == (200, b"ok")


def tell(signum):
    return lambda server: server.signal(signum)


def tell_the_worker(signum):
    def told(server):
        [pid] = server.workers
        os.kill(pid, signum)

    return told


def hang(server):
    with server.connect() as connection:
        connection.sendall(b"GET /hang HTTP/1.1\r\nHost: test\r\n\r\n")
        server.wait_for("WORKER TIMEOUT")


@pytest.mark.parametrize(
    ("hook", "arguments", "provoke"),
    [
        pytest.param("nworkers_changed", "server, new, old", nothing, id="nworkers_changed at the start"),
        pytest.param("pre_fork", "server, worker", nothing, id="pre_fork"),
        pytest.param("post_fork", "server, worker", nothing, id="post_fork"),
        pytest.param("post_worker_init", "worker", nothing, id="post_worker_init"),
        pytest.param("post_request", "worker, req", ask, id="post_request"),
        pytest.param("on_reload", "server", tell(signal.SIGHUP), id="on_reload"),
        pytest.param("worker_int", "worker", tell_the_worker(signal.SIGINT), id="worker_int"),
        pytest.param("worker_abort", "worker", hang, id="worker_abort"),
        pytest.param("worker_exit", "server, worker", tell_the_worker(signal.SIGTERM), id="worker_exit"),
        pytest.param("child_exit", "server, worker", tell_the_worker(signal.SIGKILL), id="child_exit"),
    ],
)
def test_one_that_raises_is_named_and_the_server_goes_on(server, hook, arguments, provoke):
    configured(server, f"def {hook}({arguments}):\n    raise RuntimeError('on purpose')\n", "--timeout", "0.5")
    provoke(server)
    server.seen = 0
    server.wait_for(rf"\[ERROR\] The hook {hook} failed\n(.*\n)+?RuntimeError: on purpose$")
    wait_until(lambda: server.workers, "a worker", process=server.process)
    assert server.get() == (200, b"ok")
    if provoke is nothing:
        assert server.count(f"The hook {hook} failed") == 1
    assert server.stop() == 0


def test_pre_request_that_raises_is_a_500_for_that_request(server):
    configured(
        server, "def pre_request(worker, req):\n    if req.path == '/no':\n        raise ValueError('not you')\n"
    )
    assert server.get("/no")[0] == 500
    server.wait_for(
        r"\[ERROR\] Error handling request GET /no\n(.*\n)+?ValueError: not you\nThe hook pre_request failed$"
    )
    assert server.get("/yes") == (200, b"ok")


def test_on_exit_that_raises_is_named_and_the_end_is_the_same(server):
    configured(server, "def on_exit(server):\n    raise RuntimeError('on purpose')\n", "-p", "pid")
    assert server.stop() == 0
    assert server.count(r"\[ERROR\] The hook on_exit failed") == 1
    assert not (server.directory / "pid").exists()


@pytest.mark.parametrize("hook", ["on_starting", "when_ready"])
@pytest.mark.parametrize("daemon", [(), ("-D",)], ids=["in the foreground", "as a daemon"])
def test_without_these_there_is_no_server(server, hook, daemon):
    path = server.directory / "s"
    text = f"def {hook}(server):\n    raise RuntimeError('on purpose')\n"
    configured(server, text, "-b", f"unix:{path}", "-p", "pid", *daemon, wait=None)
    assert server.wait() == 1
    assert server.count(rf"\[ERROR\] the hook {hook} failed: RuntimeError: on purpose$") == 1
    assert server.count("Traceback") == 1
    assert server.count("Booting worker") == 0
    assert not path.exists()
    assert not (server.directory / "pid").exists()


@pytest.mark.parametrize(
    ("call", "code", "said"),
    [
        pytest.param("sys.exit(7)", 7, 0, id="with a code"),
        pytest.param("sys.exit('not today')", 1, 1, id="with words"),
    ],
)
@pytest.mark.parametrize("hook", ["on_starting", "when_ready"])
@pytest.mark.parametrize("daemon", [(), ("-D",)], ids=["in the foreground", "as a daemon"])
def test_a_hook_may_call_the_start_off(server, hook, call, code, said, daemon):
    path = server.directory / "s"
    configured(
        server, f"import sys\ndef {hook}(server):\n    {call}\n", "-b", f"unix:{path}", "-p", "pid", *daemon, wait=None
    )
    assert server.wait() == code
    assert server.count(r"\[ERROR\] not today$") == said
    assert server.count("Traceback|Booting worker") == 0
    assert not path.exists()
    assert not (server.directory / "pid").exists()


def test_a_hook_may_end_a_server_that_serves(server):
    configured(server, "import sys\ndef child_exit(server, worker):\n    sys.exit(7)\n", "-w", "2", "-p", "pid")
    workers = server.workers
    os.kill(workers[0], signal.SIGKILL)
    assert server.wait() == 7
    assert not (server.directory / "pid").exists()
    wait_until(lambda: not any(map(alive, workers)), "the end of the workers")


# how they are written


@pytest.mark.parametrize(
    ("arguments", "seen", "line"),
    [
        pytest.param("worker, req", "req.path", "/here", id="two"),
        pytest.param("worker, req, environ", "environ['PATH_INFO']", "/here", id="three"),
        pytest.param("worker, req, environ, resp", "resp.status", "200 OK", id="four"),
        pytest.param("*arguments", "len(arguments)", "4", id="any number"),
    ],
)
def test_post_request_takes_as_many_arguments_as_it_wants(server, arguments, seen, line):
    configured(server, f"def post_request({arguments}):\n    print('seen', {seen}, flush=True)\n")
    assert server.get("/here") == (200, b"ok")
    server.wait_for(f"^seen {line}$")


def test_a_hook_may_be_named(make_server):
    server = make_server(farm=FARM, shop="def hello(worker, req):\n    print('named', req.path, flush=True)\n")
    configured(server, "pre_request = 'shop.hello'\npost_fork = 'shop.no_such'\n")
    assert server.get("/here") == (200, b"ok")
    assert server.count("named /here") == 1
    assert server.count(r"the hook shop\.no_such can't be found: module 'shop' has no attribute 'no_such'") == 1


def test_a_reload_changes_hooks(server):
    written = "def pre_request(worker, req):\n    print('{0}', flush=True)\ndef on_reload(server):\n    print('{0}s')\n"
    configured(server, written.format("first"))
    ask(server)
    server.wait_for("^first$")
    server.write("gunicorn.conf.py", written.format("second"))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete")
    ask(server)
    server.wait_for("^second$")
    assert server.count("^firsts$") == 0


# moments


def test_a_timeout_shows_where_the_request_hangs(server):
    configured(server, "def worker_abort(worker):\n    print('aborted', worker.pid, flush=True)\n", "--timeout", "0.5")
    [pid] = server.workers
    hang(server)
    server.seen = 0
    server.wait_for(f"aborted {pid}")
    server.wait_for(rf"Worker exiting \(pid: {pid}\)")
    assert server.count(r"\[ERROR\] Request in flight for .*: GET /hang HTTP/1\.1") == 1
    assert server.count(r"farm\.py\", line \d+ in app$") == 2, "when it is slow, and when it is too slow"
    assert server.count("Traceback") == 0


def test_int_to_a_worker_is_its_end_and_not_the_server_s(server):
    configured(server, "def worker_int(worker):\n    print('interrupted', worker.pid, flush=True)\n")
    [pid] = server.workers
    os.kill(pid, signal.SIGINT)
    server.wait_for(f"interrupted {pid}")
    wait_until(lambda: not alive(pid), "its end")
    wait_until(lambda: server.workers, "another worker")
    ask(server)


def test_with_threads_each_request_has_its_own_pair(server):
    text = (
        "import threading\n"
        "def pre_request(worker, req): req.me = threading.get_ident()\n"
        "def post_request(worker, req, environ, resp):\n"
        "    same = req.me == threading.get_ident() and req.path == environ['PATH_INFO']\n"
        "    print(f'pair {req.path} {same} {resp.status}\\n', end='', flush=True)\n"
    )
    configured(server, text, "--threads", "4")
    paths = [f"/slow/{number}" for number in range(8)]
    connections = [server.connect() for _ in paths]
    for connection, path in zip(connections, paths, strict=True):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    for connection in connections:
        with connection:
            assert read_response(connection) == (200, b"ok")
    for path in paths:
        wait_until(lambda path=path: server.count(f"^pair {path} True 200 OK$") == 1, path, process=server.process)


def test_a_hook_may_ask_for_more_workers(server):
    configured(server, "def child_exit(server, worker):\n    server.num_workers = 3\n")
    [pid] = server.workers
    os.kill(pid, signal.SIGKILL)
    assert len(server.wait_for_workers(3)) == 3


@pytest.mark.parametrize("hook", ["on_starting", "when_ready"])
def test_a_hook_may_ask_for_more_workers_before_there_are_any(server, hook):
    changed = (
        "def nworkers_changed(server, new, old):\n    print('changed', new, old, server.num_workers, flush=True)\n"
    )
    configured(server, f"{changed}def {hook}(server):\n    server.num_workers = 3\n")
    assert len(server.wait_for_workers(3)) == 3
    assert server.count("changed 3 1 3") == 1


def test_a_worker_that_can_not_boot_still_has_its_end(make_server):
    server = make_server(broken="raise RuntimeError('on purpose')\n")
    server.write(
        "gunicorn.conf.py",
        "def worker_exit(server, worker):\n    print('worker_exit', worker.booted, flush=True)\n"
        "def child_exit(server, worker):\n    print('child_exit', worker.pid, flush=True)\n",
    )
    server.start("broken:app", wait=None)
    assert server.wait() == 3
    assert server.count("worker_exit False") == 1
    assert server.count(r"child_exit \d+") == 1  # with gunicorn there is none at this end
