"""What the arbiter can be told: signal numbers, as they arrive on the wake-up pipe, become commands.

It knows names. What a command leads to is decided in `arbiter`, how workers come and go in `plan`.
"""

import signal
from collections.abc import Iterator
from enum import Enum


class Command(Enum):
    """The value is what the log calls it, which is gunicorn's name for the signal."""

    STOP = "term"
    QUIT = "quit"
    INTERRUPT = "int"
    RELOAD = "hup"
    MORE = "ttin"
    FEWER = "ttou"
    REOPEN = "usr1"
    UPGRADE = "usr2"
    PARK = "winch"


COMMANDS = {
    signal.SIGTERM: Command.STOP,
    signal.SIGQUIT: Command.QUIT,
    signal.SIGINT: Command.INTERRUPT,
    signal.SIGHUP: Command.RELOAD,
    signal.SIGTTIN: Command.MORE,
    signal.SIGTTOU: Command.FEWER,
    signal.SIGUSR1: Command.REOPEN,
    signal.SIGUSR2: Command.UPGRADE,
    signal.SIGWINCH: Command.PARK,
}

# A child's death is no command: whatever ends the arbiter's sleep, it looks for dead children.
WATCHED = (*COMMANDS, signal.SIGCHLD)


def decode(arrived: bytes) -> Iterator[Command]:
    """The commands among the bytes of the wake-up pipe, in the order in which they were given."""
    for number in arrived:
        command = COMMANDS.get(number)  # type: ignore[call-overload]
        if command is not None:
            yield command
