"""The composition: from a site and its configuration to a running server, and its way from generation to generation.

It knows the order of a start, of a reload and of the end, and has everything undone that it did, however it ends.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NoReturn

from corral import __version__
from corral.arbiter.arbiter import Arbiter, Edition
from corral.arbiter.commands import WATCHED
from corral.config.address import parse_address
from corral.config.classes import UVICORN
from corral.config.load import Loaded
from corral.config.named import load_class
from corral.config.settings import Config
from corral.errors import EXIT_APP, EXIT_BOOT, EXIT_CONFIG, EXIT_CRASH, ConfigError
from corral.net.handoff import Channel
from corral.net.listener import AddressInUse, Listener, open_all, open_listeners
from corral.report import choice
from corral.server.controls import Controls
from corral.server.generation import Generation, Shared, prepare_tls
from corral.server.master import Master
from corral.server.notify import Supervisor
from corral.server.site import Site
from corral.server.surroundings import Surroundings
from corral.server.upgrade import Start, Upgrade, predecessor
from corral.shared import process
from corral.shared.process import Pidfile
from corral.shared.scoreboard import Scoreboard
from corral.shared.wakeup import Wakeup
from corral.worker.sync import SyncWorker

SLOTS = 1024
# A predecessor that is still stopping frees its port in a moment; gunicorn waits as long for it.
BIND_TRIES = 5
BIND_PAUSE = 1.0
WORKERS = {"sync": lambda: SyncWorker, "gthread": lambda: SyncWorker, "asgi": lambda: async_worker()}


class Preload(Exception):
    """The application could not be loaded in the arbiter; it has been logged."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code


class EarlyStop(BaseException):
    """TERM, INT or QUIT before there are workers."""


def serve(site: Site, loaded: Loaded, *, master: Master | None = None) -> int:
    """Run the server until it is stopped; its exit code. At a reload the site reads its configuration anew."""
    server = Server(site, loaded, master or Master(site))
    with ExitStack() as cleanup:
        code = attempt(server, cleanup)
    if code in (EXIT_BOOT, EXIT_APP) and server.config.errorlog != "-":
        print(f"corral: error: the application can't be loaded, see {server.config.errorlog}", file=sys.stderr)
    if server.daemon is not None:
        server.daemon.report(code)  # to the terminal, once nothing is left behind
    return code


def attempt(server: "Server", cleanup: ExitStack) -> int:
    try:
        return server.run(cleanup)
    except ConfigError as error:
        server.fail(error)
        return EXIT_CONFIG
    except Preload as failure:
        return failure.exit_code
    except EarlyStop:
        return 0
    except SystemExit as leaving:
        return server.told_to_leave(leaving)
    except Exception:
        if server.log is None:
            raise
        server.log.exception("Unhandled exception in main loop")
        return EXIT_CRASH


class Server:
    """What lives as long as the server does, whatever generation is serving."""

    def __init__(self, site: Site, loaded: Loaded, master: Master) -> None:
        self.site = site
        self.config = loaded.config
        self.warnings = loaded.warnings
        self.master = master
        self.log: Any = None
        self.arbiter: Arbiter | None = None
        self.daemon: process.Daemon | None = None
        self.surroundings = Surroundings()
        before = predecessor(os.environ)
        environ = getattr(site, "environ", None) or os.environ
        self.upgrade = Upgrade(self, Start(self.surroundings.directory, dict(environ)), before)
        self.supervisor = Supervisor(self, os.environ)
        self.controls = Controls(self)
        self.pidfile: Pidfile | None = None
        self.wakeup = Wakeup()
        lifeline, writer = os.pipe()
        os.fchmod(lifeline, 0o444)  # workers open it once more, and may be somebody else by then
        self.shared = Shared(
            board=Scoreboard(max(SLOTS, 2 * loaded.config.workers), loaded.config.threads),
            wakeup=self.wakeup,
            lifeline=lifeline,
            private={writer},
            surroundings=self.surroundings,
            master=master,
            channel=inherited_channel(before.descriptors) if before else Channel.open(),
        )
        self.inherited = before is not None and before.supervised  # listeners are a supervisor's
        self.generations: dict[int, Generation] = {}  # by number
        master.server = self

    @property
    def latest(self) -> Generation:
        return self.generations[max(self.generations)]

    # start

    def run(self, cleanup: ExitStack) -> int:
        """The order of gunicorn's start, as far as anybody can see it."""
        config = self.config
        self.surroundings.enter(config)
        if config.daemon and self.upgrade.predecessor is None:
            self.daemon = process.daemonize()
            self.master.pid = os.getpid()
        self.wakeup.watch_signals(WATCHED)
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(signum, leave_early)
        log = self.log = self.open_log(config)
        log.info("Starting corral %s", __version__)
        for warning in self.warnings:
            log.warning("%s", warning)
        first = self.generations[1] = self.generation(config, log)
        self.master.call("nworkers_changed", config.workers, None)
        if config.pidfile:
            pidfile = self.pidfile = Pidfile(config.pidfile + self.suffix)
            pidfile.create()
        cleanup.callback(self.remove_pidfile)
        self.insist("on_starting")
        cleanup.callback(self.stop_listening)
        first.listeners = self.listen(config, log)
        self.say_where(first)
        log.info("Using worker: %s", config.worker_class_str)
        ask(first.worker_class, "check_config", config, log)
        self.insist("when_ready")
        edition = self.edition(1)
        process.set_title(f"corral: master [{config.proc_name}{self.suffix}]")
        arbiter = self.arbiter = Arbiter(
            log=log,
            board=self.shared.board,
            wakeup=self.wakeup,
            edition=edition,
            load_edition=self.load_edition,
            reopen_logs=self.reopen_logs,
            stop_listening=self.stop_listening,
            call=self.master.call,
            upgrade=self.upgrade.begin,
            daemon=config.daemon,
        )
        self.master.early = 0
        self.upgrade.attach()
        self.supervisor.attach()
        cleanup.callback(self.controls.close)
        self.controls.follow(config)
        if first.mold is None:
            self.let_go()
        try:
            return arbiter.run()
        finally:
            cleanup.close()
            self.master.call("on_exit")

    @property
    def suffix(self) -> str:
        """What the second of two servers is told from the first by."""
        return "" if self.upgrade.predecessor is None else ".2"

    def be_known(self) -> None:
        """The server before this one is gone, and its names are free."""
        process.set_title(f"corral: master [{self.config.proc_name}]")
        self.supervisor.take_over()
        self.controls.try_to_follow(self.config)
        if self.pidfile is not None:
            try:
                self.pidfile.rename(self.pidfile.path.removesuffix(".2"))
            except OSError as error:
                self.log.error("pidfile %r: can't rename it: %s", self.pidfile.path, error.strerror)

    def rename(self, config: Config) -> None:
        """The names that a reload may give: in process titles, and the pid file."""
        process.set_title(f"corral: master [{config.proc_name}{self.suffix}]")
        before, pidfile = self.pidfile, Pidfile(config.pidfile + self.suffix) if config.pidfile else None
        if (before and before.path) == (pidfile and pidfile.path):
            return
        try:
            if pidfile is not None:
                pidfile.create()
        except ConfigError as error:
            self.log.error("%s; the pid file stays where it is", error)
            return
        self.remove_pidfile()
        self.pidfile = pidfile

    def remove_pidfile(self) -> None:
        if self.pidfile is not None:
            self.pidfile.remove()

    def insist(self, name: str) -> None:
        """A hook without which there is no server: users check there that everything is as it must be."""
        with blaming(f"the hook {name}"):
            getattr(self.config, name)(self.master)

    def say_where(self, generation: Generation) -> None:
        labels = ",".join(listener.label for listener in generation.listeners)
        if generation.tls is not None:
            labels = labels.replace("http://", "https://")
        generation.log.info("Listening at: %s (%d)", labels, os.getpid())

    def reopen_logs(self) -> None:
        if self.log is not None:
            self.log.reopen_files()
        for generation in self.generations.values():
            if generation.mold is not None:
                generation.mold.logs_reopened = True

    def open_log(self, config: Config) -> Any:
        with blaming(f"logger_class {config.logger_class!r}"):
            choice.check(config)  # what each worker would find wrong with its access log, once
            log = choice.open_log(config)
        owner = process.resolve_owner(config.user, config.group)
        for path in (config.errorlog, config.accesslog):
            if path and path != "-" and owner.changes:
                # The workers reopen them, as whom they are then.
                with suppress(OSError):
                    os.chown(path, owner.chown_uid, owner.chown_gid)
        return log

    def listen(self, config: Config, log: Any) -> list[Listener]:
        self.inherited |= os.environ.get("LISTEN_PID") == str(os.getpid())
        for attempt in range(1, BIND_TRIES + 1):
            try:
                if self.upgrade.predecessor is not None:
                    return self.choose(self.upgrade.predecessor.listeners, config)
                return open_listeners(config, os.environ)
            except AddressInUse as error:
                if attempt == BIND_TRIES:
                    raise
                log.warning("%s (trying again, %d of %d)", error, attempt, BIND_TRIES - 1)
                time.sleep(BIND_PAUSE)
        raise AssertionError("unreachable")

    # generations

    def generation(self, config: Config, log: Any) -> Generation:
        """Without listeners yet. Raises ConfigError."""
        kind = worker_class(config)
        if config.worker_class in UVICORN and kind.__module__.startswith("corral."):
            log.warning("worker_class %s isn't installed; asgi, Corral's own, takes its place", config.worker_class)
        ask(kind, "setup")
        return Generation(self.site.edition(config), config, log, kind, prepare_tls(config))

    def edition(self, number: int) -> Edition:
        generation = self.generations[number]
        config = generation.config
        if config.preload_app:
            self.preload(number)
        return Edition(
            generation=number,
            app=str(config.wsgi_app or config.proc_name),
            workers=self.master.early or config.workers,
            timeout=config.timeout,
            boot_timeout=config.boot_timeout,
            graceful_timeout=config.graceful_timeout,
            shutdown_delay=config.shutdown_delay,
            reload_step=config.reload_step,
            max_worker_lifetime=config.max_worker_lifetime,
            spawn=lambda row, age: generation.spawn(self.shared, row, age),
            adopt=lambda: self.keep_only(number),
            discard=lambda: self.discard(number),
        )

    def preload(self, number: int) -> None:
        """Once for all workers: in a mold, or where the system has no way to adopt its workers, here."""
        from corral.server.mold import Mold, load_site  # lazily: only who preloads

        generation = self.generations[number]
        config, log = generation.config, generation.log
        if process.adopt_orphans():
            generation.mold = Mold(self, number)
            return
        log.warning("preload_app: this system has no adoption of processes; modules that are loaded stay as they are")
        if process.resolve_owner(config.user, config.group).changes:
            log.warning("preload_app: the application is loaded as the present user; `user` and `group` come later")
        if code := load_site(generation):
            raise Preload(code)

    def let_go(self) -> None:
        """The start has succeeded, or is tried again and again: the command that has begun it may end."""
        if self.daemon is not None:
            self.daemon.detach(keep_output=self.config.enable_stdio_inheritance)
            self.daemon = None

    def load_edition(self, number: int) -> Edition:
        """A reload: read everything again, and leave everything as it was if that fails."""
        self.surroundings.leave()
        try:
            loaded = self.site.read()
            self.surroundings.enter(loaded.config)
            self.hold(number, loaded)
            edition = self.edition(number)
        except BaseException as error:
            self.discard(number)
            if isinstance(error, Preload):
                raise ConfigError("the application can't be loaded, see above") from None
            raise
        self.master.call("nworkers_changed", edition.workers, self.arbiter.edition.workers if self.arbiter else None)
        self.master.call("on_reload")
        return edition

    def hold(self, number: int, loaded: Loaded) -> None:
        """Give a new generation its log and its listeners: its predecessor's where they are the same."""
        config, previous = loaded.config, self.latest
        log = previous.log if choice.same_log(config, previous.config) else self.open_log(config)
        self.config, self.log = config, log
        process.resolve_owner(config.user, config.group)
        generation = self.generations[number] = self.generation(config, log)
        log.reopen_files()
        for warning in loaded.warnings:
            log.warning("%s", warning)
        generation.listeners = self.listen_again(config)
        if generation.listeners != previous.listeners:
            self.say_where(generation)
        ask(generation.worker_class, "check_config", config, log)

    def listen_again(self, config: Config) -> list[Listener]:
        return self.choose(self.listeners(), config)

    def listeners(self) -> list[Listener]:
        """Those of all generations."""
        return [listener for generation in self.generations.values() for listener in generation.listeners]

    def choose(self, listeners: list[Listener], config: Config) -> list[Listener]:
        """Those of the addresses that a configuration names; where nobody listens yet, a new one."""
        held = {listener.address.text: listener for listener in listeners}
        if self.inherited:
            return list(held.values())
        opened = open_all([parse_address(text) for text in config.bind if text not in held], config)
        held.update((listener.address.text, listener) for listener in opened)
        return [held[text] for text in dict.fromkeys(config.bind)]

    def discard(self, number: int) -> None:
        """Go back to the generation before: its directory, environment and log are the arbiter's again."""
        failed = self.log
        if number in self.generations:
            self.forget(number)
        latest = self.latest
        if failed is not latest.log:
            choice.close(failed)
        self.config, self.log = latest.config, latest.log
        self.surroundings.leave()
        self.surroundings.enter(latest.config)
        choice.reinstate(latest.log)

    def keep_only(self, number: int) -> None:
        self.rename(self.generations[number].config)
        self.controls.try_to_follow(self.generations[number].config)
        for other in [other for other in self.generations if other != number]:
            self.forget(other)

    def forget(self, number: int) -> None:
        """Close what no other generation has. Workers that still drain have copies of their own."""
        generation = self.generations.pop(number)
        if generation.mold is not None:
            generation.mold.dismiss()
        others = self.generations.values()
        for listener in generation.listeners:
            if not any(listener in other.listeners for other in others):
                self.close(listener)
        if not any(generation.log is other.log for other in others):
            choice.close(generation.log)

    def stop_listening(self) -> None:
        for generation in self.generations.values():
            if generation.mold is not None:
                generation.mold.dismiss(wait=True)  # it has the listeners as well
            for listener in generation.listeners:
                self.close(listener)
            generation.listeners = []

    def close(self, listener: Listener) -> None:
        if not self.upgrade.shares(listener):
            listener.unlink()
        listener.close()

    # the end

    def fail(self, error: ConfigError) -> None:
        """Say why there is no server: in the log, and on the terminal if the log is elsewhere."""
        if self.log is not None:
            self.log.error("%s", error, exc_info=error.__cause__)
        if self.log is None or self.config.errorlog != "-":
            print(f"corral: error: {error}", file=sys.stderr)
        if self.log is None and error.__cause__ is not None:
            import traceback  # lazily: only mistakes need it

            traceback.print_exception(error.__cause__)

    def told_to_leave(self, leaving: SystemExit) -> int:
        """A hook of the user's has called sys.exit(), with a code or with words."""
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        self.fail(ConfigError(str(leaving.code)))
        return EXIT_CONFIG


def inherited_channel(descriptors: dict[str, int]) -> Channel | None:
    """The predecessor's: a connection may wait in it."""
    if "giving" not in descriptors:
        return None
    return Channel(*(socket.socket(fileno=descriptors[name]) for name in ("giving", "taking")))


def async_worker() -> Any:
    from corral.worker.aio import AsyncWorker  # lazily: asyncio, 3 MiB

    return AsyncWorker


def is_installed(name: str) -> bool:
    from importlib.util import find_spec  # lazily: only for classes of uvicorn's

    try:
        return find_spec(name.rpartition(".")[0]) is not None
    except ImportError:
        return False


def worker_class(config: Config) -> Any:
    kind = config.worker_class
    if kind in UVICORN and not is_installed(kind):
        kind = "asgi"
    if not isinstance(kind, type):
        kind = load_class("worker_class", kind, "gunicorn.workers", WORKERS)
    if not isinstance(kind, type):
        raise ConfigError(f"worker_class {config.worker_class_str!r} is no class but {type(kind).__name__}")
    if not hasattr(kind, "init_process"):
        raise ConfigError(f"worker_class {config.worker_class_str!r} is no worker's; derive it from corral.Worker")
    return kind


def ask(kind: Any, name: str, *arguments: Any) -> None:
    """gunicorn's ways for a worker class to complain: `setup()`, `check_config(cfg, log)`."""
    method = getattr(kind, name, None)
    if method is not None:
        with blaming(f"{name} of worker_class {kind.__name__!r}"):
            method(*arguments)


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """The user's code may raise anything. Then the start or the reload has failed, and it isn't we who are broken."""
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"{what} failed: {type(error).__name__}: {error}") from error


def leave_early(signum: int, frame: object) -> NoReturn:
    """Until the arbiter listens to signals, these end the start at once, also a preload that hangs."""
    raise EarlyStop(0)
