"""A configuration that an application of the user's writes itself, before there is a Config: gunicorn's mutable `cfg`.

It checks each value as it comes. What else is configured, and what wins, it doesn't know: see `load`.
"""

import argparse
import dataclasses
import os
from collections.abc import Iterable
from typing import Any, Final

from corral.config.derived import Setting
from corral.config.options import add_option, make_parser, split
from corral.config.settings import Config, rows
from corral.config.sources import Given, Layer
from corral.config.values import BadValue

ORIGIN = "the application"
UNSET: Final = object()


class Option(Setting):
    """A row and a value of its own: gunicorn's Setting. Programs reword them, sort them, make flags of them."""

    def __init__(self, row: dataclasses.Field[Any]) -> None:
        super().__init__(self, row)
        self.given: Any = UNSET
        self.short = self.desc = str(row.metadata["help"])

    def __init_subclass__(cls, **keywords: Any) -> None:
        """With gunicorn that makes another setting."""
        raise TypeError(
            f"{cls.__name__}: the table of settings can't be extended; read the value from the environment, "
            "which raw_env sets, or in the configuration file"
        )

    def get(self) -> Any:
        return self.row.default if self.given is UNSET else self.given

    def set(self, value: object) -> None:
        """None is no value, unless the setting may be None."""
        if value is None and self.row.default is not None:
            self.given = UNSET
            return
        try:
            self.given = self.row.metadata["accept"](value)
        except BadValue as error:
            raise BadValue(f"{self.name} = {value!r}: {error}") from None

    def add_option(self, parser: argparse.ArgumentParser) -> None:
        add_option(parser, self.row, self.short)


def make_settings(ignore: Iterable[str] | None = None) -> dict[str, Option]:
    return {name: Option(row) for name, row in rows().items() if name not in (ignore or ())}


class Draft:
    """Read like the Config that it would be now; written with `set`. Its owner may hang other attributes on it."""

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.prog = prog
        self.settings = make_settings()

    def set(self, name: str, value: object) -> None:
        if name not in self.settings:
            raise AttributeError(f"No configuration setting for: {name}")
        self.settings[name].set(value)

    def layer(self) -> Layer:
        """What was set, as a source for `load_config`."""
        return {name: Given(value, ORIGIN, f"{ORIGIN}: {name} = {value!r}") for name, value in self._given().items()}

    def parser(self) -> argparse.ArgumentParser:
        return make_parser()

    def get_cmd_args_from_env(self) -> list[str]:
        return split("GUNICORN_CMD_ARGS", os.environ.get("GUNICORN_CMD_ARGS", ""))

    def _given(self) -> dict[str, Any]:
        return {name: option.given for name, option in self.settings.items() if option.given is not UNSET}

    def __str__(self) -> str:
        return "\n".join(f"{name} = {option.value!r}" for name, option in self.settings.items())

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "settings":
            raise AttributeError(name)
        return getattr(Config(**self._given()), name)

    def __setattr__(self, name: str, value: object) -> None:
        if name in rows():
            raise AttributeError(f"settings aren't assigned: write cfg.set({name!r}, ...)")
        object.__setattr__(self, name, value)
