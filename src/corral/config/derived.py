"""What follows from a configuration, under gunicorn's names, for hooks, workers and loggers that are made for it.

It knows how gunicorn's `cfg` looks; the server itself seldom needs it.
"""

import dataclasses
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from corral.config.address import parse_address

TLS_OPTIONS = (
    "certfile", "keyfile", "ca_certs", "cert_reqs", "ciphers", "suppress_ragged_eofs", "do_handshake_on_connect",
)  # fmt: skip
TLS_SERVER = 17  # ssl.PROTOCOL_TLS_SERVER: the best version of both sides


class Setting:
    """A row together with its value in `holder`: gunicorn's `cfg.settings[name]`."""

    __slots__ = ("holder", "row")

    def __init__(self, holder: Any, row: dataclasses.Field[Any]) -> None:
        self.holder = holder
        self.row = row

    def get(self) -> Any:
        return getattr(self.holder, self.row.name)

    def set(self, value: object) -> None:
        self.holder.set(self.row.name, value)

    @property
    def value(self) -> Any:
        return self.get()

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def default(self) -> Any:
        return self.row.default

    @property
    def section(self) -> str:
        return str(self.row.metadata["section"])

    @property
    def cli(self) -> tuple[str, ...]:
        return tuple(self.row.metadata["flags"])

    def __lt__(self, other: "Setting") -> bool:
        return (self.section, self.name) < (other.section, other.name)

    def __repr__(self) -> str:
        return f"<Setting {self.name} = {self.value!r}>"


class Derived:
    """Mixed into Config; it has no data of its own."""

    __slots__ = ()

    if TYPE_CHECKING:  # the rows it reads
        __dataclass_fields__: dict[str, dataclasses.Field[Any]]
        bind: tuple[str, ...]
        user: str | int | None
        group: str | int | None
        raw_env: tuple[str, ...]
        raw_paste_global_conf: tuple[str, ...]
        forwarded_allow_ips: tuple[str, ...]
        proxy_allow_ips: tuple[str, ...]
        certfile: str | None
        keyfile: str | None
        worker_class: str | type[Any]
        threads: int

    @property
    def settings(self) -> dict[str, Setting]:
        return {name: Setting(self, row) for name, row in self.__dataclass_fields__.items()}

    @property
    def address(self) -> list[tuple[str, int] | str | int]:
        """The places of `bind`: (host, port), the path of a unix socket, or a descriptor."""
        return [parse_address(text).place for text in self.bind]

    @property
    def uid(self) -> int:
        if self.user is None:
            return os.geteuid()
        if isinstance(self.user, int):
            return self.user
        import pwd

        return pwd.getpwnam(self.user).pw_uid

    @property
    def gid(self) -> int:
        if self.group is None:
            return os.getegid()
        if isinstance(self.group, int):
            return self.group
        import grp

        return grp.getgrnam(self.group).gr_gid

    @property
    def env(self) -> dict[str, str]:
        return split_pairs(self.raw_env)

    @property
    def paste_global_conf(self) -> dict[str, str]:
        return split_pairs(self.raw_paste_global_conf)

    def forwarded_allow_networks(self) -> list[Any]:
        return networks_of(self.forwarded_allow_ips)

    def proxy_allow_networks(self) -> list[Any]:
        return networks_of(self.proxy_allow_ips)

    @property
    def is_ssl(self) -> bool:
        return bool(self.certfile or self.keyfile)

    @property
    def ssl_options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in TLS_OPTIONS} | {"ssl_version": TLS_SERVER}

    @property
    def worker_class_str(self) -> str:
        if isinstance(self.worker_class, type):
            return self.worker_class.__name__
        return "gthread" if self.worker_class == "sync" and self.threads > 1 else self.worker_class


def split_pairs(pairs: Iterable[str]) -> dict[str, str]:
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def networks_of(names: Iterable[str]) -> list[Any]:
    """As objects of `ipaddress`; "*", which is no network, is left to who asks."""
    from ipaddress import ip_network  # lazily: 1 MiB, and the server itself doesn't ask

    return [ip_network(name) for name in names if name != "*"]
