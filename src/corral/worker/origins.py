"""What the connections of one listener share: whom they trust, what their environ begins with, what they speak.

It reads the configuration so that a connection needn't.
"""

import os

from corral import SOFTWARE
from corral.config.settings import Config
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
from corral.net.listener import Listener
from corral.net.protocol import announced_of, inbound_of
from corral.net.service import Origin, Seal
from corral.net.trust import truster
from corral.worker.serving import Serving

NAMELESS = ("localhost", "80")  # what a unix socket is called by a request without Host


def trust_of(config: Config) -> Trust:
    return Trust(
        cgi_keys(config.secure_scheme_headers), tuple(config.forwarder_headers), config.header_map,
        os.environ.get("SCRIPT_NAME", ""),
    )  # fmt: skip


def origin(serving: Serving, listener: Listener, seal: Seal | None) -> Origin:
    config = serving.config
    trust = trust_of(config)
    local = not listener.name[0]
    base = base_environ(
        server=NAMELESS if local else listener.name,
        software=SOFTWARE,
        multithread=config.threads > 1,
        multiprocess=config.workers > 1,
        script_name=trust.script_name,
        errors=Errors(),
    )
    if seal is not None:
        base["wsgi.url_scheme"] = "https"
    NAMES.notable.update(key for key, _ in trust.secure_scheme_headers)
    if local:
        NAMES.notable.add("HTTP_HOST")

    def prepare_proxied(fields: Environ) -> None:
        prepare_trusted(fields, trust)
        if local:
            name_server(fields)

    return Origin(
        serving,
        base,
        truster(config.forwarded_allow_ips),
        lambda fields: prepare_plain(fields, trust),
        prepare_proxied,
        local=local,
        family=listener.family,
        name=listener.address.text,
        inbound=inbound_of(config, local),
        announced=announced_of(config, local),
        seal=seal,
    )
