"""Clients that never retry: each asks as fast as it is answered, and remembers everything that went wrong."""

import re
import socket
import threading


class Customer(threading.Thread):
    """Asks on one connection after another, as long as the server keeps each; `answers` are bodies or failures."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        self.stopping = threading.Event()
        self.answers = []

    def run(self):
        while not self.stopping.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
                    self.ask(connection)
            except OSError as error:
                self.answers.append(repr(error))

    def ask(self, connection):
        file = connection.makefile("rb")
        keep = True
        while keep and not self.stopping.is_set():
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                line = file.readline()
                if not line:
                    self.answers.append(f"closed after {head!r}")
                    return
                head += line
            keep = b"connection: close" not in head.lower()
            body = file.read(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
            self.answers.append(int(body) if head.startswith(b"HTTP/1.1 200 ") else head.decode())

    def stop(self):
        self.stopping.set()
        self.join()
        return self.answers


def failures(customers):
    """Stop them: what they got that was no answer."""
    assert all(customer.answers for customer in customers)
    return [answer for customer in customers for answer in customer.stop() if not isinstance(answer, int)]
