"""Print the oldest release of every requirement, as pip's constraints."""

import re
from pathlib import Path

import tomllib

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
requirements = [*project["dependencies"], *project["optional-dependencies"]["test"]]
for requirement in requirements:
    name, floor = re.match(r"([\w.-]+)(?:\[[^\]]*\])?>=([\w.]+)", requirement).groups()
    print(f"{name}=={floor}")
