"""gunicorn's two files: that of the pid, and the worker's, which is none here."""

import os
from typing import Any

from corral.shared.process import Pidfile as OwnPidfile
from corral.worker.place import Heartbeat


class Pidfile:
    """Told which pid, and when to move: here a file is always the process's own."""

    def __init__(self, fname: str) -> None:
        self.fname = fname
        self.pid: int | None = None

    def create(self, pid: int) -> None:
        """Raises RuntimeError if another live process holds it."""
        holder = self.validate()
        if holder not in (None, pid):
            raise RuntimeError(f"Already running on PID {holder} (or pid file '{self.fname}' is stale)")
        with open(self.fname, "w", encoding="ascii") as file:
            file.write(f"{pid}\n")
        self.pid = pid

    def rename(self, path: str) -> None:
        self.unlink()
        self.fname = path
        self.create(self.pid or os.getpid())

    def unlink(self) -> None:
        if OwnPidfile(self.fname).read() == self.pid:
            os.unlink(self.fname)

    def validate(self) -> int | None:
        """Who holds it."""
        return OwnPidfile(self.fname).holder() or None


class WorkerTmp(Heartbeat):
    """What a class that makes its own holds until the server gives it one, before the fork."""

    def __init__(self, cfg: Any) -> None:
        """There is nobody to tell yet."""

    def notify(self) -> None:
        """Nobody listens."""

    def last_update(self) -> float:
        return 0.0
