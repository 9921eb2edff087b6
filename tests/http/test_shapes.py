"""What a connection reads by the shape of its heads is what it would read without, and so is what it refuses."""

import random
from typing import Any

import pytest

from corral.errors import PeerError
from corral.http.head import Limits
from corral.http.inbound import NAMES, SHAPES, Inbound
from corral.http.pairs import PAIR_SHAPES, UNREAD, PairsInbound, hosts, ordinary
from corral.http.shapes import MOST

BASE = {"SERVER_NAME": "a", "SCRIPT_NAME": ""}
OWN = {"REMOTE_ADDR": "192.0.2.1"}
NAME = ("User-Agent", "Accept", "Cookie", "X-Request-Id", "Referer", "If-None-Match", "X-Tenant")
WARM = 100  # heads, so that the shape has been looked for often
# Pieces of what a value may be, and of what it may not.
GOOD = ("a", "b c", "=;,", "%41", '"', "\t", " ", "", "x" * 40)
BAD = (
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\x0b",
    "\x1f",
    "\x7f",
    "\x85",
    "\xa0",
    "\xff",
    "\r\n ",
    "\r\n\r\n",
    "\r\nHost: b",
    ": ",
)
LINES = (
    "GET /{} HTTP/1.1", "HEAD /a/{}?b={} HTTP/1.1", "OPTIONS /{}?? HTTP/1.1", "DELETE /%41%2f{} HTTP/1.1",
    "GET /{} HTTP/1.0", "POST /{} HTTP/1.1", "GET  /{} HTTP/1.1", "GET http://b/{} HTTP/1.1", "OPTIONS * HTTP/1.1",
    "GET /{}#a HTTP/1.1", "GET /\x80{} HTTP/1.1", "GET /{} HTTP/1.1 ", "get /{} HTTP/1.1", "BREW /{} HTTP/1.1",
)  # fmt: skip


class Shapeless(Inbound):
    __slots__ = ()
    shapes = None


@pytest.fixture(autouse=True)
def nothing_known() -> None:
    """Tests of strangers' names fill what is kept of them."""
    for kept in (NAMES, NAMES.marked, ordinary, hosts, SHAPES.made, SHAPES.seen, PAIR_SHAPES.made, PAIR_SHAPES.seen):
        kept.clear()


def new(kind: type[Inbound], limits: Limits) -> Inbound:
    return kind(BASE, limits, lambda _: None, own=dict(OWN))


def head(line: str, values: dict[str, str]) -> bytes:
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in values.items()), "", ""]).encode("latin-1")


def warm(kind: type[Inbound], names: tuple[str, ...], limits: Limits = Limits()) -> Inbound:  # noqa: B008
    """A connection that has had many heads with these names, each with values of its own."""
    inbound = new(kind, limits)
    for number in range(WARM):
        values = {name: "a.example" if name == "Host" else "keep-alive" if name == "Connection" else f"{number}"
                  for name in names}  # fmt: skip
        assert inbound.receive(head(f"GET /{number} HTTP/1.1", values))
    return inbound


def outcome(inbound: Inbound, data: bytes) -> Any:
    """All that is read of `data`, and of what comes behind it."""
    found: list[Any] = []
    try:
        whole = inbound.receive(data)
        while whole:
            fields = inbound.fields
            if isinstance(inbound, PairsInbound) and inbound.pairs is not None:
                assert fields is UNREAD
                fields = inbound.read_unread(inbound.read)
            found.append((inbound.line, inbound.line_bytes, inbound.framing, list(fields.items()), inbound.take()))
            whole = inbound.next()
    except PeerError as error:
        found.append((error.status, error.detail, error.line))
    return found


@pytest.mark.parametrize("kind", [Inbound, PairsInbound])
@pytest.mark.parametrize("seed", range(12))
def test_any_values_are_read_and_refused_as_without_a_shape(kind: type[Inbound], seed: int) -> None:
    choice = random.Random(seed)
    names = ("Host", *choice.sample(NAME, choice.randrange(1, 6)), *choice.choice(((), ("Connection",))))
    inbound = warm(kind, names)
    assert inbound.shape is not None
    read = 0
    for number in range(300):
        pieces = GOOD if choice.random() < 0.8 else GOOD + BAD
        values = {name: "".join(choice.choices(pieces, k=choice.randrange(4))) for name in names}
        values["Host"] = choice.choice(("a.example", "a.example", "a.example", "b.example", "a example", ""))
        if "Connection" in values:
            values["Connection"] = choice.choice(("keep-alive", "keep-alive", "close", "Keep-Alive", "upgrade"))
        line = LINES[0 if choice.random() < 0.5 else choice.randrange(len(LINES))].replace("{}", f"{seed}-{number}")
        data = head(line, values) + choice.choice((b"", b"", b"", head("GET / HTTP/1.1", {"Host": "a.example"}), b"GE"))
        read += inbound.shape.read(data) is not None
        result = outcome(inbound, data)
        assert result == outcome(new(Shapeless, Limits()), data)
        if inbound.buffer or not result or not isinstance(result[-1][0], tuple):
            inbound = warm(kind, names)
    assert read > 15


@pytest.mark.parametrize("kind", [Inbound, PairsInbound])
@pytest.mark.parametrize(
    ("limits", "line", "value"),
    [
        pytest.param(Limits(line=40), "GET /" + "a" * 40 + " HTTP/1.1", "b", id="a long line"),
        pytest.param(Limits(field_size=40), "GET /new HTTP/1.1", "b" * 40, id="a long field"),
        pytest.param(Limits(fields=2), "GET /new HTTP/1.1", "b", id="as many fields as may be"),
    ],
)
def test_limits_hold(kind: type[Inbound], limits: Limits, line: str, value: str) -> None:
    data = head(line, {"Host": "a.example", "Accept": value})
    assert outcome(warm(kind, ("Host", "Accept"), limits), data) == outcome(new(Shapeless, limits), data)


@pytest.mark.parametrize("kind", [Inbound, PairsInbound])
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("Host", "Content-Length"), id="what frames a message"),
        pytest.param(("Accept", "X-A"), id="no Host"),
        pytest.param(("Host", "Expect"), id="what is answered before the body"),
    ],
)
def test_what_is_no_ordinary_request_has_no_shape(kind: type[Inbound], names: tuple[str, ...]) -> None:
    inbound = new(kind, Limits())
    values = {"Host": "a.example", "Content-Length": "0", "Expect": "100-continue"}
    for number in range(WARM):
        data = head(f"GET /{number} HTTP/1.1", {name: values.get(name, f"{number}") for name in names})
        if "Host" in names:
            assert inbound.receive(data)
        else:
            with pytest.raises(PeerError):
                inbound.receive(data)
    assert inbound.shape is None


@pytest.mark.parametrize("kind", [Inbound, PairsInbound])
def test_who_repeats_a_head_after_all_is_recognised(kind: type[Inbound]) -> None:
    inbound = warm(kind, ("Host", "Accept"))
    data = head("GET /again HTTP/1.1", {"Host": "a.example", "Accept": "b"})
    expected = outcome(new(Shapeless, Limits()), data)
    assert [outcome(inbound, data) for _ in range(4)] == [expected] * 4
    assert inbound.repeated
    assert inbound.whole == data


def test_what_the_gateway_wants_to_hear_of_is_prepared() -> None:
    heard: list[str] = []
    NAMES.notable.add("HTTP_X_FORWARDED_PROTO")
    try:
        inbound = Inbound(BASE, Limits(), lambda fields: heard.append(fields["HTTP_X_FORWARDED_PROTO"]), own=OWN)
        for number in range(WARM):
            inbound.receive(head("GET / HTTP/1.1", {"Host": "a.example", "X-Forwarded-Proto": f"{number}"}))
    finally:
        NAMES.notable.discard("HTTP_X_FORWARDED_PROTO")
        NAMES.noticed = False
    assert inbound.shape is not None
    assert heard == [f"{number}" for number in range(WARM)]


@pytest.mark.parametrize("kind", [Inbound, PairsInbound])
def test_a_stranger_with_endless_shapes_fills_nothing(kind: type[Inbound]) -> None:
    assert kind.shapes is not None
    for number in range(3 * MOST):
        warm(kind, ("Host", *(f"X-{number}-{each}" for each in range(3))))
    assert len(kind.shapes.made) <= MOST
    assert len(kind.shapes.seen) <= MOST
