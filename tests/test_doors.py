"""Every public door, odd inputs: a finite result or an error that names the argument."""

import importlib.util
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATH = Path(__file__).parent / "tools" / "doors.py"
SPEC = importlib.util.spec_from_file_location("doors", PATH)
assert SPEC is not None
assert SPEC.loader is not None
doors = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(doors)

ALLOWED = ("finite", "error", "passed on")
SLOW = (
    "estimate_mutual_information",
    "conditional mutual information",
    "mutual_information_matrix",
)
FAST = [name for name in doors.DOORS if name not in SLOW]
SOURCES = st.randoms(use_true_random=False)
UNHURRIED = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=25, **UNHURRIED)
@given(source=SOURCES)
def test_an_odd_input_gives_a_finite_result_or_names_the_argument(
    name: str, source: random.Random
) -> None:
    assert doors.outcome(doors.DOORS[name][0], source) in ALLOWED


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
@settings(max_examples=25, **UNHURRIED)
@given(source=SOURCES)
def test_an_odd_sample_gives_a_finite_estimate_or_names_the_argument(
    name: str, source: random.Random
) -> None:
    assert doors.outcome(doors.DOORS[name][0], source) in ALLOWED


@pytest.mark.parametrize("name", SLOW)
def test_a_sample_gives_a_finite_estimate_or_names_the_argument(name: str) -> None:
    for number in range(4):
        assert doors.outcome(doors.DOORS[name][0], random.Random(number)) in ALLOWED


def test_the_outcome_tells_failures_apart() -> None:
    def fails(error: BaseException):
        def door(source: random.Random) -> None:
            raise error

        return door

    source = random.Random(0)
    assert doors.outcome(fails(ValueError("Expected `x` to be finite.")), source) == "error"
    assert (
        doors.outcome(fails(ValueError("shape mismatch")), source) == "ValueError: shape mismatch"
    )
    assert doors.outcome(fails(RuntimeError("size")), source).startswith("RuntimeError: size")
    assert doors.outcome(lambda source: float("nan"), source).startswith("not finite")
    assert doors.outcome(lambda source: 1.0, source) == "finite"
