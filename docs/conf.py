"""Configuration of the documentation: ``python docs/build.py`` builds it."""

import inspect
import re
import shutil
import tomllib
from importlib import import_module
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from sphinx.util.inspect import stringify_signature

HERE = Path(__file__).parent

project = "mine_lightning"
author = "the mine_lightning authors"
copyright = author
release = version = version_of("mine-lightning")
urls = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["urls"]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",  # formulas render without a network
    "sphinx_copybutton",
    "sphinx_design",
    "myst_nb",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "navigation_with_keys": True,
    "source_repository": urls["Source"],
    "source_branch": "main",
    "source_directory": "docs/",
}

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # overridden hooks of Lightning are not documented again
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autosummary_generate = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # fields of a NamedTuple are documented by themselves
python_maximum_signature_line_length = 88

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

myst_enable_extensions = ["colon_fence", "dollarmath", "amsmath", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks carry their outputs; notebooks/rebuild.py makes them
nb_merge_streams = True

ROOMS = {
    "estimate": "One call, one number",
    "selection": "Choosing columns",
    "monitor": "Watching a model",
    "training": "Training with Lightning",
    "metrics": "Metrics",
    "objectives": "Objectives",
    "functional": "Functions",
    "critics": "Critics",
    "data": "Data",
    "callbacks": "Callbacks",
    "demos": "Demonstrations",
}
PUBLIC = ("", ".functional", ".objectives", ".critics", ".metrics", ".data", ".monitor", ".demos")


def public_names() -> dict[str, list[str]]:
    """Return every public name by the room it lives in, each at its shortest path."""
    rooms: dict[str, list[str]] = {room: [] for room in ROOMS}
    seen: set[int] = set()
    for module in (import_module(f"mine_lightning{path}") for path in PUBLIC):
        for name in module.__all__:
            found = getattr(module, name)
            home = getattr(found, "__module__", "").split(".")
            if id(found) not in seen and home[0] == "mine_lightning":
                rooms.setdefault(home[1], []).append(f"{module.__name__}.{name}")
            seen.add(id(found))
    return rooms


def write_reference() -> None:
    """Write a page of the reference for each room, and lay the notebooks beside the pages."""
    folder = HERE / "api"
    folder.mkdir(exist_ok=True)
    for room, names in public_names().items():
        title = ROOMS.get(room, room.capitalize())
        table = "\n".join(f"   ~{name}" for name in names)
        text = (
            f"{title}\n{'=' * len(title)}\n\n"
            f".. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n{table}\n"
        )
        (folder / f"{room}.rst").write_text(text)
    shutil.copytree(
        HERE.parent / "notebooks",
        HERE / "notebooks",
        ignore=shutil.ignore_patterns("*.py", "lightning_logs", ".*"),
        dirs_exist_ok=True,
    )


def class_signature(app: Any, what: str, name: str, found: Any, *rest: Any) -> Any:
    """Show the arguments of ``__init__``, not those of the ``__new__`` that records them."""
    if what != "class":
        return None
    return stringify_signature(inspect.signature(found), show_annotation=False), None


def without_last_blank_lines(app: Any, page: str, source: list[str]) -> None:
    """Take the blank line away that ends the output of an example for doctest."""
    source[0] = re.sub(r"\n\n```$", "\n```", source[0], flags=re.M)


def setup(app: Any) -> None:
    app.connect("source-read", without_last_blank_lines)
    app.connect("autodoc-process-signature", class_signature)
    write_reference()  # before Sphinx looks for pages
