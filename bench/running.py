"""A server under measurement: started in a session of its own, read through /proc, and ended for certain.

It knows processes; it knows nothing of loads, rounds and figures.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from servers import Server

HERE = Path(__file__).parent
READY_WITHIN = 20.0
ENDS_WITHIN = 5.0
TICKS = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server didn't start, or ended by itself."""


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What is used of /proc/PID/stat."""

    session: int
    seconds: float
    """User and system time, with that of children that were waited for."""

    @classmethod
    def parse(cls, line: str) -> "ProcessStat":
        # The command's name stands in parentheses and may hold spaces and parentheses itself.
        fields = line.rpartition(")")[2].split()
        return cls(session=int(fields[3]), seconds=sum(map(int, fields[11:15])) / TICKS)


def free_ports() -> Iterator[int]:
    """Free ports below those that the kernel gives to clients.

    A port of that range may be held by a connection in TIME_WAIT, and a client that connects to it before the server
    listens may be given the very same port as its own, and so be connected with itself.
    """
    while True:
        for port in range(18000, 32000):
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            yield port


PORTS = free_ports()


def unwind_when_ended() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does: leave every `with`, so that no server stays behind."""

    def interrupt(signum: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, interrupt)


class Running:
    """`with Running(...) as running:` holds a server that accepts connections."""

    def __init__(
        self, server: Server, app: str, binaries: Path, scratch: Path, *, workers: int = 1, threads: int = 1
    ) -> None:
        self.server = server
        self.port = next(PORTS)
        self.access_log = scratch / f"access.{self.port}.log"
        self.output = scratch / f"output.{self.port}.txt"
        log = str(self.access_log)
        command = server.arguments(
            port=self.port, app=app, directory=str(HERE), log=log, workers=workers, threads=threads
        )
        self.command = [str(binaries / command[0]), *command[1:]]
        # Only what is named here: GUNICORN_CMD_ARGS, WEB_CONCURRENCY and their like would change what is measured.
        self.environment = {"PATH": f"{binaries}:{os.defpath}", "PYTHONPATH": str(HERE), "LANG": "C.UTF-8"}

    def __enter__(self) -> "Running":
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=HERE,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            self.check_alive()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise ServerFailed(f"{self.server.name} doesn't listen after {READY_WITHIN:.0f} s\n{self.last_words()}")

    def check_alive(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise ServerFailed(f"{self.server.name} ended with code {code}\n{self.last_words()}")

    def last_words(self) -> str:
        lines = self.output.read_text(errors="replace").splitlines()[-15:]
        return "\n".join([f"  $ {' '.join(self.command)}", *(f"  | {line}" for line in lines)])

    def stop(self) -> None:
        """Ask the first process to end; whatever is left of its group after that is killed."""
        try:
            if self.process.poll() is None:
                self.process.terminate()
                self.process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            pass
        finally:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.wait()

    def stats(self) -> Iterator[tuple[int, ProcessStat]]:
        """Every process of the session: the tree, and what became an orphan of it."""
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                stat = ProcessStat.parse(Path("/proc", entry, "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
            if stat.session == self.process.pid:
                yield int(entry), stat

    def pids(self) -> list[int]:
        return [pid for pid, _ in self.stats()]

    def cpu_seconds(self) -> float:
        return sum(stat.seconds for _, stat in self.stats())

    def pss_kib(self) -> int:
        return sum(pss_kib(pid) for pid in self.pids())


def pss_kib(pid: int) -> int:
    """The proportional set size: a page that n processes share counts 1/n in each."""
    for line in Path("/proc", str(pid), "smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise ServerFailed(f"/proc/{pid}/smaps_rollup has no Pss line")
