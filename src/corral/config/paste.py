"""What a Paste Deploy file says about its server: `[server:main]` and `[loggers]`, as values of settings.

It reads the file's text alone: neither PasteDeploy nor the server that `use` names need be installed for that.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from corral.errors import ConfigError

OURS = ("egg:corral", "egg:gunicorn")


class Place(NamedTuple):
    """FILE#NAME, where the application is: an absolute path, and the name of a section or "main"."""

    path: str
    name: str

    @property
    def uri(self) -> str:
        return f"config:{self.path}#{self.name}"


def parse_place(text: str, directory: str) -> Place | None:
    """None for another scheme, as in egg:Package#name, which has no file."""
    scheme, colon, rest = text.partition(":")
    if not colon:
        rest = text
    elif scheme != "config":
        return None
    path, _, name = rest.partition("#")
    return Place(os.path.join(directory, path), name or "main")


def server_settings(text: str, directory: str, global_conf: Mapping[str, str]) -> dict[str, str]:
    """Name and text of each setting of `[server:main]`, where that is ours; `logconfig` if the file has loggers.

    `text` is the setting `paste`. Keys that are no settings are left in: others know the table.
    """
    place = parse_place(text, directory)
    return {} if place is None else read_server(place.path, global_conf)


def read_server(path: str, global_conf: Mapping[str, str]) -> dict[str, str]:
    import configparser  # lazily: few applications come from such a file

    here = {"here": os.path.dirname(path), "__file__": path}
    parser = configparser.ConfigParser(defaults={**global_conf, **here})
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
        section = dict(parser.items("server:main")) if parser.has_section("server:main") else {}
    except OSError as error:
        raise ConfigError(f"paste: {path!r} can't be read: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())
        raise ConfigError(f"paste: {path!r}: {line}") from None
    # As PasteDeploy: what [DEFAULT] has is the applications', not the server's.
    own = {name: value for name, value in section.items() if name not in parser.defaults()}
    found = translate(own) if own.pop("use", OURS[0]).split("#")[0] in OURS else {}
    if parser.has_section("loggers"):
        found.setdefault("logconfig", path)
    return found


def translate(section: Mapping[str, str]) -> dict[str, str]:
    """`host` and `port`, which all servers of such files know, are our `bind`."""
    found = dict(section)
    host, port = found.pop("host", ""), found.pop("port", "")
    if "bind" not in found and (host or port):
        host = f"[{host}]" if ":" in host else host
        found["bind"] = f"{host or '127.0.0.1'}:{port or 8000}"
    return found
