"""Which reader a connection begins with, for settings as they are written."""

from typing import Any

import pytest

from corral.config.settings import Config
from corral.http.head import Limits
from corral.http.inbound import Inbound
from corral.http.lenient import Leniency, LenientInbound
from corral.http.proxy import AnnouncedInbound
from corral.http.uwsgi import UwsgiInbound
from corral.net.protocol import announced_of, inbound_of


def build(address: str, *, local: bool = False, **settings: Any) -> Inbound:
    config = Config(**settings)
    inbound = inbound_of(config, local)({}, Limits(), lambda _: None, False, {"REMOTE_ADDR": address})
    announced = announced_of(config, local)
    return inbound if announced is None else announced(inbound, lambda _: None)


@pytest.mark.parametrize(("settings", "leniency"), [
    pytest.param({"permit_obsolete_folding": True}, Leniency(folding=True), id="folding"),
    pytest.param({"strip_header_spaces": True}, Leniency(spaces=True), id="blanks"),
    pytest.param({"permit_unconventional_http_method": True}, Leniency(method=True), id="methods"),
    pytest.param({"permit_unconventional_http_version": True}, Leniency(version=True), id="versions"),
    pytest.param({"casefold_http_method": True}, Leniency(casefold=True), id="capitals"),
])  # fmt: skip
def test_a_setting_permits_its_own(settings: dict[str, Any], leniency: Leniency) -> None:
    inbound = build("127.0.0.1", **settings)
    assert isinstance(inbound, LenientInbound)
    assert inbound.leniency == leniency


def test_nothing_asked_for_is_the_strict_reader() -> None:
    assert type(build("127.0.0.1")) is Inbound


@pytest.mark.parametrize(("address", "local", "allowed"), [
    pytest.param("127.0.0.1", False, True, id="this machine"),
    pytest.param("192.0.2.1", False, True, id="an address of a network"),
    pytest.param("198.51.100.1", False, False, id="another one"),
    pytest.param("", True, True, id="a unix socket"),
])  # fmt: skip
def test_who_is_allowed(address: str, local: bool, allowed: bool) -> None:
    allow = ("127.0.0.1", "192.0.2.0/24")
    spoken = build(address, local=local, protocol="uwsgi", uwsgi_allow_ips=allow)
    assert isinstance(spoken, UwsgiInbound)
    assert spoken.allowed is allowed
    announced = build(address, local=local, proxy_protocol="v2", proxy_allow_ips=allow)
    assert isinstance(announced, AnnouncedInbound)
    assert announced.header.allowed is allowed
    assert announced.header.mode == "v2"


def test_a_header_may_come_before_uwsgi() -> None:
    inbound = build("127.0.0.1", proxy_protocol="v1", protocol="uwsgi")
    assert isinstance(inbound, AnnouncedInbound)
    assert isinstance(inbound.inbound, UwsgiInbound)
