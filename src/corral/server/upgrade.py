"""USR2: a new server beside the old one, from the program that is there now, on the same listeners.

It knows what passes from one to the other, how each learns of the other's state and end, and nothing of workers: that
its workers are ready the new one hears from its arbiter, and the old one's are retired by its own.
"""

import os
import socket
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corral.arbiter.arbiter import Arbiter
from corral.arbiter.news import News
from corral.arbiter.plan import Stop
from corral.errors import EXIT_CRASH
from corral.net.listener import Listener, take_over
from corral.shared import process
from corral.shared.scoreboard import HEIRS, Cell

if TYPE_CHECKING:
    from corral.server.composition import Server

VARIABLE = "CORRAL_INHERITED"
READY = b"ready\n"
TAKES = b"ready, and takes connections\n"  # by the channel of server.generation.Shared
# A supervisor's variables that name a process or its descriptors; the new server gets both another way.
OF_ONE_PROCESS = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


@dataclass(slots=True)
class Start:
    """How this server was started, and its successor will be."""

    directory: str
    environ: Mapping[str, str]

    @property
    def command(self) -> list[str]:
        # With the interpreter's own options (-m, -X); a relative name of it would depend on the directory.
        arguments = sys.orig_argv[1:] or sys.argv
        return [sys.executable, *arguments]


@dataclass(slots=True, eq=False)
class Predecessor:
    """The server that started this one. `channel` ends when it does."""

    pid: int
    channel: socket.socket
    supervised: bool  # its listeners are systemd's, which replace `bind`
    listeners: list[Listener]
    descriptors: dict[str, int]  # others, by name


def predecessor(environ: MutableMapping[str, str]) -> Predecessor | None:
    """Whoever has started this process by USR2; its message leaves the environment."""
    text = environ.pop(VARIABLE, "")
    if not text:
        return None
    import json  # lazily: only a successor reads

    message = json.loads(text)
    if message["to"] != os.getpid():
        return None  # a copy of a copy of the environment
    channel = socket.socket(fileno=message["channel"])
    channel.set_inheritable(False)
    for descriptor in message["descriptors"].values():
        os.set_inheritable(descriptor, False)
    return Predecessor(
        message["from"], channel, message["supervised"],
        [take_over(text, fd, tuple(file) if file else None) for text, fd, file in message["listeners"]],
        message["descriptors"],
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class Successor:
    """The server that this one has started."""

    pid: int
    channel: socket.socket
    ready: bool = False


@dataclass(slots=True, eq=False)
class Upgrade:
    """Both directions, for one server: it may have a predecessor, and later a successor."""

    server: "Server"
    start: Start
    predecessor: Predecessor | None
    successor: Successor | None = None

    @property
    def arbiter(self) -> Arbiter:
        assert self.server.arbiter is not None
        return self.server.arbiter

    def shares(self, listener: Listener) -> bool:
        """Another server accepts from it as well, so that its file stays."""
        if self.successor is not None:
            return True
        return self.predecessor is not None and listener in self.predecessor.listeners

    # the old server's side

    def begin(self) -> None:
        """USR2."""
        if self.successor is not None:
            why = "Child exists."
        elif self.predecessor is not None:
            why = "Parent exists."
        elif os.getpid() == 1:
            why = "The container ends with this process; HUP reloads."
        else:
            self.start_successor()
            return
        self.server.log.warning("USR2 signal ignored. %s", why)
        self.arbiter.tell(News.NOT_UPGRADED, why)

    def start_successor(self) -> None:
        server, log = self.server, self.server.log
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            pid = process.fork(lambda: self.become_successor(theirs.fileno()))
        except OSError as error:
            log.error("Upgrade failed, can't fork: %s", error.strerror)
            self.arbiter.tell(News.NOT_UPGRADED, f"can't fork: {error.strerror}")
            ours.close()
            return
        finally:
            theirs.close()
        self.successor = Successor(pid, ours)
        server.shared.private.add(ours.fileno())
        self.arbiter.kin[pid] = self.note_end
        self.arbiter.watch(ours.fileno(), self.hear_successor)
        log.info("Upgrade: starting a new server (pid: %d)", pid)
        server.supervisor.reloading("Upgrading")

    def become_successor(self, channel: int) -> int:
        """In a child. It returns only if there is no new server."""
        server, log = self.server, self.server.log
        try:
            server.config.pre_exec(server.master)
        except Exception:
            log.exception("The hook pre_exec failed")
            return EXIT_CRASH
        command, directory = self.start.command, self.start.directory
        try:
            os.chdir(directory)
            os.execve(command[0], command, self.environ(channel))
        except OSError as error:
            log.error("Can't start %s in %s: %s", command[0], directory, error.strerror)
        return EXIT_CRASH

    def environ(self, channel: int) -> dict[str, str]:
        """The original one, and in it what passes on."""
        import json  # lazily: upgrades are rare

        environ = {name: value for name, value in self.start.environ.items() if name not in OF_ONE_PROCESS}
        if "WATCHDOG_PID" in environ:
            environ["WATCHDOG_PID"] = str(os.getpid())
        server = self.server
        listeners = [(each.address.text, each.fileno(), each.file) for each in server.latest.listeners]
        descriptors = server.shared.inheritable()
        for descriptor in (channel, *(fd for _, fd, _ in listeners), *descriptors.values()):
            os.set_inheritable(descriptor, True)
        message = {
            "from": os.getppid(), "to": os.getpid(), "channel": channel, "supervised": server.inherited,
            "listeners": listeners, "descriptors": descriptors,
        }  # fmt: skip
        return environ | {VARIABLE: json.dumps(message)}

    def hear_successor(self) -> None:
        successor, server = self.successor, self.server
        assert successor is not None
        message = hear(successor.channel)
        if not message:
            self.arbiter.unwatch(successor.channel.fileno())  # `note_end` follows, or has been
            return
        successor.ready = True
        server.shared.board.arbiter[HEIRS] = message == TAKES
        self.arbiter.tell(News.UPGRADED, f"the new server (pid: {successor.pid}) is ready")
        if server.config.upgrade == "auto":
            server.supervisor.hand_over(successor.pid)
            server.log.info("Upgrade: the new server (pid: %d) is ready, this one retires", successor.pid)
            self.arbiter.begin_stop(self.arbiter.stop or Stop.GRACEFUL)
        else:
            server.supervisor.take_over()
            server.log.info(
                "Upgrade: the new server (pid: %d) is ready and serves as well; WINCH, QUIT or TERM retire this one",
                successor.pid,
            )

    def note_end(self, death: process.Death) -> None:
        successor, log = self.successor, self.server.log
        assert successor is not None
        self.part(successor.channel)
        self.successor = None
        self.server.shared.board.arbiter[HEIRS] = 0
        self.server.supervisor.take_over()
        how = f"was sent signal {death.signum}" if death.signum else f"exited with code {death.code}"
        if successor.ready:
            log.warning("The new server (pid: %d) %s", successor.pid, how)
        else:
            log.error("Upgrade failed: the new server (pid: %d) %s. This one goes on", successor.pid, how)
            self.arbiter.tell(News.NOT_UPGRADED, f"the new server (pid: {successor.pid}) {how}, see the log")
        if self.arbiter.stop is None and not self.arbiter.edition.workers:
            self.arbiter.scale(self.server.config.workers)  # WINCH has parked it, and nobody else serves now

    # the new server's side

    def attach(self) -> None:
        """From now on there are workers that may get ready."""
        if self.predecessor is not None:
            channel = self.predecessor.channel
            channel.setblocking(False)
            self.server.shared.private.add(channel.fileno())
            self.arbiter.beside = True
            self.arbiter.watch(channel.fileno(), self.hear_predecessor)
            self.arbiter.hearers.append(self.tell_predecessor)

    def tell_predecessor(self, news: News, sentence: str) -> None:
        if news is News.COMPLETE and self.predecessor is not None:
            takes = any(handle.row.cells[Cell.TAKES] for handle in self.arbiter.pool.handles.values())
            with suppress(OSError):  # it has gone
                self.predecessor.channel.send(TAKES if takes else READY)

    def hear_predecessor(self) -> None:
        predecessor = self.predecessor
        assert predecessor is not None
        if hear(predecessor.channel) != b"":
            return
        self.part(predecessor.channel)
        self.predecessor = None
        self.arbiter.beside = False
        self.server.log.info("Master has been promoted.")
        for listener in predecessor.listeners:
            if listener not in self.server.latest.listeners:
                listener.unlink()  # an address that the new configuration doesn't name
        self.server.be_known()

    def part(self, channel: socket.socket) -> None:
        self.arbiter.unwatch(channel.fileno())
        self.server.shared.private.discard(channel.fileno())
        channel.close()


def hear(channel: socket.socket) -> bytes | None:
    """What the other server has said: b"" if it is gone, None if nothing."""
    try:
        return channel.recv(64)
    except BlockingIOError:
        return None
    except OSError:
        return b""
