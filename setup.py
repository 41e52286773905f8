"""The metadata that ``pyproject.toml`` cannot say: the README with absolute links."""

import re
import tomllib
from pathlib import Path

from setuptools import setup

HERE = Path(__file__).parent
project = tomllib.loads((HERE / "pyproject.toml").read_text())["project"]
source = project["urls"]["Source"]
readme = (HERE / "README.md").read_text()
readme = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\1{source}/raw/v{project['version']}/", readme)
readme = re.sub(r"(\]\()(?!https?:)", rf"\1{source}/blob/v{project['version']}/", readme)

setup(long_description=readme, long_description_content_type="text/markdown")
