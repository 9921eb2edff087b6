"""HUP reads every source of settings anew: what has changed, what is gone, and what can't be."""

import ast
import os
import signal
import socket
from pathlib import Path

import pytest
from live.server import alive, wait_until
from live.settings.stage import PROBE

FACTS = "/facts"


@pytest.fixture
def server(make_server):
    server = make_server(probe=PROBE.read_text())
    server.env["INHERITED"] = "before"
    return server


def start(server, text, *arguments, **options):
    server.write("gunicorn.conf.py", text)
    return server.start("probe:app", *arguments, **options)


def reload(server, text, line="Reload complete"):
    before = facts(server)["pid"]
    server.write("gunicorn.conf.py", text)
    server.signal(signal.SIGHUP)
    server.wait_for(line)
    if not line.startswith("Reload failed"):
        wait_until(lambda: not alive(before), "the end of a worker of before", process=server.process)


def facts(server):
    return ast.literal_eval(server.get(FACTS)[1].decode())


def environ(server):
    found = facts(server)["environ"]
    return {name: found.get(name) for name in ("INHERITED", "ADDED", "OTHER")}


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["in the worker", "preloaded"])
def test_the_environment_of_before_is_taken_off(server, preload):
    start(server, "raw_env = ['ADDED=1', 'INHERITED=covered']\n", *preload)
    assert environ(server) == {"INHERITED": "covered", "ADDED": "1", "OTHER": None}
    reload(server, "raw_env = ['OTHER=2']\n")
    assert environ(server) == {"INHERITED": "before", "ADDED": None, "OTHER": "2"}
    reload(server, "import os\nproc_name = str(os.environ.get('OTHER'))\n")  # nor does the file find it
    assert environ(server) == {"INHERITED": "before", "ADDED": None, "OTHER": None}
    assert Path(f"/proc/{server.pid}/cmdline").read_text().startswith("corral: master [None]")


def test_the_directory_and_the_path_are_those_of_the_new_file(server):
    for name in ("one", "two"):
        (server.directory / name).mkdir()
        (server.directory / name / "probe.py").write_text(PROBE.read_text())
    start(server, "chdir = 'one'\n")
    assert facts(server)["directory"] == "one"
    reload(server, "chdir = 'two'\n")
    assert facts(server)["directory"] == "two"


def test_the_mask_and_the_pid_file_are_those_of_the_new_file(server):
    start(server, "pidfile = 'one'\n")
    reload(server, "pidfile = 'two'\numask = 0o27\n")
    assert facts(server)["umask"] == 0o27
    wait_until(lambda: not (server.directory / "one").exists(), "the end of the old pid file")
    assert (server.directory / "two").read_text() == f"{server.pid}\n"
    reload(server, "pidfile = '/nowhere/pid'\n", "can't write it: .*; the pid file stays where it is")
    assert server.stop() == 0
    assert not (server.directory / "two").exists()


def test_a_changed_port_is_opened_and_the_one_of_before_closed(server):
    start(server, "bind = '127.0.0.1:0'\n", bind=False)
    before = server.port
    with socket.create_server(("127.0.0.1", 0)) as free:
        after = free.getsockname()[1]
    reload(server, f"bind = '127.0.0.1:{after}'\n")
    assert server.port == after
    assert server.get()[0] == 200

    def refused():
        try:
            socket.create_connection(("127.0.0.1", before), 5).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_until(refused, "the end of the old port")


def test_logging_is_read_anew(server):
    start(server, "")
    path = server.directory / "access.log"
    reload(server, "loglevel = 'debug'\naccesslog = 'access.log'\naccess_log_format = 'one %(U)s'\n")
    assert server.count(r"\[DEBUG\]") > 0
    server.get("/a")
    wait_until(path.exists, "an access log")
    reload(server, "accesslog = 'access.log'\naccess_log_format = 'two %(U)s'\n")
    server.get("/b")
    wait_until(lambda: path.read_text() == "one /a\none /facts\ntwo /b\n", "a line of each format")


def test_the_number_of_workers_is_the_files_whatever_signals_have_said(server):
    start(server, "workers = 1\n")
    server.signal(signal.SIGTTIN)
    server.wait_for_workers(2)
    reload(server, "workers = 3\n", "Reload complete: .* served by 3 workers")
    server.wait_for_workers(3)


def test_the_command_line_stays_above_the_file(server):
    start(server, "workers = 1\n", "-w", "2", "-e", "ADDED=1")
    reload(server, "workers = 4\nraw_env = ['ADDED=2']\n")
    server.wait_for_workers(2)
    assert facts(server)["environ"]["ADDED"] == "1"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param("workers = 'many'\n", "workers", id="a value that isn't one"),
        pytest.param("user = 'nobody-of-that-name'\n", "there is no such user", id="a user that isn't there"),
        pytest.param("chdir = '/nowhere'\n", "/nowhere", id="a directory that isn't there"),
        pytest.param("certfile = 'no.pem'\nkeyfile = 'no.key'\n", "no.pem", id="a certificate that isn't there"),
        pytest.param("errorlog = '/nowhere/log'\n", "/nowhere", id="a log that can't be opened"),
        pytest.param("accesslog = '/nowhere/log'\n", "/nowhere", id="an access log that can't be opened"),
        pytest.param("logconfig = 'no.ini'\n", "no.ini", id="a configuration of logging that isn't there"),
        pytest.param("logger_class = 'no.Logger'\n", "no.Logger", id="a logger that isn't there"),
        pytest.param("worker_class = 'no.Worker'\n", "no.Worker", id="a worker that isn't there"),
        pytest.param("statsd_host = 'h:x'\n", "statsd_host", id="an address that isn't one"),
        pytest.param("on_starting = lambda: None\n", "on_starting", id="a hook of the wrong arguments"),
    ],
)
def test_what_cannot_be_leaves_everything_as_it_was(server, text, line):
    start(server, "raw_env = ['ADDED=1']\nworkers = 1\n")
    workers = server.workers
    reload(
        server, f"raw_env = ['OTHER=2']\nworkers = 2\n{text}", f"Reload failed, the server goes on as before: .*{line}"
    )
    assert server.workers == workers
    assert environ(server) == {"INHERITED": "before", "ADDED": "1", "OTHER": None}
    os.kill(workers[0], signal.SIGKILL)  # one that is born later is of the old generation too
    wait_until(lambda: server.workers and server.workers != workers, "another worker", process=server.process)
    assert environ(server) == {"INHERITED": "before", "ADDED": "1", "OTHER": None}
    assert server.stop() == 0
