"""gunicorn's import paths, for packages that are made for it: gunicorn.workers.base and the like are Corral's objects.

It knows how an import comes here and what an absent name is answered; which name means which object is the table's.
Nothing of it is loaded before somebody imports `gunicorn`, and no object before somebody uses it.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

ROOT = "gunicorn"


def provide() -> None:
    """Make the paths importable, unless the real gunicorn is installed: classes derived from it run here as well."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        # Before the path, on which a project's directory gunicorn/ passes for a package of that name; but behind the
        # finders of agents, which wait for modules in order to wrap what is in them.
        behind = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else 0
        sys.meta_path.insert(behind, Finder())


def announce() -> None:
    """Import what agents wait for: New Relic wraps gunicorn.app.base.Application.wsgi as soon as there is that module.

    The real one is left alone: it costs megabytes, and its Application isn't what is served.
    """
    package = elsewhere()
    places = package.submodule_search_locations or () if package is not None else ()
    if not any(os.path.isdir(os.path.join(place, "app")) for place in places):
        load(f"{ROOT}.app.base").Application  # noqa: B018


def furnish(module: ModuleType) -> None:
    """Give a module of that name, which is a distribution's (see compat/), what it would have here."""
    provide()
    furnished(module)


class Finder:
    """On sys.meta_path, and the loader of what it finds."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:
        root, dot, _ = name.partition(".")
        if root != ROOT or (not is_ours(sys.modules.get(ROOT)) if dot else elsewhere()):
            return None
        from corral.names.table import ABSENT, MODULES

        if name in ABSENT:
            raise ModuleNotFoundError(f"Corral has no {name}: {ABSENT[name]}", name=name)
        if name not in MODULES:
            return None
        is_package = any(other.startswith(f"{name}.") for other in MODULES)
        return ModuleSpec(name, self, origin="corral", is_package=is_package)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary one."""

    def exec_module(self, module: ModuleType) -> None:
        furnished(module)


def elsewhere() -> ModuleSpec | None:
    """The package of a distribution: the real one, or that of compat/, which has no modules of its own."""
    for finder in sys.meta_path:
        if not isinstance(finder, Finder):
            spec = finder.find_spec(ROOT, None)
            if spec is not None and spec.origin is not None:  # or it is a mere directory
                return spec
    return None


def is_ours(module: ModuleType | None) -> bool:
    return "__corral__" in vars(module or Finder)


def furnished(module: ModuleType) -> None:
    vars(module).update(__corral__=True, __getattr__=getter(module), __dir__=lambda: names_in(module))


def names_in(module: ModuleType) -> list[str]:
    from corral.names.table import MODULES

    return sorted({*vars(module), *MODULES[module.__name__]})


def getter(module: ModuleType) -> Callable[[str], Any]:
    """The __getattr__ of a module. Each name is looked up once."""

    def look_up(name: str) -> Any:
        found = find(module.__name__, name)
        setattr(module, name, found)
        return found

    return look_up


def find(where: str, name: str) -> Any:
    """What a name in a module of gunicorn's means here. Raises AttributeError; ImportError if it means nothing."""
    from corral.names.table import ABSENT, MODULES

    said = f"{where}.{name}"
    if name in MODULES[where]:
        path, _, attribute = MODULES[where][name].partition(":")
        return getattr(load(path), attribute)
    if said in MODULES:
        return load(said)
    if said in ABSENT:
        # `from ... import` turns an AttributeError into one of its own, without the sentence.
        raise ImportError(f"Corral has no {said}: {ABSENT[said]}", name=where)
    if where == f"{ROOT}.config" and name[0].isupper():
        return load("corral.names.config").class_of(name)
    raise AttributeError(f"module {where!r} has no attribute {name!r}")


def load(path: str) -> Any:
    from importlib import import_module

    return import_module(path)
