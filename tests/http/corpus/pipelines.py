"""RFC 9112 §9.3.2: requests behind each other; §2.2: an empty line between them."""

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKS = b"PUT /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX: a\r\n\r\n"
LAST = b"GET /%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def get(number: int) -> dict[str, object]:
    return {"target": f"/{number}"}


def post(number: int) -> dict[str, object]:
    return {"method": "POST", "target": f"/{number}", "body": b"hello"}


def put(number: int) -> dict[str, object]:
    return {"method": "PUT", "target": f"/{number}", "body": b"hello"}


CASES = [
    ("nothing", b"", []),
    ("two requests", GET % 1 + GET % 2, [get(1), get(2)]),
    ("five requests", b"".join(GET % number for number in range(5)), [get(number) for number in range(5)]),
    ("five equal requests", GET % 1 * 5, [get(1)] * 5),
    ("five equal requests with bodies", POST % 1 * 5, [post(1)] * 5),
    ("five equal requests with chunks", CHUNKS % 1 * 5, [put(1)] * 5),
    ("a body and then none", POST % 1 + GET % 2, [post(1), get(2)]),
    ("no body and then one", GET % 1 + POST % 2, [get(1), post(2)]),
    ("bodies of every kind in turn", GET % 1 + POST % 2 + CHUNKS % 3 + POST % 4 + GET % 5,
     [get(1), post(2), put(3), post(4), get(5)]),
    ("chunks and then a request", CHUNKS % 1 + GET % 2, [put(1), get(2)]),
    ("a fifth request that is bad", GET % 1 * 4 + b"BAD\r\n\r\n", [*[get(1)] * 4, 400]),
    ("a bad request hides those behind it", GET % 1 + b"BAD\r\n\r\n" + GET % 2, [get(1), 400]),
    ("a second request that hasn't all come", GET % 1 + b"GET /2 HTTP/1.1\r\nHost", [get(1), ...]),
    ("a second body that hasn't all come", POST % 1 + (POST % 2)[:-1], [post(1), ...]),
    ("a last request", GET % 1 + LAST % 2 + GET % 3, [get(1), {**get(2), "keep_alive": False}]),
    ("many small requests", GET % 1 * 500, [get(1)] * 500),
    ("an empty line before the first request", b"\r\n" + GET % 1, [get(1)]),
    ("an empty line between two requests", GET % 1 + b"\r\n" + GET % 2, [get(1), get(2)]),
    ("an empty line behind a body", POST % 1 + b"\r\n" + GET % 2, [post(1), get(2)]),
    ("an empty line behind chunks", CHUNKS % 1 + b"\r\n" + GET % 2, [put(1), get(2)]),
    ("an empty line behind the last request is nothing", POST % 1 + b"\r\n", [post(1)]),
    ("an empty line alone is nothing", b"\r\n", []),
    ("a CR alone is the beginning of something", b"\r", [...]),
    ("two empty lines before the first request", b"\r\n\r\n" + GET % 1, [400]),
    ("two empty lines alone", b"\r\n\r\n", [400]),
    ("two empty lines between requests", GET % 1 + b"\r\n\r\n" + GET % 2, [get(1), 400]),
    ("a bare LF before the first request", b"\n" + GET % 1, [400]),
    ("a bare LF alone", b"\n", [400]),
    ("a bare CR before the first request", b"\r" + GET % 1, [400]),
    ("an empty line and a bare LF", b"\r\n\n" + GET % 1, [400]),
    ("an empty line and a bare CR", b"\r\n\r" + GET % 1, [400]),
    ("a blank before the first request", b" " + GET % 1, [400]),
    ("a line of a blank before the first request", b" \r\n" + GET % 1, [400]),
    ("a NUL between requests", GET % 1 + b"\0" + GET % 2, [get(1), 400]),
    ("a body one byte longer than its length", POST % 1 + b"!" + GET % 2, [post(1), 501]),
    ("a length that hides a request", b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 34\r\n\r\n" + GET % 2 + GET % 3,
     [{"method": "POST", "target": "/1", "body": GET % 2 + b"GET /3"}, 400]),
]  # fmt: skip
