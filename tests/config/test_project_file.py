"""[tool.corral] of pyproject.toml, where there is no file of Python."""

import pytest

from corral.config.load import load_config
from corral.errors import ConfigError


@pytest.fixture
def load(tmp_path):
    def load(text, **files):
        (tmp_path / "pyproject.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        for name, content in files.items():
            (tmp_path / f"{name}.conf.py").write_text(content)
        return load_config([], {}, str(tmp_path))

    return load


def test_the_table_is_read(load):
    loaded = load(
        '[tool.corral]\nworkers = 3\nbind = ["a:1", "b:2"]\nraw_env = ["A=b"]\n[tool.corral.logconfig_dict]\nx = 1'
    )
    config = loaded.config
    assert (config.workers, config.bind, config.raw_env, config.logconfig_dict) == (
        3,
        ["a:1", "b:2"],
        ["A=b"],
        {"x": 1},
    )
    assert loaded.origins["workers"] == "pyproject.toml"
    assert loaded.warnings == []


@pytest.mark.parametrize("name", ["corral", "gunicorn"])
def test_a_file_of_python_is_read_instead(load, name):
    loaded = load("[tool.corral]\nworkers = 3\nbacklog = 7", **{name: "workers = 2"})
    assert (loaded.config.workers, loaded.config.backlog) == (2, 2048)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('[project]\nname = "shop"', id="no such table"),
        pytest.param('[project]\ndependencies = ["corral"]', id="a project that uses it"),
        pytest.param("[tool]\nother = 1 # corral", id="a table without it"),
        pytest.param("this is no TOML", id="a broken file that isn't about us"),
        pytest.param(b"\xff", id="nor text"),
        pytest.param("", id="an empty file"),
    ],
)
def test_a_project_without_the_table_says_nothing(load, text):
    loaded = load(text)
    assert (loaded.origins, loaded.warnings) == ({}, [])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        pytest.param(
            "[tool.corral]\nworkers = ", "the project's file {} is no TOML: Invalid value (at end of document)",
            id="it ends too early",
        ),
        pytest.param(
            "[tool.corral]\nworkers 3",
            "the project's file {} is no TOML: Expected '=' after a key in a key/value pair (at line 2, column 9)",
            id="a mistake in a line",
        ),
        pytest.param("tool.corral = 3", "the project's file {}: tool.corral must be a table", id="no table"),
        pytest.param("tool = 3 # corral", "the project's file {}: tool.corral must be a table", id="no tools"),
        pytest.param(
            "[tool.corral]\nworkers = 'x'", "pyproject.toml: workers = 'x': must be a whole number", id="a bad value"
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(load, tmp_path, text, line):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert str(caught.value) == line.replace("{}", str(tmp_path / "pyproject.toml"))


def test_bytes_that_are_no_text_are_one_line(load):
    with pytest.raises(ConfigError, match="is no TOML: 'utf-8' codec"):
        load(b"[tool.corral]\nworkers = '\xff'")


def test_a_near_miss_is_told(load):
    (warning,) = load("[tool.corral]\nworker-connections = 3\n").warnings
    assert warning == "pyproject.toml: worker-connections is no setting; did you mean worker_connections?"
