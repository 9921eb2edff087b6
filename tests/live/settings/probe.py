"""An application that tells what it finds around it: the process, its listener, a request.

It imports only what the server has imported: as another user it may not be allowed to read Python's library.
"""

import os
import socket
import sys

LOADED_IN = os.getpid()
UMASK = os.umask(0)
os.umask(UMASK)
MAX_BACKLOG = 28  # the offset of tcpi_sacked: of a socket that listens, how long its accept queue may get


class Watched:
    """A file that counts how often it is read; what the kernel sends isn't read."""

    def __init__(self, path):
        self.file = open(path, "rb")  # noqa: SIM115 - the server closes it
        self.fileno = self.file.fileno
        self.close = self.file.close
        self.tell = self.file.tell
        self.seek = self.file.seek

    def read(self, *arguments):
        Watched.reads += 1
        return self.file.read(*arguments)

    reads = 0


def listener():
    for name in os.listdir("/proc/self/fd"):
        try:
            found = socket.socket(fileno=int(name))
        except OSError:
            continue  # not a socket
        try:
            if found.family == socket.AF_INET and found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, MAX_BACKLOG + 4)
                shared = found.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
                return int.from_bytes(info[MAX_BACKLOG:], sys.byteorder), shared
        finally:
            found.detach()
    return 0, False  # a worker that leaves has closed its own


def facts():
    backlog, shared = listener()
    return {
        "pid": os.getpid(),
        "loaded here": os.getpid() == LOADED_IN,
        "umask": UMASK,
        "directory": os.path.basename(os.getcwd()),
        "path": [os.path.basename(entry) for entry in sys.path],
        "environ": dict(os.environ),
        "user": os.getuid(),
        "group": os.getgid(),
        "groups": os.getgroups(),
        "backlog": backlog,
        "shared port": bool(shared),
        "reads": Watched.reads,
    }


def app(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [])
    if path == "/facts":
        return [repr(facts()).encode()]
    if path == "/file":
        return environ["wsgi.file_wrapper"](Watched(__file__))
    if path == "/print":
        print("printed by the application", flush=True)
    peer = getattr(environ["gunicorn.socket"], "getpeercert", dict)()
    shown = {key: value for key, value in environ.items() if isinstance(value, str | bool)} | {"peer": peer}
    return [repr(shown).encode()]


def other(environ, start_response):
    start_response("200 OK", [])
    return [b"{'REQUEST_METHOD': 'other'}"]
