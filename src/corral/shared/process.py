"""Processes: fork, reap, kill, title, pid file, daemon, user and group, and what /proc tells about them.

System calls and no policy: who is forked or killed, and when, is decided elsewhere.
"""

import errno
import gc
import grp
import os
import pwd
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from corral.errors import EXIT_CRASH, ConfigError

WORKER_IGNORES = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH)
WORKER_LEAVES = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
NO_IDENTITY = 0xFFFFFFFF  # chown(2): leave it as it is
WORKER_DEFAULTS = (signal.SIGABRT, signal.SIGCHLD)


# fork, reap, kill


def fork(child: Callable[[], int], *, frozen: bool = False) -> int:
    """Fork a child that runs `child` and exits with what it returns; the parent gets its pid.

    Signals are blocked around the fork. The child is born with the parent's handlers and wake-up pipe, so a signal
    meant for the child would reach the parent as if it were its own; it waits until the child has reset them.
    """
    if not frozen:
        freeze()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            run_child(child)
        return pid
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def freeze() -> None:
    """A collector writes to every object it visits, and so unshares its page. What is frozen it never visits again,
    here nor in a child, so a parent stays frozen; what became garbage since the last fork is freed before."""
    gc.collect()
    gc.freeze()


def run_child(child: Callable[[], int]) -> NoReturn:
    """The child's whole life: it never returns into the parent's code, whatever happens."""
    code = EXIT_CRASH
    try:
        reset_signals()
        code = child()
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        # The parent's `finally` blocks and atexit functions are not the child's to run.
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code & 0xFF)


def reset_signals() -> None:
    """Until the worker installs its own handlers it leaves at once when told, and ignores what is for the arbiter.

    HUP too: `pkill -HUP corral` reaches every process of the server and should reload it, not kill the workers.
    """
    signal.set_wakeup_fd(-1)
    for signum in WORKER_IGNORES:
        signal.signal(signum, signal.SIG_IGN)
    for signum in WORKER_LEAVES:
        signal.signal(signum, lambda _signum, _frame: os._exit(0))
    for signum in WORKER_DEFAULTS:
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def adopt_orphans() -> bool:
    """From now on a grandchild whose parent ends is our child. False where there is no such thing."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes  # lazily: only who preloads pays for it

        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


@dataclass(frozen=True, slots=True)
class Death:
    """A child that was reaped: it exited with `code`, or `signum` killed it (0: none did)."""

    pid: int
    code: int
    signum: int
    peak_memory: int  # bytes


def reap() -> Iterator[Death]:
    """Every child that has died; also those that aren't ours, which process 1 of a container inherits."""
    while True:
        try:
            pid, status, usage = os.wait3(os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        code, signum = (os.WEXITSTATUS(status), 0) if os.WIFEXITED(status) else (0, os.WTERMSIG(status))
        unit = 1 if sys.platform == "darwin" else 1024
        yield Death(pid, code, signum, usage.ru_maxrss * unit)


def kill(pid: int, signum: int) -> str:
    """Send a signal; the empty string, or why it couldn't be sent. A process that is gone already is no failure."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return ""
    except OSError as error:
        return error.strerror or str(error)
    return ""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def cpu_time(pid: int) -> int:
    """Nanoseconds on a processor, all threads together; 0 where the system doesn't tell.

    The clock of another process, as clock_getcpuclockid(3) makes its number on Linux.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except (OSError, OverflowError):
        return 0


def queue_time(pid: int) -> int:
    """Nanoseconds that its threads were ready to run and had no processor; 0 where the system doesn't tell.

    The second number of schedstat, which only threads have each for itself.
    """
    total = 0
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/task/{thread}/schedstat") as file:
                total += int(file.read().split()[1])
    return total


def private_memory() -> int:
    """Bytes that this process has for itself, and that its end would free; 0 where the system doesn't tell.

    What it shares with the arbiter and its siblings since the fork isn't counted (proc(5): smaps_rollup).
    """
    with suppress(OSError, ValueError, IndexError), open("/proc/self/smaps_rollup", "rb") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith((b"Private_", b"Swap:"))) << 10
    return 0


def oom_kills(counters: Iterable[str] = ()) -> int:
    """How many processes the kernel has killed in our cgroup for want of memory; 0 where nobody counts."""
    for path in counters or oom_counters():
        with suppress(OSError, ValueError), open(path, encoding="ascii") as lines:
            for line in lines:
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0


def oom_counters() -> Iterator[str]:
    with suppress(OSError), open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            _, controllers, group = line.rstrip("\n").split(":", 2)
            if not controllers:
                yield f"/sys/fs/cgroup{group.rstrip('/')}/memory.events"
            elif "memory" in controllers.split(","):
                yield f"/sys/fs/cgroup/memory{group.rstrip('/')}/memory.oom_control"
    # In a container the group's path is often the host's, and our own group is mounted at the top.
    yield "/sys/fs/cgroup/memory.events"
    yield "/sys/fs/cgroup/memory/memory.oom_control"


def socket_owner(inode: int) -> str | None:
    """ "pid 12 (nginx)" for the process that has a socket open, where we may look."""
    link = f"socket:[{inode}]"
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        with suppress(OSError):
            folder = f"/proc/{name}/fd"
            for descriptor in os.listdir(folder):
                with suppress(OSError):
                    if os.readlink(f"{folder}/{descriptor}") == link:
                        return f"pid {name} ({command_of(int(name))})"
    return None


def command_of(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return "unknown"


# title


def set_title(text: str) -> None:
    """What `ps` shows, where setproctitle is installed."""
    try:
        # lazily: an optional dependency.
        from setproctitle import setproctitle
    except ImportError:
        return
    setproctitle(text)


# pid file


class Pidfile:
    """A file with our pid in it, which says to others which process to signal and to a second server to stay away."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)

    def create(self) -> None:
        other = self.holder()
        if other:
            raise ConfigError(
                f"pidfile {self.path!r}: already running as pid {other}; stop it, or give this server a file of its own"
            )
        # Written aside and renamed: a reader sees the old pid or the new one, never an empty file.
        temporary = f"{self.path}.{os.getpid()}"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            with open(descriptor, "w", encoding="ascii") as file:
                os.fchmod(descriptor, 0o644)
                file.write(f"{os.getpid()}\n")
            os.rename(temporary, self.path)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary)
            raise ConfigError(f"pidfile {self.path!r}: can't write it: {error.strerror}") from None

    def holder(self) -> int:
        """The pid of another live server, or 0."""
        pid = self.read()
        if pid in (0, os.getpid()) or not alive(pid):
            return 0
        return 0 if self.reused(pid) else pid

    def reused(self, pid: int) -> bool:
        """The pid is alive, but its process started after the file was written: the number came round again.

        In a container numbers are small and start over with each boot, so this is the usual case, not a rare one.
        """
        started = started_at(pid)
        if started is None:
            return False
        with suppress(OSError):
            return started > os.stat(self.path).st_mtime + 1.0
        return False

    def read(self) -> int:
        try:
            with open(self.path, encoding="ascii") as file:
                return max(int(file.read().strip() or 0), 0)
        except (OSError, ValueError):
            return 0

    def rename(self, path: str) -> None:
        """The process is called otherwise from now on. Raises OSError."""
        os.rename(self.path, path)
        self.path = path

    def remove(self) -> None:
        """Remove the file, unless it is somebody else's by now."""
        if self.read() == os.getpid():
            with suppress(OSError):
                os.unlink(self.path)


def started_at(pid: int) -> float | None:
    """When a process started, in seconds since the epoch (proc(5): field 22 of stat, in ticks since boot)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        with open("/proc/stat", encoding="ascii") as file:
            boot = next(int(line.split()[1]) for line in file if line.startswith("btime "))
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    return float(boot + ticks / os.sysconf("SC_CLK_TCK"))


# daemon


class Daemon:
    """The process that stays. Until `detach` it has the terminal, and the command that was typed waits for it.

    So a port that is taken, or an application that can't be preloaded, is a line on the terminal and an exit code.
    """

    __slots__ = ("_pipe",)

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def detach(self, *, keep_output: bool = False) -> None:
        """The start has succeeded: let go of the terminal, and let the command end."""
        leave_terminal(keep_output=keep_output)
        self.report(0)

    def report(self, code: int) -> None:
        """Tell the waiting command its exit code, once."""
        if self._pipe >= 0:
            os.write(self._pipe, bytes((code,)))
            os.close(self._pipe)
            self._pipe = -1


def leave_terminal(*, keep_output: bool = False) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0,) if keep_output else (0, 1, 2):
        os.dup2(null, descriptor)
    if null > 2:
        os.close(null)


def daemonize() -> Daemon:
    """Leave the session: fork, setsid, and fork again so that no terminal can be acquired. Only the daemon returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os._exit((os.read(reader, 1) or bytes((EXIT_CRASH,)))[0])
    os.setsid()
    if os.fork():
        os._exit(0)
    os.close(reader)
    return Daemon(writer)


# user and group


@dataclass(frozen=True, slots=True)
class Owner:
    """Who the workers run as. `uid` and `gid` are None where they stay what they are."""

    uid: int | None
    gid: int | None
    name: str | None

    @property
    def changes(self) -> bool:
        return self.uid is not None or self.gid is not None

    @property
    def chown_uid(self) -> int:
        return -1 if self.uid is None else self.uid

    @property
    def chown_gid(self) -> int:
        return -1 if self.gid is None else self.gid


def resolve_owner(user: str | int | None, group: str | int | None) -> Owner:
    """Names to numbers. None, and what the process already is, mean no change."""
    uid, name = resolve_user(user)
    gid = resolve_group(group)
    return Owner(None if uid == os.geteuid() else uid, None if gid == os.getegid() else gid, name)


def resolve_user(user: str | int | None) -> tuple[int | None, str | None]:
    if user is None:
        return None, None
    try:
        number = int(user)
    except ValueError:
        try:
            return pwd.getpwnam(str(user)).pw_uid, str(user)
        except KeyError:
            raise ConfigError(f"user {user!r}: there is no such user") from None
    check_identity("user", number)
    with suppress(KeyError):
        return number, pwd.getpwuid(number).pw_name
    return number, None


def resolve_group(group: str | int | None) -> int | None:
    if group is None:
        return None
    try:
        number = int(group)
    except ValueError:
        try:
            return grp.getgrnam(str(group)).gr_gid
        except KeyError:
            raise ConfigError(f"group {group!r}: there is no such group") from None
    check_identity("group", number)
    return number


def check_identity(kind: str, number: int) -> None:
    if not 0 <= number < NO_IDENTITY:
        raise ConfigError(f"{kind} {number}: must be from 0 to {NO_IDENTITY - 1}")


def drop_privileges(user: str | int | None, group: str | int | None, initgroups: bool) -> None:
    """Become `user` and `group`. The group first: the new user may not change it any more."""
    owner = resolve_owner(user, group)
    try:
        if initgroups and owner.uid is not None and owner.name is not None:
            os.initgroups(owner.name, os.getegid() if owner.gid is None else owner.gid)
        elif owner.changes and os.geteuid() == 0:
            # Root's own supplementary groups must not stay behind.
            os.setgroups([])
        if owner.gid is not None:
            os.setgid(owner.gid)
        if owner.uid is not None:
            os.setuid(owner.uid)
    except OSError as error:
        hint = "; only root may change it" if error.errno == errno.EPERM else ""
        raise ConfigError(f"user {user!r}, group {group!r}: {error.strerror}{hint}") from None


# processors


def processors(quota_path: str = "/sys/fs/cgroup/cpu.max") -> int:
    """How many this process may use at one time: those it may run on, and what its control group leaves of them."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open(quota_path) as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return allowed  # no control groups, or the first kind of them
    return allowed if quota == "max" else max(1, min(allowed, -(-int(quota) // int(period))))


def work_of(thread: int) -> int:
    """Nanoseconds in which a thread of this process, by its native number, has run or has waited for a processor: how
    busy others keep them makes no difference. Raises OSError where the kernel doesn't say (proc(5), schedstat)."""
    with open(f"/proc/self/task/{thread}/schedstat") as file:
        ran, waited, _ = map(int, file.read().split())
    return ran + waited


# descriptors


def close_descriptors(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
