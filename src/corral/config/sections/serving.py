"""Where the server listens, how many workers serve, and for how long and how much a client may ask."""

import dataclasses
from typing import Any

from corral.config import values
from corral.config.classes import worker_class
from corral.config.row import setting, switch


# A row is a paragraph:
# fmt: off
@dataclasses.dataclass(frozen=True, kw_only=True, init=False, eq=False, repr=False)
class Serving:
    """Listeners, workers, time and limits."""

    __slots__ = ()

    # -- Listeners --
    bind: tuple[str, ...] = setting(
        values.Names(("127.0.0.1:8000",)), "-b", "--bind", accept=values.addresses, section="Listeners",
        metavar="ADDRESS", append=True,
        help="HOST, HOST:PORT, [IPV6]:PORT, unix:PATH or fd://N. May be given several times. With the variable PORT "
        "set, the default is 0.0.0.0:PORT.",
    )
    backlog: int = setting(
        2048, "--backlog", accept=values.count, section="Listeners", metavar="N",
        help="How many connections may wait to be accepted.",
    )
    defer_accept: int = setting(
        1, "--defer-accept", accept=values.count, section="Listeners", metavar="SECONDS",
        help="A TCP connection is accepted when its first bytes have come, or after so many seconds without any "
        "(TCP_DEFER_ACCEPT, on Linux). 0: as soon as it is open.",
    )
    reuse_port: bool = switch(
        "--reuse-port", section="Listeners", help="Give each worker a listener of its own (SO_REUSEPORT).",
    )

    # -- Workers --
    workers: int = setting(
        1, "-w", "--workers", accept=values.at_least(1), section="Workers", metavar="N", env="WEB_CONCURRENCY",
        help="How many worker processes serve.",
    )
    worker_class: str | type[Any] = setting(
        "sync", "-k", "--worker-class", accept=worker_class, section="Workers", metavar="CLASS",
        help="How a worker serves: sync, with any number of waiting connections and one request at a time, or as many "
        "as there are `threads` (gthread and threads mean the same); asgi, which an ASGI application gets by itself; "
        "or a class of your own, package.module.Class or egg:DISTRIBUTION#NAME.",
    )
    threads: int = setting(
        1, "--threads", accept=values.count, section="Workers", metavar="N",
        help="How many requests a worker answers at a time. A fast application never pays for a switch of threads: one "
        "of them polls and runs it, and lets another lead before a call that is likely to be slow.",
    )
    worker_connections: int = setting(
        1000, "--worker-connections", accept=values.count, section="Workers", metavar="N",
        help="The most connections of a worker.",
        effect="it comes in a later version; until then the limit of open files is the limit",
    )
    max_requests: int = setting(
        0, "--max-requests", accept=values.count, section="Workers", metavar="N",
        help="A worker is replaced after so many requests.",
    )
    max_requests_jitter: int = setting(
        0, "--max-requests-jitter", accept=values.count, section="Workers", metavar="N",
        help="Up to so many requests more, at random, lest all workers leave at once.",
    )
    max_worker_memory: int = setting(
        0, "--max-worker-memory", accept=values.size, section="Workers", metavar="BYTES",
        help="A worker is replaced when it has so much memory for itself: bytes, or as 512M or 2G. It is looked at "
        "every few seconds while there are requests.",
    )
    max_worker_lifetime: float = setting(
        0.0, "--max-worker-lifetime", accept=values.seconds, section="Workers", metavar="SECONDS",
        help="A worker is replaced after so long, and up to a tenth more, lest all workers leave at once.",
    )
    reload_step: int = setting(
        0, "--reload-step", accept=values.count, section="Workers", metavar="N",
        help="How many workers are replaced at a time: each has an heir that is ready before it is told to leave. 0 is "
        "a quarter of them in a reload, and one where a worker has served for long enough.",
    )
    warmup: tuple[str, ...] = setting(
        values.Names(), "--warmup", accept=values.paths, section="Workers", metavar="PATH", append=True,
        help="A worker is ready only after the application has answered these paths below 500, as GET requests that it "
        "is asked inside the worker, and with preload_app also before the fork, so that what it makes then is shared. "
        "May be given several times.",
    )
    sendfile: bool = setting(
        True, "--no-sendfile", accept=values.flag, section="Workers", constant=False, env="SENDFILE",
        help="Whether wsgi.file_wrapper is sent by the kernel.",
    )

    # -- Time --
    timeout: float = setting(
        30.0, "-t", "--timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a request may keep its worker busy; then the worker is killed and replaced, and the log names "
        "the request, its line of code and whether it waits. At half the time the log has the first word of it.",
    )
    graceful_timeout: float = setting(
        30.0, "--graceful-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a worker that has been told to leave may take to finish its requests.",
    )
    shutdown_delay: float = setting(
        0.0, "--shutdown-delay", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long the server goes on accepting after TERM, while it already says that it isn't ready: a load "
        "balancer has this long to notice.",
    )
    boot_timeout: float = setting(
        300.0, "--boot-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a worker may take to load the application.",
    )
    keepalive: float = setting(
        2.0, "--keep-alive", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a connection may be silent between requests. Behind a proxy this should be longer than the "
        "proxy's own limit. 0 turns keep-alive off: each connection ends with its first response.",
    )
    header_timeout: float = setting(
        20.0, "--header-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long the head of a request may take, from its first byte, or for the first request of a connection "
        "from the moment the connection was accepted; 408 past it.",
    )
    body_timeout: float = setting(
        30.0, "--body-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long the body of a request may make no progress; 408 past it.",
    )
    write_timeout: float = setting(
        60.0, "--write-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a client may take nothing of its response.",
    )
    queue_timeout: float = setting(
        0.0, "--queue-timeout", accept=values.seconds, section="Time", metavar="SECONDS",
        help="How long a request may wait for a worker; 503 past it, and the application never sees it.",
    )
    min_rate: int = setting(
        500, "--min-rate", accept=values.count, section="Time", metavar="BYTES",
        help="Bytes a second that a client must send or take on the average, past body_timeout or write_timeout.",
    )

    # -- Limits --
    limit_request_line: int = setting(
        4094, "--limit-request-line", accept=values.count, section="Limits", metavar="BYTES",
        help="The longest request line; 414 past it.",
    )
    limit_request_fields: int = setting(
        100, "--limit-request-fields", accept=values.count, section="Limits", metavar="N",
        help="The most header fields of a request; 431 past it.",
    )
    limit_request_field_size: int = setting(
        8190, "--limit-request-field_size", "--limit-request-field-size", accept=values.count, section="Limits",
        metavar="BYTES", help="The longest header field of a request; 431 past it.",
    )
    limit_request_body: int = setting(
        0, "--limit-request-body", accept=values.count, section="Limits", metavar="BYTES",
        help="The largest body of a request; 413 past it.",
    )
    request_buffering: bool = setting(
        True, "--no-request-buffering", accept=values.flag, section="Limits", constant=False,
        help="Whether a request's body is received whole before the application is called. Without, wsgi.input reads "
        "from the client, who then sets the pace.",
    )
    request_memory: int = setting(
        1 << 20, "--request-memory", accept=values.count, section="Limits", metavar="BYTES",
        help="How much of a body is kept in memory; a larger one goes to a temporary file.",
    )
