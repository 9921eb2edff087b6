"""Applications that take their time, or make a lot of bytes: one to a path."""

import os
import time
from pathlib import Path

PIECE = b"y" * (1 << 16)


def note(text):
    os.write(2, f"{text}\n".encode())


def generated(query):
    try:
        for _ in range(int(query or 3200)):  # 200 MB
            yield PIECE
    finally:
        note("generated")


def application(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/generated":
        start_response("200 OK", [])
        return generated(query)
    if path == "/sized":
        start_response("200 OK", [("Content-Length", query)])
        return [b"z" * int(query)]
    if path == "/file":
        source = Path(query).open("rb")  # noqa: SIM115
        start_response("200 OK", [("Content-Length", str(os.fstat(source.fileno()).st_size))])
        return environ["wsgi.file_wrapper"](source)
    if path == "/nap":
        time.sleep(float(query))
    elif path == "/gate":  # until the test makes the file
        note("at the gate")
        while not Path(query).exists():
            time.sleep(0.005)
    body = environ["wsgi.input"].read() or b"ok"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
