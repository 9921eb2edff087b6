"""APP, as the command line names it, to an application; and what kind of one it is.

It knows modules and names. The user's own exceptions pass through untouched; all else is an AppLoadError of one line.
"""

import ast
import importlib
import os
import sys
from typing import Any

from corral.errors import AppLoadError


class Application:
    __slots__ = ("callable", "interface", "uri")

    def __init__(self, uri: str, callable: Any, interface: str) -> None:  # noqa: A002
        self.uri = uri
        self.callable = callable
        self.interface = interface


def load(uri: str) -> Application:
    """MODULE:NAME, MODULE:FACTORY('literal', key=1), or MODULE, where `application` or `app` is looked for.

    Raises AppLoadError, or whatever the user's code raises.
    """
    module_name, colon, expression = uri.partition(":")
    check_spelling(uri, module_name)
    module = load_module(module_name)
    found = resolve(module, expression, uri) if colon else find_default(module, uri)
    if found is None:
        raise AppLoadError(f"{uri!r} is None; a factory must return the application")
    if not callable(found):
        raise AppLoadError(f"{uri!r} is {describe(found)}, which is not callable; name a WSGI application")
    return Application(uri, found, interface_of(found))


def check_spelling(uri: str, module_name: str) -> None:
    path = module_name.removesuffix(".py")
    if path != module_name or os.sep in module_name:
        dotted = path.removeprefix("./").strip("/").replace(os.sep, ".")
        attribute = uri.partition(":")[2] or "app"
        raise AppLoadError(f"{uri!r} names a file; name the module: {dotted}:{attribute}")
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise AppLoadError(f"{uri!r} is no APP; write MODULE:NAME, for instance myproject.wsgi:application")


def load_module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # One that the user's module asks for is the user's affair, with its traceback.
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
        where = ", ".join(entry or os.getcwd() for entry in sys.path if not entry.endswith((".zip", "lib-dynload")))
        wrong = "" if error.name == name else f" (no {error.name!r})"
        raise AppLoadError(
            f"there is no module {name!r}{wrong}; looked in {where}; see --chdir and --pythonpath"
        ) from None


def find_default(module: Any, uri: str) -> Any:
    for name in ("application", "app"):
        if hasattr(module, name):
            return getattr(module, name)
    raise AppLoadError(f"module {uri!r} has neither `application` nor `app`; write {uri}:NAME{suggest(module, 'app')}")


def resolve(module: Any, expression: str, uri: str) -> Any:
    """A name, or a call of one with literal arguments: nothing else is ever evaluated."""
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        raise AppLoadError(f"{uri!r}: {expression!r} is neither a name nor a call") from None
    if isinstance(tree, ast.Name):
        return attribute(module, tree.id, uri)
    if not isinstance(tree, ast.Call) or not isinstance(tree.func, ast.Name):
        raise AppLoadError(f"{uri!r}: {expression!r} is neither a name nor a call with literal arguments")
    factory = attribute(module, tree.func.id, uri)
    try:
        arguments = [ast.literal_eval(argument) for argument in tree.args]
        keywords = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in tree.keywords if keyword.arg}
        if len(keywords) != len(tree.keywords):
            raise ValueError
    except ValueError:
        raise AppLoadError(f"{uri!r}: the arguments must be literals, such as 'text', 1, True or None") from None
    if not callable(factory):
        raise AppLoadError(f"{uri!r}: {tree.func.id} is {describe(factory)}, which is not callable")
    check_arguments(factory, arguments, keywords, uri)
    return factory(*arguments, **keywords)


def check_arguments(factory: Any, arguments: list[Any], keywords: dict[str, Any], uri: str) -> None:
    import inspect  # lazily: only factories need it

    try:
        inspect.signature(factory).bind(*arguments, **keywords)
    except TypeError as error:
        raise AppLoadError(f"{uri!r}: the factory takes other arguments: {error}") from None
    except ValueError:
        pass  # a callable without a signature: calling it will tell


def attribute(module: Any, name: str, uri: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        raise AppLoadError(f"{uri!r}: module {module.__name__!r} has no {name!r}{suggest(module, name)}") from None


def suggest(module: Any, name: str) -> str:
    import difflib  # lazily: only mistakes need it

    callables = [each for each in vars(module) if not each.startswith("_") and callable(getattr(module, each))]
    near = difflib.get_close_matches(name, callables, 3, 0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def describe(found: object) -> str:
    kind = type(found).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def interface_of(app: Any) -> str:
    """ "asgi" if calling it makes a coroutine, or if it takes (scope, receive, send); else "wsgi"."""
    call = app if hasattr(app, "__code__") else getattr(app, "__call__", app)  # noqa: B004
    import inspect  # lazily: 0.5 MiB, which forked workers share

    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call):
        return "asgi"
    try:
        names = [parameter.name for parameter in inspect.signature(app).parameters.values()]
    except (TypeError, ValueError):
        return "wsgi"
    return "asgi" if names[:3] == ["scope", "receive", "send"] else "wsgi"
