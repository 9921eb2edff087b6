"""From samples to medians, ratios, tables and verdicts. Pure: it starts, reads and measures nothing.

The machine's speed changes from minute to minute, so a ratio is made within one round and the median is taken of those:
the median of one server over the median of another would compare different minutes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from report import Latency

OURS = "corral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One server in one scenario in one round."""

    scenario: str
    server: str
    round: int
    cpu: float
    """Microseconds of user and system time a request, of the whole process tree."""
    rate: float
    """Requests a second."""
    pss: float
    """MiB of proportional set size of the whole process tree, after the load."""
    latency: Latency


@dataclass(frozen=True, slots=True)
class Figure:
    """What is read off a sample, how a criterion calls it, and how a table shows it."""

    name: str
    heading: str
    form: str
    of: Callable[[Sample], float]


CPU = Figure("CPU", "CPU µs/request", ",.1f", lambda sample: sample.cpu)
PER_CPU_SECOND = Figure("messages a CPU-second", "messages/CPU s", ",.0f", lambda sample: 1e6 / sample.cpu)
RATE = Figure("requests a second", "requests/s", ",.0f", lambda sample: sample.rate)
PSS = Figure("memory", "PSS MiB", ",.1f", lambda sample: sample.pss)
MEAN = Figure("mean latency", "mean ms", ",.2f", lambda sample: sample.latency.mean)
P50 = Figure("median latency", "p50 ms", ",.2f", lambda sample: sample.latency.p50)
P90 = Figure("p90 latency", "p90 ms", ",.2f", lambda sample: sample.latency.p90)
P99 = Figure("p99 latency", "p99 ms", ",.2f", lambda sample: sample.latency.p99)
LONGEST = Figure("longest latency", "max ms", ",.2f", lambda sample: sample.latency.max)


def by_round(samples: Iterable[Sample], scenario: str, server: str, figure: Figure) -> dict[int, float]:
    return {s.round: figure.of(s) for s in samples if (s.scenario, s.server) == (scenario, server)}


def middle(samples: Iterable[Sample], scenario: str, server: str, figure: Figure) -> float | None:
    values = by_round(samples, scenario, server, figure).values()
    return median(values) if values else None


def paired(
    samples: Sequence[Sample],
    scenario: str,
    figure: Figure,
    first: str,
    second: str,
    join: Callable[[float, float], float],
) -> float | None:
    """The median over rounds of `join(first, second)`; None where no round has both."""
    ours = by_round(samples, scenario, first, figure)
    theirs = by_round(samples, scenario, second, figure)
    joined = [join(ours[number], theirs[number]) for number in sorted(ours.keys() & theirs.keys())]
    return median(joined) if joined else None


def ratio(samples: Sequence[Sample], scenario: str, figure: Figure, peer: str, ours: str = OURS) -> float | None:
    return paired(samples, scenario, figure, ours, peer, lambda a, b: a / b)


def table(samples: Sequence[Sample], scenario: str, shown: Sequence[Figure]) -> str:
    """The scenario's rows in the order in which the servers were first measured. A ratio is Corral over that server."""
    servers = list(dict.fromkeys(s.server for s in samples if s.scenario == scenario))
    rows: list[tuple[str, ...]] = [("", *(word for figure in shown for word in (figure.heading, "ratio")))]
    for server in servers:
        cells = [server]
        for figure in shown:
            cells.append(cell(middle(samples, scenario, server, figure), figure.form))
            cells.append(cell(None if server == OURS else ratio(samples, scenario, figure, server), ".3f"))
        rows.append(tuple(cells))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(line(row, widths) for row in rows)


def cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def line(row: tuple[str, ...], widths: list[int]) -> str:
    name, *numbers = row
    return "  ".join([name.ljust(widths[0]), *(n.rjust(w) for n, w in zip(numbers, widths[1:], strict=True))])


@dataclass(frozen=True, slots=True)
class OverPeer:
    """A limit for Corral's figure over the peer's."""

    scenario: str
    peer: str
    limit: float
    figure: Figure = CPU

    @property
    def servers(self) -> tuple[str, ...]:
        return (OURS, self.peer)

    def measured(self, samples: Sequence[Sample]) -> float | None:
        return ratio(samples, self.scenario, self.figure, self.peer)


class AtMostRatio(OverPeer):
    """It may be at most this."""

    __slots__ = ()

    def allows(self, measured: float) -> bool:
        return measured <= self.limit

    def __str__(self) -> str:
        return f"{self.scenario}: {self.figure.name} over {self.peer}, at most {self.limit:g}"


class AtLeastRatio(OverPeer):
    """It must be at least this."""

    __slots__ = ()

    def allows(self, measured: float) -> bool:
        return measured >= self.limit

    def __str__(self) -> str:
        return f"{self.scenario}: {self.figure.name} over {self.peer}, at least {self.limit:g}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Corral's own figure must be at least this."""

    scenario: str
    limit: float
    figure: Figure

    @property
    def servers(self) -> tuple[str, ...]:
        return (OURS,)

    def measured(self, samples: Sequence[Sample]) -> float | None:
        return middle(samples, self.scenario, OURS, self.figure)

    def allows(self, measured: float) -> bool:
        return measured >= self.limit

    def __str__(self) -> str:
        return f"{self.scenario}: {self.figure.name}, at least {self.limit:g}"


@dataclass(frozen=True, slots=True)
class AtMostMore:
    """A variant of Corral may cost at most so many microseconds a request more than Corral itself."""

    scenario: str
    variant: str
    limit: float

    @property
    def servers(self) -> tuple[str, ...]:
        return (OURS, self.variant)

    def measured(self, samples: Sequence[Sample]) -> float | None:
        return paired(samples, self.scenario, CPU, self.variant, OURS, lambda a, b: a - b)

    def allows(self, measured: float) -> bool:
        return measured <= self.limit

    def __str__(self) -> str:
        return f"{self.scenario}: {self.variant} costs at most {self.limit:g} µs more"


Criterion = AtMostRatio | AtLeastRatio | AtLeast | AtMostMore

CRITERIA: tuple[Criterion, ...] = (
    AtMostRatio("bare", "granian", 0.75),
    AtMostRatio("browser", "granian", 0.65),
    AtMostRatio("different", "granian", 1.0),
    AtMostRatio("post", "granian", 0.8),
    AtMostRatio("10k", "granian", 0.85),
    AtMostRatio("1m", "granian", 1.0),
    AtMostRatio("connect", "granian", 0.8),
    AtMostRatio("bare", "gunicorn", 0.08),
    AtMostRatio("flask", "gunicorn", 0.5),
    AtMostRatio("bare", "fastpysgi", 1.3),
    AtMostRatio("browser", "fastpysgi", 1.3),
    AtMostMore("bare", "corral+log", 4.0),
    AtMostRatio("asgi-bare", "uvicorn", 0.45),
    AtMostRatio("asgi-browser", "uvicorn", 0.45),
    AtMostRatio("fastapi", "uvicorn", 0.85),
    AtMostRatio("asgi-bare", "granian-asgi", 0.75),
    AtMostRatio("asgi-browser", "granian-asgi", 0.75),
    AtMostRatio("asgi-different", "granian-asgi", 1.0),
    AtMostRatio("asgi-post", "granian-asgi", 0.6),
    AtMostRatio("asgi-1m", "granian-asgi", 0.9),
    AtMostRatio("threads-bare", "granian", 0.6),
    AtLeast("threads-sleep", 760, RATE),
    AtMostRatio("threads-sleep", "granian", 1.0, P99),
    AtMostRatio("mixed-sleep", "granian", 0.5, MEAN),
    AtMostRatio("mixed-sleep", "granian", 0.5, P99),
    AtMostRatio("mixed-cpu", "granian", 0.5, MEAN),
    AtMostRatio("mixed-cpu", "granian", 0.5, P99),
    AtLeastRatio("websocket", "uvicorn", 1.3, PER_CPU_SECOND),
    AtLeastRatio("websocket", "granian-websocket", 1.0, PER_CPU_SECOND),
)


def met(criterion: Criterion, samples: Sequence[Sample]) -> bool | None:
    """None: not measured."""
    measured = criterion.measured(samples)
    return None if measured is None else criterion.allows(measured)


VERDICTS = {True: "pass", False: "fall short", None: "not measured"}


def verdicts(samples: Sequence[Sample], criteria: Sequence[Criterion] = CRITERIA) -> str:
    rows = [
        (VERDICTS[met(criterion, samples)], cell(criterion.measured(samples), ".3f"), str(criterion))
        for criterion in criteria
    ]
    return "\n".join(f"{verdict:12}  {measured:>7}  {what}" for verdict, measured, what in rows)
