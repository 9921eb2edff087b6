"""RFC 9112 §5 and RFC 9110 §5: field lines."""

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


def field(line: bytes) -> bytes:
    return GET + line + b"\r\n\r\n"


def got(**fields: str | None) -> list[object]:
    return [{"fields": {key.removeprefix("cgi_"): value for key, value in fields.items()}}]


GRAMMAR = [
    ("a field", field(b"Accept: text/html"), got(HTTP_ACCEPT="text/html")),
    ("a name in any case", field(b"aCCEPT: a"), got(HTTP_ACCEPT="a")),
    ("no blank behind the colon", field(b"Accept:a"), got(HTTP_ACCEPT="a")),
    ("many blanks behind the colon", field(b"Accept:   a"), got(HTTP_ACCEPT="a")),
    ("a tab behind the colon", field(b"Accept:\ta"), got(HTTP_ACCEPT="a")),
    ("blanks and tabs behind the value", field(b"Accept: a \t "), got(HTTP_ACCEPT="a")),
    ("blanks and tabs inside the value", field(b"Accept: a \t b"), got(HTTP_ACCEPT="a \t b")),
    ("an empty value", field(b"Accept:"), got(HTTP_ACCEPT="")),
    ("a value of blanks", field(b"Accept:  \t "), got(HTTP_ACCEPT="")),
    ("a value with colons", field(b"Accept: a: b:c"), got(HTTP_ACCEPT="a: b:c")),
    ("a value that begins with a colon", field(b"Accept:: a"), got(HTTP_ACCEPT=": a")),
    ("a colon and a blank late in the line", field(b"Accept:a: b"), got(HTTP_ACCEPT="a: b")),
    ("obs-text in a value", field(b"X-Name: caf\xe9 \x80\xff"), got(HTTP_X_NAME="caf\xe9 \x80\xff")),
    ("a no-break space is not a blank to strip", field(b"X-Name: \xa0a\xa0"), got(HTTP_X_NAME="\xa0a\xa0")),
    ("NEL is not a line end", field(b"X-Name: a\x85b: c"), got(HTTP_X_NAME="a\x85b: c")),
    ("a name with every token character", field(b"X!#$%&'*+.^`|~09: a"), got(**{"HTTP_X!#$%&'*+.^`|~09": "a"})),
    ("a name of one letter", field(b"X: a"), got(HTTP_X="a")),
    ("a name that is a number", field(b"1: a"), got(HTTP_1="a")),
    ("a name of hyphens", field(b"--: a"), got(HTTP___="a")),
    ("a long name", field(b"X-" + b"a" * 300 + b": b"), got(**{"HTTP_X_" + "A" * 300: "b"})),
    ("Content-Type has no prefix", field(b"Content-Type: a/b"), got(cgi_CONTENT_TYPE="a/b", HTTP_CONTENT_TYPE=None)),
    ("no colon", field(b"Accept"), [400]),
    ("no colon but a blank", field(b"Accept a"), [400]),
    ("an equals sign for the colon", field(b"Accept=a"), [400]),
    ("an empty name", field(b": a"), [400]),
    ("a colon alone", field(b":"), [400]),
    ("a blank before the colon", field(b"Accept : a"), [400]),
    ("a tab before the colon", field(b"Accept\t: a"), [400]),
    ("a blank before Content-Length's colon", field(b"Content-Length : 5") + b"hello", [400]),
    ("a blank before Transfer-Encoding's colon", field(b"Transfer-Encoding : chunked") + b"0\r\n\r\n", [400]),
    ("a blank inside the name", field(b"X Name: a"), [400]),
    ("a folded line", field(b"X-Name: a\r\n b"), [400]),
    ("a line folded by a tab", field(b"X-Name: a\r\n\tb"), [400]),
    ("a folded line with a colon", field(b"X-Name: a\r\n b: c"), [400]),
    ("a folded Transfer-Encoding", field(b"Transfer-Encoding:\r\n chunked") + b"0\r\n\r\n", [400]),
    ("a folded Content-Length", field(b"Content-Length:\r\n 5") + b"hello", [400]),
    ("a folded line of blanks", field(b"X-Name: a\r\n  "), [400]),
    ("a blank before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", [400]),
    ("a tab before the first field", b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", [400]),
    ("a line of blanks before the first field", b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", [400]),
    ("a request line in the place of a field", field(b"GET / HTTP/1.1"), [400]),
    *[
        (f"a name with {name}", field(b"X-N" + byte + b"ame: a"), [400])
        for name, byte in {
            "parentheses": b"()", "a comma": b",", "a slash": b"/", "a semicolon": b";", "angle brackets": b"<>",
            "an equals sign": b"=", "a question mark": b"?", "an at": b"@", "brackets": b"[]", "a backslash": b"\\",
            "braces": b"{}", "a quote": b'"', "a NUL": b"\0", "a DEL": b"\x7f", "obs-text": b"\xe9", "a bare CR": b"\r",
            "UTF-8": "é".encode(), "a no-break space": b"\xa0", "a vertical tab": b"\x0b", "a form feed": b"\x0c",
            "the long s, which lower() makes an s": "ſ".encode(),
        }.items()
    ],
    *[
        (f"a value with the control {code:#04x}", field(b"X-Name: a" + bytes([code]) + b"b"), [400])
        for code in [*range(9), *range(10, 32), 127]
    ],
    *[
        (f"a value that {where} with {name}", field(value), [400])
        for name, byte in {"a NUL": b"\0", "a vertical tab": b"\x0b", "a bare CR": b"\r", "a DEL": b"\x7f"}.items()
        for where, value in {"begins": b"X-Name: " + byte + b"a", "ends": b"X-Name: a" + byte}.items()
    ],
    ("a bare LF ends a field", GET + b"X: a\nY: b\r\n\r\n", [400]),
    ("a bare LF ends the last field", GET + b"X: a\n\r\n\r\n", [400]),
    ("a bare LF ends the head", GET + b"X: a\r\n\n", [400]),
    ("two bare LFs end the head", GET + b"X: a\n\n", [400]),
    ("a bare CR ends a field", GET + b"X: a\rY: b\r\n\r\n", [400]),
    ("two CRs before the LF", GET + b"X: a\r\r\nY: b\r\n\r\n", [400]),
    ("a CR apart from its LF", GET + b"X: a\rb\n\r\n\r\n", [400]),
    ("a CR and its LF around the name", GET + b"\rX\n: a\r\n\r\n", [400]),
    ("LF CR for CR LF", GET + b"X: a\n\rY: b\r\n\r\n", [400]),
    ("a NUL before the head's end", GET + b"\0\r\n\r\n", [400]),
    ("a CR apart from its LF, before the head has ended", GET + b"X: a\rb\n", [400]),
    ("a control before the head has ended", GET + b"X: a\0", [400]),
    ("a bare LF before the head has ended", GET + b"X: a\n", [400]),
    ("no end", GET, [...]),
    ("no end but a CR", GET + b"X: a\r", [...]),
    ("no end but a CR LF and a CR", GET + b"X: a\r\n\r", [...]),
]  # fmt: skip

REPEATED = [
    ("a repeated field is a list", field(b"Accept: a\r\nAccept: b"), got(HTTP_ACCEPT="a,b")),
    ("a repeated field in other case", field(b"Accept: a\r\naccept: b"), got(HTTP_ACCEPT="a,b")),
    ("a field three times, apart", field(b"X-A: 1\r\nX-B: 0\r\nX-A: 2\r\nX-A: 3"), got(HTTP_X_A="1,2,3", HTTP_X_B="0")),
    ("a repeated field with an empty value", field(b"Accept: a\r\nAccept:"), got(HTTP_ACCEPT="a,")),
    ("cookies are joined by a semicolon", field(b"Cookie: a=1\r\nCookie: b=2"), got(HTTP_COOKIE="a=1; b=2")),
    ("two equal Content-Types", field(b"Content-Type: a\r\nContent-Type: a"), [400]),
    ("two different Content-Types", field(b"Content-Type: a\r\ncontent-type: b"), [400]),
    ("X-Forwarded-For through two proxies", field(b"X-Forwarded-For: a\r\nX-Forwarded-For: b, c"),
     got(HTTP_X_FORWARDED_FOR="a,b, c")),
]  # fmt: skip

# X_Real_IP and X-Real-IP would be one CGI key. Here both are read; which are believed is the gateway's to say.
UNDERSCORES = [
    ("an underscore is not a hyphen", field(b"X_Real_IP: 1"), got(_X_REAL_IP="1", HTTP_X_REAL_IP=None)),
    ("an underscore beside a hyphen", field(b"X-Real-IP: 1\r\nX_Real_IP: 2"), got(_X_REAL_IP="2", HTTP_X_REAL_IP="1")),
    ("an underscore among hyphens", field(b"X-Real_IP: 1"), got(HTTP_X_REAL_IP=None, **{"_X-REAL_IP": "1"})),
    ("Content_Length is no Content-Length", field(b"Content_Length: 5"),
     got(cgi_CONTENT_LENGTH=None, HTTP_CONTENT_LENGTH=None, _CONTENT_LENGTH="5")),
    ("Transfer_Encoding is no Transfer-Encoding", field(b"Transfer_Encoding: chunked"),
     got(HTTP_TRANSFER_ENCODING=None, _TRANSFER_ENCODING="chunked")),
    ("Content_Length doesn't quarrel with Content-Length", field(b"Content_Length: 9\r\nContent-Length: 2") + b"ab",
     [{"body": b"ab", "fields": {"CONTENT_LENGTH": "2"}}]),
    ("an underscore alone", field(b"_: a"), got(__="a")),
    ("a repeated underscore", field(b"X_A: 1\r\nx_a: 2"), got(_X_A="1,2")),
    ("HTTP_HOST is not Host", field(b"HTTP_HOST: b"), got(HTTP_HOST="a", _HTTP_HOST="b")),
    ("wsgi.url_scheme is a field like any other", field(b"wsgi.url_scheme: https"),
     got(**{"_WSGI.URL_SCHEME": "https"})),
]  # fmt: skip

CASES = GRAMMAR + REPEATED + UNDERSCORES
