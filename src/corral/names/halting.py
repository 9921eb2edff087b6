"""gunicorn's exception that ends a server."""


class HaltServer(SystemExit):
    """Raised in a hook of the arbiter's. Its exit code is what Python makes of it."""

    def __init__(self, reason: str, exit_status: int = 1) -> None:
        super().__init__(exit_status)
        self.reason = reason
        self.exit_status = exit_status

    def __str__(self) -> str:
        return f"<HaltServer {self.reason!r} {self.exit_status}>"
