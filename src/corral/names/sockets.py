"""gunicorn.sock: sockets made of a configuration, by whoever starts a server by hand."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from corral.config.address import Address
from corral.net.listener import Listener, open_all, open_listeners

if TYPE_CHECKING:
    import ssl


def create_sockets(conf: Any, log: Any, fds: Iterable[int] | None = None) -> list[Listener]:
    if fds:
        return list(open_all([Address(f"fd://{fd}", descriptor=fd) for fd in fds], conf))
    return open_listeners(conf, os.environ)


def close_sockets(listeners: Iterable[Listener], unlink: bool = True) -> None:
    for listener in listeners:
        if unlink:
            listener.unlink()
        listener.close()


def ssl_context(conf: Any) -> "ssl.SSLContext":
    from corral.net.tls import make_context  # lazily: only who has certificates pays for ssl

    return make_context(conf)


def ssl_wrap_socket(sock: Any, conf: Any) -> "ssl.SSLSocket":
    return ssl_context(conf).wrap_socket(
        sock,
        server_side=True,
        suppress_ragged_eofs=conf.suppress_ragged_eofs,
        do_handshake_on_connect=conf.do_handshake_on_connect,
    )
