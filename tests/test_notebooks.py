"""Every notebook runs from top to bottom, and shows the kinds of output that are stored in it."""

import ast
import copy
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from rebuild import kinds, run, shortened

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_is_stored(path: Path, tmp_path: Path) -> None:
    stored = read(path)
    fresh = run(shortened(copy.deepcopy(stored)), tmp_path)
    assert kinds(fresh) == kinds(stored)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_carries_its_outputs_and_nothing_went_wrong(path: Path) -> None:
    shown = kinds(read(path))
    assert any("image/png" in kind for kind in shown)
    assert not any(kind & {"stderr", "error"} for kind in shown), "run notebooks/rebuild.py"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_written_for_a_reader(path: Path) -> None:
    notebook = read(path)
    parameters = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assigned = {
        name.id
        for cell in parameters
        for name in ast.walk(ast.parse(cell.source))
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }
    assert set(notebook.metadata.get("short", {})) <= assigned
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert "assert " not in code
    assert "environ" not in code
