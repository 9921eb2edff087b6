"""Corral: a pre-fork application server for WSGI and ASGI applications."""

from typing import Any

__version__ = "0.1.0"
SOFTWARE = f"corral/{__version__}"


def __getattr__(name: str) -> Any:
    """What others build on: corral.Worker, corral.Logger, corral.BaseApplication. Loaded by whoever names one."""
    from importlib import import_module

    homes = {"Worker": "worker.base", "Logger": "report.logger", "BaseApplication": "application"}
    if name not in homes:
        raise AttributeError(f"module 'corral' has no attribute {name!r}")
    return getattr(import_module(f"corral.{homes[name]}"), name)
