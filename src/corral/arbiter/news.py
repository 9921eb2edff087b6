"""What others learn from the arbiter as it happens: an upgrade, systemd, whoever waits for a reload.

It names the moments. What each leads to is its hearer's.
"""

from collections.abc import Callable
from enum import Enum


class News(Enum):
    """Each is told with a sentence, which may be empty."""

    READY = "the first worker of a generation serves"
    COMPLETE = "all workers of a generation serve, and none of an older one"
    RELOADING = "a new generation is wanted"
    FAILED = "a new generation has been given up"
    UPGRADED = "the server that is to follow is ready"
    NOT_UPGRADED = "there will be none"
    SCALED = "another number of workers is wanted"
    LEAVING = "the server has been told to stop and still accepts, for shutdown_delay"
    STOPPING = "the server stops"


Hearer = Callable[[News, str], None]
