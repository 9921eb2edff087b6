"""Who has which handlers, filters and levels among the loggers of this process, and how to go back.

It knows the logging module's state as a whole; not who changed it, nor why.
"""

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple


class Wires(NamedTuple):
    """What is set at one logger."""

    handlers: list[logging.Handler]
    filters: list[Any]
    level: int
    propagate: bool
    disabled: bool


Wiring = dict[logging.Logger, Wires]
UNTOUCHED = Wires([], [], logging.NOTSET, True, False)


def loggers() -> Iterator[logging.Logger]:
    yield logging.root
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger


def capture() -> Wiring:
    return {
        logger: Wires(list(logger.handlers), list(logger.filters), logger.level, logger.propagate, logger.disabled)
        for logger in loggers()
    }


def restore(wiring: Wiring) -> None:
    """Everything as it was. Lists are made anew: applications let loggers share one."""
    for logger, wires in wiring.items():
        logger.handlers, logger.filters = list(wires.handlers), list(wires.filters)
        logger.propagate, logger.disabled = wires.propagate, wires.disabled
        logger.setLevel(wires.level)


def undo(before: Wiring, after: Wiring) -> None:
    """Take back what changed between two instants; what others changed since then stays."""
    for logger, new in after.items():
        old = before.get(logger, UNTOUCHED)
        logger.handlers = without(logger.handlers, old.handlers, new.handlers)
        logger.filters = without(logger.filters, old.filters, new.filters)
        if logger.level == new.level:
            logger.setLevel(old.level)
        if logger.propagate == new.propagate:
            logger.propagate = old.propagate
        if logger.disabled == new.disabled:
            logger.disabled = old.disabled


def without(now: list[Any], old: list[Any], new: list[Any]) -> list[Any]:
    """What there is now, less what was added, and what was taken away again in its place."""
    taken = [item for item in old if item not in new and item not in now]
    return [*taken, *(item for item in now if item in old or item not in new)]


def added(before: Wiring, after: Wiring) -> set[logging.Handler]:
    return handlers_of(after) - handlers_of(before)


def handlers_of(wiring: Wiring) -> set[logging.Handler]:
    return {handler for wires in wiring.values() for handler in wires.handlers}
