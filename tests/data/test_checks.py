import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mine_lightning.data.checks import as_rows, check_pairs, narrow
from mine_lightning.data.transforms import Standardize

VALUES = np.random.default_rng(0).integers(-50, 50, (12, 3)).astype(np.float64)
ROWS = torch.tensor(VALUES)


def read_only(values):
    values = values.copy()
    values.setflags(write=False)
    return values


@pytest.mark.parametrize(
    "values",
    [
        VALUES,
        read_only(VALUES),
        np.asfortranarray(VALUES),
        VALUES[::-1, ::-1].copy()[::-1, ::-1],
        np.repeat(VALUES, 2, axis=0)[::2],
        VALUES.astype(">f8"),
        VALUES.astype(">i4"),
        VALUES.astype(np.float16),
        VALUES.astype(np.float32),
        VALUES.astype(np.longdouble),
        VALUES.astype(np.int8),
        VALUES.astype(np.int64),
        VALUES.view(np.matrix),
        np.ma.array(VALUES),
        VALUES.tolist(),
        [tuple(row) for row in VALUES],
        list(VALUES),
        ROWS,
        ROWS.T.contiguous().T,
        ROWS.clone().requires_grad_(),
        ROWS.bfloat16(),
        ROWS.half(),
        ROWS.to(torch.int16),
        torch.nn.Parameter(ROWS.clone()),
        torch.complex(ROWS, -ROWS).conj().imag,
        pd.DataFrame(VALUES),
        pd.DataFrame(VALUES, columns=["a", "a", "b"]),
        pd.DataFrame(VALUES.astype(np.float32)),
        pd.DataFrame(VALUES).astype("Int64"),
        pd.DataFrame(VALUES).astype("Float32"),
        pd.DataFrame(VALUES).astype("double[pyarrow]"),
        pd.DataFrame(VALUES).astype(object),
        pd.DataFrame(VALUES).astype(pd.SparseDtype(float)),
        pd.DataFrame(VALUES).map(Decimal),
    ],
)
def test_every_layout_gives_the_same_rows(values):
    rows = as_rows("x", values)
    assert rows.dtype in (torch.float32, torch.float64)
    assert not rows.requires_grad
    assert rows.is_contiguous()
    assert torch.equal(rows.double(), ROWS)


@pytest.mark.parametrize(
    "values",
    [
        VALUES[:, 0],
        VALUES[:, 0].tolist(),
        ROWS[:, 0],
        pd.Series(VALUES[:, 0]),
        pd.Index(VALUES[:, 0]),
    ],
)
def test_a_vector_is_one_column(values):
    assert torch.equal(as_rows("x", values).double(), ROWS[:, :1])


def test_truth_values_are_zero_and_one():
    for values in (np.array([True, False, True]), pd.Series([True, False, True], name="a")):
        assert as_rows("x", values).flatten().tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("values", [VALUES, ROWS, pd.DataFrame(VALUES)])
def test_rows_are_a_copy(values):
    as_rows("x", values).zero_()
    assert np.array_equal(np.asarray(values), VALUES)


def test_float64_is_kept_until_the_transform():
    """A timestamp in seconds has 128 s of rounding in float32."""
    seconds = 1.7e9 + np.arange(1000.0)
    rows = as_rows("x", seconds)
    assert len(rows.unique()) == 1000
    standard = narrow("x", Standardize().fit(rows)(rows))
    assert standard.dtype == torch.float32
    assert len(standard.unique()) == 1000


def test_narrow_raises_rather_than_overflow():
    with pytest.raises(ValueError, match=re.escape("Expected `x` to fit into float32 after its")):
        narrow("x", torch.tensor([0.0, 1e39], dtype=torch.float64))


FRAME = pd.DataFrame({"good": range(6), "odd": [1, np.nan, 2, np.inf, -np.inf, 3]})
CATEGORIES = pd.DataFrame({"hue": pd.Categorical(["a", "b", None, "a", "a", "b"])})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            FRAME,
            "Expected `x` to be finite, got 3 missing or infinite values in 3 of 6 rows: "
            "3 in column `odd`. `missing='drop'` leaves such rows out.",
        ),
        (
            FRAME.to_numpy(),
            "Expected `x` to be finite, got 3 missing or infinite values in 3 of 6 rows: "
            "3 in column 1. `missing='drop'` leaves such rows out.",
        ),
        (
            np.full((4, 9), np.nan),
            "got 36 missing or infinite values in 4 of 4 rows: 4 in column 0, 4 in column 1, "
            "4 in column 2, 4 in column 3, 4 in column 4 and 4 more.",
        ),
        (np.full((2, 1, 1, 1), np.inf), "2 in column (0, 0, 0)."),
        (
            CATEGORIES,
            "got 1 missing or infinite values in 1 of 6 rows: 1 in column `hue`.",
        ),
        (pd.DataFrame({"a": [1, None, 3]}, dtype="Int64"), "1 in column `a`."),
        (pd.DataFrame({"a": [True, None, False]}), "1 in column `a`."),
        (pd.DataFrame({"a": [None, None, None]}), "3 in column `a`."),
        (pd.DataFrame({"a": pd.Series([None] * 3, dtype="string")}), "3 in column `a`."),
        (np.ma.masked_equal([1, 2, 3], 2), "1 in column 0."),
        (np.array([1, 10], dtype=np.longdouble) ** 400, "1 in column 0."),
        ([], "Expected `x` to have at least 2 rows and 1 column, got shape (0,)."),
        (np.empty((0, 3)), "to have at least 2 rows and 1 column, got shape (0, 3)."),
        (np.empty((3, 0)), "to have at least 2 rows and 1 column, got shape (3, 0)."),
        (np.ones((1, 3)), "to have at least 2 rows and 1 column, got shape (1, 3)."),
        (pd.DataFrame(index=range(4)), "at least 2 rows and 1 column, got shape (4, 0)."),
        (
            np.c_[np.arange(3), np.ones(3), np.zeros(3)],
            "Expected `x` to vary in every column, got the same value, to rounding, in every row "
            "of column 1, 2: leave it out, it carries no information.",
        ),
        (pd.DataFrame({"a": [1, 2], "b": [5, 5]}), "in every row of column `b`: leave"),
        (pd.DataFrame({"a": ["u", "u"], "b": [5, 4]}), "in every row of column `a`: leave"),
        (np.zeros(3), "in every row of column 0: leave"),
        (np.zeros((3, 1, 1, 2)), "in every row of column (0, 0, 0), (0, 0, 1): leave"),
        ([0.1 + 0.2, 0.3, 0.3], "in every row of column 0: leave"),
        (
            VALUES + 1j,
            "Expected `x` to hold real numbers, got complex numbers such as (35+1j).",
        ),
        (torch.ones(3, dtype=torch.cfloat), "got complex numbers such as (1+0j)."),
        (np.full((3, 1, 1), 1.5, dtype=object), "to hold real numbers, got objects such as 1.5."),
        (np.array([object(), 1]), "such as <object object at 0x"),
        ([1, None], "1 in column `0`."),
        ([[1, None], [2, 3]], "1 in column `1`."),
        (np.full((2, 1, 1), "a"), "Expected `x` to hold real numbers, got text such as 'a'."),
        ([1, "b"], "Expected column `0` of `x` to hold numbers or categories, got numbers mixed"),
        (np.full((2, 1, 1), b"a" * 99), f"got bytes such as b'{'a' * 35}...."),
        (np.arange(3).astype("datetime64[D]"), "got datetime64[D] such as datetime.date(1970,"),
        (np.zeros(2, dtype="f4,i4"), "in every row of column `f0`, `f1`: leave"),
        (np.ma.masked_equal(["a", "b"], "b"), "1 in column `0`."),
        (
            None,
            "Expected `x` to be an array of shape (N,) or (N, ...), got None.",
        ),
        (3.5, "(N,) or (N, ...), got 3.5."),
        ("abc", "(N,) or (N, ...), got 'abc'."),
        ({"a": 1}, "Expected `x['a']` to be an array of shape (N,) or (N, ...), got 1."),
        (
            {"a": [1, 2], "b": [1, 2, 3]},
            "Expected `x` to hold columns with equally many rows, got {'a': 2, 'b': 3}.",
        ),
        ({}, "Expected `x` to have at least 2 rows and 1 column, got shape (0, 0)."),
        (torch.tensor(3), "(N,) or (N, ...), got 3."),
        (
            [[1], [1, 2]],
            "Expected `x` to be an array of shape (N, ...), got a list that cannot become one: ",
        ),
        (
            scipy.sparse.csr_array(np.eye(3)),
            "Expected `x` to be a dense array, got a sparse csr_array: call its `toarray()`.",
        ),
        (
            torch.eye(3).to_sparse(),
            "Expected `x` to be a dense tensor with values, "
            "got torch.sparse_coo, torch.float32 on cpu.",
        ),
        (torch.empty(3, device="meta"), "got torch.strided, torch.float32 on meta."),
        (
            [0.0, 1e300],
            "Expected `x` to have magnitudes between 1e-150 and 1e+150, got 1e+300 in column 0: "
            "rescale it.",
        ),
        ([[1, 0.0], [2, 1e-300]], "got 1e-300 in column 1: rescale it."),
        ([[1e308], [-1e308]], "got 1e+308 in column 0: rescale it."),
        (
            pd.DataFrame({"a": ["1.5", "2.5", None]}),
            "Expected column `a` of `x` to hold numbers or categories, "
            "got numbers written as text such as '1.5': turn them into numbers, `astype(float)`.",
        ),
        (pd.DataFrame({"a": ["1", "?", "3"]}), "got numbers mixed with text such as '?'."),
        (pd.DataFrame({"a": [1, "b"]}), "got numbers mixed with text such as 1."),
        (pd.DataFrame({"a": [1j, 2]}), "got complex numbers such as 1j."),
        (
            pd.DataFrame({"a": [[1], [2, 3]]}),
            "Expected column `a` of `x` to hold vectors of numbers of one length, got shapes (1,) "
            "to (2,).",
        ),
        (pd.DataFrame({"a": [["u"], ["v"]]}), "got array(['u'], dtype='<U1')."),
        (pd.DataFrame({"a": [{"b": 1}, {"b": 2}]}), "got mixed values such as {'b': 1}."),
        (pd.DataFrame({"a": [b"1", b"2"]}), "got numbers written as text such as '1'"),
        (
            pd.DataFrame({"a": pd.to_datetime(["2020-01-01", None])}),
            "got datetime64 values such as Timestamp('2020-01-01 00:00:00').",
        ),
        (pd.DataFrame({"a": pd.to_datetime([None, None])}), "got datetime64 values."),
        (
            pd.DataFrame({"name": [f"n{row}" for row in range(25)]}),
            "Expected column `name` of `x` to hold at most 12 categories in 25 rows, got 25.",
        ),
    ],
)
def test_errors(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        as_rows("x", values)


def test_pairs_with_different_numbers_of_rows():
    message = "Expected `x` and `z` to have the same number of rows, got 10 and 12."
    with pytest.raises(ValueError, match=re.escape(message)):
        check_pairs(np.arange(10), np.arange(12))


def test_frames_with_different_indexes():
    x, z = pd.Series([1, 2, 3]), pd.Series([3, 1, 2], index=[2, 0, 1])
    with pytest.raises(ValueError, match="Expected `x` and `z` to have the same index"):
        check_pairs(x, z)
    assert len(check_pairs(x, z.sort_index()).x) == 3


def test_missing_takes_two_values():
    message = "Expected `missing` to be 'raise' or 'drop', got 'fill'."
    with pytest.raises(ValueError, match=re.escape(message)):
        check_pairs([1, 2], [1, 2], missing="fill")


def test_an_error_names_the_argument():
    with pytest.raises(ValueError, match=re.escape("Expected `z` to be finite")):
        check_pairs([1, 2], [1, np.nan])


def test_drop_leaves_out_incomplete_rows_of_either_variable():
    with pytest.warns(UserWarning, match=r"Dropped 4 of 6 rows with missing or infinite values\."):
        pairs = check_pairs(FRAME, CATEGORIES, missing="drop")
    assert pairs.kept.tolist() == [0, 5]
    assert pairs.x.tolist() == [[0, 1], [5, 3]]


DTYPES = st.one_of(
    hnp.floating_dtypes(endianness="?"),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.boolean_dtypes(),
    hnp.complex_number_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.byte_string_dtypes(),
    hnp.datetime64_dtypes(),
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)


def outcome(function, *args):
    """Return what the function returns or its error's message."""
    try:
        return function(*args)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("kind", [np.array, list, lambda v: pd.Series(v, dtype=object)])
def test_text_that_is_none_is_named(kind):
    with pytest.raises(
        ValueError, match=r"Expected `x` to hold text that UTF-8 can spell, got '.*'\."
    ):
        as_rows("x", kind(["a", "\ud800"]))


@settings(max_examples=150, deadline=None)
@given(hnp.arrays(DTYPES, SHAPES))
def test_any_array_gives_finite_rows_or_an_error(values):
    rows = outcome(as_rows, "x", values)
    if isinstance(rows, str):
        assert re.match(r"Expected (column `\w+` of )?`x` to ", rows)
        assert "\n" not in rows
    else:
        assert len(rows) == len(values)
        assert rows.ndim == max(2, values.ndim)
        assert bool(rows.isfinite().all())
        assert bool(narrow("x", Standardize().fit(rows)(rows)).isfinite().all())


CELLS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.binary(max_size=2)
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=6), st.sampled_from(["raise", "drop"]))
@pytest.mark.filterwarnings("ignore:Dropped")
def test_any_frame_gives_finite_pairs_or_an_error(cells, missing):
    frame = pd.DataFrame(cells, columns=["a", "b"])
    pairs = outcome(check_pairs, frame[["a"]], frame[["b"]], missing)
    if isinstance(pairs, str):
        assert pairs.startswith("Expected ")
    else:
        assert len(pairs.x) == len(pairs.z) == len(pairs.kept)
        assert pairs.x.shape[1] == len(pairs.x_columns)
        assert bool(pairs.x.isfinite().all() and pairs.z.isfinite().all())
