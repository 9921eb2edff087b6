"""Corral: a pre-fork application server for WSGI and ASGI applications."""

__version__ = "0.1.0"
SOFTWARE = f"corral/{__version__}"
