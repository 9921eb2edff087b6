"""The composition: from a configuration to a running server, and from a fork to a worker.

It knows the order of things: what must be done before user code runs, what only the arbiter may hold, and what has to
be undone when the server ends, however it ends.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from corral import __version__
from corral import app as application
from corral.app import Application
from corral.arbiter.arbiter import Arbiter, Edition
from corral.arbiter.commands import WATCHED
from corral.config.load import Loaded, add_to_path
from corral.config.settings import Config
from corral.errors import EXIT_BOOT, EXIT_CONFIG, EXIT_CRASH, AppLoadError, ConfigError
from corral.net.listener import AddressInUse, Listener, open_all, open_listeners, parse_address
from corral.report.access import AccessLog
from corral.report.log import Log
from corral.shared import process
from corral.shared.process import Pidfile
from corral.shared.scoreboard import Row, Scoreboard
from corral.shared.wakeup import Wakeup
from corral.worker.life import run_worker

if TYPE_CHECKING:
    from corral.net.tls import ContextFactory

SLOTS = 1024
# A predecessor that is still stopping frees its port in a moment; gunicorn waits as long for it.
BIND_TRIES = 5
BIND_PAUSE = 1.0
LOG_SETTINGS = ("errorlog", "loglevel", "capture_output")


class Preload(Exception):
    """The application could not be loaded in the arbiter; it has been logged."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


class EarlyStop(SystemExit):
    """TERM, INT or QUIT before there are workers."""


def serve(loaded: Loaded, *, load_again: Callable[[], Loaded]) -> int:
    """Run the server until it is stopped; its exit code. `load_again` reads the configuration anew, at a reload."""
    server = Server(loaded, load_again)
    with ExitStack() as cleanup:
        try:
            return server.run(cleanup)
        except ConfigError as error:
            server.fail(error)
            return server.leave(EXIT_CONFIG)
        except Preload as failure:
            return server.leave(failure.exit_code)
        except EarlyStop:
            return server.leave(0)
        except Exception:
            if server.log is None:
                raise
            server.log.exception("Unhandled exception in main loop")
            return server.leave(EXIT_CRASH)


@dataclass(frozen=True, slots=True, eq=False)
class Holding:
    """What a generation keeps in the arbiter. The next one may share its log and its listeners."""

    config: Config
    log: Log
    listeners: list[Listener]
    tls: "ContextFactory | None" = None


class Server:
    """What lives as long as the server does, whatever generation is serving."""

    log: Log | None

    def __init__(self, loaded: Loaded, load_again: Callable[[], Loaded]) -> None:
        self.config = loaded.config
        self.warnings = loaded.warnings
        self.load_again = load_again
        self.log = None
        self.daemon: process.Daemon | None = None
        self.directory = os.getcwd()
        self.environ = Overlay()
        self.wakeup = Wakeup()
        self.board = Scoreboard(max(SLOTS, 2 * loaded.config.workers))
        self.lifeline, self.lifeline_writer = os.pipe()
        self.inherited = False
        self.holdings: dict[int, Holding] = {}  # by generation

    # start

    def run(self, cleanup: ExitStack) -> int:
        """The order of gunicorn's start, as far as anybody can see it."""
        config = self.config
        self.enter(config)
        os.umask(config.umask)
        if config.daemon:
            self.daemon = process.daemonize()
        self.wakeup.watch_signals(WATCHED)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(signum, leave_early)
        log = self.log = self.open_logs(config)
        log.info("Starting corral %s", __version__)
        for warning in self.warnings:
            log.warning("%s", warning)
        if config.pidfile:
            pidfile = Pidfile(config.pidfile)
            pidfile.create()
            cleanup.callback(pidfile.remove)
        cleanup.callback(self.stop_listening)
        tls = prepare_tls(config)
        self.holdings[1] = Holding(config, log, self.listen(config, log), tls)
        self.say_where(self.holdings[1])
        log.info("Using worker: %s", config.worker_class)
        edition = self.edition(1)
        process.set_title(f"corral: master [{name_of(config)}]")
        arbiter = Arbiter(
            log=log,
            board=self.board,
            wakeup=self.wakeup,
            edition=edition,
            load_edition=self.load_edition,
            reopen_logs=self.reopen_logs,
            stop_listening=self.stop_listening,
            daemon=config.daemon,
        )
        if self.daemon is not None:
            self.daemon.detach()
        return arbiter.run()

    def say_where(self, holding: Holding) -> None:
        labels = ",".join(listener.label for listener in holding.listeners)
        if holding.tls is not None:
            labels = labels.replace("http://", "https://")
        holding.log.info("Listening at: %s (%d)", labels, os.getpid())

    def reopen_logs(self) -> None:
        if self.log is not None:
            self.log.reopen_files()

    def enter(self, config: Config) -> None:
        """What user code finds: its directory, its environment, its path."""
        self.environ.apply(config.raw_env)
        if config.chdir:
            try:
                os.chdir(os.path.join(self.directory, config.chdir))
            except OSError as error:
                raise ConfigError(f"chdir {config.chdir!r}: {error.strerror}") from None
        extend_path(config)

    def open_logs(self, config: Config) -> Log:
        log = Log(config)
        if config.accesslog:
            # Each worker opens its own; here it is opened so that an error is the server's, not each worker's.
            AccessLog(config.accesslog, config.access_log_format).close()
        owner = process.resolve_owner(config.user, config.group)
        for path in (config.errorlog, config.accesslog):
            if path and path != "-" and owner.changes:
                # The workers reopen them, as whom they are then.
                with suppress(OSError):
                    os.chown(path, owner.chown_uid, owner.chown_gid)
        return log

    def listen(self, config: Config, log: Log) -> list[Listener]:
        self.inherited = os.environ.get("LISTEN_PID") == str(os.getpid())
        for attempt in range(1, BIND_TRIES + 1):
            try:
                return open_listeners(config, os.environ)
            except AddressInUse as error:
                if attempt == BIND_TRIES:
                    raise
                log.warning("%s (trying again, %d of %d)", error, attempt, BIND_TRIES - 1)
                time.sleep(BIND_PAUSE)
        raise AssertionError("unreachable")

    # generations

    def edition(self, generation: int) -> Edition:
        holding = self.holdings[generation]
        config = holding.config
        load = self.loader(holding)
        return Edition(
            generation=generation,
            app=str(config.wsgi_app),
            workers=config.workers,
            timeout=config.timeout,
            boot_timeout=config.boot_timeout,
            graceful_timeout=config.graceful_timeout,
            spawn=lambda row, age: process.fork(lambda: self.child(holding, load, row, age)),
            adopt=lambda: self.keep_only(generation),
            discard=lambda: self.discard(generation),
        )

    def loader(self, holding: Holding) -> Callable[[], Application]:
        """Where the application comes from in the child: its module, or with `preload_app` the arbiter's memory."""
        config, log = holding.config, holding.log
        uri = config.wsgi_app
        if not uri:
            raise ConfigError("no application was given; write `corral MODULE:NAME`, or set wsgi_app")
        if not config.preload_app:
            return lambda: application.load(uri)
        if process.resolve_owner(config.user, config.group).changes:
            log.warning("preload_app: the application is loaded as the present user; `user` and `group` come later")
        try:
            preloaded = application.load(uri)
        except AppLoadError as error:
            log.error("%s", error)
            raise Preload(error.exit_code) from None
        except EarlyStop:
            raise
        except (Exception, SystemExit):
            log.exception("Exception while loading the application %s", uri)
            raise Preload(EXIT_BOOT) from None
        return lambda: preloaded

    def load_edition(self, generation: int) -> Edition:
        """A reload: read everything again, and leave everything as it was if that fails."""
        self.environ.undo()
        os.chdir(self.directory)
        try:
            loaded = self.load_again()
            self.enter(loaded.config)
            self.hold(generation, loaded)
            return self.edition(generation)
        except BaseException as error:
            self.discard(generation)
            if isinstance(error, Preload):
                raise ConfigError("the application can't be loaded, see above") from None
            raise

    def hold(self, generation: int, loaded: Loaded) -> None:
        """Give a new generation its log and its listeners: its predecessor's where they are the same."""
        config, previous = loaded.config, self.holdings[max(self.holdings)]
        same_log = all(getattr(config, name) == getattr(previous.config, name) for name in LOG_SETTINGS)
        log = previous.log if same_log else self.open_logs(config)
        holding = self.holdings[generation] = Holding(config, log, [], prepare_tls(config))
        self.config, self.log = config, log
        process.resolve_owner(config.user, config.group)
        log.reopen_files()
        for warning in loaded.warnings:
            log.warning("%s", warning)
        if config.preload_app:
            log.warning("preload_app: modules that are loaded stay as they are; a restart loads new code")
        holding.listeners.extend(self.listen_again(config))
        if holding.listeners != previous.listeners:
            self.say_where(holding)

    def listen_again(self, config: Config) -> list[Listener]:
        held = {listener.address.text: listener for other in self.holdings.values() for listener in other.listeners}
        if self.inherited:
            return list(held.values())
        opened = open_all([parse_address(text) for text in config.bind if text not in held], config)
        held.update((listener.address.text, listener) for listener in opened)
        return [held[text] for text in dict.fromkeys(config.bind)]

    def discard(self, generation: int) -> None:
        """Go back to the generation before: its directory, environment and log are the arbiter's again."""
        if generation in self.holdings:
            self.forget(generation)
        holding = self.holdings[max(self.holdings)]
        self.config, self.log = holding.config, holding.log
        self.environ.undo()
        os.chdir(self.directory)
        self.enter(holding.config)
        holding.log.install()

    def keep_only(self, generation: int) -> None:
        for other in [other for other in self.holdings if other != generation]:
            self.forget(other)

    def forget(self, generation: int) -> None:
        """Close what no other generation has. Workers that still drain have copies of their own."""
        holding = self.holdings.pop(generation)
        others = self.holdings.values()
        for listener in holding.listeners:
            if not any(listener in other.listeners for other in others):
                listener.unlink()
                listener.close()
        if not any(holding.log is other.log for other in others):
            holding.log.close()

    def stop_listening(self) -> None:
        for holding in self.holdings.values():
            for listener in holding.listeners:
                listener.unlink()
                listener.close()

    # the child

    def child(self, holding: Holding, load: Callable[[], Application], row: Row, age: int) -> int:
        """A worker's start. No line of user code runs before it is who `user` says, and where `chdir` says."""
        config, log = holding.config, holding.log
        # While a copy of the writing end is open anywhere else, the arbiter's death would go unnoticed.
        os.close(self.lifeline_writer)
        self.wakeup.close_reader()
        process.set_title(f"corral: worker [{name_of(config)}]")
        try:
            self.enter(config)
            mine = [listener.own(config.backlog) for listener in holding.listeners]
            access = None
            if config.accesslog:
                access = AccessLog(config.accesslog, config.access_log_format)
            process.drop_privileges(config.user, config.group, config.initgroups)
        except (ConfigError, OSError) as error:
            log.error("%s", error)
            return EXIT_BOOT
        return run_worker(
            config=config,
            log=log,
            access=access,
            listeners=mine,
            row=row,
            board=self.board,
            lifeline=self.lifeline,
            wake_arbiter=self.wakeup.wake,
            load=load,
            age=age,
            tls=holding.tls,
        )

    # the end

    def fail(self, error: ConfigError) -> None:
        """Say why there is no server: in the log, and on the terminal if the log is elsewhere."""
        if self.log is not None:
            self.log.error("%s", error)
        if self.log is None or self.config.errorlog != "-":
            print(f"corral: error: {error}", file=sys.stderr)

    def leave(self, code: int) -> int:
        if self.daemon is not None:
            self.daemon.report(code)
        return code


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


def prepare_tls(config: Config) -> "ContextFactory | None":
    """What makes the context of a generation's workers. Raises ConfigError: never is the clear a way out."""
    if not config.is_ssl:
        return None
    from corral.net.tls import prepare_context  # lazily: only who has certificates pays for ssl

    return prepare_context(config)


def name_of(config: Config) -> str:
    return config.proc_name or str(config.wsgi_app)


def leave_early(signum: int, frame: object) -> NoReturn:
    """Until the arbiter listens to signals, these end the start at once, also a preload that hangs."""
    raise EarlyStop(0)
