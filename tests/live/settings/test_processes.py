"""What the settings of processes, listeners and the application's surroundings do."""

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from live.server import alive, wait_until
from live.settings.stage import Group, Row, check, each

# Only root has rights to drop; anybody else may at least become who he is.
ROOT = os.geteuid() == 0
SELF = pwd.getpwuid(os.geteuid())
USER = pwd.getpwnam("nobody") if ROOT else SELF
GROUP = 1 if ROOT else SELF.pw_gid
MAX_BACKLOG = int(Path("/proc/sys/net/core/somaxconn").read_text())
WORKER_CLASS = "from corral.worker.sync import SyncWorker\nclass Mine(SyncWorker):\n    pass\n"


def fact(name):
    return lambda stage: stage.facts[name]


def has(name, what):
    return lambda stage: what in stage.facts[name]


def exists(name):
    return lambda stage: (stage.directory / name).exists()


def number_of_workers(stage):
    return len(stage.server.workers)


def titles(stage):
    return [stage.title(pid) for pid in (stage.server.pid, *stage.server.workers)]


def worker_class(stage):
    return stage.server.count("Using worker: mine.Mine$")


def who_answers(stage):
    return stage.told(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")["REQUEST_METHOD"]


def replaced(stage):
    """Whether after twenty requests another worker answers; the one goes on until the other is ready."""
    first = stage.facts["pid"]
    for _ in range(20):
        assert stage.facts
    if not stage.server.count("Autorestarting worker"):
        return False
    return bool(wait_until(lambda: stage.facts["pid"] != first, "another worker"))


OWNER = {"user": USER.pw_name, "group": GROUP}
GROUPS = (
    Group((
        Row("bind", ["127.0.0.1:0", "unix:app.sock"], exists("app.sock"), False, True),
        Row("backlog", 7, fact("backlog"), min(2048, MAX_BACKLOG), 7),
        Row("reuse_port", True, fact("shared port"), False, True),
        Row("workers", 2, number_of_workers, 1, 2),
        Row("raw_env", ["FLAVOUR=salt"], has("environ", "FLAVOUR"), False, True),
        Row("pythonpath", "library", has("path", "library"), False, True),
        Row("pidfile", "pid", exists("pid"), False, True),
        Row("umask", 0o27, fact("umask"), 0, 0o27),
    )),
    Group((Row("chdir", "inside", fact("directory"), "stage0", "inside"),)),
    Group((Row("preload_app", True, fact("loaded here"), True, False),)),
    Group((Row("wsgi_app", "probe:other", who_answers, "GET", "other"),)),
    Group((
        Row("worker_class", "mine.Mine", worker_class, 0, 1),
        Row("proc_name", "shop", titles, ["corral: master [probe:app]", "corral: worker [probe:app]"],
            ["corral: master [shop]", "corral: worker [shop]"]),
    ), files={"mine.py": WORKER_CLASS}),
    Group((Row("default_proc_name", "shop", titles, ["corral: master [probe:app]", "corral: worker [probe:app]"],
               ["corral: master [shop]", "corral: worker [shop]"]),)),
    Group((Row("max_requests", 1, replaced, False, True),)),
    Group((Row("max_requests_jitter", 10**9, replaced, True, False),), base={"max_requests": 1}),
)  # fmt: skip


@pytest.mark.parametrize(("group", "row"), each(GROUPS))
def test_the_effect_of(stage, group, row):
    check(stage, group, row)


@pytest.mark.parametrize(
    ("name", "value", "observed"),
    [
        pytest.param("user", USER.pw_name, ("user", USER.pw_uid), id="user"),
        pytest.param("group", GROUP, ("group", GROUP), id="group"),
        pytest.param(
            "initgroups", True, ("groups", os.getgrouplist(USER.pw_name, GROUP) if ROOT else os.getgroups()),
            id="initgroups",
        ),
    ],
)  # fmt: skip
def test_the_rights_of(stage, name, value, observed):
    """Those who aren't root have none to give away, so that nothing changes for them."""
    fact, wanted = observed
    base = OWNER if name == "initgroups" else {}
    found = stage({**base, name: value}, {}).facts[fact]
    assert sorted(found) == sorted(wanted) if fact == "groups" else found == wanted
    if ROOT:
        assert stage(base, {}).facts[fact] != found


# what has a process of its own


def test_a_configuration_file_is_named(make_server):
    server = make_server(other="proc_name = 'other'\n")
    server.write("gunicorn.conf.py", "raise RuntimeError('not this one')\n")
    server.start("hello:app", "-c", "other.py")
    assert Path(f"/proc/{server.pid}/cmdline").read_text().startswith("corral: master [other]")


@pytest.mark.parametrize("keeps", [False, True], ids=["closed", "kept"])
def test_enable_stdio_inheritance(make_server, keeps):
    server = make_server()
    server.write("gunicorn.conf.py", f"enable_stdio_inheritance = {keeps}\nerrorlog = 'error.log'\ndaemon = True\n")
    server.start("hello:app", "-p", "pid", wait=None)
    assert server.wait() == 0
    pid = int((server.directory / "pid").read_text())
    try:
        wanted = str(server.log_path) if keeps else os.devnull
        assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)] == [os.devnull, wanted, wanted]
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not alive(pid), "the end of the daemon")


@pytest.mark.parametrize(
    ("setting", "file", "code", "line"),
    [
        pytest.param("check_config", "", 0, "", id="check_config"),
        pytest.param("check_config", "workers = 'many'", 1, "workers", id="check_config of a mistake"),
        pytest.param("print_config", "workers = 7", 0, r"workers .*7", id="print_config"),
    ],
)
def test_the_server_is_not_started(server, setting, file, code, line):
    server.write("gunicorn.conf.py", f"{setting} = True\n{file}\n")
    done = subprocess.run(
        [sys.executable, "-m", "corral", "hello:app"],
        cwd=server.directory,
        env=server.env,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == code
    assert "Listening" not in done.stdout + done.stderr
    assert line.split(" .*")[0] in done.stdout + done.stderr
