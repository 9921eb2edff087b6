"""Connections through the channel: what goes with them, what can go at all, and that none is lost on the way."""

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from net.serving import Told

from corral.net.connection import Connection
from corral.net.handoff import MOST_BYTES, Channel, Passage, Taker, give, movable, unpack
from corral.net.reactor import READ

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@pytest.fixture
def channel():
    channel = Channel.open()
    assert channel is not None
    yield channel
    channel.giving.close()
    channel.taking.close()


class Pair:
    """A giver and a taker, as two workers would be."""

    def __init__(self, channel):
        self.giver, self.heir = Told(), Told()
        self.heir.taken = 0
        self.connection, self.client = self.giver.connect()
        self.channel = channel
        self.taker = Taker(channel, {"": self.heir.origin()})
        self.taker.open()

    def close(self):
        self.client.close()
        for service in (self.giver, self.heir):
            for handler in list(service.reactor.handlers.values()):
                if isinstance(handler, Connection):
                    handler.close()
            service.reactor.close()


@pytest.fixture
def pair(channel):
    pair = Pair(channel)
    yield pair
    pair.close()


@given(listener=texts, host=texts, port=st.integers(0, 65535), own=st.dictionaries(texts, texts), read=st.binary())
def test_a_passage_comes_out_as_it_went_in(listener, host, port, own, read):
    passage = Passage(listener, (host, port), own, 3, read)
    assert unpack(passage.pack()) == passage


@pytest.mark.parametrize(
    "message", [pytest.param(b"", id="nothing"), pytest.param(b"\x02" + bytes(40), id="a later version")]
)
def test_what_is_not_understood_is_no_passage(message):
    assert unpack(message) is None


def test_an_idle_connection_goes_on_with_another_worker(pair):
    assert b"200 OK" in pair.giver.exchange_bytes(pair.client, GET)[0]

    assert movable(pair.connection)
    assert give(pair.connection, pair.channel)
    received, closed = pair.heir.exchange_bytes(pair.client, GET)

    assert b"200 OK" in received
    assert not closed
    assert (pair.giver.connections, pair.heir.connections, pair.heir.taken) == (0, 1, 1)


def test_a_request_that_came_before_the_move_is_answered_behind_it(pair):
    pair.client.sendall(GET)

    assert give(pair.connection, pair.channel)
    received, _ = pair.heir.exchange_bytes(pair.client, b"")

    assert received.count(b"200 OK") == 1
    assert pair.giver.told == []


@pytest.mark.parametrize("cut", range(1, len(GET)))
def test_a_head_that_has_begun_goes_on_where_it_was(pair, cut):
    pair.giver.exchange_bytes(pair.client, GET[:cut])

    assert movable(pair.connection)
    assert give(pair.connection, pair.channel)
    received, _ = pair.heir.exchange_bytes(pair.client, GET[cut:])

    assert received.count(b"200 OK") == 1
    assert pair.heir.told[0] == "begin GET /a HTTP/1.1"


def test_a_connection_in_transit_survives_its_sender(channel):
    pair = Pair(channel)
    assert give(pair.connection, channel)
    pair.giver.reactor.close()

    received, _ = pair.heir.exchange_bytes(pair.client, GET)

    assert b"200 OK" in received
    pair.client.close()
    pair.heir.until(lambda: pair.heir.connections == 0)
    pair.heir.reactor.close()


def test_a_body_that_is_coming_stays(pair):
    pair.giver.exchange_bytes(pair.client, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    assert not movable(pair.connection)


def test_a_head_larger_than_a_packet_stays(pair):
    pair.connection.inbound.buffer = bytearray(MOST_BYTES + 1)
    assert not movable(pair.connection)


def test_a_full_channel_takes_nothing_more_and_loses_nothing(channel):
    left, right = socket.socketpair()
    message = Passage("", ("", 0), {}, 0, bytes(MOST_BYTES)).pack()
    given = 0
    while channel.give(right.fileno(), message):
        given += 1

    assert given > 10
    for _ in range(given):
        taken = channel.take()
        assert taken is not None
        assert taken[1] == message
        os.close(taken[0])
    with pytest.raises(BlockingIOError):
        channel.take()
    left.close()
    right.close()


def test_a_message_of_another_version_is_given_back_and_left_alone_for_a_moment(channel):
    pair = Pair(channel)
    left, right = socket.socketpair()
    assert channel.give(right.fileno(), b"\x07 of the future")

    pair.taker.ready(READ)

    assert not pair.taker.opened
    taken = channel.take()
    assert taken is not None
    assert taken[1] == b"\x07 of the future"
    os.close(taken[0])
    left.close()
    right.close()
    pair.close()
