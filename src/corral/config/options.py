"""Options, of the command line and of the *_CMD_ARGS variables: text that is told apart here, and understood later."""

import argparse
import dataclasses
import os
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from corral.config.settings import rows
from corral.config.sources import Findings, Given, Layer, UsageError, nearest

COMMAND_LINE = "command line"


def width() -> int:
    try:
        columns = int(os.environ.get("COLUMNS") or 0) or os.get_terminal_size(1).columns
    except (OSError, ValueError):
        columns = 0
    return (columns if columns > 0 else 80) - 2  # a terminal in a container may have none


WIDTH = width()


class Formatter(argparse.HelpFormatter):
    """argparse makes one for each option, and it would ask shutil for the width: 0.3 MiB with all that imports."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)


class Parser(argparse.ArgumentParser):
    """argparse, but a mistake is an exception."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def make_parser() -> Parser:
    """Every setting that has flags, in sections; values stay text, so that all sources are read by one function."""
    # Abbreviations, as gunicorn has them: an ambiguous one is an error that names what it may mean.
    parser = Parser(prog="corral", usage="%(prog)s [OPTIONS] [APP]", add_help=False, formatter_class=Formatter)
    parser.add_argument("wsgi_app", nargs="?", metavar="APP", help="MODULE:NAME, MODULE:FACTORY('argument'), or MODULE")
    add_commands(parser)
    groups: dict[str, Any] = {}
    for row in rows().values():
        section = row.metadata["section"]
        if row.metadata["flags"]:
            if section not in groups:
                groups[section] = parser.add_argument_group(section)
            add_option(groups[section], row, row.metadata["help"])
    return parser


def add_option(parser: Any, row: "dataclasses.Field[Any]", described: str) -> None:
    """The flags of a row, if it has any."""
    meta = row.metadata
    how: dict[str, Any] = {"action": "append" if meta["append"] else "store", "metavar": meta["metavar"]}
    if meta["constant"] is not None:
        how = {"action": "store_const", "const": meta["constant"]}
    elif meta["bare"] is not None:
        how |= {"nargs": "?", "const": meta["bare"]}
    if meta["flags"]:
        parser.add_argument(*meta["flags"], dest=row.name, help=described.replace("%", "%%"), **how)


def add_commands(parser: Parser) -> None:
    """Flags that ask for something else than to serve."""
    commands = {
        "help": (("-h", "--help"), "Show this and exit."),
        "version": (("-v", "--version"), "Show the version and exit."),
        "markdown": (("--markdown",), argparse.SUPPRESS),
    }
    for command, (flags, described) in commands.items():
        parser.add_argument(*flags, dest="command", action="store_const", const=command, help=described)


def command_of(argv: Sequence[str]) -> str | None:
    """The command that flags ask for."""
    known = make_parser().parse_known_args(list(argv))[0]
    command: str | None = known.command
    return command or ("check" if known.check_config else "config" if known.print_config else None)


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
    for flag in flags:
        near = nearest(flag, known)
        yield f"unknown option {flag}; " + (f"did you mean {near}?" if near else "`corral --help` lists them")


def split(variable: str, text: str) -> list[str]:
    import shlex  # lazily: most environments have no such variable

    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{variable} can't be split into options: {str(error).lower()}") from None
