"""How worker and logger classes are written: a short name, a dotted one, egg:..., the class itself. It loads none."""

from typing import Any

from corral.config.values import BadValue, text

LOGGER = "corral.report.logger.Logger"
LOGGERS = frozenset((LOGGER, "gunicorn.glogging.Logger", "egg:gunicorn#simple", "simple"))
WORKERS = {
    "sync": "sync.SyncWorker",
    "gthread": "gthread.ThreadWorker",
    "gevent": "ggevent.GeventWorker",
    "gevent_wsgi": "ggevent.GeventPyWSGIWorker",
    "gevent_pywsgi": "ggevent.GeventPyWSGIWorker",
    "tornado": "gtornado.TornadoWorker",
    "asgi": "gasgi.ASGIWorker",
    "eventlet": "geventlet.EventletWorker",
}
SHORT = {spelling: short for short, path in WORKERS.items() for spelling in (
    f"gunicorn.workers.{path}", f"egg:gunicorn#{short}", short,
)}  # fmt: skip
SHORT["threads"] = "gthread"
NOT_YET = frozenset(WORKERS) - {"sync", "gthread", "asgi"}
LATER = "not supported yet; this version has sync, gthread and asgi"
# Classes of packages that run uvicorn's code under gunicorn. Where those aren't installed, asgi is meant.
UVICORN = frozenset(
    f"{module}.{name}"
    for module in ("uvicorn.workers", "uvicorn_worker")
    for name in ("UvicornWorker", "UvicornH11Worker")
)


def worker_class(value: object) -> str | type[Any]:
    """Any class; gunicorn's own by their short names, and those not there yet refused: another one in their place would
    serve, but not what they serve."""
    name = SHORT.get(name_of(value), "")
    if name in NOT_YET:
        raise BadValue(LATER)
    return name or as_written(value)


def logger_class(value: object) -> str | type[Any]:
    return LOGGER if value is None or name_of(value) in LOGGERS else as_written(value)


def name_of(value: object) -> str:
    return f"{value.__module__}.{value.__qualname__}" if isinstance(value, type) else text(value)


def as_written(value: object) -> str | type[Any]:
    return value if isinstance(value, type) else text(value)
