"""Columns of a table as numbers: categories are one-hot."""

import pandas as pd

from mine_lightning.data.checks import as_rows, check_pairs


def test_categories_are_one_hot_in_sorted_order():
    frame = pd.DataFrame({"size": [3, 1, 2], "hue": ["red", "blue", "red"]})
    pairs = check_pairs(frame, frame[["hue"]])
    assert pairs.x_columns == ["size", "hue=blue", "hue=red"]
    assert pairs.x.tolist() == [[3, 0, 1], [1, 1, 0], [2, 0, 1]]
    assert pairs.z_columns == ["hue=blue", "hue=red"]


def test_categories_keep_the_order_of_their_dtype_and_only_those_in_use():
    sizes = pd.Categorical(["S", "L", "S", "M"], categories=["XS", "S", "M", "L"], ordered=True)
    column = pd.Series(sizes, name="size")
    assert check_pairs(column, column).x_columns == ["size=S", "size=M", "size=L"]


def test_numbers_of_a_categorical_dtype_are_categories():
    column = pd.Series([3, 1, 3, 1], name="label").astype("category")
    assert as_rows("x", column).tolist() == [[0, 1], [1, 0], [0, 1], [1, 0]]


def test_a_few_numbers_of_a_categorical_dtype_are_categories() -> None:
    column = pd.Series(["0,5", "1,5", "0,5", "1,5"], dtype="category")
    assert as_rows("x", column).shape == (4, 2)
