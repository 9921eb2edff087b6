"""The corpus, cut in every way; and what must hold for any bytes at all.

A case of the corpus is (sentence, bytes, outcome[, limits]). An outcome lists the requests, then a status if the peer
is refused, or ... if more bytes are awaited. A request is what differs from a plain GET / that keeps the connection.
"""

from collections.abc import Iterator
from itertools import pairwise, product
from random import Random
from typing import Any

import corpus
import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corral.errors import PeerError
from corral.http.head import CHUNKED, Limits
from corral.http.inbound import LOST, Inbound

BASE = {"SERVER_NAME": "a", "SCRIPT_NAME": ""}
PLAIN = {
    "method": "GET", "target": "/", "version": "HTTP/1.1", "body": b"", "keep_alive": True, "expects": False,
    "upgrade": False, "fields": {},
}  # fmt: skip
DEFAULT = Limits()
WARM = b"GET /warm HTTP/1.1\r\nHost: a.example\r\n\r\n"
CASES = [pytest.param(*case, id=name) for name, case in corpus.CASES]
fuzz = settings(max_examples=300, deadline=None, database=None, derandomize=True)


def snapshot(inbound: Inbound) -> dict[str, Any]:
    method, target, path, query, version, _ = inbound.line
    length, keep_alive, expects, upgrade = inbound.framing
    body = inbound.take()
    assert len(body) == length or length == CHUNKED
    return {
        "method": method, "target": target, "path": path, "query": query, "version": version, "body": body,
        "keep_alive": keep_alive, "expects": expects, "upgrade": upgrade, "fields": inbound.fields.copy(),
    }  # fmt: skip


def drive(chunks: list[bytes], limits: Limits = DEFAULT) -> list[Any]:
    """What comes of `chunks`, as a server would go through them."""
    inbound = Inbound(BASE, limits, lambda _: None)
    outcome: list[Any] = []
    for chunk in chunks:
        try:
            whole = inbound.receive(chunk)
            while whole:
                outcome.append(snapshot(inbound))
                if not inbound.framing.keep_alive or inbound.framing.upgrade:
                    return outcome
                whole = inbound.next()
        except PeerError as error:
            return [*outcome, error.status]
        assert len(inbound.buffer) <= limits.head + len(chunk)
    return outcome if inbound.idle else [*outcome, ...]


def cuts(data: bytes, seed: str) -> list[bytes]:
    random = Random(seed)
    places = sorted({0, len(data), *(random.randrange(len(data) + 1) for _ in range(random.randrange(1, 12)))})
    return [data[start:end] for start, end in pairwise(places)]


def single_bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def ways(data: bytes, seed: str) -> Iterator[tuple[str, list[bytes], int]]:
    """The name of a way, the chunks, and how many warm requests go before."""
    yield "whole", [data] if data else [], 0
    yield "byte by byte", single_bytes(data), 0
    for number in range(4):
        yield f"cut {number}", cuts(data, f"{seed} {number}"), 0
    yield "behind a request that repeats itself", [WARM, WARM, *([data] if data else [])], 2
    yield "in one read with other requests", [WARM * 3 + data], 3


def complete(request: Any) -> Any:
    if not isinstance(request, dict):
        return request
    whole = {**PLAIN, **request}
    path, _, query = str(whole["target"]).partition("?")
    return {"path": path, "query": query, **whole}


def check(outcome: list[Any], expected: list[Any], way: str) -> None:
    seen = [
        {**request, "fields": {key: request["fields"].get(key) for key in wanted["fields"]}}
        if isinstance(request, dict) and isinstance(wanted, dict)
        else request
        for request, wanted in zip(outcome, expected, strict=False)
    ] + outcome[len(expected) :]
    assert seen == expected, way


@pytest.mark.parametrize(("sentence", "data", "expected", "limits"), [
    pytest.param(*case.values, *([{}] if len(case.values) == 3 else []), id=case.id) for case in CASES
])  # fmt: skip
def test_corpus(sentence: str, data: bytes, expected: list[Any], limits: dict[str, int]) -> None:
    expected = [complete(request) for request in expected]
    for way, chunks, warm in ways(data, sentence):
        outcome = drive(chunks, Limits(**limits))
        assert [request["target"] for request in outcome[:warm]] == ["/warm"] * warm
        check(outcome[warm:], expected, way)
    if (
        expected
        and all(isinstance(request, dict) and request["keep_alive"] for request in expected)
        and not any(request["upgrade"] for request in expected)
    ):
        check(drive([data] * 4, Limits(**limits)), expected * 4, "four times")


def test_corpus_has_no_case_twice() -> None:
    sentences = [case.id for case in CASES]
    assert len(sentences) == len(set(sentences))
    assert len(sentences) > 600


# -- invariants beside the corpus


def receive(data: bytes, **more: Any) -> Inbound:
    inbound = Inbound(BASE, Limits(), lambda _: None, **more)
    assert inbound.receive(data)
    return inbound


def test_bytes_behind_an_upgrade_stay_as_they_came() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n\x81\x00\r\n\r\n\n"
    inbound = receive(data)
    assert inbound.framing.upgrade
    assert bytes(inbound.buffer) == b"\x81\x00\r\n\r\n\n"


def test_a_refused_connection_is_never_whole_again() -> None:
    inbound = Inbound(BASE, Limits(), lambda _: None)
    with pytest.raises(PeerError):
        inbound.receive(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")
    assert inbound.body is None


def test_fields_are_the_connections_own_and_its_base() -> None:
    inbound = receive(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", own={"REMOTE_ADDR": "192.0.2.1"})
    assert inbound.fields == {
        **BASE, "REMOTE_ADDR": "192.0.2.1", "HTTP_HOST": "a", "SERVER_PROTOCOL": "HTTP/1.1",
    }  # fmt: skip
    assert BASE == {"SERVER_NAME": "a", "SCRIPT_NAME": ""}


def test_a_request_that_changed_its_fields_leaves_the_next_one_alone() -> None:
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n"
    inbound = receive(data)
    inbound.fields.clear()
    for _ in range(3):
        assert inbound.receive(data)
        fields = inbound.fields.copy() if inbound.repeated else inbound.fields
        assert fields["HTTP_X_A"] == "1"
        fields.clear()


def test_the_line_is_kept_as_it_came() -> None:
    assert receive(b"GET /%41?b HTTP/1.1\r\nHost: a\r\n\r\n").line_bytes == b"GET /%41?b HTTP/1.1"


@pytest.mark.parametrize("framing", [
    pytest.param(b"Content-Length: 10\r\n\r\n", id="by length"),
    pytest.param(b"Transfer-Encoding: chunked\r\n\r\na\r\n", id="by chunks"),
])  # fmt: skip
def test_a_streamed_body_is_whole_with_its_head(framing: bytes) -> None:
    inbound = receive(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing + b"hello", stream=True)
    assert inbound.take() == b"hello"
    assert inbound.reader is not None
    inbound.feed(b"world\r\n0\r\n\r\n"[: 5 if framing.startswith(b"C") else None] + b"GET ")
    assert inbound.take() == b"world"
    assert inbound.reader is None
    assert inbound.buffer == b"GET "
    assert not inbound.next()
    assert inbound.receive(b"/ HTTP/1.1\r\nHost: a\r\n\r\n")


def test_a_streamed_body_that_nobody_read_is_no_request() -> None:
    inbound = receive(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n", stream=True)
    assert not inbound.next()
    assert inbound.phase is LOST
    assert not inbound.idle
    with pytest.raises(PeerError):
        inbound.receive(b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n")


def test_a_body_in_drops_costs_no_object_for_each() -> None:
    inbound = Inbound(BASE, Limits(), lambda _: None)
    inbound.receive(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(5000):
        inbound.receive(b"2\r\nab\r\n" * 3)
        assert len(inbound.pieces) <= 256
    assert inbound.receive(b"0\r\n\r\n")
    assert inbound.take() == b"ab" * 15000


def test_prepare_is_asked_once_for_fields_that_repeat() -> None:
    calls: list[str] = []
    inbound = Inbound(BASE, Limits(), lambda fields: calls.append(fields["_X_ODD"]))
    data = b"GET / HTTP/1.1\r\nHost: a\r\nX_Odd: %d\r\n\r\n"
    for number in (1, 1, 1, 1, 2, 2, 2):
        assert inbound.receive(data % number)
    assert calls == ["1", "1", "2", "2"]


SEQUEL = [
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n",
    b"GET /a HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
]


@pytest.mark.parametrize("repetitions", [1, 4], ids=["each once", "each four times"])
def test_what_came_before_changes_nothing(repetitions: int) -> None:
    """Every sequence of three of these, which a connection remembers in different ways."""
    alone = [drive([data]) for data in SEQUEL]
    for numbers in product(range(len(SEQUEL)), repeat=3):
        sequence = [number for number in numbers for _ in range(repetitions)]
        assert drive([SEQUEL[number] for number in sequence]) == [each for number in sequence for each in alone[number]]


# -- any bytes at all

SEEDS = [
    b"GET /a?b HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b"\r\nhello\r\n0\r\nX: y\r\n\r\n',
    b"GET http://b/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
]
SNIPPETS = [
    b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b";", b",", b'"', b"0", b"5", b"_", b"\xff", b"\x0b",
    b"chunked", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"0\r\n\r\n", b"HTTP/1.1",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        drop = draw(st.integers(0, 3))
        data[at : at + drop] = draw(st.one_of(st.just(b""), st.sampled_from(SNIPPETS), st.binary(max_size=2)))
    return bytes(data)


@fuzz
@given(data=mutated(), seed=st.integers())
def test_mutations_end_the_same_way_however_they_are_cut(data: bytes, seed: int) -> None:
    whole = drive([data])
    for chunks in (single_bytes(data), cuts(data, str(seed)), cuts(data, f"{seed} again")):
        outcome = drive(chunks)
        if isinstance(outcome[-1] if outcome else None, int):  # a refusal may come earlier, or find another fault first
            assert outcome[:-1] == whole[:-1]
            assert whole[-1] is ... or isinstance(whole[-1], int)
        else:
            assert outcome == whole


@fuzz
@given(data=st.binary(max_size=200), seed=st.integers())
def test_noise_raises_nothing_but_peer_errors(data: bytes, seed: int) -> None:
    for chunks in ([data], cuts(data, str(seed)), [SEEDS[2][:60], data], [SEEDS[2][:80], data]):
        drive([chunk for chunk in chunks if chunk])


@fuzz
@given(pieces=st.lists(st.binary(min_size=1, max_size=300), max_size=20), seed=st.integers(), upper=st.booleans())
def test_a_body_survives_any_chunking(pieces: list[bytes], seed: int, upper: bool) -> None:
    size = b"%X\r\n" if upper else b"%x\r\n"
    chunked = b"".join(size % len(piece) + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    head = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    outcome = drive(cuts((head + chunked) * 2, str(seed)))
    assert [request["body"] for request in outcome] == [b"".join(pieces)] * 2


def read_by_h11(data: bytes) -> list[tuple[str, str, bytes]] | None:
    """Requests as an independent parser reads them; None if it refuses something."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    requests: list[tuple[str, str, bytes]] = []
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                method, target, body = event.method.decode(), event.target.decode(), b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                requests.append((method, target, body))
                connection.send(h11.Response(status_code=204, headers=[]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return requests
                connection.start_next_cycle()
            else:
                return requests
    except h11.ProtocolError:
        return None


@fuzz
@given(data=mutated())
def test_where_two_parsers_accept_they_read_the_same(data: bytes) -> None:
    ours = drive([data])
    theirs = read_by_h11(data)
    if theirs is not None and not any(isinstance(request, int) for request in ours):
        requests = [(r["method"], r["target"], r["body"]) for r in ours if isinstance(r, dict)]
        assert requests[: len(theirs)] == theirs  # h11 ends every connection of HTTP/1.0
        assert len(theirs) > 0 or not requests


def test_connections_that_begin_alike_are_read_alike() -> None:
    """The first block of fields is remembered across connections; every difference is seen."""
    ask = b"GET /%d HTTP/1.1\r\nHost: a\r\nX-Real-IP: 192.0.2.%d\r\n\r\n"
    for number in (1, 1, 1, 2, 2, 2, 1, 3):
        inbound = receive(ask % (number, number), own={"REMOTE_ADDR": str(number)})
        assert inbound.fields == {
            **BASE, "REMOTE_ADDR": str(number), "HTTP_HOST": "a", "HTTP_X_REAL_IP": f"192.0.2.{number}",
            "SERVER_PROTOCOL": "HTTP/1.1",
        }  # fmt: skip
        inbound.fields.clear()
    old = receive(ask.replace(b"HTTP/1.1", b"HTTP/1.0") % (1, 1))
    assert not old.framing.keep_alive
    assert old.fields["SERVER_PROTOCOL"] == "HTTP/1.0"


def test_room_is_what_the_client_is_likely_to_fill() -> None:
    """A little for who asks little; all of it for who has more to say than that, now or before."""
    short, long = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 2000)
    body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
    inbound = Inbound(BASE, Limits(), lambda _: None)
    most = inbound.room
    for data, room in ((short, 448), (long, most), (short, 448), (body, most), (b"hello", most)):
        inbound.receive(data)
        assert inbound.room == room, data
    inbound.forget_body()
    assert inbound.receive(short * 40)
    assert inbound.room == most
    while inbound.next():
        assert inbound.room == most
