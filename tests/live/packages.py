"""Packages made for gunicorn, unmodified, each in a directory of its own for PYTHONPATH; later runs find them again.

Not in the environment of the tests: they would bring gunicorn, and whether that is there is what tests choose.
"""

import hashlib
import sys
from pathlib import Path

from live.peer import alone, run

ROOT = Path(__file__).parents[2]
DIRECTORY = ROOT / ".peers"  # git ignores it
WANTED = {
    "corral-gunicorn": str(ROOT / "compat"),
    "django-rungunicorn": "django-rungunicorn==0.1.1",
    "django-serve": "django-serve==0.3",
    "gunicorn": "gunicorn>=27,<28",
    "newrelic": "newrelic>=10",
    "uvicorn-worker": "uvicorn-worker>=0.4",
}


def python_path(*names):
    """The value of PYTHONPATH with which these are importable."""
    return ":".join(str(installed(name)) for name in names)


def installed(name):
    """Its directory. Without what it requires: that is the tests' own."""
    DIRECTORY.mkdir(exist_ok=True)
    place, stamp = DIRECTORY / name, DIRECTORY / f"{name}.installed"
    wanted = f"{sys.version}\n{WANTED[name]}\n{digest(Path(WANTED[name]))}\n"
    with alone(DIRECTORY / f"{name}.lock"):
        if not stamp.exists() or stamp.read_text() != wanted:
            how = ("--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade", "--target", place)
            run(sys.executable, "-m", "pip", "install", *how, WANTED[name])
            stamp.write_text(wanted)
    return place


def digest(source):
    """What tells one state of a directory from another; nothing of what has a version."""
    files = sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
