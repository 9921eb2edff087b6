"""What head.py keeps between requests, and its limits. What a head means is in the corpus."""

import pytest

from corral.errors import PeerError
from corral.http import head
from corral.http.head import LAST, PLAIN, FieldNames, Limits, read_fields, read_framing, read_request_line

LINE = read_request_line(b"GET / HTTP/1.1")


def test_names_are_learnt_once() -> None:
    names = FieldNames()
    assert names.learn("X-Real-IP") == "HTTP_X_REAL_IP"
    assert names == {"X-Real-IP": "HTTP_X_REAL_IP"}
    assert not names.noticed


def test_an_underscore_is_noticed_and_kept_apart() -> None:
    names = FieldNames()
    assert names.learn("X_Real-IP") == "_X_REAL-IP"
    assert names.noticed


def test_a_name_that_the_gateway_wants_is_noticed() -> None:
    names = FieldNames()
    names.notable.add("HTTP_X_FORWARDED_PROTO")
    assert names.learn("X-Forwarded-Proto") == "HTTP_X_FORWARDED_PROTO"
    assert names.noticed


def test_a_stranger_cant_fill_the_table_of_names() -> None:
    names = FieldNames()
    for number in range(2 * FieldNames.MOST):
        names.learn(f"X-{number}")
    assert len(names) == FieldNames.MOST
    assert names.learn("X-New") == "HTTP_X_NEW"
    fresh = FieldNames()
    fresh.learn("X-" + "a" * 100)
    assert not fresh


@pytest.mark.parametrize("kind", [
    pytest.param((head.METHODS, head.MOST_METHODS, lambda n: read_request_line(b"M%d / HTTP/1.1" % n)), id="methods"),
    pytest.param(
        (head.HOSTS, head.MOST_HOSTS, lambda n: read_framing({"HTTP_HOST": f"h{n}"}, LINE, Limits())), id="hosts"
    ),
    pytest.param(
        (
            head.OPTIONS, head.MOST_OPTIONS,
            lambda n: read_framing({"HTTP_HOST": "a", "HTTP_CONNECTION": f"o{n}"}, LINE, Limits()),
        ),
        id="options of Connection",
    ),
])  # fmt: skip
def test_a_stranger_cant_fill_the_other_tables(kind: tuple) -> None:  # type: ignore[type-arg]
    table, most, send = kind
    for number in range(2 * most):
        send(number)
    assert len(table) <= most


def test_what_was_refused_is_not_remembered() -> None:
    with pytest.raises(PeerError):
        read_framing({"HTTP_HOST": "a b"}, LINE, Limits())
    assert "a b" not in head.HOSTS
    with pytest.raises(PeerError):
        read_request_line(b"get / HTTP/1.1")
    assert b"get" not in head.METHODS


def test_common_framings_are_one_object() -> None:
    assert read_framing({"HTTP_HOST": "a"}, LINE, Limits()) is PLAIN
    assert read_framing({"HTTP_HOST": "a", "HTTP_CONNECTION": "close"}, LINE, Limits()) is LAST
    assert read_framing({"HTTP_HOST": "a", "CONTENT_LENGTH": "0"}, LINE, Limits()) is PLAIN


def test_quick_and_slow_reading_agree() -> None:
    names, block = FieldNames(), b"Host: a\r\nAccept: b \r\nX-A:  c"
    first: dict[str, str] = {"base": ""}
    second: dict[str, str] = {"base": ""}
    read_fields(block, first, names, Limits())
    read_fields(block, second, names, Limits())
    assert first == second == {"base": "", "HTTP_HOST": "a", "HTTP_ACCEPT": "b", "HTTP_X_A": "c"}


@pytest.mark.parametrize(("limits", "block"), [
    pytest.param(Limits(), 65536, id="gunicorn's limits: not a hundred fields of 8190 bytes"),
    pytest.param(Limits(fields=4, field_size=100), 408, id="few small fields"),
    pytest.param(Limits(fields=1000, field_size=30000), 120000, id="four of the largest"),
    pytest.param(Limits(fields=0), 65536, id="any number of fields"),
    pytest.param(Limits(field_size=0), 65536, id="fields of any size"),
])  # fmt: skip
def test_fields_are_bounded_together(limits: Limits, block: int) -> None:
    assert limits.block == block
    assert limits.head == 4094 + block + 8


def test_a_head_without_limits_is_bounded() -> None:
    assert Limits(line=0, fields=0, field_size=0).head < 2 << 20
