"""Rows that are complete and vary, or are said not to be."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from mine_lightning.data.checks import as_rows, check_pairs


def test_images_keep_their_shape_and_their_blank_pixels():
    images = np.zeros((5, 1, 3, 4), dtype=np.uint8)
    images[:, 0, 1, 2] = range(5)
    rows = as_rows("x", images)
    assert rows.shape == (5, 1, 3, 4)
    assert rows.dtype == torch.float32


def test_drop_is_silent_where_nothing_is_missing():
    assert check_pairs([1, 2], [1, 2], missing="drop").kept.tolist() == [0, 1]


def test_drop_forgets_categories_that_only_dropped_rows_had():
    x = pd.DataFrame({"hue": ["a", "b", "c", "a", "b", "c"]})
    with pytest.warns(UserWarning, match="Dropped 2 of 6"):
        pairs = check_pairs(x, [1, 2, np.nan, 4, 5, np.inf], missing="drop")
    assert pairs.x_columns == ["hue=a", "hue=b"]
    assert pairs.x.sum(1).tolist() == [1, 1, 1, 1]


def test_drop_must_leave_two_rows():
    message = "Expected at least 2 rows without missing or infinite values, got 1 of 3."
    with pytest.raises(ValueError, match=re.escape(message)):
        check_pairs([1, np.nan, np.inf], [1, 2, 3], missing="drop")
