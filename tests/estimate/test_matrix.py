"""All pairs of columns, and the chain rule."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure

from mine_lightning import (
    ConditionalEstimate,
    estimate_conditional_mutual_information,
    mutual_information_matrix,
)

QUICK = {"max_epochs": 3}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 200))
    kind = np.where(b > 0, "high", "low")
    return pd.DataFrame({"a": a, "b": a + 0.3 * b, "c": c, "kind": kind})


def test_the_matrix_is_symmetric_and_finds_the_dependent_pair(frame: pd.DataFrame) -> None:
    matrix = mutual_information_matrix(frame, **QUICK)
    nats = matrix.nats()
    assert nats.columns.tolist() == nats.index.tolist() == ["a", "b", "c", "kind"]
    assert np.array_equal(nats, nats.T, equal_nan=True)
    assert np.isnan(np.diag(nats)).all()
    assert nats.stack().idxmax() in {("a", "b"), ("b", "a")}
    assert matrix["b", "a"] is matrix["a", "b"]
    low, high = matrix.intervals()
    off = ~np.eye(4, dtype=bool)
    assert (low.to_numpy()[off] < nats.to_numpy()[off]).all()
    assert (nats.to_numpy()[off] < high.to_numpy()[off]).all()
    assert matrix.standard_errors().shape == (4, 4)
    assert isinstance(matrix.plot(), Figure)
    assert "kind" in str(matrix)


def test_the_long_table_has_a_row_for_each_pair(frame: pd.DataFrame) -> None:
    matrix = mutual_information_matrix(frame[["a", "b", "c"]], max_epochs=1)
    values = {("a", "b"): 0.01, ("a", "c"): 0.04, ("b", "c"): 0.5}
    results = {pair: replace(matrix[pair], p_value=p) for pair, p in values.items()}
    matrix = replace(matrix, estimates=results)
    table = matrix.to_frame().set_index(["a", "b"])
    assert table.p_value.to_dict() == values
    assert table.p_value_adjusted.tolist() == pytest.approx([0.03, 0.06, 0.5])
    assert matrix.p_values().loc["c", "a"] == pytest.approx(0.06)
    assert matrix.p_values(adjusted=False).loc["c", "a"] == 0.04
    assert table.loc[("a", "b"), "nats"] == matrix["a", "b"].nats
    assert (table.low < table.nats).all()
    assert '<img src="data:image/png' in matrix._repr_html_()


def test_a_map_without_dependence_is_drawn(frame: pd.DataFrame) -> None:
    matrix = mutual_information_matrix(frame[["a", "c"]], max_epochs=1)
    none = replace(matrix["a", "c"], nats=-0.01)
    figure = replace(matrix, estimates={("a", "c"): none}).plot()
    assert figure.axes[0].images[0].get_clim() == (0, 0.1)


def test_groups_of_columns_are_variables(frame: pd.DataFrame) -> None:
    matrix = mutual_information_matrix(frame, {"pair": ["a", "c"], "rest": ["b"]}, **QUICK)
    assert matrix.names == ("pair", "rest")
    assert matrix["pair", "rest"].nats > 0.5


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"one": ["a"]}, "Expected at least 2 columns or groups, got 1"),
        ({"one": ["a", "b"], "two": ["b"]}, "no column in common, got `b`"),
        ({"one": ["a"], "two": ["d"]}, "Expected `z` to name columns of the table, got 'd'"),
    ],
)
def test_mistaken_groups_are_named(frame: pd.DataFrame, groups: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mutual_information_matrix(frame, groups, **QUICK)


def chain(rows: int, direct: float) -> tuple[torch.Tensor, ...]:
    y, a, b = torch.randn(3, rows, generator=torch.Generator().manual_seed(0))
    return y + a, y + b + direct * a, y


@pytest.mark.parametrize(("direct", "truth"), [(0.0, 0.0), (1.0, 0.5 * math.log(2))])
def test_conditioning_removes_the_common_cause(direct: float, truth: float, tmp_path: Path) -> None:
    x, z, y = chain(1000, direct)
    result = estimate_conditional_mutual_information(x, z, y, progress_bar=False)
    assert result.nats == pytest.approx(truth, abs=0.08)
    assert result.nats == pytest.approx(result.both.nats - result.given.nats)
    separate = math.hypot(result.both.standard_error, result.given.standard_error)
    assert result.standard_error < separate
    assert repr(result).startswith(f"ConditionalEstimate({result.nats:.3f} nats")
    assert result.rows == 1000
    _shows_and_stores(result, tmp_path)


def _shows_and_stores(result: ConditionalEstimate, folder: Path) -> None:
    assert f"{result.both.nats:.4f} - {result.given.nats:.4f} nats" in result.summary()
    assert f"{result.nats:.3f} nats" in result._repr_html_()
    assert len(result.plot().axes[0].get_yticks()) == 3
    for suffix in ("json", "npz"):
        result.save(folder / f"result.{suffix}")
        loaded = ConditionalEstimate.load(folder / f"result.{suffix}")
        assert (loaded.both, loaded.given) == (result.both, result.given)
        assert str(loaded) == str(result)


def test_incomplete_rows_of_all_three_are_dropped() -> None:
    x, z, y = (v.clone() for v in chain(100, 0.0))
    x[1] = y[2] = math.nan
    with pytest.warns(UserWarning, match="Dropped 1 of"):
        result = estimate_conditional_mutual_information(
            x, z, y, missing="drop", progress_bar=False, **QUICK
        )
    assert result.rows == 98
    with pytest.raises(ValueError, match="missing or infinite"):
        estimate_conditional_mutual_information(x, z, y)


def test_misaligned_frames_are_refused() -> None:
    x, z = pd.DataFrame({"a": range(60)}), pd.DataFrame({"b": range(60)})
    with pytest.raises(ValueError, match="same index"):
        estimate_conditional_mutual_information(x, z.iloc[::-1], np.arange(60.0))
