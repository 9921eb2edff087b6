"""The listening sockets: from the text of `bind`, or from a supervisor's file descriptors, to sockets that accept.

It knows addresses, unix socket files and who else has a port. It must not know what is spoken on the connections.
"""

import errno
import os
import socket
import stat
import sys
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import suppress
from typing import Any

from corral.config.address import Address, parse_address
from corral.config.settings import Config
from corral.errors import ConfigError
from corral.shared import process

FIRST_INHERITED = 3  # sd_listen_fds(3): SD_LISTEN_FDS_START
LISTENING = "0A"  # the state column of /proc/net/tcp
ARRIVING = "03"  # SYN_RECV: not connected yet, or so far only from the client's point of view (defer_accept)
ACCEPT_QUEUE = 24  # the offset of tcpi_unacked in Linux's struct tcp_info


class AddressInUse(ConfigError):
    """Somebody listens there already; a predecessor that is still stopping is worth a second try."""


class Listener:
    """One bound socket, listening unless each worker is to open its own (`reuse_port`)."""

    __slots__ = ("_file", "_reuse_port", "address", "alone", "deferring", "family", "label", "name", "socket")

    def __init__(self, sock: socket.socket, address: Address, *, reuse_port: bool = False) -> None:
        self.socket = sock
        self.address = address
        self.family = sock.family
        self._reuse_port = reuse_port
        self.alone = False  # one process accepts from it, and no other will
        self.deferring = False  # whom it gives has said something
        self._file: tuple[str, int, int] | None = None  # path, device, inode: to be removed in the end
        sock.setblocking(False)
        where = sock.getsockname()
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            # Accepted sockets inherit it on Linux, which saves a system call a connection.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.name = (where[0], str(where[1]))
            self.label = f"http://[{where[0]}]:{where[1]}" if ":" in where[0] else f"http://{where[0]}:{where[1]}"
        else:
            self.name = ("", "")
            self.label = f"unix:{os.fsdecode(where)}"

    def __str__(self) -> str:
        return self.label

    def __getattr__(self, name: str) -> Any:
        """For the loops of foreign worker classes, to which this is a socket."""
        if name == "socket":
            raise AttributeError(name)  # there is none yet
        return getattr(self.socket, name)

    @property
    def sock(self) -> socket.socket:
        """gunicorn's name of it."""
        return self.socket

    def fileno(self) -> int:
        return self.socket.fileno()

    def close(self) -> None:
        self.socket.close()

    def expects(self) -> bool:
        """Whether somebody has connected, or is about to, whom the kernel keeps until there is something to read."""
        return self.deferring and any(True for _ in sockets_of(int(self.name[1]), ARRIVING))

    @property
    def waiting(self) -> int:
        """How many connections wait to be accepted; 0 where the system doesn't tell (only Linux does, of TCP)."""
        option = getattr(socket, "TCP_INFO", None)
        if option is None or self.family not in (socket.AF_INET, socket.AF_INET6):
            return 0
        # tcp(7): of a socket that listens, tcpi_unacked is the length of its accept queue.
        info = self.socket.getsockopt(socket.IPPROTO_TCP, option, ACCEPT_QUEUE + 4)
        return int.from_bytes(info[ACCEPT_QUEUE:], sys.byteorder)

    def own(self, backlog: int, defer: int = 0) -> "Listener":
        """What a worker accepts from: with `reuse_port` a new socket in this one's group, otherwise this one.

        `defer` is for how many seconds a client that says nothing is left to the kernel.
        """
        if not self._reuse_port:
            self.defer(defer)
            return self
        where = self.socket.getsockname()
        sock = bind_tcp(self.family, where, reuse_port=True)
        sock.listen(backlog)
        self.close()
        own = Listener(sock, self.address)
        own.alone = True
        own.defer(defer)
        return own

    def defer(self, seconds: int) -> None:
        """tcp(7), TCP_DEFER_ACCEPT: a worker wakes up once for a connection and its first request, not once for each,
        and the connection need not be put into epoll in between. A quarter of the CPU time of those that are for one
        request."""
        option = getattr(socket, "TCP_DEFER_ACCEPT", None)
        if option is not None and self.family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, option, seconds)
            self.deferring = seconds > 0

    @property
    def file(self) -> "tuple[str, int, int] | None":
        """Path, device and inode of the unix socket's file, if it is ours."""
        return self._file

    def inherit(self, file: "tuple[str, int, int] | None") -> None:
        """It is ours now, as it was a predecessor's."""
        self._file = file

    def claim(self, path: str) -> None:
        """Remember which file is ours, wherever the process goes, so that `unlink` never removes a successor's."""
        status = os.stat(path)
        self._file = (os.path.abspath(path), status.st_dev, status.st_ino)

    def unlink(self) -> None:
        """Remove the unix socket's file, if this process made it and it is still the same file."""
        if self._file is None:
            return
        path, *identity = self._file
        self._file = None
        with suppress(OSError):
            status = os.stat(path)
            if [status.st_dev, status.st_ino] == identity:
                os.unlink(path)


def open_listeners(config: Config, environ: MutableMapping[str, str]) -> list[Listener]:
    """Every listener that `bind` asks for; what a supervisor passed in LISTEN_FDS replaces `bind`, as with gunicorn."""
    addresses = inherited(environ) or [parse_address(text) for text in config.bind]
    return list(open_all(addresses, config))


def inherited(environ: MutableMapping[str, str]) -> list[Address]:
    """The descriptors of sd_listen_fds(3). The variables go, so that no child takes them for its own."""
    pid, count = environ.get("LISTEN_PID"), environ.get("LISTEN_FDS")
    if pid != str(os.getpid()) or count is None or not count.isdecimal():
        return []
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    numbers = range(FIRST_INHERITED, FIRST_INHERITED + int(count))
    return [Address(f"fd://{number}", descriptor=number) for number in numbers]


def open_all(addresses: Iterable[Address], config: Config) -> Iterator[Listener]:
    """All or nothing: when one can't be opened, those before it leave no trace."""
    addresses = list(addresses)
    ipv4_ports = {address.port for address in addresses if address.host and ":" not in address.host}
    opened: list[Listener] = []
    try:
        for address in addresses:
            opened.append(open_one(address, config, v6only=address.port in ipv4_ports))
    except BaseException:
        for listener in opened:
            listener.unlink()
            listener.close()
        raise
    yield from opened


def open_one(address: Address, config: Config, *, v6only: bool = False) -> Listener:
    if address.descriptor is not None:
        return adopt(address, address.descriptor)
    if address.path is not None:
        return open_unix(address, address.path, config)
    return open_tcp(address, config, v6only=v6only)


def adopt(address: Address, descriptor: int) -> Listener:
    try:
        sock = socket.socket(fileno=descriptor)
        listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigError(
            f"bind {address.text!r}: descriptor {descriptor} is not a socket ({error.strerror})"
        ) from None
    if not listens:
        sock.detach()
        raise ConfigError(f"bind {address.text!r}: descriptor {descriptor} is a socket, but it doesn't listen")
    sock.set_inheritable(False)
    return Listener(sock, address)


def take_over(text: str, descriptor: int, file: tuple[str, int, int] | None) -> Listener:
    """A predecessor's listener. One that doesn't listen yet is its `reuse_port` one, each worker's to open."""
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    listens = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    listener = Listener(sock, parse_address(text), reuse_port=not listens)
    listener.inherit(file)
    return listener


def open_tcp(address: Address, config: Config, *, v6only: bool) -> Listener:
    family, where = resolve(address)
    try:
        # `v6only`: [::]:80 beside 0.0.0.0:80 would otherwise find its IPv4 half taken, by us.
        sock = bind_tcp(family, where, reuse_port=config.reuse_port, v6only=v6only and family == socket.AF_INET6)
    except OSError as error:
        raise explain(address, where, error) from None
    if not config.reuse_port:
        try:
            # Only listen() tells when two sockets are bound to one address and somebody else listens.
            sock.listen(config.backlog)
        except OSError as error:
            sock.close()
            raise explain(address, where, error) from None
    return Listener(sock, address, reuse_port=config.reuse_port)


def resolve(address: Address) -> tuple[socket.AddressFamily, tuple[str, int]]:
    host = address.host or ""
    try:
        # As bytes: for text getaddrinfo loads the idna codec, half a megabyte, to look at "127.0.0.1".
        name = host.encode("ascii") if host.isascii() else host
        found = socket.getaddrinfo(name, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise ConfigError(f"bind {address.text!r}: can't resolve {host!r} ({error.strerror})") from None
    # A name such as localhost has both; IPv4 is what gunicorn binds.
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return found[0][0], found[0][4]  # type: ignore[return-value]


def bind_tcp(family: int, where: tuple[str, int], *, reuse_port: bool, v6only: bool = False) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if v6only:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
    except BaseException:
        sock.close()
        raise
    return sock


def explain(address: Address, where: tuple[str, int], error: OSError) -> ConfigError:
    text, port = address.text, where[1]
    match error.errno:
        case errno.EADDRINUSE:
            owner = port_owner(port)
            return AddressInUse(
                f"bind {text!r}: port {port} is in use by {owner or 'another process'}; stop it or choose another port"
            )
        case errno.EACCES:
            return ConfigError(f"bind {text!r}: port {port} needs root or CAP_NET_BIND_SERVICE; choose one above 1023")
        case errno.EADDRNOTAVAIL:
            return ConfigError(f"bind {text!r}: this machine has no address {where[0]}; 0.0.0.0 takes every address")
        case _:
            return ConfigError(f"bind {text!r}: {error.strerror}")


def port_owner(port: int) -> str | None:
    """Which process listens on a TCP port, where /proc is there and lets us look."""
    inode = next(sockets_of(port, LISTENING), None)
    return None if inode is None else process.socket_owner(inode)


def sockets_of(port: int, state: str) -> Iterator[int]:
    """The inodes of a TCP port's sockets in `state`, 0 where no process has it yet; none where there is no /proc."""
    suffix = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError), open(table, encoding="ascii") as lines:
            for line in lines:
                columns = line.split()
                if columns[1].endswith(suffix) and columns[3] == state:
                    yield int(columns[9])


def open_unix(address: Address, path: str, config: Config) -> Listener:
    remove_stale(address, path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        previous = os.umask(config.umask)
        try:
            sock.bind(path)
        finally:
            os.umask(previous)
        listener = Listener(sock, address)
        listener.claim(path)
    except OSError as error:
        sock.close()
        raise unix_error(address, path, error) from None
    try:
        owner = process.resolve_owner(config.user, config.group)
        if owner.changes:
            os.chown(path, owner.chown_uid, owner.chown_gid)
        sock.listen(config.backlog)
    except OSError as error:
        listener.unlink()
        sock.close()
        raise ConfigError(f"bind {address.text!r}: can't give {path} to {config.user}: {error.strerror}") from None
    except ConfigError:
        listener.unlink()
        sock.close()
        raise
    return listener


def unix_error(address: Address, path: str, error: OSError) -> ConfigError:
    folder = os.path.dirname(path) or "."
    if error.errno is None:
        return ConfigError(f"bind {address.text!r}: the path is too long for a unix socket (about 100 bytes)")
    if error.errno == errno.ENOENT:
        return ConfigError(f"bind {address.text!r}: the directory {folder} doesn't exist; make it first")
    return ConfigError(f"bind {address.text!r}: can't make a socket in {folder}: {error.strerror}")


def remove_stale(address: Address, path: str) -> None:
    """Remove the file that a killed server left; refuse when it is no socket, or when somebody answers on it."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise ConfigError(f"bind {address.text!r}: {path} exists and is not a socket; choose another path")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            # A full backlog answers EAGAIN instead of making us wait: that is somebody, too.
            probe.setblocking(False)
            probe.connect(path)
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        with suppress(FileNotFoundError):
            os.unlink(path)
        return
    except PermissionError:
        raise ConfigError(f"bind {address.text!r}: {path} exists and isn't ours; choose another path") from None
    except BlockingIOError:
        pass
    except OSError as error:
        raise ConfigError(f"bind {address.text!r}: can't look at {path}: {error.strerror}") from None
    raise AddressInUse(f"bind {address.text!r}: another process listens on {path}; stop it or choose another path")
