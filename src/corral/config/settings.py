"""The table of settings: one field is one setting. Command line, environment, file, docs and tests are read off it.

It knows names, types, defaults and help; where values come from is load's affair, what they do is everybody else's.
"""

import dataclasses
from typing import Any

from corral.config.derived import Derived
from corral.config.hooks import NO_HOOK, Hook
from corral.config.sections.application import Application
from corral.config.sections.moments import Moments
from corral.config.sections.process import Process
from corral.config.sections.protocols import Protocols
from corral.config.sections.reports import Reports
from corral.config.sections.serving import Serving

__all__ = ["NO_HOOK", "Config", "Hook", "rows"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Config(Derived, Moments, Process, Reports, Protocols, Serving, Application):  # their rows come last base first
    """What a server is told. Names are gunicorn's where it has them. Seconds may have fractions; 0 is no limit."""


def rows() -> dict[str, "dataclasses.Field[Any]"]:
    """The table, by name, in its order."""
    return {field.name: field for field in dataclasses.fields(Config)}
