"""Numbers written as text are told from categories, explained and read."""

import re

import numpy as np
import pandas as pd
import pytest

from mine_lightning.data.checks import as_rows
from mine_lightning.data.numerals import check_marks, looks_numeric, read_numerals

VALUES = np.random.default_rng(0).normal(scale=3000, size=400)


def spelled(write) -> pd.DataFrame:
    return pd.DataFrame({"a": [write(value) for value in VALUES]})


@pytest.mark.parametrize(
    ("write", "advice"),
    [
        (lambda v: f"{v:.2f}".replace(".", ","), "read them with `decimal=','`."),
        (lambda v: f"{v:.3e}".replace(".", ","), "read them with `decimal=','`."),
        (lambda v: f"{v:,.2f}", "read them with `thousands=','`."),
        (lambda v: f"{v:,.2f}".replace(",", " "), "read them with `thousands=' '`."),
        (lambda v: f"{v:,.2f}".replace(",", "\u202f"), "read them with `thousands=' '`."),
        (lambda v: f"{v:,.2f}".replace(",", "'"), 'read them with `thousands="\'"`.'),
        (lambda v: f"{v:_.2f}", "read them with `thousands='_'`."),
        (
            lambda v: f"{v:,.2f}".translate(str.maketrans(",.", ".,")),
            "read them with `decimal=','`, `thousands='.'`.",
        ),
        (lambda v: f"{10_000 + abs(v):,.0f}", "`decimal=','` or `thousands=','`, whichever"),
        (lambda v: f"{v:.2f}%", "take '%' away."),
        (lambda v: f"{v:.2f} %", "take '%' away."),
        (lambda v: f"{v:.2f}‰", "take '‰' away."),
        (lambda v: f"{v:.2f} mm", "take 'mm' away."),
        (lambda v: f"{v:.2f}mm", "take 'mm' away."),
        (lambda v: f"{v:.2f} µg/m³", "take 'µg/m³' away."),
        (lambda v: f"{v:.2f} °C", "take '°C' away."),
        (lambda v: f"${v:.2f}", "take '$' away."),
        (lambda v: f"-${abs(v):.2f}", "take '$' away."),
        (lambda v: f"{v:.2f} €".replace(".", ","), "take '€' away and read them with `decimal="),
        (lambda v: f"{v:.2f} EUR", "take 'EUR' away."),
        (lambda v: f"EUR {v:.2f}", "take 'EUR' away."),
        (lambda v: f"{v:.2f} ± 0.05", "take '±' away."),
        (lambda v: f"<{v:.2f}" if v < 900 else f"{v:.2f}", "say what number stands for '<'."),
        (lambda v: f">= {v:.2f}", "say what number stands for '>='."),
        (lambda v: f"~{v:.2f}", "say what number stands for '~'."),
        (lambda v: f"'{v:.2f}'", 'take "\'" away.'),
        (lambda v: f'"{v:.2f}"', "take '\"' away."),
        (lambda v: f"{v:.2f}".replace("-", "−"), "write '-' for '−'."),
        (lambda v: f"{v:.2f}", "turn them into numbers, `astype(float)`."),
        (lambda v: f" {v:.2f} ", "turn them into numbers, `astype(float)`."),
    ],
)
def test_every_spelling_is_explained(write, advice: str) -> None:
    frame = spelled(write)
    opening = "Expected column `a` of `x` to hold numbers or categories, got numbers written as "
    example = re.escape(repr(frame["a"][0]))
    pattern = f"{re.escape(opening)}text such as {example}: .*{re.escape(advice)}"
    for values in (frame, frame["a"].astype("category").to_frame(), {"a": frame["a"].tolist()}):
        with pytest.raises(ValueError, match=pattern):
            as_rows("x", values)


@pytest.mark.parametrize(
    "names",
    [
        ["2D", "3D"],
        ["1st", "2nd", "3rd"],
        ["4 doors", "2 doors", "6 seats"],
        ["Q1", "Q2", "Q3"],
        ["2020-01-01", "2020-01-02"],
        ["12:30", "13:00"],
        ["<5", "5-10", ">10"],
        ["<50", "≥50"],
        ["ABC 1", "ABC 2"],
        ["1/2", "1/3"],
        ["v1.2.3", "v1.2.4"],
        ["10.0.0.1", "10.0.0.2"],
        ["12 Main Street", "13 Main Street"],
        ["3a", "3b", "4a"],
    ],
)
def test_names_with_digits_are_names(names: list[str]) -> None:
    assert not any(looks_numeric(names))
    assert as_rows("x", names * 10).shape == (10 * len(names), len(names))


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "expected"),
    [
        (["0,13", "-1,5e3", None], ",", None, [0.13, -1500, np.nan]),
        (["1 234.5", "12\u00a0345", "7"], ".", " ", [1234.5, 12345, 7]),
        (["1.234,5", "1.234"], ",", ".", [1234.5, 1234]),
        (["1,234", ".5", "+3."], ".", ",", [1234, 0.5, 3]),
        (["12,34"], ".", ",", None),
        (["1,5", "x"], ",", None, None),
        (["1.5"], ",", None, None),
        ([","], ",", None, None),
        ([None, None], ",", None, None),
    ],
)
def test_columns_of_numbers_alone_are_read(text, decimal, thousands, expected) -> None:
    frame = pd.DataFrame({"a": pd.Series(text, dtype="str"), "b": range(len(text))})
    found = read_numerals(frame, decimal, thousands)
    pd.testing.assert_series_equal(found["b"], frame["b"])
    if expected is None:
        pd.testing.assert_series_equal(found["a"], frame["a"])
    else:
        np.testing.assert_array_equal(found["a"], expected)


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_numbers_beside_missing_values_are_read(dtype: str) -> None:
    frame = pd.DataFrame({"a": pd.Series(["0,13", None], dtype=dtype)})
    np.testing.assert_array_equal(read_numerals(frame, ",", None)["a"], [0.13, np.nan])


def test_reading_is_exact() -> None:
    frame = spelled(lambda v: repr(float(v)).replace(".", ","))
    assert np.array_equal(read_numerals(frame, ",", None)["a"], VALUES)


@pytest.mark.parametrize(
    ("decimal", "thousands", "message"),
    [
        (";", None, "Expected `decimal` to be '.' or ',', got ';'."),
        (",", ",", "Expected `thousands` to be one mark that is not `decimal`, got ','."),
        (".", "", "got ''."),
        (".", "  ", "got '  '."),
        (".", "3", "got '3'."),
        (".", "-", "got '-'."),
    ],
)
def test_marks_have_to_be_told_apart(decimal: str, thousands: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        check_marks(decimal, thousands)
