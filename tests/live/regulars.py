"""Clients that never ask twice: with one connection, whose end is a failure, or with many, to tell which were lost."""

import re
import threading
import time
from typing import NamedTuple


class Regular(threading.Thread):
    """Asks again and again on its connection, with a pause between two requests; `failures` is empty if all is well."""

    def __init__(self, connect, pause):
        super().__init__(daemon=True)
        self.connect = connect
        self.pause = pause
        self.stopping = threading.Event()
        self.requests = 0
        self.failures = []

    def run(self):
        try:
            with self.connect() as connection:
                file = connection.makefile("rb")
                while not self.stopping.is_set():
                    self.ask(connection, file)
                    self.stopping.wait(self.pause)
        except OSError as error:
            self.failures.append(f"{error!r} after {self.requests} requests")

    def ask(self, connection, file):
        connection.sendall(b"GET /fast HTTP/1.1\r\nHost: test\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = file.readline()
            if not line:
                raise ConnectionError(f"the server closed the connection: {head!r}")
            head += line
        if not head.startswith(b"HTTP/1.1 200 ") or b"connection: close" in head.lower():
            raise ConnectionError(f"not as it should be: {head!r}")
        self.read_body(file, int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
        self.requests += 1

    def read_body(self, file, length):
        if len(body := file.read(length)) != length:
            raise ConnectionError(f"a body that is too short: {body!r}")
        return body


class Loss(NamedTuple):
    port: int  # the client's
    worker: int | None  # the pid of the one that was at work for it, if any had begun
    error: str


class Witness(Regular):
    """Has a new connection after a few requests, or when it loses one.

    Its server's answers are long, and begin with the worker's pid.
    """

    def __init__(self, connect, pause):
        super().__init__(connect, pause)
        self.losses = []
        self.worker = None

    def run(self):
        while not self.stopping.is_set():
            try:
                connection = self.connect()
            except OSError as error:
                self.failures.append(f"not even connected: {error!r}")
                return
            with connection:
                port = connection.getsockname()[1]
                try:
                    self.stay(connection)
                except OSError as error:
                    self.losses.append(Loss(port, self.worker, repr(error)))

    def stay(self, connection, requests=10):
        file = connection.makefile("rb")
        while requests and not self.stopping.is_set():
            self.worker = None
            self.ask(connection, file)
            self.stopping.wait(self.pause)
            requests -= 1

    def read_body(self, file, length):
        self.worker = int(super().read_body(file, PID))
        super().read_body(file, length - PID)
        self.worker = None


PID = 8  # bytes that a pid takes


class Regulars:
    """Some of them; a part of them without pauses."""

    def __init__(self, connect, number=50, kind=Regular):
        self.clients = [kind(connect, (0.0, 0.005, 0.05, 0.3)[index % 4]) for index in range(number)]
        for client in self.clients:
            client.start()

    def again(self, times=1, patience=60):
        """Wait until each has been answered so many more times, or has failed."""
        end = time.monotonic() + patience
        wanted = [(client, client.requests + times) for client in self.clients]
        for client, requests in wanted:
            while client.requests < requests and not client.failures:
                assert time.monotonic() < end, f"a client isn't answered, after {client.requests} requests"
                client.stopping.wait(0.01)

    def stop(self):
        """How many requests there were, and all failures."""
        for client in self.clients:
            client.stopping.set()
        for client in self.clients:
            client.join(20)
            if client.is_alive():
                client.failures.append(f"without an answer after {client.requests} requests")
        return sum(client.requests for client in self.clients), [
            failure for client in self.clients for failure in client.failures
        ]
