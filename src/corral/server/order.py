"""What the arbiter tells a mold to fork: which worker, and what pre_fork has left on it and in the environment.

It knows the message. The hook runs in the arbiter, the worker comes from the mold: users count on the one seeing what
the other did.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Left:
    """What a hook has left. It can be sent."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str | None] = field(default_factory=dict)

    def leave(self, worker: Any) -> None:
        for name, value in self.attributes.items():
            setattr(worker, name, value)
        for name, text in self.environ.items():
            if text is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = text


class Traces:
    """How a worker and the environment were before a hook was called."""

    def __init__(self, worker: Any) -> None:
        self.worker = worker
        self.attributes = dict(vars(worker))
        self.environ = dict(os.environ)

    def since(self, log: Any) -> Left:
        """What is different now, as far as it can be sent."""
        now, environ = vars(self.worker), dict(os.environ)
        attributes = {
            name: value
            for name, value in now.items()
            if name not in self.attributes or self.attributes[name] is not value
        }
        if environ == self.environ and not attributes:
            return Left()
        for name in list(attributes):
            if not can_be_sent(attributes[name]):
                log.warning("pre_fork has set worker.%s to what can't go to another process", name)
                del attributes[name]
        changed = {name: environ.get(name) for name in environ.keys() | self.environ.keys()}
        return Left(attributes, {name: text for name, text in changed.items() if text != self.environ.get(name)})


def can_be_sent(value: Any) -> bool:
    import pickle  # lazily: few hooks leave anything

    try:
        pickle.dumps(value)
    except Exception:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Order:
    """A worker to fork. With `logs_reopened` the files of the log have moved since the mold was made."""

    slot: int
    age: int
    logs_reopened: bool
    left: Left

    def pack(self) -> bytes:
        head = b"%d %d %d" % (self.slot, self.age, self.logs_reopened)
        if not (self.left.attributes or self.left.environ):
            return head
        import pickle

        return head + b" " + pickle.dumps((self.left.attributes, self.left.environ))

    @classmethod
    def unpack(cls, message: bytes) -> "Order":
        slot, age, reopened, *rest = message.split(b" ", 3)
        left = Left()
        if rest:
            import pickle

            left = Left(*pickle.loads(rest[0]))
        return cls(int(slot), int(age), reopened == b"1", left)
