"""A reactor in asyncio's loop: with epoll, and descriptor by descriptor where there is none."""

import asyncio
import os

import pytest

from corral.net.guest import GuestReactor, LoopPoller
from corral.net.reactor import NEVER, READ, WRITE, monotonic


class Handler:
    due = NEVER

    def __init__(self):
        self.seen = []
        self.expired = asyncio.Event()
        self.told = asyncio.Event()

    def ready(self, events):
        self.seen.append(events)
        self.told.set()

    def expire(self, now):
        self.due = NEVER
        self.expired.set()


@pytest.fixture(params=["epoll", "descriptor by descriptor"])
def reactor(request):
    reactor = GuestReactor()
    if request.param != "epoll":
        reactor.close()
        reactor._poller = LoopPoller()
    yield reactor
    reactor.close()


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_readiness_and_deadlines_come_through_the_loop(reactor, pipe):
    reader, writer = pipe

    async def live():
        handler = Handler()
        reactor.add(reader, handler)
        turns = []
        reactor.enter(asyncio.get_running_loop(), lambda: turns.append(1))
        os.write(writer, b"x")
        async with asyncio.timeout(5):
            await handler.told.wait()
            assert handler.seen[0] & READ
            os.read(reader, 1)
            reactor.change(reader, handler, 0)
            handler.due = monotonic() + 10_000_000
            reactor.wake_at = handler.due
            reactor.arm()
            await handler.expired.wait()
            handler.told.clear()
            reactor.remove(reader)
            reactor.add(writer, handler, WRITE)
            await handler.told.wait()
        assert handler.seen[-1] & WRITE
        reactor.remove(writer)
        assert turns
        reactor.leave()

    asyncio.run(live())
