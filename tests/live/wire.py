"""A client that sends any bytes and reads responses strictly, as RFC 9112 frames them; servers of tests/live/apps."""

import contextlib
import json
import socket
from pathlib import Path
from typing import NamedTuple

from live.server import PATIENCE, Server

APPS = Path(__file__).parent / "apps"


class Response(NamedTuple):
    version: str
    status: int
    headers: list
    body: bytes

    def field(self, name):
        """The value of a field that may stand once; None if it isn't there."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) < 2, (name, values)
        return values[0] if values else None

    @property
    def json(self):
        return json.loads(self.body)


class Wire:
    """One connection to a server, or to the path of its unix socket."""

    def __init__(self, to, *, timeout=PATIENCE, receive_buffer=None):
        unix = isinstance(to, str | Path)
        self.socket = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self.socket.settimeout(timeout)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect(str(to) if unix else ("127.0.0.1", to.port))
        self.ahead = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *pieces):
        for piece in pieces:
            self.socket.sendall(piece)
        return self

    def get(self, target, *fields, version="1.1", method="GET"):
        """Ask, and read the answer."""
        lines = [f"{method} {target} HTTP/{version}", "Host: test", *fields]
        return self.send("\r\n".join([*lines, "", ""]).encode("latin-1")).response(method)

    def post(self, target, body, *fields):
        head = "\r\n".join([f"POST {target} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *fields, "", ""])
        return self.send(head.encode("latin-1") + body).response("POST")

    def response(self, method="GET"):
        """The next response. A body without Content-Length and chunks goes to the end of the connection."""
        head = self.until(b"\r\n\r\n").decode("latin-1")
        line, *fields = head[:-4].split("\r\n")
        version, status, _ = line.split(" ", 2)
        assert version in ("HTTP/1.1", "HTTP/1.0"), line
        headers = [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]
        answer = Response(version, int(status), headers, b"")
        if method == "HEAD" or answer.status in (204, 304) or answer.status < 200:
            return answer
        length, coding = answer.field("content-length"), answer.field("transfer-encoding")
        assert length is None or coding is None, headers
        if coding is not None:
            assert coding == "chunked"
            body = self.chunks()
        elif length is not None:
            body = self.exactly(int(length))
        else:
            body = self.rest()
        return answer._replace(body=body)

    def chunks(self):
        pieces = []
        while size := int(self.until(b"\r\n")[:-2], 16):
            pieces.append(self.exactly(size))
            assert self.exactly(2) == b"\r\n"
        assert self.exactly(2) == b"\r\n"
        return b"".join(pieces)

    def until(self, mark):
        data = self.ahead
        while mark not in data:
            data += self.more(data)
        end = data.index(mark) + len(mark)
        self.ahead = data[end:]
        return data[:end]

    def exactly(self, length):
        pieces, missing = [self.ahead], length - len(self.ahead)
        while missing > 0:
            pieces.append(self.more(pieces[-1][:100]))
            missing -= len(pieces[-1])
        data = b"".join(pieces)
        self.ahead = data[length:]
        return data[:length]

    def more(self, so_far):
        data = self.socket.recv(1 << 18)
        assert data, f"the connection ended behind {so_far!r}"
        return data

    def rest(self):
        """Everything to the end of the connection."""
        pieces, self.ahead = [self.ahead], b""
        while data := self.socket.recv(1 << 18):
            pieces.append(data)
        return b"".join(pieces)

    @property
    def ended(self):
        """Wait until the server has closed; false if it says something instead."""
        return self.rest() == b""

    def leave(self):
        """Go without a word: the server gets a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


@contextlib.contextmanager
def serving(directory, app, *arguments, **options):
    """A server of one of tests/live/apps in a directory of its own."""
    directory.mkdir(exist_ok=True)
    server = Server(directory)
    try:
        yield server.start(app, "--pythonpath", str(APPS), *arguments, **options)
    finally:
        server.clean_up()
