"""What all sources of a configuration have in common: the values they give, and what is noticed on the way."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from corral.errors import ConfigError


class UsageError(ConfigError):
    """The command line itself is malformed."""

    exit_code = 2


class Mistakes(ConfigError):
    """Several at once."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems
        self.exit_code = problems[0].exit_code


class Given(NamedTuple):
    """A value as its source has it. `said` is how the user wrote it, for the start of an error."""

    value: Any
    origin: str
    said: str


Layer = dict[str, Given]


@dataclass
class Findings:
    """What was noticed on the way. `warnings` become problems with strict_config."""

    warnings: list[str] = field(default_factory=list)
    problems: list[ConfigError] = field(default_factory=list)


def nearest(name: str, names: Iterable[str]) -> str | None:
    import difflib  # lazily: only mistakes need it

    return next(iter(difflib.get_close_matches(name, list(names), 1, 0.75)), None)
