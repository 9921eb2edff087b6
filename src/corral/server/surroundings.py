"""What user code finds around it: environment, umask, directory and path, as a configuration asks for them."""

import os
from collections.abc import Iterable

from corral.config.load import add_to_path
from corral.config.settings import Config
from corral.errors import ConfigError


class Surroundings:
    """Those of the process. `enter` is undone by the next one: a reload begins where the start began."""

    def __init__(self) -> None:
        self.directory = start_directory()
        self.environ = Overlay()

    def leave(self) -> None:
        self.environ.undo()
        os.chdir(self.directory)

    def enter(self, config: Config) -> None:
        """Raises ConfigError."""
        self.environ.apply(config.raw_env)
        os.umask(config.umask)
        if config.chdir:
            try:
                os.chdir(os.path.join(self.directory, config.chdir))
            except OSError as error:
                raise ConfigError(f"chdir {config.chdir!r}: {error.strerror}") from None
        extend_path(config)


def start_directory() -> str:
    """As the shell calls it: a path through a symbolic link leads to the release that the link names by then."""
    present, named = os.getcwd(), os.environ.get("PWD", "")
    try:
        return named if os.path.isabs(named) and os.path.samefile(named, present) else present
    except OSError:
        return present


class Overlay:
    """`raw_env` over the environment, which can be taken off again: the next configuration may set other names."""

    def __init__(self) -> None:
        self.covered: dict[str, str | None] = {}

    def apply(self, pairs: Iterable[str]) -> None:
        for pair in pairs:
            name, _, value = pair.partition("=")
            self.covered.setdefault(name, os.environ.get(name))
            os.environ[name] = value

    def undo(self) -> None:
        for name, value in self.covered.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self.covered.clear()


def extend_path(config: Config) -> None:
    """The working directory, and before it what `pythonpath` names."""
    wanted = [os.getcwd(), *(os.path.abspath(path) for path in (config.pythonpath or "").split(",") if path)]
    for path in wanted:
        add_to_path(path)
