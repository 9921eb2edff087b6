"""Who serves, as a connection sees it, and what the connections of one listener share."""

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from corral.errors import PeerError
from corral.gateway.exchange import Exchange
from corral.gateway.wsgi import App, Environ
from corral.http.head import Limits
from corral.http.inbound import Inbound
from corral.http.response import Heads
from corral.net.reactor import NEVER, Reactor

if TYPE_CHECKING:
    from corral.net.tls import TlsStream

Seal = Callable[[int], "TlsStream"]


class Timeouts(NamedTuple):
    """Nanoseconds, NEVER is no limit; `pace` is nanoseconds that a byte may take on the average, 0 is no limit."""

    header: int
    body: int
    write: int
    keepalive: int
    pace: int
    queue: int = NEVER


class Service(Protocol):
    """Who serves: a worker, as a connection sees it."""

    app: App
    heads: Heads
    reactor: Reactor
    limits: Limits
    timeouts: Timeouts
    keepalive: int
    request_memory: int
    streaming: bool  # the application takes bodies as they come
    sendfile: bool
    keeping: bool  # False: no connection goes on after its response: this worker is leaving, or keepalive is 0
    connections: int
    exchange: Any  # the last request's; None before the first

    def begin(self, line: bytes) -> int: ...

    def account(self, environ: Environ, exchange: Exchange, start: int) -> int: ...

    def end_call(self) -> None: ...

    def failed(self, environ: Environ, error: BaseException) -> None: ...

    def dropped(self, environ: Environ) -> None: ...

    def refused(self, environ: Environ, error: PeerError) -> None: ...


class Origin(NamedTuple):
    """What the connections of one listener share."""

    service: Service
    base: Environ
    trusts: Callable[[str], bool]  # whether the peer at this address may speak for its clients
    prepare_plain: Callable[[Environ], None]
    prepare_trusted: Callable[[Environ], None]
    local: bool  # a unix socket: its peers are on this machine, and are trusted
    family: int = socket.AF_INET
    name: str = ""  # the listener's, as `bind` has it
    seal: Seal | None = None  # the listener speaks TLS
    inbound: Callable[..., Inbound] = Inbound  # which protocol is spoken, and how strictly
    announced: Callable[[Inbound, Callable[[Inbound], None]], Inbound] | None = None  # by a PROXY header
    connection: Any = None  # the class of its connections, where that isn't Connection
