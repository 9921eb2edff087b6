"""WSGI, PEP 3333: the environ of a request, and one call of an application. Pure: bytes leave through the exchange.

It knows environ and iterables, and which forwarding headers may be believed; it must not know sockets, workers, logs.
"""

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from corral.errors import PeerError
from corral.gateway.exchange import Exchange

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class NoInput(io.BytesIO):
    """The body of a request that has none. One serves all: reading leaves nothing behind, and it can't be closed."""

    def close(self) -> None:
        pass

    def write(self, _: Any) -> int:
        raise io.UnsupportedOperation("wsgi.input is for reading")

    def writelines(self, _: Any) -> None:
        raise io.UnsupportedOperation("wsgi.input is for reading")


NO_INPUT: Final = NoInput()


class FileWrapper:
    """wsgi.file_wrapper: sent by the kernel where the file is a real one, read in blocks elsewhere."""

    def __init__(self, filelike: Any, blksize: int = 8192) -> None:
        self.filelike = filelike
        self.blksize = blksize
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self) -> "FileWrapper":
        return self

    def __next__(self) -> bytes:
        data: bytes = self.filelike.read(self.blksize)
        if not data:
            raise StopIteration
        return data


class Trust(NamedTuple):
    """What is believed of a proxy, from the settings of the same names."""

    secure_scheme_headers: tuple[tuple[str, str], ...] = ()  # CGI key, value that means https
    forwarder_headers: tuple[str, ...] = ()
    header_map: str = "drop"
    script_name: str = ""  # of the server's own environment


def base_environ(
    *, server: tuple[str, str], software: str, multithread: bool, multiprocess: bool, script_name: str, errors: Any
) -> Environ:
    """What all requests of a listener have in common."""
    return {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": NO_INPUT,
        "wsgi.input_terminated": True,
        "wsgi.errors": errors,
        "wsgi.multithread": multithread,
        "wsgi.multiprocess": multiprocess,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "SERVER_NAME": server[0],
        "SERVER_PORT": server[1],
        "SERVER_SOFTWARE": software,
        "SCRIPT_NAME": script_name,
        # Each request sets these. That they stand here makes the table large enough from the start: growing it while a
        # request's fields are put in would cost 0.5 µs.
        "REQUEST_METHOD": "",
        "RAW_URI": "",
        "PATH_INFO": "",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "",
        "wsgi.early_hints": None,
    }


def prepare_plain(fields: Environ, trust: Trust) -> None:
    """Fields of a peer that may not speak for others."""
    judge_underscores(fields, trust, trusted=False)


def prepare_trusted(fields: Environ, trust: Trust) -> None:
    """Fields of a trusted proxy: it may say the scheme. No RFC has these headers; they are a convention."""
    schemes = []
    for key, secure in trust.secure_scheme_headers:
        value = fields.get(key)
        if value is not None:
            # A chain of proxies, or a client that forges the first of two, makes a list: all must say so.
            hops = {hop.strip().lower() for hop in value.split(",")}
            schemes.append("https" if hops == {secure.lower()} else "http")
    if schemes:
        if len(set(schemes)) > 1:
            raise PeerError(400, "the proxy's scheme headers contradict each other")
        fields["wsgi.url_scheme"] = schemes[0]
    judge_underscores(fields, trust, trusted=True)


def name_server(fields: Environ) -> None:
    """PEP 3333 wants a name and a port, and a unix socket has neither: they are what the client called this server."""
    host = fields.get("HTTP_HOST")
    if host:
        name, bracket, rest = host.partition("]")
        if not bracket:
            name, _, port = host.partition(":")
        else:
            name, port = name + bracket, rest[1:]
        fields["SERVER_NAME"] = name
        fields["SERVER_PORT"] = port or ("443" if fields["wsgi.url_scheme"] == "https" else "80")


def judge_underscores(fields: Environ, trust: Trust, *, trusted: bool) -> None:
    """Names with an underscore could forge what a proxy sets with hyphens (see FieldNames.learn).

    They are believed only if named in forwarder_headers and sent by a trusted peer, or if header_map says so.
    """
    for key in [key for key in fields if key[0] == "_"]:
        value = fields.pop(key)
        name = key[1:]
        allowed = trusted and (name in trust.forwarder_headers or "*" in trust.forwarder_headers)
        if not allowed and trust.header_map == "refuse":
            raise PeerError(400, "a field name has an underscore")
        if not allowed and trust.header_map != "dangerous":
            continue
        if name == "SCRIPT_NAME" and allowed:
            fields["SCRIPT_NAME"] = value
        cgi = name.replace("-", "_")
        if cgi in ("CONTENT_LENGTH", "CONTENT_TYPE", "TRANSFER_ENCODING"):
            raise PeerError(400, f"{name} with an underscore")
        cgi = "HTTP_" + cgi
        fields[cgi] = f"{fields[cgi]},{value}" if cgi in fields else value


def strip_script_name(environ: Environ) -> None:
    """The path begins with the mount point, or the proxy and this server are configured apart."""
    script_name, path = environ["SCRIPT_NAME"], environ["PATH_INFO"]
    rest = path[len(script_name) :]
    if not path.startswith(script_name) or (rest and rest[0] != "/" and script_name[-1] != "/"):
        raise PeerError(500, f"the path doesn't begin with SCRIPT_NAME {script_name!r}")
    environ["PATH_INFO"] = rest


class FileSender(Protocol):
    """Who can have the kernel send a file."""

    def send_file(self, head: bytes, file: FileWrapper, most: int | None) -> int | None: ...


def run(app: App, environ: Environ, exchange: Exchange, sender: FileSender | None) -> None:
    """Call `app` and send what it answers. Whatever the application raises comes out; its iterable is closed, once."""
    result = app(environ, exchange.start_response)
    if type(result) is list and len(result) == 1 and not exchange.head_sent:
        # A list has no close(), and one piece needs no loop.
        body = result[0]
        if type(body) is bytes and exchange.status:
            exchange.send_whole(body, last=True)
            return
    try:
        if type(result) is FileWrapper and sender is not None and send_as_file(result, exchange, sender):
            return
        send_pieces(result, exchange)
        exchange.finish()
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()


def send_pieces(pieces: Iterable[bytes], exchange: Exchange) -> None:
    if not exchange.head_sent and length_is_one(pieces):
        for piece in pieces:
            # write() may have been called by now, and a wrong __len__ may be followed by a second piece
            if type(piece) is bytes and exchange.status and not exchange.head_sent:
                exchange.send_whole(piece)
            else:
                exchange.send(piece)
        return
    for piece in pieces:
        exchange.send(piece)
        if exchange.surplus:
            break  # beyond its Content-Length, and it may never end


def length_is_one(pieces: Any) -> bool:
    try:
        return len(pieces) == 1
    except TypeError:
        return False


def send_as_file(wrapper: FileWrapper, exchange: Exchange, sender: FileSender) -> bool:
    """Hand the file to the kernel; False if it is none, or if something has been sent already."""
    if exchange.head_sent or not exchange.status or not is_plain_file(wrapper.filelike):
        return False
    try:
        start = wrapper.filelike.tell()
        size = max(0, wrapper.filelike.seek(0, 2) - start)
        wrapper.filelike.seek(start)
    except (OSError, ValueError):
        return False
    head = exchange.head(size)
    if exchange.head_only or exchange.left is None:
        exchange.transmit(head)
        return True
    exchange.sent = sender.send_file(head, wrapper, min(size, exchange.left)) or 0
    exchange.left -= exchange.sent
    exchange.finish()
    return True


def is_plain_file(filelike: Any) -> bool:
    """Whether its bytes are those of its descriptor: a gzip file has one too, and it isn't what read() returns."""
    file = getattr(filelike, "file", filelike)  # tempfile's and Django's wrappers
    return type(getattr(file, "raw", file)) is io.FileIO


def cgi_keys(headers: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """secure_scheme_headers as (environ key, value)."""
    return tuple(("HTTP_" + name.upper().replace("-", "_"), value) for name, value in headers.items())


class Errors:
    """wsgi.errors: whatever stderr is at the moment, flushed at each write so that a killed worker loses nothing."""

    def write(self, text: str) -> int:
        written = sys.stderr.write(text)
        sys.stderr.flush()
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        sys.stderr.flush()
