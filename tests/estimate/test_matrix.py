"""All pairs of columns, and one against all others."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from mine_lightning import mutual_information_matrix, mutual_information_with
from shared import QUICK, drawn


def test_the_matrix_is_symmetric(frame: pd.DataFrame) -> None:
    matrix = mutual_information_matrix(frame, **QUICK)
    nats = matrix.nats()
    assert nats.columns.tolist() == nats.index.tolist() == ["a", "b", "c", "kind"]
    assert np.array_equal(nats, nats.T, equal_nan=True)
    assert np.isnan(np.diag(nats)).all()
    assert matrix["b", "a"] is matrix["a", "b"]
    low, high = matrix.intervals()
    off = ~np.eye(4, dtype=bool)
    assert (low.to_numpy()[off] < nats.to_numpy()[off]).all()
    assert (nats.to_numpy()[off] < high.to_numpy()[off]).all()
    assert matrix.standard_errors().shape == (4, 4)
    assert isinstance(matrix.plot(), Figure)
    assert "kind" in str(matrix)


@pytest.mark.trained
def test_the_dependent_pair_is_found(seed: int, outcome) -> None:
    matrix = mutual_information_matrix(drawn(seed), seed=seed, **QUICK)
    *rest, first = sorted(result.nats for result in matrix.estimates.values())
    assert matrix["a", "b"].nats == first
    outcome(first - max(rest), low=0.2)


def test_the_long_table_has_a_row_for_each_pair(frame: pd.DataFrame) -> None:
    matrix = mutual_information_matrix(frame[["a", "b", "c"]], max_epochs=1, progress_bar=False)
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
    matrix = mutual_information_matrix(frame[["a", "c"]], max_epochs=1, progress_bar=False)
    none = replace(matrix["a", "c"], nats=-0.01)
    figure = replace(matrix, estimates={("a", "c"): none}).plot()
    assert figure.axes[0].images[0].get_clim() == (0, 0.1)


def test_groups_of_columns_are_variables(frame: pd.DataFrame) -> None:
    matrix = mutual_information_matrix(frame, {"pair": ["a", "c"], "rest": ["b"]}, **QUICK)
    assert matrix.names == ("pair", "rest")
    assert [*matrix.estimates] == [("pair", "rest")]
    assert matrix["pair", "rest"].settings["x_columns"] == ["a", "c"]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"one": ["a"]}, "Expected at least 2 columns or groups, got 1"),
        (
            {"one": ["a", "b"], "two": ["b"]},
            "Expected `one` and `two` to have no column in common, got `b`",
        ),
        ({"one": ["a"], "two": ["d"]}, "Expected `two` to name columns of the table, got 'd'"),
        ({"one": "a", "two": ["b"]}, "Expected `one` to be a list of at least one column, got 'a'"),
    ],
)
def test_mistaken_groups_are_named(frame: pd.DataFrame, groups: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mutual_information_matrix(frame, groups, **QUICK)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["temp", "rain", "temp"], "to have different names, got `temp` more than once: rename"),
        ([1, "1", 2], "to have different names, got `1` more than once"),
        (["a", "a", "b", "b"], "got `a`, `b` more than once"),
        ([("u", 1), ("u", 1)], r"got `\('u', 1\)` more than once"),
    ],
)
def test_columns_of_one_name_are_refused(names: list, message: str) -> None:
    values = np.random.default_rng(0).normal(size=(60, len(names)))
    frame = pd.DataFrame(values, columns=pd.Index(names, dtype=object))
    with pytest.raises(ValueError, match=message):
        mutual_information_matrix(frame, **QUICK)
    with pytest.raises(ValueError, match=message):
        mutual_information_with(frame, 0, **QUICK)
    groups = {"first": [0], "last": [len(names) - 1]}
    assert mutual_information_matrix(frame, groups, **QUICK).names == ("first", "last")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([0.5] * 200, "to vary in every column, .* in every row of column `bad`"),
        ([math.nan, *range(199)], "Expected `frame` to be finite, .* 1 in column `bad`"),
        ([f"{n},5" for n in range(200)], "column `bad` of `frame` .* `decimal=','`"),
        (pd.date_range("2020", periods=200), "column `bad` of `frame` .* got datetime64 values"),
    ],
)
def test_all_columns_are_checked_before_the_first_pair(
    frame: pd.DataFrame, column: list, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("a pair was estimated")

    monkeypatch.setattr("mine_lightning.estimate.many.estimate_together", fail)
    for call in (mutual_information_matrix, partial(mutual_information_with, target="a")):
        with pytest.raises(ValueError, match=message):
            call(frame.assign(bad=column), **QUICK)


def test_gaps_are_left_out_pair_by_pair(frame: pd.DataFrame) -> None:
    gaps = frame.assign(a=frame["a"].where(frame.index != 3), c=frame["c"].where(frame.index > 9))
    with pytest.warns(UserWarning, match="Dropped"):
        matrix = mutual_information_matrix(gaps[["a", "b", "c"]], missing="drop", **QUICK)
    rows = {pair: result.rows for pair, result in matrix.estimates.items()}
    assert rows == {("a", "b"): 199, ("a", "c"): 190, ("b", "c"): 190}
    with pytest.raises(ValueError, match=r"at least 2 rows .* in column `a`, got 0 of 200"):
        mutual_information_matrix(frame.assign(a=math.nan), missing="drop", **QUICK)


@pytest.mark.parametrize("target", ["kind", 3, ["kind"], "3"])
def test_one_against_many(frame: pd.DataFrame, target: object) -> None:
    found = mutual_information_with(frame, target, **QUICK)
    assert [*found.estimates] == [("a", "kind"), ("b", "kind"), ("c", "kind")]
    expected = mutual_information_matrix(frame[["b", "kind"]], **QUICK)
    assert found["kind", "b"].nats == pytest.approx(expected["b", "kind"].nats, abs=1e-4)
    assert found.to_frame()["p_value_adjusted"].between(0, 1).all()
    assert "kind" in str(found)
    assert len(found) == 3


def test_several_columns_are_one_target(frame: pd.DataFrame) -> None:
    found = mutual_information_with(frame, ["a", "c"], **QUICK)
    assert [*found.estimates] == [("b", "a, c"), ("kind", "a, c")]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("knd", "Expected `target` to name columns of the table, got 'knd'. Did you mean `kind`"),
        ([], "Expected `target` to be a list of at least one column"),
        (["a", "b", "c", "kind"], "Expected `frame` to have columns beside `target`, got none"),
    ],
)
def test_mistaken_targets_are_named(frame: pd.DataFrame, target: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mutual_information_with(frame, target, **QUICK)
