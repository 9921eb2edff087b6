"""The table itself: complete, consistent, and gunicorn's where gunicorn has the setting."""

import dataclasses
from pathlib import Path

import pytest

from corral.cli import markdown
from corral.config.load import load_config, make_parser
from corral.config.settings import COMPULSORY, HOOKS, MISSING, NOT_YET, Config, rows

PAGE = Path(__file__).parent.parent.parent / "docs" / "settings.md"
OF_GUNICORN = """
    config wsgi_app bind backlog workers worker_class threads worker_connections max_requests max_requests_jitter
    timeout graceful_timeout keepalive limit_request_line limit_request_fields limit_request_field_size reload
    reload_engine reload_extra_files spew check_config print_config preload_app sendfile reuse_port chdir daemon
    raw_env pidfile worker_tmp_dir user group umask initgroups tmp_upload_dir secure_scheme_headers
    forwarded_allow_ips accesslog disable_redirect_access_to_syslog access_log_format errorlog loglevel
    capture_output logger_class logconfig logconfig_dict logconfig_json syslog_addr syslog syslog_prefix
    syslog_facility enable_stdio_inheritance statsd_host dogstatsd_tags statsd_prefix enable_backlog_metric
    proc_name default_proc_name pythonpath paste on_starting on_reload when_ready pre_fork post_fork
    post_worker_init worker_int worker_abort pre_exec pre_request post_request child_exit worker_exit
    nworkers_changed on_exit ssl_context proxy_protocol proxy_allow_ips protocol uwsgi_allow_ips keyfile certfile
    ssl_version cert_reqs ca_certs suppress_ragged_eofs do_handshake_on_connect ciphers http_protocols
    http2_cleartext http2_max_concurrent_streams http2_initial_window_size http2_max_frame_size
    http2_max_header_list_size raw_paste_global_conf permit_obsolete_folding strip_header_spaces
    permit_unconventional_http_method permit_unconventional_http_version casefold_http_method forwarder_headers
    header_map asgi_loop asgi_lifespan asgi_disconnect_grace_period websocket_max_message_size http_parser root_path
    dirty_apps dirty_workers dirty_timeout dirty_threads dirty_graceful_timeout on_dirty_starting dirty_post_fork
    dirty_worker_init dirty_worker_exit control_socket control_socket_mode control_socket_disable
""".split()
# A value other than the default for each setting that has flags: as text, and as it is in Config.
EXAMPLES = {
    "config": ("", None),  # load's tests
    "chdir": (".", "."),
    "pythonpath": ("a,b", "a,b"),
    "raw_env": ("A=1", ("A=1",)),
    "bind": ("unix:socket", ("unix:socket",)),
    "backlog": ("7", 7),
    "workers": ("7", 7),
    "worker_class": ("egg:gunicorn#sync", "sync"),
    "timeout": ("7.5", 7.5),
    "graceful_timeout": ("7.5", 7.5),
    "boot_timeout": ("7.5", 7.5),
    "keepalive": ("7.5", 7.5),
    "header_timeout": ("7.5", 7.5),
    "body_timeout": ("7.5", 7.5),
    "write_timeout": ("7.5", 7.5),
    "min_rate": ("7", 7),
    "limit_request_line": ("7", 7),
    "limit_request_fields": ("7", 7),
    "limit_request_field_size": ("7", 7),
    "limit_request_body": ("7", 7),
    "request_memory": ("7", 7),
    "forwarded_allow_ips": ("10.0.0.0/8,::1", ("10.0.0.0/8", "::1")),
    "forwarder_headers": ("REMOTE_USER", ("REMOTE_USER",)),
    "header_map": ("refuse", "refuse"),
    "accesslog": ("-", "-"),
    "access_log_format": ("json", "json"),
    "errorlog": ("errors", "errors"),
    "loglevel": ("debug", "debug"),
    "pidfile": ("pid", "pid"),
    "user": ("33", 33),
    "group": ("www", "www"),
    "umask": ("022", 0o22),
    "proc_name": ("shop", "shop"),
}
FLAGGED = [name for name, row in rows().items() if row.metadata["flags"]]


def example(name):
    """(text, value) of a setting; a flag without a value is switched."""
    constant = rows()[name].metadata["constant"]
    return EXAMPLES[name] if constant is None else (str(constant).lower(), constant)


def test_each_setting_and_hook_of_gunicorn_is_there_or_known_to_be_missing():
    assert len(OF_GUNICORN) == len(set(OF_GUNICORN)) == 120
    assert set(OF_GUNICORN) - set(rows()) == NOT_YET
    assert set(MISSING) == NOT_YET > HOOKS | COMPULSORY


@pytest.mark.parametrize("name", rows())
def test_a_default_is_what_its_own_text_would_give(name):
    row = rows()[name]
    assert row.metadata["accept"](row.default) == row.default


def test_no_flag_is_given_twice():
    flags = [flag for row in rows().values() for flag in row.metadata["flags"]]
    flags += [flag for missing in MISSING.values() for flag in missing.flags]
    assert len(flags) == len(set(flags))


def test_a_config_is_frozen_and_can_be_compared_and_hashed():
    config = Config()
    assert config == Config()
    assert hash(config) == hash(Config())
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.workers = 2


def test_the_help_names_each_flag():
    told = make_parser().format_help()
    for name in FLAGGED:
        for flag in rows()[name].metadata["flags"]:
            assert flag in told
    assert "--threads" not in told


def test_the_page_is_what_the_command_prints():
    assert PAGE.read_text() == markdown(), "run: corral config --markdown > docs/settings.md"


@pytest.mark.parametrize("name", [name for name in FLAGGED if name != "config"])
def test_a_setting_is_the_same_from_the_command_line_a_variable_and_the_file(name, tmp_path):
    text, value = example(name)
    assert value != rows()[name].default or name == "worker_class"
    file = tmp_path / "corral.conf.py"
    file.write_text("")
    found = []
    for flag in rows()[name].metadata["flags"]:
        argv = [flag] if rows()[name].metadata["constant"] is not None else [flag, text]
        found.append(load_config(argv, {}, str(tmp_path)))
        found.append(load_config([], {"GUNICORN_CMD_ARGS": " ".join(argv)}, str(tmp_path)))
    found.append(load_config([], {f"CORRAL_{name.upper()}": text}, str(tmp_path)))
    for assigned in (text, value):
        file.write_text(f"{name} = {assigned!r}\n")
        found.append(load_config([], {}, str(tmp_path)))
    for loaded in found:
        assert getattr(loaded.config, name) == value
        assert loaded.config == dataclasses.replace(Config(), **{name: value})
        assert name in loaded.origins
        assert loaded.warnings == []
