"""What a worker is to its connections, a Service: settings, counters, logs; and where each request ends, `account`.

How requests meet the application is the loop's affair (worker.sync), what happens to the process is its worker's.
"""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from corral.errors import PeerError
from corral.gateway.exchange import Exchange
from corral.gateway.views import VIEW, Request, Response, request_of
from corral.gateway.wsgi import App, Environ
from corral.http.head import Limits
from corral.http.response import Heads
from corral.net.reactor import LONG, NEVER, SECOND, Reactor, monotonic
from corral.net.service import Timeouts
from corral.shared.scoreboard import ASLEEP, BEGIN, HEIRS, LENGTH, SINCE, STOPPING, Cell, Row, State, Wish
from corral.shared.wakeup import Wakeup
from corral.worker.base import Worker

SERVER = "corral"
# Plain integers: looking a member up in its enumeration costs 0.1 µs.
REQUESTS = int(Cell.REQUESTS)
BYTES_OUT = int(Cell.BYTES_OUT)
CONNECTIONS = int(Cell.CONNECTIONS)

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
begin = BEGIN


def http_date(epoch: float) -> str:
    """IMF-fixdate (RFC 9110 §5.6.7), whatever the locale."""
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(epoch)
    return f"{WEEKDAYS[weekday]}, {day:02} {MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{second:02} GMT"


def server_name() -> str:
    """What the header Server says. Configuration files hide it: gunicorn.SERVER = "..."."""
    gunicorn = sys.modules.get("gunicorn")
    given: str | None = vars(gunicorn).get("SERVER") if gunicorn is not None else None
    return SERVER if given is None or given == "gunicorn" else given


class Serving:
    """A connection's Service. `worker` is whom hooks and logs know."""

    # Without them the attributes would be too many for CPython to find them quickly: 0.15 µs a request.
    __slots__ = (
        "accepting", "access", "app", "arbiter_row", "begin_at", "bytes_out", "cells", "config", "connections",
        "errors", "exchange", "flight", "given", "heads", "keepalive", "keeping", "limits", "log", "memory",
        "next_date", "place", "reactor", "request_memory", "requests", "sendfile", "settled", "stop_at", "streaming",
        "taken", "timeouts", "wake_arbiter", "wakeup", "worker",
    )  # fmt: skip
    make_reactor: ClassVar[type[Reactor]] = Reactor
    make_heads: ClassVar[type[Heads]] = Heads
    app: App

    def __init__(self, worker: Worker) -> None:
        config, place = worker.cfg, worker.place
        self.worker = worker
        self.config = config
        self.place = place
        self.log = worker.log
        self.access = place.access
        self.cells = place.row.cells
        self.memory = place.row.memory
        self.fly(0)
        self.arbiter_row = place.board.arbiter
        self.wake_arbiter = place.wake_arbiter
        self.reactor = self.make_reactor()
        self.wakeup = Wakeup()
        self.heads = self.make_heads(server_name())
        self.limits = Limits(
            config.limit_request_line, config.limit_request_fields, config.limit_request_field_size,
            config.limit_request_body,
        )  # fmt: skip
        self.timeouts = Timeouts(
            limit(config.header_timeout), limit(config.body_timeout), limit(config.write_timeout),
            limit(config.keepalive), int(SECOND / config.min_rate) if config.min_rate else 0,
            limit(config.queue_timeout),
        )  # fmt: skip
        self.keepalive = self.timeouts.keepalive
        self.exchange: Exchange | None = None
        self.request_memory = config.request_memory
        self.streaming = not config.request_buffering
        self.sendfile = config.sendfile
        self.accepting = True
        self.keeping = config.keepalive > 0
        self.stop_at = NEVER  # the end of the drain
        self.connections = 0
        self.settled = 0  # requests up to the last settling
        self.requests = 0  # and since
        self.errors = 0
        self.bytes_out = 0
        self.given = 0  # connections, to other workers
        self.taken = 0
        self.next_date = 0

    def fly(self, number: int) -> None:
        """Have this place of the worker's row for the request in flight."""
        row = self.place.row
        self.flight = row.flight_cells(number)
        self.begin_at = row.begin_at(number)

    def leave(self) -> None:
        """Stop accepting; finish what has begun, within graceful_timeout."""
        if not self.accepting:
            return
        self.accepting = self.worker.alive = False
        self.keeping = self.keeping and self.has_heirs()
        self.cells[Cell.TAKES] = 0
        self.cells[Cell.DRAIN_SINCE] = monotonic()
        self.stop_at = monotonic() + int(self.config.graceful_timeout * SECOND)
        self.place.enter(State.DRAINING)
        self.reactor.events.clear()  # the doors are closed before any more calls, which may be long

    def has_heirs(self) -> bool:
        """Whether somebody is there who would take this worker's connections: then none need be closed."""
        place = self.place
        if place.channel is None or not self.config.keepalive:
            return False
        if self.arbiter_row[HEIRS]:
            return True
        if self.arbiter_row[STOPPING]:
            return False
        return any(row.cells[Cell.TAKES] for row in self.siblings())

    def siblings(self) -> Iterator[Row]:
        """The rows of other workers, if there are any in their slots; the lowest free slots are given out first."""
        place = self.place
        slots = range(min(place.board.slots, 2 * self.config.workers + 8))
        return (place.board.row(slot) for slot in slots if slot != place.row.slot)

    def serve_app(self, app: App) -> None:
        self.app = app

    def stays(self, handler: Any) -> None:
        """Nobody has looked at what was reported as ready: it is to be reported again, as epoll does by itself."""

    # -- what a connection asks of its Service

    def begin(self, line: bytes) -> int:
        """A request starts: note it where the arbiter sees it, though this process may hang in a moment. 0.25 µs."""
        now = self.reactor.now
        if now >= self.next_date:
            self.tick(now)
        begin(self.memory, self.begin_at, len(line), now, line)
        if self.arbiter_row[ASLEEP]:
            self.arbiter_row[ASLEEP] = 0
            self.wake_arbiter()
        return now

    def tick(self, now: int) -> None:
        """Once a second, while there are requests."""
        epoch = time.time()
        self.heads.set_date(http_date(epoch))
        if self.config.enable_backlog_metric:
            self.measure_backlog()
        self.worker.tmp.scales.weigh(now, self.worker.nr)
        # Many short calls make a long wait, too: one request is asked.
        self.reactor.late_until = max(self.reactor.late_until, now + 1)
        self.next_date = now + SECOND - int(epoch % 1 * SECOND)

    def measure_backlog(self) -> None:
        waiting = sum(listener.waiting for listener in self.place.listeners)
        metric = {"metric": "gunicorn.backlog", "value": waiting, "mtype": "histogram"}
        self.log.debug("socket backlog: %d", waiting, extra=metric)

    def account(self, environ: Environ, exchange: Exchange, start: int) -> int:
        """Where every request ends that reached the application. Returns the instant, which is the next one's start."""
        self.reactor.now = now = monotonic()
        self.requests += 1
        self.bytes_out += exchange.sent
        if self.access is not None:
            self.access.request(
                environ, exchange.status, exchange.headers, exchange.sent, (now - start) / SECOND, time.time()
            )
        if exchange.surplus or exchange.left:
            self.warn_of_length(environ, exchange)
        if now - start > LONG:
            self.note_long_call(now - start)
        return now

    def note_long_call(self, length: int) -> None:
        self.reactor.note_wait(length)

    def warn_of_length(self, environ: Environ, exchange: Exchange) -> None:
        if exchange.surplus:
            self.log.warning("%s: the body was longer than its Content-Length and was cut", describe(environ))
        elif exchange.left and not exchange.head_only and not exchange.keep_alive:
            self.log.warning(
                "%s: the body was %d bytes shorter than its Content-Length, or the client left; connection closed",
                describe(environ), exchange.left,
            )  # fmt: skip

    def end_call(self) -> None:
        """A request is over, and its connection is about to do something else than wait for the next one."""

    def failed(self, environ: Environ, error: BaseException) -> None:
        """The application raised."""
        self.errors += 1
        if self.worker.aborted and self.cells[Cell.EXPLAINED]:
            self.leave()  # the arbiter has logged all that there is to say
            return
        self.log.error("Error handling request %s", describe(environ), exc_info=error)
        if not isinstance(error, Exception):
            self.log.error("%s in the application: this worker leaves", type(error).__name__)
            self.leave()

    def dropped(self, environ: Environ) -> None:
        """A client that had left before its request's turn came."""
        self.errors += 1
        if self.access is not None:
            self.access.request(environ, "499 -", (), 0, 0.0, time.time())

    def refused(self, environ: Environ, error: PeerError) -> None:
        """A request that never reaches the application."""
        self.errors += 1
        if self.reactor.now >= self.next_date:
            self.tick(self.reactor.now)
        what = "Invalid request" if error.status < 500 else "Request refused,"
        self.log.warning("%s from ip=%s: %d, %s", what, environ.get("REMOTE_ADDR") or "-", error.status, error.detail)
        if self.access is not None:
            self.access.request(environ, f"{error.status} -", (), 0, 0.0, time.time())

    # -- once a pass of the loop

    def turn(self) -> None:
        self.reactor.turn()

    def total_connections(self) -> int:
        return self.connections

    def settle(self) -> None:
        """Before the next sleep: nobody is being served, and what was counted and logged is where others see it."""
        flight, cells = self.flight, self.cells
        if flight[SINCE]:
            flight[SINCE] = flight[LENGTH] = 0
        if self.requests:
            cells[REQUESTS] += self.requests
            cells[BYTES_OUT] += self.bytes_out
            self.worker.nr = self.settled = self.settled + self.requests
            self.requests = self.bytes_out = 0
            if self.worker.nr >= self.worker.max_requests and self.accepting and self.place.wish(Wish.REQUESTS):
                self.log.info("Autorestarting worker after current request.")
        if self.errors:
            cells[Cell.ERRORS] += self.errors
            self.errors = 0
        if self.given or self.taken:
            cells[Cell.GIVEN] += self.given
            cells[Cell.TAKEN] += self.taken
            self.given = self.taken = 0
        cells[CONNECTIONS] = self.total_connections()
        if self.access is not None:
            self.access.flush()


class Hooked(Serving):
    """With pre_request or post_request: both are called here, so that a server without them doesn't ask for them."""

    __slots__ = ()

    def serve_app(self, app: App) -> None:
        """If pre_request raises, the request fails, as with gunicorn: it is a way to refuse one."""
        worker, hook = self.worker, self.config.pre_request

        def hooked(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            worker.nr = self.settled + self.requests
            view = environ[VIEW] = Request(environ)
            try:
                hook(worker, view)
            except Exception as error:
                error.add_note("The hook pre_request failed")
                raise
            worker.nr += 1  # from here on it counts
            return app(environ, start_response)

        self.app = hooked

    def account(self, environ: Environ, exchange: Exchange, start: int) -> int:
        super().account(environ, exchange, start)
        response = Response(
            exchange.status, exchange.headers, exchange.sent, chunked=exchange.chunked, keep_alive=exchange.keep_alive
        )
        view = request_of(environ)
        environ.pop(VIEW, None)  # it refers to environ, which only a collection would free then
        self.worker.call("post_request", view, environ, response)
        self.reactor.now = now = monotonic()
        return now


def limit(seconds: float) -> int:
    """A setting's seconds as nanoseconds; 0, which is no limit, as NEVER."""
    return int(seconds * SECOND) or NEVER


def describe(environ: Environ) -> str:
    return f"{environ.get('REQUEST_METHOD', '-')} {environ.get('RAW_URI', '-')}"
