"""What should happen to the workers, and when: a pure function from what is known to what is to be done.

It touches no clock, no signal and no process. Each rule yields pairs (instant, action); those that are due are the
plan, and the earliest of the others is how long the arbiter may sleep. So a rule can't forget to ask for its wake-up.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import Enum

from corral.arbiter.pool import Handle, Reason
from corral.shared.scoreboard import State

SECOND = 1_000_000_000

# A request that seems to have hung gets a second look. After a freeze of the whole machine or container every request
# in flight looks hung, at once and wrongly; a worker that runs again finishes it in the meantime.
SECOND_LOOK = SECOND // 10
# From SIGABRT to SIGKILL: time for `worker_abort` and for a last log line, as with gunicorn.
ABORT_GRACE = SECOND
# From the question for stacks to the reading of them: a worker that runs answers within a millisecond.
ANSWER = SECOND // 20
# A worker ends its own drain at graceful_timeout and closes its connections properly; it is killed only past that.
DRAIN_GRACE = SECOND // 2
QUICK_TIMEOUT = 2 * SECOND
# A worker that leaves by its own decision is mostly gone at once; who comes in its place is forked after its end then,
# and not beside it.
FAREWELL = SECOND // 10
LONGEST_BACKOFF = 30 * SECOND
# A worker that dies this soon after it got ready is a crash loop in the making.
YOUNG = SECOND


class Stop(Enum):
    GRACEFUL = "graceful"
    QUICK = "quick"


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """The state to approach. Durations and instants are nanoseconds, a duration of 0 is off."""

    workers: int
    generation: int
    proven: bool  # a worker of this generation was ready once
    failed: bool  # its boot failed, and it isn't proven
    slots: int
    fallback: "Want | None" = None  # an older generation that works, to go back to while this one isn't proven
    not_before: int = 0  # no boot before this instant: back-off
    timeout: int = 30 * SECOND
    boot_timeout: int = 300 * SECOND
    graceful_timeout: int = 30 * SECOND
    reload_step: int = 0  # how many workers are replaced at a time; 0: as `surge` says
    stop: Stop | None = None


@dataclass(frozen=True, slots=True)
class Spawn:
    generation: int


@dataclass(frozen=True, slots=True)
class Retire:
    """SIGTERM: finish what you have and leave."""

    pid: int


@dataclass(frozen=True, slots=True)
class Quit:
    """SIGQUIT: leave now."""

    pid: int


@dataclass(frozen=True, slots=True)
class Look:
    """Ask a worker for its stacks, for the request that began at `since` is slow."""

    pid: int
    since: int


@dataclass(frozen=True, slots=True)
class Report:
    """Say what the look has shown."""

    pid: int


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a worker for its stacks: it will be killed in a moment."""

    pid: int


@dataclass(frozen=True, slots=True)
class Suspect:
    """Remember that what began at `since`, a request or a boot, is overdue; ask for stacks, and look again soon."""

    pid: int
    since: int


@dataclass(frozen=True, slots=True)
class Abort:
    """SIGABRT. For a time-out, only if the worker is still on the request that began at `since`."""

    pid: int
    reason: Reason
    since: int = 0


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL."""

    pid: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Abandon:
    """Give this generation up and go back to the one before."""

    generation: int


Action = Spawn | Retire | Quit | Look | Report | Ask | Suspect | Abort | Kill | Abandon
Agenda = Iterator[tuple[int, Action]]


def plan(handles: Collection[Handle], want: Want, now: int) -> tuple[list[Action], int | None]:
    """What is due, and the next instant at which something will be unless a worker changes; None for never."""
    due: list[Action] = []
    deadline: int | None = None
    for instant, action in agenda(handles, want, now):
        if instant <= now:
            due.append(action)
        elif deadline is None or instant < deadline:
            deadline = instant
    return due, deadline


def agenda(handles: Collection[Handle], want: Want, now: int) -> Agenda:
    for handle in handles:
        yield from overdue(handle, want)
    if want.stop is not None:
        yield from stopping(handles, want.stop, now)
    elif want.failed and want.fallback is not None:
        yield now, Abandon(want.generation)
    else:
        staying = [handle for handle in handles if handle.staying]
        yield from retiring(staying, want, now)
        yield from booting(staying, handles, want, now)
        yield from recycling(handles, want, now)


def overdue(handle: Handle, want: Want) -> Agenda:
    """A worker that boots, serves or leaves for too long."""
    pid = handle.pid
    if handle.killed_at:
        return
    if handle.aborted_at:
        yield handle.aborted_at + ABORT_GRACE, Kill(pid, handle.reason or Reason.TIMEOUT)
        return
    if handle.quit_at:
        yield handle.quit_at + min(want.graceful_timeout, QUICK_TIMEOUT), Kill(pid, Reason.QUICK)
    elif handle.leaving_since:
        end = handle.leaving_since + want.graceful_timeout
        if handle.asked_at < end:
            yield end, Ask(pid)
        yield end + DRAIN_GRACE, Kill(pid, Reason.GRACEFUL)
    elif handle.state is State.BOOTING and want.boot_timeout:
        yield from suspicion(handle, handle.born, want.boot_timeout, Reason.BOOT)
    if handle.report_at:
        yield handle.report_at, Report(pid)
    if handle.begun and want.timeout:
        for since in handle.begun:
            if since > handle.looked_busy:
                yield since + patience(want.timeout, silent=handle.silent), Look(pid, since)
                break
        yield from suspicion(handle, handle.busy_since, want.timeout, Reason.TIMEOUT)


def suspicion(handle: Handle, since: int, limit: int, reason: Reason) -> Agenda:
    if handle.suspected_of == since:
        yield handle.suspected_at + SECOND_LOOK, Abort(handle.pid, reason, since)
    else:
        yield since + limit, Suspect(handle.pid, since)


def patience(timeout: int, *, silent: bool) -> int:
    """What part of `timeout` a request may take before it is called slow.

    Signs of life are due each half of it (worker.timeout), and may be a little late.
    """
    return timeout // 4 * 3 if silent else timeout // 2


def stopping(handles: Collection[Handle], stop: Stop, now: int) -> Agenda:
    for handle in handles:
        if stop is Stop.QUICK and not handle.quit_at:
            yield now, Quit(handle.pid)
        elif stop is Stop.GRACEFUL and not handle.told:
            yield now, Retire(handle.pid)


def booting(staying: list[Handle], handles: Collection[Handle], want: Want, now: int, others: int = 0) -> Agenda:
    """One worker first; when it has shown that its generation works, the rest, few more than `workers` at a time.

    `others` are alive or about to be, and not in `handles`.
    """
    fresh, old = split(staying, want.generation)
    missing = want.workers - len(fresh)
    if not want.proven:
        missing = min(missing, 1 - len(fresh))
        if want.fallback is not None:
            # Until then the generation that serves is kept up, for the new one may take minutes and then fail.
            yield from booting(old, handles, want.fallback, now, 1)
    elif old:
        missing = min(missing, want.workers + surge(want) - len(staying))
    missing = max(min(missing, want.slots - len(handles) - others), 0)
    gone, _ = split([handle for handle in handles if handle.drain_since and not handle.told], want.generation)
    farewells = sorted(handle.drain_since + FAREWELL for handle in gone)
    for instant in ([now] * (missing - len(farewells)) + farewells)[:missing]:
        yield max(instant, now, want.not_before), Spawn(want.generation)


def surge(want: Want) -> int:
    """How many workers a reload may have above `workers`: one by one takes long, all at once takes twice the memory."""
    return want.reload_step or max(1, want.workers // 4)


def recycling(handles: Collection[Handle], want: Want, now: int) -> Agenda:
    """An heir for each worker that wants to be replaced, a few at a time; when it is ready, the worker is too many.

    A reload replaces them all anyway.
    """
    fresh, old = split([handle for handle in handles if handle.staying], want.generation)
    if not want.proven or old:
        return
    for handle in fresh:
        if handle.expires_at > now:
            yield handle.expires_at, Spawn(want.generation)
    leaving = sum(worn(handle, now) and not handle.staying for handle in handles)
    heirs = len(fresh) - want.workers
    if heirs < 0:
        return  # `booting` knows, and who comes is no heir
    step = min(heirs_of(fresh, want, now), max((want.reload_step or 1) - leaving, 0))
    for _ in range(min(step - heirs, want.slots - len(handles))):
        yield max(now, want.not_before), Spawn(want.generation)


def heirs_of(fresh: list[Handle], want: Want, now: int) -> int:
    """How many workers there may be above `workers`, in the place of those that are to go."""
    return min(sum(worn(handle, now) for handle in fresh), want.reload_step or 1)


def worn(handle: Handle, now: int) -> bool:
    """It has served for long enough."""
    return bool(handle.wish) or 0 < handle.expires_at <= now


def retiring(staying: list[Handle], want: Want, now: int) -> Agenda:
    """Who is too many: those that never became ready, then the oldest; never so that fewer than `workers` serve."""
    fresh, old = split(staying, want.generation)
    if not want.proven and want.fallback is not None:
        # A second reload has overtaken the first, whose boots lead to nothing now.
        _, overtaken = split(old, want.fallback.generation)
        for handle in overtaken:
            if not handle.ready:
                yield now, Retire(handle.pid)
        return
    unready = [handle for handle in fresh if not handle.ready]
    excess = min(max(len(fresh) - want.workers - heirs_of(fresh, want, now), 0), len(unready))
    unready = unready[len(unready) - excess :] + [handle for handle in old if not handle.ready]
    fresh.sort(key=lambda handle: not worn(handle, now))
    ready = [handle for handle in (*old, *fresh) if handle.ready]
    surplus = max(len(ready) - want.workers, 0)
    for handle in (*unready, *ready[:surplus]):
        yield now, Retire(handle.pid)


def split(handles: Collection[Handle], generation: int) -> tuple[list[Handle], list[Handle]]:
    """Those of a generation and the others, each from the oldest to the youngest."""
    fresh = [handle for handle in handles if handle.generation == generation]
    return fresh, [handle for handle in handles if handle.generation != generation]


def backoff(failures: int) -> int:
    """How long to wait after so many failed boots in a row: 1 s, 2, 4, ... 30."""
    return min(SECOND << min(failures - 1, 10), LONGEST_BACKOFF) if failures > 0 else 0
