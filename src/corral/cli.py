"""argv in, exit code out: the server, or a command (`config`, `check`, `ctl`). A mistake is one line on stderr."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from corral import __version__
from corral.config.hooks import NO_HOOK, Dotted, readable
from corral.config.load import NO_APP, Mistakes, command_of, gather, load_config, make_parser
from corral.config.settings import Config, rows
from corral.errors import EXIT_BOOT, AppLoadError, ConfigError
from corral.names import announce, provide

EPILOG = """
commands:
  corral config [OPTIONS]       print every setting with its value and where it came from
  corral config --markdown      print the reference of all settings
  corral check [OPTIONS] [APP]  read the configuration, load the application, report every problem
  corral ctl COMMAND            command a server that runs, by its control socket; corral ctl --help
"""
INTRODUCTION = """\
# Settings

Sources, each over the one before: defaults, an application that configures itself, the configuration file,
`GUNICORN_CMD_ARGS`, `CORRAL_CMD_ARGS`, a variable `CORRAL_` + the setting's name in capitals, the command line.
`corral config` prints every value and where it came from. Seconds may have fractions; 0 is no limit.

This page is printed by `corral config --markdown`.
"""
WIDTH = max(map(len, rows()))
OCTAL = ("umask", "control_socket_mode")


def main(argv: Sequence[str] | None = None) -> int:
    """The `corral` command. Returns its exit code: 0; 1, a bad configuration; 2, a bad command line; 3 and 4, an
    application that can't be loaded."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    word = arguments.pop(0) if arguments[:1] in (["check"], ["config"], ["ctl"]) else "serve"
    provide()  # a configuration file may import it
    try:
        if word != "ctl":  # which has options of its own
            word = command_of(arguments) or word
        code = COMMANDS[word](arguments)
        print(end="", flush=True)  # also where there is no standard output at all
        return code
    except ConfigError as error:
        tell(error)
        return error.exit_code
    except BrokenPipeError:
        # Whoever read this (`corral config | head`) has seen enough. Python flushes once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(prog: str | None = None) -> NoReturn:
    """gunicorn.app.wsgiapp.run, for scripts that put a command line into sys.argv themselves."""
    sys.exit(main())


def tell(error: ConfigError) -> None:
    for problem in error.problems if isinstance(error, Mistakes) else [error]:
        print(f"corral: error: {problem}", file=sys.stderr)


def working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        raise ConfigError("the current directory has been removed; start in another one") from None


def serve(arguments: list[str]) -> int:
    cwd = working_directory()
    environ = dict(os.environ)  # as it was at the start: raw_env must not become a source at the next reload

    from corral.application import CommandApplication  # lazily: the other commands need none of it
    from corral.server.composition import serve as run_server

    announce()
    site = CommandApplication(arguments, environ, cwd)
    loaded = site.present()
    if loaded.config.check_config or loaded.config.print_config:  # by another source than a flag
        return (check if loaded.config.check_config else print_config)(arguments)
    return run_server(site, loaded)


def print_help(arguments: list[str]) -> int:
    print(make_parser().format_help() + EPILOG, end="")
    return 0


def print_version(arguments: list[str]) -> int:
    print(f"corral (version {__version__})")
    return 0


# config


def print_config(arguments: list[str]) -> int:
    loaded = load_config(arguments, os.environ, working_directory())
    for name in rows():
        value = getattr(loaded.config, name)
        print(f"{name:{WIDTH}} = {shown(name, value)}  # {loaded.origins.get(name, 'default')}")
    warn(loaded.warnings)
    return 0


def shown(name: str, value: object) -> str:
    return f"0o{value:o}" if name in OCTAL else readable(value)


def warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        print(f"corral: warning: {warning}", file=sys.stderr)


def print_markdown(arguments: list[str]) -> int:
    print(markdown(), end="")
    return 0


def markdown() -> str:
    """docs/settings.md."""
    out = [INTRODUCTION]
    section = ""
    for name, row in rows().items():
        meta = row.metadata
        if meta["section"] != section:
            section = meta["section"]
            out.append(f"## {section}\n")
        flags = ", ".join(f"`{flag}`" for flag in meta["flags"]) or "no flag"
        variable = f", or what the variable `{meta['env']}` says" if meta["env"] else ""
        start = (
            f"called with `{meta['metavar']}`" if row.default is NO_HOOK else f"default `{shown(name, row.default)}`"
        )
        facts = f"{flags}; `CORRAL_{name.upper()}`; {start}{variable}"
        out.append(f"### {name}\n\n{facts}\n\n{meta['help']}\n")
        if meta["effect"]:
            out.append(f"No effect: {meta['effect']}.\n")
    return "\n".join(out)


# check


def check(arguments: list[str]) -> int:
    """Everything that can be known without serving, all of it at once."""
    cwd = working_directory()
    loaded = gather(arguments, os.environ, cwd)
    config = loaded.config
    problems = [*loaded.problems, *probe(config), *contradictions(config, os.path.join(cwd, config.chdir or ""))]
    if not (config.wsgi_app or config.paste):
        problems.append(ConfigError(NO_APP))
    for problem in problems:
        tell(problem)
    warn([*loaded.warnings, *suspicions(config)])
    enter(config)
    for problem in unfound_hooks(config):
        tell(problem)
        problems.append(problem)
    code = check_app(config) if config.wsgi_app or config.paste else 0
    return problems[0].exit_code if problems else code


def contradictions(config: Config, directory: str) -> Iterator[ConfigError]:
    """What can't be, by itself or on this machine."""
    from corral.config.conflicts import conflicts_of
    from corral.config.machine import lacking

    yield from (ConfigError(conflict.sentence) for conflict in conflicts_of(config) if conflict.fatal)
    yield from map(ConfigError, lacking(config, directory))


def suspicions(config: Config) -> list[str]:
    """What can be, and is hardly meant."""
    from corral.config.conflicts import conflicts_of
    from corral.config.machine import scarce

    return [*(conflict.sentence for conflict in conflicts_of(config) if not conflict.fatal), *scarce(config)]


def probe(config: Config) -> Iterator[ConfigError]:
    """What a server would find out at its start."""
    from corral.config.address import parse_address
    from corral.net.trust import truster
    from corral.report import choice
    from corral.shared.process import resolve_owner

    checks: list[Callable[[], object]] = [
        *(lambda text=text: parse_address(text) for text in config.bind),
        lambda: truster(config.forwarded_allow_ips),
        lambda: choice.check(config),
        lambda: resolve_owner(config.user, None),
        lambda: resolve_owner(None, config.group),
    ]
    for attempt in checks:
        try:
            attempt()
        except ConfigError as error:
            yield error


def enter(config: Config) -> None:
    """Go where a worker would be, with its environment and its path."""
    from corral.server.surroundings import Overlay, extend_path

    Overlay().apply(config.raw_env)
    if config.chdir and os.path.isdir(config.chdir):
        os.chdir(config.chdir)
    extend_path(config)


def unfound_hooks(config: Config) -> Iterator[ConfigError]:
    """Of the hooks that are set by name."""
    for name in rows():
        value = getattr(config, name)
        if isinstance(value, Dotted):
            try:
                value.resolve()
            except ConfigError as error:
                yield ConfigError(f"{name}: {error}")


def check_app(config: Config) -> int:
    """Load the application as a worker would, and say what it is or why there is none."""
    from corral import app

    uri = str(config.paste or config.wsgi_app)
    try:
        found = app.load_paste(uri, config.paste_global_conf) if config.paste else app.load(uri)
        app.serving_interface(found.callable, uri, config.interface)
    except (AppLoadError, ConfigError) as error:
        print(f"corral: error: {error}", file=sys.stderr)
        return error.exit_code
    except (Exception, SystemExit):
        import traceback  # lazily: only mistakes need it

        print(f"corral: error: the application {uri} raised, see its traceback", file=sys.stderr)
        traceback.print_exc()
        return EXIT_BOOT
    print(f"{found.uri}: {'an ASGI' if found.interface == 'asgi' else 'a WSGI'} application")
    return 0


def control(arguments: list[str]) -> int:
    from corral.ctl import main as run_command  # lazily: the server needs none of it

    return run_command(arguments, os.environ, working_directory())


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "serve": serve,
    "check": check,
    "config": print_config,
    "ctl": control,
    "markdown": print_markdown,
    "help": print_help,
    "version": print_version,
}
