"""The configuration file: Python that assigns settings, or a table of pyproject.toml. It is read anew each time.

It knows which names in it are settings and which were meant to be, and leaves their values as they are.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

from corral.config.settings import NO_HOOK, rows
from corral.config.sources import Findings, Given, Layer, nearest
from corral.errors import ConfigError

FILES = ("corral.conf.py", "gunicorn.conf.py")
PROJECT = "pyproject.toml"
SHORT = 4  # "name", "env", "pid": flags, but also what people call variables of their own


def from_file(path: str | None, cwd: str, findings: Findings) -> Layer:
    """The settings that the configuration file assigns."""
    if path is None:
        path = next((name for name in (*FILES, PROJECT) if os.path.isfile(os.path.join(cwd, name))), None)
        if path is None:
            return {}
    try:
        if path.startswith("python:"):
            namespace = import_names(path.removeprefix("python:"), cwd)
        elif path == PROJECT:
            namespace = read_table(os.path.join(cwd, path))
        else:
            path = path.removeprefix("file:")
            namespace = execute(os.path.join(cwd, path), cwd)
    except ConfigError as error:
        findings.problems.append(error)
        return {}
    return pick(namespace, path, findings)


def settings_of(path: str | None, cwd: str) -> dict[str, Any]:
    """The same by name, as they stand there. Raises ConfigError."""
    findings = Findings()
    layer = from_file(path, cwd, findings)
    if findings.problems:
        raise findings.problems[0]
    return {name: given.value for name, given in layer.items()}


def read_table(path: str) -> dict[str, Any]:
    """[tool.corral] of a project's file. Most projects have such a file, and most without this table."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError(f"the project's file {path} can't be read: {error.strerror}") from None
    if b"corral" not in text:
        return {}
    import tomllib  # lazily: 0.3 MiB

    try:
        tools = tomllib.loads(text.decode()).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the project's file {path} is no TOML: {error}") from None
    table = tools.get("corral", {}) if isinstance(tools, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(f"the project's file {path}: tool.corral must be a table")
    return table


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
        if name == "config":
            continue  # it can't name its successor
        if name in table:
            if value is not None or table[name].default is None:
                said = f"{path}: {name}" if callable(value) else f"{path}: {name} = {value!r}"
                found[name] = Given(value, path, said)
        elif is_imported(value, namespace):
            continue
        # Where both log_level and loglevel stand, the one is what the other is made of.
        elif (near := nearest_setting(name, value)) and near not in namespace:
            findings.warnings.append(f"{path}: {name} is no setting; did you mean {near}?")
    return found


def is_imported(value: object, namespace: Mapping[str, Any]) -> bool:
    """Whether it is a function of another module's, which bears the name that it has there."""
    return callable(value) and getattr(value, "__module__", None) != namespace.get("__name__")


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
    near = nearest(name, [each for each, row in table.items() if (row.default is NO_HOOK) == callable(value)])
    return near if near and abs(len(near) - len(name)) < 3 else None
