"""The list of faults keeps up with the code."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
FILE = ROOT / "tests" / "tools" / "mutations.py"


def faults() -> list[Any]:
    spec = importlib.util.spec_from_file_location("mutations", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.FAULTS


@pytest.mark.parametrize("fault", faults(), ids=lambda fault: fault.name)
def test_a_fault_changes_one_place_and_names_tests(fault: Any) -> None:
    text = (ROOT / "src" / "mine_lightning" / fault.file).read_text()
    assert text.count(fault.old) == 1
    assert fault.new != fault.old
    assert all((ROOT / test).exists() for test in fault.tests)
