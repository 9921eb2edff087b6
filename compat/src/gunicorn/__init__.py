"""gunicorn's import paths, which are Corral's objects. Which ones is said in corral.names.table."""

import os
import sys

from corral.names import furnish


def refuse_a_second() -> None:
    """Both distributions own this directory: beside the real one, half of what is imported would be its."""
    for directory in sys.path:
        try:
            names = os.listdir(directory or ".")
        except OSError:
            continue
        for name in names:
            if name.startswith(("gunicorn-", "gunicorn.")) and name.endswith((".dist-info", ".egg-info")):
                raise ImportError(
                    "gunicorn and corral-gunicorn are both installed; to run Corral: pip uninstall gunicorn "
                    "corral-gunicorn && pip install corral-gunicorn; to run gunicorn: pip uninstall corral-gunicorn, "
                    "and reinstall gunicorn"
                )


refuse_a_second()
furnish(sys.modules[__name__])
