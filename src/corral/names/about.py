"""What gunicorn says of itself, as far as others ask."""

from corral import SOFTWARE
from corral.config.classes import WORKERS

# The version whose API this is: packages compare it to know what they may call. What is shown to people is our own.
__version__ = "27.0.1"
version_info = (27, 0, 1)
SERVER = "corral"
SERVER_SOFTWARE = SOFTWARE
SUPPORTED_WORKERS = {name: f"gunicorn.workers.{path}" for name, path in WORKERS.items() if name in ("sync", "gthread")}
