"""Imports go down only, services never import one another, and the core touches nothing but memory."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What each package may import of ours, and nothing else. Source: design, "Layout and floors".
ALLOWED = {
    "vxnet": {"vxnet"},
    "vxutils": {"vxnet", "vxutils"},
    "matchengine": {"vxnet", "vxutils", "matchengine"},
    "marketprice": {"vxnet", "vxutils", "marketprice"},
    "gateways": {"vxnet", "vxutils", "gateways"},
}

# The core decides from its input alone: no clock, no chance, no operating system, no logging.
CORE_ALLOWED = {
    "__future__",
    "bisect",
    "collections",
    "hashlib",
    "itertools",
    "matchengine.core",
    "msgspec",
    "operator",
    "re",
    "typing",
    "vxutils.fixed",
    "vxutils.json_text",
    "vxutils.packing",
    "vxutils.protocol",
    "zlib",
}


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_down_only(package: str) -> None:
    ours = set(ALLOWED)
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in ours - ALLOWED[package]
    ]
    assert not found, found


def test_the_core_is_pure() -> None:
    def allowed(name: str) -> bool:
        return any(name == entry or name.startswith(entry + ".") for entry in CORE_ALLOWED)

    files = modules("matchengine/core")
    assert len(files) > 10
    found = [f"{path.name} imports {name}" for path in files for name in imports(path) if not allowed(name)]
    assert not found, found


def test_the_core_has_no_floats() -> None:
    found = []
    for path in modules("matchengine/core"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_float = isinstance(node, ast.Constant) and isinstance(node.value, float)
            is_division = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
            if isinstance(node, ast.expr) and (is_float or is_division):
                found.append(f"{path.name}:{node.lineno}")
    # The one place: printing a time as the C system does, a double with 17 digits.
    assert found == [entry for entry in found if entry.startswith("views.py")], found
    assert len(found) == 1, found


def test_no_module_state_is_mutable() -> None:
    """Module-level names bound to empty containers are state in disguise."""
    found = []
    for package in ALLOWED:
        for path in modules(package):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(
                    node.value, ast.Dict | ast.List | ast.Set
                ):
                    value = node.value
                    members = value.keys if isinstance(value, ast.Dict) else value.elts
                    if not members:
                        found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert not found, found


def test_every_test_folder_is_a_package() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]
