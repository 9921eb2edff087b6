"""The import graph is a tower: a module imports only from floors below its own, or from its own package."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "corral"
FLOORS = (
    ("errors",),
    ("config", "http", "shared"),
    ("gateway",),
    ("app", "net", "report"),
    ("arbiter", "worker"),
    ("server",),
    ("names",),
    ("application", "ctl"),
    ("cli", "paste"),
    ("__main__",),
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
PURE = (
    "http", "gateway", "arbiter.plan", "arbiter.pool", "arbiter.commands",
    "config.settings", "config.sections", "config.row", "config.values", "config.classes", "config.hooks",
    "config.conflicts",
)  # fmt: skip
IMPURE = {
    "socket", "ssl", "select", "selectors", "asyncio", "threading", "subprocess", "time", "os", "logging",
}  # fmt: skip
OF_THE_PACKAGE = ("corral.__version__", "corral.SOFTWARE")
MODULES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names if node.module == "corral")
    return found


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_lower_floors(path: Path) -> None:
    name = name_of(path)
    top = name.split(".")[0]
    for imported in imports_of(path):
        if not imported.startswith("corral.") or imported in OF_THE_PACKAGE:
            continue
        other = imported.split(".")[1]
        if other != top:
            assert FLOOR[other] < FLOOR[top], f"{name} (floor {FLOOR[top]}) imports {imported} (floor {FLOOR[other]})"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_pure_modules_touch_no_system(path: Path) -> None:
    name = name_of(path)
    if name.startswith(PURE):
        impure = {imported.split(".")[0] for imported in imports_of(path)} & IMPURE
        assert not impure, f"{name} is pure and imports {sorted(impure)}"
