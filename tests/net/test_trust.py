"""Which peers are believed, by the text of forwarded_allow_ips."""

import pytest

from corral.errors import ConfigError
from corral.net.trust import MOST_REMEMBERED, truster


@pytest.mark.parametrize(("allowed", "trusted", "strange"), [
    pytest.param(["127.0.0.1", "::1"], ["127.0.0.1", "::1"], ["127.0.0.2", "10.0.0.1", "", "unix"], id="the default"),
    pytest.param(["*"], ["127.0.0.1", "2001:db8::1", ""], [], id="everybody"),
    pytest.param(["10.1.2.3", "*"], ["192.0.2.1"], [], id="everybody among others"),
    pytest.param([], [], ["127.0.0.1", "::1", ""], id="nobody"),
    pytest.param(["10.0.0.0/8"], ["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
                 ["11.0.0.0", "9.255.255.255", "::1"], id="a network"),
    pytest.param(["10.0.0.0/8", "192.0.2.1"], ["10.1.1.1", "192.0.2.1"], ["192.0.2.2"], id="a network and an address"),
    pytest.param(["2001:db8::/32"], ["2001:db8::1", "2001:DB8:0::1"], ["2001:db9::1", "10.0.0.1", ""],
                 id="an IPv6 network"),
    pytest.param(["2001:db8:0::1"], ["2001:db8::1"], ["2001:db8::2"], id="an IPv6 address spelt at length"),
    pytest.param(["0.0.0.0/0"], ["192.0.2.1"], ["::1"], id="every IPv4 address"),
    pytest.param(["192.0.2.0/32"], ["192.0.2.0"], ["192.0.2.1"], id="a network of one"),
])  # fmt: skip
def test_who_is_trusted(allowed, trusted, strange):
    trusts = truster(allowed)
    for _ in range(2):  # asked anew, and remembered
        assert [address for address in trusted if not trusts(address)] == []
        assert [address for address in strange if trusts(address)] == []


@pytest.mark.parametrize("wrong", ["10.0.0.0/33", "10.0.0.1/8", "ten/8", "fe80::zz/10"])
def test_a_network_that_is_none_is_the_configurations_fault(wrong):
    with pytest.raises(ConfigError, match="forwarded_allow_ips"):
        truster(["127.0.0.1", wrong])


def test_strangers_cannot_fill_the_memory():
    trusts = truster(["10.0.0.0/8"])
    for number in range(3 * MOST_REMEMBERED):
        assert trusts(f"192.0.{number >> 8}.{number & 255}") is False
    assert trusts("10.0.0.1")
    known = next(cell.cell_contents for cell in trusts.__closure__ if isinstance(cell.cell_contents, dict))
    assert len(known) <= MOST_REMEMBERED
