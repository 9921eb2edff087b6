"""The sources of a configuration: their order, what is read from each, and what is said about mistakes."""

import sys

import pytest

from corral.config.load import Mistakes, UsageError, gather, load_config
from corral.errors import ConfigError


@pytest.fixture(autouse=True)
def path_of_modules(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def load(tmp_path):
    """load(*argv, file=text of corral.conf.py, **environ)"""

    def load(*argv, file=None, **environ):
        if file is not None:
            (tmp_path / "corral.conf.py").write_text(file)
        return load_config(argv, environ, str(tmp_path))

    return load


# The order of the sources


@pytest.mark.parametrize(
    ("argv", "file", "environ", "workers", "origin"),
    [
        pytest.param("", None, {}, 1, None, id="the default"),
        pytest.param("", None, {"WEB_CONCURRENCY": "2"}, 2, "WEB_CONCURRENCY", id="a platform's variable"),
        pytest.param("", "workers = 3", {"WEB_CONCURRENCY": "2"}, 3, "corral.conf.py", id="the file over that"),
        pytest.param(
            "", "workers = 3", {"GUNICORN_CMD_ARGS": "-w 4"}, 4, "GUNICORN_CMD_ARGS",
            id="gunicorn's options over the file",
        ),
        pytest.param(
            "", None, {"CORRAL_CMD_ARGS": "-w 5", "GUNICORN_CMD_ARGS": "-w 4"}, 5, "CORRAL_CMD_ARGS",
            id="our options over gunicorn's",
        ),
        pytest.param(
            "", None, {"CORRAL_WORKERS": "6", "CORRAL_CMD_ARGS": "-w 5"}, 6, "CORRAL_WORKERS",
            id="a variable over options",
        ),
        pytest.param("-w 7", None, {"CORRAL_WORKERS": "6"}, 7, "command line", id="the command line over all"),
        pytest.param("", None, {"CORRAL_WORKERS": ""}, 1, None, id="an empty variable is unset"),
        pytest.param("-w 7", "workers = 'x'", {}, 7, "command line", id="what is overridden may be wrong"),
    ],
)  # fmt: skip
def test_each_source_is_over_the_one_before(load, argv, file, environ, workers, origin):
    loaded = load(*argv.split(), file=file, **environ)
    assert loaded.config.workers == workers
    assert loaded.origins.get("workers") == origin


@pytest.mark.parametrize(
    ("argv", "file", "environ", "bind"),
    [
        pytest.param((), None, {"PORT": "5000"}, ("0.0.0.0:5000",), id="PORT sets the default"),
        pytest.param((), "bind = ':80'", {"PORT": "5000"}, (":80",), id="the file is over PORT"),
        pytest.param(("-b", ":1", "-b", ":2"), "bind = ':80'", {}, (":1", ":2"), id="options replace the file's list"),
        pytest.param((), "bind = ['a:1', 'b:2']", {}, ("a:1", "b:2"), id="a list in the file"),
        pytest.param((), None, {"CORRAL_BIND": ":1,:2"}, (":1", ":2"), id="a variable with a comma"),
    ],
)
def test_addresses(load, argv, file, environ, bind):
    assert load(*argv, file=file, **environ).config.bind == bind


def test_an_app_in_gunicorns_options_is_ignored(load):
    assert load(GUNICORN_CMD_ARGS="--preload app:app").config.wsgi_app is None
    assert load("other:app", GUNICORN_CMD_ARGS="app:app").config.wsgi_app == "other:app"


def test_an_app_on_the_command_line_is_over_the_files(load):
    assert load(file="wsgi_app = 'a:b'").config.wsgi_app == "a:b"
    assert load("c:d", file="wsgi_app = 'a:b'").config.wsgi_app == "c:d"


def test_options_may_be_abbreviated_as_with_gunicorn(load):
    assert load("--worker-cl", "sync", "--error-log", "x").config.errorlog == "x"


# The file


def test_our_own_file_is_over_gunicorns(load, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2")
    assert load().config.workers == 2
    assert load(file="workers = 3").config.workers == 3


@pytest.mark.parametrize("prefix", ["", "file:"], ids=["bare", "file:"])
@pytest.mark.parametrize("name", ["settings.py", "settings.conf"], ids=["with .py", "without"])
def test_a_file_is_named(load, tmp_path, prefix, name):
    (tmp_path / name).write_text("workers = 2")
    assert load("-c", prefix + name).config.workers == 2
    assert load(CORRAL_CONFIG=prefix + name).config.workers == 2
    assert load(GUNICORN_CMD_ARGS=f"-c {prefix}{name}").config.workers == 2
    assert load("-c", f"{prefix}{tmp_path / name}").config.workers == 2


def test_a_module_is_named_and_read_anew_each_time(load, tmp_path):
    module = tmp_path / "settings_of_the_shop.py"
    module.write_text("workers = 2")
    assert load("-c", "python:settings_of_the_shop").config.workers == 2
    module.write_text("workers = 2 + 31")
    assert load("-c", "python:settings_of_the_shop").config.workers == 33


def test_a_file_is_read_anew_each_time(load):
    assert load(file="workers = 2").config.workers == 2
    assert load(file="workers = 33").config.workers == 33


def test_the_file_is_looked_for_where_the_server_was_started_whatever_chdir_says(load, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "gunicorn.conf.py").write_text("workers = 2")
    assert load("--chdir", "sub").config.workers == 1
    assert load("--chdir", "sub", file="workers = 3").config.workers == 3
    with pytest.raises(ConfigError, match=r"corral\.py doesn't exist"):
        load("--chdir", "sub", "-c", "corral.py")


def test_the_file_may_change_the_directory_and_import_its_neighbours(load, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "neighbour_of_settings.py").write_text("count = 4")
    loaded = load(file="import neighbour_of_settings\nchdir = 'sub'\nworkers = neighbour_of_settings.count")
    assert (loaded.config.chdir, loaded.config.workers) == ("sub", 4)


def test_the_file_is_a_real_module(load):
    text = (
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    b: 'int' = 2\nworkers = A().b\nproc_name = __name__"
    )
    loaded = load(file=text)
    assert (loaded.config.workers, loaded.config.proc_name) == (2, "__config__")


def test_names_that_are_no_settings_are_the_users_own(load):
    text = """
import multiprocessing, os
from pathlib import Path
from os import path as config
WORKERS = 3
_worker = 4
home = Path(".")
def helper(): pass
class workerss: pass
pidfile = None
errorlog = None
"""
    loaded = load(file=text)
    assert loaded.warnings == []
    assert loaded.origins == {"pidfile": "corral.conf.py"}


@pytest.mark.parametrize(
    ("file", "environ", "warning"),
    [
        pytest.param(
            "wrokers = 2", {}, "corral.conf.py: wrokers is no setting; did you mean workers?", id="a misspelt setting"
        ),
        pytest.param(
            "def post_frok(server, worker): pass", {},
            "corral.conf.py: post_frok is no setting; did you mean post_fork?",
            id="a misspelt hook",
        ),
        pytest.param(
            "http_parser = 'fast'", {},
            "corral.conf.py: http_parser has no effect: there is one parser, Corral's own",
            id="a setting without effect",
        ),
        pytest.param(
            "", {"GUNICORN_CMD_ARGS": "--worker-tmp-dir /dev/shm"},
            "GUNICORN_CMD_ARGS: worker_tmp_dir has no effect: workers say so in memory, without files",
            id="an option without effect",
        ),
        pytest.param(
            "", {"CORRAL_HTTP_PARSER": "fast"},
            "CORRAL_HTTP_PARSER: http_parser has no effect: there is one parser, Corral's own",
            id="a variable without effect",
        ),
        pytest.param(
            "", {"CORRAL_WROKERS": "2"}, "CORRAL_WROKERS is no setting; did you mean CORRAL_WORKERS?",
            id="a misspelt variable",
        ),
    ],
)  # fmt: skip
def test_near_misses_are_warnings_and_with_strict_config_errors(load, file, environ, warning):
    assert load(file=file, **environ).warnings == [warning]
    for strict in (
        {"argv": ["--strict-config"]},
        {"CORRAL_STRICT_CONFIG": "1"},
        {"file": file + "\nstrict_config = True"},
    ):
        argv = strict.pop("argv", [])
        with pytest.raises(ConfigError) as caught:
            load(*argv, **({"file": file} | environ | strict))
        assert str(caught.value) == warning
        assert caught.value.exit_code == 1


def test_settings_without_effect_that_ask_for_nothing_are_accepted(load):
    loaded = load(
        *"--threads 1 --max-requests 0 --no-control-socket --worker-connections 1000 --http-protocols h1".split(),
        file="dirty_workers = 0\nworker_tmp_dir = None\nhttp_protocols = ['h1']\nasgi_loop = 'auto'",
    )
    assert loaded.warnings == []


# Mistakes


@pytest.mark.parametrize(
    ("argv", "environ", "line"),
    [
        pytest.param("--wrokers 2", {}, "unknown option --wrokers; did you mean --workers?", id="a misspelt option"),
        pytest.param("--wrokers=2", {}, "unknown option --wrokers; did you mean --workers?", id="with an equals sign"),
        pytest.param("--xyzzy", {}, "unknown option --xyzzy; `corral --help` lists them", id="an option like no other"),
        pytest.param("-w", {}, "argument -w/--workers: expected one argument", id="no value"),
        pytest.param("--preload=1", {}, "argument --preload: ignored explicit argument '1'", id="a value too many"),
        pytest.param(
            "--access-log -", {}, "ambiguous option: --access-log could match --access-logfile, --access-logformat",
            id="an ambiguous option",
        ),
        pytest.param("a:b c:d", {}, "one APP only, 'c:d' is a second", id="two apps"),
        pytest.param(
            "", {"GUNICORN_CMD_ARGS": "--wrokers 2"},
            "unknown option --wrokers; did you mean --workers? (GUNICORN_CMD_ARGS)", id="in a variable",
        ),
        pytest.param(
            "", {"CORRAL_CMD_ARGS": "-w"}, "argument -w/--workers: expected one argument (CORRAL_CMD_ARGS)",
            id="no value in a variable",
        ),
        pytest.param(
            "", {"GUNICORN_CMD_ARGS": "-n 'x"}, "GUNICORN_CMD_ARGS can't be split into options: no closing quotation",
            id="an open quote",
        ),
    ],
)  # fmt: skip
def test_a_malformed_command_line_is_one_line_and_exit_code_2(load, argv, environ, line):
    with pytest.raises(UsageError) as caught:
        load(*argv.split(), **environ)
    assert str(caught.value) == line
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("argv", "file", "environ", "line"),
    [
        pytest.param("-m 01777", "", {}, "--umask 01777: must be between 0 and 0777", id="an option"),
        pytest.param("-e A -e B=1", "", {}, "--env A B=1: 'A' must be NAME=VALUE", id="options"),
        pytest.param(
            "-k gevent", "", {}, "--worker-class gevent: not supported yet; this version has sync, gthread and asgi",
            id="a worker class",
        ),
        pytest.param(
            "", "", {"GUNICORN_CMD_ARGS": "-m 01777"},
            "--umask 01777 (GUNICORN_CMD_ARGS): must be between 0 and 0777",
            id="an option in a variable",
        ),
        pytest.param("", "", {"CORRAL_WORKERS": "x"}, "CORRAL_WORKERS=x: must be a whole number", id="a variable"),
        pytest.param(
            "", "", {"WEB_CONCURRENCY": "x"}, "WEB_CONCURRENCY=x: must be a whole number", id="a platform's variable"
        ),
        pytest.param(
            "", "workers = '2 * 2'", {}, "corral.conf.py: workers = '2 * 2': must be a whole number", id="the file"
        ),
        pytest.param(
            "", "def post_fork(server): pass", {},
            "corral.conf.py: post_fork: must take the arguments (server, worker)", id="a hook",
        ),
        pytest.param(
            "", "post_request = lambda worker: 0", {},
            "corral.conf.py: post_request: must take the arguments (worker, req) or (worker, req, environ) or "
            "(worker, req, environ, resp)", id="a hook with a choice",
        ),
        pytest.param("--chdir nowhere", "", {}, "--chdir nowhere: there is no such directory", id="no directory"),
        pytest.param(
            "", "chdir = 'nowhere'", {}, "corral.conf.py: chdir = 'nowhere': there is no such directory",
            id="no directory in the file",
        ),
        pytest.param(
            "-c nowhere.py", "", {},
            "the configuration file {}/nowhere.py doesn't exist; --config takes PATH, file:PATH or python:MODULE",
            id="no file",
        ),
        pytest.param(
            "-c .", "", {},
            "the configuration file {}/. is a directory; --config takes PATH, file:PATH or python:MODULE",
            id="a directory",
        ),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_line_and_exit_code_1(load, tmp_path, argv, file, environ, line):
    with pytest.raises(ConfigError) as caught:
        load(*argv.split(), file=file, **environ)
    assert str(caught.value) == line.replace("{}", str(tmp_path))
    assert caught.value.exit_code == 1
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("argv", "environ", "line"),
    [
        pytest.param("-w x", {}, "--workers x: must be a whole number", id="an option"),
        pytest.param("-m x", {}, "--umask x: must be an octal number such as 022", id="an octal one"),
        pytest.param("-t x", {}, "--timeout x: must be a number of seconds", id="seconds"),
        pytest.param(
            "", {"CORRAL_CMD_ARGS": "-w x"}, "--workers x (CORRAL_CMD_ARGS): must be a whole number", id="a variable"
        ),
    ],
)
def test_text_where_an_option_has_a_number_is_exit_code_2(load, argv, environ, line):
    with pytest.raises(UsageError) as caught:
        load(*argv.split(), **environ)
    assert (str(caught.value), caught.value.exit_code) == (line, 2)


def test_a_module_that_is_not_there_is_one_line(load, tmp_path):
    with pytest.raises(ConfigError, match=r"^--config python:no\.such: there is no module 'no'; looked in ") as caught:
        load("-c", "python:no.such")
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        pytest.param("1 / 0", "ZeroDivisionError: division by zero", id="an exception"),
        pytest.param("import no_such_module_of_theirs", "ModuleNotFoundError", id="an import"),
        pytest.param("workers = ", "SyntaxError", id="a syntax error"),
        pytest.param("raise SystemExit('enough')", "SystemExit: enough", id="an exit"),
    ],
)
@pytest.mark.parametrize("spelling", ["{}.py", "python:{}"], ids=["a file", "a module"])
def test_what_the_users_code_raises_comes_with_its_traceback(load, tmp_path, text, first, spelling):
    (tmp_path / "raising.py").write_text("# first\n" + text)
    with pytest.raises(ConfigError) as caught:
        load("-c", spelling.format("raising"))
    line, _, traceback = str(caught.value).partition("\n")
    assert "raising" in line
    assert "failed: " in line
    assert first in line
    assert 'raising.py", line 2' in traceback
    assert "corral/config" not in traceback
    assert caught.value.__cause__ is not None


def test_several_mistakes_are_told_together(load):
    with pytest.raises(Mistakes) as caught:
        load(*"--wrokers 2 --threads x -t soon".split(), file="backlog = 'x'", CORRAL_MIN_RATE="y")
    assert [str(problem) for problem in caught.value.problems] == [
        "unknown option --wrokers; did you mean --workers?",
        "corral.conf.py: backlog = 'x': must be a whole number",
        "CORRAL_MIN_RATE=y: must be a whole number",
        "--threads x: must be a whole number",
        "--timeout soon: must be a number of seconds",
    ]
    assert caught.value.exit_code == 2
    assert str(caught.value).count("; ") >= 4


def test_a_traceback_survives_among_several_mistakes(load):
    with pytest.raises(Mistakes) as caught:
        load("-w", "x", file="1 / 0")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_gathering_goes_on_past_mistakes(tmp_path):
    loaded = gather(["-w", "x", "-t", "3", "app:app"], {}, str(tmp_path))
    assert (loaded.config.workers, loaded.config.timeout, loaded.config.wsgi_app) == (1, 3.0, "app:app")
    assert [str(problem) for problem in loaded.problems] == ["--workers x: must be a whole number"]
