"""The process itself: its file, its name, its rights, and what commands it."""

import dataclasses

from corral.config import values
from corral.config.row import setting, switch

DIRTY = "there are no dirty workers; long work belongs in a task queue with processes of its own"


# A row is a paragraph:
# fmt: off
@dataclasses.dataclass(frozen=True, kw_only=True, init=False, eq=False, repr=False)
class Process:
    """The process, and gunicorn's other processes."""

    __slots__ = ()

    # -- Process --
    daemon: bool = switch(
        "-D", "--daemon", section="Process", help="Go to the background.",
    )
    pidfile: str | None = setting(
        None, "-p", "--pid", accept=values.optional_text, section="Process", metavar="FILE",
        help="Write the arbiter's pid to this file.",
    )
    user: str | int | None = setting(
        None, "-u", "--user", accept=values.owner, section="Process", metavar="USER",
        help="Workers run as this user.",
    )
    group: str | int | None = setting(
        None, "-g", "--group", accept=values.owner, section="Process", metavar="GROUP",
        help="Workers run as this group.",
    )
    initgroups: bool = switch(
        "--initgroups", section="Process", help="Give workers the supplementary groups of `user`.",
    )
    umask: int = setting(
        0, "-m", "--umask", accept=values.mask, section="Process", metavar="MASK",
        help="The umask of files and unix sockets: octal with a leading 0, such as 022, else decimal.",
    )
    proc_name: str | None = setting(
        None, "-n", "--name", accept=values.optional_text, section="Process", metavar="NAME",
        help="The name in process titles, which need the extra corral[setproctitle].",
    )
    upgrade: str = setting(
        "auto", "--upgrade", accept=values.choice("auto", "manual"), section="Process", metavar="HOW",
        help="What happens at USR2 once the new server is ready: auto retires the old one, manual lets both serve "
        "until the old one is told to leave (WINCH, QUIT, TERM).",
    )
    default_proc_name: str = setting(
        "corral", accept=values.text, section="Process",
        help="The name in process titles where proc_name gives none, instead of the application's.",
    )
    enable_stdio_inheritance: bool = switch(
        "-R", "--enable-stdio-inheritance", section="Process",
        help="With daemon: keep standard output and standard error, where they were opened.",
    )
    worker_tmp_dir: str | None = setting(
        None, "--worker-tmp-dir", accept=values.optional_text, section="Process", metavar="DIRECTORY",
        help="gunicorn's directory for files by which workers say that they live.",
        effect="workers say so in memory, without files",
    )
    tmp_upload_dir: str | None = setting(
        None, accept=values.optional_text, section="Process", help="A directory that gunicorn doesn't use either.",
        effect="large bodies go to the directory that the variable TMPDIR names",
    )

    # -- Control --
    control_socket: str | None = setting(
        None, "--control-socket", accept=values.optional_text, section="Control", metavar="PATH",
        help="A unix socket to command the server by: `corral ctl`, or HTTP with JSON. There is none unless it is "
        "named here, or systemd gives a RUNTIME_DIRECTORY, where it is called corral.ctl.",
    )
    control_socket_mode: int = setting(
        0o600, "--control-socket-mode", accept=values.mask, section="Control", metavar="MODE",
        help="The mode of that socket: who may write to it may command the server.",
    )
    control_socket_disable: bool = switch(
        "--no-control-socket", section="Control", help="Have no such socket; there is none unless it is named.",
    )

    # -- Dirty workers --
    dirty_apps: tuple[str, ...] = setting(
        values.Names(), "--dirty-app", accept=values.names, section="Dirty workers", metavar="APP", append=True,
        help="gunicorn's applications for long work.", effect=DIRTY,
    )
    dirty_workers: int = setting(
        0, "--dirty-workers", accept=values.count, section="Dirty workers", metavar="N",
        help="How many processes work for them.", effect=DIRTY,
    )
    dirty_timeout: float = setting(
        300.0, "--dirty-timeout", accept=values.seconds, section="Dirty workers", metavar="SECONDS",
        help="How long they may take.", effect=DIRTY,
    )
    dirty_threads: int = setting(
        1, "--dirty-threads", accept=values.count, section="Dirty workers", metavar="N",
        help="How many threads a process has.", effect=DIRTY,
    )
    dirty_graceful_timeout: float = setting(
        30.0, "--dirty-graceful-timeout", accept=values.seconds, section="Dirty workers", metavar="SECONDS",
        help="How long they may take to leave.", effect=DIRTY,
    )
