"""nginx and haproxy in front of a server, each with its files in a directory of its own."""

import contextlib
import os
import shutil
import socket
import subprocess

import pytest
from live.server import PATIENCE, wait_until

SYSTEM_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))

NGINX = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {directory}/bodies;
    uwsgi_temp_path {directory}/answers;
    proxy_temp_path {directory}/unused;
    fastcgi_temp_path {directory}/unused;
    scgi_temp_path {directory}/unused;
    uwsgi_param QUERY_STRING $query_string;
    uwsgi_param REQUEST_METHOD $request_method;
    uwsgi_param CONTENT_TYPE $content_type;
    uwsgi_param CONTENT_LENGTH $content_length;
    uwsgi_param REQUEST_URI $request_uri;
    uwsgi_param PATH_INFO $document_uri;
    uwsgi_param SERVER_PROTOCOL $server_protocol;
    uwsgi_param REQUEST_SCHEME $scheme;
    uwsgi_param HTTPS $https if_not_empty;
    uwsgi_param REMOTE_ADDR $remote_addr;
    uwsgi_param REMOTE_PORT $remote_port;
    uwsgi_param SERVER_NAME $server_name;
    uwsgi_param SERVER_PORT $server_port;
    server {{
        listen 127.0.0.1:{port} reuseport;
        server_name front.example;
        location / {{ uwsgi_pass {to}; }}
    }}
}}
"""
HAPROXY = """
global
    maxconn 64
defaults
    mode {mode}
    timeout connect {patience}s
    timeout client {patience}s
    timeout server {patience}s
    timeout check {patience}s
listen front
    bind 127.0.0.1:{port}
    server corral {to} {options}
"""


class Proxy:
    """A running proxy. Wire connects to its `port`; `log` is the file that it writes to."""

    def __init__(self, name, port, log):
        self.name = name
        self.port = port
        self.log = log

    def said(self):
        return f"{self.name} said:\n{self.log.read_text(errors='replace')}"


@contextlib.contextmanager
def nginx(directory, to):
    """Pass requests on by uwsgi `to` HOST:PORT or unix:PATH."""
    with running(directory, "nginx", NGINX, to=to) as proxy:
        yield proxy


@contextlib.contextmanager
def haproxy(directory, to, options, mode="tcp"):
    """Pass connections on `to` HOST:PORT or unix@PATH with such options of a server."""
    with running(directory, "haproxy", HAPROXY, to=to, options=options, mode=mode, patience=round(PATIENCE)) as proxy:
        yield proxy


COMMANDS = {
    "nginx": lambda directory, file: ["-p", str(directory), "-c", str(file), "-e", "stderr"],
    "haproxy": lambda directory, file: ["-db", "-f", str(file)],
}


@contextlib.contextmanager
def running(directory, name, template, **values):
    program = shutil.which(name, path=SYSTEM_PATH)
    if program is None:
        pytest.fail(f"{name} is missing: install it (Debian and Ubuntu: apt-get install {name})", pytrace=False)
    directory.mkdir(exist_ok=True)
    file, log_path = directory / f"{name}.conf", directory / f"{name}.log"
    with contextlib.ExitStack() as stack:
        # Both bind with SO_REUSEPORT: the port is ours all the time, and only who listens gets connections.
        reserved = stack.enter_context(socket.socket())
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        file.write_text(template.format(directory=directory, port=port, **values))
        log = stack.enter_context(open(log_path, "wb"))
        process = subprocess.Popen(
            [program, *COMMANDS[name](directory, file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        proxy = Proxy(name, port, log_path)
        wait_until(lambda: process.poll() is not None or listens(port), f"{name} to listen")
        assert process.poll() is None, proxy.said()
        yield proxy


def listens(port):
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), PATIENCE):
        return True
    return False
