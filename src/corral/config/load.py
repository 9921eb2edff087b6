"""Where values come from: defaults, the application, file, *_CMD_ARGS, CORRAL_* variables, command line, in this order.

It knows the sources and remembers which one each value came from. It never exits and never logs: mistakes are
ConfigErrors, suspicions are `warnings`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corral.config.file import add_to_path, from_file
from corral.config.options import COMMAND_LINE, command_of, from_arguments, make_parser, split
from corral.config.settings import Config, rows
from corral.config.sources import Findings, Given, Layer, Mistakes, UsageError, nearest
from corral.config.values import BadValue, NoNumber
from corral.errors import ConfigError

__all__ = [
    "NO_APP", "Given", "Layer", "Loaded", "Mistakes", "UsageError",
    "add_to_path", "command_of", "gather", "load_config", "load_own", "make_parser",
]  # fmt: skip
NO_APP = "no application was named; write for instance: corral myproject.wsgi:application"
OPTION_VARIABLES = ("GUNICORN_CMD_ARGS", "CORRAL_CMD_ARGS")


@dataclass
class Loaded:
    """A configuration, with the source of each value that isn't a default."""

    config: Config
    origins: dict[str, str]
    warnings: list[str]
    problems: list[ConfigError]


def load_config(argv: Sequence[str], environ: Mapping[str, str], cwd: str, own: Layer | None = None) -> Loaded:
    """Read all sources. Raises ConfigError, which says what to do. May be called again, for a reload."""
    return insist(gather(argv, environ, cwd, own))


def insist(loaded: Loaded) -> Loaded:
    if len(loaded.problems) == 1:
        raise loaded.problems[0]
    if loaded.problems:
        causes = [problem.__cause__ for problem in loaded.problems if problem.__cause__]
        raise Mistakes(loaded.problems) from (causes[0] if causes else None)
    return loaded


def gather(argv: Sequence[str], environ: Mapping[str, str], cwd: str, own: Layer | None = None) -> Loaded:
    """Read all sources, and note every problem; what has one keeps its default. Only a command line that can't be
    split into options raises. `own` are the settings of an application that brings some."""
    findings = Findings()
    command_line = from_arguments(argv, COMMAND_LINE, findings)
    above: Layer = {}
    for variable in OPTION_VARIABLES:
        if environ.get(variable):
            given = from_arguments(split(variable, environ[variable]), variable, findings)
            given.pop("wsgi_app", None)  # as gunicorn: these variables hold options only
            above.update(given)
    above.update(from_variables(environ, findings))
    above.update(command_line)
    path = above["config"].value if "config" in above else None
    # As with gunicorn, `chdir` moves the application, not the place where its configuration is looked for.
    chosen = from_platform(environ) | (own or {}) | from_file(path or None, cwd, findings) | above
    return settle(chosen, cwd, findings)


def load_own(own: Layer, environ: Mapping[str, str], cwd: str) -> Loaded:
    """An application that configures itself: its settings over the platform's defaults. Raises ConfigError."""
    return insist(settle(from_platform(environ) | own, cwd, Findings()))


def settle(chosen: Layer, cwd: str, findings: Findings) -> Loaded:
    """Check every value that counts, and only those: a bad default that is overridden hurts nobody."""
    table = rows()
    accepted = {}
    for name, given in chosen.items():
        try:
            accepted[name] = table[name].metadata["accept"](given.value)
        except BadValue as error:
            # As gunicorn: there a number is part of the command line's grammar, and everything else a setting's value.
            unreadable = isinstance(error, NoNumber) and given.origin in (COMMAND_LINE, *OPTION_VARIABLES)
            findings.problems.append((UsageError if unreadable else ConfigError)(f"{given.said}: {error}"))
        else:
            effect, when = table[name].metadata["effect"], table[name].metadata["when"]
            if effect and when(accepted[name]):
                findings.warnings.append(f"{given.origin}: {name} has no effect: {effect}")
    origins = {name: given.origin for name, given in chosen.items()}
    name_process(accepted, origins)
    config = Config(**accepted)
    if config.chdir and not os.path.isdir(os.path.join(cwd, config.chdir)):
        findings.problems.append(ConfigError(f"{chosen['chdir'].said}: there is no such directory"))
    if config.strict_config:
        findings.problems += map(ConfigError, findings.warnings)
        findings.warnings = []
    return Loaded(config, origins, findings.warnings, findings.problems)


def name_process(accepted: dict[str, Any], origins: dict[str, str]) -> None:
    """A process without a name of its own bears the application's, and hooks are told so, as by gunicorn."""
    if accepted.get("proc_name") is not None:
        return
    for name in ("default_proc_name", "wsgi_app", "paste"):
        if accepted.get(name):
            accepted["proc_name"] = accepted[name]
            origins["proc_name"] = origins[name]
            return


# Variables


def from_platform(environ: Mapping[str, str]) -> Layer:
    """Variables that only set a default, under names that platforms use."""
    found = {}
    for name, row in rows().items():
        variable = row.metadata["env"]
        if variable and environ.get(variable):
            found[name] = Given(environ[variable], variable, f"{variable}={environ[variable]}")
    if port := environ.get("PORT"):
        found["bind"] = Given(f"0.0.0.0:{port}", "PORT", f"PORT={port}")
    return found


def from_variables(environ: Mapping[str, str], findings: Findings) -> Layer:
    """CORRAL_WORKERS=4 and the like; an empty one counts as unset."""
    found = {}
    table = rows()
    for variable, value in environ.items():
        name = variable.removeprefix("CORRAL_").lower()
        if not variable.startswith("CORRAL_") or variable in OPTION_VARIABLES or not value:
            continue
        if name in table:
            found[name] = Given(value, variable, f"{variable}={value}")
        elif near := nearest(name, table):
            findings.warnings.append(f"{variable} is no setting; did you mean CORRAL_{near.upper()}?")
    return found
