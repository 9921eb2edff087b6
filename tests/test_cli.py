"""The command: what it prints, where, and its exit code. Nothing here serves; that is tests/live's."""

import ast
import os
import sys
from pathlib import Path

import pytest

import corral
from corral.cli import main
from corral.config.settings import rows

SOURCE = Path(corral.__file__).parent


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """A directory to be in, with an application; modules, path and environment are as before afterwards."""
    before = set(sys.modules)
    for name in [
        name for name in os.environ if name.startswith(("CORRAL", "GUNICORN")) or name in ("PORT", "SENDFILE")
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop_of_cli.py").write_text(
        "import os\nassert os.environ.get('SHOP', 'open') == 'open'\n"
        "def app(environ, start_response): ...\nasync def asgi(scope, receive, send): ...\n"
    )
    (tmp_path / "broken_of_cli.py").write_text("# first\n1 / 0\n")
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.endswith("_of_cli"):
            del sys.modules[name]


@pytest.mark.parametrize(
    "argv", [["--version"], ["-v"], ["-w", "2", "-v", "app:app"]], ids=["long", "short", "among others"]
)
def test_version(capsys, argv):
    assert main(argv) == 0
    assert capsys.readouterr().out == f"corral (version {corral.__version__})\n"


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(capsys, flag):
    assert main([flag]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: corral [OPTIONS] [APP]")
    assert "corral check [OPTIONS] [APP]" in out


@pytest.mark.parametrize("argv", [["config"], ["--print-config"]], ids=["the command", "gunicorn's flag"])
def test_config_prints_each_setting_and_its_source(capsys, directory, argv):
    (directory / "gunicorn.conf.py").write_text("timeout = 5\nhttp_parser = 'fast'\n")
    assert main([*argv, "-w", "3", "-m", "022", "any:app"]) == 0
    out, err = capsys.readouterr()
    lines = dict(line.split(" = ", 1) for line in out.splitlines())
    assert [name.strip() for name in lines] == list(rows())
    found = {name.strip(): value for name, value in lines.items()}
    assert found["workers"] == "3  # command line"
    assert found["timeout"] == "5.0  # gunicorn.conf.py"
    assert found["umask"] == "0o22  # command line"
    assert found["backlog"] == "2048  # default"
    assert err == "corral: warning: gunicorn.conf.py: http_parser has no effect: there is one parser, Corral's own\n"


@pytest.mark.parametrize("argv", [["check"], ["--check-config"]], ids=["the command", "gunicorn's flag"])
@pytest.mark.parametrize(
    ("app", "code", "out", "err"),
    [
        pytest.param("shop_of_cli:app", 0, "shop_of_cli:app: a WSGI application", None, id="fine"),
        pytest.param("shop_of_cli:asgi", 0, "shop_of_cli:asgi: an ASGI application", None, id="ASGI"),
        pytest.param(
            "shop_of_cli:ap", 4, None, "'shop_of_cli:ap': module 'shop_of_cli' has no 'ap'", id="no such name"
        ),
        pytest.param("no_such_of_cli", 3, None, "there is no module 'no_such_of_cli'; looked in ", id="no such module"),
        pytest.param("broken_of_cli", 3, None, "the application broken_of_cli raised", id="an exception"),
    ],
)
def test_check_loads_the_application(capsys, argv, app, code, out, err):
    assert main([*argv, "--graceful-timeout", "1", "--backlog", "1", app]) == code
    printed = capsys.readouterr()
    assert printed.out == (f"{out}\n" if out else "")
    lines = printed.err.splitlines()
    assert ("Traceback (most recent call last):" in lines) == (app == "broken_of_cli")
    if err:
        assert lines[0].startswith(f"corral: error: {err}")
        assert len(lines) == 1 or app == "broken_of_cli"
    else:
        assert lines == []


def test_check_loads_it_where_and_with_what_a_worker_would(capsys, directory):
    (directory / "sub").mkdir()
    (directory / "more").mkdir()
    (directory / "more" / "more_of_cli.py").write_text("")
    (directory / "sub" / "inner_of_cli.py").write_text(
        "import os, more_of_cli\nassert os.environ['SHOP'] == 'closed'\nassert os.getcwd().endswith('sub')\n"
        "def app(environ, start_response): ...\n"
    )
    (directory / "gunicorn.conf.py").write_text("chdir = 'sub'\nraw_env = ['SHOP=closed']\n")
    assert main(["check", "--pythonpath", "../more", "--backlog", "1", "inner_of_cli"]) == 0
    assert capsys.readouterr().out == "inner_of_cli: a WSGI application\n"


def test_check_tells_all_problems_at_once(capsys, directory):
    (directory / "gunicorn.conf.py").write_text("timeout = 'soon'\nwrokers = 2\n")
    argv = "check --threads x -w x -b 8000 -u nobody-of-that-name --access-logformat %(zz)q no_such_of_cli:app"
    assert main(argv.split()) == 1
    lines = capsys.readouterr().err.splitlines()
    wanted = [
        "error: --threads x: must be a whole number",
        "error: gunicorn.conf.py: timeout = 'soon': must be a number of seconds",
        "error: --workers x: must be a whole number",
        "error: bind '8000': write",
        "error: access_log_format: ",
        "error: user 'nobody-of-that-name': there is no such user",
        "warning: gunicorn.conf.py: wrokers is no setting; did you mean workers?",
        "error: there is no module 'no_such_of_cli'; looked in ",
    ]
    for part in wanted:
        assert [line for line in lines if line.startswith(f"corral: {part}")], part
    assert all(line.startswith("corral: ") for line in lines)


def test_check_tells_contradictions_missing_files_and_hooks_that_are_not_there(capsys, directory):
    (directory / "sub").mkdir()
    (directory / "sub" / "cert.pem").write_text("")
    (directory / "gunicorn.conf.py").write_text(
        "chdir = 'sub'\npre_fork = 'shop_of_cli.app'\non_exit = 'no_of_cli.f'\n"
    )
    argv = "check --certfile cert.pem --keyfile key.pem -p no/run.pid --reload --preload --backlog 1 shop_of_cli:app"
    assert main(argv.split()) == 1
    assert [line.partition("; looked")[0] for line in capsys.readouterr().err.splitlines()] == [
        "corral: error: keyfile 'key.pem': there is no such file",
        f"corral: error: pidfile 'no/run.pid': there is no directory {directory}/sub/no",
        "corral: warning: reload with preload_app: what was loaded before the fork stays as it is until HUP: changes "
        "aren't seen",
        "corral: error: on_exit: the hook no_of_cli.f can't be found: No module named 'no_of_cli'",
    ]


def test_check_tells_what_can_not_be(capsys, directory):
    assert main(["check", "--keyfile", "shop_of_cli.py", "shop_of_cli:app"]) == 1
    assert "corral: error: keyfile without certfile: TLS needs the certificate too\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "start"),
    [
        pytest.param("check_config = True", "shop_of_cli:app: a WSGI application", id="check_config"),
        pytest.param("print_config = True", "config ", id="print_config"),
    ],
)
def test_a_command_may_stand_in_the_file(capsys, directory, file, start):
    (directory / "gunicorn.conf.py").write_text(file)
    assert main(["shop_of_cli:app"]) == 0
    assert capsys.readouterr().out.startswith(start)


def test_config_shows_functions_and_classes_as_a_person_would(capsys, directory):
    (directory / "gunicorn.conf.py").write_text(
        "def on_exit(server): pass\nclass worker_class: pass\npre_fork = 'a.b'\n"
    )
    assert main(["config"]) == 0
    lines = dict(line.split(" = ", 1) for line in capsys.readouterr().out.splitlines())
    found = {name.strip(): value for name, value in lines.items()}
    assert found["on_exit"] == f"on_exit ({directory}/gunicorn.conf.py:1)  # gunicorn.conf.py"
    assert found["worker_class"] == "__config__.worker_class  # gunicorn.conf.py"
    assert found["pre_fork"] == "a.b  # gunicorn.conf.py"
    assert found["post_fork"] == "none  # default"
    assert found["control_socket_mode"] == "0o600  # default"


def test_check_suspects_settings_that_contradict_each_other(capsys):
    assert main(["check", "-t", "5", "--graceful-timeout", "9", "--backlog", "999999999", "shop_of_cli:app"]) == 0
    err = capsys.readouterr().err
    assert "corral: warning: graceful_timeout is longer than timeout" in err
    assert os.path.exists("/proc/sys") == ("corral: warning: backlog 999999999 is cut to" in err)


@pytest.mark.parametrize(
    ("argv", "code", "lines"),
    [
        pytest.param(
            [], 1, ["no application was named; write for instance: corral myproject.wsgi:application"],
            id="no app",
        ),
        pytest.param(["check"], 1, ["no application was named; write for instance: corral myproject.wsgi:application"],
                     id="nothing to check"),
        pytest.param(
            ["--wrokers", "2", "a:b"], 2, ["unknown option --wrokers; did you mean --workers?"],
            id="misspelt",
        ),
        pytest.param(["-w"], 2, ["argument -w/--workers: expected one argument"], id="no value"),
        pytest.param(["-w", "x", "a:b"], 2, ["--workers x: must be a whole number"], id="a bad value"),
        pytest.param(
            ["-w", "x", "-t", "y", "a:b"], 2,
            ["--workers x: must be a whole number", "--timeout y: must be a number of seconds"], id="two bad values",
        ),
        pytest.param(["config", "-w", "0"], 1, ["--workers 0: must be at least 1"], id="a bad value to print"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_line_on_stderr_and_an_exit_code(capsys, argv, code, lines):
    assert main([*argv]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert [line for line in err.splitlines() if "warning" not in line] == [f"corral: error: {line}" for line in lines]


def test_a_file_that_raises_shows_its_traceback(capsys, directory):
    (directory / "gunicorn.conf.py").write_text("# first\n1 / 0\n")
    assert main(["shop_of_cli:app"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("gunicorn.conf.py failed: ZeroDivisionError: division by zero")
    assert lines[1] == "Traceback (most recent call last):"
    assert sum(line.strip().startswith("File ") for line in lines) == 1


def test_a_directory_that_is_gone_is_one_line(capsys, directory, monkeypatch):
    gone = directory / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["shop_of_cli:app"]) == 1
    assert capsys.readouterr().err == "corral: error: the current directory has been removed; start in another one\n"


@pytest.mark.parametrize("name", ["cli", "app", "config/load", "config/settings", "config/values"])
def test_what_only_mistakes_need_is_imported_by_mistakes_only(name):
    tree = ast.parse((SOURCE / f"{name}.py").read_text())
    imported = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert not imported & {"ast", "difflib", "inspect", "ipaddress", "shlex", "traceback", "importlib.util", "logging"}
