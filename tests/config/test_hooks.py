"""Which functions are accepted as a hook, what they are called with, and what is said of others."""

import functools
import sys

import pytest

from corral.config.hooks import NO_HOOK, readable, taking
from corral.config.values import BadValue
from corral.errors import ConfigError

POST_REQUEST = taking("worker", "req", "environ", "resp", least=2)
PRE_FORK = taking("server", "worker")


class Object:
    def __call__(self, server, worker):
        return [server, worker]

    def method(self, server, worker):
        return [server, worker]


def two(server, worker):
    return [server, worker]


@functools.wraps(two)
def decorated(*arguments):
    return two(*arguments)


@pytest.mark.parametrize(
    ("accept", "function", "called_with"),
    [
        pytest.param(PRE_FORK, two, 2, id="a function"),
        pytest.param(PRE_FORK, Object(), 2, id="an object"),
        pytest.param(PRE_FORK, Object().method, 2, id="a method"),
        pytest.param(PRE_FORK, decorated, 2, id="a decorated function"),
        pytest.param(PRE_FORK, functools.partial(lambda a, b, c: [b, c], 0), 2, id="a partial function"),
        pytest.param(PRE_FORK, lambda *them: list(them), 2, id="any number of arguments"),
        pytest.param(PRE_FORK, lambda a, b, c=3: [a, b], 2, id="one more with a default"),
        pytest.param(POST_REQUEST, lambda *them: list(them), 4, id="post_request with any number"),
        pytest.param(POST_REQUEST, lambda a, b, c, d: [a, b, c, d], 4, id="post_request with four"),
        pytest.param(POST_REQUEST, lambda a, b, c: [a, b, c], 3, id="post_request with three"),
        pytest.param(POST_REQUEST, two, 2, id="post_request with two"),
        pytest.param(POST_REQUEST, decorated, 2, id="post_request decorated"),
    ],
)
def test_a_hook_is_called_with_what_it_takes(accept, function, called_with):
    arguments = ("a", "b", "c", "d")[: 4 if accept is POST_REQUEST else 2]
    assert accept(function)(*arguments) == list(arguments[:called_with])
    assert accept(accept(function))(*arguments) == list(arguments[:called_with])


@pytest.mark.parametrize(
    ("accept", "value", "reason"),
    [
        pytest.param(PRE_FORK, lambda server: 0, "must take the arguments (server, worker)", id="too few"),
        pytest.param(PRE_FORK, lambda a, b, c: 0, "must take the arguments (server, worker)", id="too many"),
        pytest.param(PRE_FORK, lambda a, b, *, c: 0, "must take the arguments (server, worker)", id="a keyword"),
        pytest.param(
            POST_REQUEST, lambda worker: 0,
            "must take the arguments (worker, req) or (worker, req, environ) or (worker, req, environ, resp)",
            id="too few of a choice",
        ),
        pytest.param(PRE_FORK, 3, "must be a function or the dotted name of one", id="a number"),
        pytest.param(
            PRE_FORK, "pre_fork", "must be a function or the dotted name of one, such as package.module.function",
            id="a name without dots",
        ),
        pytest.param(
            PRE_FORK, "a b.c", "must be a function or the dotted name of one, such as package.module.function",
            id="a name with a blank",
        ),
    ],
)  # fmt: skip
def test_what_is_no_hook(accept, value, reason):
    with pytest.raises(BadValue) as caught:
        accept(value)
    assert str(caught.value) == reason


@pytest.mark.parametrize("value", [None, "", " ", NO_HOOK], ids=["none", "empty", "blank", "unset"])
def test_unset(value):
    assert PRE_FORK(value) is NO_HOOK


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "module_of_hooks.py").write_text("def two(a, b):\n    return [a, b]\n")
    yield
    sys.modules.pop("module_of_hooks", None)


@pytest.mark.usefixtures("module")
def test_a_dotted_name_is_imported_when_it_is_called():
    hook = PRE_FORK("module_of_hooks.two")
    assert "module_of_hooks" not in sys.modules
    assert hook(1, 2) == [1, 2]
    assert POST_REQUEST("module_of_hooks.two")(1, 2, 3, 4) == [1, 2]
    assert (hook, hash(hook)) == (PRE_FORK("module_of_hooks.two"), hash(PRE_FORK("module_of_hooks.two")))
    assert repr(hook) == "module_of_hooks.two"


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("accept", "name", "words"),
    [
        pytest.param(PRE_FORK, "no_module_of_hooks.two", "No module named 'no_module_of_hooks'", id="no module"),
        pytest.param(PRE_FORK, "module_of_hooks.three", "has no attribute 'three'", id="no function"),
        pytest.param(taking("server"), "module_of_hooks.two", r"must take the arguments \(server\)", id="arguments"),
    ],
)
def test_a_dotted_name_that_leads_nowhere(accept, name, words):
    with pytest.raises(ConfigError, match=f"^the hook {name} .*{words}"):
        accept(name).resolve()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(two, f"two ({__file__}:{two.__code__.co_firstlineno})", id="a function"),
        pytest.param(POST_REQUEST(two), f"two ({__file__}:{two.__code__.co_firstlineno})", id="one that takes less"),
        pytest.param(dict, "builtins.dict", id="a class"),
        pytest.param("a", "'a'", id="a string"),
    ],
)
def test_what_a_person_sees(value, text):
    assert readable(value) == text
