"""What the control socket is asked, and what it answers: a state, or a command whose outcome may take a while.

It knows the arbiter's facts and commands, and nothing of sockets; an answer is a status of HTTP and a JSON object.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from corral import __version__
from corral.arbiter.arbiter import Arbiter
from corral.arbiter.news import News
from corral.arbiter.plan import SECOND, Stop
from corral.arbiter.pool import Handle

Answer = dict[str, Any]
Respond = Callable[[int, Answer], None]
Parameters = Mapping[str, Any]
LATER = SECOND // 20  # when to look whether stacks have been written
TRACE_PATIENCE = SECOND
# What ends the wait for a command, and whether that was a success.
OUTCOMES = {
    "reload": {News.COMPLETE: True, News.FAILED: False, News.STOPPING: False},
    "upgrade": {News.UPGRADED: True, News.NOT_UPGRADED: False, News.STOPPING: False},
}


class Refusal(Exception):
    """`status` of HTTP, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Answers:
    """`facts` are the server's own, which the arbiter doesn't know: addresses, other servers beside this one."""

    def __init__(self, arbiter: Arbiter, facts: Callable[[], Answer]) -> None:
        self.arbiter = arbiter
        self.facts = facts
        self.born = time.monotonic_ns()

    def answer(self, method: str, name: str, parameters: Parameters, respond: Respond) -> None:
        """`respond` is called once, now or when the outcome is known. Raises Refusal."""
        asked = {"status": self.status, "ready": self.ready, "workers": self.workers, "trace": self.trace}
        told = {"reload": self.reload, "scale": self.scale, "upgrade": self.upgrade, "stop": self.stop}
        if name not in asked and name not in told:
            raise Refusal(404, f"there is no {name or 'such command'}; there are {', '.join([*asked, *told])}")
        if (method == "GET") != (name in asked):
            raise Refusal(405, f"{name} is a {'question: GET' if name in asked else 'command: POST'}")
        if name in told and name != "stop" and self.arbiter.stop is not None:
            raise Refusal(409, "the server is stopping")
        (asked | told)[name](parameters, respond)

    # questions

    def status(self, parameters: Parameters, respond: Respond) -> None:
        respond(200, self.state())

    def ready(self, parameters: Parameters, respond: Respond) -> None:
        """For a load balancer: 200 while new clients are welcome, else 503."""
        state = self.state()
        respond(200 if state["ready"] else 503, {"ready": state["ready"], "state": state["state"]})

    def state(self) -> Answer:
        arbiter = self.arbiter
        handles = arbiter.pool.handles.values()
        rows = [handle.row.snapshot() for handle in handles]
        ready = sum(handle.ready and handle.staying for handle in handles)
        leaving = bool(arbiter.stop or arbiter.told_to_stop)
        return {
            "version": __version__,
            "app": arbiter.edition.app,
            "state": self.word(ready),
            "ready": ready > 0 and not leaving,
            "generation": arbiter.edition.generation,
            "seconds": seconds(time.monotonic_ns() - self.born),
            "workers": {"wanted": arbiter.edition.workers, "ready": ready, "alive": len(rows)},
            "requests": sum(row.requests for row in rows),
            "errors": sum(row.errors for row in rows),
            "connections": sum(row.connections for row in rows),
            "bytes_out": sum(row.bytes_out for row in rows),
            **self.facts(),
        }

    def word(self, ready: int) -> str:
        arbiter = self.arbiter
        if arbiter.stop is not None:
            return "stopping"
        if arbiter.told_to_stop:
            return "leaving"
        if not arbiter.edition.announced:
            return "reloading" if ready or arbiter.fallback is not None else "booting"
        return "serving" if ready else "failing"

    def workers(self, parameters: Parameters, respond: Respond) -> None:
        respond(200, {"workers": [self.worker(handle) for handle in self.chosen(parameters)]})

    def worker(self, handle: Handle) -> Answer:
        row, now = handle.row.snapshot(), time.monotonic_ns()
        return {
            "slot": handle.row.slot,
            "pid": handle.pid,
            "age": handle.age,
            "generation": handle.generation,
            "state": row.state.name.lower(),
            "seconds": seconds(now - handle.born),
            "requests": row.requests,
            "errors": row.errors,
            "connections": row.connections,
            "bytes_out": row.bytes_out,
            "in_flight": [
                {"request": flight.line, "seconds": seconds(now - flight.since)} for flight in handle.row.in_flights()
            ],
        }

    def trace(self, parameters: Parameters, respond: Respond) -> None:
        """The stacks of all threads, also of a worker that hangs: its signal handler is in C."""
        handles = self.chosen(parameters)
        recorder = self.arbiter.recorder
        for handle in handles:
            recorder.ask(handle)
        until = time.monotonic_ns() + TRACE_PATIENCE

        def look() -> None:
            stacks = {handle.pid: recorder.listen(handle) for handle in handles}
            if any(handle.awaited for handle in handles) and time.monotonic_ns() < until:
                self.arbiter.at(time.monotonic_ns() + LATER, look)
                return
            told = [
                self.worker(handle) | {"stacks": [stack.lines for stack in stacks[handle.pid]]} for handle in handles
            ]
            respond(200, {"workers": told})

        self.arbiter.at(time.monotonic_ns() + LATER, look)

    def chosen(self, parameters: Parameters) -> list[Handle]:
        handles = sorted(self.arbiter.pool.handles.values(), key=lambda handle: handle.row.slot)
        if "slot" not in parameters:
            return handles
        slot = number(parameters, "slot")
        found = [handle for handle in handles if handle.row.slot == slot]
        if not found:
            raise Refusal(404, f"there is no worker in slot {slot}")
        return found

    # commands

    def reload(self, parameters: Parameters, respond: Respond) -> None:
        self.arbiter.log.info("Control: reload")
        self.begin("reload", self.arbiter.reload, parameters, respond)

    def upgrade(self, parameters: Parameters, respond: Respond) -> None:
        self.arbiter.log.info("Control: upgrade")
        self.begin("upgrade", self.arbiter.upgrade, parameters, respond)

    def begin(self, name: str, act: Callable[[], None], parameters: Parameters, respond: Respond) -> None:
        """Do it, and with `wait` respond when it has succeeded or failed."""
        if str(parameters.get("wait", "0")).lower() in ("0", "false", "no"):
            act()
            respond(202, {"ok": True})
            return
        outcomes, hearers = OUTCOMES[name], self.arbiter.hearers

        def hear(news: News, sentence: str) -> None:
            if news in outcomes:
                hearers.remove(hear)
                word = "message" if outcomes[news] else "error"
                said = sentence or "the server stops"
                respond(200 if outcomes[news] else 500, {"ok": outcomes[news], word: said})

        hearers.append(hear)
        act()

    def scale(self, parameters: Parameters, respond: Respond) -> None:
        wanted = number(parameters, "workers")
        if not 0 <= wanted <= self.arbiter.board.slots // 2:
            raise Refusal(400, f"workers must be between 0 and {self.arbiter.board.slots // 2}")
        self.arbiter.log.info("Control: scale to %d", wanted)
        self.arbiter.scale(wanted)
        respond(200, {"ok": True, "workers": self.arbiter.edition.workers})

    def stop(self, parameters: Parameters, respond: Respond) -> None:
        self.arbiter.log.info("Control: stop")
        respond(202, {"ok": True})
        if "quick" in parameters:
            self.arbiter.begin_stop(Stop.QUICK)
        else:
            self.arbiter.heed_term()


def number(parameters: Parameters, name: str) -> int:
    try:
        return int(parameters[name])
    except (KeyError, TypeError, ValueError):
        raise Refusal(400, f"{name} must be a number") from None


def seconds(nanoseconds: int) -> float:
    return round(nanoseconds / SECOND, 3)
