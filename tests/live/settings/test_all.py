"""Each of gunicorn's 120 settings shows its effect: in a row, in a test of its own, or in a line that it has none."""

import ast
import re
from pathlib import Path

import pytest
from config.test_every_name import HOOKS, NAMES, SWITCHES, VALUES
from live.settings import test_processes, test_reports, test_requests, test_tls_settings

from corral.config.settings import Config, rows

TESTS = Path(__file__).parent.parent.parent
ROWS = {
    row.name
    for module in (test_requests, test_processes, test_reports, test_tls_settings)
    for group in module.GROUPS
    for row in group.rows
}
# name: the test that shows it, as pytest names it, below tests/
ELSEWHERE = {
    "config": "live/settings/test_processes.py::test_a_configuration_file_is_named",
    "user": "live/settings/test_processes.py::test_the_rights_of",
    "group": "live/settings/test_processes.py::test_the_rights_of",
    "initgroups": "live/settings/test_processes.py::test_the_rights_of",
    "enable_stdio_inheritance": "live/settings/test_processes.py::test_enable_stdio_inheritance",
    "check_config": "live/settings/test_processes.py::test_the_server_is_not_started",
    "print_config": "live/settings/test_processes.py::test_the_server_is_not_started",
    "control_socket": "live/test_ctl.py::test_status_and_workers",
    "control_socket_mode": (
        "live/test_ctl.py::test_it_is_the_owners_alone_unless_a_mode_says_otherwise_and_goes_with_the_server"
    ),
    "control_socket_disable": "live/settings/test_all.py::test_there_is_no_control_socket_to_disable",
    "ssl_context": "live/settings/test_tls_settings.py::test_ssl_context",
    "daemon": "live/test_arbiter_start.py::test_a_daemon_leaves_the_terminal_when_it_has_started",
    "timeout": "live/test_arbiter_deaths.py::test_a_hung_request_is_named_and_its_worker_replaced",
    "graceful_timeout": "live/test_arbiter_stop.py::test_a_graceful_stop_has_its_limit_and_says_what_it_killed",
    "reload": "live/test_reload_development.py::test_an_edit_is_served_by_a_new_worker",
    "reload_engine": "live/test_reload_development.py::test_worker_int_is_called",
    "reload_extra_files": "live/test_reload_development.py::test_extra_files",
    "spew": "live/test_reload_development.py::test_spew_tells_each_line",
    "paste": "live/test_reload_development.py::test_an_application_of_a_paste_deploy_file",
    "raw_paste_global_conf": "live/test_reload_development.py::test_an_application_of_a_paste_deploy_file",
    "on_starting": "live/test_hooks.py::test_without_these_there_is_no_server",
    "when_ready": "live/test_hooks.py::test_without_these_there_is_no_server",
    "on_reload": "live/test_hooks.py::test_a_reload_changes_hooks",
    "nworkers_changed": "live/test_hooks.py::test_one_that_raises_is_named_and_the_server_goes_on",
    "pre_fork": "live/test_hooks.py::test_one_that_raises_is_named_and_the_server_goes_on",
    "post_fork": "live/test_hooks.py::test_one_that_raises_is_named_and_the_server_goes_on",
    "post_worker_init": "live/test_hooks.py::test_one_that_raises_is_named_and_the_server_goes_on",
    "worker_int": "live/test_hooks.py::test_one_that_raises_is_named_and_the_server_goes_on",
    "worker_abort": "live/test_hooks.py::test_one_that_raises_is_named_and_the_server_goes_on",
    "worker_exit": "live/test_hooks.py::test_one_that_raises_is_named_and_the_server_goes_on",
    "child_exit": "live/test_hooks.py::test_one_that_raises_is_named_and_the_server_goes_on",
    "pre_request": "live/test_hooks.py::test_pre_request_that_raises_is_a_500_for_that_request",
    "post_request": "live/test_hooks.py::test_post_request_takes_as_many_arguments_as_it_wants",
    "on_exit": "live/test_hooks.py::test_on_exit_that_raises_is_named_and_the_end_is_the_same",
    "asgi_loop": "live/asgi/test_reload.py::test_reloads_close_no_connection",
    "asgi_lifespan": "live/asgi/test_frameworks.py::test_lifespans",
    "asgi_disconnect_grace_period": (
        "live/asgi/test_http.py::test_an_application_that_ignores_the_clients_leaving_is_cancelled_in_the_end"
    ),
    "websocket_max_message_size": "live/asgi/test_websocket.py::test_a_message_that_is_too_large_closes_with_1009",
    "root_path": "live/asgi/test_http.py::test_a_trusted_proxy_says_the_scheme_and_the_client",
    "pre_exec": "live/test_upgrade.py::test_what_fails_before_there_is_a_new_server_harms_nothing",
}
WITHOUT_EFFECT = {name for name in NAMES if rows()[name].metadata["effect"]}


def test_every_setting_is_shown():
    shown = [ROWS, set(ELSEWHERE), WITHOUT_EFFECT]
    # One that has got its effect needs a row in one of the modules above, or the test that shows it in ELSEWHERE.
    assert set.union(*shown) == set(NAMES)
    assert sum(map(len, shown)) == len(NAMES) == 120


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_the_test_exists_and_speaks_of_its_settings(test):
    path, _, name = test.partition("::")
    source = (TESTS / path).read_text()
    assert name in {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
    for setting in (setting for setting, where in ELSEWHERE.items() if where == test):
        flags = [*rows()[setting].metadata["flags"], setting]
        assert any(flag in source for flag in flags), setting


def written(name):
    """A line of a file that gives a setting another value than its default."""
    values = {name: repr(given) for name, _, _, given, _ in VALUES}
    values |= {name: repr(not getattr(Config(), name)) for name, *_ in SWITCHES}
    values |= {name: f"lambda {', '.join('abcd'[:number])}: None" for name, number in HOOKS}
    return f"{name} = {values[name]}\n"


def test_what_has_no_effect_says_so_and_the_server_starts(server):
    names = sorted(WITHOUT_EFFECT)
    server.write("gunicorn.conf.py", "".join(map(written, names)))
    server.start("hello:app")
    assert server.get()[0] == 200
    said = dict(
        re.findall(r"^\[.*\] \[WARNING\] gunicorn\.conf\.py: (\w+) has no effect: (.*)$", server.log, re.MULTILINE)
    )
    assert said == {name: rows()[name].metadata["effect"] for name in names}


def test_there_is_no_control_socket_to_disable(server, tmp_path):
    """gunicorn makes one unless it is told not to; here nothing is made, and nothing is said of it."""
    server.env.update(HOME=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path))
    before = set(tmp_path.rglob("*"))
    server.start("hello:app", "--no-control-socket")
    assert server.count("WARNING") == 0
    assert not [path for path in set(tmp_path.rglob("*")) - before if path.is_socket()]
