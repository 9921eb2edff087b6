"""Which files are watched, what counts as a change, and that each engine tells of it once."""

import logging
import os
import queue
import sys
from types import ModuleType

import pytest

from corral.worker.reloader import Notified, Polling, Reloader, Watched, files_named_by, mending_places, module_files

PATIENCE = 20


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.py").write_text("color = 1")
    (tmp_path / "shop.toml").write_text("color = 1")
    return tmp_path


@pytest.fixture
def shop(directory, monkeypatch):
    """A module that has been imported."""
    module = ModuleType("shop_of_the_reloader")
    module.__file__ = str(directory / "shop.py")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return directory / "shop.py"


def names(paths):
    return sorted(os.path.basename(path) for path in paths)


# Which files


def test_modules_are_watched_but_not_pythons_own(shop):
    watched = Watched(())
    watched.refresh()
    assert str(shop) in watched.stamps
    assert pytest.__file__ in watched.stamps
    assert os.__file__ not in watched.stamps


def test_asking_a_module_for_its_file_imports_nothing(monkeypatch):
    class Lazy(ModuleType):
        def __getattribute__(self, name):
            raise AssertionError(f"asked for {name}")

    monkeypatch.setitem(sys.modules, "lazy_of_the_reloader", Lazy("lazy"))
    assert list(module_files())


def test_a_module_that_is_imported_later_is_watched_and_no_change(directory, monkeypatch):
    watched = Watched(())
    watched.refresh()
    late = ModuleType("late_of_the_reloader")
    late.__file__ = str(directory / "late.pyc")
    (directory / "late.py").write_text("")
    monkeypatch.setitem(sys.modules, late.__name__, late)
    watched.refresh()
    assert str(directory / "late.py") in watched.stamps
    assert not watched.changes()


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        pytest.param("shop.toml", ["shop.toml"], id="a path"),
        pytest.param("*.toml", ["shop.toml"], id="a glob"),
        pytest.param("templates", ["a.html", "b.html"], id="a directory, with those below but without hidden files"),
        pytest.param("**/*.html", ["a.html", "b.html"], id="a recursive glob"),
        pytest.param("none.toml", ["none.toml"], id="a file that isn't there yet"),
        pytest.param("[x]/*.toml", [], id="a glob that matches nothing yet"),
    ],
)
def test_extra_files(directory, pattern, found):
    below = directory / "templates" / "deep"
    below.mkdir(parents=True)
    (below.parent / "a.html").write_text("")
    (below / "b.html").write_text("")
    (below / ".b.html.swp").write_text("")
    assert names(Watched([pattern]).stamps) == found


def test_directories_are_watched_where_files_may_appear(directory):
    assert Watched(["conf/**/*.toml", "new/a.toml"]).directories() == {str(directory / "conf"), str(directory / "new")}


# What is a change


def rewrite(path):
    path.write_text(path.read_text() + " ")


def touch(path):
    os.utime(path, ns=(1, 1))


def replace(path):
    """As editors save."""
    other = path.with_name("other")
    other.write_text("color = 22")
    other.rename(path)


def remove_and_restore(path):
    path.unlink()
    path.write_text("color = 22")


@pytest.mark.parametrize("change", [rewrite, touch, replace, remove_and_restore])
def test_changes(directory, change):
    watched = Watched(["shop.toml"])
    change(directory / "shop.toml")
    assert names(watched.changes()) == ["shop.toml"]


def test_a_file_that_is_gone_is_no_change_until_it_is_back(directory):
    watched = Watched(["shop.toml"])
    (directory / "shop.toml").rename(directory / "away")
    assert not watched.changes()
    (directory / "away").rename(directory / "shop.toml")
    assert not watched.changes()


@pytest.mark.parametrize("pattern", ["conf", "conf/*.toml", "conf/new.toml"])
def test_a_file_that_appears_is_a_change(directory, pattern):
    (directory / "conf").mkdir()
    watched = Watched([pattern])
    (directory / "conf" / "new.toml").write_text("")
    watched.refresh()
    assert names(watched.changes()) == ["new.toml"]


# After an import that failed


def raised(source, path):
    try:
        exec(compile(source, str(path), "exec"), {"__name__": "shop"})
    except BaseException as error:
        return error
    raise AssertionError("it raised nothing")


def test_files_of_a_traceback(directory):
    error = raised("def f(): 1 / 0\nf()", directory / "shop.py")
    assert {__file__, str(directory / "shop.py")} == set(files_named_by(error))


def test_files_of_causes_and_syntax_errors(directory):
    error = ValueError()
    error.__cause__ = raised("x = (", directory / "broken.py")
    error.__cause__.__context__ = error  # a circle, as some people make them
    assert str(directory / "broken.py") in set(files_named_by(error))


def test_a_missing_module_may_be_put_beside_those_that_want_it_or_on_the_path(directory, tmp_path, monkeypatch):
    elsewhere = tmp_path / "else[where]"
    elsewhere.mkdir()
    monkeypatch.setattr(sys, "path", [str(elsewhere), *sys.path])
    watched = Watched(())
    watched.add(mending_places(raised("import no_such_thing", directory / "shop.py")))
    assert not watched.changes()
    (elsewhere / "no_such_thing.py").write_text("")
    package = directory / "no_such_thing"
    package.mkdir()
    (package / "__init__.py").write_text("")
    watched.refresh()
    assert names(watched.changes()) == ["__init__.py", "no_such_thing.py"]


def test_installed_packages_are_no_place_to_mend_anything():
    assert not [place for place in mending_places(ValueError()) if "-packages" in place]


# The thread


class Watching:
    """A reloader and what it has told."""

    def __init__(self, engine, *extra):
        self.told = queue.Queue()
        self.reloader = Reloader(logging.getLogger("test"), self.told.put, engine=engine, extra_files=extra)

    def __enter__(self):
        self.reloader.start()
        self.reloader.loaded()
        return self

    def __exit__(self, *_):
        self.reloader.stop()
        self.reloader.thread.join(PATIENCE)
        assert not self.reloader.thread.is_alive()

    def path(self):
        return self.told.get(timeout=PATIENCE)


@pytest.fixture(params=["poll", "inotify"])
def engine(request):
    return request.param


def test_a_modules_change_is_told_once_and_logged(engine, shop, caplog):
    caplog.set_level(logging.INFO)
    with Watching(engine) as watching:
        rewrite(shop)
        assert watching.path() == str(shop)
        watching.reloader.thread.join(PATIENCE)
        assert watching.told.empty()
    assert caplog.messages == [f"Worker reloading: {shop} modified"]


def test_a_rename_over_a_file_is_one_change(engine, shop):
    with Watching(engine) as watching:
        replace(shop)
        assert watching.path() == str(shop)


def test_new_files_in_new_directories_are_seen(engine, directory):
    with Watching(engine, str(directory)) as watching:
        below = directory / "templates" / "deep"
        below.mkdir(parents=True)
        (below / "a.html").write_text("")
        assert watching.path() == str(below / "a.html")


def test_a_directory_that_was_replaced_is_still_watched(engine, directory):
    conf = directory / "conf"
    conf.mkdir()
    with Watching(engine, "conf/shop.toml") as watching:
        conf.rename(directory / "old")
        conf.mkdir()
        (conf / "shop.toml").write_text("")
        assert watching.path() == str(conf / "shop.toml")


def test_a_module_is_known_as_soon_as_the_application_is_loaded(engine, directory, monkeypatch):
    with Watching(engine) as watching:
        module = ModuleType("late_of_the_reloader")
        module.__file__ = str(directory / "shop.py")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        watching.reloader.loaded()
        rewrite(directory / "shop.py")
        assert watching.path() == str(directory / "shop.py")


def test_mending_is_told(engine, directory):
    with Watching(engine) as watching:
        watching.reloader.failed(raised("x = (", directory / "shop.py"))
        rewrite(directory / "shop.py")
        assert watching.path() == str(directory / "shop.py")


def test_stopping_ends_the_thread(engine):
    with Watching(engine) as watching:
        pass
    assert watching.told.empty()


def test_two_versions_of_one_second_and_one_size_are_told_apart(shop):
    cache = shop.parent / "__pycache__" / f"shop.{sys.implementation.cache_tag}.pyc"
    cache.parent.mkdir()
    cache.write_text("")
    with Watching("poll") as watching:
        rewrite(shop)
        watching.path()
        assert not cache.exists()


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        pytest.param("poll", Polling, [], id="poll"),
        pytest.param("auto", Polling, [], id="auto takes what there is"),
        pytest.param("inotify", Polling, ["corral[reload]"], id="inotify says what it needs"),
    ],
)
def test_engines_without_watchfiles(name, kind, said, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "watchfiles._rust_notify", None)
    reloader = Reloader(logging.getLogger("test"), print, engine=name)
    assert isinstance(reloader.engine, kind)
    assert len(caplog.messages) == len(said)
    assert all(part in caplog.text for part in said)


@pytest.mark.parametrize("name", ["auto", "inotify"])
def test_engines_with_watchfiles(name):
    assert isinstance(Reloader(logging.getLogger("test"), print, engine=name).engine, Notified)
