"""What a listener's clients speak, as settings say it: HTTP or uwsgi, how strictly, and whether behind a PROXY header.

It knows with which reader a connection begins; it must not know what that reads. What nobody has asked for isn't
imported: 0.2 MiB of a worker.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from corral.config.settings import Config
from corral.http.inbound import Inbound
from corral.net.trust import truster

Enter = Callable[[Inbound], None]


def inbound_of(config: Config, local: bool) -> Callable[..., Inbound]:
    """The reader of requests. `local`: the listener is a unix socket, whose peers are believed."""
    if config.protocol == "uwsgi":
        from corral.http.uwsgi import UwsgiInbound  # lazily: see above

        return partial(UwsgiInbound, allows=allowing(config.uwsgi_allow_ips, local))
    permitted = (
        config.permit_obsolete_folding,
        config.strip_header_spaces,
        config.permit_unconventional_http_method,
        config.permit_unconventional_http_version,
        config.casefold_http_method,
    )
    if any(permitted):
        from corral.http.lenient import Leniency, LenientInbound  # lazily: see above

        return partial(LenientInbound, leniency=Leniency(*permitted))
    return Inbound


def announced_of(config: Config, local: bool) -> Callable[[Inbound, Enter], Inbound] | None:
    """What reads the PROXY header before that; None if there is none."""
    if config.proxy_protocol == "off":
        return None
    from corral.http.proxy import AnnouncedInbound, Mode  # lazily: see above

    return partial(
        AnnouncedInbound, mode=cast(Mode, config.proxy_protocol), allows=allowing(config.proxy_allow_ips, local)
    )


def allowing(addresses: Any, local: bool) -> Callable[[str], bool]:
    return truster(("*",) if local else addresses)
