"""What a server serves, as it sees it: gunicorn's application object (see corral.application)."""

from typing import Any, Protocol

from corral.config.load import Loaded
from corral.config.settings import Config


class Site(Protocol):
    """One for the server, and from it one for each generation."""

    cfg: Any

    def read(self) -> Loaded:
        """The configuration anew, from all its sources. Raises ConfigError."""

    def present(self) -> Loaded:
        """The configuration as it has been read, and changed since."""

    def edition(self, config: Config) -> "Site":
        """The same site for one generation, whose application isn't loaded yet."""

    def wsgi(self) -> Any:
        """The application, loaded once. Raises AppLoadError, or whatever the user's code raises."""
