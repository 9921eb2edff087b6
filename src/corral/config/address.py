"""Where to listen, from the text of `bind`. It knows gunicorn's forms and opens nothing."""

from dataclasses import dataclass

from corral.errors import ConfigError

DEFAULT_PORT = 8000


@dataclass(frozen=True, slots=True)
class Address:
    """One parsed `bind`: exactly one of host, path and descriptor says where."""

    text: str
    host: str | None = None
    port: int = 0
    path: str | None = None
    descriptor: int | None = None

    @property
    def place(self) -> "tuple[str, int] | str | int":
        """gunicorn's form of it: (host, port), a path, or a descriptor."""
        if self.path is not None:
            return self.path
        return ((self.host or "").lower(), self.port) if self.descriptor is None else self.descriptor


def parse_address(text: str, default_port: int = DEFAULT_PORT) -> Address:
    """gunicorn's forms: HOST, HOST:PORT, :PORT, [V6]:PORT, tcp://..., unix:PATH, unix://PATH, fd://N. Raises
    ConfigError."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise ConfigError(f"bind {text!r}: no path; write unix:/run/app.sock")
        return Address(text, path=path)
    if text.startswith("fd://"):
        number = text.removeprefix("fd://")
        if not number.isdecimal():
            raise ConfigError(f"bind {text!r}: {number!r} is not a file descriptor; write fd://3")
        return Address(text, descriptor=int(number))
    host, port = split_port(text, text.removeprefix("tcp://"), default_port)
    return Address(text, host=host or "0.0.0.0", port=port)


def split_port(text: str, netloc: str, default_port: int) -> tuple[str, int]:
    if netloc.isdecimal():
        raise ConfigError(f"bind {text!r}: write 127.0.0.1:{netloc}, or :{netloc} for every address of this machine")
    if netloc.startswith("["):
        host, bracket, rest = netloc[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ConfigError(f"bind {text!r}: write [ADDRESS]:PORT")
        port = rest[1:] or str(default_port)
    elif netloc.count(":") > 1:
        raise ConfigError(f"bind {text!r}: an IPv6 address stands in brackets; write [::1]:{DEFAULT_PORT}")
    else:
        host, _, port = netloc.partition(":")
        port = port or str(default_port)
    if not port.isdecimal() or not port.isascii() or int(port) > 65535:
        raise ConfigError(f"bind {text!r}: {port!r} is not a port; a port is a number from 0 to 65535")
    return host, int(port)
