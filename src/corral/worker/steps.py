"""How a coroutine takes a step at once, and not in the loop's next turn: its first, and one that it has waited for.

It knows how asyncio's tasks and futures ask their loop for a step, and nothing of what a step is about.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

Task = asyncio.Task[None]
EAGER: Final = sys.version_info >= (3, 12)


def launcher(loop: asyncio.AbstractEventLoop) -> Callable[[Any], Task]:
    """What starts a coroutine as a task of its own and runs it to its first wait, at once: most need no other step.

    Each request has its own task and context, as libraries expect that keep sessions or scopes by either.
    """
    if EAGER:
        return lambda coroutine: asyncio.Task(coroutine, loop=loop, eager_start=True)  # type: ignore[call-arg]
    held: list[Any] = []
    of_loop = vars(loop)
    tasks = asyncio.tasks._all_tasks  # type: ignore[attr-defined]
    of_tasks = vars(tasks)

    def hold(step: Callable[[], None], *, context: Any = None) -> None:
        held.append((context, step))

    def launch(coroutine: Any) -> Task:
        # Before Python 3.12 a task schedules its first step, and enters a set of weak references; here both are kept
        # from the loop until it is known whether the task goes on. 2 µs a request less than a turn of the loop.
        of_loop["call_soon"] = hold
        of_tasks["add"] = callable  # does nothing with its argument, in C
        try:
            task: Task = asyncio.Task(coroutine, loop=loop, name="request")
        finally:
            del of_loop["call_soon"], of_tasks["add"]
        context, step = held.pop()
        context.run(step)
        if not task.done():
            tasks.add(task)
        return task

    return launch


def rouser(loop: asyncio.AbstractEventLoop) -> Callable[["asyncio.Future[None]"], None]:
    """What ends the wait for a future and lets who waited go on at once: 1.5 µs less than by a turn of the loop.

    Not to be called in a task's step.
    """
    held: list[tuple[Any, Callable[..., Any], tuple[Any, ...]]] = []
    of_loop = vars(loop)

    def hold(step: Callable[..., Any], *arguments: Any, context: Any = None) -> None:
        held.append((context, step, arguments))

    def rouse(future: "asyncio.Future[None]") -> None:
        if future.done():
            return  # who waited was cancelled
        of_loop["call_soon"] = hold
        try:
            future.set_result(None)
        finally:
            del of_loop["call_soon"]
        while held:
            context, step, arguments = held.pop(0)
            context.run(step, *arguments)

    return rouse
