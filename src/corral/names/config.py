"""gunicorn.config: its classes of settings are rows of one table here, so a class there is a Setting of a default."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from corral.config import derived
from corral.config.draft import Draft
from corral.config.file import FILES
from corral.config.hooks import taking
from corral.config.settings import rows

Config = Draft


class Setting(derived.Setting):
    """`isinstance` and reading work; a class of one's own would be a row in a table that is fixed."""

    __slots__ = ()

    def __init_subclass__(cls, **keywords: Any) -> None:
        raise TypeError(
            f"{cls.__name__}: Corral's table of settings can't be extended; read the value from the environment, "
            "which raw_env sets, or from the configuration file's own names"
        )


def make_settings(ignore: Iterable[str] | None = None) -> dict[str, Setting]:
    draft = Draft()
    return {name: Setting(draft, row) for name, row in rows().items() if name not in (ignore or ())}


KNOWN_SETTINGS = list(make_settings().values())


def class_of(name: str) -> Setting:
    """AccessLogFormat → the setting access_log_format, whose `default` is asked for. Raises AttributeError."""
    for setting in KNOWN_SETTINGS:
        if setting.name.replace("_", "") == name.lower():
            return setting
    raise AttributeError(f"module 'gunicorn.config' has no attribute {name!r}")


def get_default_config_file() -> str | None:
    found = (os.path.join(os.getcwd(), name) for name in FILES)
    return next((path for path in found if os.path.exists(path)), None)


def validate_callable(arity: int) -> Callable[[object], Any]:
    """Of any number of arguments where `arity` is -1."""
    names = [f"argument{number}" for number in range(max(arity, 0))]
    accept = taking(*names)
    return lambda value: value if arity == -1 and callable(value) else accept(value)


def validate_class(value: Any) -> Any:
    """A class, or a name, or a function that makes one of them."""
    return value.strip() if isinstance(value, str) else value if isinstance(value, type) else value()
