"""The result: comparison, figures."""

import copy
import math
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from mine_lightning.estimate.results import MutualInformationEstimate
from shared import PLAIN, RESULT


def test_results_compare_by_their_numbers() -> None:
    same = replace(copy.deepcopy(RESULT), seconds=99.0)
    other = replace(RESULT, nats=1.1)
    assert same == RESULT
    assert hash(same) == hash(RESULT)
    assert other != RESULT
    assert replace(RESULT, pointwise=RESULT.pointwise + 1) != RESULT
    assert RESULT != 1.0212
    assert max(other, RESULT) is other
    assert other > RESULT
    assert other >= RESULT


def test_it_is_picklable() -> None:
    assert pickle.loads(pickle.dumps(PLAIN)) == PLAIN


@pytest.mark.parametrize(("result", "panels"), [(RESULT, 1), (PLAIN, 2)])
def test_the_plot_shows_the_curve_and_the_samples(result, panels: int, tmp_path: Path) -> None:
    figure = result.plot()
    assert isinstance(figure, Figure)
    curve, *others = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert len(others) == panels - 1
    assert curve.get_ylabel() == "mutual information (nats)"
    figure.savefig(tmp_path / "figure.png")


def test_a_value_that_may_be_infinite_has_no_upper_end(tmp_path: Path) -> None:
    result = replace(RESULT, standard_error=math.inf, errors=(0.01, math.inf))
    assert result.interval()[1] == math.inf
    assert result.correlation_interval()[1] == 1
    for suffix in ("json", "npz"):
        result.save(tmp_path / f"result.{suffix}")
        assert MutualInformationEstimate.load(tmp_path / f"result.{suffix}") == result
    result.plot().savefig(tmp_path / "figure.png")


def test_axes_are_named_after_the_columns(tmp_path: Path) -> None:
    columns = {"x_columns": ["alcohol"], "z_columns": ["0"]}
    samples = replace(PLAIN, settings=columns).plot().axes[1]
    assert (samples.get_xlabel(), samples.get_ylabel()) == ("alcohol", "z")
