"""The event loop over real pipes: who is called, when, and who no longer is."""

import os
import select
import threading

import pytest

from corral.net import reactor as module
from corral.net.reactor import GRAIN, NEVER, READ, SECOND, WRITE, PortablePoller, Reactor, monotonic


class Noted:
    """A handler that notes what happens to it."""

    def __init__(self, due=NEVER):
        self.due = due
        self.events = []
        self.expired = 0

    def ready(self, events):
        self.events.append(events)

    def expire(self, now):
        assert now >= self.due
        self.expired += 1
        self.due = NEVER


@pytest.fixture(params=["epoll", "poll"])
def reactor(request):
    reactor = Reactor()
    if request.param == "poll":
        reactor.close()
        reactor._poller = PortablePoller()
    yield reactor
    reactor.close()


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass


def passes(reactor, limit=SECOND // 10):
    """One pass that ends for certain."""
    stop = Noted()
    reactor.later(stop, monotonic() + limit)
    events = reactor.wait()
    for fd, flags in events:
        if fd in reactor.handlers:
            reactor.handlers[fd].ready(flags)
    reactor.cancel(stop)
    return [fd for fd, _ in events]


def test_what_is_ready_is_reported_until_it_is_taken(reactor, pipe):
    reader, writer = pipe
    handler = Noted()
    reactor.add(reader, handler)
    assert passes(reactor, 0) == []
    os.write(writer, b"ab")
    assert passes(reactor) == [reader]
    assert os.read(reader, 1) == b"a"
    assert passes(reactor) == [reader]
    assert os.read(reader, 1) == b"b"
    assert passes(reactor, 0) == []
    assert handler.events == [READ, READ]


def test_a_handler_may_hand_its_descriptor_over(reactor, pipe):
    _, writer = pipe
    first, second = Noted(), Noted()
    reactor.add(writer, first, READ)
    assert passes(reactor, 0) == []
    reactor.change(writer, second, WRITE)
    assert passes(reactor) == [writer]
    assert (first.events, second.events) == ([], [WRITE])


def test_what_is_removed_is_silent(reactor, pipe):
    reader, writer = pipe
    handler = Noted(due=monotonic())
    reactor.add(reader, handler)
    os.write(writer, b"a")
    reactor.remove(reader)
    assert passes(reactor, 0) == []
    assert (handler.events, handler.expired) == ([], 0)
    reactor.remove(reader)  # again is nothing


def test_what_another_file_has_replaced_is_removed_without_a_complaint(reactor, pipe):
    reader, _ = pipe
    ends = os.pipe()
    reactor.add(reader, Noted())
    os.dup2(ends[0], reader)
    reactor.remove(reader)
    assert reader not in reactor.handlers
    reactor.add(reader, handler := Noted())
    os.write(ends[1], b"a")
    passes(reactor, 1)
    assert len(handler.events) == 1
    for fd in ends:
        os.close(fd)


def test_a_descriptor_that_a_child_process_holds_open_is_silent_too(reactor, pipe):
    """epoll watches the open file, not the descriptor: hence remove, and before close."""
    reader, writer = pipe
    held = os.dup(reader)  # what a fork would leave
    reactor.add(reader, Noted())
    os.write(writer, b"a")
    reactor.remove(reader)
    os.close(reader)
    assert passes(reactor, 0) == []
    os.close(held)


def test_what_is_hidden_is_silent_until_somebody_has_it_again(reactor, pipe):
    reader, writer = pipe
    reactor.add(reader, Noted())
    os.write(writer, b"a")
    reactor.hide(reader, hidden := Noted())
    assert (passes(reactor, 0), hidden.events) == ([], [])
    reactor.add(reader, added := Noted())
    assert (passes(reactor), added.events) == ([reader], [READ])
    reactor.hide(reader, hidden)
    reactor.change(reader, changed := Noted(), READ)
    assert (passes(reactor), changed.events) == ([reader], [READ])
    reactor.hide(reader, hidden)
    reactor.remove(reader)
    assert (passes(reactor, 0), hidden.events, reader in reactor.handlers) == ([], [], False)


def test_the_other_end_closing_is_an_event(reactor, pipe):
    reader, writer = pipe
    reactor.add(reader, Noted())
    os.close(writer)
    assert passes(reactor) == [reader]


def test_deadlines_of_descriptors_and_of_nobody(reactor, pipe):
    reader, _ = pipe
    soon, later, never, alone = Noted(monotonic() + SECOND // 50), Noted(monotonic() + 60 * SECOND), Noted(), Noted()
    reactor.add(reader, soon)
    reactor.add(pipe[1], later, READ)
    reactor.later(alone, monotonic() + SECOND // 50)
    end = monotonic() + 5 * SECOND
    while not (soon.expired and alone.expired):
        assert monotonic() < end
        reactor.wait()
    assert (soon.expired, alone.expired, later.expired, never.expired) == (1, 1, 0, 0)
    assert reactor.timers == set()
    assert reactor.wake_at == later.due


def test_it_sleeps_as_long_as_nothing_is_due(reactor):
    handler = Noted()
    reactor.later(handler, begun := monotonic() + SECOND // 20)
    reactor.wait()
    assert monotonic() >= begun
    assert handler.expired == 1


def test_a_deadline_that_moves_away_costs_one_look(reactor, pipe):
    """A request moves its connection's deadline without telling the reactor."""
    handler = Noted(monotonic() + SECOND // 100)
    reactor.add(pipe[0], handler)
    handler.due = monotonic() + 60 * SECOND
    reactor.wait()
    assert handler.expired == 0
    assert reactor.wake_at == handler.due


def test_sweeps_are_a_grain_apart(reactor, pipe):
    first, second = Noted(monotonic()), Noted(monotonic() + SECOND // 1000)
    reactor.add(pipe[0], first)
    reactor.add(pipe[1], second, READ)
    now = monotonic()
    second.due = now + 1
    reactor.sweep(now)
    assert (first.expired, second.expired) == (1, 0)
    assert reactor.wake_at == now + GRAIN


def test_an_expiry_may_set_another(reactor):
    class Again(Noted):
        def expire(self, now):
            super().expire(now)
            if self.expired < 3:
                reactor.later(self, now)

    handler = Again()
    reactor.later(handler, monotonic())
    end = monotonic() + 5 * SECOND
    while handler.expired < 3:
        assert monotonic() < end
        reactor.wait()
    assert reactor.timers == set()
    assert reactor.wake_at >= NEVER


def test_a_timer_that_is_cancelled(reactor):
    handler = Noted()
    reactor.later(handler, monotonic())
    reactor.cancel(handler)
    reactor.cancel(handler)
    assert passes(reactor, 0) == []
    assert handler.expired == 0


def test_now_is_when_the_last_events_were_taken(reactor):
    before = monotonic()
    passes(reactor, 0)
    assert before <= reactor.now <= monotonic()


def test_the_flags_are_those_of_the_system():
    assert (module.READ, module.WRITE) == (select.POLLIN, select.POLLOUT)


def test_who_is_added_is_a_handler_by_the_time_another_thread_is_told_of_him(pipe):
    reader, writer = pipe
    os.write(writer, b"a")
    reactor, handler, strangers = Reactor(), Noted(), []
    told, over = threading.Semaphore(0), threading.Event()

    def lead():
        while not over.is_set():
            for fd, _ in reactor.gather(0.05):
                found = reactor.handlers.get(fd)
                if found is not handler:
                    strangers.append(found)
                reactor.hide(fd, handler)
                told.release()

    leader = threading.Thread(target=lead)
    leader.start()
    try:
        for _ in range(2000):
            reactor.handlers.pop(reader, None)
            reactor.add(reader, handler)
            assert told.acquire(timeout=10)
    finally:
        over.set()
        leader.join()
        reactor.close()
    assert not strangers
