"""What surrounds the package: workflows call scripts that exist, links lead somewhere."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from mine_lightning.estimate.quantity import FLAGS_PAGE

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_the_scripts_of_the_repository(path: Path) -> None:
    steps = [step for job in load(path)["jobs"].values() for step in job["steps"]]
    scripts = [step["run"].split()[1] for step in steps if step.get("run", "").startswith("bash ")]
    assert all((ROOT / script).is_file() for script in scripts)
    assert path.stem == "publish" or {step["run"] for step in steps if "run" in step} == {
        f"bash {script}" for script in scripts
    }


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_links_to_files_lead_to_files(path: Path) -> None:
    generated = ("api/", "notebooks/")  # beside the pages once the site is built
    for link in re.findall(r"\]\(([^)#\s]+)", path.read_text()):
        if not link.startswith(("http", "mailto:", *generated)):
            target = path.parent / link
            assert target.exists() or target.with_suffix(".md").exists(), link


def test_results_point_to_the_documentation() -> None:
    assert FLAGS_PAGE.startswith(PROJECT["urls"]["Documentation"])


def test_addresses_are_those_of_the_metadata() -> None:
    urls = PROJECT["urls"]
    assert all(urls[name].startswith(urls["Source"]) for name in ("Issues", "Changelog"))
    links = load(ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]
    assert {link["url"] for link in links} <= set(urls.values())


def test_the_citation_names_the_repository() -> None:
    citation = load(ROOT / "CITATION.cff")
    assert citation["repository-code"] == PROJECT["urls"]["Source"]
    assert citation["license"] == PROJECT["license"]


def test_the_constraints_pin_what_the_metadata_names() -> None:
    pins = {
        re.sub(r"[._]", "-", line.split("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    extras = PROJECT["optional-dependencies"]
    named = [
        *PROJECT["dependencies"],
        *(name for extra in ("test", "docs", "dev") for name in extras[extra]),
    ]
    wanted = {re.match(r"[\w.-]+", name)[0].replace("_", "-").lower() for name in named}
    assert wanted - {"mine-lightning"} <= pins
