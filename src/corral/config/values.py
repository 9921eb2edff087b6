"""Text or objects, as users write them, to values: one function a type, each error one line without the setting's name.

It knows what a number of seconds, an octal mask or a network looks like, and not which setting takes it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class BadValue(ValueError):
    """The reason, worded to follow "setting = value: "."""


class NoNumber(BadValue):
    """Text where a number belongs."""


def text(value: object) -> str:
    if not isinstance(value, str):
        raise BadValue(f"must be a string, not {type(value).__name__}")
    return value.strip()


def optional_text(value: object) -> str | None:
    return None if value is None else text(value) or None


def flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    lowered = value.strip().lower() if isinstance(value, str) else ""
    if lowered in ("true", "1", "yes", "on", "y"):
        return True
    if lowered in ("false", "0", "no", "off", "n"):
        return False
    raise BadValue("must be true or false")


def count(value: object) -> int:
    """A whole number from 0; "0x10" and "0b10" as well, and bools, which gunicorn takes for the ints they are."""
    if isinstance(value, int):
        number = int(value)
    elif isinstance(value, str):
        try:
            number = int(value, 0) if not value.strip().isdigit() else int(value)
        except ValueError:
            raise NoNumber("must be a whole number") from None
    else:
        raise BadValue(f"must be a whole number, not {type(value).__name__}")
    if number < 0:
        raise BadValue("must not be negative")
    return number


def at_least(least: int) -> Callable[[object], int]:
    def accept(value: object) -> int:
        number = count(value)
        if number < least:
            raise BadValue(f"must be at least {least}")
        return number

    return accept


UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
SIZE = re.compile(r"(?P<number>[\d.]+) ?(?P<unit>[kmg])i?b?", re.ASCII)


def size(value: object) -> int:
    """Bytes, or text such as "512M", "1.5 GiB"."""
    if not isinstance(value, str):
        return count(value)
    found = SIZE.fullmatch(value.strip().lower())
    if found is None:
        return count(value)
    try:
        return int(float(found["number"]) * UNITS[found["unit"]])
    except ValueError:
        raise NoNumber("must be a number of bytes, such as 512M") from None


def seconds(value: object) -> float:
    if not isinstance(value, int | float | str):
        raise BadValue(f"must be a number of seconds, not {type(value).__name__}")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise NoNumber("must be a number of seconds") from None
    if not 0 <= number < float("inf"):
        raise BadValue("must be a number of seconds from 0")
    return number


def mask(value: object) -> int:
    """A umask: an int, or text as gunicorn reads it, octal with a leading 0 ("022", "0o22"), else decimal or "0x12"."""
    if isinstance(value, str):
        body = value.strip().lower()
        octal = body.isdigit() and body.startswith("0")
        try:
            number = int(body, 8 if octal else 0)
        except ValueError:
            raise NoNumber("must be an octal number such as 022") from None
    else:
        number = count(value)
    if not 0 <= number <= 0o777:
        raise BadValue("must be between 0 and 0777")
    return number


class Names(tuple[str, ...]):
    """Strings that can't be changed, for they stand in a frozen Config, and that equal the list which gunicorn has
    there: workers made for it ask, for instance, whether forwarded_allow_ips == ["*"]."""

    __slots__ = ()
    __hash__ = tuple.__hash__

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, tuple(other) if isinstance(other, list) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other


def names(value: object) -> Names:
    """A list of strings, or one string with commas."""
    if value is None:
        return Names()
    if isinstance(value, str):
        parts: Iterable[Any] = value.split(",")
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    else:
        raise BadValue(f"must be a list of strings, not {type(value).__name__}")
    return Names(stripped for part in parts if (stripped := text(part)))


def paths(value: object) -> Names:
    """Paths of requests."""
    found = names(value)
    for name in found:
        if not name.startswith("/"):
            raise BadValue(f"{name!r} must begin with a slash")
    return found


def addresses(value: object) -> Names:
    found = names(value)
    if not found:
        raise BadValue("must name at least one address")
    return found


def networks(value: object) -> Names:
    """Addresses, and networks as ADDRESS/BITS, or "*"; they stay text."""
    found = names(value)
    for name in found:
        if name in ("*", "::1") or is_dotted_quad(name):
            continue
        import ipaddress  # lazily: 1 MiB, for those who name networks

        try:
            ipaddress.ip_network(name)
        except ValueError as error:
            raise BadValue(f"{error}; write addresses, and networks such as 10.0.0.0/8") from None
    return found


def is_dotted_quad(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 4 and all(part.isdecimal() and part == str(int(part)) and int(part) < 256 for part in parts)


def capitals(value: object) -> Names:
    return Names(name.upper() for name in names(value))


def names_of(*choices: str) -> Callable[[object], Names]:
    """Some of a few words."""
    word = choice(*choices)
    return lambda value: Names(map(word, names(value)))


def lines(value: object) -> Names:
    """A list of strings that may have commas of their own; a lone string is a list of one."""
    if value is None:
        return Names()
    if isinstance(value, str):
        value = [value] if value.strip() else []
    if not isinstance(value, list | tuple):
        raise BadValue(f"must be a list of strings, not {type(value).__name__}")
    return Names(text(part) for part in value)


def pairs(value: object) -> Names:
    found = lines(value)
    for pair in found:
        if not pair.partition("=")[1] or pair[0] == "=":
            raise BadValue(f"{pair!r} must be NAME=VALUE")
    return found


class Fixed(dict[str, Any]):
    """A dict that is never changed: it stands in a frozen Config, which is hashable. Equal ones have equal names."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self))


def table(value: object) -> Fixed:
    """A dict with strings as keys; as text, a JSON object."""
    if value is None:
        return Fixed()
    if isinstance(value, str):
        import json  # lazily: most tables stand in a Python file

        try:
            value = json.loads(value or "{}")
        except ValueError as error:
            raise BadValue(f"must be a JSON object: {error}") from None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadValue("must be a dict with strings as keys")
    return Fixed(value)


def headers(value: object) -> Fixed:
    """Header names in capitals, and values."""
    found = table(value)
    if not all(isinstance(wanted, str) for wanted in found.values()):
        raise BadValue("must be a dict of header names and values")
    return Fixed((name.upper(), wanted) for name, wanted in found.items())


def choice(*choices: str, also: Mapping[str, str] | None = None) -> Callable[[object], str]:
    """One of a few words; `also` are other spellings of them."""

    def accept(value: object) -> str:
        lowered = text(value).lower()
        word = (also or {}).get(lowered, lowered)
        if word not in choices:
            raise BadValue(f"must be one of {', '.join(choices)}")
        return word

    return accept


def owner(value: object) -> str | int | None:
    """A user or group: its name, or its number as int or text."""
    if value is None:
        return None
    if isinstance(value, int):
        return count(value)
    name = text(value)
    return int(name) if name.isdecimal() else name or None


def between(least: int, most: int) -> Callable[[object], int]:
    def accept(value: object) -> int:
        number = count(value)
        if not least <= number <= most:
            raise BadValue(f"must be from {least} to {most}")
        return number

    return accept


def proxy_mode(value: object) -> str:
    """Versions of the PROXY protocol. Its first form was a bool: true is any version."""
    modes = choice("off", "v1", "v2", "auto", also=dict.fromkeys(("true", "1", "yes", "on"), "auto"))
    if value is None or value is False or (isinstance(value, str) and value.strip().lower() in ("false", "0", "no")):
        return "off"
    return "auto" if value is True else modes(value)


def metrics_address(value: object) -> tuple[str, int] | str | None:
    """HOST:PORT as a pair, which gunicorn's configuration has too; unix:///PATH as its path."""
    if isinstance(value, tuple) and len(value) == 2:
        value = f"{value[0]}:{value[1]}"
    name = optional_text(value)
    if name is None or name.startswith("/"):
        return name
    if name.startswith("unix:"):
        path = name.removeprefix("unix:").removeprefix("//")
        return path if path.startswith("/") else f"unix://{path}"  # without its scheme it would be a host's name
    host, colon, port = name.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise BadValue("must be HOST:PORT or unix://PATH")
    return host.removeprefix("[").removesuffix("]"), int(port)


def some_text(value: object) -> str:
    """Text that may be empty."""
    return optional_text(value) or ""
