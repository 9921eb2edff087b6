"""Where the control socket is, whose it is, and when there is one: what the arbiter's side of it doesn't know."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from corral.config.settings import Config
from corral.errors import ConfigError

if TYPE_CHECKING:
    from corral.arbiter.control import Control
    from corral.server.composition import Server

NAME = "corral.ctl"  # in the directory that systemd gives


class Controls:
    """The server's control socket, through all reloads."""

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.control: Control | None = None

    def follow(self, config: Config) -> None:
        """Have the socket that a configuration asks for. Raises ConfigError, and leaves what there was."""
        server = self.server
        path = control_path(config, server.surroundings.directory, os.environ)
        if config.control_socket_disable:
            path = ""
        if server.arbiter is None or server.upgrade.predecessor is not None:
            return  # until then the name is the other server's
        wanted = (path, config.control_socket_mode) if path else None
        if wanted == (self.control and (self.control.path, self.control.mode)):
            return
        if self.control is not None and path == self.control.path:
            self.close()  # only its mode is another one
        if path:
            # lazily: most servers have none
            from corral.arbiter.answers import Answers
            from corral.arbiter.control import Control

            answers = Answers(server.arbiter, self.facts)
            control = Control(server.arbiter, path, config.control_socket_mode, server.shared.private, answers.answer)
            self.close()
            self.control = control
        else:
            self.close()

    def try_to_follow(self, config: Config) -> None:
        try:
            self.follow(config)
        except ConfigError as error:
            self.server.log.error("%s", error)

    def close(self) -> None:
        if self.control is not None:
            self.control.close()
            self.control = None

    def facts(self) -> dict[str, Any]:
        server = self.server
        return {
            "pid": os.getpid(),
            "listeners": [listener.label for listener in server.listeners()],
            "predecessor": server.master.master_pid or None,
            "successor": server.master.reexec_pid or None,
        }


def control_path(config: Config, directory: str, environ: Mapping[str, str]) -> str:
    """Where it is, unless it is disabled; empty if nothing says where."""
    if config.control_socket:
        return os.path.join(directory, config.control_socket)
    given = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    return os.path.join(given, NAME) if given else ""
