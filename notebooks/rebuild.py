"""Run the notebooks and store what they show.

    python notebooks/rebuild.py                  # all of them, several minutes
    python notebooks/rebuild.py quick_start      # some

The tests run them again, shorter: the values in a notebook's metadata under ``short`` replace those
of its cell tagged ``parameters``. Outputs have to keep their kinds, not their digits.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent


def shortened(notebook: NotebookNode) -> NotebookNode:
    """Let a notebook run in seconds: its parameters take the values of its metadata."""
    values = notebook.metadata.get("short", {})
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in values.items())
    return notebook


def run(notebook: NotebookNode, folder: str | Path) -> NotebookNode:
    """Execute a notebook in a folder and return it with its outputs, as they came."""
    environment = {
        **os.environ,
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONWARNINGS": "ignore",  # deprecations of libraries among each other
    }
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=1800, resources=resources, record_timing=False)
    return client.execute(env=environment)


def kinds(notebook: NotebookNode) -> list[set[str]]:
    """Return for each cell what kinds of output it has."""
    return [
        {
            kind
            for output in cell.get("outputs", [])
            for kind in output.get("data", {output.get("name", output.output_type): None})
        }
        for cell in notebook.cells
    ]


def build(path: Path) -> None:
    """Run a notebook in an empty folder and store its outputs in it."""
    notebook = nbformat.read(path, as_version=4)
    with TemporaryDirectory() as folder:
        run(notebook, folder)
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)


def main(names: list[str]) -> None:
    for path in sorted(HERE.glob("*.ipynb")):
        if not names or path.stem in names:
            build(path)
            print(path)


if __name__ == "__main__":
    main(sys.argv[1:])
