"""Watching source files for `reload`: one thread that says once that a file has changed, and ends.

It knows files, what they looked like, and how to wait for news of them; what a change means is its caller's affair.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any, Protocol

PAUSE = 1.0  # between two looks
# While the application is imported: a module that is edited meanwhile must have been seen before its edit.
BRIEF = 0.1
# Saving a project, or switching branches, is many changes; and a file is written in more than one step.
SETTLED = 0.05
LONGEST_SETTLING = 2.0
STEP = 100  # milliseconds: how often watchfiles asks itself whether it should stop
MODIFIED = 2  # watchfiles.Change.modified
MAGIC = "*?["
STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep

Stamp = tuple[int, int]  # time of modification, size
Changes = dict[str, Stamp]


class Log(Protocol):
    def info(self, msg: str, *args: object) -> None: ...
    def warning(self, msg: str, *args: object) -> None: ...


class Reloader:
    """Calls `changed(path)` once, in a thread of its own, when a module's file or one of `extra_files` has changed."""

    def __init__(
        self, log: Log, changed: Callable[[str], object], *, engine: str = "auto", extra_files: Sequence[str] = ()
    ) -> None:
        self.log = log
        self.changed = changed
        self.watched = Watched(extra_files)
        self.importing = True
        self.stopped = threading.Event()
        self.engine = choose_engine(engine, self.stopped, log)
        self.thread = threading.Thread(target=self.run, name="corral-reloader", daemon=True)

    def start(self) -> None:
        """Before the application is imported, which ends with `loaded` or `failed`."""
        self.watched.refresh()
        self.thread.start()

    def stop(self) -> None:
        self.stopped.set()

    def loaded(self) -> None:
        """The application is there, with all that it has imported."""
        self.watched.refresh()
        self.importing = False

    def failed(self, error: BaseException) -> None:
        """The application raised this when it was imported: watch also where it may be mended."""
        self.watched.add(mending_places(error))
        self.loaded()

    def run(self) -> None:
        watched = self.watched
        while not self.stopped.is_set():
            watched.refresh()
            if self.engine.wait(watched, BRIEF if self.importing else PAUSE) and (changes := self.settled()):
                for path in changes:
                    forget_bytecode(path)
                first = next(iter(changes))
                self.log.info("Worker reloading: %s modified", first)
                self.changed(first)
                return

    def settled(self) -> Changes:
        """Many changes are one: wait until there are no more. None is left where a file is as it was, or gone again."""
        changes = self.watched.changes()
        for _ in range(int(LONGEST_SETTLING / SETTLED)):
            if not changes or self.stopped.wait(SETTLED):
                return {}
            before, changes = changes, self.watched.changes()
            if changes == before:
                break
        return changes


# Which files


class Watched:
    """The files of all modules, and those that the patterns name, each with what it looked like at first sight."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = [os.path.abspath(pattern) for pattern in patterns]
        self.seen: set[str] = set()  # modules' files, as the modules have them
        self.stamps: dict[str, Stamp | None] = {}
        self.add(())

    def add(self, patterns: Iterable[str]) -> None:
        """May be called from any thread. What exists now is no change; what appears later is."""
        added = [*self.patterns, *patterns]
        for path in expand(added):
            self.stamps.setdefault(path, stamp_of(path))
        self.patterns = added

    def refresh(self) -> None:
        """Look for files that have come: modules imported since, and new files for a pattern. From any thread."""
        for name in module_files():
            if name not in self.seen:
                self.seen.add(name)
                if not is_standard(name):
                    path = os.path.abspath(name)
                    self.stamps.setdefault(path, stamp_of(path))
        for path in expand(self.patterns):
            self.stamps.setdefault(path, None)

    def changes(self) -> Changes:
        """The files that have come or look different. One that is gone may be on its way back: it counts when it is."""
        found = {}
        for path, before in self.stamps.copy().items():
            now = stamp_of(path)
            if now is not None and now != before:
                found[path] = now
        return found

    def directories(self) -> set[str]:
        return {os.path.dirname(path) for path in self.stamps.copy()} | {base_of(pattern) for pattern in self.patterns}


def module_files() -> Iterator[str]:
    for module in sys.modules.copy().values():
        if isinstance(module, ModuleType):
            # Not getattr: a lazy module would be imported by it.
            name = object.__getattribute__(module, "__dict__").get("__file__")
            if isinstance(name, str):
                yield name.removesuffix("c") if name.endswith(".pyc") else name


def is_standard(name: str) -> bool:
    """Python's own library, which nobody edits; installed packages are another matter."""
    return name.startswith(STANDARD_LIBRARY) and f"-packages{os.sep}" not in name


def expand(patterns: Iterable[str]) -> Iterator[str]:
    """A path is itself, there or not; a directory is all below it that isn't hidden; everything else is a glob."""
    for pattern in patterns:
        if os.path.isdir(pattern):
            for directory, below, names in os.walk(pattern):
                below[:] = [name for name in below if not name.startswith((".", "__pycache__"))]
                yield from (os.path.join(directory, name) for name in names if not name.startswith("."))
        elif any(sign in pattern for sign in MAGIC) and not os.path.exists(pattern):
            import glob  # lazily: only patterns need it

            yield from glob.iglob(pattern, recursive=True)
        else:
            yield pattern


def base_of(pattern: str) -> str:
    """The directory in which something that matches may appear."""
    if os.path.isdir(pattern):
        return pattern
    directory = os.path.dirname(pattern)
    while any(sign in directory for sign in MAGIC) and not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    return directory


def stamp_of(path: str) -> Stamp | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size


def mending_places(error: BaseException) -> list[str]:
    """The Python files beside those that the traceback names, and those where a missing module may be put."""
    import glob

    named = list(files_named_by(error))
    directories = {os.path.abspath(entry) for entry in sys.path} | {os.path.dirname(path) for path in named}
    places = [glob.escape(path) for path in named]
    for directory in sorted(directories):
        theirs = not (directory + os.sep).startswith(STANDARD_LIBRARY) and "-packages" not in directory
        if theirs and os.path.isdir(directory):
            escaped = glob.escape(directory)
            places += [os.path.join(escaped, "*.py"), os.path.join(escaped, "*", "__init__.py")]
    return places


def files_named_by(error: BaseException | None) -> Iterator[str]:
    """The files of its frames and of its causes', and the one that a SyntaxError is about."""
    done: set[int] = set()
    while error is not None and id(error) not in done:
        done.add(id(error))
        names = [error.filename] if isinstance(error, SyntaxError) else []
        traceback = error.__traceback__
        while traceback is not None:
            names.append(traceback.tb_frame.f_code.co_filename)
            traceback = traceback.tb_next
        for name in names:
            if name and not name.startswith("<") and not is_standard(name):
                yield os.path.abspath(name)
        error = error.__cause__ or error.__context__


def forget_bytecode(path: str) -> None:
    """Python's cache tells two versions of a source apart by second and size: too coarse for two quick edits."""
    if path.endswith(".py"):
        from importlib.util import cache_from_source

        try:
            os.unlink(cache_from_source(path))
        except (OSError, NotImplementedError):
            pass  # there is none


# How to wait


class Engine(Protocol):
    def wait(self, watched: Watched, seconds: float) -> bool:
        """Wait, but no longer than that; whether there may be changes."""


class Polling:
    """Look at every file, once a pause."""

    def __init__(self, stopped: threading.Event) -> None:
        self.stopped = stopped

    def wait(self, watched: Watched, seconds: float) -> bool:
        return not self.stopped.wait(seconds)


class Notified:
    """The kernel tells what happens in the directories; files are looked at only then."""

    def __init__(self, notify: Callable[..., Any], stopped: threading.Event, log: Log) -> None:
        self.make_notify = notify
        self.stopped = stopped
        self.log = log
        self.notify: Any = None
        self.told_of: set[str] = set()

    def wait(self, watched: Watched, seconds: float) -> bool:
        wanted = {directory for directory in watched.directories() if os.path.isdir(directory)}
        if wanted != self.told_of:
            try:
                self.notify = self.make_notify(sorted(wanted), False, False, 0, False, True)
            except OSError as error:
                # A directory that has just gone, or the machine's limit of watches: look at the files themselves.
                self.log.warning("reload: %s; looking at the files once a second", error)
                return not self.stopped.wait(PAUSE)
            self.told_of = wanted
            return True  # of what came before, nobody has told
        news = self.notify.watch(int(SETTLED * 1000), STEP, int(seconds * 1000), self.stopped)
        if isinstance(news, str):
            return False
        if any(kind != MODIFIED for kind, _ in news):
            # Perhaps a directory has been replaced, and the kernel watches the old one.
            self.told_of = set()
            return True
        return any(path in watched.stamps for _, path in news)  # a log file, for instance, is none of them


def choose_engine(name: str, stopped: threading.Event, log: Log) -> Engine:
    """watchfiles where it is installed, unless polling is asked for (network file systems tell nobody anything)."""
    if name != "poll":
        try:
            from watchfiles._rust_notify import RustNotify  # lazily: an extra, and several MiB
        except ImportError:
            if name == "inotify":
                log.warning("reload_engine inotify needs watchfiles: pip install 'corral[reload]'; polling instead")
        else:
            return Notified(RustNotify, stopped, log)
    return Polling(stopped)
