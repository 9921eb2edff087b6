"""Settings that don't go together, and what a configuration lacks on this machine."""

import resource

import pytest

from corral.config.conflicts import CONFLICTS, conflicts_of
from corral.config.machine import lacking, scarce
from corral.config.settings import Config


def make_context(config, factory): ...


# The start of a sentence, and configurations of which it is true and isn't.
CASES = [
    ("graceful_timeout is longer", {"timeout": 5.0, "graceful_timeout": 9.0}, {"timeout": 0.0}),
    ("threads is for", {"threads": 2, "worker_class": "a.B"}, {"threads": 2, "worker_class": "gthread"}),
    ("reload with preload_app", {"reload": True, "preload_app": True}, {"reload": True}),
    ("reload_extra_files without", {"reload_extra_files": ("a",)}, {"reload_extra_files": ("a",), "reload": True}),
    ("max_requests_jitter without", {"max_requests_jitter": 5}, {"max_requests_jitter": 5, "max_requests": 9}),
    ("paste with an APP", {"paste": "a.ini", "wsgi_app": "a:b"}, {"paste": "a.ini"}),
    ("raw_paste_global_conf without", {"raw_paste_global_conf": ("A=b",)}, {}),
    ("keyfile without", {"keyfile": "k"}, {"keyfile": "k", "certfile": "c"}),
    ("certfile without keyfile", {"certfile": "c"}, {"certfile": "c", "ssl_context": make_context}),
    ("ca_certs, cert_reqs, ciphers and ssl_context", {"ciphers": "x"}, {"ciphers": "x", "certfile": "c"}),
    (
        "ca_certs without",
        {"certfile": "c", "keyfile": "k", "ca_certs": "a"},
        {"certfile": "c", "ca_certs": "a", "cert_reqs": 1},
    ),
    ("cert_reqs without", {"certfile": "c", "cert_reqs": 1}, {"certfile": "c", "cert_reqs": 1, "ca_certs": "a"}),
    ("statsd_prefix", {"statsd_prefix": "a"}, {"statsd_prefix": "a", "statsd_host": ("h", 1)}),
    ("syslog_prefix", {"syslog_prefix": "a"}, {"syslog_prefix": "a", "syslog": True}),
    ("only one of logconfig_dict", {"logconfig": "a", "logconfig_json": "b"}, {"logconfig": "a"}),
    ("capture_output with", {"capture_output": True}, {"capture_output": True, "errorlog": "e"}),
    ("enable_stdio_inheritance without", {"enable_stdio_inheritance": True}, {"daemon": True}),
    ("initgroups without", {"initgroups": True}, {"initgroups": True, "user": 33}),
    ("reuse_port is for", {"reuse_port": True, "bind": ("unix:a",)}, {"reuse_port": True, "bind": ("unix:a", ":1")}),
]


@pytest.mark.parametrize(("start", "held", "not_held"), CASES, ids=[case[0] for case in CASES])
def test_a_conflict_is_told_where_it_is_and_only_there(start, held, not_held):
    def told(given):
        return [each for each in conflicts_of(Config(**given)) if each.sentence.startswith(start)]

    assert len(told(held)) == 1
    assert told(not_held) == []


def test_each_conflict_has_its_case_and_the_defaults_have_none():
    assert len(CONFLICTS) == len(CASES)
    assert list(conflicts_of(Config())) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"certfile": "no.pem"}, ["certfile 'no.pem': there is no such file"], id="a certificate"),
        pytest.param(
            {"certfile": "there", "keyfile": "no.pem", "ca_certs": "/no.pem"},
            ["keyfile 'no.pem': there is no such file", "ca_certs '/no.pem': there is no such file"], id="two of three",
        ),
        pytest.param({"logconfig": "no"}, ["logconfig 'no': there is no such file"], id="a configuration of logs"),
        pytest.param({"logconfig_json": "."}, ["logconfig_json '.': there is no such file"], id="a directory"),
        pytest.param({"paste": "there#main"}, [], id="a section of a Paste file"),
        pytest.param({"paste": "config:there"}, [], id="a Paste file as a URI"),
        pytest.param({"paste": "egg:there"}, [], id="Paste without a file"),
        pytest.param({"paste": "no.ini#main"}, ["paste 'no.ini#main': there is no such file"], id="no Paste file"),
        pytest.param({"errorlog": "-", "accesslog": "a.log", "pidfile": "there"}, [], id="files to write"),
        pytest.param({"pidfile": "no/run.pid"}, ["pidfile 'no/run.pid': there is no directory {}/no"], id="of a pid"),
        pytest.param({"errorlog": "/no/e.log"}, ["errorlog '/no/e.log': there is no directory /no"], id="of a log"),
    ],
)  # fmt: skip
def test_what_is_lacking(tmp_path, given, words):
    (tmp_path / "there").write_text("")
    assert list(lacking(Config(**given), str(tmp_path))) == [word.replace("{}", str(tmp_path)) for word in words]


def test_the_limit_of_open_files_is_told_where_it_is_too_low():
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    (line,) = scarce(Config(worker_connections=soft, backlog=1))
    assert line.startswith(f"worker_connections {soft} needs {soft + 17} open files, the limit is {soft}; ")
    assert list(scarce(Config(worker_connections=soft - 17, backlog=1))) == []
