"""One door for every container: the same rows, whatever holds them."""

import array
import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from mine_lightning import (
    TensorDataModule,
    estimate_conditional_mutual_information,
    estimate_mutual_information,
    mutual_information_matrix,
)
from mine_lightning.data.checks import as_rows, check_pairs

ROWS = 60
NUMBERS = np.random.default_rng(0).integers(-50, 50, (ROWS, 2)).astype(float)
A, B = NUMBERS.T
HUES = np.array(["red", "blue", "green"])[np.arange(ROWS) % 3]
ONE_HOT = (HUES[:, None] == np.array(["blue", "green", "red"])).astype(float)
PYTHON = NUMBERS.tolist()
RECORDS = [{"a": a, "b": b} for a, b in PYTHON]


def arrow_list(kind: pa.DataType) -> pa.Table:
    return pa.table({"v": pa.array(PYTHON, kind)})


def objects(values: list[Any]) -> np.ndarray:
    held = np.empty(len(values), dtype=object)
    held[:] = values
    return held


def structured() -> np.ndarray:
    return np.array([tuple(row) for row in PYTHON], dtype=[("a", ">f4"), ("b", "f8")])


TABLES: dict[str, Callable[[], Any]] = {
    "array": lambda: NUMBERS,
    "array in Fortran order": lambda: np.asfortranarray(NUMBERS),
    "array of another byte order": lambda: NUMBERS.astype(">f8"),
    "array of half precision": lambda: NUMBERS.astype(np.float16),
    "array of integers": lambda: NUMBERS.astype(np.int8),
    "array of objects": lambda: NUMBERS.astype(object),
    "array of arrays": lambda: objects(list(NUMBERS)),
    "array of lists": lambda: objects(PYTHON),
    "masked array": lambda: np.ma.array(NUMBERS),
    "structured array": structured,
    "record array": lambda: structured().view(np.recarray),
    "nested lists": lambda: PYTHON,
    "tuple of tuples": lambda: tuple(map(tuple, PYTHON)),
    "list of arrays": lambda: list(NUMBERS),
    "list of tensors": lambda: list(torch.tensor(NUMBERS)),
    "list of tensors with gradients": lambda: list(torch.tensor(NUMBERS, requires_grad=True)),
    "list of records": lambda: RECORDS,
    "tensor": lambda: torch.tensor(NUMBERS),
    "tensor with a gradient": lambda: torch.tensor(NUMBERS, requires_grad=True),
    "tensor of bfloat16": lambda: torch.tensor(NUMBERS).bfloat16(),
    "dict of arrays": lambda: {"a": A, "b": B},
    "dict of lists": lambda: {"a": A.tolist(), "b": B.tolist()},
    "dict of tensors": lambda: {"a": torch.tensor(A), "b": torch.tensor(B)},
    "dict of Series": lambda: {"a": pd.Series(A, index=range(1, ROWS + 1)), "b": pl.Series(B)},
    "dict of a matrix": lambda: {"v": NUMBERS},
    "dict of mixed kinds": lambda: {"a": pa.array(A), "b": B[:, None]},
    "pandas": lambda: pd.DataFrame(RECORDS),
    "pandas of nullable numbers": lambda: pd.DataFrame(RECORDS).astype("Int64"),
    "pandas of Arrow": lambda: pd.DataFrame(RECORDS).astype("double[pyarrow]"),
    "pandas of objects": lambda: pd.DataFrame(RECORDS).astype(object),
    "pandas of Decimal": lambda: pd.DataFrame(RECORDS).map(Decimal),
    "pandas of sparse columns": lambda: pd.DataFrame(RECORDS).astype(pd.SparseDtype(float)),
    "pandas with names twice": lambda: pd.DataFrame(NUMBERS, columns=["a", "a"]),
    "pandas with names of two levels": lambda: pd.DataFrame(
        NUMBERS, columns=pd.MultiIndex.from_tuples([("u", "a"), ("u", "b")])
    ),
    "pandas column of vectors": lambda: pd.DataFrame({"v": PYTHON}),
    "pandas column of arrays": lambda: pd.Series(list(NUMBERS), name="v"),
    "pandas column of tensors": lambda: pd.Series(list(torch.tensor(NUMBERS)), name="v"),
    "pandas column of Arrow lists": lambda: pd.Series(
        PYTHON, dtype=pd.ArrowDtype(pa.list_(pa.float64()))
    ),
    "polars": lambda: pl.DataFrame(RECORDS),
    "polars of Decimal": lambda: pl.DataFrame(RECORDS).cast(pl.Decimal(10, 2)),
    "polars of integers": lambda: pl.DataFrame(RECORDS).cast(pl.Int16),
    "polars column of lists": lambda: pl.DataFrame({"v": PYTHON}),
    "polars column of arrays": lambda: pl.Series("v", NUMBERS, dtype=pl.Array(pl.Float64, 2)),
    "Arrow table": lambda: pa.table({"a": A, "b": B}),
    "Arrow record batch": lambda: pa.RecordBatch.from_pydict({"a": A, "b": B}),
    "Arrow table in chunks": lambda: pa.concat_tables(
        [pa.table({"a": A[:7], "b": B[:7]}), pa.table({"a": A[7:], "b": B[7:]})]
    ),
    "Arrow table of decimals": lambda: pa.table(
        {name: pa.array(map(Decimal, column)) for name, column in (("a", A), ("b", B))}
    ),
    "Arrow column of lists": lambda: arrow_list(pa.list_(pa.float64())),
    "Arrow column of large lists": lambda: arrow_list(pa.large_list(pa.float32())),
    "Arrow column of vectors": lambda: arrow_list(pa.list_(pa.float64(), 2)),
    "dictionary of Arrow numbers": lambda: pa.table({"a": A, "b": B}).to_pandas(),
}

CATEGORIES: dict[str, Callable[[], Any]] = {
    "array of text": lambda: HUES,
    "array of objects": lambda: HUES.astype(object),
    "array of bytes": lambda: HUES.astype("S"),
    "array of variable text": lambda: HUES.astype(
        pytest.importorskip("numpy", "2").dtypes.StringDType()
    ),
    "column of text": lambda: HUES[:, None],
    "list": lambda: HUES.tolist(),
    "tuple": lambda: tuple(HUES.tolist()),
    "nested list": lambda: [[hue] for hue in HUES.tolist()],
    "dict": lambda: {"hue": HUES.tolist()},
    "dict of Categorical": lambda: {"hue": pd.Categorical(HUES)},
    "records": lambda: [{"hue": hue} for hue in HUES.tolist()],
    "pandas Categorical": lambda: pd.Categorical(HUES),
    "pandas Index": lambda: pd.Index(HUES),
    "pandas Series": lambda: pd.Series(HUES),
    "pandas Series of objects": lambda: pd.Series(HUES, dtype=object),
    "pandas Series of categories": lambda: pd.Series(HUES, dtype="category"),
    "pandas text array": lambda: pd.array(HUES, dtype="string"),
    "pandas text of Arrow": lambda: pd.Series(HUES, dtype="string[pyarrow]"),
    "pandas dictionary of Arrow": lambda: pd.Series(
        pd.arrays.ArrowExtensionArray(pa.array(HUES).dictionary_encode())
    ),
    "polars Series": lambda: pl.Series(HUES),
    "polars frame": lambda: pl.DataFrame({"hue": HUES}),
    "polars Categorical": lambda: pl.Series("hue", HUES, dtype=pl.Categorical),
    "polars Enum": lambda: pl.Series("hue", HUES, dtype=pl.Enum(["blue", "green", "red"])),
    "Arrow array": lambda: pa.array(HUES),
    "Arrow chunks": lambda: pa.chunked_array([HUES[:9], HUES[9:]]),
    "Arrow dictionary": lambda: pa.array(HUES).dictionary_encode(),
    "Arrow dictionary in a table": lambda: pa.table({"hue": pa.array(HUES).dictionary_encode()}),
    "Arrow large text": lambda: pa.table({"hue": pa.array(HUES.tolist(), pa.large_string())}),
    "Arrow text view": lambda: pa.array(
        HUES.tolist(), pytest.importorskip("pyarrow", "16").string_view()
    ),
    "Arrow bytes": lambda: pa.array([hue.encode() for hue in HUES]),
}

VECTORS: dict[str, Callable[[], Any]] = {
    "list": lambda: A.tolist(),
    "buffer": lambda: array.array("d", A),
    "memory view": lambda: memoryview(A.copy()),
    "pandas Index": lambda: pd.Index(A),
    "pandas extension array": lambda: pd.array(A.astype(int), dtype="Int64"),
    "polars Series": lambda: pl.Series(A),
    "Arrow array": lambda: pa.array(A),
    "Arrow chunks": lambda: pa.chunked_array([A[:9], A[9:]]),
    "objects": lambda: A.astype(object),
    "large integers": lambda: [int(a) * 2**70 for a in A],
}

every_table = pytest.mark.parametrize("make", TABLES.values(), ids=TABLES)
every_category = pytest.mark.parametrize("make", CATEGORIES.values(), ids=CATEGORIES)


@every_table
def test_every_table_gives_the_same_rows(make: Callable[[], Any]) -> None:
    assert as_rows("x", make()).double().tolist() == PYTHON
    data = TensorDataModule(make(), A, batch_size=8, seed=0)
    assert data.load()[0].double().tolist() == PYTHON
    assert (data.dropped_rows, len(data.x_columns)) == (0, 2)


@every_category
def test_every_column_of_text_gives_the_same_categories(make: Callable[[], Any]) -> None:
    pairs = check_pairs(make(), A)
    names = [name.partition("=")[2] for name in pairs.x_columns]
    assert sorted(names) == ["blue", "green", "red"]
    assert pairs.x[:, np.argsort(names)].tolist() == ONE_HOT.tolist()
    assert torch.equal(check_pairs(A, make(), labels=True).z, pairs.x)


@pytest.mark.parametrize("make", VECTORS.values(), ids=VECTORS)
def test_every_vector_is_one_column(make: Callable[[], Any]) -> None:
    rows = as_rows("x", make()).double().flatten()
    assert torch.equal(rows / rows.abs().max(), torch.tensor(A) / np.abs(A).max())


QUICK: dict[str, Any] = {"max_epochs": 1, "folds": 2, "progress_bar": False}


@pytest.mark.parametrize(
    ("x", "z"),
    [
        ("polars", "polars Series"),
        ("Arrow column of vectors", "Arrow dictionary"),
        ("dict of mixed kinds", "array of objects"),
        ("list of tensors with gradients", "pandas Categorical"),
    ],
)
def test_every_door_takes_the_same(x: str, z: str) -> None:
    table, hues = TABLES[x], CATEGORIES[z]
    expected = estimate_mutual_information(NUMBERS, HUES, **QUICK)
    assert estimate_mutual_information(table(), hues(), **QUICK).nats == expected.nats
    given = np.arange(ROWS) % 7
    conditional = estimate_conditional_mutual_information(NUMBERS, HUES, given, **QUICK)
    found = estimate_conditional_mutual_information(table(), hues(), pl.Series(given), **QUICK)
    assert found.nats == conditional.nats
    data = TensorDataModule(table(), hues(), batch_size=8)
    assert data.load()[1].tolist() == ONE_HOT.tolist()


@pytest.mark.slow
@every_table
def test_every_table_gives_the_same_estimate(make: Callable[[], Any]) -> None:
    expected = estimate_mutual_information(NUMBERS, HUES, **QUICK)
    assert estimate_mutual_information(make(), HUES, **QUICK).nats == expected.nats
    estimate_conditional_mutual_information(make(), HUES, given=A, **QUICK)


def test_integers_of_few_values_are_labels_in_every_container() -> None:
    labels = np.arange(ROWS) % 7
    kinds = [
        labels, labels.astype(">i4"), labels.tolist(), torch.tensor(labels), pd.Series(labels),
        pd.array(labels, dtype="Int64"), pd.Index(labels), pl.Series(labels), pa.array(labels),
    ]  # fmt: skip
    for kind in kinds:
        assert check_pairs(kind, A, labels=True).x.shape == (ROWS, 7)
        assert check_pairs(kind, A).x.shape == (ROWS, 1)
    assert check_pairs(np.arange(ROWS), A, labels=True).x.shape == (ROWS, 1)
    assert check_pairs(pd.DataFrame({"a": labels}), A, labels=True).x.shape == (ROWS, 1)


@pytest.mark.parametrize("missing", [None, math.nan, np.nan, pd.NA])
def test_missing_text_is_no_category(missing: Any) -> None:
    for values in (["a", missing, "b", "a"], {"hue": ["a", missing, "b", "a"]}):
        with pytest.raises(ValueError, match="Expected `x` to be finite, got 1 missing"):
            as_rows("x", values)
        with pytest.warns(UserWarning, match="Dropped 1 of 4 rows"):
            assert len(check_pairs(values, [1, 2, 3, 4], missing="drop").x) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            pl.LazyFrame({"a": [1, 2]}),
            "to be in memory, got a lazy LazyFrame: call its `collect()`",
        ),
        (pl.DataFrame({"a": [{"b": 1}, {"b": 2}]}), "got mixed values such as {'b': 1}."),
        (pl.DataFrame({"a": [[1], [2, 3]]}), "vectors of numbers of one length, got shapes (1,)"),
        (pa.table({"a": pa.array([1, 2], pa.date32())}), "got date values such as"),
        (pl.Series("t", [1, 2], dtype=pl.Duration), "got timedelta64 values such as Timedelta"),
        (pl.Series("t", ["0,5", "1,5"]), "such as '0,5': read them with `decimal=','`."),
        (pa.array([1, None, 3]), "to be finite, got 1 missing"),
    ],
)
def test_what_cannot_be_read_is_named(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        as_rows("x", values)


def test_the_matrix_takes_every_table() -> None:
    expected = mutual_information_matrix(pd.DataFrame({"a": A, "b": B}), **QUICK)
    for name in ("polars", "Arrow table", "dict of lists", "structured array", "list of records"):
        assert mutual_information_matrix(TABLES[name](), **QUICK)["a", "b"] == expected["a", "b"]
    assert mutual_information_matrix(NUMBERS, **QUICK).names == ("0", "1")
