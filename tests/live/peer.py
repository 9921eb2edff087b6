"""gunicorn, in an environment of its own that later runs find again."""

import contextlib
import fcntl
import os
import subprocess
import sys
from pathlib import Path

DIRECTORY = Path(__file__).parents[2] / ".bench" / "gunicorn"  # git ignores it
WANTED = "gunicorn>=27,<28"


def gunicorn():
    """Its program. Installed by the first run; two runs at once don't get into each other's way."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    program, stamp = DIRECTORY / "bin" / "gunicorn", DIRECTORY / "installed"
    wanted = f"{sys.version}\n{DIRECTORY}\n{WANTED}\n"
    with alone(DIRECTORY.with_suffix(".lock")):
        if not stamp.exists() or stamp.read_text() != wanted:
            run(sys.executable, "-m", "venv", "--clear", DIRECTORY)
            run(DIRECTORY / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", WANTED)
            stamp.write_text(wanted)
    return program


@contextlib.contextmanager
def alone(path):
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def run(*command):
    finished = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
