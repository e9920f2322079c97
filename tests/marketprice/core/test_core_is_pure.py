"""The core decides from its input alone: no clock, no chance, no operating system, no logging, no floats."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.architecture.test_floors import imports

CORE = Path(__file__).parents[3] / "marketprice" / "core"
ALLOWED = (
    "__future__", "bisect", "collections", "datetime", "itertools", "marketprice.core", "msgspec", "re",
    "typing", "vxutils.fixed",
)  # fmt: skip


def test_imports() -> None:
    files = sorted(CORE.glob("*.py"))
    assert len(files) > 5
    found = [
        f"{path.name} imports {name}"
        for path in files
        for name in imports(path)
        if not any(name == entry or name.startswith(f"{entry}.") for entry in ALLOWED)
    ]
    assert not found, found


def test_no_floats() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in CORE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
    ]
    assert not found, found
