"""Functions of the user's, called at moments of the server's life: what is accepted as one, and what unset means.

It knows how a hook is written and how many arguments it takes, and not when any is called.
"""

from collections.abc import Callable
from types import FunctionType
from typing import Any

from corral.config.values import BadValue
from corral.errors import ConfigError

Hook = Callable[..., Any]


class NoHook:
    """An unset hook: may be called, does nothing."""

    def __call__(self, *arguments: object) -> None:
        pass

    def __repr__(self) -> str:
        return "none"


NO_HOOK = NoHook()


def taking(*arguments: str, least: int | None = None) -> Callable[[object], Hook]:
    """Accept a function of these arguments, or its dotted name. `least`: without the last ones will do too."""
    fewest = len(arguments) if least is None else least

    def accept(value: object) -> Hook:
        if value is None or value is NO_HOOK:
            return NO_HOOK
        if isinstance(value, str):
            return NO_HOOK if not value.strip() else Dotted(value.strip(), arguments, fewest)
        if not callable(value):
            raise BadValue("must be a function or the dotted name of one")
        return fit(value, arguments, fewest)

    return accept


def fit(function: Hook, arguments: tuple[str, ...], fewest: int) -> Hook:
    """The function itself, or one that drops the arguments it doesn't take."""
    for number in range(len(arguments), fewest - 1, -1):
        if takes(function, number):
            return function if number == len(arguments) else Shortened(function, number)
    shapes = (f"({', '.join(arguments[:number])})" for number in range(fewest, len(arguments) + 1))
    raise BadValue(f"must take the arguments {' or '.join(shapes)}")


def takes(function: Hook, number: int) -> bool:
    """Whether it may be called with so many arguments, decorated functions as what they decorate."""
    import inspect  # lazily: where no hook is set it isn't needed

    try:
        inspect.signature(function).bind(*[None] * number)
    except TypeError:
        return False
    except ValueError:
        return True  # one in C, that doesn't tell
    return True


class Shortened:
    """A hook that takes fewer arguments than it is called with."""

    __slots__ = ("function", "number")

    def __init__(self, function: Hook, number: int) -> None:
        self.function = function
        self.number = number

    def __call__(self, *arguments: object) -> Any:
        return self.function(*arguments[: self.number])

    def __repr__(self) -> str:
        return readable(self.function)


class Dotted:
    """A hook by its name, "package.module.function". It is imported when it is first called: before, the directory and
    the path of the application aren't those of the process yet."""

    __slots__ = ("arguments", "fewest", "found", "name")

    def __init__(self, name: str, arguments: tuple[str, ...], fewest: int) -> None:
        if not all(part.isidentifier() for part in name.split(".")) or "." not in name:
            raise BadValue("must be a function or the dotted name of one, such as package.module.function")
        self.name = name
        self.arguments = arguments
        self.fewest = fewest
        self.found: Hook | None = None

    def __call__(self, *arguments: object) -> Any:
        return self.resolve()(*arguments)

    def resolve(self) -> Hook:
        if self.found is None:
            from importlib import import_module  # lazily: hooks are seldom named

            module, _, attribute = self.name.rpartition(".")
            try:
                function = getattr(import_module(module), attribute)
            except (ModuleNotFoundError, AttributeError) as error:
                raise ConfigError(f"the hook {self.name} can't be found: {error}") from error
            try:
                self.found = fit(function, self.arguments, self.fewest)
            except BadValue as error:
                raise ConfigError(f"the hook {self.name} {error}") from None
        return self.found

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dotted) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return self.name


def readable(value: object) -> str:
    """A value as a person wants to see it: where a function or class is from, not at which address it lies."""
    if isinstance(value, FunctionType):
        return f"{value.__qualname__} ({value.__code__.co_filename}:{value.__code__.co_firstlineno})"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return repr(value)
