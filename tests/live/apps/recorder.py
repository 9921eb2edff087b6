"""A configuration file that writes down every hook, and the application that is served with it; any server may run it.

Each master has a record of its own, RECORD and its pid. A line of it is a JSON object: which hook, in which process,
and what its arguments looked like.
"""

import json
import os

MASTER = os.getpid()  # a configuration is read in the master
RECORD = f"{os.environ['RECORD']}.{MASTER}"
ABSENT = "absent"

control_socket_disable = True
upgrade = "manual"  # as with gunicorn, which doesn't know this setting

SERVER = (
    "pid",
    "num_workers",
    "worker_age",
    "timeout",
    "proc_name",
    "address",
    "master_name",
    "master_pid",
    "reexec_pid",
)
WORKER = ("age", "pid", "ppid", "nr", "alive", "booted", "aborted", "timeout", "max_requests", "reloader")
REQUEST = ("method", "path", "uri", "query", "fragment", "version", "headers", "scheme", "trailers")
RESPONSE = (
    "status", "status_code", "sent", "headers_sent", "chunked", "response_length", "must_close",
)  # fmt: skip
CONFIG = (
    "workers",
    "bind",
    "timeout",
    "graceful_timeout",
    "keepalive",
    "proc_name",
    "preload_app",
    "daemon",
    "address",
)
# Values that say more about the moment or the server's own objects than about what a hook may rely on.
OBJECTS = ("wsgi.input", "wsgi.errors", "wsgi.file_wrapper", "wsgi.early_hints", "gunicorn.socket", "SERVER_SOFTWARE")


def application(environ, start_response):
    if environ["PATH_INFO"] == "/exit":
        os._exit(7)
    if environ["PATH_INFO"] == "/raise":
        raise RuntimeError("on purpose")
    if environ["PATH_INFO"] == "/hang":
        import time

        while True:
            time.sleep(0.1)
    body = environ["wsgi.input"].read() or b"hello"
    fields = [("Content-Type", "text/plain"), ("X-One", "1")]
    if environ["PATH_INFO"] != "/chunked":
        fields.append(("Content-Length", str(len(body))))
    start_response("200 Fine", fields)
    return [body]


def attributes(of, names):
    return {name: plain(getattr(of, name, ABSENT)) for name in names}


def plain(value):
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else type(value).__name__


def is_command(app):
    """Servers may derive what they serve from the class that users know."""
    return any(base.__name__ == "WSGIApplication" for base in type(app).__mro__)


def server_facts(server):
    return {
        **attributes(server, SERVER),
        "cfg": attributes(server.cfg, CONFIG),
        "WORKERS": sorted(worker.age for worker in server.WORKERS.values()),
        "pids match": all(pid == worker.pid for pid, worker in server.WORKERS.items()),
        "LISTENERS": len(server.LISTENERS),
        "log": callable(server.log.info),
        "app": is_command(server.app),
        "worker_class": server.worker_class.__name__,
    }


def worker_facts(worker):
    return {
        **attributes(worker, WORKER),
        "cfg": attributes(worker.cfg, CONFIG),
        "sockets": len(worker.sockets),
        "log": callable(worker.log.info),
        "app": is_command(worker.app),
        "wsgi": callable(getattr(worker, "wsgi", None)),
        "tmp": worker.tmp is not None,
    }


def request_facts(req):
    return {
        **attributes(req, REQUEST),
        "peer": req.peer_addr[0],
        "remote": req.remote_addr[0],
        "body": callable(req.body.read),
        "should_close": req.should_close(),
    }


def response_facts(resp):
    return {
        **attributes(resp, RESPONSE),
        "headers": sorted(name for name, _ in resp.headers),
        "should_close": resp.should_close(),
        "is_chunked": resp.is_chunked(),
    }


def environ_facts(environ):
    return {key: plain(value) if key not in OBJECTS else "object" for key, value in environ.items()}


def note(hook, **facts):
    role = "master" if os.getpid() == MASTER else "worker"
    line = json.dumps({"hook": hook, "role": role, "process": os.getpid(), **facts})
    descriptor = os.open(RECORD, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(descriptor, line.encode() + b"\n")
    os.close(descriptor)


def on_starting(server):
    note("on_starting", server=server_facts(server))


def when_ready(server):
    note("when_ready", server=server_facts(server))


def on_reload(server):
    note("on_reload", server=server_facts(server))


def on_exit(server):
    note("on_exit", server=server_facts(server))


def pre_exec(server):
    note("pre_exec", server=server_facts(server))


def nworkers_changed(server, new_value, old_value):
    facts = server_facts(server) if old_value is not None else {}
    note("nworkers_changed", server=facts, new=new_value, old=old_value)


def pre_fork(server, worker):
    note("pre_fork", server=server_facts(server), worker=worker_facts(worker))


def post_fork(server, worker):
    note("post_fork", server=server_facts(server), worker=worker_facts(worker))


def child_exit(server, worker):
    note("child_exit", server=server_facts(server), worker=worker_facts(worker))


def worker_exit(server, worker):
    note("worker_exit", server=server_facts(server), worker=worker_facts(worker))


def post_worker_init(worker):
    note("post_worker_init", worker=worker_facts(worker))


def worker_int(worker):
    note("worker_int", worker=worker_facts(worker))


def worker_abort(worker):
    note("worker_abort", worker=worker_facts(worker))


def pre_request(worker, req):
    note("pre_request", worker=worker_facts(worker), req=request_facts(req))


def post_request(worker, req, environ, resp):
    note(
        "post_request",
        worker=worker_facts(worker),
        req=request_facts(req),
        environ=environ_facts(environ),
        resp=response_facts(resp),
    )
