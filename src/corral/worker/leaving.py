"""How a worker leaves: what it has begun it finishes, and its other connections go to whoever stays.

If the whole server stops nobody stays: then who waits to be accepted is still served, and the silent are let go.
"""

from collections.abc import Iterator

from corral.net.acceptor import Acceptor
from corral.net.connection import Connection
from corral.net.handoff import Taker, give, movable
from corral.net.handshake import Handshaking
from corral.net.reactor import SECOND, monotonic
from corral.net.states import Flushing, Lingering
from corral.shared.scoreboard import STOPPING
from corral.worker.serving import Serving

FIRST_REQUEST = SECOND  # how long a leaving worker waits for the first request of a connection it has accepted
NEXT_TRY = SECOND // 100  # the channel was full
NEXT_LOOK = SECOND // 20  # at who has connected and said nothing


def drain(serving: Serving, acceptors: list[Acceptor], taker: Taker | None) -> None:
    """Return when no connection is left, or at the end of graceful_timeout."""
    for _ in draining(serving, acceptors, taker):
        serving.turn()
        serving.settle()
    close_all(serving)
    serving.settle()


def close_all(serving: Serving) -> None:
    for left in list(serving.reactor.handlers.values()):
        if isinstance(left, Connection):
            left.close()
        elif isinstance(left, Flushing | Lingering | Handshaking):
            left.connection.close()


def draining(serving: Serving, acceptors: list[Acceptor], taker: Taker | None) -> Iterator[None]:
    """The same in steps: at each the loop is to turn once."""
    reactor = serving.reactor
    moving = serving.has_heirs()
    # Who waits may have been told to this worker alone (EPOLLEXCLUSIVE): left where he is, nobody would look.
    if taker is not None:
        taker.inline = False
        taker.drain()
        taker.close()
    for acceptor in acceptors:
        acceptor.close()
    # Others will listen, soon if not now, unless the whole server stops.
    until = monotonic() + FIRST_REQUEST if serving.arbiter_row[STOPPING] and not moving else 0
    acceptors = welcome(acceptors, until)
    if not moving:
        dismiss(serving, taker)
    while (serving.total_connections() or acceptors) and monotonic() < serving.stop_at:
        if acceptors:
            acceptors = welcome(acceptors, until)
            dismiss(serving, None)
            reactor.wake_by(monotonic() + NEXT_LOOK)
        if moving:
            moving = serving.has_heirs()
            if moving:
                hand_over(serving)
            else:
                dismiss(serving, taker)
        if serving.total_connections() or acceptors:
            reactor.wake_by(serving.stop_at)
            yield
    for acceptor in acceptors:
        acceptor.listener.close()


def welcome(acceptors: list[Acceptor], until: int) -> list[Acceptor]:
    """Take everybody who waits, and close the listeners; those are left where somebody has connected who may still be
    about to say something, for nobody else will hear it."""
    left = []
    for acceptor in acceptors:
        expects = monotonic() < until and acceptor.listener.expects()
        acceptor.drain()
        if expects:
            left.append(acceptor)
        else:
            acceptor.close()
            acceptor.listener.close()
    return left


def hand_over(serving: Serving) -> None:
    """Give away every connection that can go. What can't now is served here, and may go at the next turn."""
    channel = serving.place.channel
    assert channel is not None
    waiting = False
    for handler in list(serving.reactor.handlers.values()):
        if movable(handler):
            handler.service = serving
            if give(handler, channel):
                serving.given += 1
            else:
                waiting = True
                break
        elif isinstance(handler, Handshaking):
            handler.hurry(monotonic() + FIRST_REQUEST)
    if waiting:
        serving.reactor.wake_by(monotonic() + NEXT_TRY)


def dismiss(serving: Serving, taker: Taker | None) -> None:
    """There is no heir: serve those in transit, and close who is silent."""
    serving.keeping = False
    if taker is not None:
        taker.drain()
        taker.open()  # a worker that left before this one may have given a last one
    now = monotonic()
    for handler in list(serving.reactor.handlers.values()):
        if isinstance(handler, Connection):
            handler.service = serving
            retire(handler, now)
        elif isinstance(handler, Handshaking):
            handler.hurry(now + FIRST_REQUEST)


def retire(connection: Connection, now: int) -> None:
    """An idle connection may have a request on its way: look once more before closing it."""
    if connection.reading is None:
        connection.ready(0)
        if connection.fd >= 0 and connection.reading is None:
            connection.close()
    elif connection.inbound.idle:
        connection.due = min(connection.due, now + FIRST_REQUEST)
        connection.service.reactor.wake_by(connection.due)
