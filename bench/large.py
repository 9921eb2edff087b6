"""The WSGI applications with long answers, apart from the others: a server that serves `hello` holds no megabyte."""

from collections.abc import Iterable

from apps import Environ, StartResponse

TEN_KILOBYTES = b"0123456789abcdef" * 640
MEGABYTE = b"0123456789abcdef" * 65536


def ten_kilobytes(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "10240")])
    return [TEN_KILOBYTES]


def megabyte(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "1048576")])
    return [MEGABYTE]
