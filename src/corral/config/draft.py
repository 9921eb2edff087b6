"""A configuration that an application of the user's writes itself, before there is a Config: gunicorn's mutable `cfg`.

It checks each value as it comes. What else is configured, and what wins, it doesn't know: see `load`.
"""

from typing import Any

from corral.config.derived import Setting
from corral.config.settings import Config, rows
from corral.config.sources import Given, Layer
from corral.config.values import BadValue

ORIGIN = "the application"


class Draft:
    """Read like the Config that it would be now; written with `set`. Its owner may hang other attributes on it."""

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.prog = prog
        self._given: dict[str, Any] = {}

    def set(self, name: str, value: object) -> None:
        """Set one. None is no value, unless the setting may be None."""
        row = rows().get(name)
        if row is None:
            raise AttributeError(f"No configuration setting for: {name}")
        if value is None and row.default is not None:
            self._given.pop(name, None)
            return
        try:
            self._given[name] = row.metadata["accept"](value)
        except BadValue as error:
            raise BadValue(f"{name} = {value!r}: {error}") from None

    @property
    def settings(self) -> dict[str, Setting]:
        return {name: Setting(self, row) for name, row in rows().items()}

    def layer(self) -> Layer:
        """What was set, as a source for `load_config`."""
        return {name: Given(value, ORIGIN, f"{ORIGIN}: {name} = {value!r}") for name, value in self._given.items()}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(Config(**self._given), name)

    def __setattr__(self, name: str, value: object) -> None:
        if name in rows():
            raise AttributeError(f"settings aren't assigned: write cfg.set({name!r}, ...)")
        object.__setattr__(self, name, value)
