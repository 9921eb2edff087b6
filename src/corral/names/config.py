"""gunicorn.config, where a setting is a class; here it is a row of one table, and a class means an unset setting."""

import os
from collections.abc import Callable
from typing import Any

from corral.config import draft
from corral.config.file import FILES
from corral.config.hooks import taking

KNOWN_SETTINGS = list(draft.make_settings().values())


def class_of(name: str) -> draft.Option:
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
