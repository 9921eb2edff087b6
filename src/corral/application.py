"""gunicorn's application objects: what is served, together with how it is configured.

Whoever embeds a server derives from BaseApplication; the `corral` command serves a WSGIApplication. They know where
settings come from and how to load what is served, and hand both to the server.
"""

import copy
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, Self

from corral import app
from corral.config.draft import Draft
from corral.config.file import settings_of
from corral.config.load import NO_APP, Loaded, load_config, load_own, make_parser
from corral.config.paste import server_settings
from corral.config.settings import Config, rows
from corral.config.sources import Given, Layer
from corral.errors import ConfigError
from corral.names import provide


class BaseApplication:
    """Override `load_config`, which calls `self.cfg.set(name, value)`, and `load`, which returns the application.

    It is configured by that alone: no command line, no file, no variable but those that set gunicorn's defaults.
    """

    # Not only by __init__: there are subclasses which load the configuration in one of their own.
    usage: str | None = None
    prog: str | None = None
    cfg: Any = None
    callable: Any = None
    logger: Any = None
    loaded: Loaded | None = None

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.prog = prog
        provide()  # for the classes and hooks that the configuration names
        self.do_load_config()

    # -- for subclasses

    def init(self, parser: Any, opts: Any, args: Sequence[str]) -> Mapping[str, Any] | None:
        raise NotImplementedError

    def load(self) -> Any:
        raise NotImplementedError

    def load_config(self) -> None:
        """Override it: set what is to be set on `self.cfg`."""
        raise NotImplementedError

    # -- life

    def do_load_config(self) -> None:
        """A mistake is one line, and the end: as with gunicorn, so that scripts see exit code 1."""
        try:
            self.loaded = self.read()
        except ConfigError as error:
            end(error)
        self.cfg = draft_of(self.loaded, self.usage, self.prog)

    def load_default_config(self) -> None:
        self.cfg = Draft(self.usage, self.prog)

    def read(self) -> Loaded:
        """The configuration anew. Raises ConfigError."""
        previous = self.cfg
        try:
            self.load_default_config()
            self.load_config()
            return self.settle(self.cfg.layer())
        except ValueError as error:
            raise ConfigError(str(error)) from error
        finally:
            self.cfg = previous

    def settle(self, own: Layer) -> Loaded:
        return load_own(own, os.environ, os.getcwd())

    def reload(self) -> None:
        self.do_load_config()

    def edition(self, config: Config) -> Self:
        """The same application for one generation, not loaded yet."""
        edition = copy.copy(self)
        edition.cfg = config
        edition.callable = None
        return edition

    def wsgi(self) -> Any:
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self) -> None:
        """Serve; ends in SystemExit."""
        from corral.server.composition import serve  # lazily: whoever only reads a configuration needs none of it

        try:
            loaded = self.present()
        except ConfigError as error:
            end(error)
        sys.exit(serve(self, loaded))

    def present(self) -> Loaded:
        """The configuration as it is now, with what has been set on `cfg` since it was read. Raises ConfigError."""
        if not isinstance(self.cfg, Draft):
            return self.loaded or self.read()
        loaded = load_own(self.cfg.layer(), {}, os.getcwd())
        if self.loaded is not None:
            loaded.warnings = self.loaded.warnings
        return loaded


class Application(BaseApplication):
    """Configured as the command is: file, variables, command line, over what `init` returns."""

    arguments: Sequence[str] | None = None  # None: those of the process
    environ: Mapping[str, str] | None = None
    directory: str | None = None

    def load_config(self) -> None:
        """Hear what a subclass says of its own settings."""
        parser = make_parser()
        options, _ = parser.parse_known_args(list(self.command_line))
        own = self.init(parser, options, [options.wsgi_app] if options.wsgi_app else [])
        adopt(self.cfg, ((name.lower(), value) for name, value in (own or {}).items()))

    def settle(self, own: Layer) -> Loaded:
        environ = os.environ if self.environ is None else self.environ
        return load_config(self.command_line, environ, self.directory or os.getcwd(), own)

    @property
    def command_line(self) -> Sequence[str]:
        return sys.argv[1:] if self.arguments is None else self.arguments

    def chdir(self) -> None:
        os.chdir(self.cfg.chdir or os.getcwd())
        sys.path.insert(0, os.getcwd())

    def get_config_from_filename(self, filename: str) -> dict[str, Any]:
        """The settings that a file assigns, by name. Raises ConfigError."""
        return settings_of(filename, os.getcwd())

    def load_config_from_module_name_or_filename(self, location: str) -> dict[str, Any]:
        found = self.get_config_from_filename(location)
        for name, value in found.items():
            self.cfg.set(name, value)
        return found

    def load_config_from_file(self, filename: str) -> dict[str, Any]:
        return self.load_config_from_module_name_or_filename(filename)


class WSGIApplication(Application):
    """What the command serves: APP of the command line, `wsgi_app`, or `paste`."""

    app_uri: str | None = None

    def init(self, parser: Any, opts: Any, args: Sequence[str]) -> Mapping[str, Any] | None:
        return None

    def settle(self, own: Layer) -> Loaded:
        loaded = super().settle(own)
        if loaded.config.paste:
            loaded = super().settle(self.from_paste(loaded.config) | own)
        if not (loaded.config.wsgi_app or loaded.config.paste):
            raise ConfigError(NO_APP)
        self.app_uri = loaded.config.wsgi_app or loaded.config.paste
        return loaded

    def from_paste(self, config: Config) -> Layer:
        found = server_settings(str(config.paste), self.directory or os.getcwd(), config.paste_global_conf)
        return {
            name: Given(value, str(config.paste), f"{config.paste}: {name} = {value}")
            for name, value in found.items()
            if name in rows()
        }

    def load(self) -> Any:
        return self.load_pasteapp() if self.cfg.paste else self.load_wsgiapp()

    def load_wsgiapp(self) -> Any:
        return app.load(str(self.cfg.wsgi_app)).callable

    def load_pasteapp(self) -> Any:
        return app.load_paste(str(self.cfg.paste), self.cfg.paste_global_conf).callable


class CommandApplication(WSGIApplication):
    """WSGIApplication of given arguments, whose mistakes are its caller's to tell."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], directory: str) -> None:
        self.arguments = arguments
        self.environ = environ
        self.directory = directory
        super().__init__()

    def load_config(self) -> None:
        """It brings no settings of its own."""

    def do_load_config(self) -> None:
        self.loaded = self.read()
        self.cfg = self.loaded.config


def end(error: ConfigError) -> NoReturn:
    print(f"\nError: {error}", file=sys.stderr, flush=True)
    sys.exit(error.exit_code)


def adopt(cfg: Draft, settings: Iterable[tuple[str, Any]]) -> None:
    """Set those that are settings and have a value."""
    for name, value in settings:
        if name in rows() and value is not None:
            cfg.set(name, value)


def draft_of(loaded: Loaded, usage: str | None, prog: str | None) -> Draft:
    """What was read, as it may still be changed before `run`."""
    draft = Draft(usage, prog)
    for name in loaded.origins:
        draft.set(name, getattr(loaded.config, name))
    return draft


def serve_callable(found: Callable[..., Any], settings: Mapping[str, Any]) -> int:
    """Serve an application that is there already; the exit code."""
    from corral.server.composition import serve  # lazily, see BaseApplication.run

    class Given(BaseApplication):
        def load_config(self) -> None:
            adopt(self.cfg, settings.items())

        def load(self) -> Any:
            return found

    site = Given()
    assert site.loaded is not None
    return serve(site, site.loaded)
