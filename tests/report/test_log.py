"""The error log: its lines, what can't be said in it, and that it survives whatever it writes to."""

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from corral.errors import ConfigError
from corral.report.file import PENDING, LogFile

STAMP = rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\] \[{os.getpid()}\] "


def messages(path: str | Path) -> list[str]:
    """Each record of a log without its time; a record must start with all that gunicorn's start with."""
    records = re.split(rf"^(?={STAMP})", Path(path).read_text(), flags=re.MULTILINE)
    assert records[0] == ""
    return [re.sub(STAMP, "", record, count=1).removesuffix("\n") for record in records[1:]]


@pytest.mark.parametrize(
    ("message", "values", "expected"),
    [
        pytest.param("Listening at: %s (%d)", ("http://[::1]:80", 12), "Listening at: http://[::1]:80 (12)", id="text"),
        pytest.param("%.1f s", (1.25,), "1.2 s", id="numbers stay numbers"),
        pytest.param("two\nlines", (), "two\nlines", id="a message may have lines of its own"),
        pytest.param("100%", (), "100%", id="a percent sign without values"),
        pytest.param("GET %s", ("/a\n[x] [CRITICAL] b",), r"GET /a\n[x] [CRITICAL] b", id="a value may not"),
        pytest.param("\n%s", ("\n",), "\n\\n", id="both at once"),
        pytest.param("%s", ("\r\x1b[2J\x85\u2028\u202e\x00",), r"\r\x1b[2J\x85\u2028\u202e\x00", id="controls"),
        pytest.param("%s", ("Grüße, 日本",), "Grüße, 日本", id="what prints stays as it is"),
        pytest.param("%s", ("\udce9",), r"\udce9", id="a byte of a file name that is no text"),
        pytest.param("%r", ("\n",), r"'\n'", id="repr escapes once"),
        pytest.param("%s", (ValueError("a\nb"),), r"a\nb", id="an exception's text"),
        pytest.param("%(a)s %(b)d", ({"a": "\n", "b": 3},), r"\n 3", id="values by name"),
        pytest.param("%d", ("x",), "%d (its arguments don't fit: TypeError)", id="a wrong type"),
        pytest.param("%s %s", ("x",), "%s %s (its arguments don't fit: TypeError)", id="too few values"),
    ],
)
def test_a_line(open_log: Any, message: str, values: tuple[Any, ...], expected: str) -> None:
    log = open_log()
    log.info(message, *values)
    assert messages(log.file.path) == [f"[INFO] {expected}"]


def test_a_traceback_keeps_its_lines_but_cannot_forge_a_record(open_log: Any) -> None:
    log = open_log()
    try:
        raise ValueError("no\n[2026-11-24 08:20:41 +0000] [1] [CRITICAL] forged\n\x1b[2J")
    except ValueError:
        log.exception("Error handling %s", "/")
    [record] = messages(log.file.path)
    lines = record.splitlines()
    assert lines[:2] == ["[ERROR] Error handling /", "Traceback (most recent call last):"]
    assert lines[-3:] == ["ValueError: no", " [2026-11-24 08:20:41 +0000] [1] [CRITICAL] forged", r"\x1b[2J"]


def test_each_method_has_its_level_and_the_level_is_obeyed(open_log: Any) -> None:
    log = open_log(loglevel="WARNING")
    for method in ("debug", "info", "warning", "error", "critical"):
        getattr(log, method)("x")
    assert messages(log.file.path) == ["[WARNING] x", "[ERROR] x", "[CRITICAL] x"]
    assert log.loglevel == logging.WARNING


def test_applications_reach_it_by_gunicorns_name(open_log: Any) -> None:
    log = open_log()
    logging.getLogger("gunicorn.error").warning("from %s", "the\napplication")
    logging.getLogger("gunicorn.error.child").warning("child")
    assert messages(log.file.path) == [r"[WARNING] from the\napplication", "[WARNING] child"]
    assert not log.error_log.propagate


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        pytest.param("inf", "did you mean 'info'?", id="a letter is missing"),
        pytest.param("Warn", "did you mean 'warning'?", id="an abbreviation"),
        pytest.param("42", "it is one of critical, error, warning, info, debug", id="nothing like it"),
    ],
)
def test_an_unknown_level_is_a_mistake(open_log: Any, name: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f"^loglevel '{name}' is unknown; {re.escape(hint)}$"):
        open_log(loglevel=name)


def test_a_file_that_cannot_be_opened_is_a_mistake(open_log: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^errorlog '.*' can't be opened: Is a directory$"):
        open_log(str(tmp_path))


def test_a_failed_reload_goes_back_to_the_log_before(open_log: Any, tmp_path: Path) -> None:
    first = open_log(str(tmp_path / "first"))
    second = open_log(str(tmp_path / "second"), loglevel="debug")
    first.debug("to the second")
    first.reinstate()
    second.debug("dropped")
    second.info("to the first")
    assert messages(tmp_path / "first") == ["[INFO] to the first"]
    assert messages(tmp_path / "second") == ["[DEBUG] to the second"]


def test_after_a_rotation_records_go_to_a_new_file(open_log: Any, tmp_path: Path) -> None:
    log = open_log()
    log.info("old")
    path = Path(log.file.path)
    path.rename(tmp_path / "error.log.1")
    log.reopen_files()
    log.info("new")
    assert messages(tmp_path / "error.log.1") == ["[INFO] old"]
    assert messages(path) == ["[INFO] new"]


def test_a_rotation_reopens_the_applications_files_too(open_log: Any, tmp_path: Path) -> None:
    log = open_log()
    logger = logging.getLogger("an.application")
    handler = logging.FileHandler(tmp_path / "app.log", mode="w")
    unused = logging.FileHandler(tmp_path / "unused.log", delay=True)
    logger.addHandler(handler)
    logger.addHandler(unused)
    try:
        (tmp_path / "app.log").rename(tmp_path / "app.log.1")
        log.reopen_files()
        logger.removeHandler(unused)
        logger.warning("new")
        assert (tmp_path / "app.log").read_text() == "new\n"
        assert not (tmp_path / "unused.log").exists()
    finally:
        logger.removeHandler(handler)
        handler.close()
        unused.close()


@pytest.fixture
def streams() -> Iterator[None]:
    """Descriptors 1 and 2 of this process, given back at the end."""
    saved = os.dup(1), os.dup(2)
    yield
    for fd, number in zip(saved, (1, 2), strict=True):
        os.dup2(fd, number)
        os.close(fd)


def test_captured_output_goes_to_the_log_and_follows_it(open_log: Any, tmp_path: Path, streams: None) -> None:
    log = open_log(capture=True)
    os.write(1, b"printed\n")
    Path(log.file.path).rename(tmp_path / "error.log.1")
    log.reopen_files()
    os.write(2, b"an error\n")
    assert (tmp_path / "error.log.1").read_text() == "printed\n"
    assert Path(log.file.path).read_text() == "an error\n"


def test_nothing_is_captured_when_the_log_is_stderr_itself(open_log: Any, streams: None) -> None:
    reader, writer = os.pipe()
    os.dup2(writer, 2)
    before = os.fstat(1)
    log = open_log("-", capture=True)
    log.info("x")
    assert os.fstat(1) == before
    assert re.fullmatch(rf"{STAMP}\[INFO\] x\n".encode(), os.read(reader, 1000))
    log.reopen_files()
    os.close(reader)
    os.close(writer)


def test_a_full_disk_loses_lines_not_the_process_and_says_how_many(open_log: Any, tmp_path: Path) -> None:
    log = open_log("/dev/full")
    for number in range(1000):
        log.error("%s %d", "x" * 100, number)
    log.file.path = str(tmp_path / "log")
    log.file.reopen()
    log.error("last")
    records = messages(tmp_path / "log")
    kept = len(records) - 2
    assert records[kept - 1] == f"[ERROR] {'x' * 100} {kept - 1}"
    assert records[kept] == "[ERROR] last"
    assert records[kept + 1] == f"[WARNING] {1000 - kept} lines of this log were lost: it could not be written"


@pytest.mark.parametrize("closed", ["reader", "writer"])
def test_a_closed_pipe_is_survived(open_log: Any, closed: str) -> None:
    reader, writer = os.pipe()
    log = open_log("-")
    log.file.fd = writer
    os.close(writer if closed == "writer" else reader)
    for _ in range(3):
        log.error("nobody hears this")
    assert log.file.pending.count(b"\n") == 3
    os.close(writer if closed == "reader" else reader)


def test_a_line_after_the_end_goes_nowhere(tmp_path: Path) -> None:
    file = LogFile("errorlog", str(tmp_path / "log"), 2)
    file.close()
    file.close()
    file.write(b"late\n")
    assert (tmp_path / "log").read_bytes() == b""


def test_a_line_that_was_cut_is_finished_before_the_next() -> None:
    reader, writer = os.pipe2(os.O_NONBLOCK)
    file = LogFile("errorlog", "-", writer)
    long = b"a" * 70000 + b"\n"
    file.write(long)
    assert len(file.pending) == len(long) - 65536
    file.write(b"next\n")
    read = os.read(reader, 100000)
    assert file.write(b"last\n") == 0
    assert read + os.read(reader, 100000) == long + b"next\nlast\n"
    os.close(reader)
    os.close(writer)


def test_what_is_kept_ends_with_a_whole_line() -> None:
    file = LogFile("errorlog", "-", os.open("/dev/full", os.O_WRONLY))
    file.write(b"x" * 999 + b"\n")
    file.write((b"y" * 999 + b"\n") * 100)
    assert len(file.pending) == PENDING // 1000 * 1000
    assert file.lost == 101 - PENDING // 1000
    file.write(b"z\n" * 1000)
    assert len(file.pending) <= PENDING
    assert file.pending.endswith(b"z\n")
    os.close(file.fd)
