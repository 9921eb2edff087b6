"""A user's own configuration of logging: logconfig_dict, else logconfig_json, else logconfig.

It knows what gunicorn lays under them and how to say what is wrong with them; not which logger is whose.
"""

import logging.config
import os
from collections.abc import Mapping
from typing import Any, Final, Protocol

from corral.errors import ConfigError
from corral.report.line import ACCESS_LOGGER, DATE_FORMAT, ERROR_FORMAT, ERROR_LOGGER


class LoggingSettings(Protocol):
    @property
    def logconfig(self) -> str | None: ...
    @property
    def logconfig_dict(self) -> Mapping[str, Any]: ...
    @property
    def logconfig_json(self) -> str | None: ...


# What a dict that the user gives is laid over: key by key of the top level, as with gunicorn.
CONFIG_DEFAULTS: Final[dict[str, Any]] = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        ERROR_LOGGER: {"level": "INFO", "handlers": ["error_console"], "propagate": True, "qualname": ERROR_LOGGER},
        ACCESS_LOGGER: {"level": "INFO", "handlers": ["console"], "propagate": True, "qualname": ACCESS_LOGGER},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stdout"},
        "error_console": {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"},
    },
    "formatters": {"generic": {"format": ERROR_FORMAT, "datefmt": DATE_FORMAT, "class": "logging.Formatter"}},
}


def configure(settings: LoggingSettings) -> None:
    try:
        if settings.logconfig_dict:
            name = "logconfig_dict"
            logging.config.dictConfig({**CONFIG_DEFAULTS, **settings.logconfig_dict})
        elif settings.logconfig_json:
            name = f"logconfig_json {settings.logconfig_json!r}"
            logging.config.dictConfig({**CONFIG_DEFAULTS, **read_json(settings.logconfig_json)})
        elif settings.logconfig:
            name = f"logconfig {settings.logconfig!r}"
            logging.config.fileConfig(read_ini(settings.logconfig), disable_existing_loggers=False)
    except Exception as error:  # whatever a handler's class or a formatter raises
        raise ConfigError(f"{name}: {reason(error)}") from None


def read_json(path: str) -> Mapping[str, Any]:
    import json  # lazily: only this setting needs it

    with open(path, encoding="utf-8") as file:
        config = json.load(file)
    if not isinstance(config, dict):
        raise ValueError("it must be an object")
    return config


def read_ini(path: str) -> Any:
    """A file may say %(here)s for the directory it is in, and %(__file__)s."""
    import configparser  # lazily: logging.config has loaded it

    places = {"__file__": path, "here": os.path.dirname(path)}
    parser = configparser.ConfigParser({name: value.replace("%", "%%") for name, value in places.items()})
    with open(path, encoding="utf-8") as file:
        parser.read_file(file, path)
    return parser


def reason(error: BaseException) -> str:
    """What it was in the end: logging wraps errors, and the outermost says only which handler it was."""
    said = text_of(error)
    while error.__cause__ is not None:
        error = error.__cause__
        if text_of(error) not in said:
            said = f"{said}: {text_of(error)}"
    return said


def text_of(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = " ".join(str(error).split())
    return f"there is no {text}" if isinstance(error, KeyError) else text or type(error).__name__
