"""What the contract of import-linter in pyproject.toml does not hold: scripts, UDFs, names."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = Path(__file__).resolve().parents[2] / "steps"
MODULES = sorted((STEPS / "retraining").rglob("*.py"))
SCRIPTS = sorted(path.stem for path in STEPS.glob("*.py"))


def imports_of(path: Path) -> set[str]:
    """Absolute dotted names that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def name_of(path: Path) -> str:
    """Dotted name of a module of the library."""
    return ".".join(path.relative_to(STEPS).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", [*MODULES, *STEPS.glob("*.py")], ids=name_of)
def test_nobody_imports_a_script(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports_of(path)} & set(SCRIPTS)


def test_no_python_udf_in_the_library() -> None:
    banned = {"udf", "pandas_udf", "mapInPandas", "applyInPandas", "mapInArrow", "foreach"}
    for path in MODULES:
        tree = ast.parse(path.read_text())
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        used |= {name.split(".")[-1] for name in imports_of(path)}
        assert not used & banned, path


def test_no_script_hides_a_module_of_the_standard_library() -> None:
    assert not set(SCRIPTS) & set(sys.stdlib_module_names)


def test_every_module_imports_alone_in_a_fresh_process_without_warnings() -> None:
    program = "import importlib, sys; [importlib.import_module(m) for m in sys.argv[1:]]"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *map(name_of, MODULES)],
        cwd=STEPS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
