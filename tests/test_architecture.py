"""The house: rooms, the direction of imports between them, and what its doors take."""

import ast
import dataclasses
import importlib
import inspect
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mine_lightning"
FILES = sorted(PACKAGE.rglob("*.py"))


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of ``pyproject.toml`` on the package in a folder."""
    command = "import importlinter.cli as c; c.lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", str(ROOT / "pyproject.toml")],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    pytest.importorskip("importlinter")
    return shutil.copytree(PACKAGE, tmp_path / "mine_lightning")


def test_the_contracts_on_imports_are_kept(copied: Path) -> None:
    result = lint(copied.parent)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("support/files.py", "import mine_lightning.objectives", "support < objectives < critics"),
        ("objectives/base.py", "import mine_lightning.critics", "support < objectives < critics"),
        ("data/modules.py", "import mine_lightning.callbacks", "support < data < callbacks"),
        ("data/modules.py", "import mine_lightning.critics", "data and callbacks know no model"),
        ("critics/layers.py", "import mine_lightning.data", "objectives and critics know no data"),
        (
            "objectives/base.py",
            "import mine_lightning.metrics",
            "objectives < functional and metrics",
        ),
        ("estimate/call.py", "import mine_lightning.training", "these < training"),
        ("metrics.py", "import mine_lightning.training", "these < training"),
        ("training/guard.py", "import mine_lightning.cli", "these < training"),
        ("monitor/taps.py", "import mine_lightning.demos", "nothing imports the demos"),
    ],
)
def test_an_import_against_the_direction_breaks_its_contract(
    copied: Path, room: str, line: str, contract: str
) -> None:
    file = copied / room
    file.write_text(f"{line}\n{file.read_text()}")
    result = lint(copied.parent)
    assert result.returncode == 1
    assert any(contract in said and said.endswith("BROKEN") for said in result.stdout.splitlines())


def test_few_files_lie_outside_the_rooms() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 6


def is_own_import(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and str(node.module).startswith("mine_lightning")


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_private_names_stay_in_their_file(file: Path) -> None:
    imports = [node for node in ast.walk(ast.parse(file.read_text())) if is_own_import(node)]
    private = [name.name for node in imports for name in node.names if name.name.startswith("_")]
    assert private == []


UNTESTED = (  # they hold data alone
    "cli/descriptions.py",
    "estimate/calibration.py",
)
MODULES = [file.relative_to(PACKAGE) for file in FILES if not file.name.startswith("__")]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_has_the_test_of_its_name(module: Path) -> None:
    test = ROOT / "tests" / module.with_name(f"test_{module.name}")
    assert test.exists() == (str(module) not in UNTESTED)


FACES = ("", ".callbacks", ".critics", ".data", ".demos", ".estimate", ".functional", ".metrics")
FACES += (".monitor", ".objectives", ".training")


def public_callables() -> dict[str, Callable[..., Any]]:
    """Return what the faces of the package export; results hold many numbers and are left out."""
    modules = [importlib.import_module(f"mine_lightning{face}") for face in FACES]
    found = {name: getattr(module, name) for module in modules for name in module.__all__}
    return {n: f for n, f in found.items() if callable(f) and not dataclasses.is_dataclass(f)}


@pytest.mark.parametrize("name", public_callables())
def test_no_door_has_more_than_nine_parameters(name: str) -> None:
    parameters = inspect.signature(public_callables()[name]).parameters.values()
    named = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    assert len(named) <= 9, named
