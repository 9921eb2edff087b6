"""Every way to use WSGI, one to a path. `plain` and `validated` are the same application."""

import hashlib
import json
import os
import sys
import threading
from urllib.parse import parse_qsl
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain")]


def note(text):
    """A line in the server's log, at once."""
    os.write(2, f"{text}\n".encode())


# -- wsgi.input: functions of a stream, so that a test can compare with io.BytesIO


def in_reads_of(size):
    def reads(stream):
        pieces = []
        while piece := stream.read(size):
            pieces.append(piece)
        return [*pieces, stream.read(size)]

    return reads


def in_lines_of(*size):
    def lines(stream):
        pieces = []
        while piece := stream.readline(*size):
            pieces.append(piece)
        return pieces

    return lines


def in_all_ways(stream):
    pieces = [stream.read(3), stream.readline(), stream.readline(2), stream.read(0), stream.readline(0)]
    pieces += stream.readlines(41)  # where a hint is met exactly, the standard library's own streams differ
    pieces += [next(iter(stream), b"")]
    pieces += [stream.read(70000), stream.readline(70000)]
    return [*pieces, *stream.readlines(), stream.read(-1), stream.readline()]


WAYS = {
    "all at once": lambda stream: [stream.read(-1), stream.read(-1)],
    "byte by byte": in_reads_of(1),
    "in reads of 7": in_reads_of(7),
    "in reads of 64 KiB": in_reads_of(65536),
    "in reads of 1 MiB": in_reads_of(1 << 20),
    "line by line": in_lines_of(),
    "lines of at most 5": in_lines_of(5),
    "lines of at most 100000": in_lines_of(100_000),
    "readlines": lambda stream: stream.readlines(),
    "readlines with a hint": lambda stream: [*stream.readlines(1000), *stream.readlines(1), stream.read(-1)],
    "iteration": list,
    "all ways": in_all_ways,
}


def digest(pieces):
    """What was read, and in which pieces."""
    whole = hashlib.sha256(b"".join(pieces)).hexdigest()
    return {
        "pieces": len(pieces),
        "lengths": hashlib.sha256(repr([*map(len, pieces)]).encode()).hexdigest(),
        "sum": whole,
    }


# -- the paths


def environ_as_json(environ, start_response, query):
    start_response("200 OK", [("Content-Type", "application/json")])
    shown = {key: value if isinstance(value, str) else repr(value) for key, value in environ.items()}
    return [json.dumps(shown).encode()]


def input_in_ways(environ, start_response, query):
    found = digest(WAYS[query["way"]](environ["wsgi.input"]))
    found["CONTENT_LENGTH"] = environ.get("CONTENT_LENGTH")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(found).encode()]


def echo_in_pieces(environ, start_response, query):
    """Answers while it reads."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return iter(lambda: environ["wsgi.input"].read(1000), b"")


def write_then_read(environ, start_response, query):
    start_response("200 OK", TEXT)(b"begun")
    return [environ["wsgi.input"].read(5)]


def ignored(environ, start_response, query):
    start_response("200 OK", [*TEXT, ("Content-Length", "7")])
    return [b"ignored"]


class Pieces:
    """An iterable that tells when it is closed, and fails if it is told to."""

    def __init__(self, pieces, name, error=None):
        self.pieces, self.name, self.error = pieces, name, error

    def __iter__(self):
        yield from self.pieces
        if self.error is not None:
            raise self.error

    def close(self):
        note(f"closed {self.name}")


class Sized(Pieces):
    def __len__(self):
        return 1


def closing(environ, start_response, query):
    name = query["name"]
    start_response("200 OK", TEXT)
    return {
        "nothing": lambda: Pieces([], name),
        "one": lambda: Pieces([b"one"], name),
        "sized": lambda: Sized([b"one"], name),
        "several": lambda: Pieces([b"one", b"", b"two"], name),
        "error": lambda: Pieces([b"one"], name, ValueError("in the middle")),
        "error first": lambda: Pieces([], name, ValueError("at the start")),
        "endless": lambda: Pieces(iter(lambda: b"x" * 65536, None), name),
        "large": lambda: Pieces((b"x" * 65536 for _ in range(1600)), name),
    }[query["case"]]()


def with_write(environ, start_response, query):
    write = start_response("200 OK", TEXT)
    write(b"one ")
    write(b"two ")
    return [b"three ", b"four"]


def replaced(environ, start_response, query):
    start_response("200 OK", [*TEXT, ("X-First", "1")])
    try:
        raise ValueError("replaced")
    except ValueError:
        start_response("503 Service Unavailable", [*TEXT, ("X-Second", "1")], sys.exc_info())
    return [b"second"]


def replaced_too_late(environ, start_response, query):
    write = start_response("200 OK", TEXT)
    write(b"begun")
    try:
        raise ValueError("too late")
    except ValueError:
        start_response("500 Oops", TEXT, sys.exc_info())
    return [b"never"]


def called_twice(environ, start_response, query):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b"never"]


def raising(environ, start_response, query):
    raise ValueError(query.get("name", "on purpose"))


def raising_after_start(environ, start_response, query):
    start_response("200 OK", [*TEXT, ("Content-Length", "100")])
    raise ValueError("after start_response")


def leaving(environ, start_response, query):
    raise SystemExit(7)


def with_length(environ, start_response, query):
    start_response("200 OK", [*TEXT, ("Content-Length", query["declared"])])
    pieces = [b"x" * int(size) for size in query["pieces"].split(",")]
    return iter(pieces) if query.get("lazy") else pieces


def with_status(environ, start_response, query):
    headers = [] if query["status"][:3] in ("204", "304") else TEXT
    if "length" in query:
        headers = [*headers, ("Content-Length", query["length"])]
    start_response(query["status"], headers)
    body = query.get("body", "").encode()
    return [body] if body else []


def file(environ, start_response, query):
    source = open(query["path"], "rb")  # noqa: SIM115
    source.seek(int(query.get("offset", 0)))
    source.read(int(query.get("skip", 0)))
    headers = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    close, name = source.close, query.get("name")

    def closed():
        close()
        note(f"closed {name}")

    source.close = closed
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](source, int(query.get("block", 8192)))


def hinted(environ, start_response, query):
    environ["wsgi.early_hints"]([("Link", "</a.css>; rel=preload"), ("Content-Length", "5")])
    environ["wsgi.early_hints"]([("Link", "</b.css>; rel=preload")])
    start_response("200 OK", TEXT)
    return [b"hinted"]


def to_errors(environ, start_response, query):
    errors = environ["wsgi.errors"]
    errors.write("one line\n")
    errors.writelines(["two lines\n", "three lines\n"])
    errors.flush()
    start_response("200 OK", TEXT)
    return [str(threading.get_ident() == threading.main_thread().ident).encode()]


def with_header(environ, start_response, query):
    start_response("200 OK", [*TEXT, (query["name"], query["value"])])
    return [b"with header"]


def asked_to_close(environ, start_response, query):
    start_response("200 OK", [*TEXT, ("Connection", "close")])
    return [b"the last"]


def of_socket(environ, start_response, query):
    start_response("200 OK", TEXT)
    return [repr(environ["gunicorn.socket"].getpeername()).encode()]


PATHS = {
    "/environ": environ_as_json,
    "/input": input_in_ways,
    "/echo": echo_in_pieces,
    "/write-then-read": write_then_read,
    "/ignored": ignored,
    "/closing": closing,
    "/write": with_write,
    "/replaced": replaced,
    "/replaced-too-late": replaced_too_late,
    "/twice": called_twice,
    "/raising": raising,
    "/raising-after-start": raising_after_start,
    "/leaving": leaving,
    "/length": with_length,
    "/status": with_status,
    "/file": file,
    "/hinted": hinted,
    "/errors": to_errors,
    "/header": with_header,
    "/close": asked_to_close,
    "/socket": of_socket,
}


def plain(environ, start_response):
    call = PATHS.get(environ["PATH_INFO"], environ_as_json)
    return call(environ, start_response, dict(parse_qsl(environ["QUERY_STRING"])))


validated = validator(plain)
