"""Pid files, owners and what /proc tells. What needs a real server is in tests/live."""

import grp
import os
import pwd
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from corral.errors import ConfigError
from corral.shared import process
from corral.shared.process import Pidfile


def wait_for(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_exits_with_what_its_function_returns() -> None:
    assert wait_for(process.fork(lambda: 7)) == 7


@pytest.mark.parametrize(
    ("leaving", "code"),
    [
        pytest.param(SystemExit(5), 5, id="a number is the code"),
        pytest.param(SystemExit(), 0, id="none is success"),
        pytest.param(SystemExit("why"), 1, id="a text is failure"),
    ],
)
def test_a_child_may_leave_with_system_exit(leaving: SystemExit, code: int) -> None:
    def child() -> int:
        raise leaving

    assert wait_for(process.fork(child)) == code


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_child_that_is_told_to_go_before_it_is_ready_goes_quietly(signum: signal.Signals) -> None:
    def child() -> int:
        os.kill(os.getpid(), signum)
        return 9

    assert wait_for(process.fork(child)) == 0


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGWINCH])
def test_a_child_ignores_what_is_for_the_arbiter(signum: signal.Signals) -> None:
    def child() -> int:
        os.kill(os.getpid(), signum)
        return 9

    assert wait_for(process.fork(child)) == 9


def test_the_parent_has_its_signals_back_after_the_fork() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    wait_for(process.fork(lambda: 0))
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_to_kill_a_process_that_has_gone_is_no_failure() -> None:
    pid = process.fork(lambda: 0)
    wait_for(pid)
    assert process.kill(pid, signal.SIGTERM) == ""


def test_the_owner_of_a_socket_is_found() -> None:
    with socket.socket() as sock:
        inode = os.fstat(sock.fileno()).st_ino
        owner = process.socket_owner(inode)
    assert owner is not None
    assert owner.startswith(f"pid {os.getpid()} (")


def test_oom_kills_are_counted_or_nobody_counts() -> None:
    assert process.oom_kills() >= 0
    assert all(path.startswith("/sys/fs/cgroup/") for path in process.oom_counters())


@pytest.mark.parametrize(
    ("text", "kills"),
    [
        pytest.param("low 0\nhigh 3\nmax 9\noom 2\noom_kill 2\noom_group_kill 0\n", 2, id="cgroup 2, memory.events"),
        pytest.param("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n", 5, id="cgroup 1, memory.oom_control"),
        pytest.param("oom_kill_disable 0\nunder_oom 0\n", 0, id="an old kernel doesn't count"),
        pytest.param("oom_kill many\n", 0, id="nonsense counts for nothing"),
    ],
)
def test_the_oom_counter_of_each_kind_of_cgroup(tmp_path: Path, text: str, kills: int) -> None:
    counter = tmp_path / "counter"
    counter.write_text(text)
    assert process.oom_kills([str(tmp_path / "missing"), str(counter)]) == kills


def test_a_pid_file_holds_the_pid_and_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    Pidfile(str(path)).create()
    assert path.read_text() == f"{os.getpid()}\n"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_a_pid_file_is_removed_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    pidfile = Pidfile(str(path))
    pidfile.create()
    path.write_text("1\n")
    pidfile.remove()
    assert path.exists()
    path.write_text(f"{os.getpid()}\n")
    pidfile.remove()
    assert not path.exists()


def test_a_live_holder_keeps_others_out(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    reader, writer = os.pipe()
    pid = process.fork(lambda: len(os.read(reader, 1)))
    try:
        path.write_text(f"{pid}\n")
        with pytest.raises(ConfigError, match=f"already running as pid {pid}"):
            Pidfile(str(path)).create()
        assert path.read_text() == f"{pid}\n"
    finally:
        os.write(writer, b"x")
        wait_for(pid)
        os.close(reader)
        os.close(writer)
    Pidfile(str(path)).create()
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_pid_that_came_round_again_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text(f"{os.getppid()}\n")
    os.utime(path, (1_000_000_000, 1_000_000_000))  # written long before that process started
    Pidfile(str(path)).create()
    assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize("content", ["", "\n", "nonsense\n", "-1\n", "0\n", "99999999\n"])
def test_a_pid_file_without_a_live_pid_is_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pid"
    path.write_text(content)
    Pidfile(str(path)).create()
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_pid_file_that_cannot_be_written_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"can't write it: No such file or directory"):
        Pidfile(str(tmp_path / "missing" / "pid")).create()


def test_names_and_numbers_of_owners_are_the_same() -> None:
    user, group = pwd.getpwall()[-1], grp.getgrall()[-1]
    named = process.resolve_owner(user.pw_name, group.gr_name)
    assert named == process.resolve_owner(user.pw_uid, group.gr_gid)
    assert named == process.resolve_owner(str(user.pw_uid), str(group.gr_gid))


def test_who_we_are_already_is_no_change() -> None:
    assert not process.resolve_owner(os.geteuid(), os.getegid()).changes
    assert not process.resolve_owner(None, None).changes


@pytest.mark.parametrize(
    ("user", "group", "text"),
    [
        pytest.param("nobody-of-that-name", None, "there is no such user", id="an unknown user"),
        pytest.param(None, "nogroup-of-that-name", "there is no such group", id="an unknown group"),
    ],
)
def test_an_unknown_owner_is_a_line(user: str | None, group: str | None, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        process.resolve_owner(user, group)


@pytest.mark.parametrize(
    ("quota", "found"),
    [("max 100000", None), ("50000 100000", 1), ("100000 100000", 1), ("6400000 100", None), ("", None), ("all", None)],
)
def test_processors_are_those_that_a_control_group_leaves(tmp_path: Path, quota: str, found: int | None) -> None:
    allowed = len(os.sched_getaffinity(0))
    (tmp_path / "cpu.max").write_text(quota)
    assert process.processors(str(tmp_path / "cpu.max")) == (found or allowed)
    assert process.processors(str(tmp_path / "missing")) == allowed


def test_work_is_what_a_thread_has_computed_or_would_have() -> None:
    thread = threading.get_native_id()
    before, began = process.work_of(thread), time.monotonic_ns()
    while time.monotonic_ns() - began < 50_000_000:
        pass
    spun, ended = process.work_of(thread) - before, time.monotonic_ns()
    assert spun > (ended - began) // 2
    with pytest.raises(OSError, match="No such file"):
        process.work_of(0)
