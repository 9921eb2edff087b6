"""A name in the configuration file that is nearly a setting is told of; what users call their own variables is not."""

import pytest

from corral.config.load import load_config

MISSPELT = [
    pytest.param("wrokers = 2", "workers", id="two letters changed places"),
    pytest.param("timout = 30", "timeout", id="a letter is missing"),
    pytest.param("graceful_timeouts = 30", "graceful_timeout", id="a letter too many"),
    pytest.param("keep_alive = 5", "keepalive", id="as its flag is spelt"),
    pytest.param("preload = True", "preload_app", id="as a flag with another name is spelt"),
    pytest.param("access_logfile = '-'", "accesslog", id="as a flag that has little in common with it is spelt"),
    pytest.param("def when_redy(server): pass", "when_ready", id="a hook"),
]
THEIR_OWN = [
    pytest.param("WORKERS = 2", id="a constant"),
    pytest.param("_worker = 2", id="a private name"),
    pytest.param("env = name = pid = 'x'", id="short words that are flags as well"),
    pytest.param(
        "timeout_str = '120'\ngraceful_timeout_str = '120'\nkeepalive_str = '5'\nuse_loglevel = 'info'",
        id="what settings are computed from",
    ),
    pytest.param("log_level = 'INFO'\nloglevel = log_level.lower()", id="the other spelling of one that is set"),
    pytest.param("def worker(): pass", id="a function that is called like a setting"),
    pytest.param("class Workers: pass", id="a class"),
    pytest.param("from os.path import join as pre_frok", id="a function of somebody else's, called like a hook"),
    pytest.param("from functools import partial\npost_frok = partial(print)", id="an object of somebody else's class"),
    pytest.param("from multiprocessing import cpu_count\nworkers = cpu_count()", id="an import that is used"),
    pytest.param("import signal as workerz", id="a module"),
]


def warnings_of(tmp_path, text):
    (tmp_path / "gunicorn.conf.py").write_text(text + "\n")
    return load_config([], {}, str(tmp_path)).warnings


@pytest.mark.parametrize(("text", "meant"), MISSPELT)
def test_a_near_miss_is_told_of_once(tmp_path, text, meant):
    (warning,) = warnings_of(tmp_path, text)
    assert warning.startswith("gunicorn.conf.py: ")
    assert warning.endswith(f"did you mean {meant}?")


@pytest.mark.parametrize("text", THEIR_OWN)
def test_names_of_the_users_own_are_let_be(tmp_path, text):
    assert warnings_of(tmp_path, text) == []
