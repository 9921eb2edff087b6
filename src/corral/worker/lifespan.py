"""ASGI's lifespan: the application is told of its start and of its end, and may refuse to start.

It knows the protocol's messages. When a worker is ready, and how long it may take to end, is the worker's affair.
"""

import asyncio
from typing import Any, Final

from corral.errors import EXIT_BOOT, AppLoadError
from corral.gateway.asgi import App, Message

VERSION: Final = {"version": "3.0", "spec_version": "2.0"}


class StartFailed(AppLoadError):
    """The application has refused to start: another try with the same code will fail as well."""

    exit_code = EXIT_BOOT


class Lifespan:
    """One for each worker. `state` is what the application has left there for its requests; None: it has no lifespan.

    An application that raises before it has asked for a message doesn't know the protocol (Django, for instance, and
    routers without a route for it); one that raises behind that has a start-up, and it is broken. "auto" tells them
    apart by this, "on" has no patience with either.
    """

    def __init__(self, app: App, mode: str, log: Any) -> None:
        self.app = app
        self.mode = mode
        self.log = log
        self.state: dict[str, Any] | None = None
        self.inbox: asyncio.Queue[Message] = asyncio.Queue()
        self.asked = False
        self.said = ""  # the last message of the application's
        self.reason = ""
        self.answered = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Raises StartFailed."""
        if self.mode == "off":
            return
        state: dict[str, Any] = {}
        scope = {"type": "lifespan", "asgi": VERSION, "state": state}
        self.inbox.put_nowait({"type": "lifespan.startup"})
        self.task = asyncio.get_running_loop().create_task(self.run(scope), name="lifespan")
        await self.answer()
        if self.said == "lifespan.startup.complete":
            self.state = state
        elif self.said == "lifespan.startup.failed":
            await self.cut()
            raise StartFailed(f"the application's start-up failed{f': {self.reason}' if self.reason else ''}")
        else:
            self.judge_end()

    async def run(self, scope: dict[str, Any]) -> None:
        await self.app(scope, self.receive, self.send)

    async def answer(self) -> None:
        """Wait for the next message of the application's, or for its end."""
        assert self.task is not None
        waiter = asyncio.ensure_future(self.answered.wait())
        try:
            await asyncio.wait((waiter, self.task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
        self.answered.clear()

    def judge_end(self) -> None:
        """The application has ended instead of saying that it has started."""
        task, self.task = self.task, None
        assert task is not None
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self.mode == "auto" and not self.asked:
            why = f": {type(error).__name__}: {error}" if error else ""
            self.log.debug("The application has no lifespan%s", why)
            return
        if error is not None:
            self.log.error("The application's start-up raised", exc_info=error)
            raise StartFailed("the application's start-up failed, see above")
        if self.mode == "on":
            raise StartFailed("the application returned from its lifespan before its start-up was complete")
        self.log.debug("The application has no lifespan")

    async def stop(self, limit: float) -> None:
        """At most `limit` seconds. What goes wrong is logged: the worker ends anyway."""
        task = self.task
        if task is None:
            return
        if task.done():
            self.complain("ended before it was told to")
            return
        self.inbox.put_nowait({"type": "lifespan.shutdown"})
        try:
            async with asyncio.timeout(limit):
                await self.answer()
                await asyncio.wait((task,))
        except TimeoutError:
            self.log.warning("The application's shutdown took longer than %.1f s, and was cut short", limit)
        if self.said == "lifespan.shutdown.failed":
            self.log.error("The application's shutdown failed%s", f": {self.reason}" if self.reason else "")
        await self.cut()
        self.complain("raised at its shutdown")

    def complain(self, how: str) -> None:
        task, self.task = self.task, None
        if task is not None and not task.cancelled() and task.done():
            error = task.exception()
            if error is not None and self.said != "lifespan.shutdown.failed":
                self.log.error("The application's lifespan %s", how, exc_info=error)

    async def cut(self) -> None:
        """Leave nothing behind."""
        task = self.task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,), timeout=1)
        if task is not None and task.done() and not task.cancelled():
            task.exception()  # it has been told in another way

    async def receive(self) -> Message:
        self.asked = True
        return await self.inbox.get()

    async def send(self, message: Message) -> None:
        kind = message["type"]
        expected = "lifespan.shutdown" if self.said == "lifespan.startup.complete" else "lifespan.startup"
        if kind not in (f"{expected}.complete", f"{expected}.failed"):
            raise RuntimeError(f"the application sent {kind!r}; what may come now is {expected}.complete or .failed")
        self.said = kind
        self.reason = str(message.get("message", "")).strip()
        self.answered.set()
