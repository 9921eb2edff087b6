"""Every form of `bind`, and a helpful line for each that is none."""

import pytest

from corral.config.address import Address, parse_address
from corral.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        pytest.param("127.0.0.1:80", Address("127.0.0.1:80", host="127.0.0.1", port=80), id="address and port"),
        pytest.param("localhost", Address("localhost", host="localhost", port=8000), id="a name alone: port 8000"),
        pytest.param(":80", Address(":80", host="0.0.0.0", port=80), id="a port alone: every address"),
        pytest.param("", Address("", host="0.0.0.0", port=8000), id="nothing: every address, port 8000"),
        pytest.param("[::1]:80", Address("[::1]:80", host="::1", port=80), id="IPv6 and port"),
        pytest.param("[::]", Address("[::]", host="::", port=8000), id="IPv6 alone"),
        pytest.param("tcp://h:1", Address("tcp://h:1", host="h", port=1), id="tcp://"),
        pytest.param("tcp://[::1]:1", Address("tcp://[::1]:1", host="::1", port=1), id="tcp:// and IPv6"),
        pytest.param("unix:/a/b", Address("unix:/a/b", path="/a/b"), id="unix:"),
        pytest.param("unix:///a/b", Address("unix:///a/b", path="/a/b"), id="unix://"),
        pytest.param("unix:a.sock", Address("unix:a.sock", path="a.sock"), id="a relative path"),
        pytest.param("fd://7", Address("fd://7", descriptor=7), id="fd://"),
    ],
)
def test_forms_of_bind(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("8000", "write 127.0.0.1:8000, or :8000", id="a number alone is ambiguous"),
        pytest.param("::1", r"stands in brackets", id="IPv6 without brackets"),
        pytest.param("[::1", r"write \[ADDRESS\]:PORT", id="half a pair of brackets"),
        pytest.param("[::1]80", r"write \[ADDRESS\]:PORT", id="no colon before the port"),
        pytest.param("localhost:http", "'http' is not a port", id="a port is a number"),
        pytest.param("localhost:65536", "'65536' is not a port", id="a port has 16 bits"),
        pytest.param("localhost:²", "'²' is not a port", id="of ASCII digits"),
        pytest.param("unix:", "no path", id="unix without a path"),
        pytest.param("fd://x", "'x' is not a file descriptor", id="a descriptor is a number"),
    ],
)
def test_wrong_forms_of_bind_say_what_is_right(text: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=hint):
        parse_address(text)
