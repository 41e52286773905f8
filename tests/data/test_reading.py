"""Columns of a table, by name or by position."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from mine_lightning.data.reading import read_columns, read_table, select_columns
from mine_lightning.data.tables import TableDataModule
from table_files import correlated, numbers, write

FRAME = pd.DataFrame(
    np.arange(16.0).reshape(2, 8),
    columns=["alcohol", "malic_acid", "hue", "hue", "1", "x_1", "x_0", "x_3"],
)


@pytest.mark.parametrize(
    ("x", "places"),
    [
        (["alcohol", "malic_acid"], [0, 1]),
        (["malic_acid", "alcohol"], [1, 0]),
        ([0, 3], [0, 3]),
        (["0", "7"], [0, 7]),
        (["1"], [4]),
        ([1], [1]),
        (["x"], [6, 5]),
        ([np.int64(2)], [2]),
        (("alcohol",), [0]),
    ],
)
def test_select_columns(x, places):
    other = min(set(range(8)) - set(places))
    chosen, rest = select_columns(FRAME, x, [other])
    assert chosen.iloc[0].tolist() == places
    assert rest.iloc[0].tolist() == [other]


@pytest.mark.parametrize(
    ("x", "z", "message"),
    [
        (
            ["alchol"],
            [1],
            "Expected `x` to name columns of the table, got 'alchol'. Did you mean `alcohol`?",
        ),
        ([0], ["Malic acid"], "Expected `z` to name columns of the table, got 'Malic acid'. Did"),
        (["zzz"], [1], "got 'zzz'. There are: `alcohol`, `malic_acid`, `hue`, `hue`, `1`, `x_1`,"),
        ([-1], [1], "got -1."),
        ([True], [1], "got True."),
        ([1.0], [1], "got 1.0."),
        ([""], [1], "got ''."),
        ([8], [1], "Expected `x` to give positions from 0 to 7, got 8."),
        ([0], ["99"], "Expected `z` to give positions from 0 to 7, got 99."),
        (["hue"], [1], "Expected `x` to name one column, got `hue`, the name of 2: give a"),
        ([0, 1], [1, 0], "Expected `x` and `z` to have no column in common, got `alcohol`, `malic"),
        (["x"], ["x_1"], "Expected `x` and `z` to have no column in common, got `x_1` in both."),
        ([0, "alcohol"], [1], "Expected `x` to name each column once, got `alcohol` twice."),
        ([], [1], "Expected `x` to be a list of at least one column, got []."),
        ([1], "hue", "Expected `z` to be a list of at least one column, got 'hue'."),
        (None, [1], "Expected `x` to be a list of at least one column, got None."),
    ],
)
def test_select_columns_errors(x, z, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        select_columns(FRAME, x, z)


def test_wide_tables_are_not_listed_whole():
    frame = pd.DataFrame(np.ones((2, 30)))
    with pytest.raises(ValueError, match=re.escape("`8`, `9` and 20 more.")):
        select_columns(frame, ["zzz"], [1])


@pytest.mark.parametrize(
    ("suffix", "delimiter", "write", "reading"),
    [
        (".tsv", "\t", lambda v: f"{v!r}".replace(".", ","), {"decimal": ","}),
        (".csv", ";", lambda v: f"{v!r}".replace(".", ","), {"decimal": ",", "delimiter": ";"}),
        (".csv", ",", lambda v: f'"{v!r}"'.replace(".", ","), {"decimal": ","}),
        (".csv", "|", lambda v: f"{v!r}", {"delimiter": "|"}),
        (".tsv", "\t", lambda v: f"{1e4 * v:,.4f}", {"thousands": ","}),
        (".csv", ",", lambda v: f"{1e4 * v:,.4f}".replace(",", " "), {"thousands": " "}),
        (
            ".csv",
            ";",
            lambda v: f"{1e4 * v:,.4f}".translate(str.maketrans(",.", ".,")),
            {"delimiter": ";", "decimal": ",", "thousands": "."},
        ),
        (".txt.csv", ",", lambda v: f'"{v!r}"', {}),
    ],
)
def test_numbers_of_other_places_are_read_when_told(tmp_path, suffix, delimiter, write, reading):
    frame = correlated()
    lines = [delimiter.join(map(write, row)) for row in frame.to_numpy().tolist()]
    path = tmp_path / f"table{suffix}"
    path.write_text("\n".join([delimiter.join("xz"), *lines]), encoding="utf-8")
    found = read_table(path, **reading).to_numpy()
    scale = round(float(found[0, 0] / frame.to_numpy()[0, 0]))
    np.testing.assert_allclose(found, scale * frame, atol=0 if scale == 1 else 1e-4, rtol=0)
    data = TableDataModule(path, ["x"], ["z"], **reading)
    assert np.array_equal(torch.cat(data.load(), dim=1).numpy(), found)
    if reading:  # without a word they are neither read nor taken for categories
        with pytest.raises(ValueError, match=r"`(decimal|thousands|delimiter)="):
            TableDataModule(path, ["x"], ["z"])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npz", ".npy"])
def test_named_columns_alone_are_read_in_their_order(tmp_path, suffix):
    path = write(numbers(), tmp_path / f"table{suffix}")
    x, z = read_columns(path, {"x": [3, "0"], "z": [2]}).values()
    assert np.array_equal(x, numbers()[["d", "a"]])
    assert np.array_equal(z, numbers()[["c"]])
    assert np.array_equal(read_table(path, columns=[1]), numbers()[["b"]])


def test_a_column_of_text_that_is_not_named_is_not_looked_at(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,a,note\n1,4,x\n2,5,7\n3,6,\n")
    x, z = read_columns(path, {"x": [1], "z": [0]}).values()
    assert (x.columns.tolist(), x["a"].tolist(), z["a"].tolist()) == (["a"], [4, 5, 6], [1, 2, 3])
