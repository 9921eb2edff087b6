"""A real server in a directory of its own: start it, watch what it logs, signal it, stop it."""

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGKILL, SIGTERM

PATIENCE = 20.0  # far more than anything takes, so that a slow machine fails no test


def wait_until(condition, what, patience=PATIENCE, process=None):
    """Look again and again until `condition()` is true, and return it; for states that send no news.

    With a process the wait ends when the process does, so that nobody waits for a dead server.
    """
    deadline = time.monotonic() + patience
    pidfd = os.pidfd_open(process.pid) if process is not None and process.poll() is None else None
    try:
        while not (found := condition()):
            assert time.monotonic() < deadline, f"waited {patience} s for {what}"
            select.select([pidfd] if pidfd is not None else [], (), (), 0.01)
        return found
    finally:
        if pidfd is not None:
            os.close(pidfd)


class Server:
    """`python -m corral` with files of its own. `log` is all that it has written to stderr and stdout."""

    def __init__(self, directory, *, files=None, env=None):
        self.directory = Path(directory)
        self.log_path = self.directory / "server.log"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("CORRAL", "GUNICORN"))}
        self.env.update(env or {})
        self.command = [sys.executable, "-m", "corral"]
        self.process = None
        self.seen = 0
        for name, text in (files or {}).items():
            self.write(name, text)

    def write(self, name, text):
        """Python takes a module of the same second and size for the one that it has compiled: this one is longer."""
        path = self.directory / name
        if name.endswith(".py") and path.exists() and path.stat().st_size == len(text.encode()):
            text += "\n"
        path.write_text(text)

    def start(self, *args, wait="Ready:", bind=True, pass_fds=()):
        """Start it with these arguments, and `-b 127.0.0.1:0` unless they bind; wait until it has logged `wait`."""
        if bind and not any(argument.startswith(("-b", "--bind")) for argument in args):
            args = ("-b", "127.0.0.1:0", *args)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.command, *args],
                cwd=self.directory,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        if wait:
            self.wait_for(wait)
        return self

    # what it says

    @property
    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_for(self, pattern, patience=PATIENCE):
        """Wait for a line that matches, after the last one that was waited for; its match."""

        def search():
            match = re.search(pattern, self.log[self.seen :], re.MULTILINE)
            if match is None and self.process is not None and self.process.poll() is not None:
                match = re.search(pattern, self.log[self.seen :], re.MULTILINE)
                assert match, f"the server ended ({self.process.returncode}) without saying {pattern!r}"
            return match

        match = wait_until(search, f"a line like {pattern!r}", patience, self.process)
        self.seen += match.end()
        return match

    def count(self, pattern):
        return len(re.findall(pattern, self.log, re.MULTILINE))

    # where it listens, and who it is

    @property
    def port(self):
        match = re.findall(r"Listening at: .*?https?://[^ ,]*?:(\d+)", self.log)
        assert match, "the server hasn't said where it listens"
        return int(match[-1])

    @property
    def pid(self):
        return self.process.pid

    @property
    def workers(self):
        """The pids of its living children."""
        return children_of(self.pid)

    def wait_for_workers(self, number):
        return wait_until(
            lambda: len(self.workers) == number and self.workers, f"{number} workers", process=self.process
        )

    def connect(self, timeout=PATIENCE):
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def get(self, path="/", timeout=PATIENCE):
        """One request on a connection of its own: (status, body)."""
        with self.connect(timeout) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
            return read_response(connection)

    # what it is told

    def signal(self, signum):
        self.process.send_signal(signum)

    def wait(self, patience=PATIENCE):
        """Wait for its end: the exit code."""
        return self.process.wait(patience)

    def stop(self, signum=SIGTERM):
        self.signal(signum)
        return self.wait()

    def clean_up(self):
        """Leave no process behind, whatever the test did."""
        if self.process is None:
            return
        orphans = self.workers if self.process.poll() is None else []
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, SIGKILL)


def read_response(connection):
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    assert head, "the connection was closed without a response"
    return int(head.split()[1]), body


def children_of(pid):
    """The pids of a process's living children (proc(5): `children` needs no privileges)."""
    try:
        pids = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [child for child in pids if alive(child)]


def alive(pid):
    """Whether a process runs; a zombie doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_seconds(pid):
    """On processors so far, in the application and in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def private_memory(pid):
    """Bytes that a process has written for itself (proc(5): smaps_rollup).

    Not the pages of its libraries: those are private or shared as other processes come and go.
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(("Private_Dirty:", "SwapPss:")))
