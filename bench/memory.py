"""How much memory a server takes: the whole tree after 1,000 requests, a worker for each idle connection, and four
workers that share a preloaded application, before and after a reload.

PSS is of processes; what the kernel keeps for a socket isn't in it, and is the same for every server.
"""

import argparse
import http.client
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import environment
from apps import HELLO
from running import Running, ServerFailed, pss_kib, unwind_when_ended
from servers import SERVERS, Server

REQUESTS = 1000
REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ROWS = {server.name: server for server in SERVERS}

PRELOADED = "django_large:app"
WORKERS = 4
CLIENTS = 16
"""At once, so that every worker has some of the requests."""
PRELOADED_REQUESTS = 2000
AT_MOST = 0.7
"""Corral's memory with a preloaded application over gunicorn's."""
WORKERS_WITHIN = 30.0
SETTLED_FOR = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/memory.py", description=__doc__)
    parser.add_argument("--connections", type=int, default=5000, help="idle connections to hold open (5000)")
    parser.add_argument("--preload", action="store_true", help="only the preloaded application")
    options = parser.parse_args()
    unwind_when_ended()
    try:
        binaries = environment.prepare()
        if not options.preload:
            compare_one_worker(binaries, options.connections)
        return 0 if compare_preloaded(binaries) else 1
    except (environment.EnvironmentFailed, ServerFailed, OSError, KeyboardInterrupt) as error:
        print(f"memory: {str(error) or 'interrupted'}", file=sys.stderr)
        return 2


def compare_one_worker(binaries: Path, connections: int) -> None:
    allow_descriptors(connections + 200)
    for name in ("corral", "gunicorn"):
        print(f"{name}: {after_requests(ROWS[name], binaries):.1f} MiB PSS, arbiter and one worker", flush=True)
    growth = for_idle_connections(ROWS["corral"], binaries, connections)
    print(f"corral: {growth:.2f} KiB PSS of the worker for each of {connections:,} idle connections", flush=True)


def compare_preloaded(binaries: Path) -> bool:
    """Whether Corral takes no more than it may, and after a reload neither."""
    theirs, _ = preloaded(ROWS["gunicorn"], binaries)
    print(f"gunicorn: {theirs:.1f} MiB PSS, {WORKERS} workers of a preloaded Django application", flush=True)
    ours, reloaded = preloaded(ROWS["corral"], binaries)
    for value, when in ((ours, ""), (reloaded, ", after a reload")):
        print(f"corral: {value:.1f} MiB PSS{when}: {value / theirs:.3f} of gunicorn's, at most {AT_MOST:g}")
    return max(ours, reloaded) <= AT_MOST * theirs


def allow_descriptors(wanted: int) -> None:
    """The server inherits the limit: it holds as many connections as this process does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ServerFailed(f"{wanted} open files are needed, the limit is {hard}: raise it (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def running(server: Server, binaries: Path, app: str = "apps:hello", workers: int = 1) -> Iterator[Running]:
    with (
        tempfile.TemporaryDirectory(prefix="corral-bench-") as scratch,
        Running(server, app, binaries, Path(scratch), workers=workers) as process,
    ):
        yield process


def after_requests(server: Server, binaries: Path) -> float:
    with running(server, binaries) as process:
        ask(process.port, REQUESTS)
        return process.pss_kib() / 1024


def for_idle_connections(server: Server, binaries: Path, count: int) -> float:
    """KiB a connection: each has had an answer, is kept alive, and waits for its next request."""
    patient = with_options(server, "--keep-alive", "300")
    connections: list[socket.socket] = []
    with running(patient, binaries) as process:
        try:
            ask(process.port, REQUESTS)
            before = worker_pss(process)
            for _ in range(count):
                connection = socket.create_connection(("127.0.0.1", process.port), timeout=10)
                connections.append(connection)
                exchange(connection)
            growth = worker_pss(process) - before
            check_open(connections)
        finally:
            for connection in connections:
                connection.close()
    return growth / count


def preloaded(server: Server, binaries: Path) -> tuple[float, float]:
    """MiB of the whole tree after the requests, and again after a reload and as many more."""
    with running(with_options(server, "--preload"), binaries, PRELOADED, WORKERS) as process:
        wait_for_workers(process, set())
        ask_all(process.port)
        first = process.pss_kib()
        before = set(process.pids())
        process.process.send_signal(signal.SIGHUP)
        wait_for_workers(process, before)
        ask_all(process.port)
        return first / 1024, process.pss_kib() / 1024


def with_options(server: Server, *options: str) -> Server:
    return replace(server, command=(*server.command[:-1], *options, server.command[-1]))


def wait_for_workers(process: Running, before: set[int]) -> None:
    """Until none of those before is left but the arbiter, and there are workers enough and no more come."""
    deadline = time.monotonic() + WORKERS_WITHIN
    while time.monotonic() < deadline:
        process.check_alive()
        pids = set(process.pids())
        time.sleep(SETTLED_FOR)
        if len(pids) > WORKERS and pids & before <= {process.process.pid} and set(process.pids()) == pids:
            return
    raise ServerFailed(f"{process.server.name} hasn't {WORKERS} new workers after {WORKERS_WITHIN:.0f} s")


def ask_all(port: int) -> None:
    with ThreadPoolExecutor(CLIENTS) as clients:
        for asked in [clients.submit(ask, port, PRELOADED_REQUESTS // CLIENTS, f"/kinds/{i}") for i in range(CLIENTS)]:
            asked.result()


def exchange(connection: socket.socket) -> None:
    connection.sendall(REQUEST)
    received = b""
    while not received.endswith(HELLO):
        part = connection.recv(4096)
        received += part
        if not part or not received.startswith(b"HTTP/1.1 200 "):
            raise ServerFailed(f"a connection wasn't answered with 200: {received[:80]!r}")


def ask(port: int, count: int, path: str = "/") -> None:
    """Over one connection where the server keeps it; http.client makes a new one where it doesn't."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(count):
        client.request("GET", path)
        response = client.getresponse()
        response.read()
        if response.status != 200:
            raise ServerFailed(f"answered {response.status}, not 200")
    client.close()


def worker_pss(process: Running) -> int:
    """The worker is whichever process isn't the first one."""
    workers = [pid for pid in process.pids() if pid != process.process.pid]
    if len(workers) != 1:
        raise ServerFailed(f"{process.server.name} has {len(workers)} workers, not one")
    return pss_kib(workers[0])


def check_open(connections: list[socket.socket]) -> None:
    """A connection that was closed meanwhile would be counted as one that needs no memory."""
    for number, connection in enumerate(connections, 1):
        connection.setblocking(False)
        try:
            rest = connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            continue
        raise ServerFailed(f"connection {number} {'has more to read' if rest else 'was closed'} while it was idle")


if __name__ == "__main__":
    sys.exit(main())
