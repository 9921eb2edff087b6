"""A row shows what one setting does. Rows that don't disturb each other share a server, and each is compared with what
another server does that doesn't have them.
"""

import ast
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from live.server import PATIENCE, Server, wait_until
from live.wire import Wire

PROBE = Path(__file__).parent / "probe.py"


class Row(NamedTuple):
    """`observe`, of a Stage, is `before` without the setting and `after` with it."""

    name: str
    value: object
    observe: "Callable[[Stage], Any]"
    before: object
    after: object


class Group(NamedTuple):
    """`base`: settings of both servers. `log`: where the second one logs."""

    rows: tuple[Row, ...]
    base: Mapping[str, object] = {}
    files: Mapping[str, str] = {}
    log: str = "server.log"

    @property
    def settings(self):
        return {**self.base, **{row.name: row.value for row in self.rows}}


class Stage:
    """A server of the probe in a directory of its own, configured by ./gunicorn.conf.py."""

    def __init__(self, directory, settings, files, log="server.log"):
        self.directory = directory
        self.settings = settings
        directory.mkdir()
        (directory / "inside").mkdir()
        (directory / "library").mkdir()
        for folder in (directory, directory / "inside"):
            shutil.copy(PROBE, folder)
        self.daemons = {name: Daemon(directory / name) for name in ("syslog", "statsd")}
        text = "".join(f"{name} = {value!r}\n" for name, value in settings.items())
        self.server = Server(directory, files={**files, "gunicorn.conf.py": text})
        self.output = self.server.log_path
        self.log_path = directory / log

    def start(self):
        application = () if "wsgi_app" in self.settings else ("probe:app",)
        self.server.start(*application, wait=None, bind="bind" not in self.settings)
        self.server.log_path = self.log_path
        self.server.wait_for("Ready:")
        return self

    def end(self):
        self.server.clean_up()
        for daemon in self.daemons.values():
            daemon.socket.close()

    # what rows observe

    @property
    def facts(self):
        return self.told(b"GET /facts HTTP/1.1\r\nHost: a\r\n\r\n")

    def told(self, data):
        return ast.literal_eval(self.ask(data).body.decode())

    def ask(self, data):
        with Wire(self.server) as wire:
            return wire.send(data).response()

    def title(self, pid):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()


class Daemon:
    """What a server tells a socket. Messages are kept, so that each row finds those of the start."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        path.chmod(0o666)
        self.socket.setblocking(False)
        self.messages = []

    def all(self):
        """Everything that has come."""
        try:
            while True:
                self.messages.append(self.socket.recv(4096).decode())
        except BlockingIOError:
            return self.messages

    def until(self, text):
        """Everything up to a message with this text, and what came with it."""
        wait_until(lambda: any(text in message for message in self.all()), f"a message with {text!r}", PATIENCE)
        return self.messages


def each(groups):
    """The parameters of `check`: every row, with its group."""
    return [pytest.param(group, row, id=row.name) for group in groups for row in group.rows]


def check(stage, group, row):
    assert row.before != row.after
    assert row.observe(stage(group.base, group.files)) == row.before
    assert row.observe(stage(group.settings, group.files, group.log)) == row.after
