"""Every error of Corral's own, by who is to blame: the peer, the application, or whoever configured the server.

An error knows its consequence: a peer's carries the HTTP status to answer with, others the process's exit code.
"""

from typing import Any

EXIT_CONFIG = 1
EXIT_BOOT = 3
EXIT_APP = 4
EXIT_CRASH = 255


class CorralError(Exception):
    """The root of the tree."""


class PeerError(CorralError):
    """The client broke the protocol or a limit; answered with `status`, then the connection is closed."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.line: Any = (
            None  # the request's, where it was read before something else was wrong (http.head.RequestLine)
        )


class ConfigError(CorralError):
    """A setting is wrong, or the machine can't give what a setting asks for. One line says what to do."""

    exit_code = EXIT_CONFIG


class AppLoadError(CorralError):
    """APP doesn't name an application: no such attribute, not callable, a malformed name. One line says what to do."""

    exit_code = EXIT_APP


class AppError(CorralError):
    """The application broke the WSGI or ASGI contract; the client gets a 500 or a closed connection."""
