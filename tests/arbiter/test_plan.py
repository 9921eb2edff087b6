"""What the arbiter decides, as tables: a situation, and what should be done about it, and when it should look again."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.arbiter.plan import (
    ABORT_GRACE,
    ANSWER,
    DRAIN_GRACE,
    FAREWELL,
    QUICK_TIMEOUT,
    SECOND,
    SECOND_LOOK,
    Abandon,
    Abort,
    Action,
    Ask,
    Kill,
    Look,
    Quit,
    Report,
    Retire,
    Spawn,
    Stop,
    Suspect,
    Want,
    backoff,
    plan,
    surge,
)
from corral.arbiter.pool import Handle, Reason
from corral.shared.scoreboard import Scoreboard, State, Wish

BOARD = Scoreboard(16)
NOW = 1000 * SECOND
BOOTING, READY, DRAINING = State.BOOTING, State.READY, State.DRAINING
OFF = {"timeout": 0, "boot_timeout": 0}


def worker(pid: int, generation: int = 1, state: State = READY, busy_since: int = 0, **facts: object) -> Handle:
    """Busy workers have been looked at already, unless the facts say otherwise."""
    born = NOW - SECOND
    if busy_since:
        facts = {"begun": (busy_since,), "looked_busy": busy_since, **facts}
    return Handle(pid=pid, age=pid, generation=generation, born=born, row=BOARD.row(0), state=state, **facts)  # type: ignore[arg-type]


def want(workers: int, generation: int = 1, **wishes: object) -> Want:
    return replace(
        Want(workers=workers, generation=generation, proven=True, failed=False, slots=16),
        **wishes,  # type: ignore[arg-type]
    )


OLD = want(2)
WORN = Wish.REQUESTS

TABLE = [
    # boot
    pytest.param([], want(3, proven=False), [Spawn(1)], id="a new generation boots one worker first"),
    pytest.param([worker(1, state=BOOTING)], want(3, proven=False, **OFF), [], id="and waits until that one is ready"),
    pytest.param([worker(1)], want(3), [Spawn(1), Spawn(1)], id="when it is ready the rest boots at once"),
    pytest.param([worker(1), worker(2, state=BOOTING)], want(2, **OFF), [], id="a booting worker counts"),
    pytest.param([worker(1), worker(2)], want(2), [], id="with all workers there nothing is to be done"),
    pytest.param([], want(2, not_before=NOW + 1), [], id="no boot during the back-off"),
    pytest.param([], want(2, not_before=NOW), [Spawn(1), Spawn(1)], id="boots when the back-off has passed"),
    pytest.param([worker(1)], want(20, slots=2), [Spawn(1)], id="never more workers than slots"),
    pytest.param([], want(0, proven=False), [], id="no workers wanted, none booted"),
    pytest.param(
        [], want(2, proven=False, failed=True), [Spawn(1)], id="without a fallback a failed boot is tried again"
    ),
    pytest.param(
        [worker(1, drain_since=NOW - FAREWELL), worker(2, drain_since=NOW - FAREWELL - 1), worker(3, state=DRAINING)],
        want(3),
        [Spawn(1), Spawn(1), Spawn(1)],
        id="workers that drain by themselves are replaced before they have left",
    ),
    pytest.param(
        [worker(1, drain_since=NOW - FAREWELL + 1), worker(2, drain_since=NOW)],
        want(3),
        [Spawn(1)],
        id="but not in their first moment, in which most are gone",
    ),
    # scale
    pytest.param([worker(1), worker(2), worker(3)], want(2), [Retire(1)], id="of too many the oldest goes"),
    pytest.param(
        [worker(1), worker(2), worker(3, state=BOOTING)],
        want(2, **OFF),
        [Retire(3)],
        id="but one that isn't ready goes before one that serves",
    ),
    pytest.param([worker(1, retired_at=NOW), worker(2), worker(3)], want(2), [], id="nobody is retired twice"),
    pytest.param([worker(1), worker(2)], want(0), [Retire(1), Retire(2)], id="none wanted, all go"),
    # reload
    pytest.param(
        [worker(1), worker(2)],
        want(2, 2, proven=False, fallback=OLD),
        [Spawn(2)],
        id="a reload boots one new worker first",
    ),
    pytest.param(
        [worker(1), worker(2), worker(3, 2, BOOTING)],
        want(2, 2, proven=False, fallback=OLD, **OFF),
        [],
        id="until it is ready nobody goes",
    ),
    pytest.param(
        [worker(1), worker(2), worker(3, 2)],
        want(2, 2),
        [Retire(1)],
        id="when it is ready the oldest goes, and there is no room for another yet",
    ),
    pytest.param(
        [worker(1, retired_at=NOW), worker(2), worker(3, 2)],
        want(2, 2),
        [Spawn(2)],
        id="as soon as the oldest is told to go the next one boots",
    ),
    pytest.param(
        [worker(n) for n in range(1, 9)] + [worker(9, 2)],
        want(8, 2),
        [Retire(1), Spawn(2)],
        id="of eight workers two are replaced at a time",
    ),
    pytest.param(
        [worker(1), worker(2), worker(3), worker(4), worker(5, 2)],
        want(1, 2),
        [Retire(1), Retire(2), Retire(3), Retire(4)],
        id="a reload to fewer workers waits for the first new one, then all old ones go",
    ),
    pytest.param(
        [worker(1, state=BOOTING), worker(2, 2)],
        want(1, 2, **OFF),
        [Retire(1)],
        id="an old worker that isn't even ready goes first",
    ),
    pytest.param(
        [worker(1)],
        want(2, 2, proven=False, fallback=OLD),
        [Spawn(1), Spawn(2)],
        id="an old worker that dies during the reload is replaced by its like",
    ),
    pytest.param(
        [worker(1), worker(2)],
        want(2, 2, proven=False, failed=True, fallback=OLD),
        [Abandon(2)],
        id="a new generation that fails is abandoned",
    ),
    pytest.param(
        [worker(1), worker(2), worker(3, 2, BOOTING)],
        want(2, 3, proven=False, fallback=OLD, **OFF),
        [Retire(3), Spawn(3)],
        id="a second reload overtakes the first",
    ),
    # stop
    pytest.param(
        [worker(1), worker(2, state=BOOTING)],
        want(2, stop=Stop.GRACEFUL, **OFF),
        [Retire(1), Retire(2)],
        id="a graceful stop tells everybody",
    ),
    pytest.param([worker(1, retired_at=NOW)], want(2, stop=Stop.GRACEFUL), [], id="once, and nobody is replaced"),
    pytest.param([worker(1)], want(2, stop=Stop.QUICK), [Quit(1)], id="a quick stop is quick"),
    pytest.param(
        [worker(1, retired_at=NOW)], want(2, stop=Stop.QUICK), [Quit(1)], id="also for those that were told to finish"
    ),
    pytest.param([worker(1, quit_at=NOW)], want(2, stop=Stop.QUICK), [], id="quit is said once"),
    pytest.param([], want(2, stop=Stop.GRACEFUL, not_before=NOW), [], id="a stop boots nobody"),
    # time-outs
    pytest.param(
        [worker(1, busy_since=NOW - 30 * SECOND)],
        want(1),
        [Suspect(1, NOW - 30 * SECOND)],
        id="an overdue request is looked at twice",
    ),
    pytest.param(
        [worker(1, busy_since=NOW - 31 * SECOND, suspected_of=NOW - 31 * SECOND, suspected_at=NOW - SECOND_LOOK)],
        want(1),
        [Abort(1, Reason.TIMEOUT, NOW - 31 * SECOND)],
        id="the same request at the second look: abort",
    ),
    pytest.param(
        [worker(1, busy_since=NOW - SECOND, suspected_of=NOW - 31 * SECOND, suspected_at=NOW - SECOND_LOOK)],
        want(1),
        [],
        id="another request at the second look: a false alarm",
    ),
    pytest.param([worker(1, busy_since=NOW - 900 * SECOND)], want(1, timeout=0), [], id="a timeout of 0 is no timeout"),
    pytest.param(
        [worker(1, aborted_at=NOW - ABORT_GRACE, reason=Reason.TIMEOUT, busy_since=1)],
        want(1, not_before=NOW + 1),
        [Kill(1, Reason.TIMEOUT)],
        id="one second after the abort comes the kill",
    ),
    pytest.param(
        [worker(1, killed_at=NOW - 900 * SECOND, aborted_at=1, busy_since=1)],
        want(1, not_before=NOW + 1),
        [],
        id="nobody is killed twice",
    ),
    pytest.param([worker(1, aborted_at=NOW)], want(1), [Spawn(1)], id="an aborted worker is replaced at once"),
    pytest.param(
        [worker(1, state=BOOTING)],
        want(1, boot_timeout=SECOND),
        [Suspect(1, NOW - SECOND)],
        id="a boot takes too long: where is it?",
    ),
    pytest.param(
        [worker(1, state=BOOTING, suspected_of=NOW - SECOND, suspected_at=NOW - SECOND_LOOK)],
        want(1, boot_timeout=SECOND // 2),
        [Abort(1, Reason.BOOT, NOW - SECOND)],
        id="a moment later the boot is ended",
    ),
    pytest.param(
        [worker(1, retired_at=NOW - 5 * SECOND)],
        want(1, graceful_timeout=5 * SECOND, stop=Stop.GRACEFUL),
        [Ask(1)],
        id="at the end of a drain: what is it that lasts?",
    ),
    pytest.param(
        [worker(1, retired_at=NOW - 5 * SECOND - DRAIN_GRACE, asked_at=NOW - DRAIN_GRACE)],
        want(1, graceful_timeout=5 * SECOND, stop=Stop.GRACEFUL),
        [Kill(1, Reason.GRACEFUL)],
        id="a drain that was asked for takes too long",
    ),
    pytest.param(
        [worker(1, drain_since=NOW - 5 * SECOND - DRAIN_GRACE, asked_at=NOW - DRAIN_GRACE), worker(2)],
        want(1, graceful_timeout=5 * SECOND),
        [Kill(1, Reason.GRACEFUL)],
        id="a drain of the worker's own takes too long",
    ),
    pytest.param(
        [worker(1, quit_at=NOW - QUICK_TIMEOUT)],
        want(1, stop=Stop.QUICK),
        [Kill(1, Reason.QUICK)],
        id="a quick stop has its limit, too",
    ),
    pytest.param(
        [worker(1, retired_at=NOW, busy_since=NOW - 30 * SECOND)],
        want(1, stop=Stop.GRACEFUL),
        [Suspect(1, NOW - 30 * SECOND)],
        id="a hung request is noticed during a stop as well",
    ),
    # slow requests
    pytest.param(
        [worker(1, busy_since=NOW - 15 * SECOND, looked_busy=0)],
        want(1),
        [Look(1, NOW - 15 * SECOND)],
        id="a request of half its time is looked at",
    ),
    pytest.param([worker(1, busy_since=NOW - 15 * SECOND)], want(1), [], id="once"),
    pytest.param(
        [worker(1, begun=(NOW - 25 * SECOND, NOW - 15 * SECOND), looked_busy=NOW - 25 * SECOND)],
        want(1),
        [Look(1, NOW - 15 * SECOND)],
        id="of several requests each",
    ),
    pytest.param(
        [worker(1, busy_since=NOW - 15 * SECOND, report_at=NOW)],
        want(1),
        [Report(1)],
        id="when its stacks are there it is reported",
    ),
    pytest.param(
        [worker(1, busy_since=NOW - 22 * SECOND, looked_busy=0, silent=True)],
        want(1),
        [],
        id="signs of life are due every half, and may be late",
    ),
    pytest.param(
        [worker(1, busy_since=NOW - 24 * SECOND, looked_busy=0, silent=True)],
        want(1),
        [Look(1, NOW - 24 * SECOND)],
        id="but not by another quarter",
    ),
    pytest.param(
        [worker(1, busy_since=NOW - 99 * SECOND, looked_busy=0)],
        want(1, timeout=0),
        [],
        id="without timeout all is fast",
    ),
    # recycling
    pytest.param([worker(1, wish=WORN), worker(2)], want(2), [Spawn(1)], id="who wants to be replaced gets an heir"),
    pytest.param(
        [worker(1, wish=WORN), worker(2), worker(3, state=BOOTING)],
        want(2, **OFF),
        [],
        id="and serves until it is ready",
    ),
    pytest.param(
        [worker(1), worker(2, wish=WORN), worker(3)],
        want(2),
        [Retire(2)],
        id="then it goes, though it isn't the oldest",
    ),
    pytest.param([worker(n, wish=WORN) for n in (1, 2, 3)], want(3), [Spawn(1)], id="one at a time"),
    pytest.param(
        [worker(n, wish=WORN) for n in (1, 2, 3)], want(3, reload_step=2), [Spawn(1)] * 2, id="or reload_step at a time"
    ),
    pytest.param(
        [worker(1, wish=WORN, retired_at=NOW), worker(2, wish=WORN), worker(3)],
        want(2),
        [],
        id="not before the last one has left",
    ),
    pytest.param([worker(1, wish=WORN)], want(1, not_before=NOW + 1), [], id="heirs wait for the end of the back-off"),
    pytest.param([worker(1, wish=WORN)], want(1, slots=1), [], id="where there is no slot for an heir it goes on"),
    pytest.param([worker(1, expires_at=NOW), worker(2, expires_at=NOW + 1)], want(2), [Spawn(1)], id="a life is over"),
    pytest.param(
        [worker(1, wish=WORN), worker(2, 2, BOOTING)],
        want(1, 2, proven=False, fallback=want(1), **OFF),
        [],
        id="a reload replaces them all anyway",
    ),
    pytest.param([worker(1, wish=WORN)], want(1, stop=Stop.GRACEFUL), [Retire(1)], id="a stop boots no heirs"),
    pytest.param(
        [worker(1), worker(2, wish=WORN), worker(3)], want(1), [Retire(2), Retire(1)], id="of too many they go first"
    ),
    pytest.param(
        [worker(1, wish=WORN), worker(2), worker(3), worker(4, state=BOOTING)],
        want(2, **OFF),
        [Retire(4), Retire(1)],
        id="with fewer wanted it goes at once, and needs no heir",
    ),
    # reload_step
    pytest.param(
        [worker(n) for n in range(1, 9)] + [worker(9, 2)],
        want(8, 2, reload_step=1),
        [Retire(1)],
        id="a reload one by one",
    ),
    pytest.param(
        [worker(1, retired_at=NOW)] + [worker(n) for n in range(2, 9)] + [worker(9, 2)],
        want(8, 2, reload_step=3),
        [Spawn(2)] * 3,
        id="a reload three by three",
    ),
]


@pytest.mark.parametrize(("handles", "wanted", "actions"), TABLE)
def test_what_is_due(handles: list[Handle], wanted: Want, actions: list[Action]) -> None:
    assert plan(handles, wanted, NOW)[0] == actions


@pytest.mark.parametrize(
    ("handles", "wanted", "deadline"),
    [
        pytest.param([worker(1), worker(2)], want(2), None, id="idle workers have no deadline: sleep for ever"),
        pytest.param([worker(1, drain_since=NOW)], want(1), NOW + FAREWELL, id="a farewell has its moment"),
        pytest.param([worker(1, busy_since=NOW - 1)], want(1), NOW - 1 + 30 * SECOND, id="a request in flight"),
        pytest.param(
            [worker(1, busy_since=NOW - 1, looked_busy=0)], want(1), NOW - 1 + 15 * SECOND, id="one that may be slow"
        ),
        pytest.param([worker(1, report_at=NOW + ANSWER)], want(1), NOW + ANSWER, id="stacks that are on their way"),
        pytest.param([worker(1, expires_at=NOW + 9)], want(1), NOW + 9, id="the end of a life"),
        pytest.param(
            [worker(1, busy_since=NOW - 1), worker(2, busy_since=NOW - 5)],
            want(2),
            NOW - 5 + 30 * SECOND,
            id="of two requests the older one",
        ),
        pytest.param([worker(1, state=BOOTING)], want(1), NOW + 299 * SECOND, id="a boot"),
        pytest.param([], want(1, not_before=NOW + 7), NOW + 7, id="the end of the back-off"),
        pytest.param([worker(1, retired_at=NOW)], want(0), NOW + 30 * SECOND, id="a worker that was told to go"),
        pytest.param(
            [worker(1, retired_at=NOW, asked_at=NOW + 30 * SECOND)],
            want(0),
            NOW + 30 * SECOND + DRAIN_GRACE,
            id="a worker that was told to go, and asked what it does",
        ),
        pytest.param([worker(1, killed_at=NOW)], want(0), None, id="a killed worker can only be waited for"),
    ],
)
def test_when_to_look_again(handles: list[Handle], wanted: Want, deadline: int | None) -> None:
    assert plan(handles, wanted, NOW)[1] == deadline


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (1000, 30)],
    ids=lambda value: str(value),
)
def test_backoff_doubles_up_to_a_limit(failures: int, seconds: int) -> None:
    assert backoff(failures) == seconds * SECOND


@dataclass
class World:
    """Workers that do what they are told, after a while."""

    wanted: Want
    now: int = NOW
    pids: int = 0
    handles: list[Handle] = field(default_factory=list)

    def spawn(self, generation: int, state: State = BOOTING) -> None:
        self.pids += 1
        self.handles.append(worker(self.pids, generation, state))

    def settle(self) -> None:
        while due := plan(self.handles, self.wanted, self.now)[0]:
            for action in due:
                match action:
                    case Spawn(generation):
                        self.spawn(generation)
                    case Retire(pid):
                        next(handle for handle in self.handles if handle.pid == pid).retired_at = self.now
                    case _:
                        pytest.fail(f"unexpected {action}")

    def ready(self) -> int:
        return sum(handle.staying and handle.ready for handle in self.handles)

    def progress(self, choice: int) -> bool:
        """One worker gets ready, or one that was told to go has gone."""
        moving = [handle for handle in self.handles if handle.retired_at or not handle.ready]
        if not moving:
            return False
        handle = moving[choice % len(moving)]
        if handle.retired_at:
            self.handles.remove(handle)
        else:
            handle.state = READY
            if handle.generation == self.wanted.generation:
                self.wanted = replace(self.wanted, proven=True, fallback=None)
        return True


@given(
    workers=st.integers(1, 9),
    later=st.integers(1, 9),
    choices=st.lists(st.integers(0, 100), min_size=80, max_size=80),
)
@settings(max_examples=200, deadline=None)
def test_a_reload_never_has_fewer_ready_workers_than_both_generations_want(
    workers: int, later: int, choices: list[int]
) -> None:
    before = want(workers, slots=64)
    world = World(want(later, 2, slots=64, proven=False, fallback=before, boot_timeout=0))
    for _ in range(workers):
        world.spawn(1, READY)
    for choice in choices:
        world.settle()
        assert world.ready() >= min(workers, later)
        staying = [handle for handle in world.handles if handle.staying]
        assert len(staying) <= max(workers, later) + surge(want(max(workers, later)))
        if not world.progress(choice):
            break
    assert [handle.generation for handle in world.handles] == [2] * later


@given(
    workers=st.integers(1, 6),
    step=st.integers(0, 3),
    worn=st.sets(st.integers(1, 6)),
    choices=st.lists(st.integers(0, 100), min_size=60, max_size=60),
)
@settings(max_examples=200, deadline=None)
def test_recycling_never_has_fewer_ready_workers_and_ends_with_fresh_ones(
    workers: int, step: int, worn: set[int], choices: list[int]
) -> None:
    world = World(want(workers, slots=64, reload_step=step, boot_timeout=0))
    for _ in range(workers):
        world.spawn(1, READY)
    for handle in world.handles:
        handle.wish = WORN if handle.pid in worn else Wish.NONE
    for choice in choices:
        world.settle()
        assert world.ready() >= workers
        assert len([handle for handle in world.handles if handle.staying]) <= workers + (step or 1)
        if not world.progress(choice):
            break
    assert not any(handle.wish for handle in world.handles)
    assert len(world.handles) == workers
