"""The table itself: complete, consistent, and gunicorn's where gunicorn has the setting."""

import dataclasses
from pathlib import Path

import pytest

from corral.cli import markdown
from corral.config.load import load_config, make_parser
from corral.config.settings import Config, rows

PAGE = Path(__file__).parent.parent.parent / "docs" / "settings.md"
# Of those that gunicorn hasn't, and that have a flag with a value: a value as text, and in Config.
OURS = {
    "boot_timeout": ("7.5", 7.5),
    "shutdown_delay": ("7.5", 7.5),
    "max_worker_memory": ("512M", 512 << 20),
    "max_worker_lifetime": ("7.5", 7.5),
    "reload_step": ("7", 7),
    "warmup": ("/ready", ("/ready",)),
    "defer_accept": ("7", 7),
    "header_timeout": ("7.5", 7.5),
    "body_timeout": ("7.5", 7.5),
    "write_timeout": ("7.5", 7.5),
    "min_rate": ("7", 7),
    "limit_request_body": ("7", 7),
    "request_memory": ("7", 7),
    "upgrade": ("manual", "manual"),
}
OUR_SWITCHES = {"strict_config": True, "request_buffering": False}
FLAGGED = [name for name, row in rows().items() if row.metadata["flags"]]


@pytest.mark.parametrize("name", rows())
def test_a_default_is_what_its_own_text_would_give(name):
    row = rows()[name]
    assert row.metadata["accept"](row.default) == row.default


def test_no_flag_is_given_twice():
    flags = [flag for row in rows().values() for flag in row.metadata["flags"]]
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


def test_the_page_is_what_the_command_prints():
    assert PAGE.read_text() == markdown(), "run: corral config --markdown > docs/settings.md"


@pytest.mark.parametrize("name", [*OURS, *OUR_SWITCHES])
def test_a_setting_of_ours_is_the_same_from_each_source(name, tmp_path):
    """gunicorn's have a test of their own."""
    text, value = OURS.get(name) or (str(OUR_SWITCHES[name]).lower(), OUR_SWITCHES[name])
    assert value != rows()[name].default
    file = tmp_path / "corral.conf.py"
    file.write_text("")
    found = []
    for flag in rows()[name].metadata["flags"]:
        argv = [flag] if name in OUR_SWITCHES else [flag, text]
        found.append(load_config(argv, {}, str(tmp_path)))
        found.append(load_config([], {"GUNICORN_CMD_ARGS": " ".join(argv)}, str(tmp_path)))
    found.append(load_config([], {f"CORRAL_{name.upper()}": text}, str(tmp_path)))
    for assigned in (text, value):
        file.write_text(f"{name} = {assigned!r}\n")
        found.append(load_config([], {}, str(tmp_path)))
    for loaded in found:
        assert loaded.config == dataclasses.replace(Config(), **{name: value})
        assert name in loaded.origins
        assert loaded.warnings == []


@pytest.mark.parametrize("name", [name for name in FLAGGED if rows()[name].metadata["effect"]])
def test_a_setting_without_effect_says_why_in_a_sentence(name):
    effect = rows()[name].metadata["effect"]
    assert effect == effect.rstrip(".")
    assert "\n" not in effect
