"""A logger that counts: each request, and each message that says so, is also a metric for statsd.

It knows gunicorn's names and statsd's lines; how a datagram leaves is remote's affair.
"""

from collections.abc import Mapping
from typing import Any

from corral.errors import ConfigError
from corral.report.logger import Logger, LogSettings
from corral.report.remote import Address, Remote, split_port

PORT = 8125


class Statsd(Logger):
    """`extra={"metric": name, "value": number, "mtype": "gauge"}` makes a metric of any message, even of an empty one
    or one below the level."""

    prefix = ""
    dogstatsd_tags = ""
    remote: Remote | None = None

    def __init__(self, cfg: LogSettings) -> None:
        super().__init__(cfg)
        prefix = cfg.statsd_prefix.rstrip(".")
        self.prefix = f"{prefix}." if prefix else ""
        self.dogstatsd_tags = cfg.dogstatsd_tags
        if cfg.statsd_host:
            address = address_of(cfg.statsd_host)
            self.remote = Remote(
                address, lambda why: Logger.warning(self, "statsd %s can't be reached: %s", address.text, why)
            )
            self.remote.start()

    # -- messages

    def critical(self, msg: object, *args: object, **kwargs: Any) -> None:
        super().critical(msg, *args, **kwargs)
        self.increment("gunicorn.log.critical", 1)

    def error(self, msg: object, *args: object, **kwargs: Any) -> None:
        super().error(msg, *args, **kwargs)
        self.increment("gunicorn.log.error", 1)

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        super().warning(msg, *args, **kwargs)
        self.increment("gunicorn.log.warning", 1)

    def exception(self, msg: object, *args: object, **kwargs: Any) -> None:
        super().exception(msg, *args, **kwargs)
        self.increment("gunicorn.log.exception", 1)

    def info(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log("info", msg, *args, **kwargs)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        self.log("debug", msg, *args, **kwargs)

    def log(self, lvl: int | str, msg: object, *args: object, **kwargs: Any) -> None:
        extra = kwargs.get("extra")
        if isinstance(extra, Mapping):
            self.measure(extra.get("metric"), extra.get("value"), extra.get("mtype"))
        if msg:
            super().log(lvl, msg, *args, **kwargs)

    def measure(self, name: str | None, value: float | None, kind: str | None) -> None:
        if not name or value is None:
            return
        if kind == "gauge":
            self.gauge(name, value)
        elif kind == "counter":
            self.increment(name, value)
        elif kind == "histogram":
            self.histogram(name, value)
        elif kind == "timer":
            self.timer(name, value)

    # -- requests

    def count_request(self, status: str, seconds: float) -> None:
        self.timer("gunicorn.request.duration", round(seconds * 1000, 3))
        self.increment("gunicorn.requests", 1)
        if status[:3].isdecimal():
            self.increment(f"gunicorn.request.status.{status[:3]}", 1)

    # -- metrics

    def gauge(self, name: str, value: float) -> None:
        self.send(f"{self.prefix}{name}:{value}|g")

    def increment(self, name: str, value: float, sampling_rate: float = 1.0) -> None:
        self.send(f"{self.prefix}{name}:{value}|c|@{sampling_rate}")

    def decrement(self, name: str, value: float, sampling_rate: float = 1.0) -> None:
        self.send(f"{self.prefix}{name}:-{value}|c|@{sampling_rate}")

    def timer(self, name: str, value: float) -> None:
        self.send(f"{self.prefix}{name}:{value}|ms")

    def histogram(self, name: str, value: float) -> None:
        self.send(f"{self.prefix}{name}:{value}|h")

    def send(self, metric: str) -> None:
        """One datagram."""
        if self.remote is not None:
            tags = f"|#{self.dogstatsd_tags}" if self.dogstatsd_tags else ""
            self.remote.send(f"{metric}{tags}".encode("ascii", "backslashreplace"))

    def close(self) -> None:
        super().close()
        if self.remote is not None:
            self.remote.close()


def address_of(value: object) -> Address:
    """statsd_host as it is written, or as gunicorn's configuration has it: a path, or a pair."""
    text = "{}:{}".format(*value) if isinstance(value, tuple) else str(value)
    path = text.removeprefix("unix://")
    if path.startswith("/") or path != text:
        return Address(text, path=path)
    place = split_port(text.removeprefix("udp://"), PORT)
    if place is None:
        raise ConfigError(f"statsd_host {text!r} is malformed; write HOST:PORT or unix://PATH")
    return Address(text, *place)
