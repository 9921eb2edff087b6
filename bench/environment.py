"""The environment of the benchmarks: an environment with the peers and this checkout's Corral, and wrk."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
CHECKOUT = HERE.parent
VENV = CHECKOUT / ".bench" / "venv"
BINARIES = VENV / "bin"
STAMP = VENV / "installed"
REQUIREMENTS = HERE / "requirements.txt"
SHOWN = ("corral", "django", "fastpysgi", "flask", "granian", "gunicorn", "pyuwsgi", "uvicorn", "waitress")


class EnvironmentFailed(Exception):
    """Something that the benchmarks need can't be had; one line says what to do."""


def prepare() -> Path:
    """Make what is missing, and return the directory of the servers' programs."""
    if sys.platform != "linux":
        raise EnvironmentFailed("the benchmarks read /proc: run them on Linux")
    hold_alone()
    have_wrk()
    have_peers()
    return BINARIES


def hold_alone() -> None:
    """Until this process ends: two benchmarks at once would measure each other, or install under each other's feet."""
    VENV.parent.mkdir(exist_ok=True)
    # Left open on purpose: the lock lives as long as the descriptor, which isn't inherited by what is started.
    lock = os.open(VENV.parent / "lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EnvironmentFailed("another benchmark of this checkout is running: wait until it has ended") from None


def have_wrk() -> None:
    if shutil.which("wrk"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise EnvironmentFailed("wrk is missing: install it (Debian and Ubuntu: apt-get install wrk)")
    print("installing wrk ...", file=sys.stderr)
    install = ["apt-get", "install", "-y", "-q", "wrk"]
    if subprocess.run(install, capture_output=True).returncode:
        run(["apt-get", "update", "-q"])
        run(install)


def have_peers() -> None:
    """Corral is installed from the checkout, editable: its code is always the current one, on the peers' own Python."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = f"{sys.version}\n{CHECKOUT}\n{REQUIREMENTS.read_text()}{project['dependencies']} {project['scripts']}\n"
    if STAMP.exists() and STAMP.read_text() == wanted:
        return
    print(f"installing the peers in {VENV} ...", file=sys.stderr)
    run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    pip = [str(BINARIES / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "-r", str(REQUIREMENTS), "-e", str(CHECKOUT)])
    STAMP.write_text(wanted)


def versions() -> dict[str, str]:
    program = (
        "import importlib.metadata as metadata, json, platform, sys;"
        "installed = {name: metadata.version(name) for name in sys.argv[1:]};"
        "print(json.dumps({'python': platform.python_version(), **installed}))"
    )
    result: dict[str, str] = json.loads(run([str(BINARIES / "python"), "-c", program, *SHOWN]))
    return result


def run(command: list[str]) -> str:
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        words = (finished.stderr.strip() or finished.stdout.strip()).splitlines() or ["no message"]
        raise EnvironmentFailed(f"{' '.join(command)} failed: {words[-1]}")
    return finished.stdout
