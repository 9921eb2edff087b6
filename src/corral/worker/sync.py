"""One thread, one loop: the application runs between two polls. A slow or silent client costs only its descriptor.

It knows how listeners, connections and the worker meet; it must not know HTTP.
"""

import os
from collections.abc import Callable

from corral import SOFTWARE
from corral.gateway.wsgi import (
    Environ,
    Errors,
    Trust,
    base_environ,
    cgi_keys,
    name_server,
    prepare_plain,
    prepare_trusted,
)
from corral.http.inbound import NAMES
from corral.net.acceptor import Acceptor
from corral.net.connection import Connection, Flushing, Lingering
from corral.net.handshake import Handshaking
from corral.net.listener import Listener
from corral.net.protocol import announced_of, inbound_of
from corral.net.reactor import SECOND, monotonic
from corral.net.service import Origin
from corral.net.trust import truster
from corral.worker.worker import Worker

BURST = 8  # connections accepted a wake-up, where no sibling could take them
NAMELESS = ("localhost", "80")  # what a unix socket is called by a request without Host
FIRST_REQUEST = SECOND  # how long a leaving worker waits for the first request of a connection it has accepted


def serve(worker: Worker) -> None:
    acceptors = [
        Acceptor(listener, origin(worker, listener), 1 if worker.config.workers > 1 else BURST, complainer(worker))
        for listener in worker.listeners
    ]
    for acceptor in acceptors:
        acceptor.open()
    while worker.accepting:
        worker.reactor.turn()
        worker.settle()
    drain(worker, acceptors)


def drain(worker: Worker, acceptors: list[Acceptor]) -> None:
    """Take what waits in the accept queue, finish what has begun, then let go of the silent ones."""
    for acceptor in acceptors:
        acceptor.drain()
        acceptor.close()
        acceptor.listener.close()
    reactor = worker.reactor
    now = monotonic()
    for handler in list(reactor.handlers.values()):
        if isinstance(handler, Connection):
            retire(handler, now)
        elif isinstance(handler, Handshaking):
            handler.hurry(now + FIRST_REQUEST)
    while worker.connections and monotonic() < worker.stop_at:
        reactor.wake_at = min(reactor.wake_at, worker.stop_at)
        reactor.turn()
        worker.settle()
    for left in list(reactor.handlers.values()):
        if isinstance(left, Connection):
            left.close()
        elif isinstance(left, Flushing | Lingering | Handshaking):
            left.connection.close()
    worker.settle()


def retire(connection: Connection, now: int) -> None:
    """An idle connection may have a request on its way: look once more before closing it."""
    if connection.reading is None:
        connection.ready(0)
        if connection.fd >= 0 and connection.reading is None:
            connection.close()
    elif connection.inbound.idle:
        connection.due = min(connection.due, now + FIRST_REQUEST)


def origin(worker: Worker, listener: Listener) -> Origin:
    config = worker.config
    trust = Trust(
        cgi_keys(config.secure_scheme_headers), tuple(config.forwarder_headers), config.header_map,
        os.environ.get("SCRIPT_NAME", ""),
    )  # fmt: skip
    local = not listener.name[0]
    base = base_environ(
        server=NAMELESS if local else listener.name,
        software=SOFTWARE,
        multithread=False,
        multiprocess=config.workers > 1,
        script_name=trust.script_name,
        errors=Errors(),
    )
    if worker.seal is not None:
        base["wsgi.url_scheme"] = "https"
    NAMES.notable.update(key for key, _ in trust.secure_scheme_headers)
    if local:
        NAMES.notable.add("HTTP_HOST")

    def prepare_proxied(fields: Environ) -> None:
        prepare_trusted(fields, trust)
        if local:
            name_server(fields)

    return Origin(
        worker,
        base,
        truster(config.forwarded_allow_ips),
        lambda fields: prepare_plain(fields, trust),
        prepare_proxied,
        local=local,
        family=listener.family,
        inbound=inbound_of(config, local),
        announced=announced_of(config, local),
        seal=worker.seal,
    )


def complainer(worker: Worker) -> Callable[[OSError], None]:
    def complain(error: OSError) -> None:
        worker.log.error("Can't accept a connection: %s; trying again in a moment", error.strerror)

    return complain
