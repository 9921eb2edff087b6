"""Each line of the access log, for each kind of request; and that no request can make two of one."""

import json
import os
import re
import string
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corral.errors import ConfigError
from corral.report.access import AccessLog, compile_format

DEFAULT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
BROWSER = {
    "REMOTE_ADDR": "203.0.113.7",
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/a%20b?page=2",
    "PATH_INFO": "/a b",
    "QUERY_STRING": "page=2",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "example.com",
    "HTTP_REFERER": "https://example.com/",
    "HTTP_USER_AGENT": "Mozilla/5.0 (X11; Linux x86_64; rv:133.0)",
    "CONTENT_TYPE": "text/plain",
    "wsgi.url_scheme": "https",
}
HEADERS = [("Content-Type", "text/html"), ("ETag", 'W/"1"'), ("X-Twice", "first"), ("x-twice", "last")]
MOMENT = 1795508441.25
PID = 4711


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def line_of(
    layout: str, environ: dict[str, Any], *, status: str = "200 OK", sent: int = 512, seconds: float = 0.0
) -> str:
    made = compile_format(layout, PID)
    line = made.line(environ, status, HEADERS, sent, seconds, MOMENT, made.stamp(MOMENT)).decode()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    return line[:-1]


@pytest.mark.parametrize(
    ("changes", "answer", "expected"),
    [
        pytest.param(
            {},
            {},
            '203.0.113.7 - - [24/Nov/2026:08:20:41 +0000] "GET /a%20b?page=2 HTTP/1.1" 200 512 '
            '"https://example.com/" "Mozilla/5.0 (X11; Linux x86_64; rv:133.0)"',
            id="a browser's request",
        ),
        pytest.param(
            {"HTTP_REFERER": None, "HTTP_USER_AGENT": None},
            {"status": "304 Not Modified", "sent": 0},
            '203.0.113.7 - - [24/Nov/2026:08:20:41 +0000] "GET /a%20b?page=2 HTTP/1.1" 304 - "-" "-"',
            id="no body, no referer, no user agent",
        ),
        pytest.param(
            {"REMOTE_ADDR": "", "HTTP_REFERER": "", "HTTP_USER_AGENT": ""},
            {},
            '- - - [24/Nov/2026:08:20:41 +0000] "GET /a%20b?page=2 HTTP/1.1" 200 512 "" ""',
            id="a unix socket has no address, and a header may be empty",
        ),
        pytest.param(
            {"HTTP_AUTHORIZATION": "basic YWxpY2U6c2VjcmV0", "HTTP_REFERER": None},
            {},
            '203.0.113.7 - alice [24/Nov/2026:08:20:41 +0000] "GET /a%20b?page=2 HTTP/1.1" 200 512 "-" '
            '"Mozilla/5.0 (X11; Linux x86_64; rv:133.0)"',
            id="a user",
        ),
        pytest.param(
            dict.fromkeys(BROWSER),
            {"status": "400 -", "sent": 0},
            '- - - [24/Nov/2026:08:20:41 +0000] "-" 400 - "-" "-"',
            id="a request that could not be read at all",
        ),
        pytest.param(
            {"REQUEST_METHOD": None, "SERVER_PROTOCOL": None},
            {"status": ""},
            '203.0.113.7 - - [24/Nov/2026:08:20:41 +0000] "- /a%20b?page=2 -" - 512 "https://example.com/" '
            '"Mozilla/5.0 (X11; Linux x86_64; rv:133.0)"',
            id="a request that could be read in part",
        ),
    ],
)
def test_the_default_format(changes: dict[str, str | None], answer: dict[str, Any], expected: str) -> None:
    environ = {key: value for key, value in {**BROWSER, **changes}.items() if value is not None}
    assert line_of(DEFAULT, environ, **answer) == expected


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        pytest.param("%(m)s %(U)s %(q)s %(H)s", "GET /a b page=2 HTTP/1.1", id="the request in parts"),
        pytest.param("%(B)s %(b)s", "0 -", id="B says 0 where b says nothing"),
        pytest.param("%(T)s %(D)s %(M)s %(L)s", "3 3141593 3141 3.141593", id="duration in s, us, ms, decimal s"),
        pytest.param("%(p)s", "<4711>", id="the process"),
        pytest.param("%({host}i)s %({Content-Type}i)s %({X-None}i)s", "example.com text/plain -", id="request headers"),
        pytest.param("%({content-TYPE}o)s %({X-Twice}o)s %({A}o)s", "text/html last -", id="response headers"),
        pytest.param("%({wsgi.url_scheme}e)s %({remote_addr}e)s %({A}e)s", "https 203.0.113.7 -", id="environ"),
        pytest.param("%(D)09d %(s)5s|%(m)-5s|%(U).2s|", "003141593   200|GET  |/a|", id="widths"),
        pytest.param("100%% → \t%(s)s", "100% → \t200", id="what a format says itself stays as it is"),
        pytest.param("", "", id="an empty format"),
        pytest.param('{"%(h)s"}\\ {} {0} %(s)s', '{"203.0.113.7"}\\ {} {0} 200', id="braces and backslashes"),
    ],
)
def test_each_atom(layout: str, expected: str) -> None:
    assert line_of(layout, BROWSER, sent=0, seconds=3.1415927) == expected


def test_durations_agree_though_a_float_is_never_exact() -> None:
    assert line_of("%(T)s %(D)s %(M)s %(L)s", {}, seconds=1 - 1e-9) == "1 1000000 1000 1.000000"


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        pytest.param("Basic " + "YWxpY2U6c2VjcmV0", "alice", id="name and password"),
        pytest.param("BASIC YWxpY2U=", "alice", id="no password"),
        pytest.param("Basic OnNlY3JldA==", "-", id="no name"),
        pytest.param("Basic Ym9iIFsxXTp4", "bob%20[1]", id="a blank would shift the columns"),
        pytest.param("Basic YQoieA==", r"a\x0a\x22x", id="a line end and a quote"),
        pytest.param("Basic w6k6eA==", r"\xe9", id="a name in UTF-8"),
        pytest.param("Basic /zp4", "-", id="a name in no encoding"),
        pytest.param("Basic !", "-", id="not base64"),
        pytest.param("Basic é", "-", id="not ASCII"),
        pytest.param("Basic", "-", id="nothing"),
        pytest.param("Bearer YWxpY2U6c2VjcmV0", "-", id="another scheme"),
    ],
)
def test_the_user(authorization: str, expected: str) -> None:
    assert line_of("%(u)s", {"HTTP_AUTHORIZATION": authorization}) == expected


@pytest.mark.parametrize(
    ("layout", "hint"),
    [
        pytest.param("%(h)s %(z)s", r"'%\(z\)s' at character 7: there is no atom 'z'", id="unknown"),
        pytest.param("%({host}x)s", r"there is no atom '{host}x'", id="a kind of field that is none"),
        pytest.param("%({}i)s", r"there is no atom", id="a field without a name"),
        pytest.param("%h %r", r"'%h' at character 1: write %\(h\)s", id="Apache's way to write it"),
        pytest.param("100% %(s)s", r"a percent sign is written %%", id="a bare percent sign"),
        pytest.param("%(s)s 100%", r"'%' at character 10: a percent sign is written %%", id="one at the end"),
        pytest.param("%(s)", r"'%\(s\)' at character 1: write %\(s\)s", id="no conversion"),
        pytest.param("%(s)d", r"write %\(s\)s", id="text as a number"),
        pytest.param("%(D)q", r"write %\(D\)s or %\(D\)d", id="no such conversion"),
        pytest.param("%(h", r"a percent sign is written %%", id="never closed"),
        pytest.param("%(h)*s", r"write %\(h\)s", id="a width that is an argument"),
    ],
)
def test_a_malformed_format_is_refused_at_start(layout: str, hint: str) -> None:
    with pytest.raises(ConfigError, match="^access_log_format: .*" + hint):
        compile_format(layout, PID)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('a\n127.0.0.1 - - "GET / HTTP/1.1"', r"a\x0a127.0.0.1 - - \x22GET / HTTP/1.1\x22", id="a line"),
        pytest.param("a\rb\x0bc\x0cd\x1ce", r"a\x0db\x0bc\x0cd\x1ce", id="every other line end"),
        pytest.param("a\x85b\u2028c", r"a\x85b\u2028c", id="the line ends of Unicode"),
        pytest.param("\x1b[2J\x9b2J\x7f\x00\t", r"\x1b[2J\x9b2J\x7f\x00\x09", id="a terminal's controls"),
        pytest.param('\\" x', r"\x5c\x22 x", id="a quote that is escaped already"),
        pytest.param(r"\x22", r"\x5cx22", id="what looks like an escape"),
        pytest.param("caf\xc3\xa9", r"caf\xc3\xa9", id="bytes of UTF-8"),
        pytest.param("\udc80\U0001f600", r"\udc80\U0001f600", id="what is no byte at all"),
        pytest.param("%(h)s {pid} %s", "%(h)s {pid} %s", id="a format in a value is text"),
    ],
)
@pytest.mark.parametrize("key", ["HTTP_USER_AGENT", "RAW_URI", "REQUEST_METHOD", "REMOTE_ADDR"])
def test_a_request_cannot_forge_a_line(key: str, text: str, expected: str) -> None:
    clean = line_of(DEFAULT, {**BROWSER, key: "MARK"})
    assert line_of(DEFAULT, {**BROWSER, key: text}) == clean.replace("MARK", expected)


@pytest.mark.parametrize("layout", ["%({X-A}i)s", "%({X_A}e)s", "%({x.a}e)s", "%({X-A}o)s", "%(a)s|%(a)70s"])
@given(text=st.text(st.characters(exclude_categories=())))
def test_any_text_is_printable_ascii(layout: str, text: str) -> None:
    made = compile_format(layout, PID)
    environ = {"HTTP_X_A": text, "X_A": text, "x.a": text, "HTTP_USER_AGENT": text}
    line = made.line(environ, "200 OK", [("X-A", text)], 0, 0.0, MOMENT, "").decode("ascii")
    assert line[:-1].isprintable()
    assert '"' not in line
    assert line[-1] == "\n"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param(8000, "8000", id="a number"),
        pytest.param(b'"', r"b'\x22'", id="bytes"),
        pytest.param(Unprintable(), "<Unprintable>", id="what has no text"),
        pytest.param(None, "-", id="None"),
    ],
)
def test_an_environ_may_hold_anything(value: object, expected: str) -> None:
    assert line_of("%({x.y}e)s", {"x.y": value}) == expected


# JSON


def meaning(text: str) -> str:
    """What the bytes of an environ's str mean, and how json sees what no Unicode text contains."""
    try:
        text = text.encode("latin-1").decode()
    except UnicodeError:
        pass
    return str(json.loads(json.dumps(text)))


def test_a_json_line() -> None:
    environ = {**BROWSER, "HTTP_X_REQUEST_ID": "r-1", "PATH_INFO": "/caf\xc3\xa9"}
    line = line_of("json", environ, status="201 Created", seconds=0.0314159)
    assert line == (
        '{"time":"2026-11-24T08:20:41.250+00:00","remote_addr":"203.0.113.7","method":"GET","path":"/caf\\u00e9",'
        '"query":"page=2","protocol":"HTTP/1.1","status":201,"bytes":512,"duration_ms":31.416,'
        '"referer":"https://example.com/","user_agent":"Mozilla/5.0 (X11; Linux x86_64; rv:133.0)",'
        '"request_id":"r-1","pid":4711,"host":"example.com"}'
    )


def test_a_json_line_of_a_request_that_could_not_be_read() -> None:
    record = json.loads(line_of("json", {"REMOTE_ADDR": ""}, status="", sent=0))
    assert record.pop("time") == "2026-11-24T08:20:41.250+00:00"
    assert {key for key, value in record.items() if value is not None} == {"bytes", "duration_ms", "pid"}


@given(text=st.text(st.characters(exclude_categories=())))
def test_json_gives_every_text_back(text: str) -> None:
    keys = ("REMOTE_ADDR", "REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "HTTP_USER_AGENT", "HTTP_HOST")
    line = line_of("json", dict.fromkeys(keys, text))
    assert line.isascii()
    record = json.loads(line)
    assert record["remote_addr"] == (meaning(text) or None)
    for key in ("method", "path", "query", "user_agent", "host"):
        assert record[key] == meaning(text)


JSON_TEMPLATE = '{"agent": "%(a)s", "status": %(s)s, "µs": %(D)d, "short": "%(a).3s", "r": "%({X-A}o)s"}'


@given(text=st.text(st.characters(exclude_categories=())))
def test_a_json_template_of_the_users_own_stays_json(text: str) -> None:
    record = json.loads(line_of(JSON_TEMPLATE, {"HTTP_USER_AGENT": text}, seconds=1.5))
    assert record == {"agent": meaning(text), "status": 200, "µs": 1500000, "short": meaning(text[:3]), "r": "-"}


# The file


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def add(log: AccessLog, *names: str, now: float = MOMENT) -> None:
    for name in names:
        log.request({"RAW_URI": name, "REQUEST_METHOD": "GET"}, "200 OK", (), 0, 0.0, now)


def test_lines_are_written_at_a_flush_in_one_piece(target: Path) -> None:
    log = AccessLog(str(target), "%(t)s %(r)s %(p)s", own_pid=PID)
    add(log, "/1")
    add(log, "/2", now=MOMENT + 0.5)
    add(log, "/3", now=MOMENT + 1)
    add(log, "/4", now=MOMENT - 3600)
    assert target.read_text() == ""
    log.flush()
    assert target.read_text().splitlines() == [
        "[24/Nov/2026:08:20:41 +0000] GET /1 - <4711>",
        "[24/Nov/2026:08:20:41 +0000] GET /2 - <4711>",
        "[24/Nov/2026:08:20:42 +0000] GET /3 - <4711>",
        "[24/Nov/2026:07:20:41 +0000] GET /4 - <4711>",
    ]
    log.close()


def test_the_process_is_this_one_unless_said_otherwise(target: Path) -> None:
    log = AccessLog(str(target), "%(p)s")
    add(log, "/")
    log.close()
    assert target.read_text() == f"<{os.getpid()}>\n"


def test_a_full_buffer_is_written_without_a_flush(target: Path) -> None:
    log = AccessLog(str(target), "%(r)s")
    add(log, *("/" * 1000 for _ in range(17)))
    written = target.read_text()
    assert 16384 < len(written) <= 17 * 1010
    assert written.endswith("\n")
    log.close()


def test_after_a_rotation_lines_go_to_a_new_file(target: Path) -> None:
    log = AccessLog(str(target), "%(r)s")
    add(log, "/old")
    target.rename(target.with_suffix(".1"))
    log.reopen()
    add(log, "/new")
    log.close()
    assert target.with_suffix(".1").read_text() == "GET /old -\n"
    assert target.read_text() == "GET /new -\n"


def test_a_file_that_cannot_be_reopened_is_written_on(target: Path, open_log: Any) -> None:
    errors = Path(open_log().file.path)
    home = target.parent / "logs"
    home.mkdir()
    log = AccessLog(str(home / "access.log"), "%(r)s")
    home.rename(target.parent / "moved")
    log.reopen()
    add(log, "/still")
    log.close()
    assert (target.parent / "moved" / "access.log").read_text() == "GET /still -\n"
    assert "can't be reopened: No such file or directory; the old file is still written" in errors.read_text()


def test_a_file_that_cannot_be_opened_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^accesslog '.*/none/access.log' can't be opened: No such file"):
        AccessLog(str(tmp_path / "none" / "access.log"), DEFAULT)


def test_a_full_disk_is_said_once_and_so_is_its_end(target: Path, open_log: Any) -> None:
    errors = Path(open_log().file.path)
    log = AccessLog("/dev/full", "%(r)s")
    for _ in range(30):
        add(log, *(f"/{'x' * 100}/{number}" for number in range(100)))
        log.flush()
    assert errors.read_text().count("accesslog '/dev/full' can't be written: No space left on device") == 1
    assert len(log.file.pending) <= 65536
    log.file.path = str(target)
    log.file.reopen()
    add(log, "/last")
    log.close()
    lines = target.read_text().splitlines()
    assert all(re.fullmatch(r"GET /(x+/\d+|last) -", line) for line in lines)
    assert lines[-1] == "GET /last -"
    lost = 3001 - len(lines)
    assert f"accesslog '{target}' can be written again; {lost} lines were lost" in errors.read_text()


def test_a_pipe_that_nobody_reads_is_no_error_of_the_request(open_log: Any) -> None:
    errors = Path(open_log().file.path)
    reader, writer = os.pipe()
    log = AccessLog("-", "%(r)s")
    log.file.fd = writer
    os.close(reader)
    add(log, "/1")
    log.flush()
    log.flush()
    assert errors.read_text().count("can't be written: Broken pipe") == 1
    os.close(writer)


def test_to_a_pipe_go_only_pieces_that_it_takes_whole() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    log = AccessLog(f"/dev/fd/{writer}", "%(r)s")
    names = [f"/{letter * 900}" for letter in string.ascii_lowercase[:15]] + ["/" + "z" * 5000]
    for name in names:
        add(log, name)
    log.flush()
    assert os.read(reader, 65536).decode().splitlines() == [f"GET {name} -" for name in names]
    log.close()
    os.close(reader)
    os.close(writer)


def test_what_a_full_pipe_does_not_take_is_written_later() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    log = AccessLog("-", "%(r)s")
    log.file.fd = writer
    names = [f"/{number}/{'x' * 500}" for number in range(200)]
    for name in names:
        add(log, name)
    log.flush()
    read = b""
    while log.file.pending or len(read) < 200 * 500:
        read += os.read(reader, 65536)
        log.flush()
    assert read.decode().splitlines() == [f"GET {name} -" for name in names]
    os.close(reader)
    os.close(writer)
