"""Text and objects to values, and the words for what is wrong with them."""

import pytest

from corral.config import values
from corral.config.classes import LOGGER, logger_class, worker_class
from corral.config.values import BadValue

NOT_YET = "not supported yet; this version has sync, gthread and asgi"


@pytest.mark.parametrize(
    ("accept", "value", "wanted"),
    [
        pytest.param(values.text, "  x y ", "x y", id="text loses its blanks"),
        pytest.param(values.optional_text, " ", None, id="blank text is none"),
        pytest.param(values.optional_text, None, None, id="none stays none"),
        pytest.param(values.flag, True, True, id="a bool"),
        pytest.param(values.flag, "TRUE", True, id="true in any case"),
        pytest.param(values.flag, "y", True, id="y as in SENDFILE"),
        pytest.param(values.flag, " no ", False, id="no"),
        pytest.param(values.count, 0, 0, id="zero"),
        pytest.param(values.count, " 42 ", 42, id="a number as text"),
        pytest.param(values.count, "010", 10, id="a leading zero is no octal"),
        pytest.param(values.count, "0x10", 16, id="hexadecimal"),
        pytest.param(values.at_least(1), "1", 1, id="the least"),
        pytest.param(values.size, 1024, 1024, id="bytes"),
        pytest.param(values.size, "1024", 1024, id="bytes as text"),
        pytest.param(values.size, "512M", 512 << 20, id="megabytes"),
        pytest.param(values.size, "1.5 GiB", 3 << 29, id="one and a half"),
        pytest.param(values.size, "64kb", 64 << 10, id="small letters"),
        pytest.param(values.size, "0x1b", 27, id="hexadecimal bytes"),
        pytest.param(values.size, "0", 0, id="no limit to a size"),
        pytest.param(values.paths, "/,/a?b=c", ("/", "/a?b=c"), id="paths"),
        pytest.param(values.seconds, 30, 30.0, id="whole seconds"),
        pytest.param(values.seconds, "0.5", 0.5, id="half a second"),
        pytest.param(values.seconds, "0", 0.0, id="no limit"),
        pytest.param(values.mask, "022", 0o22, id="an octal mask"),
        pytest.param(values.mask, "0o27", 0o27, id="an octal mask in Python's way"),
        pytest.param(values.mask, "18", 0o22, id="a decimal mask as gunicorn reads it"),
        pytest.param(values.mask, "0x12", 0o22, id="a hexadecimal mask"),
        pytest.param(values.mask, 0o77, 0o77, id="a mask as a number"),
        pytest.param(values.names, "a, b,,c ", ("a", "b", "c"), id="names with commas between"),
        pytest.param(values.names, ["a ", "b"], ("a", "b"), id="a list of names"),
        pytest.param(values.names, None, (), id="no names"),
        pytest.param(values.capitals, "script_name", ("SCRIPT_NAME",), id="names in capitals"),
        pytest.param(values.networks, "10.0.0.0/8,::1,*", ("10.0.0.0/8", "::1", "*"), id="networks"),
        pytest.param(values.pairs, "A=b,c", ("A=b,c",), id="one pair with a comma"),
        pytest.param(values.pairs, ["A=1", "B="], ("A=1", "B="), id="two pairs"),
        pytest.param(values.pairs, "", (), id="no pairs"),
        pytest.param(values.headers, {"x-proto": "https"}, {"X-PROTO": "https"}, id="headers in capitals"),
        pytest.param(values.choice("a", "b"), " B ", "b", id="a choice in any case"),
        pytest.param(values.choice("warning", also={"warn": "warning"}), "warn", "warning", id="another spelling"),
        pytest.param(values.owner, "www", "www", id="a user's name"),
        pytest.param(values.owner, "33", 33, id="a user's number as text"),
        pytest.param(values.owner, 0, 0, id="root"),
        pytest.param(values.owner, None, None, id="no user"),
        pytest.param(values.count, True, 1, id="a bool for a number, as gunicorn has it"),
        pytest.param(values.seconds, False, 0.0, id="a bool for seconds"),
        pytest.param(values.proxy_mode, True, "auto", id="PROXY as a bool"),
        pytest.param(values.proxy_mode, False, "off", id="no PROXY as a bool"),
        pytest.param(values.proxy_mode, "true", "auto", id="PROXY as a bool's text"),
        pytest.param(values.proxy_mode, "0", "off", id="no PROXY as text"),
        pytest.param(values.metrics_address, "[::1]:8125", ("::1", 8125), id="an IPv6 address for metrics"),
        pytest.param(values.metrics_address, "unix:///run/statsd", "/run/statsd", id="a socket for metrics"),
        pytest.param(values.metrics_address, "unix:statsd", "unix://statsd", id="a relative socket for metrics"),
        pytest.param(values.metrics_address, "", None, id="no metrics"),
        pytest.param(values.table, '{"a": [1]}', {"a": [1]}, id="a table as text"),
        pytest.param(worker_class, "gunicorn.workers.gthread.ThreadWorker", "gthread", id="threads by their class"),
        pytest.param(worker_class, "egg:dist#name", "egg:dist#name", id="an entry point of somebody's"),
        pytest.param(worker_class, "uvicorn.workers.UvicornWorker", "uvicorn.workers.UvicornWorker", id="another's"),
        pytest.param(worker_class, "egg:gunicorn#asgi", "asgi", id="ASGI by its entry point"),
        pytest.param(worker_class, dict, dict, id="a class"),
        pytest.param(logger_class, "gunicorn.glogging.Logger", LOGGER, id="gunicorn's logger"),
        pytest.param(logger_class, None, LOGGER, id="no logger"),
        pytest.param(logger_class, "mine.Logger", "mine.Logger", id="somebody's logger"),
        pytest.param(worker_class, "sync", "sync", id="the worker class"),
        pytest.param(worker_class, "egg:gunicorn#sync", "sync", id="the worker class by its entry point"),
        pytest.param(
            worker_class, "gunicorn.workers.sync.SyncWorker", "sync", id="the worker class by its dotted name"
        ),
    ],
)
def test_what_is_accepted(accept, value, wanted):
    found = accept(value)
    assert found == wanted
    assert isinstance(found, type(wanted))


@pytest.mark.parametrize(
    ("accept", "value", "reason"),
    [
        pytest.param(values.text, 3, "must be a string, not int", id="a number for a text"),
        pytest.param(values.flag, "maybe", "must be true or false", id="a word for a flag"),
        pytest.param(values.flag, 1, "must be true or false", id="a number for a flag"),
        pytest.param(values.count, "two", "must be a whole number", id="a word for a number"),
        pytest.param(values.count, 1.5, "must be a whole number, not float", id="a fraction for a number"),
        pytest.param(values.count, "-1", "must not be negative", id="a negative number"),
        pytest.param(values.count, "²", "must be a whole number", id="a digit that is no number"),
        pytest.param(values.at_least(1), 0, "must be at least 1", id="too few"),
        pytest.param(values.size, "much", "must be a whole number", id="a word for a size"),
        pytest.param(values.size, "1.2.3M", "must be a number of bytes, such as 512M", id="no number with a unit"),
        pytest.param(values.size, "-1k", "must be a whole number", id="a negative size"),
        pytest.param(values.paths, "/a,b", "'b' must begin with a slash", id="a path without a slash"),
        pytest.param(values.seconds, "soon", "must be a number of seconds", id="a word for seconds"),
        pytest.param(values.seconds, "inf", "must be a number of seconds from 0", id="endless seconds"),
        pytest.param(values.seconds, float("nan"), "must be a number of seconds from 0", id="no number"),
        pytest.param(values.seconds, -0.5, "must be a number of seconds from 0", id="negative seconds"),
        pytest.param(values.seconds, None, "must be a number of seconds, not NoneType", id="none for seconds"),
        pytest.param(values.mask, "089", "must be an octal number such as 022", id="a mask with an 8"),
        pytest.param(values.mask, "", "must be an octal number such as 022", id="an empty mask"),
        pytest.param(values.mask, "01000", "must be between 0 and 0777", id="a mask that is too large"),
        pytest.param(values.names, 8000, "must be a list of strings, not int", id="a number for names"),
        pytest.param(values.names, ["a", 8000], "must be a string, not int", id="a number among names"),
        pytest.param(values.addresses, [], "must name at least one address", id="no address"),
        pytest.param(
            values.networks, "10.0.0.1/8",
            "10.0.0.1/8 has host bits set; write addresses, and networks such as 10.0.0.0/8",
            id="a network with host bits",
        ),
        pytest.param(values.pairs, ["A"], "'A' must be NAME=VALUE", id="a name without a value"),
        pytest.param(values.pairs, "=1", "'=1' must be NAME=VALUE", id="a value without a name"),
        pytest.param(values.pairs, {"A": 1}, "must be a list of strings, not dict", id="a dict for pairs"),
        pytest.param(values.headers, {"A": 1}, "must be a dict of header names and values", id="a header's number"),
        pytest.param(values.choice("a", "b"), "c", "must be one of a, b", id="no choice"),
        pytest.param(values.owner, 1.5, "must be a string, not float", id="a fraction of a user"),
        pytest.param(values.owner, -1, "must not be negative", id="a negative user"),
        pytest.param(worker_class, "gevent", NOT_YET, id="greenlets"),
        pytest.param(
            worker_class, "gunicorn.workers.gtornado.TornadoWorker", NOT_YET,
            id="tornado by its dotted name",
        ),
        pytest.param(
            worker_class, "egg:gunicorn#gevent_wsgi", NOT_YET, id="greenlets by their entry point"
        ),
        pytest.param(worker_class, 3, "must be a string, not int", id="a number for a class"),
        pytest.param(values.between(0, 2), 3, "must be from 0 to 2", id="too many"),
        pytest.param(values.names_of("h1", "h2"), "h1,h3", "must be one of h1, h2", id="HTTP/3"),
        pytest.param(values.proxy_mode, "v3", "must be one of off, v1, v2, auto", id="no version of PROXY"),
        pytest.param(values.metrics_address, "h", "must be HOST:PORT or unix://PATH", id="no port for metrics"),
        pytest.param(values.metrics_address, "h:x", "must be HOST:PORT or unix://PATH", id="a word for a port"),
        pytest.param(values.table, "[1]", "must be a dict with strings as keys", id="a list for a table"),
        pytest.param(values.table, {1: 2}, "must be a dict with strings as keys", id="a number as key"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_words_that_follow_the_settings_name(accept, value, reason):
    with pytest.raises(BadValue) as caught:
        accept(value)
    assert str(caught.value) == reason


def test_headers_can_be_hashed_as_a_frozen_config_must():
    assert hash(values.headers({"a": "b"})) == hash(values.Fixed({"A": "b"}))


def test_names_equal_the_list_that_gunicorn_has_there():
    names = values.names("a,b")
    assert names == ["a", "b"]
    assert names == ("a", "b")
    assert names != ["b", "a"]
    assert values.networks("*") in ("*", ["*"])
    assert hash(names) == hash(("a", "b"))
