"""The PROXY protocol: what a header says, cut in every way, and which are refused."""

from typing import Any

import pytest
from cutting import ways
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import PeerError
from corral.http.head import Limits
from corral.http.inbound import Inbound
from corral.http.proxy import (
    LONGEST_V1,
    MOST_V2,
    NOTHING,
    AnnouncedInbound,
    Announcement,
    HeaderReader,
    Mode,
    ipv6_text,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
IPV4 = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + b"\xdb\x5b\x01\xbb"
IPV6 = bytes.fromhex("20010db800000000000000000000000120010db8000000010000000000000002") + b"\xdb\x5b\x01\xbb"
UNIX = b"/run/client".ljust(108, b"\0") + b"/run/proxy".ljust(108, b"\0")
TCP4 = Announcement("TCP4", "192.0.2.1", "56155", "198.51.100.2", "443")
TCP6 = Announcement("TCP6", "2001:db8::1", "56155", "2001:db8:0:1::2", "443")


def v1(line: bytes) -> bytes:
    return b"PROXY " + line + b"\r\n"


def v2(command: int, family: int, block: bytes, length: int | None = None) -> bytes:
    size = len(block) if length is None else length
    return SIGNATURE + bytes((command, family)) + size.to_bytes(2, "big") + block


def outcome(chunks: list[bytes], mode: Mode, allowed: bool = True) -> Any:
    """(announcement, rest), a status, or ... if more is awaited."""
    reader = HeaderReader(mode, allowed)
    announcement, rest = None, b""
    for chunk in chunks:
        if announcement is not None:
            rest += chunk
            continue
        try:
            announcement = reader.feed(chunk)
        except PeerError as error:
            return error.status
        assert len(reader.buffer) <= 16 + MOST_V2
        rest = reader.rest
    return ... if announcement is None else (announcement, rest)


GOOD = [
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 56155 443"), TCP4, id="version 1, IPv4"),
    pytest.param("v1", v1(b"TCP6 2001:db8::1 2001:db8:0:1::2 56155 443"), TCP6, id="version 1, IPv6"),
    pytest.param("v1", v1(b"UNKNOWN"), NOTHING, id="version 1, nothing known"),
    pytest.param("v1", v1(b"UNKNOWN ffff::1 ffff::2 1 2"), NOTHING, id="version 1, unknown with addresses"),
    pytest.param("v1", v1(b"UNKNOWN " + b"f" * 91), NOTHING, id="version 1, the longest line"),
    pytest.param(
        "v1", v1(b"TCP4 0.0.0.0 255.255.255.255 0 65535"),
        Announcement("TCP4", "0.0.0.0", "0", "255.255.255.255", "65535"), id="version 1, the ends of every range",
    ),
    pytest.param("v2", v2(0x21, 0x11, IPV4), TCP4, id="version 2, IPv4"),
    pytest.param("v2", v2(0x21, 0x21, IPV6), TCP6, id="version 2, IPv6"),
    pytest.param("v2", v2(0x21, 0x12, IPV4), TCP4._replace(protocol="UDP4"), id="version 2, a client of QUIC"),
    pytest.param("v2", v2(0x21, 0x22, IPV6), TCP6._replace(protocol="UDP6"), id="version 2, a client of QUIC by IPv6"),
    pytest.param(
        "v2", v2(0x21, 0x31, UNIX), Announcement("UNIX", "/run/client", "", "/run/proxy", ""), id="version 2, UNIX"
    ),
    pytest.param(
        "v2", v2(0x21, 0x31, b"\0client".ljust(108, b"\0") + bytes(108)), Announcement("UNIX", "@client", "", "", ""),
        id="version 2, UNIX, an abstract name and none",
    ),
    pytest.param(
        "v2", v2(0x21, 0x31, b"/" * 108 + b"a" * 108), Announcement("UNIX", "/" * 108, "", "a" * 108, ""),
        id="version 2, UNIX, paths that fill their places",
    ),
    pytest.param("v2", v2(0x20, 0x00, b""), Announcement(local=True), id="version 2, a health check"),
    pytest.param("v2", v2(0x20, 0x11, IPV4), Announcement(local=True), id="version 2, a health check with addresses"),
    pytest.param("v2", v2(0x20, 0xFF, b"?"), Announcement(local=True), id="version 2, a health check of any family"),
    pytest.param("v2", v2(0x21, 0x00, b""), NOTHING, id="version 2, unspecified"),
    pytest.param("v2", v2(0x21, 0x00, IPV4), NOTHING, id="version 2, unspecified with addresses"),
    pytest.param("v2", v2(0x21, 0x10, IPV4), NOTHING, id="version 2, an unspecified transport"),
    pytest.param("v2", v2(0x21, 0x01, IPV4), NOTHING, id="version 2, an unspecified family"),
    pytest.param("v2", v2(0x21, 0x11, IPV4 + b"\x04\x00\x03abc"), TCP4, id="version 2, a record behind the addresses"),
    pytest.param("v2", v2(0x21, 0x11, IPV4 + bytes(MOST_V2 - 12)), TCP4, id="version 2, as many records as may be"),
]  # fmt: skip

BAD = [
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 56155"), id="a port is missing"),
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 56155 443 1"), id="a word too much"),
    pytest.param("v1", v1(b"TCP4  192.0.2.1 198.51.100.2 56155 443"), id="two blanks"),
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 56155 443 "), id="a blank at the end"),
    pytest.param("v1", v1(b"TCP4\t192.0.2.1\t198.51.100.2\t56155\t443"), id="tabs"),
    pytest.param("v1", v1(b"tcp4 192.0.2.1 198.51.100.2 56155 443"), id="a protocol in lower case"),
    pytest.param("v1", v1(b"UDP4 192.0.2.1 198.51.100.2 56155 443"), id="a protocol that version 1 hasn't"),
    pytest.param("v1", v1(b"UNKNOWN4"), id="a word that begins with UNKNOWN"),
    pytest.param("v1", v1(b""), id="nothing"),
    pytest.param("v1", v1(b"TCP4 2001:db8::1 2001:db8::2 1 2"), id="IPv6 where IPv4 was said"),
    pytest.param("v1", v1(b"TCP6 192.0.2.1 198.51.100.2 1 2"), id="IPv4 where IPv6 was said"),
    pytest.param("v1", v1(b"TCP4 192.0.2.256 198.51.100.2 1 2"), id="a number beyond a byte"),
    pytest.param("v1", v1(b"TCP4 192.0.2 198.51.100.2 1 2"), id="three numbers"),
    pytest.param("v1", v1(b"TCP4 192.0.02.1 198.51.100.2 1 2"), id="a leading zero in an address"),
    pytest.param("v1", v1(b"TCP4 a.example 198.51.100.2 1 2"), id="a name"),
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 1 65536"), id="a port too high"),
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 01 2"), id="a leading zero in a port"),
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 -1 2"), id="a sign"),
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 \xb2 2"), id="a digit that is none in ASCII"),
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 1 2\n"), id="a line feed before the end"),
    pytest.param("v1", v1(b"UNKNOWN " + b"f" * 92), id="a line one byte too long"),
    pytest.param("v1", b"PROXY " + b"f" * 101, id="a line that doesn't end"),
    pytest.param("v1", GET, id="a plain connection where version 1 was told"),
    pytest.param("v1", v2(0x21, 0x11, IPV4), id="version 2 where version 1 was told"),
    pytest.param("v2", v1(b"UNKNOWN"), id="version 1 where version 2 was told"),
    pytest.param("v2", GET, id="a plain connection where version 2 was told"),
    pytest.param("v2", b"\r\n" + GET, id="a plain connection with an empty line where version 2 was told"),
    pytest.param("v2", v2(0x11, 0x11, IPV4), id="version 1 in the binary form"),
    pytest.param("v2", v2(0x31, 0x11, IPV4), id="version 3"),
    pytest.param("v2", v2(0x22, 0x11, IPV4), id="an unknown command"),
    pytest.param("v2", v2(0x21, 0x41, IPV4), id="an unknown family"),
    pytest.param("v2", v2(0x21, 0x13, IPV4), id="an unknown transport"),
    pytest.param("v2", v2(0x21, 0x11, IPV4[:11]), id="shorter than two IPv4 addresses"),
    pytest.param("v2", v2(0x21, 0x21, IPV4), id="shorter than two IPv6 addresses"),
    pytest.param("v2", v2(0x21, 0x31, UNIX[:-1]), id="shorter than two paths"),
    pytest.param("v2", v2(0x21, 0x11, b"", length=MOST_V2 + 1), id="longer than any header"),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "header", "expected"), GOOD)
def test_a_header_is_read_however_it_comes(mode: Mode, header: bytes, expected: Announcement) -> None:
    modes: tuple[Mode, ...] = (mode, "auto")
    for data in (header, header + GET, header + header):
        for chunks in ways(data):
            for told in modes:
                assert outcome(chunks, told) == (expected, data[len(header) :])


@pytest.mark.parametrize(("mode", "data"), BAD)
def test_a_bad_header_is_refused_however_it_comes(mode: Mode, data: bytes) -> None:
    for chunks in ways(data):
        assert outcome(chunks, mode) == 400


@pytest.mark.parametrize(("mode", "header", "expected"), GOOD)
def test_a_header_that_has_not_all_come_is_awaited(mode: Mode, header: bytes, expected: Announcement) -> None:
    for end in {1, 5, 6, 12, 13, 15, len(header) - 1}:
        if end < len(header):
            assert outcome([header[:end]], mode) is ...


@pytest.mark.parametrize("data", [
    pytest.param(GET, id="a request"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", id="a request that begins like a header"),
    pytest.param(b"PROXYING / HTTP/1.1\r\nHost: a\r\n\r\n", id="a method that begins like a header"),
    pytest.param(b"\r\n" + GET, id="an empty line before the request"),
    pytest.param(b"\r\n\r\n\0\r\nQUOTE", id="nearly a signature"),
    pytest.param(b"\x16\x03\x01", id="TLS"),
])  # fmt: skip
def test_auto_lets_pass_what_has_no_header(data: bytes) -> None:
    for allowed in (True, False):
        for chunks in ways(data):
            assert outcome(chunks, "auto", allowed) == (NOTHING, data)


@pytest.mark.parametrize(("mode", "data"), [
    pytest.param("v1", v1(b"TCP4 192.0.2.1 198.51.100.2 56155 443"), id="version 1"),
    pytest.param("v2", v2(0x21, 0x11, IPV4), id="version 2"),
    pytest.param("v2", v2(0x20, 0x00, b""), id="a health check"),
    pytest.param("auto", v1(b"TCP4 192.0.2.1 198.51.100.2 56155 443"), id="version 1, where both are heard"),
    pytest.param("auto", v2(0x21, 0x11, IPV4), id="version 2, where both are heard"),
    pytest.param("auto", v1(b"UNKNOWN"), id="a header that says nothing"),
    pytest.param("auto", b"PROXY nonsense\r\n", id="a malformed header"),
    pytest.param("v1", GET, id="none at all, where one must be"),
])  # fmt: skip
def test_a_peer_that_may_not_speak_for_others_is_refused(mode: Mode, data: bytes) -> None:
    for chunks in ways(data):
        assert outcome(chunks, mode, allowed=False) == 403


OWN = {"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "40000", "gunicorn.socket": object()}


@pytest.mark.parametrize(("announcement", "changes"), [
    pytest.param(
        TCP4, {"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "56155", "PROXY_PROTOCOL": "TCP4",
               "PROXY_ADDR": "198.51.100.2", "PROXY_PORT": "443"}, id="the client's address is the request's",
    ),
    pytest.param(NOTHING, {}, id="without a client the peer's address stays"),
    pytest.param(Announcement(local=True), {}, id="a health check comes from the proxy itself"),
    pytest.param(
        Announcement("UNIX", "/a", "", "/b", ""),
        {"REMOTE_ADDR": "", "REMOTE_PORT": None, "PROXY_PROTOCOL": "UNIX", "PROXY_ADDR": "/b", "PROXY_PORT": ""},
        id="a client of a unix socket has no address",
    ),
])  # fmt: skip
def test_environ_keys(announcement: Announcement, changes: dict[str, Any]) -> None:
    own = OWN.copy()
    announcement.announce(own)
    assert own == {key: value for key, value in {**OWN, **changes}.items() if value is not None}


def everybody(address: str) -> bool:
    assert address == "127.0.0.1"
    return True


def test_the_header_is_read_once_and_remembered() -> None:
    entered: list[Inbound] = []
    later = Inbound({"SCRIPT_NAME": ""}, Limits(), lambda _: None, own=OWN.copy())
    first = AnnouncedInbound(later, entered.append, mode="v1", allows=everybody)
    data = v1(b"TCP4 192.0.2.1 198.51.100.2 56155 443") + GET
    assert first.idle
    for at in range(len(data) - 1):
        assert not (entered[0] if entered else first).receive(data[at : at + 1])
        assert not (entered[0] if entered else first).idle or data[: at + 1].endswith(b"443\r\n")
    assert entered == [later]
    for piece in (data[-1:], GET, GET, GET):
        assert later.receive(piece)
        assert later.fields["REMOTE_ADDR"] == "192.0.2.1"
        assert later.fields["PROXY_ADDR"] == "198.51.100.2"


def test_a_request_may_come_with_the_header() -> None:
    entered: list[Inbound] = []
    later = Inbound({"SCRIPT_NAME": ""}, Limits(), lambda _: None, own=OWN.copy())
    first = AnnouncedInbound(later, entered.append, mode="v2", allows=everybody)
    assert first.receive(v2(0x21, 0x11, IPV4) + GET + GET)
    assert entered == [later]
    assert later.next()
    assert not later.next()
    assert later.fields["REMOTE_ADDR"] == "192.0.2.1"


def test_a_bad_request_behind_the_header_is_refused_as_the_clients() -> None:
    later = Inbound({"SCRIPT_NAME": ""}, Limits(), lambda _: None, own=OWN.copy())
    first = AnnouncedInbound(later, lambda _: None, mode="v2", allows=everybody)
    with pytest.raises(PeerError):
        first.receive(v2(0x21, 0x11, IPV4) + b"BAD\r\n\r\n")
    assert later.own["REMOTE_ADDR"] == "192.0.2.1"


@given(address=st.one_of(st.binary(min_size=16, max_size=16), st.lists(
    st.sampled_from([b"\0\0", b"\0\1", b"\xff\xff", b"\x10\0"]), min_size=8, max_size=8).map(b"".join)
))  # fmt: skip
@settings(max_examples=300, deadline=None, database=None, derandomize=True)
def test_an_ipv6_address_is_written_as_the_system_writes_it(address: bytes) -> None:
    import socket

    # the C library still writes ::1.2.3.4 as RFC 4291 once had it
    if address[:12] == bytes(12):
        address = b"\1" + address[1:]
    assert ipv6_text(address) == socket.inet_ntop(socket.AF_INET6, address)


def test_the_longest_line_is_what_the_specification_says() -> None:
    assert LONGEST_V1 == 107


@given(
    data=st.binary(max_size=60), start=st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"!"])
)
@settings(max_examples=300, deadline=None, database=None, derandomize=True)
def test_noise_ends_the_same_way_however_it_is_cut(data: bytes, start: bytes) -> None:
    whole = outcome([start + data], "auto")
    for chunks in ways(start + data):
        assert outcome(chunks, "auto") == whole or not start + data
