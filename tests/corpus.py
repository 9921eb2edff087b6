"""The corpus of requests, which tests/http/corpus holds as data: a name and a case, see tests/http/test_inbound.py."""

import runpy
from pathlib import Path
from typing import Any

CASES: list[tuple[str, tuple[Any, ...]]] = [
    (f"{path.stem}: {case[0]}", case)
    for path in sorted((Path(__file__).parent / "http" / "corpus").glob("*.py"))
    for case in runpy.run_path(str(path))["CASES"]
]
