"""What a stranger may make grow: each limit exactly met, and passed by one."""

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
SMALL = {"line": 300, "fields": 5, "field_size": 400, "body": 1000}
FRAME = len(b"GET / HTTP/1.1")


def line(length: int) -> bytes:
    return b"GET /" + b"a" * (length - FRAME) + b" HTTP/1.1\r\nHost: a\r\n\r\n"


def got(length: int) -> list[object]:
    return [{"target": "/" + "a" * (length - FRAME)}]


def fields(count: int) -> bytes:
    """Host is one of them."""
    return HEAD + b"".join(b"X-%d: a\r\n" % number for number in range(count - 1)) + b"\r\n"


def field(length: int) -> bytes:
    return HEAD + b"X: " + b"a" * (length - 3) + b"\r\n\r\n"


def post(length: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % length + b"a" * length


def chunks(*sizes: int) -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (size, b"a" * size) for size in sizes) + b"0\r\n\r\n"


def large_fields(count: int, length: int, last: int) -> bytes:
    """`count` fields of `length` bytes and one of `last` bytes; Host is one more."""
    lines = [b"X-%03d: " % number + b"a" * (length - 7) for number in range(count)]
    return HEAD + b"\r\n".join([*lines, b"X-999: " + b"a" * (last - 7)]) + b"\r\n\r\n"


def body(length: int) -> list[object]:
    return [{"method": "POST", "body": b"a" * length}]


CASES = [
    ("a request line at its limit", line(300), got(300), SMALL),
    ("a request line past its limit", line(301), [414], SMALL),
    ("a request line far past its limit", line(5000), [414], SMALL),
    ("a request line at gunicorn's limit", line(4094), got(4094)),
    ("a request line past gunicorn's limit", line(4095), [414]),
    ("a request line without an end", b"GET /" + b"a" * 5000, [414]),
    ("a request line at its limit that hasn't ended", line(300)[:300], [...], SMALL),
    ("a request line past its limit that hasn't ended", b"GET /" + b"a" * 297, [414], SMALL),
    ("a request line without a limit", line(20000), got(20000), {"line": 0}),
    ("an empty line doesn't count", b"\r\n" + line(300), got(300), SMALL),
    ("an empty line doesn't excuse", b"\r\n" + line(301), [414], SMALL),
    ("as many fields as may be", fields(5), [{}], SMALL),
    ("one field too many", fields(6), [431], SMALL),
    ("a hundred fields", fields(100), [{}]),
    ("101 fields", fields(101), [431]),
    ("fields without a limit", fields(2000), [{}], {"fields": 0}),
    ("equal fields count as well", HEAD + b"X: a\r\n" * 5 + b"\r\n", [431], SMALL),
    ("a field at its limit", field(400), [{}], SMALL),
    ("a field past its limit", field(401), [431], SMALL),
    ("a field at gunicorn's limit", field(8190), [{}]),
    ("a field past gunicorn's limit", field(8191), [431]),
    ("a field without a limit", field(20000), [{}], {"field_size": 0}),
    ("a field without a limit has one after all", field(70000), [431], {"field_size": 0}),
    ("Host past the limit", b"GET / HTTP/1.1\r\nHost: " + b"a" * 400 + b"\r\n\r\n", [431], SMALL),
    ("fields at their limit together", large_fields(3, 400, 400), [{}], SMALL),
    ("large fields up to 65536 bytes together", large_fields(8, 8000, 65536 - 8 * 8002 - 9), [{}]),
    ("large fields past 65536 bytes together", large_fields(8, 8000, 65536 - 8 * 8002 - 8), [431]),
    ("large fields far past it", large_fields(50, 8000, 8000), [431]),
    ("fields without an end", HEAD + b"X: a\r\n" * 20000, [431]),
    ("a field without an end", HEAD + b"X: " + b"a" * 200000, [431]),
    ("a body at its limit", post(1000), body(1000), SMALL),
    ("a body past its limit", post(1001), [413], SMALL),
    ("a body past its limit that hasn't come", post(1001)[:-1001], [413], SMALL),
    ("a body without a limit", post(100000), body(100000)),
    ("a chunk at the limit of the body", chunks(1000), body(1000), SMALL),
    ("a chunk past the limit of the body", chunks(1001), [413], SMALL),
    ("chunks at the limit of the body", chunks(500, 499, 1), body(1000), SMALL),
    ("chunks past the limit of the body", chunks(500, 499, 2), [413], SMALL),
    ("a chunk that would pass the limit", chunks(500)[:-5] + b"fffffffffffffff\r\n", [413], SMALL),
    ("a body at its limit, twice", post(1000) * 2, body(1000) * 2, SMALL),
]  # fmt: skip
