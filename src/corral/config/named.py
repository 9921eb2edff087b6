"""A class by what a setting calls it: a dotted name, `egg:DISTRIBUTION#NAME`, or the NAME of an entry point.

It knows how such names are looked up and what to say when one leads nowhere; not what the class is for.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from corral.errors import ConfigError


def load_class(setting: str, name: str, group: str, own: Mapping[str, Callable[[], Any]]) -> Any:
    """`own` are names that need no search. Raises ConfigError, of one line that says what is wrong."""
    if name in own:
        return own[name]()
    if name.startswith("egg:") or "." not in name:
        found = entry_point(setting, name, group, own)
    else:
        found = attribute(setting, name, own)
    if not callable(found):
        raise ConfigError(f"{setting} {name!r} is no class but {type(found).__name__}")
    return found


def entry_point(setting: str, name: str, group: str, own: Iterable[str]) -> Any:
    """`egg:DISTRIBUTION#NAME`, or NAME of any distribution that has one in the group."""
    from importlib.metadata import entry_points  # lazily: it brings email, 2 MiB

    package, _, short = name.removeprefix("egg:").rpartition("#")
    points = {}
    for point in entry_points(group=group):
        owner = point.dist.name if point.dist is not None else ""
        points[f"egg:{owner}#{point.name}" if package else point.name] = point
    wanted = f"egg:{package}#{short}" if package else short
    if wanted in points:
        return loaded(setting, name, points[wanted].load, own)
    raise ConfigError(f"{setting} {name!r} is not installed{suggestion(name, [*own, *points])}")


def attribute(setting: str, name: str, own: Iterable[str]) -> Any:
    import importlib  # it is loaded already

    path, _, last = name.rpartition(".")
    module = loaded(setting, name, lambda: importlib.import_module(path), own)
    found = getattr(module, last, None)
    if found is None:
        classes = [each for each, value in vars(module).items() if isinstance(value, type)]
        raise ConfigError(f"{setting} {name!r}: module {path!r} has no {last!r}{suggestion(last, classes)}")
    return found


def loaded(setting: str, name: str, load: Callable[[], Any], own: Iterable[str]) -> Any:
    try:
        return load()
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and name.startswith(f"{missing}."):
            hint = suggestion(name, own)
            raise ConfigError(f"{setting} {name!r}: there is no module {name.rpartition('.')[0]!r}{hint}") from None
        text = " ".join(str(error).split())
        raise ConfigError(f"{setting} {name!r} can't be imported: {type(error).__name__}: {text}") from error


def suggestion(name: str, names: Iterable[str]) -> str:
    import difflib  # lazily: only a typing error needs it

    found = difflib.get_close_matches(name, list(names), 1, 0.6)
    return f"; did you mean {found[0]!r}?" if found else ""
