"""Text or objects, as users write them, to values: one function a type, each error one line without the setting's name.

It knows what a number of seconds, an octal mask or a network looks like, and not which setting takes it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any


class BadValue(ValueError):
    """The reason, worded to follow "setting = value: "."""


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
    """A whole number from 0; "0x10" and "0b10" as well."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str):
        try:
            number = int(value, 0) if not value.strip().isdigit() else int(value)
        except ValueError:
            raise BadValue("must be a whole number") from None
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


def seconds(value: object) -> float:
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise BadValue(f"must be a number of seconds, not {type(value).__name__}")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise BadValue("must be a number of seconds") from None
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
            raise BadValue("must be an octal number such as 022") from None
    else:
        number = count(value)
    if not 0 <= number <= 0o777:
        raise BadValue("must be between 0 and 0777")
    return number


def names(value: object) -> tuple[str, ...]:
    """A list of strings, or one string with commas."""
    if value is None:
        return ()
    if isinstance(value, str):
        parts: Iterable[Any] = value.split(",")
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    else:
        raise BadValue(f"must be a list of strings, not {type(value).__name__}")
    return tuple(stripped for part in parts if (stripped := text(part)))


def addresses(value: object) -> tuple[str, ...]:
    found = names(value)
    if not found:
        raise BadValue("must name at least one address")
    return found


def networks(value: object) -> tuple[str, ...]:
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


def capitals(value: object) -> tuple[str, ...]:
    return tuple(name.upper() for name in names(value))


def lines(value: object) -> tuple[str, ...]:
    """A list of strings that may have commas of their own; a lone string is a list of one."""
    if isinstance(value, str):
        value = [value] if value.strip() else []
    if not isinstance(value, list | tuple):
        raise BadValue(f"must be a list of strings, not {type(value).__name__}")
    return tuple(text(part) for part in value)


def pairs(value: object) -> tuple[str, ...]:
    found = lines(value)
    for pair in found:
        if not pair.partition("=")[1] or pair[0] == "=":
            raise BadValue(f"{pair!r} must be NAME=VALUE")
    return found


class Headers(dict[str, str]):
    """Header names in capitals, and values. Hashable, and never changed: it stands in a frozen Config."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))


def headers(value: object) -> Headers:
    if not isinstance(value, dict) or not all(isinstance(item, str) for pair in value.items() for item in pair):
        raise BadValue("must be a dict of header names and values")
    return Headers((name.upper(), wanted) for name, wanted in value.items())


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
