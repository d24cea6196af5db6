"""Imports go one way: script -> ring 3 -> ring 2 -> ring 1, and never from script to script."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = Path(__file__).resolve().parents[2] / "steps"
LIBRARY = STEPS / "retraining"
MODULES = sorted(path.stem for path in LIBRARY.glob("*.py") if path.stem != "__init__")
SCRIPTS = sorted(path.stem for path in STEPS.glob("*.py"))

# What makes a module belong to a ring. Everything else that a ring uses, all may use.
RING_OF_PACKAGE = {
    "pyspark": 2,
    "py4j": 2,
    "mlflow": 3,
    "click": 3,
    "hyperopt": 3,
    "jinja2": 3,
    "matplotlib": 3,
    "git": 3,
}


def imports_of(path: Path) -> set[str]:
    """Absolute dotted names that a file imports when it runs, functions included."""
    names = set()
    for node in ast.walk(_WithoutTypeChecking().visit(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


class _WithoutTypeChecking(ast.NodeTransformer):
    """Drops what only type checkers import: it couples nothing at run time."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)


def used_modules(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports_of(path)]
    return {part[1] for part in parts if part[0] == "retraining" and len(part) > 1}


def ring_of(module: str, seen: tuple[str, ...] = ()) -> int:
    """The ring of a module: the highest of what it imports, through other modules too."""
    assert module not in seen, f"import circle: {' -> '.join((*seen, module))}"
    path = LIBRARY / f"{module}.py"
    own = [RING_OF_PACKAGE.get(name.split(".")[0], 1) for name in imports_of(path)]
    inner = [ring_of(name, (*seen, module)) for name in used_modules(path)]
    return max([1, *own, *inner])


@pytest.mark.parametrize(
    ("ring", "modules"),
    [
        (1, ["errors", "metrics", "paired", "decision", "description", "simulation"]),
        (
            2,
            [
                "session",
                "sources",
                "quality",
                "features",
                "fingerprint",
                "splits",
                "dataset",
                "preparation",
                "pipelines",
                "scoring",
                "evaluation",
            ],
        ),
        (3, ["lineage", "runs", "registry", "models", "options", "report", "search", "projects"]),
    ],
)
def test_modules_stay_in_their_ring(ring: int, modules: list[str]) -> None:
    assert {module: ring_of(module) for module in modules} == dict.fromkeys(modules, ring)


def test_readme_names_every_module_in_its_ring() -> None:
    readme = (STEPS.parent / "README.md").read_text()
    named: dict[str, int] = {}
    for ring, modules in re.findall(r"^\| ([123]), .*\| `([^`]+)` \|$", readme, re.MULTILINE):
        named |= dict.fromkeys(modules.split(), int(ring))
    assert named == {module: ring_of(module) for module in MODULES}


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_a_script_or_goes_round_in_a_circle(module: str) -> None:
    assert ring_of(module) in (1, 2, 3)
    top = {name.split(".")[0] for name in imports_of(LIBRARY / f"{module}.py")}
    assert not top & set(SCRIPTS)


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_script_imports_a_script(script: str) -> None:
    top = {name.split(".")[0] for name in imports_of(STEPS / f"{script}.py")}
    assert not top & set(SCRIPTS)


def test_no_python_udf_in_the_library() -> None:
    banned = {"udf", "pandas_udf", "mapInPandas", "applyInPandas", "mapInArrow", "foreach"}
    for path in LIBRARY.glob("*.py"):
        tree = ast.parse(path.read_text())
        used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        used |= {name.split(".")[-1] for name in imports_of(path)}
        assert not used & banned, path


def test_no_module_hides_one_of_the_standard_library() -> None:
    assert not set(SCRIPTS) & set(sys.stdlib_module_names)


def test_every_module_imports_alone_in_a_fresh_process_without_warnings() -> None:
    program = "import importlib, sys; [importlib.import_module(m) for m in sys.argv[1:]]"
    names = [f"retraining.{module}" for module in MODULES]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *names],
        cwd=STEPS,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
