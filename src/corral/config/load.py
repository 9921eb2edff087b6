"""Where values come from: defaults, file, *_CMD_ARGS, CORRAL_* variables, command line, each over the one before.

It knows the sources and remembers which one each value came from. It never exits and never logs: mistakes are
ConfigErrors, suspicions are `warnings`.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from corral.config.settings import COMPULSORY, HOOKS, MISSING, Config, rows
from corral.config.values import BadValue
from corral.errors import ConfigError

FILES = ("corral.conf.py", "gunicorn.conf.py")
OPTION_VARIABLES = ("GUNICORN_CMD_ARGS", "CORRAL_CMD_ARGS")
COMMAND_LINE = "command line"
SHORT = 4  # "name", "env", "pid": flags, but also what people call variables of their own


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


@dataclass
class Loaded:
    """A configuration, with the source of each value that isn't a default."""

    config: Config
    origins: dict[str, str]
    warnings: list[str]
    problems: list[ConfigError]


def load_config(argv: Sequence[str], environ: Mapping[str, str], cwd: str) -> Loaded:
    """Read all sources. Raises ConfigError, which says what to do. May be called again, for a reload."""
    loaded = gather(argv, environ, cwd)
    if len(loaded.problems) == 1:
        raise loaded.problems[0]
    if loaded.problems:
        causes = [problem.__cause__ for problem in loaded.problems if problem.__cause__]
        raise Mistakes(loaded.problems) from (causes[0] if causes else None)
    return loaded


def gather(argv: Sequence[str], environ: Mapping[str, str], cwd: str) -> Loaded:
    """Read all sources, and note every problem; what has one keeps its default. Only a command line that can't be
    split into options raises."""
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
    chosen = from_platform(environ) | from_file(path or None, cwd, findings) | above
    return settle(chosen, cwd, findings)


def settle(chosen: Layer, cwd: str, findings: Findings) -> Loaded:
    """Check every value that counts, and only those: a bad default that is overridden hurts nobody."""
    table = rows()
    accepted = {}
    for name, given in chosen.items():
        try:
            accepted[name] = table[name].metadata["accept"](given.value)
        except BadValue as error:
            findings.problems.append(ConfigError(f"{given.said}: {error}"))
    config = Config(**accepted)
    if config.chdir and not os.path.isdir(os.path.join(cwd, config.chdir)):
        findings.problems.append(ConfigError(f"{chosen['chdir'].said}: there is no such directory"))
    if config.strict_config:
        findings.problems += map(ConfigError, findings.warnings)
        findings.warnings = []
    origins = {name: given.origin for name, given in chosen.items()}
    return Loaded(config, origins, findings.warnings, findings.problems)


# Options


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is an exception."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def make_parser() -> Parser:
    """Every setting that has flags, in sections; values stay text, so that all sources are read by one function."""
    # Abbreviations, as gunicorn has them: an ambiguous one is an error that names what it may mean.
    parser = Parser(prog="corral", usage="%(prog)s [OPTIONS] [APP]", add_help=False)
    parser.add_argument("wsgi_app", nargs="?", metavar="APP", help="MODULE:NAME, MODULE:FACTORY('argument'), or MODULE")
    add_commands(parser)
    groups: dict[str, Any] = {}
    for name, row in rows().items():
        meta = row.metadata
        if not meta["flags"]:
            continue
        if meta["section"] not in groups:
            groups[meta["section"]] = parser.add_argument_group(meta["section"])
        how: dict[str, Any] = {"action": "append" if meta["append"] else "store", "metavar": meta["metavar"]}
        if meta["constant"] is not None:
            how = {"action": "store_const", "const": meta["constant"]}
        groups[meta["section"]].add_argument(*meta["flags"], dest=name, help=meta["help"].replace("%", "%%"), **how)
    add_missing(parser)
    return parser


def add_commands(parser: Parser) -> None:
    """Flags that ask for something else than to serve."""
    commands = {
        "help": (("-h", "--help"), "Show this and exit."),
        "version": (("-v", "--version"), "Show the version and exit."),
        "check": (("--check-config",), "The same as `corral check`."),
        "config": (("--print-config",), "The same as `corral config`."),
        "markdown": (("--markdown",), argparse.SUPPRESS),
    }
    for command, (flags, described) in commands.items():
        parser.add_argument(*flags, dest="command", action="store_const", const=command, help=described)


def add_missing(parser: Parser) -> None:
    """They are known, so that what stands after them isn't taken for APP."""
    for name, missing in MISSING.items():
        if missing.flags:
            parser.add_argument(*missing.flags, dest=name, help=argparse.SUPPRESS, **missing.options)


def command_of(argv: Sequence[str]) -> str | None:
    command: str | None = make_parser().parse_known_args(list(argv))[0].command
    return command


def from_arguments(argv: Sequence[str], source: str, findings: Findings) -> Layer:
    """Options as text. Raises UsageError if they can't be told from one another."""
    where = "" if source == COMMAND_LINE else f" ({source})"
    try:
        known, unknown = make_parser().parse_known_args(list(argv))
    except UsageError as error:
        raise UsageError(f"{error}{where}") from None
    findings.problems += [UsageError(complaint + where) for complaint in explain_unknown(unknown)]
    del known.command
    layer, table = {}, rows()
    for name, value in vars(known).items():
        if value is None:
            continue
        if name in MISSING:
            if MISSING[name].asks_for_something(value[-1] if isinstance(value, list) else value):
                findings.problems.append(UsageError(f"{MISSING[name].flags[-1]} is not supported yet{where}"))
            continue
        flag = next((flag for flag in table[name].metadata["flags"] if flag.startswith("--")), "APP")
        written = " ".join(value) if isinstance(value, list) else value
        layer[name] = Given(value, source, f"{flag} {written}{where}")
    return layer


def explain_unknown(arguments: Sequence[str]) -> Iterable[str]:
    """One complaint an option. What follows an unknown one may be its value, so that's no second APP."""
    flags = [flag.partition("=")[0] for flag in arguments if flag.startswith("-")]
    if arguments and not flags:
        yield f"one APP only, {arguments[0]!r} is a second"
    known = [flag for row in rows().values() for flag in row.metadata["flags"]]
    known += [flag for missing in MISSING.values() for flag in missing.flags]
    for flag in flags:
        near = nearest(flag, known)
        yield f"unknown option {flag}; " + (f"did you mean {near}?" if near else "`corral --help` lists them")


def nearest(name: str, names: Iterable[str]) -> str | None:
    import difflib  # lazily: only mistakes need it

    return next(iter(difflib.get_close_matches(name, list(names), 1, 0.75)), None)


def split(variable: str, text: str) -> list[str]:
    import shlex  # lazily: most environments have no such variable

    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{variable} can't be split into options: {str(error).lower()}") from None


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
        elif name in MISSING:
            if MISSING[name].asks_for_something(value):
                findings.problems.append(ConfigError(f"{variable} is not supported yet"))
        elif near := nearest(name, table):
            findings.warnings.append(f"{variable} is no setting; did you mean CORRAL_{near.upper()}?")
    return found


# The file


def from_file(path: str | None, cwd: str, findings: Findings) -> Layer:
    """The settings that the configuration file assigns."""
    if path is None:
        path = next((name for name in FILES if os.path.isfile(os.path.join(cwd, name))), None)
        if path is None:
            return {}
    try:
        if path.startswith("python:"):
            namespace = import_names(path.removeprefix("python:"), cwd)
        else:
            path = path.removeprefix("file:")
            namespace = execute(os.path.join(cwd, path), cwd)
    except ConfigError as error:
        findings.problems.append(error)
        return {}
    return pick(namespace, path, findings)


def execute(path: str, cwd: str) -> dict[str, Any]:
    from types import ModuleType

    if not os.path.isfile(path):
        wrong = "is a directory" if os.path.isdir(path) else "doesn't exist"
        raise ConfigError(f"the configuration file {path} {wrong}; --config takes PATH, file:PATH or python:MODULE")
    add_to_path(cwd)
    # The name that gunicorn gives it, and a real module: dataclasses and pickles look themselves up there.
    module = ModuleType("__config__")
    module.__file__ = path
    sys.modules["__config__"] = module
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise ConfigError(f"the configuration file {path} can't be read: {error.strerror}") from None
    try:
        exec(compile(source, path, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise user_error(f"the configuration file {path} failed", error) from error
    return module.__dict__


def import_names(name: str, cwd: str) -> dict[str, Any]:
    from importlib import import_module, invalidate_caches

    add_to_path(cwd)
    invalidate_caches()
    sys.modules.pop(name, None)  # a reload of the server reads it anew
    try:
        return import_module(name).__dict__
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            where = ", ".join(entry or cwd for entry in sys.path)
            raise ConfigError(f"--config python:{name}: there is no module {error.name!r}; looked in {where}") from None
        raise user_error(f"the configuration module {name} failed", error) from error
    except (Exception, SystemExit) as error:
        raise user_error(f"the configuration module {name} failed", error) from error


def add_to_path(directory: str) -> None:
    if directory not in sys.path:
        sys.path.insert(0, directory)


def user_error(what: str, error: BaseException) -> ConfigError:
    """The user's own code raised: that is when a traceback helps, without the frames of this module."""
    import traceback  # lazily: only mistakes need it

    while error.__traceback__ is not None and error.__traceback__.tb_frame.f_globals.get("__name__") == __name__:
        error.__traceback__ = error.__traceback__.tb_next
    text = "".join(traceback.format_exception(error)).rstrip()
    return ConfigError(f"{what}: {type(error).__name__}: {error}\n{text}")


def pick(namespace: Mapping[str, Any], path: str, findings: Findings) -> Layer:
    """The names that are settings. Others are the user's own, as with gunicorn; but near misses are told."""
    table = rows()
    found = {}
    for name, value in namespace.items():
        if name.startswith("_") or type(value).__name__ == "module":
            continue
        if name in MISSING:
            tell_missing(name, value, path, findings)
        elif name == "config":
            continue  # it can't name its successor
        elif name in table:
            if value is not None or table[name].default is None:
                found[name] = Given(value, path, f"{path}: {name} = {value!r}")
        # Where both log_level and loglevel stand, the one is what the other is made of.
        elif (near := nearest_setting(name, value)) and near not in namespace:
            findings.warnings.append(f"{path}: {name} is no setting; did you mean {near}?")
    return found


def nearest_setting(name: str, value: object) -> str | None:
    """What a name was meant to be. A function may be meant as a hook, and nothing else may; a class as nothing.

    A flag's spelling is a near miss too, keep_alive for keepalive. The lengths must be alike: beside timeout,
    timeout_str is a variable of the user's own.
    """
    if isinstance(value, type):
        return None
    table = rows()
    meant = {flag.lstrip("-").replace("-", "_"): each for each, row in table.items() for flag in row.metadata["flags"]}
    if name in meant and len(name) > SHORT and not callable(value):
        return meant[name]
    return nearest(name, [each for each in (HOOKS if callable(value) else table) if abs(len(each) - len(name)) < 3])


def tell_missing(name: str, value: object, path: str, findings: Findings) -> None:
    if not MISSING[name].asks_for_something(value):
        return
    if name in COMPULSORY:
        findings.problems.append(ConfigError(f"{path}: {name} is not supported yet"))
    else:
        findings.warnings.append(f"{path}: {name} is not supported yet and has no effect")
