"""APP, or a Paste Deploy file, as the command line names it, to an application; and what kind of one it is.

It knows modules and names. The user's own exceptions pass through untouched; all else is an AppLoadError of one line.
"""

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from types import FunctionType
from typing import Any

from corral.errors import EXIT_BOOT, AppLoadError, ConfigError

DEFAULT_NAMES = ("application", "app")


class NoModule(AppLoadError):
    """There is no such module: to gunicorn an import that failed, like any other."""

    exit_code = EXIT_BOOT


class Application:
    """What was found under `uri`: a callable, and "wsgi" or "asgi"."""

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
    check_spelling(uri, module_name, expression)
    module = load_module(module_name)
    found = resolve(module, expression, uri) if colon else find_default(module, uri)
    if found is None:
        what = "its factory returned None; it must return the application" if "(" in expression else "it is None"
        raise AppLoadError(f"{uri!r} is no application: {what}")
    if not callable(found):
        raise AppLoadError(f"{uri!r} is {describe(found)}, which is not callable; name an application")
    return Application(uri, found, interface_of(found))


def load_paste(uri: str, global_conf: Mapping[str, str]) -> Application:
    """A Paste Deploy URI: [config:]FILE#SECTION or egg:PACKAGE#NAME. Raises as `load` does, and ConfigError."""
    try:
        deploy = importlib.import_module("paste.deploy")
    except ModuleNotFoundError as error:
        if error.name not in ("paste", "paste.deploy"):
            raise
        raise ConfigError("`paste` needs PasteDeploy: pip install 'corral[paste]'") from None
    whole = uri if ":" in uri else f"config:{uri}"
    try:
        found = deploy.loadapp(whole, relative_to=os.getcwd(), global_conf=dict(global_conf))
    except LookupError as error:
        if type(error) is not LookupError:  # a KeyError, for instance, is the application's
            raise
        raise AppLoadError(f"paste {uri!r}: {' '.join(str(error).split())}") from None
    if not callable(found):
        raise AppLoadError(f"paste {uri!r} is {describe(found)}, which is not callable; name an application")
    return Application(uri, found, interface_of(found))


def serving_interface(found: Any, uri: str, wanted: str = "auto") -> str:
    """ "wsgi" or "asgi": what is seen, or what the setting `interface` says where nothing can be seen.

    Raises AppLoadError for what isn't any, and where the setting contradicts what is seen.
    """
    seen = interface_of(found)
    if seen == "asgi" and wanted == "wsgi":
        raise AppLoadError(
            f"{uri} is an ASGI application, and interface is wsgi; leave it at auto, or wrap the application: "
            f"a2wsgi.ASGIMiddleware"
        )
    if wanted == "auto":
        check_parameters(found, uri)
    return seen if wanted == "auto" else wanted


def check_served(found: Any, uri: str, served: str, wanted: str = "auto") -> None:
    """Raises AppLoadError for an application that a worker of the other kind would serve."""
    interface = serving_interface(found, uri, wanted)
    if interface == served:
        return
    if served == "asgi":
        raise AppLoadError(
            f"{uri} is a WSGI application, and worker_class asgi serves ASGI; leave worker_class out, or wrap the "
            f"application: a2wsgi.WSGIMiddleware"
        )
    raise AppLoadError(f"{uri} is an ASGI application, and this worker_class serves WSGI; leave worker_class out")


def check_spelling(uri: str, module_name: str, expression: str) -> None:
    path = module_name.removesuffix(".py")
    if path != module_name or os.sep in module_name:
        directory, chdir = "", ""
        if path.startswith((os.sep, "..")):
            directory, _, path = path.rpartition(os.sep)
            chdir = f"--chdir {directory or os.sep} "
        dotted = path.removeprefix("./").strip(os.sep).replace(os.sep, ".")
        right = f"{dotted}:{expression}" if expression else dotted
        raise AppLoadError(f"{uri!r} names a file, not a module; write: corral {chdir}{right}")
    if not all(module_name.split(".")) or any(character.isspace() for character in module_name):
        raise AppLoadError(f"{uri!r} is no APP; write MODULE:NAME, for instance myproject.wsgi:application")


# The module


def load_module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # One that the user's module asks for is the user's affair, with its traceback.
        if error.name is None or not f"{name}.".startswith(f"{error.name}.") or is_running(error):
            raise
        parent, _, last = name.rpartition(".")
        if parent in sys.modules and not hasattr(sys.modules[parent], "__path__"):
            raise NoModule(f"{parent!r} is a module and no package; did you mean {parent}:{last}?") from None
        missing = f"no module {name!r}" if error.name == name else f"no {error.name!r}, so no module {name!r}"
        where = ", ".join(searched())
        raise NoModule(f"there is {missing}; looked in {where}; see --chdir and --pythonpath") from None


def is_running(error: BaseException) -> bool:
    """Whether it was raised below a module's own code, rather than by the search for the module."""
    traceback = error.__traceback__
    while traceback is not None:
        name = traceback.tb_frame.f_globals.get("__name__", "")
        if name != __name__ and not name.startswith("importlib"):
            return True
        traceback = traceback.tb_next
    return False


def searched() -> Iterable[str]:
    """The path as far as it is the user's: Python's own library says nothing to anybody."""
    library = os.path.dirname(os.__file__) + os.sep
    for entry in sys.path:
        directory = entry or os.getcwd()
        of_python = (directory + os.sep).startswith(library) and "-packages" not in directory
        if not of_python and not directory.endswith(".zip"):
            yield directory


# What is in it


def find_default(module: Any, uri: str) -> Any:
    found = [getattr(module, name) for name in DEFAULT_NAMES if hasattr(module, name)]
    # A package may have a submodule of that name, which is no application.
    for each in found:
        if callable(each):
            return each
    if found:
        return found[0]
    factory = next((name for name in ("create_app", "make_app", "get_app", "build_app") if hasattr(module, name)), None)
    hint = f"{uri}:{factory}()" if factory else f"{uri}:NAME"
    raise AppLoadError(f"module {uri!r} has neither `application` nor `app`; write {hint}")


def resolve(module: Any, expression: str, uri: str) -> Any:
    """A name, or a call of one with literal arguments: nothing else is ever evaluated."""
    import ast  # lazily: most names are plain, but dataclasses has loaded it by way of inspect

    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
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


def check_parameters(app: Any, uri: str) -> None:
    """A function or class that takes neither two arguments nor three is a factory that nobody has called."""
    import inspect

    if not isinstance(app, FunctionType | type):
        return
    try:
        # What it says of itself: a decorator's wrapper may take other arguments than what it wraps.
        signature = inspect.signature(app, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    for arguments in (("environ", "start_response"), ("scope", "receive", "send")):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return
    raise AppLoadError(
        f"{uri!r} takes neither (environ, start_response) nor (scope, receive, send); "
        f"if it makes the application, write {uri}()"
    )


def attribute(module: Any, name: str, uri: str) -> Any:
    try:
        return getattr(module, name)
    except AttributeError:
        raise AppLoadError(f"{uri!r}: module {module.__name__!r} has no {name!r}{suggest(module, name)}") from None


def suggest(module: Any, name: str) -> str:
    import difflib  # lazily: only mistakes need it

    callables = [each for each, value in vars(module).items() if not each.startswith("_") and callable(value)]
    near = difflib.get_close_matches(name, callables, 3, 0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def describe(found: object) -> str:
    kind = type(found).__name__
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def interface_of(app: Any) -> str:
    """ "asgi" if calling it makes a coroutine, or if it takes (scope, receive, send); else "wsgi"."""
    import inspect  # lazily: dataclasses has loaded it already, but this module needn't know

    # Calling a class makes an instance, whatever the instance's own __call__ is.
    call = None if isinstance(app, type) else getattr(app, "__call__", None)  # noqa: B004
    if inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(call):
        return "asgi"
    try:
        names = [parameter.name for parameter in inspect.signature(app).parameters.values()]
    except (TypeError, ValueError):
        return "wsgi"
    return "asgi" if names[:3] == ["scope", "receive", "send"] else "wsgi"
