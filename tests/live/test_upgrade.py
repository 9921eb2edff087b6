"""USR2: a new server beside the old one, which retires once the new one serves. When that fails, nothing changes."""

import contextlib
import os
import re
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
from live.regulars import Regulars
from live.server import PATIENCE, alive, children_of, read_response, wait_until
from live.turns import TURNS

VERSION = """
import os


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "1")])
    return [b"{}"]
"""
BROKEN = "raise RuntimeError('broken on purpose')\n"
GET = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"


class Chain:
    """A server and all its successors. `current` is the pid of the one that was started last."""

    def __init__(self, server):
        self.server = server
        self.pids = []

    def start(self, *arguments, **options):
        self.server.start(*arguments, **options)
        self.pids.append(self.server.pid)
        return self

    @property
    def current(self):
        return self.pids[-1]

    def upgrade(self):
        """Send USR2 to the current server; the pid of its successor."""
        os.kill(self.current, signal.SIGUSR2)
        self.pids.append(int(self.server.wait_for(r"Upgrade: starting a new server \(pid: (\d+)\)")[1]))
        return self.current

    def wait_for_end(self, pid):
        if pid == self.server.pid:
            return self.server.wait()
        wait_until(lambda: not alive(pid), f"the end of {pid}")
        return None

    def replace(self):
        """An upgrade, to its end."""
        before = self.current
        self.upgrade()
        self.server.wait_for(r"is ready, this one retires")
        assert self.wait_for_end(before) in (0, None)
        self.server.wait_for("Master has been promoted")
        return self.current

    def stop(self, pid=None):
        pid = pid or self.current
        os.kill(pid, signal.SIGTERM)
        self.wait_for_end(pid)
        self.pids.remove(pid)

    def clean_up(self):
        for pid in self.pids[1:]:
            for each in (pid, *children_of(pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)


@pytest.fixture
def chain(make_server):
    """The `wait_for` of the harness looks at the first server's process, which ends here before the last line."""
    server = make_server(versioned=VERSION.format(1))

    def wait_for(pattern, patience=PATIENCE):
        def search():
            return re.search(pattern, server.log[server.seen :], re.MULTILINE)

        match = wait_until(search, f"a line like {pattern!r}", patience)
        server.seen += match.end()
        return match

    server.wait_for = wait_for
    chain = Chain(server)
    yield chain
    chain.clean_up()


@pytest.fixture
def customers():
    """Threads that ask all the time, on a connection each, and never again what has failed."""
    stopping = threading.Event()
    answers, threads = [], []

    def ask(address):
        while not stopping.is_set():
            try:
                with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as connection:
                    connection.settimeout(PATIENCE)
                    connection.connect(address)
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                    data = b""
                    while chunk := connection.recv(4096):
                        data += chunk
                    answers.append(data[9:12] + data[-1:])
            except OSError as error:
                answers.append(repr(error).encode())

    def start(*addresses):
        threads.extend(threading.Thread(target=ask, args=(address,)) for address in addresses)
        for thread in threads:
            thread.start()

    def stop():
        stopping.set()
        for thread in threads:
            thread.join()
        return answers

    start.stop = stop
    start.answers = answers
    yield start
    stop()


def test_three_upgrades_under_load_lose_no_request_and_serve_new_code(chain, customers):
    server = chain.server
    path = str(server.directory / "s")
    chain.start("versioned:app", "-w", "2", "-b", "127.0.0.1:0", "-b", f"unix:{path}", "-p", "pid")
    customers(("127.0.0.1", server.port), ("127.0.0.1", server.port), path)
    for version in (2, 3, 4):
        server.write("versioned.py", VERSION.format(version))
        pid = chain.replace()
        assert server.get() == (200, str(version).encode())
        wait_until(lambda: (server.directory / "pid").read_text() == f"{pid}\n", "the pid file")  # noqa: B023
        assert not (server.directory / "pid.2").exists()
    assert set(customers.stop()) == {b"2001", b"2002", b"2003", b"2004"}
    assert server.count(r"\[(ERROR|WARNING|CRITICAL)\]") == 0
    chain.stop()
    assert not Path(path).exists()
    assert not (server.directory / "pid").exists()


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        pytest.param(BROKEN, "Worker failed to boot, see above; the server before this one goes on", id="an exception"),
        pytest.param("import os\nos.abort()\n", "Worker failed to boot", id="a crash"),
        pytest.param("import time\ntime.sleep(60)\n", "is not ready after", id="a hang"),
    ],
)
def test_code_that_does_not_boot_leaves_the_old_server(chain, bad, line):
    server = chain.server
    path = server.directory / "s"
    arguments = ("versioned:app", "-w", "2", "-b", "127.0.0.1:0", "-b", f"unix:{path}", "-p", "pid")
    chain.start(*arguments, "--boot-timeout", "1")
    workers = server.workers
    server.write("versioned.py", bad)
    successor = chain.upgrade()
    server.wait_for(line)
    server.wait_for(rf"Upgrade failed: the new server \(pid: {successor}\) exited with code 3. This one goes on")
    assert server.workers == workers
    assert server.get() == (200, b"1")
    assert path.exists()
    assert (server.directory / "pid").read_text() == f"{server.pid}\n"
    assert not (server.directory / "pid.2").exists()
    server.write("versioned.py", VERSION.format(2))
    chain.pids = [server.pid]
    chain.replace()
    assert server.get() == (200, b"2")
    chain.stop()


@pytest.mark.parametrize(
    ("config", "lines"),
    [
        pytest.param(
            "def pre_exec(server):\n    raise RuntimeError('not today')\n",
            ["The hook pre_exec failed", "not today"],
            id="a hook that raises",
        ),
        pytest.param("workers = = 1\n", ["SyntaxError"], id="a configuration that can't be read"),
        pytest.param(
            "bind = ['127.0.0.1:0', 'unix:/nowhere/at/all']\n", ["/nowhere/at doesn't exist"], id="an address"
        ),
    ],
)
def test_what_fails_before_there_is_a_new_server_harms_nothing(chain, config, lines):
    server = chain.server
    hook = "raise" in config
    server.write("gunicorn.conf.py", config if hook else "")
    chain.start("versioned:app", bind=hook)
    workers = server.workers
    server.write("gunicorn.conf.py", config)
    chain.upgrade()
    # Two processes write them: in no order.
    lines = [*lines, r"Upgrade failed: the new server \(pid: \d+\) exited with code"]
    wait_until(lambda: all(server.count(line) for line in lines), "the reason")
    assert server.workers == workers
    assert server.stop() == 0


def test_an_interpreter_that_is_gone_harms_nothing(chain):
    server = chain.server
    server.write("gunicorn.conf.py", "def pre_exec(server):\n    import sys\n    sys.executable = '/nowhere/python'\n")
    chain.start("versioned:app")
    chain.upgrade()
    server.wait_for("Upgrade failed: .*This one goes on")
    assert server.count("Can't start /nowhere/python in .*: No such file or directory") == 1
    assert server.get() == (200, b"1")
    assert server.stop() == 0


def test_by_hand_both_serve_until_the_old_one_is_told_to_leave(chain):
    server = chain.server
    chain.start("versioned:app", "--upgrade", "manual", "-p", "pid")
    old = chain.current
    server.write("versioned.py", VERSION.format(2))
    new = chain.upgrade()
    server.wait_for("is ready and serves as well")
    assert (server.directory / "pid").read_text() == f"{old}\n"
    assert (server.directory / "pid.2").read_text() == f"{new}\n"
    os.kill(old, signal.SIGUSR2)
    server.wait_for(r"\[WARNING\] USR2 signal ignored. Child exists.")
    os.kill(new, signal.SIGUSR2)
    server.wait_for(r"\[WARNING\] USR2 signal ignored. Parent exists.")
    chain.stop(new)  # the way back
    server.wait_for("The new server .* exited with code 0")
    assert server.get() == (200, b"1")
    assert not (server.directory / "pid.2").exists()
    new = chain.upgrade()
    server.wait_for("is ready and serves as well")
    assert server.stop(signal.SIGQUIT) == 0
    server.wait_for("Master has been promoted")
    wait_until(lambda: (server.directory / "pid").read_text() == f"{new}\n", "the pid file")
    assert server.get() == (200, b"2")
    chain.stop()


def test_an_old_server_that_is_parked_serves_again_when_the_new_one_dies(chain):
    server = chain.server
    chain.start("versioned:app", "--upgrade", "manual", "-D", "-p", "pid", "--error-logfile", "log", wait=None)
    server.wait()
    server.log_path = server.directory / "log"
    wait_until(lambda: "Ready:" in server.log, "a daemon")
    old = chain.pids[0] = int((server.directory / "pid").read_text())
    chain.pids.append(old)
    new = chain.upgrade()
    server.wait_for("is ready and serves as well")
    os.kill(old, signal.SIGWINCH)
    wait_until(lambda: not [pid for pid in children_of(old) if pid != new], "a parked server")
    assert server.get() == (200, b"1")
    os.kill(new, signal.SIGKILL)
    server.wait_for("The new server .* was sent signal 9")
    wait_until(lambda: children_of(old), "a worker of the old server")
    assert server.get() == (200, b"1")
    chain.stop(old)


def test_a_changed_bind_is_honoured(chain):
    server = chain.server
    old, new = server.directory / "old", server.directory / "new"
    config = "bind = ['127.0.0.1:0', 'unix:{}']\n"
    server.write("gunicorn.conf.py", config.format(old))
    chain.start("versioned:app", bind=False)
    port = server.port
    server.write("gunicorn.conf.py", config.format(new))
    chain.replace()
    assert server.port == port
    assert server.get() == (200, b"1")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(new))
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert read_response(connection) == (200, b"1")
    wait_until(lambda: not old.exists(), "the end of the address that is gone")
    chain.stop()
    assert not new.exists()


def test_with_reuse_port(chain, customers):
    server = chain.server
    chain.start("versioned:app", "--reuse-port", "-w", "2")
    server.write("versioned.py", VERSION.format(2))
    chain.replace()
    assert server.get() == (200, b"2")
    chain.stop()


def test_with_listeners_of_a_supervisor(chain):
    server = chain.server
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        os.set_inheritable(listening.fileno(), True)
        program = (
            f"import os, sys; os.dup2({listening.fileno()}, 3); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.executable, sys.argv[1:])"
        )
        server.command = [sys.executable, "-c", program, *server.command]
        chain.start("versioned:app", bind=False, pass_fds=(listening.fileno(),))
        server.write("versioned.py", VERSION.format(2))
        chain.replace()
        chain.replace()
        assert server.port == listening.getsockname()[1]
        assert server.get() == (200, b"2")
    chain.stop()


def test_the_new_server_has_the_original_environment_and_directory(chain):
    server = chain.server
    server.write(
        "facts.py",
        "import os\n"
        "def app(environ, start_response):\n"
        "    names = ('FLAVOUR', 'CORRAL_INHERITED', 'HOME_BREW')\n"
        "    body = repr([os.environ.get(name) for name in names] + [os.getcwd()]).encode()\n"
        "    start_response('200 OK', [('Content-Length', str(len(body)))])\n"
        "    return [body]\n",
    )
    (server.directory / "inside").mkdir()
    server.env["HOME_BREW"] = "ale"
    server.write("gunicorn.conf.py", "raw_env = ['FLAVOUR=salt']\nchdir = 'inside'\npythonpath = '..'\n")
    chain.start("facts:app")
    first = server.get()
    assert first == (200, repr(["salt", None, "ale", str(server.directory / "inside")]).encode())
    server.write("gunicorn.conf.py", "chdir = 'inside'\npythonpath = '..'\n")
    chain.replace()
    assert server.get() == (200, repr([None, None, "ale", str(server.directory / "inside")]).encode())
    chain.stop()


def test_the_old_server_may_be_killed_before_the_new_one_is_ready(chain):
    server = chain.server
    chain.start("versioned:app", "-p", "pid")
    gate = server.directory / "gate"
    os.mkfifo(gate)
    server.write("versioned.py", f"open({str(gate)!r}).read()\n" + VERSION.format(2))
    new = chain.upgrade()
    wait_until(lambda: children_of(new), "a worker that boots")
    server.process.kill()
    server.process.wait(PATIENCE)
    server.wait_for("Master has been promoted")
    gate.write_text("go")
    server.wait_for("Ready:")
    assert server.get() == (200, b"2")
    assert (server.directory / "pid").read_text() == f"{new}\n"
    chain.stop()


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param((), id="sync"),
        pytest.param(("--preload",), id="preload_app"),
        pytest.param(("--threads", "4"), id="threads"),
        pytest.param(("-b", "unix:s"), id="a unix socket"),
    ],
)
def test_clients_keep_their_connections_through_upgrades(chain, arguments):
    server = chain.server
    chain.start("versioned:app", "-w", "3", "--keep-alive", "20", *arguments)
    path = server.directory / "s"

    def connect():
        if not path.exists():
            return server.connect()
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        return connection

    clients = Regulars(connect)
    try:
        clients.again()
        for _ in range(TURNS):
            chain.replace()
            clients.again()
    finally:
        requests, failures = clients.stop()
    assert failures == []
    assert requests > 50 * TURNS
    chain.stop()
