"""What a training ends in: bars that hold for every seed, and how much room they leave.

A test marked ``trained`` takes its ``seed`` and claims what came of the training by ``outcome``. It
runs with one seed, unless

    python -m pytest -m trained --seeds 5

runs it with several and prints for each claim mean, spread and margin: how many standard deviations
lie between the mean and the nearer bar. A margin below three is an error, as a failure is.
"""

import math
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch import Tensor

LEAST_MARGIN = 3.0
Claim = tuple[float, float, float]
"""A figure and the two bars that it lies between."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=1, help="how many seeds `trained` tests run with")


@pytest.hookimpl(trylast=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames and metafunc.definition.get_closest_marker("trained"):
        seeds = range(metafunc.config.getoption("seeds"))
        metafunc.parametrize("seed", seeds, ids="seed{}".format)


@pytest.fixture
def outcome(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """Return the function that claims a figure to lie between two bars."""

    def claim(value: Any, low: float = -math.inf, high: float = math.inf, of: str = "") -> None:
        figure = float(value.detach() if isinstance(value, Tensor) else value)
        record_property("outcome", (of, (figure, low, high)))
        assert low <= figure <= high, f"{of or 'outcome'} of {figure}"

    return claim


def spread(claims: list[Claim]) -> tuple[float, float]:
    """Return mean and standard deviation of the figures; one alone has no end of it."""
    values = np.array([value for value, _, _ in claims])
    return values.mean(), values.std(ddof=1) if len(values) > 1 else math.inf


def margin(claims: list[Claim]) -> float:
    """Return the standard deviations between the mean of the figures and the nearer bar."""
    (center, deviation), (_, low, high) = spread(claims), claims[0]
    room = min(center - low, high - center)
    return room / deviation if deviation else math.copysign(math.inf, room)


class Margins:
    """Gather the claims of all seeds, and judge them at the end."""

    def __init__(self) -> None:
        self.claims: dict[tuple[str, str], list[Claim]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = re.sub(r"-?seed\d+\]", "]", report.nodeid).removesuffix("[]")
        for name, value in report.user_properties if report.when == "call" else []:
            if name == "outcome":
                of, claim = value
                self.claims[test, of].append(claim)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.exitstatus == 0 and any(
            margin(claims) < LEAST_MARGIN for claims in self.claims.values()
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("outcomes")
        for (test, of), claims in sorted(self.claims.items(), key=lambda item: margin(item[1])):
            (center, deviation), (_, low, high) = spread(claims), claims[0]
            terminalreporter.write_line(
                f"{margin(claims):7.1f}  {center:8.4f} +- {deviation:.4f} "
                f"in [{low:.4g}, {high:.4g}]  {test} {of}"
            )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("seeds") > 1 and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Margins(), "margins")
