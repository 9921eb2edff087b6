"""PairsInbound refuses and reads what Inbound does, whatever came before; its pairs are the block's lines."""

from typing import Any

import corpus
import pytest

from corral.errors import PeerError
from corral.http.head import Limits
from corral.http.inbound import NAMES, Inbound
from corral.http.pairs import UNREAD, PairsInbound, hosts, ordinary

BASE = {"SERVER_NAME": "a", "SCRIPT_NAME": ""}
DEFAULT = Limits()
WARM = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"
BETWEEN = b"GET / HTTP/1.1\r\nHost: a.example\r\nX-Between: 1\r\n\r\n"
CORPUS = [pytest.param(case[1], Limits(**(case[3] if len(case) > 3 else {})), id=name) for name, case in corpus.CASES]


@pytest.fixture(autouse=True)
def room_for_names() -> None:
    """Tests of strangers' names fill what is kept of them."""
    for kept in (NAMES, NAMES.marked, ordinary, hosts):
        kept.clear()


def new(kind: type[Inbound], limits: Limits = DEFAULT) -> Inbound:
    return kind(BASE, limits, lambda _: None, own={"REMOTE_ADDR": "192.0.2.1"})


def drive(kind: type[Inbound], chunks: list[bytes], limits: Limits) -> list[Any]:
    inbound = new(kind, limits)
    outcome: list[Any] = []
    try:
        for chunk in chunks:
            whole = inbound.receive(chunk)
            while whole:
                fields = inbound.fields
                if isinstance(inbound, PairsInbound) and inbound.pairs is not None:
                    assert fields is UNREAD
                    fields = inbound.read_unread(inbound.read)
                outcome.append((inbound.line, inbound.framing, list(fields.items()), inbound.take()))
                if not inbound.framing.keep_alive or inbound.framing.upgrade:
                    return outcome
                whole = inbound.next()
    except PeerError as error:
        outcome.append((error.status, error.detail, error.line))
    return outcome


def teach(data: bytes) -> None:
    """Have every name in `data` come before: what is said here must not hang on the order of tests."""
    for line in data.split(b"\r\n")[1:]:
        name = line.partition(b":")[0]
        drive(PairsInbound, [b"GET / HTTP/1.1\r\nHost: a.example\r\n" + name + b": 1\r\n\r\n"], DEFAULT)


@pytest.mark.parametrize(("data", "limits"), CORPUS)
def test_what_is_refused_and_what_is_read_is_the_same(data: bytes, limits: Limits) -> None:
    teach(data)
    for chunks in ([WARM, data], [data, BETWEEN, data], [WARM + data], [WARM, BETWEEN, data, BETWEEN, data]):
        assert drive(PairsInbound, chunks, limits) == drive(Inbound, chunks, limits)


def second(block: bytes, limits: Limits = DEFAULT) -> PairsInbound:
    """A connection whose second request has this block, the names of which have come before."""
    data = b"GET / HTTP/1.1\r\n" + block + b"\r\n\r\n"
    teach(data)
    drive(PairsInbound, [data], DEFAULT)
    inbound = new(PairsInbound, limits)
    assert isinstance(inbound, PairsInbound)
    inbound.receive(WARM)
    inbound.receive(data)
    return inbound


def test_pairs_are_the_lines_without_their_blanks() -> None:
    inbound = second(b"Host: a.example\r\nX-A:  one: two\t \r\nAccept: \r\nX-B: \xe9\xa0")
    assert inbound.pairs == [(b"host", b"a.example"), (b"x-a", b"one: two"), (b"accept", b""), (b"x-b", b"\xe9\xa0")]


def test_fields_are_made_when_they_are_asked_for_also_later() -> None:
    inbound = second(b"Host: a.example\r\nX-A: 1")
    block = inbound.read
    inbound.receive(b"GET / HTTP/1.1\r\nHost: a.example\r\nX-A: 2\r\n\r\n")
    assert inbound.fields is UNREAD == {}
    assert inbound.read_unread(inbound.read)["HTTP_X_A"] == "2"
    assert inbound.read_unread(block)["HTTP_X_A"] == "1"
    assert inbound.read_unread(block)["REMOTE_ADDR"] == "192.0.2.1"


@pytest.mark.parametrize("line", [
    pytest.param(b"X-Forwarded-For: 192.0.2.7", id="a field that tells who the client is"),
    pytest.param(b"TE: trailers", id="a field that the scope speaks of"),
    pytest.param(b"Connection: close", id="the connection ends"),
    pytest.param(b"Expect: 100-continue", id="the client waits"),
    pytest.param(b"Content-Length: 0", id="a length, even of nothing"),
    pytest.param(b"Under_Score: 1", id="a name with an underscore"),
    pytest.param(b"X-A: 1\r\nx-a: 2", id="a field that stands twice"),
    pytest.param(b"X-A:1", id="no blank behind the colon"),
])  # fmt: skip
def test_what_is_not_ordinary_has_no_pairs(line: bytes) -> None:
    assert second(b"Host: a.example\r\n" + line).pairs is None


@pytest.mark.parametrize("block", [
    pytest.param(b"Accept: */*", id="no Host"),
    pytest.param(b"Host: a.example\r\nHost: a.example", id="Host twice"),
    pytest.param(b"Host: a/b", id="a malformed Host"),
    pytest.param(b"Host: a.example\r\nAccept: \x00", id="a control character"),
    pytest.param(b"Host: a.example\r\nAccept: a\nb", id="a bare line feed"),
    pytest.param(b"Host: a.example\r\n Accept: a", id="a folded line"),
    pytest.param(b"Host: a.example\r\nAccept", id="a line without a colon"),
    pytest.param(b"Accept: */*\r\nHost", id="Host without a colon"),
])  # fmt: skip
def test_what_inbound_refuses_is_refused(block: bytes) -> None:
    with pytest.raises(PeerError):
        second(block)


@pytest.mark.parametrize("limits", [
    pytest.param(Limits(fields=1), id="more fields than allowed"),
    pytest.param(Limits(field_size=20), id="a field larger than allowed"),
])  # fmt: skip
def test_limits_hold(limits: Limits) -> None:
    with pytest.raises(PeerError):
        second(b"Host: a.example\r\nAccept: more than twenty bytes", limits)
