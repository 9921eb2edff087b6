"""What the README tells people to type works."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.split("#")[0].strip()
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
OURS = [shlex.split(command)[1:] for command in COMMANDS if command.startswith("corral ")]
COMMAND_WORDS = ("check", "config")


def test_each_command_is_of_a_kind_that_is_tested_here():
    assert COMMANDS
    assert {command.split()[0] for command in COMMANDS} == {"make", "corral", "gunicorn"}


@pytest.mark.parametrize("command", [command for command in COMMANDS if command.startswith("make ")])
def test_make_has_the_target(command):
    assert subprocess.run([*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True).returncode == 0


APPLICATION = re.search(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[1]


@pytest.mark.parametrize("arguments", [each for each in OURS if each[0] not in COMMAND_WORDS], ids=" ".join)
def test_a_server_starts_as_shown(make_server, arguments):
    server = make_server(hello=APPLICATION)
    package = server.directory / "myproject"
    package.mkdir()
    (package / "wsgi.py").write_text(APPLICATION.replace("app(", "application("))
    # The port may be taken where this runs; a path in the server's own directory is not.
    server.start(*(re.sub(r"^127\.0\.0\.1:\d+$", "127.0.0.1:0", argument) for argument in arguments))
    if not any(argument.startswith("unix:") for argument in arguments):
        assert server.get("/") == (200, b"Hello!\n")
    assert server.stop() == 0


@pytest.mark.parametrize("arguments", [each for each in OURS if each[0] in COMMAND_WORDS], ids=" ".join)
def test_a_command_succeeds_as_shown(make_server, arguments):
    server = make_server(hello=APPLICATION)
    command = [sys.executable, "-m", "corral", *arguments]
    assert subprocess.run(command, cwd=server.directory, capture_output=True).returncode == 0
