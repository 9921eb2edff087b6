"""The wake-up pipe: pokes and signals arrive, in order, and nothing that writes ever waits."""

import os
import select
import signal
from collections.abc import Iterator

import pytest

from corral.shared.wakeup import Wakeup


@pytest.fixture
def wakeup() -> Iterator[Wakeup]:
    wakeup = Wakeup()
    yield wakeup
    wakeup.close()


@pytest.fixture
def watched(wakeup: Wakeup) -> Iterator[Wakeup]:
    signums = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
    before = {signum: signal.getsignal(signum) for signum in signums}
    wakeup.watch_signals(signums)
    yield wakeup
    signal.set_wakeup_fd(-1)
    for signum, handler in before.items():
        signal.signal(signum, handler)


def readable(wakeup: Wakeup) -> bool:
    return bool(select.select([wakeup], (), (), 0)[0])


def test_nothing_arrives_unasked(wakeup: Wakeup) -> None:
    assert not readable(wakeup)
    assert wakeup.drain() == b""


def test_a_poke_makes_it_readable_until_it_is_drained(wakeup: Wakeup) -> None:
    wakeup.wake()
    wakeup.wake()
    assert readable(wakeup)
    assert wakeup.drain() == b"\0\0"
    assert not readable(wakeup)


def test_a_full_pipe_takes_no_more_and_nobody_waits(wakeup: Wakeup) -> None:
    for _ in range(100_000):
        wakeup.wake()
    assert 4096 < len(wakeup.drain()) <= 100_000
    assert not readable(wakeup)


def test_signals_arrive_as_their_numbers_in_order(watched: Wakeup) -> None:
    for signum in (signal.SIGUSR2, signal.SIGWINCH, signal.SIGUSR1):
        os.kill(os.getpid(), signum)
    assert watched.drain() == bytes([signal.SIGUSR2, signal.SIGWINCH, signal.SIGUSR1])


def test_the_pipe_is_closed_on_exec(wakeup: Wakeup) -> None:
    assert not os.get_inheritable(wakeup.fileno())


def test_a_poke_after_the_reader_has_gone_is_harmless() -> None:
    wakeup = Wakeup()
    wakeup.close()
    wakeup.wake()
