"""The tables of the grammar, against the words of the RFCs."""

import pytest

from corral.http.syntax import (
    FIELD_BYTES,
    TARGET_BYTES,
    is_host,
    is_ipv6,
    is_token,
    only_line_ends,
    percent_decode,
)


def test_field_bytes_are_vchar_obs_text_blank_and_tab() -> None:
    assert set(FIELD_BYTES) == set(range(256)) - (set(range(32)) - {9}) - {127}


def test_target_bytes_are_visible_ascii_without_the_fragment() -> None:
    assert set(TARGET_BYTES) == set(range(33, 127)) - {ord("#")}


@pytest.mark.parametrize("text", ["a", "X-Y_z", "0", "!#$%&'*+-.^_`|~"])
def test_tokens(text: str) -> None:
    assert is_token(text)


@pytest.mark.parametrize("letter", [*'"(),/:;<=>?@[\\]{} \t\r\n\0\x7f', "\xe9", "\xa0", "\u017f", "\u212a"])
def test_letters_no_token_has(letter: str) -> None:
    assert not is_token("a" + letter + "b")


def test_nothing_is_no_token() -> None:
    assert not is_token("")


@pytest.mark.parametrize(("left", "count", "alone"), [
    pytest.param(b"", 0, True, id="no line end"),
    pytest.param(b"\r\n\r\n", 2, True, id="two line ends"),
    pytest.param(b"\r\n" * 300, 300, True, id="more line ends than the table has"),
    pytest.param(b"\r\n" * 299, 300, False, id="one too few of many"),
    pytest.param(b"\r\n", 2, False, id="one too few"),
    pytest.param(b"\n\r", 1, False, id="the wrong way round"),
    pytest.param(b"\r\n\0", 1, False, id="a control besides"),
])  # fmt: skip
def test_only_line_ends(left: bytes, count: int, alone: bool) -> None:
    assert only_line_ends(left, count) is alone


@pytest.mark.parametrize("text", [
    "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8", "ABCD::abcd",
    "::ffff:192.0.2.1", "::192.0.2.1", "1:2:3:4:5:6:255.255.255.255", "1::5:0.0.0.0",
])  # fmt: skip
def test_ipv6(text: str) -> None:
    assert is_ipv6(text)


@pytest.mark.parametrize("text", [
    "", ":", ":::", "1", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", ":1::", "1:", ":1",
    "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "192.0.2.1", "::1.2.3", "::1.2.3.4.5", "::1.2.3.256", "1.2.3.4::",
    "::1.2.3.4:5", "::1..3.4", "::1.2.3.a", "1:2:3:4:5:6:7:1.2.3.4", "::.", "....", "1.2:3::",
])  # fmt: skip
def test_no_ipv6(text: str) -> None:
    assert not is_ipv6(text)


@pytest.mark.parametrize(("text", "well_formed"), [
    ("a.example:80", True), ("", True), ("[::1]:80", True), ("a%41", True), ("[v1.a]", True), ("a:", True),
    ("a b", False), ("a%4", False), ("[::1", False), ("[1]", False), ("a:b", False), ("u@a", False),
    ("[v1.\xe9]", False),
])  # fmt: skip
def test_host(text: str, well_formed: bool) -> None:
    assert is_host(text) is well_formed


@pytest.mark.parametrize(("text", "decoded"), [
    ("/a", "/a"), ("/%41%62", "/Ab"), ("%", "%"), ("%%", "%%"), ("%4", "%4"), ("%4g", "%4g"), ("%g4", "%g4"),
    ("%41%", "A%"), ("%%41", "%A"), ("%2541", "%41"), ("%e2%82%ac", "\xe2\x82\xac"), ("%00", "\0"), ("% 1", "% 1"),
    ("%+1", "%+1"), ("%0x", "%0x"), ("%414", "A4"), ("%FF", "\xff"), ("%u0041", "%u0041"),
])  # fmt: skip
def test_percent_decode(text: str, decoded: str) -> None:
    assert percent_decode(text) == decoded
