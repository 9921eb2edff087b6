"""Each of gunicorn's 120 settings from each source: the same value, and the order of the sources holds for all."""

import dataclasses
import shlex
import sys

import pytest

from corral.config.draft import Draft
from corral.config.load import load_config
from corral.config.settings import NO_HOOK, Config, rows

FORMAT = '%(h)s "%(r)s" %({x-id}i)s'
# name: gunicorn's flags, a value as text, as an object in a file, and in Config. The default it is not.
VALUES = [
    ("config", "-c --config", "other.py", None, "other.py"),
    ("wsgi_app", "", "shop:app", "shop:app", "shop:app"),
    ("bind", "-b --bind", "h:1", ["h:1"], ("h:1",)),
    ("backlog", "--backlog", "0x10", 16, 16),
    ("workers", "-w --workers", "3", 3, 3),
    ("worker_class", "-k --worker-class", "mine.MyWorker", "mine.MyWorker", "mine.MyWorker"),
    ("threads", "--threads", "4", 4, 4),
    ("worker_connections", "--worker-connections", "50", 50, 50),
    ("max_requests", "--max-requests", "1000", 1000, 1000),
    ("max_requests_jitter", "--max-requests-jitter", "50", 50, 50),
    ("timeout", "-t --timeout", "120", 120, 120.0),
    ("graceful_timeout", "--graceful-timeout", "7.5", 7.5, 7.5),
    ("keepalive", "--keep-alive", "5", 5, 5.0),
    ("limit_request_line", "--limit-request-line", "8190", 8190, 8190),
    ("limit_request_fields", "--limit-request-fields", "20", 20, 20),
    ("limit_request_field_size", "--limit-request-field_size", "100", 100, 100),
    ("reload_engine", "--reload-engine", "poll", "poll", "poll"),
    ("reload_extra_files", "--reload-extra-file", "a/*.html", ["a/*.html"], ("a/*.html",)),
    ("chdir", "--chdir", "sub", "sub", "sub"),
    ("raw_env", "-e --env", "A=b,c", ["A=b,c"], ("A=b,c",)),
    ("pidfile", "-p --pid", "run.pid", "run.pid", "run.pid"),
    ("worker_tmp_dir", "--worker-tmp-dir", "/dev/shm", "/dev/shm", "/dev/shm"),
    ("user", "-u --user", "33", 33, 33),
    ("group", "-g --group", "www-data", "www-data", "www-data"),
    ("umask", "-m --umask", "0022", 0o22, 0o22),
    ("tmp_upload_dir", "", "/tmp", "/tmp", "/tmp"),
    ("secure_scheme_headers", "", '{"x-tls": "on"}', {"x-tls": "on"}, {"X-TLS": "on"}),
    ("forwarded_allow_ips", "--forwarded-allow-ips", "10.0.0.0/8,::1", ["10.0.0.0/8", "::1"], ("10.0.0.0/8", "::1")),
    ("pythonpath", "--pythonpath", "a,b", "a,b", "a,b"),
    ("paste", "--paste --paster", "a.ini#main", "a.ini#main", "a.ini#main"),
    ("raw_paste_global_conf", "--paste-global", "A=b", ["A=b"], ("A=b",)),
    ("proxy_protocol", "--proxy-protocol", "v2", "v2", "v2"),
    ("proxy_allow_ips", "--proxy-allow-from", "*", ["*"], ("*",)),
    ("protocol", "--protocol", "uwsgi", "uwsgi", "uwsgi"),
    ("uwsgi_allow_ips", "--uwsgi-allow-from", "10.0.0.1", ["10.0.0.1"], ("10.0.0.1",)),
    ("forwarder_headers", "--forwarder-headers", "remote_user", ["remote_user"], ("REMOTE_USER",)),
    ("header_map", "--header-map", "refuse", "refuse", "refuse"),
    ("root_path", "--root-path", "/shop", "/shop", "/shop"),
    ("accesslog", "--access-logfile", "-", "-", "-"),
    ("access_log_format", "--access-logformat", FORMAT, FORMAT, FORMAT),
    ("errorlog", "--error-logfile --log-file", "e.log", "e.log", "e.log"),
    ("loglevel", "--log-level", "DEBUG", "debug", "debug"),
    ("logger_class", "--logger-class", "mine.Logger", "mine.Logger", "mine.Logger"),
    ("logconfig", "--log-config", "log.ini", "log.ini", "log.ini"),
    ("logconfig_dict", "", '{"version": 1}', {"version": 1}, {"version": 1}),
    ("logconfig_json", "--log-config-json", "log.json", "log.json", "log.json"),
    ("syslog_addr", "--log-syslog-to", "udp://h:514", "udp://h:514", "udp://h:514"),
    ("syslog_prefix", "--log-syslog-prefix", "shop", "shop", "shop"),
    ("syslog_facility", "--log-syslog-facility", "local0", "local0", "local0"),
    ("statsd_host", "--statsd-host", "h:8125", "h:8125", ("h", 8125)),
    ("statsd_prefix", "--statsd-prefix", "shop", "shop", "shop"),
    ("dogstatsd_tags", "--dogstatsd-tags", "a:1,b", "a:1,b", "a:1,b"),
    ("proc_name", "-n --name", "shop", "shop", "shop"),
    ("default_proc_name", "", "shop", "shop", "shop"),
    ("keyfile", "--keyfile", "k.pem", "k.pem", "k.pem"),
    ("certfile", "--certfile", "c.pem", "c.pem", "c.pem"),
    ("ssl_version", "--ssl-version", "TLSv1_2", "TLSv1_2", "TLSv1_2"),
    ("cert_reqs", "--cert-reqs", "2", 2, 2),
    ("ca_certs", "--ca-certs", "ca.pem", "ca.pem", "ca.pem"),
    ("ciphers", "--ciphers", "ECDHE+AESGCM", "ECDHE+AESGCM", "ECDHE+AESGCM"),
    ("http_protocols", "--http-protocols", "h2,h1", ["h2", "h1"], ("h2", "h1")),
    ("http2_cleartext", "--http2-cleartext", "both", "both", "both"),
    ("http2_max_concurrent_streams", "--http2-max-concurrent-streams", "10", 10, 10),
    ("http2_initial_window_size", "--http2-initial-window-size", "10", 10, 10),
    ("http2_max_frame_size", "--http2-max-frame-size", "16385", 16385, 16385),
    ("http2_max_header_list_size", "--http2-max-header-list-size", "10", 10, 10),
    ("asgi_loop", "--asgi-loop", "uvloop", "uvloop", "uvloop"),
    ("asgi_lifespan", "--asgi-lifespan", "off", "off", "off"),
    ("asgi_disconnect_grace_period", "--asgi-disconnect-grace-period", "5", 5, 5.0),
    ("websocket_max_message_size", "--websocket-max-message-size", "10", 10, 10),
    ("http_parser", "--http-parser", "python", "python", "python"),
    ("dirty_apps", "--dirty-app", "a:b", ["a:b"], ("a:b",)),
    ("dirty_workers", "--dirty-workers", "1", 1, 1),
    ("dirty_timeout", "--dirty-timeout", "1", 1, 1.0),
    ("dirty_threads", "--dirty-threads", "2", 2, 2),
    ("dirty_graceful_timeout", "--dirty-graceful-timeout", "1", 1, 1.0),
    ("control_socket", "--control-socket", "c.sock", "c.sock", "c.sock"),
    ("control_socket_mode", "--control-socket-mode", "0660", 0o660, 0o660),
]
# name: the flag, and what it means
SWITCHES = [
    ("reload", "--reload", True),
    ("spew", "--spew", True),
    ("check_config", "--check-config", True),
    ("print_config", "--print-config", True),
    ("preload_app", "--preload", True),
    ("sendfile", "--no-sendfile", False),
    ("reuse_port", "--reuse-port", True),
    ("daemon", "-D --daemon", True),
    ("initgroups", "--initgroups", True),
    ("permit_obsolete_folding", "--permit-obsolete-folding", True),
    ("strip_header_spaces", "--strip-header-spaces", True),
    ("permit_unconventional_http_method", "--permit-unconventional-http-method", True),
    ("permit_unconventional_http_version", "--permit-unconventional-http-version", True),
    ("casefold_http_method", "--casefold-http-method", True),
    ("disable_redirect_access_to_syslog", "--disable-redirect-access-to-syslog", True),
    ("capture_output", "--capture-output", True),
    ("syslog", "--log-syslog", True),
    ("enable_stdio_inheritance", "-R --enable-stdio-inheritance", True),
    ("enable_backlog_metric", "--enable-backlog-metric", True),
    ("suppress_ragged_eofs", "--suppress-ragged-eofs", True),  # which it is anyway
    ("do_handshake_on_connect", "--do-handshake-on-connect", True),
    ("control_socket_disable", "--no-control-socket", True),
]
# name: its arguments
HOOKS = [
    ("on_starting", 1), ("when_ready", 1), ("on_reload", 1), ("nworkers_changed", 3), ("pre_fork", 2),
    ("post_fork", 2), ("post_worker_init", 1), ("worker_int", 1), ("worker_abort", 1), ("pre_exec", 1),
    ("pre_request", 2), ("post_request", 4), ("child_exit", 2), ("worker_exit", 2), ("on_exit", 1), ("ssl_context", 2),
    ("on_dirty_starting", 1), ("dirty_post_fork", 2), ("dirty_worker_init", 1), ("dirty_worker_exit", 2),
]  # fmt: skip
# The sources, each over the one before.
ORDER = ("the application", "gunicorn.conf.py", "GUNICORN_CMD_ARGS", "CORRAL_CMD_ARGS", "CORRAL_", "command line")
NAMES = [name for name, *_ in (*VALUES, *SWITCHES, *HOOKS)]


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "sub").mkdir()
    (tmp_path / "other.py").write_text("")
    return tmp_path


def load(directory, sources, name, flags, text, said, own):
    """Give `name` a value by some of the sources. Without a file the options have none to name."""
    argv, environ, draft = [], {}, Draft()
    if "the application" in sources:
        draft.set(name, own)
    (directory / "gunicorn.conf.py").write_text(said if "gunicorn.conf.py" in sources else "")
    options = [] if not flags else [flags[0]] if text in ("switch", None) else [flags[0], text]
    for variable in {"GUNICORN_CMD_ARGS", "CORRAL_CMD_ARGS"} & set(sources):
        environ[variable] = shlex.join(options)
    if "CORRAL_" in sources:
        environ[f"CORRAL_{name.upper()}"] = str(own).lower() if text == "switch" else text
    if "command line" in sources:
        argv = options
    return load_config(argv, environ, str(directory), draft.layer())


def test_these_are_all_of_gunicorns():
    assert len(NAMES) == len(set(NAMES)) == 120
    assert set(NAMES) <= set(rows())


@pytest.mark.parametrize(("name", "flags", "text", "given", "wanted"), VALUES, ids=[each[0] for each in VALUES])
def test_a_value_from_each_source(directory, name, flags, text, given, wanted):
    default = getattr(Config(), name)
    assert default != wanted
    sources = [source for source in ORDER if flags or not source.endswith(("_ARGS", "line"))]
    if name == "config":
        sources.remove("gunicorn.conf.py")  # it can't name its successor
        given = wanted
    for source in sources:
        for flag in flags.split() or [None]:
            loaded = load(directory, [source], name, [flag] if flag else [], text, f"{name} = {given!r}", given)
            found = getattr(loaded.config, name)
            assert found == wanted
            assert type(found) is type(default) or default is None or name == "ssl_version"
            assert loaded.origins[name] in (source, f"CORRAL_{name.upper()}")
            others = dataclasses.replace(Config(), **{name: wanted, "proc_name": loaded.config.proc_name})
            assert loaded.config == others
            effect = rows()[name].metadata["effect"] if name != "worker_class" else ""
            assert loaded.warnings == ([f"{loaded.origins[name]}: {name} has no effect: {effect}"] if effect else [])
    check_order(directory, sources, name, flags.split(), text, f"{name} = {given!r}", given)
    assert rows()[name].metadata["accept"](wanted) == wanted


@pytest.mark.parametrize(("name", "flags", "meaning"), SWITCHES, ids=[each[0] for each in SWITCHES])
def test_a_switch_from_each_source(directory, name, flags, meaning):
    other = not meaning
    for flag in flags.split():
        assert getattr(load(directory, ["command line"], name, [flag], "switch", "", None).config, name) is meaning
        below = load(directory, ORDER[:2] + ORDER[-1:], name, [flag], "switch", f"{name} = {other}", other)
        assert getattr(below.config, name) is meaning
    for given in (meaning, other):
        for source in ("the application", "gunicorn.conf.py", "CORRAL_"):
            loaded = load(directory, [source], name, [], "switch", f"{name} = {given}", given)
            assert getattr(loaded.config, name) is given
            loaded = load(directory, ["gunicorn.conf.py"], name, [], "switch", f"{name} = '{given}'.lower()", given)
            assert getattr(loaded.config, name) is given
    check_order(directory, ORDER, name, flags.split(), "switch", f"{name} = {meaning}", meaning)


@pytest.mark.parametrize(("name", "number"), HOOKS, ids=[each[0] for each in HOOKS])
def test_a_hook_from_each_source(directory, name, number):
    arguments = ("a", "b", "c", "d")[:number]
    function = f"def {name}({', '.join(arguments)}):\n    return [{', '.join(arguments)}]\n"
    (directory / f"hooks_of_{name}.py").write_text(function)
    sys.path.insert(0, str(directory))
    dotted = f"hooks_of_{name}.{name}"
    own = make_function(function, name)
    assert getattr(Config(), name) is NO_HOOK
    sources = ("the application", "gunicorn.conf.py", "CORRAL_")
    for source in sources:
        for said, given in ((function, own), (f"{name} = {dotted!r}", dotted)):
            found = getattr(load(directory, [source], name, [], dotted, said, given).config, name)
            assert found is not NO_HOOK
            assert found(*arguments) == list(arguments)
    check_order(directory, sources, name, [], dotted, function, own)
    sys.modules.pop(f"hooks_of_{name}")


def make_function(source, name):
    namespace = {}
    exec(source, namespace)
    return namespace[name]


def check_order(directory, sources, name, flags, text, said, own):
    """With all sources the highest wins; without it the next, down to the default."""
    left = list(sources)
    while left:
        loaded = load(directory, left, name, flags, text, said, own)
        assert loaded.origins[name] == left[-1] + (name.upper() if left[-1] == "CORRAL_" else "")
        left.pop()
    assert name not in load(directory, [], name, flags, text, said, own).origins
