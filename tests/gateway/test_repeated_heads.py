"""A response with the status and headers of the one before reuses its head; every difference is seen."""

import pytest

from corral.gateway.exchange import Exchange
from corral.http.head import HTTP_1_0, HTTP_1_1
from corral.http.response import Heads

HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "2")]


def fresh_heads():
    heads = Heads("corral")
    heads.set_date("Tue, 24 Nov 2026 05:30:00 GMT")
    return heads


def answer(heads, status="200 OK", headers=HEADERS, body=b"hi", method="GET", version=HTTP_1_1, keep_alive=True):
    sent = []
    exchange = Exchange(heads, method, version, keep_alive, lambda data, last=False: sent.append(bytes(data)))
    exchange.start_response(status, headers)
    exchange.send_whole(body)
    return b"".join(sent)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"status": "404 Not Found"}, id="another status"),
        pytest.param({"headers": [*HEADERS, ("X-A", "1")]}, id="one header more"),
        pytest.param({"headers": HEADERS[1:]}, id="one header less"),
        pytest.param({"headers": [("Content-Type", "text/html"), HEADERS[1]]}, id="another value"),
        pytest.param({"body": b"long"}, id="a longer body than its Content-Length"),
        pytest.param({"body": b"h"}, id="a shorter body than its Content-Length"),
        pytest.param({"method": "HEAD"}, id="HEAD"),
        pytest.param({"version": HTTP_1_0}, id="HTTP/1.0"),
        pytest.param({"keep_alive": False}, id="the connection ends"),
    ],
)
def test_a_difference_makes_a_head_of_its_own(changed):
    used, fresh = fresh_heads(), fresh_heads()
    first = answer(used)
    assert answer(used) == first
    assert answer(used, **changed) == answer(fresh, **changed) != first


def test_a_list_that_the_application_changes_in_place_is_a_difference():
    used, headers = fresh_heads(), list(HEADERS)
    answer(used, headers=headers)
    headers[0] = ("Content-Type", "text/html")
    assert b"text/html" in answer(used, headers=headers)


def test_the_date_goes_on():
    used = fresh_heads()
    answer(used)
    used.set_date("Tue, 24 Nov 2026 05:30:01 GMT")
    assert b"05:30:01" in answer(used)


def test_a_head_that_ended_a_connection_comes_again_and_turns_into_one_that_does_not():
    used, fresh = fresh_heads(), fresh_heads()
    last = answer(used, keep_alive=False)
    assert b"\r\nConnection: close\r\n\r\n" in last
    assert answer(used) == answer(fresh)
    assert answer(used, keep_alive=False) == last
