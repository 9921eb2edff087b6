"""argv in, exit code out: the server, or one of the commands `config` and `check`. A mistake is one line on stderr."""

import os
import sys
from collections.abc import Sequence

from corral import __version__
from corral.config.load import Loaded, load_config, make_parser
from corral.config.settings import rows
from corral.errors import AppLoadError, ConfigError

COMMANDS = """
commands:
  corral config [OPTIONS]       print every setting with its value and where it came from
  corral config --markdown      print the reference of all settings
  corral check [OPTIONS] [APP]  read the configuration, load the application, report every problem
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The `corral` command. Returns its exit code: 0; 1, a bad configuration; 2, a bad command line; 3 and 4, an
    application that can't be loaded."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(arguments)
    except ConfigError as error:
        print(f"corral: error: {error}", file=sys.stderr)
        return error.exit_code


def run(arguments: list[str]) -> int:
    if "--version" in arguments or arguments == ["-v"]:
        print(f"corral (version {__version__})")
        return 0
    if "-h" in arguments or "--help" in arguments:
        parser = make_parser()
        parser.epilog = COMMANDS
        print(parser.format_help() + COMMANDS)
        return 0
    command = arguments[0] if arguments else ""
    if command == "config":
        return print_config(arguments[1:])
    if command == "check":
        return check(arguments[1:])
    return serve(arguments)


def serve(arguments: list[str]) -> int:
    cwd = os.getcwd()
    environ = dict(os.environ)  # as it was at the start: raw_env must not become a source at the next reload

    def load_again() -> Loaded:
        return load_config(arguments, environ, cwd)

    loaded = load_again()
    if not loaded.config.wsgi_app:
        raise ConfigError("no application was named; write for instance: corral myproject.wsgi:application")
    from corral.server import serve as run_server  # lazily: `config` and `check` need none of it

    return run_server(loaded, load_again=load_again)


def print_config(arguments: list[str]) -> int:
    if "--markdown" in arguments:
        print(markdown(), end="")
        return 0
    loaded = load_config(arguments, os.environ, os.getcwd())
    for name in rows():
        value = getattr(loaded.config, name)
        print(f"{name:25} = {value!r}  # {loaded.origins.get(name, 'default')}")
    warn(loaded)
    return 0


def warn(loaded: Loaded) -> None:
    for warning in loaded.warnings:
        print(f"corral: warning: {warning}", file=sys.stderr)


def check(arguments: list[str]) -> int:
    """Everything that can be known without serving."""
    loaded = load_config(arguments, os.environ, os.getcwd())
    config = loaded.config
    warn(loaded)
    for problem in suspicions(loaded):
        print(f"corral: warning: {problem}", file=sys.stderr)
    if not config.wsgi_app:
        raise ConfigError("no application was named")
    from corral import app

    sys.path[:0] = [path for path in (config.pythonpath or "").split(",") if path]
    os.chdir(config.chdir or ".")
    sys.path.insert(0, os.getcwd())
    for pair in config.raw_env:
        name, _, value = pair.partition("=")
        os.environ[name] = value
    try:
        found = app.load(config.wsgi_app)
    except AppLoadError as error:
        print(f"corral: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{found.uri}: {found.interface.upper()} application, configuration is fine")
    return 0


def suspicions(loaded: Loaded) -> list[str]:
    config = loaded.config
    found = []
    if config.timeout and config.graceful_timeout > config.timeout:
        found.append("graceful_timeout is longer than timeout: a request is killed at timeout, draining or not")
    try:
        with open("/proc/sys/net/core/somaxconn") as file:
            most = int(file.read())
        if config.backlog > most:
            found.append(f"backlog {config.backlog} is cut to {most} by net.core.somaxconn")
    except (OSError, ValueError):
        pass  # not Linux
    return found


def markdown() -> str:
    """docs/settings.md."""
    out = [
        "# Settings", "",
        "Sources, each over the one before: defaults, the configuration file, `GUNICORN_CMD_ARGS`, `CORRAL_CMD_ARGS`, a",
        "variable `CORRAL_` + the setting's name in capitals, the command line. Seconds may have fractions; 0 is no limit.", "",
        "This page is printed by `corral config --markdown`.",
    ]  # fmt: skip
    section = ""
    for name, row in rows().items():
        meta = row.metadata
        if meta["section"] != section:
            section = meta["section"]
            out += ["", f"## {section}"]
        flags = ", ".join(f"`{flag}`" for flag in meta["flags"]) or "configuration file only"
        default = f"0o{row.default:o}" if name == "umask" else repr(row.default)
        variable = f"; default also from `{meta['env']}`" if meta["env"] else ""
        out += ["", f"### {name}", "", f"{flags}; default `{default}`{variable}", "", meta["help"]]
    return "\n".join(out) + "\n"
