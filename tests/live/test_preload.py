"""preload_app: loaded once a generation, in a process of its own; its memory shared, its failures those of a boot."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from live.peer import gunicorn
from live.server import PATIENCE, alive, children_of, wait_until

FACTS = """
import os

LOADER = os.getpid()
VERSION = {version}


def app(environ, start_response):
    body = f"{{VERSION}} {{LOADER}} {{os.getpid()}} {{os.getppid()}} {{os.environ.get('MARK')}}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
BROKEN = "raise RuntimeError('broken on purpose')\n"
HANG = "import threading\n\n\ndef wait_for_ever():\n    threading.Event().wait()\n\n\nwait_for_ever()\n"


@pytest.fixture
def server(make_server):
    return make_server(facts=FACTS.format(version=1))


def facts(server):
    status, body = server.get()
    assert status == 200
    version, loader, worker, parent, mark = body.decode().split()
    return {"version": int(version), "loader": int(loader), "worker": int(worker), "parent": int(parent), "mark": mark}


def mold_of(server):
    return int(server.wait_for(r"Loading the application in a mold \(pid: (\d+)\)")[1])


def test_a_mold_loads_and_the_workers_are_the_arbiters_children(server):
    server.start("facts:app", "--preload", "-w", "3", wait=None)
    mold = mold_of(server)
    server.wait_for("Ready: facts:app .* 3 workers")
    assert sorted(server.workers)[0] == mold
    found = facts(server)
    assert (found["loader"], found["parent"]) == (mold, server.pid)
    assert found["worker"] in server.workers
    assert not children_of(mold)
    assert "facts" not in Path(f"/proc/{server.pid}/maps").read_text()
    workers = server.workers
    assert server.stop() == 0
    assert not any(map(alive, workers))


def test_a_reload_loads_new_code_and_shares_it(server):
    server.start("facts:app", "--preload", "-w", "2", wait=None)
    first = mold_of(server)
    server.wait_for("Ready:")
    server.write("facts.py", FACTS.format(version=2))
    server.signal(signal.SIGHUP)
    second = mold_of(server)
    server.wait_for("Reload complete: generation 2 is ready")
    wait_until(lambda: len(server.workers) == 3, "the end of the old generation")
    assert first not in server.workers
    assert facts(server)["version"] == 2
    assert facts(server)["loader"] == second
    assert server.stop() == 0
    assert server.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        pytest.param(BROKEN, ["RuntimeError: broken on purpose"], id="it raises"),
        pytest.param("", ["'facts' has no attribute 'app'|no .*app"], id="there is none"),
        pytest.param("import os\nos.abort()\n", [r"The mold \(pid:\d+\) was sent signal 6"], id="it crashes"),
        pytest.param("import os\nos._exit(7)\n", [r"The mold \(pid:\d+\) exited with code 7"], id="it exits"),
        pytest.param(
            HANG,
            [
                r"\[CRITICAL\] WORKER TIMEOUT \(pid:\d+\)",
                r"\[ERROR\] The mold \(pid:\d+\) hasn't loaded the application within 1 s \(boot_timeout\)",
                "facts.py.* in wait_for_ever",
            ],
            id="it hangs",
        ),
    ],
)
def test_a_reload_that_cannot_load_leaves_everything_as_it_was(server, code, lines):
    server.start("facts:app", "--preload", "-w", "2", "--boot-timeout", "1")
    before = server.workers
    server.write("facts.py", code)
    server.signal(signal.SIGHUP)
    for line in lines:
        server.wait_for(line)
    server.wait_for("Reload failed: generation 2 doesn't boot, see above. Generation 1 goes on")
    wait_until(lambda: server.workers == before, "the old processes alone")
    assert server.count("Traceback") <= 1
    assert facts(server)["version"] == 1
    server.write("facts.py", FACTS.format(version=3))
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete: generation 3")
    assert facts(server)["version"] == 3


def test_a_stop_does_not_wait_for_an_application_that_is_being_loaded(make_server):
    server = make_server(hang=HANG).start("hang:app", "--preload", wait=None)
    mold = mold_of(server)
    assert server.stop() == 0
    assert not alive(mold)


def test_a_mold_that_dies_is_replaced_when_a_worker_is_wanted(server):
    server.start("facts:app", "--preload", wait=None)
    mold = mold_of(server)
    server.wait_for("Ready:")
    os.kill(mold, signal.SIGKILL)
    server.wait_for(rf"The mold \(pid:{mold}\) was sent signal 9")
    first = facts(server)
    assert first["loader"] == mold
    server.signal(signal.SIGTTIN)
    another = mold_of(server)
    wait_until(lambda: len(server.workers) == 3, "a second worker and its mold")
    os.kill(first["worker"], signal.SIGKILL)
    wait_until(lambda: not alive(first["worker"]), "the end of the first worker")
    assert facts(server)["loader"] == another
    assert server.stop() == 0


def test_a_worker_that_dies_has_a_successor_of_the_same_mold(server):
    server.start("facts:app", "--preload", "-w", "2")
    found = facts(server)
    os.kill(found["worker"], signal.SIGKILL)
    server.wait_for(rf"Worker \(pid:{found['worker']}\) was sent SIGKILL! Not by the arbiter")
    wait_until(lambda: len(server.workers) == 3, "two workers and the mold")
    wait_until(lambda: facts(server)["worker"] != found["worker"], "another worker")
    assert facts(server)["loader"] == found["loader"]


def test_hooks_see_what_other_hooks_did(server):
    server.write(
        "gunicorn.conf.py",
        "import os\n"
        "preload_app = True\n"
        "def pre_fork(server, worker):\n"
        "    worker.mark = 'from pre_fork'\n"
        "    os.environ['MARK'] = f'worker-{worker.age}'\n"
        "    server.log.info('pre_fork %s in %d', worker.age, os.getpid())\n"
        "def post_fork(server, worker):\n"
        "    server.log.info('post_fork %s %s in %d of %d', worker.age, worker.mark, os.getpid(), worker.ppid)\n"
        "def child_exit(server, worker):\n"
        "    server.log.info('child_exit %s %d in %d', worker.age, worker.pid, os.getpid())\n",
    )
    server.start("facts:app", wait=None)
    server.wait_for(f"pre_fork 1 in {server.pid}$")
    match = server.wait_for(rf"post_fork 1 from pre_fork in (\d+) of {server.pid}$")
    server.wait_for("Ready")
    found = facts(server)
    assert (found["worker"], found["mark"]) == (int(match[1]), "worker-1")
    assert server.stop() == 0
    server.wait_for(rf"child_exit 1 {match[1]} in {server.pid}$")


def test_log_files_that_have_moved_are_reopened_by_later_workers_too(server):
    log = server.directory / "error.log"
    server.start("facts:app", "--preload", "--error-logfile", "error.log", wait=None)
    wait_until(lambda: log.exists() and "Ready:" in log.read_text(), "a server that is ready", process=server.process)
    log.rename(server.directory / "error.log.1")
    server.signal(signal.SIGUSR1)
    wait_until(log.exists, "a new log", process=server.process)
    server.signal(signal.SIGTTIN)
    wait_until(lambda: "Booting worker" in log.read_text(), "a worker's line in the new log", process=server.process)


def test_threads_and_connections_that_workers_would_share_are_warned_of(make_server):
    with socket.create_server(("127.0.0.1", 0)) as database:
        port = database.getsockname()[1]
        unsafe = (
            "import socket, threading\n"
            "from hello import app\n"
            "def start_monitor():\n"
            "    threading.Thread(target=threading.Event().wait, daemon=True, name='monitor').start()\n"
            "start_monitor()\n"
            f"connection = socket.create_connection(('127.0.0.1', {port}))\n"
            "pair = socket.socketpair()\n"
        )
        server = make_server(unsafe=unsafe).start("unsafe:app", "--preload", "-w", "2")
        server.signal(signal.SIGTTIN)
        server.wait_for("Workers wanted: 3")
    assert server.count(r"\[WARNING\] preload_app: the thread 'monitor' runs here and in no worker") == 1
    assert server.count(r"unsafe\.py:4 in start_monitor") == 1
    assert server.count(rf"\[WARNING\] preload_app: a connection to 127\.0\.0\.1:{port} \(descriptor \d+\)") == 1
    assert server.count("WARNING") == 2


def test_a_daemons_command_ends_when_the_application_is_loaded(server):
    server.start("facts:app", "--preload", "-D", "-p", "pid", "--error-logfile", "log", wait=None)
    assert server.wait() == 0
    pid = int((server.directory / "pid").read_text())
    try:
        assert "Loading the application in a mold" in (server.directory / "log").read_text()
        wait_until(lambda: "Ready" in (server.directory / "log").read_text(), "a ready server")
        for child in children_of(pid):
            assert os.readlink(f"/proc/{child}/fd/2") == "/dev/null"
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "the daemon's end")


@pytest.mark.parametrize(
    ("config", "loader"),
    [
        pytest.param("", 65534, id="at once"),
        pytest.param("def post_fork(server, worker): pass\n", 0, id="after post_fork, which is root's"),
    ],
)
def test_the_application_is_loaded_as_its_user_if_that_can_be(make_server, config, loader):
    if os.geteuid() != 0:
        return  # only root can become somebody else
    owned = (
        "import os\n"
        "LOADER = os.geteuid()\n"
        "def app(environ, start_response):\n"
        "    body = f'{LOADER} {os.geteuid()}'.encode()\n"
        "    start_response('200 OK', [('Content-Length', str(len(body)))])\n"
        "    return [body]\n"
    )
    server = make_server(owned=owned)
    for directory in (server.directory, *server.directory.parents):
        if directory == Path(tempfile.gettempdir()):
            break
        directory.chmod(0o755)
    server.write("gunicorn.conf.py", config)
    server.start("owned:app", "--preload", "-u", "65534")
    assert server.get() == (200, f"{loader} 65534".encode())
    assert server.count("because of post_fork the application is loaded as the present user") == (loader == 0)


SITE = """
import django
from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler

settings.configure(
    ALLOWED_HOSTS=["*"],
    DEBUG=False,
    INSTALLED_APPS=[f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "messages", "sessions")],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for a test",
)
django.setup()

import asyncio, decimal, httpx, unittest.mock
import django.test.client, django.core.management.commands.migrate, django.contrib.sitemaps.views
from django.contrib import admin
from django.db import connection, models
from django.http import HttpResponse
from django.template import engines
from django.urls import path


def model(number):
    meta = type("Meta", (), {"app_label": "shop", "db_table": f"shop_{number}"})
    fields = {f"field{each}": models.CharField(max_length=80, blank=True) for each in range(12)}
    return type(f"Thing{number}", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})


things = [model(number) for number in range(120)]
admin.site.register(things)
page = engines["django"].from_string(
    "<ul>{% for thing in things %}<li>{{ thing.pk }}: {{ thing.field0|title }}</li>{% endfor %}</ul>"
)


def listing(request):
    return HttpResponse(page.render({"things": things[0].objects.order_by("field0")[:100]}, request))


urlpatterns = [path("admin/", admin.site.urls), path("things/", listing)]
app = WSGIHandler()


def fill():
    with connection.schema_editor() as editor:
        editor.create_model(things[0])
    things[0].objects.bulk_create([things[0](field0=f"thing {number}") for number in range(100)])
"""
REQUESTS = 2000


def pss_of(pids):
    """KiB: a page that n processes share counts 1/n in each."""
    total = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total


def ask(port, count):
    """Over connections of their own: each worker gets some."""
    failures = []

    def some():
        for number in range(count // 8):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
                connection.sendall(b"GET /things/?%d HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n" % number)
                data = b""
                while chunk := connection.recv(4096):
                    data += chunk
            if not data.startswith(b"HTTP/1.1 200"):
                failures.append(data)

    threads = [threading.Thread(target=some) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_preloaded_django_site_takes_less_than_seven_tenths_of_gunicorns_memory(make_server):
    """A site of some size, whose pages make enough objects for Python's collector to do its rounds."""
    ours, theirs = make_server(shop=SITE), make_server(shop=SITE)
    library = subprocess.check_output(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    ).strip()
    theirs.command = [str(gunicorn().parent / "python"), "-m", "gunicorn", "--no-control-socket"]
    theirs.env["PYTHONPATH"] = library
    for server in (ours, theirs):
        subprocess.check_call([sys.executable, "-c", "import shop; shop.fill()"], cwd=server.directory)
        server.start("shop:app", "--preload", "-w", "4", wait=r"(?s)(Booting worker.*){4}")
        ask(server.port, REQUESTS)
    gunicorns = pss_of([theirs.pid, *theirs.workers])
    assert pss_of([ours.pid, *ours.workers]) <= 0.7 * gunicorns
    ours.signal(signal.SIGHUP)
    ours.wait_for("Reload complete")
    wait_until(lambda: len(ours.workers) == 5, "the end of the old generation")
    ask(ours.port, REQUESTS // 2)
    assert pss_of([ours.pid, *ours.workers]) <= 0.7 * gunicorns
