"""Signal numbers become commands, in their order."""

import signal

import pytest

from corral.arbiter.commands import WATCHED, Command, decode


@pytest.mark.parametrize(
    ("arrived", "commands"),
    [
        pytest.param(b"", [], id="nothing arrived"),
        pytest.param(b"\0\0", [], id="pokes are no commands"),
        pytest.param(bytes([signal.SIGCHLD]), [], id="a child's death is no command"),
        pytest.param(
            bytes([signal.SIGHUP, 0, signal.SIGTERM]), [Command.RELOAD, Command.STOP], id="the order is the given one"
        ),
        pytest.param(
            bytes([signal.SIGTTIN] * 3), [Command.MORE] * 3, id="a command given three times is three commands"
        ),
        pytest.param(bytes([signal.SIGUSR2]), [Command.UPGRADE], id="USR2 is heard, though nothing comes of it yet"),
    ],
)
def test_decode(arrived: bytes, commands: list[Command]) -> None:
    assert list(decode(arrived)) == commands


def test_each_command_has_a_signal_that_is_watched() -> None:
    heard = {command for signum in WATCHED for command in decode(bytes([signum]))}
    assert heard == set(Command)
