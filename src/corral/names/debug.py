"""gunicorn.debug: tracing, whose filter and values are the server's own choice here."""

import sys

from corral.worker.spew import install


def spew(trace_names: object = None, show_values: bool = False) -> None:
    install(sys.stderr.write)


def unspew() -> None:
    sys.settrace(None)
