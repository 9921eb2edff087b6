"""What a load reports, whoever put it: how many requests, how fast, how long they took, and what failed. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


class LoadFailed(Exception):
    """A load failed, or counted an error: the figures would be those of a broken exchange."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the answers took, in milliseconds."""

    mean: float
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        if not seconds:
            raise LoadFailed("no answer was timed")
        times = sorted(1000 * value for value in seconds)
        p50, p90, p99 = (percentile(times, share) for share in (0.5, 0.9, 0.99))
        return cls(math.fsum(times) / len(times), p50, p90, p99, times[-1])


def percentile(times: Sequence[float], share: float) -> float:
    """By nearest rank, of what is sorted: a time that was measured, below or at which that share of all is."""
    return times[max(0, math.ceil(share * len(times)) - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    requests: int
    rate: float
    latency: Latency
    connect_errors: int = 0
    read_errors: int = 0
    write_errors: int = 0
    timeouts: int = 0
    bad_statuses: int = 0

    def check(self, *, unannounced_close: bool = False) -> None:
        """Raise LoadFailed at any error. Where closing without saying so is known, one read error a request is none."""
        read_errors = 0 if unannounced_close and self.read_errors <= self.requests else self.read_errors
        errors = {
            "connect errors": self.connect_errors,
            "read errors": read_errors,
            "write errors": self.write_errors,
            "time-outs": self.timeouts,
            "answers that aren't 2xx or 3xx": self.bad_statuses,
        }
        counted = [f"{count} {name}" for name, count in errors.items() if count]
        if counted:
            raise LoadFailed(f"{', '.join(counted)} in {self.requests} requests")
        if not self.requests:
            raise LoadFailed("no answer at all")
