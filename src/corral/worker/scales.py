"""`max_worker_memory`: a worker that has grown past it says so, and serves on until another one has taken its place.

It knows what a look costs and when one is worth it. Who is replaced, and when, is the arbiter's.
"""

from collections.abc import Callable
from typing import Any

from corral.shared.process import private_memory
from corral.shared.scoreboard import Wish

# A look takes the kernel 0.1 ms for each 10 MiB or so.
INTERVAL = 5_000_000_000


class Scales:
    """`most` in bytes, 0 is no limit."""

    def __init__(self, most: int, log: Any, wish: Callable[[Wish], bool]) -> None:
        self.most = most
        self.log = log
        self.wish = wish
        self.due = 0
        self.requests = 0  # up to the last look

    def weigh(self, now: int, requests: int) -> None:
        """Called at any time: it looks if there have been requests since, and a few seconds have passed."""
        if self.most and now >= self.due and requests != self.requests:
            self.due = now + INTERVAL
            self.requests = requests
            found = private_memory()
            if found > self.most and self.wish(Wish.MEMORY):
                self.log.info("Worker grown to %d MiB (max_worker_memory), to be replaced.", found >> 20)
