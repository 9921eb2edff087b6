"""What gunicorn's programs do with `cfg`: the draft an application writes, and what is derived of a configuration."""

import os

import pytest

from corral.config.draft import Draft
from corral.config.load import load_config
from corral.config.settings import NO_HOOK, Config, rows
from corral.config.values import BadValue


class MyWorker:
    pass


def test_the_recipe_of_gunicorns_documentation(tmp_path):
    options = {"bind": "h:1", "workers": 4, "nonsense": 1, "timeout": None}
    cfg = Draft()
    for key, value in options.items():
        if key in cfg.settings and value is not None:
            cfg.set(key.lower(), value)
    assert (cfg.bind, cfg.workers, cfg.timeout) == (["h:1"], 4, 30)
    assert cfg.address == [("h", 1)]
    assert set(cfg.layer()) == {"bind", "workers"}
    loaded = load_config(["-w", "2"], {"PORT": "5000"}, str(tmp_path), cfg.layer())
    assert (loaded.config.bind, loaded.config.workers) == (("h:1",), 2)
    assert loaded.origins == {"bind": "the application", "workers": "command line"}


def test_a_draft_refuses_what_gunicorn_refuses():
    cfg = Draft()
    with pytest.raises(AttributeError, match="No configuration setting for: nonsense"):
        cfg.set("nonsense", 1)
    with pytest.raises(BadValue, match="workers = 'x': must be a whole number"):
        cfg.set("workers", "x")
    with pytest.raises(AttributeError, match=r"cfg\.set"):
        cfg.workers = 3
    with pytest.raises(AttributeError, match="nonsense"):
        _ = cfg.nonsense
    cfg.nonsense = "the owner's"
    assert cfg.nonsense == "the owner's"
    with pytest.raises(AttributeError):
        _ = cfg._nonsense
    assert cfg.layer() == {}


def test_none_is_no_value_unless_the_setting_may_be_none():
    cfg = Draft()
    cfg.set("workers", 3)
    cfg.set("workers", None)
    cfg.set("pidfile", None)
    assert cfg.workers == 1
    assert set(cfg.layer()) == {"pidfile"}


@pytest.mark.parametrize("cfg", [Draft(), Config()], ids=["a draft", "a configuration"])
def test_settings_are_objects_with_a_value(cfg):
    setting = cfg.settings["backlog"]
    assert (setting.name, setting.value, setting.get(), setting.default) == ("backlog", 2048, 2048, 2048)
    assert (setting.section, setting.cli) == ("Listeners", ("--backlog",))
    assert repr(setting) == "<Setting backlog = 2048>"
    assert list(cfg.settings) == list(rows())
    with pytest.raises(KeyError):
        _ = cfg.settings["nonsense"]


def test_a_setting_of_a_draft_can_be_set_and_one_of_a_configuration_not():
    cfg = Draft()
    cfg.settings["backlog"].set("7")
    assert cfg.backlog == 7
    with pytest.raises(AttributeError):
        Config().settings["backlog"].set(7)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("h", ("h", 8000), id="a host"),
        pytest.param("H.example:1", ("h.example", 1), id="a host and a port"),
        pytest.param(":1", ("0.0.0.0", 1), id="a port"),
        pytest.param("tcp://h:1", ("h", 1), id="a scheme"),
        pytest.param("[::1]:1", ("::1", 1), id="IPv6"),
        pytest.param("[::1]", ("::1", 8000), id="IPv6 without a port"),
        pytest.param("unix:/run/a.sock", "/run/a.sock", id="a unix socket"),
        pytest.param("unix:///run/a.sock", "/run/a.sock", id="a unix socket as a URL"),
        pytest.param("fd://3", 3, id="a descriptor"),
    ],
)
def test_address(text, place):
    assert Config(bind=(text,)).address == [place]


@pytest.mark.parametrize(
    ("given", "name", "value"),
    [
        pytest.param({}, "uid", os.geteuid(), id="the user who starts it"),
        pytest.param({}, "gid", os.getegid(), id="their group"),
        pytest.param({"user": 33}, "uid", 33, id="a user's number"),
        pytest.param({"group": 33}, "gid", 33, id="a group's number"),
        pytest.param({"user": "root"}, "uid", 0, id="a user's name"),
        pytest.param({"raw_env": ("A=b=c", "D=")}, "env", {"A": "b=c", "D": ""}, id="the environment"),
        pytest.param({"raw_paste_global_conf": ("A=b",)}, "paste_global_conf", {"A": "b"}, id="Paste's defaults"),
        pytest.param({}, "is_ssl", False, id="no TLS"),
        pytest.param({"certfile": "c"}, "is_ssl", True, id="TLS by its certificate"),
        pytest.param({"keyfile": "k"}, "is_ssl", True, id="TLS by its key"),
        pytest.param({}, "worker_class_str", "sync", id="sync"),
        pytest.param({"threads": 2}, "worker_class_str", "gthread", id="sync with threads"),
        pytest.param({"worker_class": "a.B", "threads": 2}, "worker_class_str", "a.B", id="another's name"),
        pytest.param({"worker_class": MyWorker}, "worker_class_str", "MyWorker", id="a class"),
    ],
)
def test_derived_values(given, name, value):
    assert getattr(Config(**given), name) == value


def test_tls_options_are_those_that_workers_of_others_read():
    options = Config(certfile="c", keyfile="k", cert_reqs=2).ssl_options
    assert options == {
        "certfile": "c", "keyfile": "k", "ca_certs": None, "cert_reqs": 2, "ciphers": None, "ssl_version": 17,
        "suppress_ragged_eofs": True, "do_handshake_on_connect": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "argv", "name", "origin"),
    [
        pytest.param("", ["a:b"], "a:b", "command line", id="the application's"),
        pytest.param("default_proc_name = 'shop'", ["a:b"], "shop", "gunicorn.conf.py", id="a default of the file's"),
        pytest.param("default_proc_name = 'x'\nproc_name = 'shop'", ["a:b"], "shop", "gunicorn.conf.py", id="its own"),
        pytest.param("", [], None, None, id="none without an application"),
    ],
)
def test_the_name_of_the_process(tmp_path, file, argv, name, origin):
    (tmp_path / "gunicorn.conf.py").write_text(file)
    loaded = load_config(argv, {}, str(tmp_path))
    assert (loaded.config.proc_name, loaded.origins.get("proc_name")) == (name, origin)


def test_an_unset_hook_may_be_called():
    assert Config().pre_fork is NO_HOOK
    assert NO_HOOK() is NO_HOOK(1, 2, 3) is None
    assert repr(NO_HOOK) == "none"
