"""What a row of the settings' table consists of. The table itself stands in `sections`, a file for each group."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

from corral.config import values
from corral.config.hooks import NO_HOOK, Hook, taking

T = TypeVar("T")


def setting(
    default: Any,
    *flags: str,
    accept: Callable[[object], T],
    help: str,  # noqa: A002
    section: str,
    env: str | None = None,
    metavar: str | None = None,
    constant: object = None,
    bare: str | None = None,
    append: bool = False,
    effect: str = "",
    when: Callable[[Any], bool] | None = None,
) -> T:
    """A row. `constant` is what a flag without a value means, `bare` what one means whose value may be left out; an
    `append` flag may be given several times; `env` is a variable outside CORRAL_* that sets the default.

    `effect` is empty, or the sentence that says why the setting has none; `when` tells the values of which it is true,
    else all but the default.
    """
    metadata = {
        "flags": flags, "accept": accept, "help": help, "section": section, "env": env, "metavar": metavar,
        "constant": constant, "bare": bare, "append": append, "effect": effect,
        "when": when or (lambda value: value != default),
    }  # fmt: skip
    field: T = dataclasses.field(default=default, metadata=metadata)
    return field


def switch(*flags: str, help: str, section: str, effect: str = "") -> bool:  # noqa: A002
    """A row that is off unless its flag is given."""
    return setting(False, *flags, accept=values.flag, help=help, section=section, constant=True, effect=effect)


def hook(*arguments: str, help: str, least: int | None = None, effect: str = "") -> Hook:  # noqa: A002
    """A row for a function of the user's."""
    accept = taking(*arguments, least=least)
    metavar = f"({', '.join(arguments)})"
    return setting(NO_HOOK, accept=accept, help=help, section="Hooks", metavar=metavar, effect=effect)
