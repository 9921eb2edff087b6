"""`reload`, as it is used: a file is edited, and the next request is answered by what it says now."""

import os
import signal

import pytest
from live.server import read_response, wait_until

from corral.errors import EXIT_BOOT

SHOP = """
import os
from pathlib import Path
import {imported}

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str({answer}).encode()]
"""
EXTRA = "Path('price.txt').read_text() if Path('price.txt').exists() else 'priceless'"
HOOKED = """
def worker_int(worker):
    print("worker_int of", worker.pid, flush=True)
"""


def shop(answer, imported="os"):
    return SHOP.format(answer=answer, imported=imported)


@pytest.fixture(params=["poll", "inotify"])
def engine(request):
    return "--reload-engine", request.param


@pytest.fixture
def reloading(make_server, engine):
    def start(source, *args, **files):
        server = make_server(shop=source, **files)
        return server.start("shop:app", "--reload", *engine, *args)

    return start


def answers(server, status, part):
    """Wait until this is what it answers; meanwhile every request has some answer."""

    def asked():
        answer = server.get()
        return answer[0] == status and part in answer[1] and answer[1]

    return wait_until(asked, f"{status} with {part!r}", process=server.process)


def test_an_edit_is_served_by_a_new_worker(reloading):
    server = reloading(shop("'one'"))
    [before] = server.workers
    assert server.get() == (200, b"one")
    server.write("shop.py", shop("'two'"))
    server.wait_for(rf"\[{before}\] \[INFO\] Worker reloading: .*shop.py modified")
    answers(server, 200, b"two")
    server.wait_for(rf"Worker exiting \(pid: {before}\)")
    assert before not in server.wait_for_workers(1)
    assert server.stop() == 0


def test_two_edits_of_one_second_and_one_size_are_both_served(reloading):
    server = reloading(shop(0))
    for number in range(1, 4):
        server.write("shop.py", shop(number))
        answers(server, 200, str(number).encode())


def test_all_workers_reload(reloading):
    server = reloading(shop("os.getpid()"), "-w", "2")
    before = server.wait_for_workers(2)
    server.write("shop.py", shop("'new'"))
    for pid in before:
        wait_until(lambda pid=pid: pid not in server.workers, f"the end of {pid}", process=server.process)
    server.wait_for_workers(2)
    answers(server, 200, b"new")
    assert server.count("Worker reloading") == 2


@pytest.mark.parametrize(
    ("broken", "title"),
    [
        pytest.param("x = (", b"SyntaxError", id="a syntax error"),
        pytest.param("1 / 0", b"ZeroDivisionError: division by zero", id="an exception"),
        pytest.param("import no_such_thing", b"No module named &#39;no_such_thing&#39;", id="a missing module"),
        pytest.param("raise SystemExit(3)", b"SystemExit: 3", id="an exit"),
        pytest.param("apple = 1", b"&#39;shop&#39; has no &#39;app&#39;", id="no application"),
        pytest.param("app = 3", b"an int, which is not callable", id="not callable"),
    ],
)
def test_what_cannot_be_imported_is_shown_until_it_is_mended(reloading, broken, title):
    server = reloading(shop("'one'"))
    server.write("shop.py", broken)
    answers(server, 500, b"")
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
        status, page = read_response(connection)
    assert status == 500
    assert title in page
    server.write("shop.py", shop("'mended'"))
    answers(server, 200, b"mended")
    assert server.stop() == 0


def test_a_start_that_fails_is_mended_too(reloading):
    server = reloading("import catalogue\n" + shop("'open'"))
    status, text = server.get()
    assert status == 500
    assert b"No module named 'catalogue'" in text
    assert server.count("ModuleNotFoundError") == 1
    server.write("catalogue.py", "x = (")
    answers(server, 500, b"SyntaxError")
    server.write("catalogue.py", "x = ()")
    answers(server, 200, b"open")


def test_a_module_that_is_imported_by_a_request_is_watched(reloading):
    server = reloading(shop("__import__('late').price"), late="price = 1")
    assert server.get() == (200, b"1")
    # Only the watcher knows when it has looked at it; an edit before that would be part of what it first sees.
    wait_until(lambda: server.count("Worker reloading") or edit_again(server), "a reload", process=server.process)
    answers(server, 200, b"price")


def edit_again(server):
    server.write("late.py", f"price = 'price{'!' * os.stat(server.directory / 'late.py').st_size}'")


@pytest.mark.parametrize("pattern", ["price.txt", "*.txt"])
def test_extra_files(reloading, pattern):
    server = reloading(shop(EXTRA), "--reload-extra-file", pattern)
    assert server.get() == (200, b"priceless")
    [before] = server.workers
    server.write("price.txt", "3")
    server.wait_for("Worker reloading: .*price.txt modified")
    server.wait_for(rf"Worker exiting \(pid: {before}\)")
    answers(server, 200, b"3")


def test_worker_int_is_called(make_server, engine):
    server = make_server(shop=shop("'one'"), hooks=HOOKED)
    server.start("shop:app", "--reload", *engine, "-c", "hooks.py")
    [before] = server.workers
    server.write("shop.py", shop("'two'"))
    server.wait_for(f"worker_int of {before}")
    answers(server, 200, b"two")


def test_a_request_in_flight_is_finished(reloading):
    waiting = "environ['PATH_INFO'] == '/slow' and open('pipe').read() or 'fast'"
    server = reloading(shop(waiting))
    os.mkfifo(server.directory / "pipe")
    [before] = server.workers
    with server.connect() as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        with open(server.directory / "pipe", "w") as pipe:  # opened once the request reads it
            server.write("shop.py", shop("'new'"))
            server.wait_for("Worker reloading")
            pipe.write("finished")
        assert read_response(connection) == (200, b"finished")
    server.wait_for(rf"Worker exiting \(pid: {before}\)")
    answers(server, 200, b"new")


def test_without_reload_nothing_is_watched(make_server):
    server = make_server(shop=shop("[thread.name for thread in __import__('threading').enumerate()]")).start("shop:app")
    assert server.get() == (200, b"['MainThread']")


def test_spew_tells_each_line(make_server):
    server = make_server(shop=shop("'one'"))
    server.start("shop:app", "--spew", wait=r"^shop:\d+: def app\(environ, start_response\):$")
    server.wait_for("Ready:")
    assert server.get() == (200, b"one")
    server.wait_for(r"^shop:\d+:     return \[str\('one'\)\.encode\(\)\]$")
    assert not server.count(r"^corral\.")


def test_an_application_of_a_paste_deploy_file(make_server):
    factory = "def make(global_conf, answer):\n    return application\n" + shop("'unused'")
    factory = factory.replace("return application", "return lambda e, s: s('200 OK', []) and None or [answer.encode()]")
    server = make_server(shop=factory)
    server.write("shop.ini", "[app:main]\nuse = call:shop:make\nanswer = %(currency)s\n")
    server.start("--paste", "shop.ini", "--paste-global", "currency=EUR")
    assert server.get() == (200, b"EUR")
    assert server.stop(signal.SIGINT) == 0


def test_paste_deploy_is_named_where_it_is_missing(make_server):
    # The configuration file is Python, and is read before the application is loaded.
    server = make_server(without="import sys\nsys.modules['paste.deploy'] = None")
    server.write("shop.ini", "[app:main]\nuse = call:shop:make\n")
    server.start("--paste", "shop.ini", "-c", "without.py", wait=None)
    assert server.wait() == EXIT_BOOT
    assert "pip install 'corral[paste]'" in server.log
    assert "Traceback" not in server.log
