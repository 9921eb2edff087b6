"""gunicorn.util, as far as packages use it: one line each over what the server itself uses, or over Python's own."""

import os
import socket
import time
from typing import Any, NoReturn

from corral import app
from corral.config import address
from corral.config.named import load_class as load_named
from corral.http.response import error_response
from corral.shared import process
from corral.worker import serving

# RFC 9110 §7.6.1: what a gateway doesn't pass on.
HOPPISH = frozenset(
    "connection keep-alive proxy-authenticate proxy-authorization te trailers transfer-encoding upgrade".split()
)


def import_app(module: str) -> Any:
    return app.load(module).callable


def load_class(
    uri: str | type, default: str = "gunicorn.workers.sync.SyncWorker", section: str = "gunicorn.workers"
) -> Any:
    from corral.report.choice import OWN
    from corral.server.composition import WORKERS  # lazily: it is the whole server

    return uri if isinstance(uri, type) else load_named("class", uri or default, section, {**WORKERS, **OWN})


def parse_address(netloc: str, default_port: str = "8000") -> Any:
    """(host, port), the path of a unix socket, or a descriptor. Raises ConfigError."""
    return address.parse_address(netloc, int(default_port)).place


def is_ipv6(addr: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET6, addr)
    except OSError:
        return False
    return True


def is_hoppish(header: str) -> bool:
    return header.lower().strip() in HOPPISH


def http_date(timestamp: float | None = None) -> str:
    return serving.http_date(time.time() if timestamp is None else timestamp)


# Descriptors


def close_on_exec(fd: int) -> None:
    os.set_inheritable(fd, False)


def set_non_blocking(fd: int) -> None:
    os.set_blocking(fd, False)


def has_fileno(obj: Any) -> bool:
    try:
        obj.fileno()
    except (AttributeError, OSError):
        return False
    return True


def close(sock: Any) -> None:
    try:
        sock.close()
    except OSError:
        pass


def unlink(filename: str) -> None:
    try:
        os.unlink(filename)
    except FileNotFoundError:
        pass


# The process


def getcwd() -> str:
    return os.getcwd()


def set_owner_process(uid: int | None, gid: int | None, initgroups: bool = False) -> None:
    process.drop_privileges(uid, gid, initgroups)


def chown(path: str, uid: int, gid: int) -> None:
    os.chown(path, uid, gid)


def daemonize(enable_stdio_inheritance: bool = False) -> None:
    process.daemonize().detach(keep_output=enable_stdio_inheritance)


def set_process_title(title: str) -> None:
    process.set_title(f"corral: {title}")


# Writing to a client, for workers that parse requests by themselves


def write(sock: Any, data: bytes, chunked: bool = False) -> None:
    if chunked:
        write_chunk(sock, data)
    else:
        sock.sendall(data)


def write_nonblock(sock: Any, data: bytes, chunked: bool = False) -> None:
    timeout = sock.gettimeout()
    sock.setblocking(False)
    try:
        write(sock, data, chunked)
    finally:
        sock.settimeout(timeout)


def write_chunk(sock: Any, data: bytes) -> None:
    sock.sendall(b"%x\r\n%b\r\n" % (len(data), data))


def write_error(sock: Any, status_int: int, reason: str, mesg: str) -> None:
    """The reason is the status's own."""
    write_nonblock(sock, error_response(status_int, mesg, http_date(), serving.SERVER))


# Text


def to_bytestring(value: str | bytes, encoding: str = "utf8") -> bytes:
    return value if isinstance(value, bytes) else value.encode(encoding)


def bytes_to_str(b: str | bytes) -> str:
    return b if isinstance(b, str) else b.decode("latin-1")


def reraise(tp: Any, value: BaseException | None, tb: Any = None) -> NoReturn:
    raise (tp() if value is None else value).with_traceback(tb)
