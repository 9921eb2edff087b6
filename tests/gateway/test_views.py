"""Requests and responses as hooks and loggers know them from gunicorn."""

import pytest

from corral.gateway.views import Request, Response

ENVIRON = {
    "REQUEST_METHOD": "POST",
    "RAW_URI": "/a%20b?c=1#d",
    "SERVER_PROTOCOL": "HTTP/1.0",
    "REMOTE_ADDR": "192.0.2.1",
    "REMOTE_PORT": "4711",
    "HTTP_HOST": "x",
    "CONTENT_TYPE": "text/plain",
    "HTTP_X_REQUEST_ID": "7",
    "wsgi.url_scheme": "https",
    "wsgi.input": "body",
}


def test_a_request_has_gunicorns_attributes() -> None:
    request = Request(ENVIRON)

    assert (request.method, request.uri, request.path) == ("POST", "/a%20b?c=1#d", "/a%20b")
    assert (request.query, request.fragment, request.version) == ("c=1", "d", (1, 0))
    assert request.headers == [("HOST", "x"), ("CONTENT-TYPE", "text/plain"), ("X-REQUEST-ID", "7")]
    assert request.peer_addr == request.remote_addr == ("192.0.2.1", 4711)
    assert (request.scheme, request.body, request.trailers) == ("https", "body", [])


def test_a_peer_of_a_unix_socket_has_no_address() -> None:
    assert Request({"REMOTE_ADDR": ""}).peer_addr == ""


@pytest.mark.parametrize(
    ("protocol", "connection", "closes"),
    [
        pytest.param("HTTP/1.1", None, False, id="1.1 goes on"),
        pytest.param("HTTP/1.1", "foo, Close", True, id="unless it says so"),
        pytest.param("HTTP/1.0", None, True, id="1.0 ends"),
        pytest.param("HTTP/1.0", "keep-alive", False, id="unless it says so, too"),
    ],
)
def test_whether_the_client_wants_to_close(protocol: str, connection: str | None, closes: bool) -> None:
    environ = {"SERVER_PROTOCOL": protocol} | ({"HTTP_CONNECTION": connection} if connection else {})

    assert Request(environ).should_close() is closes


def test_a_response_has_gunicorns_attributes() -> None:
    response = Response("201 Created", [("Content-Length", "12")], 12, keep_alive=True)

    assert (response.status, response.status_code, response.sent) == ("201 Created", 201, 12)
    assert (response.response_length, response.headers_sent) == (12, True)
    assert (response.is_chunked(), response.should_close()) == (False, False)


def test_a_response_that_never_began() -> None:
    response = Response("", (), 0)

    assert (response.status_code, response.response_length, response.should_close()) == (0, None, True)
