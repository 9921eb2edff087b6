"""What docs/from-gunicorn.md says: its commands work, and its table of what has no effect is the settings' own."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from config.test_every_name import NAMES
from live.conftest import HELLO

from corral.config.settings import rows

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "from-gunicorn.md"
TEXT = PAGE.read_text()
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"^```sh\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
INSTALLERS = {("pip", "install"), ("pip", "uninstall")}  # they would ask a registry, and change who runs this
SERVERS = [command for command in COMMANDS if command[0] in ("corral", "gunicorn") and command[1].startswith("-")]
QUESTIONS = [command for command in COMMANDS if command[:2] in (["corral", "check"], ["corral", "config"])]
# `python -m gunicorn` where compat/ is installed is `python -m` its package.
MODULES = {"corral": ROOT / "src", "gunicorn": ROOT / "compat" / "src"}


# The rows of "What is different", by how they begin, and the tests that show them.
PROOF = {
    "a worker that hangs": "live/test_arbiter_deaths.py::test_a_boot_that_takes_too_long_is_ended_and_tried_again",
    "the pid file of a dead": "shared/test_process.py::test_a_pid_that_came_round_again_does_not_count",
    "one `fd://N`": "net/test_listener.py::test_a_descriptor_beside_other_addresses",
    "a unix socket whose file": "live/test_from_gunicorn.py::test_a_stop_without_the_file_of_its_socket",
    "a stop's deadline": "arbiter/test_plan.py::test_what_is_due",
    "HUP, USR1 and a second": "live/test_arbiter_stop.py::test_every_command_is_heard_during_a_graceful_stop",
    "with `preload_app`": "live/test_preload.py::test_a_mold_loads_and_the_workers_are_the_arbiters_children",
    "a worker that fails to boot": "live/test_arbiter_stop.py::"
    "test_a_worker_that_fails_to_boot_during_a_stop_is_no_failure_of_the_stop",
    "a mistake in the": "live/settings/test_reload.py::test_what_cannot_be_leaves_everything_as_it_was",
    "one recycled worker": "live/test_arbiter_deaths.py::test_code_that_breaks_later_does_not_stop_what_serves",
    "HUP to a process group": "live/test_arbiter_reload.py::test_a_group_hup_is_a_reload_and_kills_nobody",
    "a failed `exec`": "live/test_upgrade.py::test_an_interpreter_that_is_gone_harms_nothing",
    "`reuse_port` and USR2": "live/test_upgrade.py::test_with_reuse_port",
    "a changed `bind`": "live/test_upgrade.py::test_a_changed_bind_is_honoured",
    "an exception in a hook": "live/test_hooks.py::test_one_that_raises_is_named_and_the_server_goes_on",
    "no `child_exit`": "live/test_hooks.py::test_a_worker_that_can_not_boot_still_has_its_end",
    "`timeout` is a heartbeat": "live/test_from_gunicorn.py::test_a_hung_thread_is_seen",
    "a time-out is one line": "live/test_hooks.py::test_a_timeout_shows_where_the_request_hangs",
    "`keepalive` has no effect": "live/test_http.py::test_each_request_renews_keepalive",
    "there is no limit": "live/test_http.py::test_a_slow_head_is_answered_in_time_though_bytes_come",
    "an idle server": "live/test_arbiter_start.py::test_an_idle_server_does_not_wake_up",
    "a connection is accepted": "live/test_ctl.py::test_a_connection_counts_when_it_has_said_something",
    "a body shorter": "live/test_promises.py::test_a_body_that_breaks_its_content_length_never_desynchronises",
    "`X-Forwarded-Proto": "gateway/test_wsgi.py::test_a_trusted_proxy_says_the_scheme",
    "HTTP/1.1 without": "live/test_http.py::test_refusals",
    "a method in lower case": "live/settings/test_requests.py::test_the_effect_of",
    "the PROXY header is": "live/test_proxies.py::test_haproxy_passes_tls_on_behind_its_header",
    "a PROXY header v1": "live/test_proxies.py::test_haproxys_health_checks_are_the_proxys_own",
    "`uwsgi_allow_ips`": "live/test_proxies.py::test_who_may_speak_uwsgi",
    "without descriptors": "live/test_promises.py::test_a_lack_of_descriptors_is_survived",
    "TLS that can't": "live/test_tls.py::test_a_hook_that_fails_never_opens_the_port_in_the_clear",
    "`Server: gunicorn`": "live/test_wsgi.py::test_environ_over_tcp",
    "`sendfile = True`": "config/test_every_name.py::test_a_switch_from_each_source",
    "an unknown `loglevel`": "live/test_from_gunicorn.py::test_what_is_refused",
    "a missing file of": "live/test_from_gunicorn.py::test_what_is_refused",
    "`--check-config`": "live/test_from_gunicorn.py::test_check_config_knows_the_path",
    "a configuration file's": "config/test_near_misses.py::test_a_near_miss_is_told_of_once",
    "`keyfile` without": "live/test_from_gunicorn.py::test_what_is_refused",
    "what goes out by": "live/test_from_gunicorn.py::test_what_sendfile_sends_is_logged",
    "a failure before": "live/test_wsgi.py::test_an_error_is_answered_and_logged_once",
    "titles of processes": "live/settings/test_processes.py::test_the_effect_of",
    "a control socket": "live/settings/test_all.py::test_there_is_no_control_socket_to_disable",
}


@pytest.fixture
def project(make_server):
    server = make_server()
    package = server.directory / "myproject"
    package.mkdir()
    (package / "wsgi.py").write_text(HELLO.replace("def app(", "def application("))
    return server


def test_every_command_is_of_a_kind_that_is_run_here():
    others = [command for command in COMMANDS if command not in SERVERS and command not in QUESTIONS]
    assert SERVERS
    assert QUESTIONS
    assert {tuple(command[:2]) for command in others} <= INSTALLERS


@pytest.mark.parametrize("command", SERVERS, ids=" ".join)
def test_a_server_starts_as_shown(project, command):
    name, *arguments = command
    project.env["PYTHONPATH"] = str(MODULES[name])
    (project.directory / "gunicorn.conf.py").write_text("proc_name = 'found'\n")
    with open(project.log_path, "ab") as log:
        project.process = subprocess.Popen(
            [sys.executable, "-m", name, *arguments], cwd=project.directory, env=project.env, stdout=log, stderr=log
        )
    project.wait_for("Ready: myproject.wsgi .*4 workers")
    assert (project.directory / "app.sock").exists()
    assert "[found]" in Path(f"/proc/{project.pid}/cmdline").read_text()
    assert project.stop() == 0


@pytest.mark.parametrize("command", QUESTIONS, ids=" ".join)
def test_a_question_is_answered_as_shown(project, command):
    done = subprocess.run([sys.executable, "-m", *command], cwd=project.directory, env=project.env, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"myproject.wsgi" in done.stdout


def test_the_table_of_what_has_no_effect():
    wanted = {}
    for name, row in rows().items():
        if name in NAMES and row.metadata["effect"]:
            wanted.setdefault(row.metadata["effect"], []).append(f"`{name}`")
    lines = [f"| {', '.join(names)} | {effect} |" for effect, names in wanted.items()]
    table = "\n".join(["| settings | what there is instead |", "|---|---|", *lines])
    assert TEXT.rstrip().endswith(table), f"the end of {PAGE.name} should be:\n{table}"


DIFFERENCES = [
    line.removeprefix("| ")
    for line in TEXT.partition("## What is different")[2].partition("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith(("| gunicorn", "| **"))
]


def test_each_difference_has_its_test():
    proven = [[beginning for beginning in PROOF if line.startswith(beginning)] for line in DIFFERENCES]
    assert proven == [[beginning] for beginning in PROOF]
    for test in PROOF.values():
        path, _, name = test.partition("::")
        assert f"\ndef {name}(" in (ROOT / "tests" / path).read_text(), test


def test_a_stop_without_the_file_of_its_socket(server):
    server.start("hello:app", "-b", "unix:app.sock")
    (server.directory / "app.sock").unlink()
    assert server.stop() == 0
    assert server.count("Traceback") == 0


def test_a_hung_thread_is_seen(make_server):
    server = make_server(hang="import time\n\n\ndef app(environ, start_response):\n    time.sleep(60)\n")
    server.start("hang:app", "--threads", "2", "-t", "0.5")
    with server.connect() as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        server.wait_for("WORKER TIMEOUT")
        server.wait_for("Request in flight for .*GET /slow")


@pytest.mark.parametrize(
    "text",
    ["loglevel = 'chatty'", "logconfig_json = 'none.json'", "keyfile = 'server.key'"],
    ids=lambda text: text[:14],
)
def test_what_is_refused(server, text):
    server.write("gunicorn.conf.py", f"{text}\n")
    server.start("hello:app", wait=None)
    assert server.wait() == 1
    assert server.count(text.split()[0]) > 0
    assert server.count("Traceback") == 0


def test_check_config_knows_the_path(server):
    library = server.directory / "library"
    library.mkdir()
    (library / "inside.py").write_text(HELLO)
    command = [sys.executable, "-m", "corral", "--check-config", "--pythonpath", "library", "inside:app"]
    assert subprocess.run(command, cwd=server.directory, env=server.env, capture_output=True).returncode == 0


def test_what_sendfile_sends_is_logged(make_server):
    app = (
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return environ['wsgi.file_wrapper'](open('large', 'rb'))\n"
    )
    server = make_server(large=app)
    (server.directory / "large").write_bytes(b"x" * 1_000_000)
    server.start("large:app", "--access-logfile", "-", "--access-logformat", "sent %(b)s")
    assert len(server.get()[1]) >= 1_000_000
    server.wait_for("^sent 1000000$")


def test_the_links_lead_somewhere():
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", TEXT):
        page = (PAGE.parent / target).resolve() if target else PAGE
        assert page.exists(), target
        headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
        assert not anchor or anchor in {heading.lower().replace(" ", "-") for heading in headings}
