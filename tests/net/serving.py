"""A Service without a worker: it answers what a test's application says and writes down what a connection told it."""

import socket

from corral.gateway.wsgi import base_environ
from corral.http.head import Limits
from corral.http.response import Heads
from corral.net.connection import Connection
from corral.net.reactor import NEVER, READ, SECOND, Reactor, monotonic
from corral.net.service import Origin, Timeouts

PATIENCE = 10 * SECOND


def hello(environ, start_response):
    body = environ["wsgi.input"].read() or environ["PATH_INFO"].encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Told:
    """A Service. `told` is a line for each call."""

    def __init__(self, app=hello, *, limits=None, streaming=False, sendfile=True, request_memory=1 << 20, **seconds):
        self.app = app
        self.heads = Heads("corral")
        self.reactor = Reactor()
        self.limits = limits or Limits()
        timeouts = {"header": 20, "body": 30, "write": 60, "keepalive": 2, "pace": 0, **seconds}
        self.timeouts = Timeouts(
            **{name: int(value * SECOND) if value < NEVER else value for name, value in timeouts.items()}
        )
        self.keepalive = self.timeouts.keepalive
        self.request_memory = request_memory
        self.streaming = streaming
        self.sendfile = sendfile
        self.keeping = True
        self.connections = 0
        self.exchange = None
        self.told = []

    def begin(self, line):
        self.told.append(f"begin {line.decode()}")
        return self.reactor.now

    def account(self, environ, exchange, start):
        self.told.append(f"end {exchange.status[:3] or '-'} {exchange.sent}")
        self.reactor.now = monotonic()
        return self.reactor.now

    def end_call(self):
        pass

    def failed(self, environ, error):
        self.told.append(f"failed {error!r}")

    def refused(self, environ, error):
        self.told.append(f"refused {error.status} {environ.get('REQUEST_METHOD', '-')}")

    def origin(self, *, local=True, family=socket.AF_UNIX, trusts=lambda _: True):
        base = base_environ(
            server=("localhost", "80"), software="corral", multithread=False, multiprocess=False, script_name="",
            errors=None,
        )  # fmt: skip
        return Origin(self, base, trusts, lambda _: None, lambda _: None, local, family)

    def connect(self, **options):
        """A connection, and the client's end of it."""
        client, server = socket.socketpair()
        client.settimeout(10)
        server.setblocking(False)
        connection = Connection(server.detach(), "", self.origin())
        for name, value in options.items():
            client.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        connection.ready(READ)  # as an acceptor does it
        return connection, client

    def turn(self):
        """One pass of the loop, if something is ready or due."""
        for fd, events in self.reactor.wait():
            handler = self.reactor.handlers.get(fd)
            if handler is not None:
                handler.ready(events)

    def until(self, condition):
        """Passes of the loop until something is so."""
        end = Alarm(self.reactor)
        while not condition():
            assert not end.rung, "waited too long"
            self.turn()
        self.reactor.cancel(end)

    def exchange_bytes(self, client, sent):
        """Send, and take what comes back while the loop runs, until the client's end is silent or closed."""
        client.setblocking(False)
        received, closed = b"", False
        sent = memoryview(sent)
        silence = 0
        while silence < 3 and not closed:
            try:
                sent = sent[client.send(sent) :] if sent else sent
            except BlockingIOError:
                pass
            except OSError:
                sent = sent[:0]
            wake = Alarm(self.reactor, SECOND // 200)
            self.turn()
            self.reactor.cancel(wake)
            try:
                data = client.recv(1 << 20)
                received += data
                closed = not data
                silence = 0
            except BlockingIOError:
                silence += not sent
            except ConnectionError:
                closed = True
        return received, closed


class Alarm:
    """A deadline of the test itself."""

    def __init__(self, reactor, after=PATIENCE):
        self.rung = False
        reactor.later(self, monotonic() + after)

    def ready(self, events):
        raise AssertionError("no descriptor")

    def expire(self, now):
        self.rung = True
        self.due = NEVER
