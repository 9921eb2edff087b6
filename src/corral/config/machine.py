"""What a configuration needs of the machine, and lacks there: files, directories, descriptors, room in a queue.

It looks and touches nothing. Paths are those of the directory that the server will be in.
"""

import os
from collections.abc import Iterator

from corral.config.paste import parse_place
from corral.config.settings import Config

FILES = ("certfile", "keyfile", "ca_certs", "logconfig", "logconfig_json", "paste")
WRITTEN = ("accesslog", "errorlog", "pidfile")
OF_ITS_OWN = 16  # descriptors of a worker that serves nobody: logs, pipes, the loop, the modules that are read
SOMAXCONN = "/proc/sys/net/core/somaxconn"


def lacking(config: Config, directory: str) -> Iterator[str]:
    """Without these the server doesn't start."""
    for name in FILES:
        text = getattr(config, name)
        if text and (path := path_of(name, text, directory)):
            if not os.path.isfile(path):
                yield f"{name} {text!r}: there is no such file"
            elif not os.access(path, os.R_OK):
                yield f"{name} {text!r}: it can't be read by this user"
    for name in WRITTEN:
        path = getattr(config, name)
        if path and path != "-":
            parent = os.path.dirname(os.path.join(directory, path))
            if not os.path.isdir(parent):
                yield f"{name} {path!r}: there is no directory {parent}"
            elif not os.access(parent, os.W_OK) and not os.access(os.path.join(directory, path), os.W_OK):
                yield f"{name} {path!r}: it can't be written by this user"


def path_of(name: str, text: str, directory: str) -> str | None:
    """None for what is no file, as egg:PACKAGE in `paste`."""
    if name != "paste":
        return os.path.join(directory, text)
    place = parse_place(text, directory)
    return place.path if place else None


def scarce(config: Config) -> Iterator[str]:
    """With these it serves less than it is told to."""
    import resource  # lazily: only a check asks

    wanted = config.worker_connections + len(config.bind) + OF_ITS_OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and wanted > soft:
        raised = hard == resource.RLIM_INFINITY or wanted <= hard
        hint = f"raise it with ulimit -n {wanted}" if raised else f"and may be raised to {hard} only"
        yield f"worker_connections {config.worker_connections} needs {wanted} open files, the limit is {soft}; {hint}"
    try:
        with open(SOMAXCONN) as file:
            most = int(file.read())
    except (OSError, ValueError):
        return  # not Linux
    if config.backlog > most:
        yield f"backlog {config.backlog} is cut to {most} by net.core.somaxconn"
