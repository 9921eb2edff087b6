"""Where values come from: defaults, file, *_CMD_ARGS, CORRAL_* variables, command line, each over the one before.

It knows the sources and remembers which one each value came from. It never exits and never logs: mistakes are
ConfigErrors, suspicions are `warnings`.
"""

import argparse
import os
import shlex
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from corral.config.settings import Config, rows
from corral.config.values import BadValue
from corral.errors import ConfigError

FILES = ("corral.conf.py", "gunicorn.conf.py")
# What gunicorn has and this version hasn't: said once, never silently without effect.
NOT_YET = frozenset(
    """
    worker_connections threads max_requests max_requests_jitter reload reload_engine reload_extra_files spew
    permit_obsolete_folding strip_header_spaces permit_unconventional_http_method permit_unconventional_http_version
    casefold_http_method proxy_protocol proxy_allow_ips protocol uwsgi_allow_ips root_path logger_class logconfig
    logconfig_dict logconfig_json syslog_addr syslog syslog_prefix syslog_facility enable_stdio_inheritance statsd_host
    statsd_prefix dogstatsd_tags enable_backlog_metric keyfile certfile cert_reqs ca_certs ciphers http_protocols
    http2_cleartext http2_max_concurrent_streams http2_initial_window_size http2_max_frame_size asgi_loop asgi_lifespan
    asgi_disconnect_grace_period websocket_max_message_size paste raw_paste_global_conf on_starting on_reload when_ready
    pre_fork post_fork post_worker_init worker_int worker_abort pre_exec pre_request post_request child_exit worker_exit
    nworkers_changed on_exit ssl_context dirty_apps dirty_workers control_socket worker_tmp_dir
    """.split()
)


@dataclass
class Loaded:
    """A configuration, with the source of each value that isn't a default."""

    config: Config
    origins: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is a ConfigError with exit code 2, and an unknown option is told its nearest relative."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


class UsageError(ConfigError):
    """The command line itself is malformed."""

    exit_code = 2


def make_parser(prog: str = "corral") -> Parser:
    """Every setting that has flags, in sections; values stay text here, so that all sources are read by one function."""
    parser = Parser(prog=prog, usage="%(prog)s [OPTIONS] [APP]", allow_abbrev=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("wsgi_app", nargs="?", metavar="APP", help="MODULE:NAME, MODULE:FACTORY('argument'), or MODULE")
    groups: dict[str, Any] = {}
    for name, row in rows().items():
        meta = row.metadata
        if not meta["flags"]:
            continue
        group = groups.setdefault(meta["section"], parser.add_argument_group(meta["section"])) if (
            meta["section"] not in groups
        ) else groups[meta["section"]]  # fmt: skip
        described = meta["help"].replace("%", "%%")
        if meta["constant"] is not None:
            group.add_argument(*meta["flags"], dest=name, action="store_const", const=meta["constant"], help=described)
        else:
            action = "append" if meta["append"] else "store"
            group.add_argument(*meta["flags"], dest=name, action=action, metavar=meta["metavar"], help=described)
    return parser


def load_config(argv: Sequence[str], environ: Mapping[str, str], cwd: str) -> Loaded:
    """Read all sources. Raises ConfigError, with one line that says what to do. May be called again, for a reload."""
    command_line = parse(argv)
    layers: list[tuple[str, dict[str, Any]]] = [("environment", defaults_from(environ))]
    arguments = [
        (variable, parse(split(variable, environ[variable]), variable))
        for variable in ("GUNICORN_CMD_ARGS", "CORRAL_CMD_ARGS")
        if environ.get(variable)
    ]
    for _, given in arguments:
        given.pop("wsgi_app", None)  # as gunicorn: these variables hold options only
    warnings: list[str] = []
    path = next(
        (given["config"] for given in (command_line, *(pair[1] for pair in reversed(arguments))) if "config" in given),
        None,
    )
    directory = next(
        (given["chdir"] for given in (command_line, *(pair[1] for pair in reversed(arguments))) if "chdir" in given),
        cwd,
    )
    strict = bool(command_line.get("strict_config"))
    source, from_file = read_file(path, os.path.join(cwd, directory), warnings, strict=strict)
    layers.append((source, from_file))
    layers += arguments
    layers.append(("environment", own_variables(environ, warnings)))
    layers.append(("command line", command_line))
    return settle(layers, warnings)


def settle(layers: list[tuple[str, dict[str, Any]]], warnings: list[str]) -> Loaded:
    """Check every value that counts, and only those: a bad default that is overridden hurts nobody."""
    table = rows()
    chosen: dict[str, tuple[str, Any]] = {}
    for source, given in layers:
        for name, value in given.items():
            if value is not None or table[name].default is None:
                chosen[name] = (source, value)
    accepted, origins, errors = {}, {}, []
    for name, (source, value) in chosen.items():
        try:
            accepted[name] = table[name].metadata["accept"](value)
        except BadValue as error:
            errors.append(f"{spelling(name, source)} = {value!r} ({source}): {error}")
        origins[name] = source
    if errors:
        raise ConfigError("; ".join(errors))
    return Loaded(Config(**accepted), origins, warnings)


def spelling(name: str, source: str) -> str:
    flags = rows()[name].metadata["flags"]
    return flags[-1] if flags and (source == "command line" or source.endswith("_CMD_ARGS")) else name


def parse(argv: Sequence[str], source: str = "") -> dict[str, Any]:
    """Options as text by setting name. Raises UsageError."""
    parser = make_parser()
    prefix = f"{source}: " if source else ""
    try:
        known, unknown = parser.parse_known_args(list(argv))
    except UsageError as error:
        raise UsageError(prefix + str(error)) from None
    if unknown:
        raise UsageError(prefix + explain_unknown(unknown[0]))
    return vars(known)


def explain_unknown(argument: str) -> str:
    if not argument.startswith("-"):
        return f"one APP only, {argument!r} is a second"
    flag = argument.partition("=")[0]
    flags = [flag for row in rows().values() for flag in row.metadata["flags"]]
    near = nearest(flag, flags)
    if flag.removeprefix("--").replace("-", "_") in NOT_YET:
        return f"{flag} is not supported yet"
    return f"unknown option {flag}" + (f"; did you mean {near}?" if near else "; `corral --help` lists them")


def nearest(name: str, names: Sequence[str]) -> str | None:
    import difflib  # lazily: only mistakes need it

    return next(iter(difflib.get_close_matches(name, names, 1, 0.75)), None)


def split(variable: str, text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(f"{variable} can't be split into options: {error}") from None


def defaults_from(environ: Mapping[str, str]) -> dict[str, Any]:
    """Variables that only set a default, under names that platforms use."""
    found: dict[str, Any] = {
        name: environ[row.metadata["env"]]
        for name, row in rows().items()
        if row.metadata["env"] and environ.get(row.metadata["env"])
    }
    if environ.get("PORT"):
        found["bind"] = f"0.0.0.0:{environ['PORT']}"
    return found


def own_variables(environ: Mapping[str, str], warnings: list[str]) -> dict[str, Any]:
    """CORRAL_WORKERS=4 and the like; an empty one counts as unset."""
    found = {}
    table = rows()
    for variable, value in environ.items():
        name = variable.removeprefix("CORRAL_").lower()
        if not variable.startswith("CORRAL_") or variable == "CORRAL_CMD_ARGS" or not value:
            continue
        if name in table:
            found[name] = value
        elif near := nearest(name, list(table)):
            warnings.append(f"{variable} is no setting; did you mean CORRAL_{near.upper()}?")
    return found


def read_file(path: str | None, directory: str, warnings: list[str], *, strict: bool) -> tuple[str, dict[str, Any]]:
    """The settings that the configuration file assigns: (its name, values)."""
    if path is not None and path.startswith("python:"):
        return path, pick(import_names(path.removeprefix("python:"), directory), path, warnings, strict=strict)
    if path is None:
        path = next((name for name in FILES if os.path.isfile(os.path.join(directory, name))), None)
        if path is None:
            return "", {}
    path = path.removeprefix("file:")
    full = os.path.join(directory, path)
    if not os.path.isfile(full):
        raise ConfigError(f"the configuration file {full} doesn't exist; -c takes PATH, file:PATH or python:MODULE")
    return path, pick(execute(full), path, warnings, strict=strict)


def execute(path: str) -> dict[str, Any]:
    import types

    module = types.ModuleType("__config__")
    module.__file__ = path
    sys.modules["__config__"] = module
    try:
        with open(path, "rb") as file:
            code = compile(file.read(), path, "exec")
        exec(code, module.__dict__)
    except OSError as error:
        raise ConfigError(f"the configuration file {path} can't be read: {error.strerror}") from None
    except Exception as error:
        raise user_error(f"the configuration file {path} failed", error) from error
    return module.__dict__


def import_names(name: str, directory: str) -> dict[str, Any]:
    import importlib

    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        module = importlib.import_module(name)
        if "__config_read__" in module.__dict__:
            module = importlib.reload(module)  # a reload of the server reads it anew
        module.__dict__["__config_read__"] = True
    except ModuleNotFoundError as error:
        if error.name and name.startswith(error.name):
            raise ConfigError(f"there is no module {name!r} for -c python:{name}") from None
        raise user_error(f"the configuration module {name} failed", error) from error
    except Exception as error:
        raise user_error(f"the configuration module {name} failed", error) from error
    return module.__dict__


def user_error(what: str, error: Exception) -> ConfigError:
    """The user's own code raised: that is when a traceback helps, without the frames of this module."""
    while error.__traceback__ is not None and error.__traceback__.tb_frame.f_globals.get("__name__") == __name__:
        error.__traceback__ = error.__traceback__.tb_next
    text = "".join(traceback.format_exception(error)).rstrip()
    return ConfigError(f"{what}: {type(error).__name__}: {error}\n{text}")


def pick(namespace: dict[str, Any], path: str, warnings: list[str], *, strict: bool) -> dict[str, Any]:
    """The names that are settings. Others are the user's own, as with gunicorn; but one that is nearly a setting is told."""
    table = rows()
    found = {name: value for name, value in namespace.items() if name in table}
    complaints = []
    for name, value in namespace.items():
        if name in table or name.startswith("_") or is_foreign(value):
            continue
        if name in NOT_YET:
            warnings.append(f"{path}: {name} is not supported yet and has no effect")
        elif near := nearest(name, list(table)):
            complaints.append(f"{path}: {name} is no setting; did you mean {near}?")
    if complaints and (strict or found.get("strict_config")):
        raise ConfigError("; ".join(complaints))
    warnings += complaints
    return found


def is_foreign(value: object) -> bool:
    """An imported module or class is no attempt at a setting."""
    return isinstance(value, type) or type(value).__name__ == "module"


Reader = Callable[[], Loaded]
