"""The end of a process whose arbiter is dead: nobody is left who would kill it when it hangs.

It knows the lifeline, a pipe whose other end only the arbiter holds, and that the kernel can signal its end of file.
"""

import os
import signal
import socket
from _thread import get_ident
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from corral.net.listener import Listener
from corral.worker.place import Place

# Next to the recorder's. Not SIGIO, which an application may use itself.
SIGNAL = signal.SIGRTMAX - 5 if hasattr(signal, "SIGRTMAX") else 0
F_SETSIG = 10  # linux/fcntl.h; the module fcntl hasn't got it


def end_in_time(place: Place, graceful_timeout: float) -> None:
    """A worker that is in a call when its arbiter dies makes way for another server now, and ends at graceful_timeout.

    It needs no loop for that, which may be a long time coming; a worker that has nothing to do has one.
    """
    if not SIGNAL:
        return
    main, counting, done = get_ident(), False, False

    def begin(signum: int, frame: FrameType | None) -> None:
        nonlocal counting, done
        if graceful_timeout and not counting:
            counting = True
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, graceful_timeout)
        if place.row.begun():  # or a call is about to: then it is reminded
            done = True
            make_way(place.listeners)

    signal.signal(SIGNAL, begin)
    own = arrange(place.lifeline, SIGNAL)
    if own is None:
        return

    def remind() -> None:
        if not done and has_ended(own):
            signal.pthread_kill(main, SIGNAL)

    place.remind = remind


def make_way(listeners: Sequence[Listener]) -> None:
    """Give the addresses back. The descriptors stay, for the loop still has them: nobody will ever connect to these."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as silent:
        silent.bind("")  # unix(7): an address of its own
        silent.listen()
        silent.setblocking(False)
        for listener in listeners:
            os.dup2(silent.fileno(), listener.fileno(), inheritable=False)


def end_at_once(lifeline: int) -> None:
    """For a process that has nothing to finish."""
    if SIGNAL:
        arrange(lifeline, signal.SIGKILL)


def arrange(lifeline: int, signum: int) -> int | None:
    """The descriptor whose end of file is signalled. None: it can't be arranged (no /proc), and a process that hangs
    outlives its arbiter, as it does elsewhere."""
    import fcntl  # lazily: in the child alone

    with suppress(OSError):
        # One's own description of the pipe: whom it signals is kept there, and the inherited one is everybody's.
        own = os.open(f"/proc/self/fd/{lifeline}", os.O_RDONLY | os.O_NONBLOCK)
        fcntl.fcntl(own, F_SETSIG, signum)
        fcntl.fcntl(own, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(own, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
        if has_ended(own):
            os.kill(os.getpid(), signum)  # it was too late for the signal
        return own
    return None


def has_ended(own: int) -> bool:
    try:
        return os.read(own, 1) == b""
    except BlockingIOError:
        return False
