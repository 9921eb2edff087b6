"""What is served, where it is found, and what helps to develop it."""

import dataclasses

from corral.config import values
from corral.config.row import setting, switch


# A row is a paragraph:
# fmt: off
@dataclasses.dataclass(frozen=True, kw_only=True, init=False, eq=False, repr=False)
class Application:
    """The application, and its development."""

    __slots__ = ()

    config: str | None = setting(
        None, "-c", "--config", accept=values.optional_text, section="Application", metavar="CONFIG",
        help="A Python file (PATH or file:PATH) or module (python:MODULE) with settings. Without it ./corral.conf.py, "
        "else ./gunicorn.conf.py, else the table [tool.corral] of ./pyproject.toml.",
    )
    wsgi_app: str | None = setting(
        None, accept=values.optional_text, section="Application", metavar="APP",
        help="The application, where the command line doesn't name one: MODULE:NAME, MODULE:FACTORY('argument'), or "
        "MODULE, in which `application` or `app` is looked for.",
    )
    paste: str | None = setting(
        None, "--paste", "--paster", accept=values.optional_text, section="Application", metavar="FILE",
        help="Load the application from this Paste Deploy file; FILE#NAME is another section than [app:main].",
    )
    raw_paste_global_conf: tuple[str, ...] = setting(
        values.Names(), "--paste-global", accept=values.pairs, section="Application", metavar="NAME=VALUE", append=True,
        help="A default of the Paste Deploy file. May be given several times.",
    )
    chdir: str | None = setting(
        None, "--chdir", accept=values.optional_text, section="Application", metavar="DIRECTORY",
        help="Change to this directory before the application is loaded; modules are found there.",
    )
    pythonpath: str | None = setting(
        None, "--pythonpath", accept=values.optional_text, section="Application", metavar="PATHS",
        help="Directories to look for modules in, separated by commas.",
    )
    raw_env: tuple[str, ...] = setting(
        values.Names(), "-e", "--env", accept=values.pairs, section="Application", metavar="NAME=VALUE", append=True,
        help="An environment variable for the application. May be given several times.",
    )
    preload_app: bool = switch(
        "--preload", section="Application",
        help="Load the application once, in a process of its own from which the workers are forked: they share its "
        "memory and start at once. A reload loads it anew.",
    )
    strict_config: bool = switch(
        "--strict-config", section="Application",
        help="Make every warning about settings an error: names that are nearly one's, and those that have no "
        "effect.",
    )

    # -- Development --
    reload: bool = switch(
        "--reload", section="Development", help="Replace the workers when a file of the application changes.",
    )
    reload_engine: str = setting(
        "auto", "--reload-engine", accept=values.choice("auto", "poll", "inotify"), section="Development",
        metavar="ENGINE", help="How files are watched: poll looks at them, inotify is told by Linux; auto chooses.",
    )
    reload_extra_files: tuple[str, ...] = setting(
        values.Names(), "--reload-extra-file", accept=values.names, section="Development", metavar="FILES", append=True,
        help="Other files to watch, such as templates; * and ** are patterns. May be given several times.",
    )
    spew: bool = switch(
        "--spew", section="Development", help="Print every line of Python that is executed. This is very slow.",
    )
    check_config: bool = switch("--check-config", section="Development", help="The same as `corral check`.")
    print_config: bool = switch("--print-config", section="Development", help="The same as `corral config`.")
