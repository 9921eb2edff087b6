"""What is spoken on a connection: HTTP, what proxies add, TLS, ASGI."""

import dataclasses

from corral.config import values
from corral.config.row import setting, switch

LOCAL = values.Names(("127.0.0.1", "::1"))
SCHEMES = values.Fixed({"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"})
HTTP2 = "HTTP/2 comes in a later version"


def tls_version(value: object) -> str | int:
    return values.text(value) if isinstance(value, str) else values.count(value)


# A row is a paragraph:
# fmt: off
@dataclasses.dataclass(frozen=True, kw_only=True, init=False, eq=False, repr=False)
class Protocols:
    """HTTP, proxies, TLS and ASGI."""

    __slots__ = ()

    # -- HTTP --
    protocol: str = setting(
        "http", "--protocol", accept=values.choice("http", "uwsgi"), section="HTTP", metavar="NAME",
        help="What the listeners speak: http, or uwsgi with an nginx in front.",
    )
    uwsgi_allow_ips: tuple[str, ...] = setting(
        LOCAL, "--uwsgi-allow-from", accept=values.networks, section="HTTP", metavar="ADDRESSES",
        help="The peers that may speak uwsgi: addresses and networks with commas between, or *.",
    )
    permit_obsolete_folding: bool = switch(
        "--permit-obsolete-folding", section="HTTP", help="Accept header fields that go on in the next line.",
    )
    strip_header_spaces: bool = switch(
        "--strip-header-spaces", section="HTTP",
        help="Accept blanks between a header's name and its colon. Two servers may read such a request differently.",
    )
    permit_unconventional_http_method: bool = switch(
        "--permit-unconventional-http-method", section="HTTP",
        help="Accept methods that have lower case letters or #, or fewer than 3 or more than 20 characters.",
    )
    permit_unconventional_http_version: bool = switch(
        "--permit-unconventional-http-version", section="HTTP",
        help="Accept other versions of HTTP/1 than 1.0 and 1.1.",
    )
    casefold_http_method: bool = switch(
        "--casefold-http-method", section="HTTP", help="Turn methods to capitals, against the standard.",
    )
    http_parser: str = setting(
        "auto", "--http-parser", accept=values.choice("auto", "fast", "python"), section="HTTP", metavar="PARSER",
        help="gunicorn's choice between two parsers.", effect="there is one parser, Corral's own",
    )
    http_protocols: tuple[str, ...] = setting(
        values.Names(("h1",)), "--http-protocols", accept=values.names_of("h1", "h2"), section="HTTP", metavar="NAMES",
        help="The versions of HTTP: h1, h2, with a comma between.",
        effect="HTTP/2 comes in a later version; clients get HTTP/1.1",
    )
    http2_cleartext: str = setting(
        "off", "--http2-cleartext", accept=values.choice("off", "prior-knowledge", "upgrade", "both"), section="HTTP",
        metavar="MODE", help="HTTP/2 without TLS: off, prior-knowledge, upgrade, both.", effect=HTTP2,
    )
    http2_max_concurrent_streams: int = setting(
        100, "--http2-max-concurrent-streams", accept=values.count, section="HTTP", metavar="N",
        help="The most requests at a time of an HTTP/2 connection.", effect=HTTP2,
    )
    http2_initial_window_size: int = setting(
        65535, "--http2-initial-window-size", accept=values.count, section="HTTP", metavar="BYTES",
        help="The flow control window of an HTTP/2 stream.", effect=HTTP2,
    )
    http2_max_frame_size: int = setting(
        16384, "--http2-max-frame-size", accept=values.count, section="HTTP", metavar="BYTES",
        help="The largest HTTP/2 frame.", effect=HTTP2,
    )
    http2_max_header_list_size: int = setting(
        65536, "--http2-max-header-list-size", accept=values.count, section="HTTP", metavar="BYTES",
        help="The largest header of an HTTP/2 request.", effect=HTTP2,
    )

    # -- Proxies --
    forwarded_allow_ips: tuple[str, ...] = setting(
        LOCAL, "--forwarded-allow-ips", accept=values.networks, section="Proxies", metavar="ADDRESSES",
        env="FORWARDED_ALLOW_IPS",
        help="The proxies whose forwarding headers are believed: addresses and networks with commas between, or *.",
    )
    secure_scheme_headers: values.Fixed = setting(
        SCHEMES, accept=values.headers, section="Proxies",
        help="Headers of trusted proxies, and the value of each that means https.",
    )
    forwarder_headers: tuple[str, ...] = setting(
        values.Names(("SCRIPT_NAME", "PATH_INFO")), "--forwarder-headers", accept=values.capitals, section="Proxies",
        metavar="NAMES", help="Header names with underscores that trusted proxies may send; * is all of them.",
    )
    header_map: str = setting(
        "drop", "--header-map", accept=values.choice("drop", "refuse", "dangerous"), section="Proxies",
        metavar="POLICY",
        help="What happens to other header names with underscores: drop them, refuse the request, or (dangerous) pass "
        "them on.",
    )
    proxy_protocol: str = setting(
        "off", "--proxy-protocol", accept=values.proxy_mode, section="Proxies", metavar="MODE", bare="auto",

        help="Whether connections begin with a PROXY line that tells the client's address: off, v1, v2 or auto, "
        "either.",
    )
    proxy_allow_ips: tuple[str, ...] = setting(
        LOCAL, "--proxy-allow-from", accept=values.networks, section="Proxies", metavar="ADDRESSES",
        help="The peers whose PROXY line is believed: addresses and networks with commas between, or *.",
    )

    # -- TLS --
    certfile: str | None = setting(
        None, "--certfile", accept=values.optional_text, section="TLS", metavar="FILE",
        help="The server's certificate, and those between it and the root. With it the listeners speak TLS.",
    )
    keyfile: str | None = setting(
        None, "--keyfile", accept=values.optional_text, section="TLS", metavar="FILE",
        help="The certificate's key, unless it stands in certfile.",
    )
    ca_certs: str | None = setting(
        None, "--ca-certs", accept=values.optional_text, section="TLS", metavar="FILE",
        help="Authorities whose certificates clients may show.",
    )
    cert_reqs: int = setting(
        0, "--cert-reqs", accept=values.between(0, 2), section="TLS", metavar="N",
        help="Whether clients show a certificate: 0 no, 1 if they like, 2 they must.",
    )
    ciphers: str | None = setting(
        None, "--ciphers", accept=values.optional_text, section="TLS", metavar="CIPHERS",
        help="Ciphers of TLS up to 1.2, as OpenSSL writes them.",
    )
    ssl_version: str | int = setting(
        2, "--ssl-version", accept=tls_version, section="TLS", metavar="VERSION", help="A version of TLS.",
        effect="the best version that both sides have is chosen; the hook ssl_context can limit it",
    )
    suppress_ragged_eofs: bool = setting(
        True, "--suppress-ragged-eofs", accept=values.flag, section="TLS", constant=True,
        help="Whether a client may hang up without TLS's farewell.", effect="a client may always do so",
    )
    do_handshake_on_connect: bool = switch(
        "--do-handshake-on-connect", section="TLS", help="Whether accepting a connection waits for its handshake.",
        effect="a handshake never keeps other connections waiting",
    )

    # -- ASGI --
    asgi_loop: str = setting(
        "auto", "--asgi-loop", "--loop", accept=values.choice("auto", "asyncio", "uvloop"), section="ASGI",
        metavar="LOOP", help="The event loop: asyncio, uvloop, or auto, which is uvloop where that is installed.",
    )
    asgi_lifespan: str = setting(
        "auto", "--asgi-lifespan", accept=values.choice("auto", "on", "off"), section="ASGI", metavar="MODE",
        help="Whether the application is told of its start and end: on, off, or auto, if it has a lifespan.",
    )
    asgi_disconnect_grace_period: float = setting(
        3.0, "--asgi-disconnect-grace-period", accept=values.seconds, section="ASGI", metavar="SECONDS",
        help="How long a request goes on whose client has left; then it is cancelled. 0 is at once.",
    )
    websocket_max_message_size: int = setting(
        1 << 24, "--websocket-max-message-size", accept=values.count, section="ASGI", metavar="BYTES",
        help="The largest message of a WebSocket; a larger one closes it with 1009.",
    )
    root_path: str = setting(
        "", "--root-path", accept=values.some_text, section="ASGI", metavar="PATH",
        help="The path below which a proxy has put the application.",
    )
    interface: str = setting(
        "auto", "--interface", accept=values.choice("auto", "wsgi", "asgi"), section="ASGI", metavar="NAME",
        help="What the application is: wsgi, asgi, or auto, which looks at it.",
    )
    websocket_ping_interval: float = setting(
        20.0, "--websocket-ping-interval", accept=values.seconds, section="ASGI", metavar="SECONDS",
        help="How long a WebSocket may be silent before the client is asked whether it is still there. 0 turns it off.",
    )
    websocket_ping_timeout: float = setting(
        20.0, "--websocket-ping-timeout", accept=values.seconds, section="ASGI", metavar="SECONDS",
        help="How long the client may take to answer that; then the WebSocket is closed with 1011.",
    )
