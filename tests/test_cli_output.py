"""Where the output of a command goes: nowhere, or to a reader that has seen enough."""

import os
import pty
import subprocess
import sys

import pytest


@pytest.mark.parametrize("buffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_reader_that_leaves_is_no_error(tmp_path, buffered):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "corral", "config", "--markdown"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUNBUFFERED": buffered},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_there_need_be_no_standard_output(tmp_path):
    command = ["sh", "-c", 'exec "$0" -m corral config >&-', sys.executable]
    done = subprocess.run(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("columns", "longest"),
    [
        pytest.param({}, range(60, 79), id="a terminal without a size"),
        pytest.param({"COLUMNS": "120"}, range(100, 119), id="as wide as is said"),
        pytest.param({"COLUMNS": "0"}, range(60, 79), id="0 is not said"),
        pytest.param({"COLUMNS": "wide"}, range(60, 79), id="no number"),
    ],
)
def test_the_help_is_as_wide_as_the_terminal(tmp_path, columns, longest):
    """A new one has no columns at all, as in a container."""
    terminal, screen = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | columns
    command = [sys.executable, "-m", "corral", "--help"]
    asked = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=screen, stderr=subprocess.PIPE)
    os.close(screen)
    told = b""
    try:
        while data := os.read(terminal, 65536):
            told += data
    except OSError:
        pass  # Linux: nobody has the other end any more
    os.close(terminal)
    _, complaint = asked.communicate(timeout=60)
    assert (asked.returncode, complaint) == (0, b"")
    assert max(len(line) for line in told.decode().splitlines() if line.startswith("       ")) in longest
