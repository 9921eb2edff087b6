"""Every way a start can fail: one line that says why, the exit code that scripts expect, and nothing left behind.

1: the configuration, or what the machine can't give; 2: a command line that can't be read; 3: an application that
raises; 4: one that isn't there. A traceback only where the user's own code raised.
"""

import contextlib
import os
import socket
from pathlib import Path

import pytest
from live.server import wait_until

ERROR = r"\[ERROR\] |^corral: error: "
FILES = {
    "farm": "import os\nnothing = None\ndef make(): raise RuntimeError('made')\n"
    "def app(environ, start_response):\n    start_response('200 OK', [])\n    return []\n"
    "class Thing:\n    def __init__(self, *arguments):\n        raise RuntimeError('thing')\n",
    "broken": "raise RuntimeError('on purpose')\n",
    "lacking": "import no_such_library\n",
    "kinds": "from corral import Worker\n"
    "class Checked(Worker):\n    @classmethod\n    def check_config(cls, cfg, log):\n        raise RuntimeError('no')\n"
    "class SetUp(Worker):\n    @classmethod\n    def setup(cls):\n        raise RuntimeError('no')\n"
    "class Made(Worker):\n    def __init__(self, *arguments):\n        raise RuntimeError('no')\n",
}


def case(id_, code, line, *args, conf="", tracebacks=0, errors=1):
    return pytest.param(args, conf, code, line, tracebacks, errors, id=id_)


CONFIGURATION = [
    case(
        "a file that isn't Python", 1, r"gunicorn\.conf\.py failed: SyntaxError: .*line 1", "farm:app",
        conf="workers = (\n",
    ),
    case("a file that raises", 1, r"failed: ZeroDivisionError", "farm:app", conf="1/0\n", tracebacks=1),
    case(
        "a value in a file", 1, r"gunicorn\.conf\.py: workers = 'many': must be a whole number", "farm:app",
        conf="workers = 'many'\n",
    ),
    case(
        "a hook of other arguments", 1, r"pre_fork: must take the arguments \(server, worker\)", "farm:app",
        conf="def pre_fork(server): pass\n",
    ),
    case("a file that isn't there", 1, r"nowhere\.py doesn't exist", "-c", "nowhere.py", "farm:app"),
    case("a module that isn't there", 1, "there is no module 'no'", "-c", "python:no.such", "farm:app"),
    case("an unknown option", 2, "unknown option --wrokers; did you mean --workers", "--wrokers", "3", "farm:app"),
    case("an option without its value", 2, "-w/--workers: expected one argument", "farm:app", "-w"),
    case("no number where an option has one", 2, "--workers many: must be a whole number", "-w", "many", "farm:app"),
    case("a number that can't be", 1, "--workers -1: must not be negative", "-w", "-1", "farm:app"),
    case("no application named", 1, "no application was named"),
    case("a paste file that isn't there", 1, r"nowhere\.ini' can't be read", "--paste", "nowhere.ini"),
]  # fmt: skip
MACHINE = [
    case("an address of another machine", 1, "this machine has no address", "-b", "192.0.2.1:80", "farm:app"),
    case("no address", 1, "'x' is not a port", "-b", "127.0.0.1:x", "farm:app"),
    case("a socket in no directory", 1, "/nowhere doesn't exist; make it", "-b", "unix:/nowhere/s", "farm:app"),
    case("a socket where a file is", 1, "exists and is not a socket", "-b", "unix:farm.py", "farm:app"),
    case("a descriptor that isn't one", 1, "descriptor 77 is not a socket", "-b", "fd://77", "farm:app"),
    case("a pid file in no directory", 1, "can't write it: No such file", "-p", "/nowhere/pid", "farm:app"),
    case("a pid file that is a directory", 1, "can't write it: Is a directory", "-p", ".", "farm:app"),
    case("an unknown user", 1, "user 'no-such': there is no such user", "-u", "no-such", "farm:app"),
    case("a user's number that is none", 1, "user 99999999999: must be from 0 to", "-u", "99999999999", "farm:app"),
    case("an unknown group", 1, "group 'no-such': there is no such group", "-g", "no-such", "farm:app"),
    case("a directory that isn't there", 1, "there is no such directory", "--chdir", "/nowhere", "farm:app"),
    case("a log in no directory", 1, "errorlog '/nowhere/log' can't be", "--error-logfile", "/nowhere/log", "farm:app"),
    case("an access log in none", 1, "accesslog '/nowhere/a' can't be", "--access-logfile", "/nowhere/a", "farm:app"),
    case(
        "a certificate that isn't there",
        1,
        "certfile '/nowhere/c': No such file",
        "--certfile",
        "/nowhere/c",
        "farm:app",
    ),
    case("a certificate that isn't one", 1, "holds no certificate", "--certfile", "farm.py", "farm:app"),
]
CLASSES = [
    case("a worker class of no module", 1, "there is no module 'no.such'", "-k", "no.such.Worker", "farm:app"),
    case("a module without the worker class", 1, "module 'farm' has no 'Nope'", "-k", "farm.Nope", "farm:app"),
    case("a worker class that isn't one", 1, "'farm.app' is no class but function", "-k", "farm.app", "farm:app"),
    case("a class of no workers", 1, "'farm.Thing' is no worker's", "-k", "farm.Thing", "farm:app"),
    case("a misspelt worker class", 1, "did you mean 'sync'", "-k", "snyc", "farm:app"),
    case(
        "a worker class whose module raises", 1, "can't be imported: RuntimeError: on purpose",
        "-k", "broken.Worker", "farm:app", tracebacks=1,
    ),
    case(
        "a worker class that complains", 1, "check_config of worker_class 'Checked' failed: RuntimeError: no",
        "-k", "kinds.Checked", "farm:app", tracebacks=1,
    ),
    case(
        "a worker class that can't be set up", 1, "setup of worker_class 'SetUp' failed: RuntimeError: no",
        "-k", "kinds.SetUp", "farm:app", tracebacks=1,
    ),
    case(
        "a worker that can't be made", 3, r"Exception in making a worker\n", "-k", "kinds.Made", "farm:app",
        tracebacks=1, errors=2,
    ),
    case("a logger class of no module", 1, "no module 'no.such'", "--logger-class", "no.such.Log", "farm:app"),
    case("a module without the logger class", 1, "has no 'Nope'", "--logger-class", "farm.Nope", "farm:app"),
    case(
        "a logger class that isn't one", 1, "logger_class 'farm.app' failed: TypeError",
        "--logger-class", "farm.app", "farm:app", tracebacks=1,
    ),
    case(
        "a logger that can't be made", 1, "logger_class 'farm.Thing' failed: RuntimeError: thing",
        "--logger-class", "farm.Thing", "farm:app", tracebacks=1,
    ),
]  # fmt: skip
# The cause; how the worker ended; that the server ends too.
APPLICATION = [
    case("no such module", 3, "there is no module 'nowhere'; looked in", "nowhere:app", errors=3),
    case("no such name", 4, "module 'farm' has no 'nope'", "farm:nope", errors=3),
    case("something that isn't callable", 4, "'farm:os' is a module, which is not callable", "farm:os", errors=3),
    case("None", 4, "'farm:nothing' is no application: it is None", "farm:nothing", errors=3),
    case("no expression", 4, "'a b' is neither a name nor a call", "farm:a b", errors=3),
    case("a file's name", 4, "'farm.py' names a file, not a module", "farm.py", errors=3),
    case("a module that raises", 3, r"^RuntimeError: on purpose$", "broken:app", errors=3, tracebacks=1),
    case("a factory that raises", 3, r"^RuntimeError: made$", "farm:make()", errors=3, tracebacks=1),
    case(
        "a module without its library",
        3,
        r"^ModuleNotFoundError: .*'no_such_library'",
        "lacking:app",
        errors=3,
        tracebacks=1,
    ),
    case(
        "one that raises, preloaded", 3, "^RuntimeError: on purpose$", "--preload", "broken:app", errors=2, tracebacks=1
    ),
    case("no such name, preloaded", 4, "module 'farm' has no 'nope'", "--preload", "farm:nope", errors=2),
]


@pytest.fixture
def server(make_server):
    return make_server(**FILES)


def fail(server, args, conf, *more):
    if conf:
        server.write("gunicorn.conf.py", conf)
    if "-b" not in args:
        more = ("-b", f"unix:{server.directory}/s", *more)
    if "-p" not in args:
        more = ("-p", "pid", *more)
    server.start(*more, *args, bind=False, wait=None)
    return server.wait()


def processes_in(directory):
    """Those that still live there."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and os.readlink(entry / "cwd") == str(directory):
                found.append(int(entry.name))
    return found


def nothing_is_left(server):
    kept = {f"{name}.py" for name in FILES} | {"hello.py", "gunicorn.conf.py", "server.log", "__pycache__"}
    assert {entry.name for entry in server.directory.iterdir()} <= kept
    wait_until(lambda: not processes_in(server.directory), "the end of all its processes")


@pytest.mark.parametrize(
    ("args", "conf", "code", "line", "tracebacks", "errors"), [*CONFIGURATION, *MACHINE, *CLASSES, *APPLICATION]
)
def test_a_start_that_fails_says_why_once_and_leaves_nothing(server, args, conf, code, line, tracebacks, errors):
    assert fail(server, args, conf) == code
    assert server.count(line) == 1
    assert server.count(ERROR) == errors
    assert server.count("Traceback") == tracebacks
    nothing_is_left(server)


@pytest.mark.parametrize(
    ("args", "conf", "code", "line", "tracebacks", "errors"),
    [
        *CONFIGURATION[:3],
        CONFIGURATION[6],
        MACHINE[0],
        MACHINE[5],
        MACHINE[7],
        MACHINE[12],
        CLASSES[0],
        *APPLICATION[-2:],
    ],
)
def test_a_daemon_tells_the_terminal(server, args, conf, code, line, tracebacks, errors):
    assert fail(server, args, conf, "-D") == code
    assert server.count(line) == 1
    assert server.count(ERROR) == errors
    nothing_is_left(server)


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        pytest.param(("-b", "192.0.2.1:80", "farm:app"), 1, "this machine has no address", id="bind"),
        pytest.param(("-k", "farm.Nope", "farm:app"), 1, "module 'farm' has no 'Nope'", id="worker_class"),
        pytest.param(
            ("--preload", "broken:app"), 3, r"the application can't be loaded, see .*error\.log", id="preload"
        ),
    ],
)
@pytest.mark.parametrize("daemon", [(), ("-D",)], ids=["in the foreground", "as a daemon"])
def test_with_a_log_elsewhere_the_terminal_gets_its_line_too(server, tmp_path, args, code, line, daemon):
    log = tmp_path / "error.log"
    assert fail(server, args, "", "--error-logfile", str(log), *daemon) == code
    assert server.count(f"^corral: error: .*{line}") == 1
    assert "[ERROR]" in log.read_text()
    nothing_is_left(server)


def test_a_port_that_stays_taken_is_1(server):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert fail(server, ("-b", address, "farm:app"), "") == 1
    assert server.count(rf"\[ERROR\] bind '{address}': port \d+ is in use by pid {os.getpid()} ") == 1
    assert server.count(r"\[WARNING\] .*trying again, \d of 4") == 4
    nothing_is_left(server)


def test_a_variable_that_can_not_be_read_is_2(server):
    server.env["GUNICORN_CMD_ARGS"] = "--wrokers 3"
    assert fail(server, ("farm:app",), "") == 2
    assert server.count(r"unknown option --wrokers; did you mean --workers\? \(GUNICORN_CMD_ARGS\)$") == 1
    nothing_is_left(server)


def test_a_reload_to_a_class_whose_workers_can_not_be_made_changes_nothing(server):
    server.start("farm:app")
    server.write("gunicorn.conf.py", "worker_class = 'kinds.Made'\n")
    server.signal(1)
    server.wait_for("Exception in making a worker")
    server.wait_for("Reload failed: generation 2 doesn't boot")
    assert server.get()[0] == 200
    assert server.stop() == 0
