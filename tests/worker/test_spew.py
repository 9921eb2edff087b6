"""`spew`: which lines are told, and how."""

import linecache
import sys
import textwrap
import threading

import pytest

from corral.worker import spew

SOURCE = """\
def add(a, b):
    total = a + b
    return total
"""


def lines_of(name, act):
    """What is told of a module while `act` runs. The tracers of before, of coverage for instance, come back."""
    told = []
    before = sys.gettrace(), threading.gettrace()
    spew.install(told.append)
    try:
        act()
    finally:
        sys.settrace(before[0])
        threading.settrace(before[1])
    return [line for line in told if line.startswith(f"{name}:")]


def module(name):
    """A module's `add`, whose source is known."""
    filename = f"/srv/{name}.py"
    linecache.cache[filename] = (len(SOURCE), None, SOURCE.splitlines(True), filename)
    scope = {"__name__": name}
    exec(compile(SOURCE, filename, "exec"), scope)
    return scope["add"]


ADDING = ["shop:2:     total = a + b\n", "shop:3:     return total\n"]


def test_each_line_is_told_with_its_module_and_source():
    add = module("shop")
    assert lines_of("shop", lambda: add(1, 2)) == ADDING


def test_threads_are_traced_too():
    def add_elsewhere():
        thread = threading.Thread(target=add, args=(1, 2))
        thread.start()
        thread.join()

    add = module("shop")
    assert lines_of("shop", add_elsewhere) == ADDING


def test_a_module_without_source_still_has_its_lines():
    scope = {"__name__": "bare"}
    exec(compile("def one():\n    return 1", "/srv/nowhere.py", "exec"), scope)
    assert lines_of("bare", scope["one"]) == ["bare:2: \n"]


def test_pythons_library_is_told_where_the_application_calls_it():
    scope = {"__name__": "shop", "dedent": textwrap.dedent}
    exec(compile("def act(): dedent('  a')", "/srv/shop.py", "exec"), scope)
    assert lines_of("textwrap", scope["act"])
    scope["__name__"] = "corral.app"
    assert not lines_of("textwrap", scope["act"])


@pytest.mark.parametrize("name", ["corral", "corral.worker.sync", "importlib._bootstrap"])
def test_the_servers_own_lines_are_left_out(name):
    add = module(name)
    assert not lines_of(name, lambda: add(1, 2))
