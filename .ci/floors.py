"""Print the oldest release of every requirement, as pip's constraints."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
requirements = [*project["dependencies"], *project["optional-dependencies"]["test"]]
for requirement in requirements:
    name, floor = re.match(r"([\w.-]+)(?:\[[^\]]*\])?>=([\w.]+)", requirement).groups()
    print(f"{name}=={floor}")
