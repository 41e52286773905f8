"""The list of faults keeps up with the code."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import mine_lightning

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "tools" / "mutations.py"
SOURCES = Path(mine_lightning.__file__).parent


def faults() -> list[Any]:
    spec = importlib.util.spec_from_file_location("mutations", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FAULTS


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_a_fault_changes_one_place_and_names_tests(fault: Any) -> None:
    text = (SOURCES / fault.file).read_text()
    assert text.count(fault.old) == 1
    assert fault.new != fault.old
    assert all((ROOT / test).exists() for test in fault.tests)
