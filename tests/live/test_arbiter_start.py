"""How a server starts, what it says, and what it leaves behind when it can't: one line, an exit code, nothing else."""

import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from live.server import PATIENCE, alive, children_of, wait_until

BROKEN = "raise RuntimeError('broken on purpose')\n"
NO_APP = "application = None\n"


def test_the_lines_that_people_grep(server):
    server.start("hello:app", "-w", "2")
    log = server.log
    pid = server.pid
    assert re.search(rf"^\[[^]]+\] \[{pid}\] \[INFO\] Starting corral \d", log, re.MULTILINE)
    assert re.search(rf"Listening at: http://127\.0\.0\.1:\d+ \({pid}\)$", log, re.MULTILINE)
    assert re.search(r"Using worker: sync$", log, re.MULTILINE)
    assert sorted(map(int, re.findall(r"Booting worker with pid: (\d+)$", log, re.MULTILINE))) == sorted(server.workers)
    assert re.search(r"Ready: hello:app \(WSGI\) served by 2 workers$", log, re.MULTILINE)
    assert int(server.get()[1]) in server.workers


@pytest.mark.parametrize(
    ("app", "code", "line"),
    [
        pytest.param(BROKEN, 3, "RuntimeError: broken on purpose", id="an app that raises: 3"),
        pytest.param(NO_APP, 4, "app", id="an app that isn't there: 4"),
        pytest.param("raise SystemExit(3)  # on purpose\n", 3, "on purpose|exited with code 3", id="an app that exits"),
    ],
)
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["in the worker", "preloaded"])
def test_an_app_that_cannot_be_loaded_stops_the_server_and_is_shown_once(make_server, app, code, line, preload):
    server = make_server(broken=app)
    server.start("broken:app", "-w", "4", "-p", "pid", "-b", f"unix:{server.directory}/s", *preload, wait=None)
    assert server.wait() == code
    assert server.count("Booting worker") == (0 if preload else 1)
    assert server.count(line) >= 1
    assert server.count("Traceback") <= 1
    assert not (server.directory / "pid").exists()
    assert not (server.directory / "s").exists()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        pytest.param(
            ("-b", "unix:/nowhere/at/all"), "the directory /nowhere doesn't exist|/nowhere/at doesn't", id="bind"
        ),
        pytest.param(("-p", "/nowhere/pid"), "can't write it: No such file", id="pidfile"),
        pytest.param(("-u", "nobody-of-that-name"), "there is no such user", id="user"),
        pytest.param(("--chdir", "/nowhere"), "/nowhere", id="chdir"),
    ],
)
@pytest.mark.parametrize("daemon", [(), ("-D",)], ids=["in the foreground", "as a daemon"])
def test_what_the_machine_cannot_give_is_one_line_and_exit_code_1(server, args, line, daemon):
    server.start("hello:app", *args, *daemon, wait=None)
    assert server.wait() == 1
    assert server.count(line) == 1
    assert "Traceback" not in server.log


def test_a_port_that_is_taken_names_who_has_it_and_is_tried_again(make_server):
    first, second = make_server(), make_server()
    first.start("hello:app")
    second.start("hello:app", "-b", f"127.0.0.1:{first.port}", wait=r"in use by pid \d+ .*trying again, 1 of 4")
    first.stop()
    second.wait_for("Ready:")
    assert second.get()[0] == 200


def test_a_start_that_waits_for_a_port_ends_when_told(make_server):
    first, second = make_server(), make_server()
    first.start("hello:app")
    second.start("hello:app", "-p", "pid", "-b", f"127.0.0.1:{first.port}", wait="trying again")
    assert second.stop() == 0
    assert not (second.directory / "pid").exists()


def test_a_preload_that_hangs_ends_when_told(make_server):
    server = make_server(hang="import threading\nprint('hanging', flush=True)\nthreading.Event().wait()\n")
    server.start("hang:app", "--preload", "-p", "pid", wait="hanging")
    assert server.stop() == 0
    assert not (server.directory / "pid").exists()


def test_without_an_app_there_is_a_line(server):
    server.start(wait=None)
    assert server.wait() != 0
    assert "Traceback" not in server.log


# pid file, daemon


def test_the_configuration_file_is_executed_once_at_the_start_and_once_a_reload(server):
    server.write("gunicorn.conf.py", 'print("reading", flush=True)\n')
    server.start("hello:app")
    assert server.count("^reading$") == 1
    server.signal(signal.SIGHUP)
    server.wait_for("Reload complete")
    assert server.count("^reading$") == 2


def test_the_pid_file_is_there_while_the_server_is(server):
    server.start("hello:app", "-p", "pid")
    assert (server.directory / "pid").read_text() == f"{server.pid}\n"
    assert server.stop() == 0
    assert not (server.directory / "pid").exists()


def test_a_second_server_stays_away_and_touches_nothing(make_server):
    first, second = make_server(), make_server()
    path = first.directory / "pid"
    first.start("hello:app", "-p", str(path))
    second.start("hello:app", "-p", str(path), wait=None)
    assert second.wait() == 1
    assert second.count(f"already running as pid {first.pid}") == 1
    assert path.read_text() == f"{first.pid}\n"
    assert first.get()[0] == 200


def test_a_daemon_leaves_the_terminal_when_it_has_started(server):
    server.start("hello:app", "-D", "-p", "pid", "--error-logfile", "error.log", wait=None)
    assert server.wait() == 0  # the command returns, and by then the port is open and the pid file written
    pid = int((server.directory / "pid").read_text())
    log = server.directory / "error.log"
    try:
        wait_until(lambda: "Ready:" in log.read_text(), "a daemon that serves")
        assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)} == {"/dev/null"}
        assert os.getsid(pid) != os.getsid(0)
        assert os.getpgid(pid) != pid  # no session leader, so it can't acquire a terminal
        os.kill(pid, signal.SIGWINCH)
        wait_until(lambda: not children_of(pid), "a parked daemon")
        os.kill(pid, signal.SIGTTIN)
        wait_until(lambda: len(children_of(pid)) == 1, "a worker again")
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "the end of the daemon")
    assert not (server.directory / "pid").exists()


# what the workers find


WHOAMI = """
import os, sys

imported_as = os.getuid(), os.getgid(), os.getgroups()


def app(environ, start_response):
    start_response("200 OK", [])
    facts = os.getuid(), os.getgid(), os.getgroups(), imported_as, os.getcwd(), os.environ.get("FLAVOUR"), sys.path[:2]
    return [repr(facts).encode()]
"""


@pytest.fixture
def public_directory():
    """One that everybody may read; those that pytest makes are private."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_privileges_are_dropped_before_user_code_is_imported(make_server, public_directory):
    # Only root has any to drop; anybody else may at least become who he is.
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    groups = [] if os.getuid() == 0 else os.getgroups()
    server = make_server(whoami=WHOAMI, directory=public_directory)
    path = server.directory / "s"
    server.start("whoami:app", "-u", user.pw_name, "-g", str(user.pw_gid), "-b", f"unix:{path}", "-b", "127.0.0.1:0")
    uid, gid, supplementary, imported_as, *_ = eval(server.get()[1])
    assert (uid, gid, supplementary) == imported_as == (user.pw_uid, user.pw_gid, groups)
    assert (path.stat().st_uid, path.stat().st_gid) == (user.pw_uid, user.pw_gid)


def test_chdir_environment_and_path(make_server):
    server = make_server(hello="raise ImportError('the wrong directory')")
    inside = server.directory / "inside"
    library = server.directory / "library"
    for folder in (inside, library):
        folder.mkdir()
    (inside / "whoami.py").write_text("import extra\n" + WHOAMI)
    (library / "extra.py").write_text("")
    server.start("whoami:app", "--chdir", "inside", "--pythonpath", str(library), "-e", "FLAVOUR=salt")
    *_, directory, flavour, path = eval(server.get()[1])
    assert (directory, flavour) == (str(inside), "salt")
    assert path == [str(library), str(inside)]


def test_reuse_port(server):
    server.start("hello:app", "-w", "2", "--reuse-port")
    served = {int(server.get()[1]) for _ in range(64)}
    assert served == set(server.workers)


def test_a_supervisor_may_pass_listeners(server):
    with socket.create_server(("127.0.0.1", 0)) as given:
        program = (
            "import os, sys\n"
            f"os.dup2({given.fileno()}, 3)\n"
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n"
            "os.execv(sys.executable, [sys.executable, '-m', 'corral', 'hello:app'])\n"
        )
        with open(server.log_path, "wb") as log:
            server.process = subprocess.Popen(
                [sys.executable, "-c", program],
                cwd=server.directory, env=server.env, stderr=log, pass_fds=(given.fileno(),),
            )  # fmt: skip
        server.wait_for("Ready:")
        assert server.port == given.getsockname()[1]
    assert server.get()[0] == 200


# the arbiter's death, and sleep


def test_without_an_arbiter_the_workers_leave(server):
    server.start("hello:app", "-w", "2")
    workers = server.workers
    server.process.kill()
    server.wait()
    wait_until(lambda: not any(map(alive, workers)), "the end of the orphans")


def test_an_idle_server_does_not_wake_up(server):
    server.start("hello:app", "-w", "2")
    assert server.get()[0] == 200
    pids = [server.pid, *server.workers]

    def switches():
        status = "".join(Path(f"/proc/{pid}/status").read_text() for pid in pids)
        return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", status)))

    def quiet():
        before = switches()
        time.sleep(0.5)  # nothing is awaited here: that nothing happens is what is observed
        return switches() == before

    wait_until(quiet, "half a second without a wake-up", PATIENCE, server.process)
