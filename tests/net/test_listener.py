"""Listeners: what each opens, what is inherited, and a helpful line for each thing that can go wrong."""

import os
import select
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from corral.config.settings import Config
from corral.errors import ConfigError
from corral.net.listener import AddressInUse, Listener, open_listeners
from corral.shared import process

Opener = Callable[..., list[Listener]]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens listeners, and closes them after the test."""
    everything: list[Listener] = []

    def opener(*bind: str, environ: dict[str, str] | None = None, **settings: object) -> list[Listener]:
        listeners = open_listeners(Config(bind=bind, **settings), environ or {})  # type: ignore[arg-type]
        everything.extend(listeners)
        return listeners

    yield opener
    for listener in everything:
        listener.unlink()
        listener.close()


def test_a_tcp_listener_accepts_and_says_where(opened: Opener) -> None:
    [listener] = opened("127.0.0.1:0")
    host, port = listener.name
    assert (host, listener.label) == ("127.0.0.1", f"http://127.0.0.1:{port}")
    assert listener.socket.gettimeout() == 0.0
    with socket.create_connection((host, int(port))):
        connection, _ = listener.socket.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_those_who_wait_to_be_accepted_are_counted(opened: Opener, tmp_path: Path) -> None:
    tcp, unix = opened("127.0.0.1:0", f"unix:{tmp_path}/s")
    host, port = tcp.name
    assert (tcp.waiting, unix.waiting) == (0, 0)
    with socket.create_connection((host, int(port))), socket.create_connection((host, int(port))):
        assert tcp.waiting == 2
        tcp.socket.accept()[0].close()
        assert tcp.waiting == 1
    with connect(tmp_path / "s"):
        assert unix.waiting == 0  # the system doesn't tell


def test_a_name_is_bound_on_ipv4(opened: Opener) -> None:
    [listener] = opened("localhost:0")
    assert listener.family == socket.AF_INET


def test_several_addresses_at_once_and_both_families_of_one_port(opened: Opener, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    listeners = opened(f"0.0.0.0:{port}", f"[::]:{port}", f"unix:{tmp_path}/s")
    assert [listener.label for listener in listeners] == [
        f"http://0.0.0.0:{port}", f"http://[::]:{port}", f"unix:{tmp_path}/s",
    ]  # fmt: skip


def test_a_port_that_is_taken_is_taken_by_somebody(opened: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(AddressInUse, match=rf"port {port} is in use by pid {os.getpid()} \("):
            opened(f"127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("bind", "hint"),
    [
        pytest.param("192.0.2.1:0", "this machine has no address 192.0.2.1", id="an address of another machine"),
        pytest.param("name.invalid:80", "can't resolve 'name.invalid'", id="a name that doesn't exist"),
        pytest.param("fd://987", "descriptor 987 is not a socket", id="a descriptor that isn't open"),
        pytest.param("unix:/nowhere/at/all/s", "/nowhere/at/all doesn't exist", id="a directory that isn't there"),
        pytest.param(f"unix:/{'x' * 200}", "too long", id="a path that is too long"),
    ],
)
def test_what_the_machine_refuses_is_a_line(opened: Opener, bind: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        opened(bind)


def test_when_one_fails_the_others_leave_no_trace(opened: Opener, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        opened(f"unix:{tmp_path}/s", "fd://987")
    assert list(tmp_path.iterdir()) == []


def test_with_reuse_port_each_worker_has_a_socket_of_its_own(opened: Opener) -> None:
    [reserved] = opened("127.0.0.1:0", reuse_port=True)
    host, port = reserved.name
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    clone = Listener(reserved.socket.dup(), reserved.address, reuse_port=True)
    own = clone.own(16)
    with socket.create_connection((host, int(port))):
        own.socket.accept()[0].close()
    own.close()


@pytest.mark.parametrize("reuse_port", [False, True])
def test_who_says_nothing_is_left_to_the_kernel(opened: Opener, reuse_port: bool) -> None:
    [reserved] = opened("127.0.0.1:0", reuse_port=reuse_port)
    host, port = reserved.name
    own = Listener(reserved.socket.dup(), reserved.address, reuse_port=reuse_port).own(16, 5)
    with socket.create_connection((host, int(port))) as silent, socket.create_connection((host, int(port))) as client:
        client.sendall(b"a")
        select.select([own], [], [], 10)
        accepted, peer = own.socket.accept()
        assert (accepted.recv(1), peer) == (b"a", client.getsockname())
        accepted.close()
        with pytest.raises(BlockingIOError):
            own.socket.accept()
        assert own.deferring
        silent.close()  # whoever leaves is heard of
        select.select([own], [], [], 10)
        own.socket.accept()[0].close()
    own.close()


# unix sockets


def connect(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def test_a_unix_socket_is_there_while_it_is_needed(opened: Opener, tmp_path: Path) -> None:
    path = tmp_path / "s"
    [listener] = opened(f"unix:{path}")
    assert (listener.label, listener.name) == (f"unix:{path}", ("", ""))
    connect(path).close()
    listener.unlink()
    assert not path.exists()
    listener.unlink()  # twice, or when the file has vanished, is fine


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o777), (0o117, 0o660)])
def test_umask_decides_who_may_connect(opened: Opener, tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(0o22)
    opened(f"unix:{tmp_path}/s", umask=umask)
    assert os.umask(before) == 0o22
    assert (tmp_path / "s").stat().st_mode & 0o777 == mode


def test_what_a_killed_server_left_is_replaced(opened: Opener, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    opened(f"unix:{path}")
    connect(path).close()


@pytest.mark.parametrize("backlog", [pytest.param(16, id="with room"), pytest.param(0, id="with a full backlog")])
def test_a_unix_socket_with_somebody_behind_it_stays(opened: Opener, tmp_path: Path, backlog: int) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(backlog)
        with connect(path), pytest.raises(AddressInUse, match="another process listens on"):
            opened(f"unix:{path}")
    assert path.exists()


def test_a_file_that_is_no_socket_stays(opened: Opener, tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="is not a socket"):
        opened(f"unix:{path}")
    assert path.read_text() == "precious"


def test_a_successors_socket_is_not_removed(opened: Opener, tmp_path: Path) -> None:
    path = tmp_path / "s"
    [listener] = opened(f"unix:{path}")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as successor:
        # The file system may give the freed inode number to the next file; a file in between takes it.
        (tmp_path / "between").write_text("")
        successor.bind(str(path))
        listener.unlink()
        assert path.exists()


# inherited


def in_child(child: Callable[[], bool]) -> None:
    """Descriptors 3 and 4 belong to a process of their own, not to the one that runs the tests."""
    assert os.waitpid(process.fork(lambda: 0 if child() else 1), 0)[1] == 0


def test_a_supervisors_descriptors_replace_bind() -> None:
    def child() -> bool:
        for descriptor in (3, 4):
            os.dup2(socket.create_server(("127.0.0.1", 0)).detach(), descriptor, inheritable=True)
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "PATH": "/bin"}
        listeners = open_listeners(Config(bind=("127.0.0.1:1",)), environ)
        return (
            [listener.fileno() for listener in listeners] == [3, 4]
            and environ == {"PATH": "/bin"}
            and not os.get_inheritable(3)
        )

    in_child(child)


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, id="meant for another process"),
        pytest.param({"LISTEN_FDS": "1"}, id="meant for nobody"),
        pytest.param({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"}, id="no number"),
        pytest.param({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}, id="none"),
    ],
)
def test_descriptors_that_are_not_ours_are_left_alone(opened: Opener, environ: dict[str, str]) -> None:
    [listener] = opened("127.0.0.1:0", environ=environ)
    assert listener.address.text == "127.0.0.1:0"


def test_a_descriptor_beside_other_addresses(opened: Opener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        descriptor = os.dup(given.fileno())
        listeners = opened(f"fd://{descriptor}", "127.0.0.1:0")
        assert listeners[0].name == ("127.0.0.1", str(given.getsockname()[1]))
        assert len(listeners) == 2


def test_a_descriptor_that_does_not_listen_is_refused(opened: Opener) -> None:
    with (
        socket.socket() as idle,
        pytest.raises(ConfigError, match=f"descriptor {idle.fileno()} is a socket, but it doesn't listen"),
    ):
        opened(f"fd://{idle.fileno()}")
