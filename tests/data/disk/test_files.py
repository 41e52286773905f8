"""Files of rows: what is read of them, and which are refused."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from disk_pairs import KINDS, ROWS, X, Z, every_kind, save, table
from mine_lightning.data import StreamingDataModule
from mine_lightning.data.disk.files import open_source


@every_kind
@pytest.mark.parametrize("seed", range(5))
def test_any_ranges_read_what_the_array_holds(tmp_path, kind, seed):
    arguments, more = save(tmp_path, kind, table())
    source = open_source(arguments[0], *(arguments[1:] or [None, None]), **more)
    bounds = np.sort(np.random.default_rng(seed).choice(ROWS + 1, 12, replace=False))
    ranges = bounds.reshape(-1, 2)
    chunks = list(source.read(ranges))
    wanted = np.concatenate([np.arange(*r) for r in ranges])
    read = np.concatenate([np.arange(c.first, c.first + len(c.x)) for c in chunks])
    assert np.array_equal(read, wanted)
    assert np.array_equal(np.concatenate([c.x for c in chunks]), table()[wanted][:, X])
    assert np.array_equal(np.concatenate([c.z for c in chunks]), table()[wanted][:, Z])
    assert (source.x_shape, source.z_shape, source.rows) == ((2,), (1,), ROWS)


@pytest.mark.parametrize("kind", ["float32", "int64", "bool", "decimal", "big endian"])
def test_numbers_of_any_kind_are_read_as_what_they_are(tmp_path, kind):
    values = np.arange(40) % 7
    if kind == "big endian":
        np.save(tmp_path / "x.npy", values.astype(">f8"))
        np.save(tmp_path / "z.npy", values.astype(">i2"))
        source = open_source(tmp_path / "x.npy", None, None, tmp_path / "z.npy")
    else:
        column = pyarrow.array(values)
        column = column.cast(
            {
                "float32": pyarrow.float32(),
                "int64": pyarrow.int64(),
                "bool": pyarrow.bool_(),
                "decimal": pyarrow.decimal128(24, 2),
            }[kind]
        )
        file = pyarrow.table({"a.b": column, "c": pyarrow.array(values)})
        pyarrow.parquet.write_table(file, tmp_path / "p.parquet", row_group_size=16)
        source = open_source(tmp_path / "p.parquet", ["a.b"], ["c"])
    (x, z) = (
        np.concatenate(side)
        for side in zip(*[chunk[1:] for chunk in source.read(np.array([[0, 40]]))], strict=True)
    )
    assert x[:, 0].tolist() == (values != 0 if kind == "bool" else values).tolist()
    assert z[:, 0].tolist() == values.tolist()


def test_a_file_larger_than_any_memory_is_opened_and_read_in_places(tmp_path):
    path, rows = tmp_path / "huge.npy", 10**10
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, 2)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        start = file.tell()
        file.seek(start + 8 * (rows - 3))
        file.write(np.arange(6, dtype="<f4").tobytes())
    source = open_source(path, [0], [1])
    (chunk,) = source.read(np.array([[rows - 3, rows]]))
    assert chunk.x.tolist() == [[0], [2], [4]]
    assert chunk.first == rows - 3


def test_the_source_travels_to_another_process(tmp_path):
    for kind in KINDS:
        arguments, more = save(tmp_path, kind, table())
        source = open_source(arguments[0], *(arguments[1:] or [None, None]), **more)
        (chunk, *_) = pickle.loads(pickle.dumps(source)).read(np.array([[5, 6]]))
        assert chunk.x[0, 0] == 5


@pytest.mark.parametrize("kind", ["one file", "parquet"])
def test_a_file_that_breaks_while_it_is_read_is_named(tmp_path, kind):
    arguments, more = save(tmp_path, kind, table())
    source = open_source(arguments[0], *(arguments[1:] or [None, None]), **more)
    content = bytearray(arguments[0].read_bytes())
    half = len(content) // 2
    broken = content[:half] if kind == "one file" else content[:8] + bytes(half)
    arguments[0].write_bytes(broken)
    message = "to stay as it was" if kind == "one file" else "to be a whole .parquet file"
    with pytest.raises(ValueError, match=f"Expected '{arguments[0]}' {message}"):
        list(source.read(np.array([[0, ROWS]])))


def broken_npy(folder: Path, what: str) -> Path:
    path = folder / f"{what}.npy"
    values = {
        "objects": np.array([[1, "a"], [2, "b"]], dtype=object),
        "text": np.array([["a", "b"], ["c", "d"]]),
        "complex": np.ones((9, 2), dtype=complex),
        "fields": np.zeros(9, dtype=[("a", "f4"), ("b", "f4")]),
        "columns": np.asfortranarray(np.ones((9, 2, 2))),
        "scalar": np.array(3.0),
        "one row": np.ones((1, 2)),
        "no columns": np.ones((9, 0)),
        "empty": np.ones((0, 2)),
    }
    if what == "pickle":
        path.write_bytes(pickle.dumps(table()))
    elif what == "archive":
        np.savez(folder / "archive.npz", a=table())
        (folder / "archive.npz").rename(path)
    elif what == "cut off":
        np.save(path, table())
        path.write_bytes(path.read_bytes()[:-8])
    else:
        np.save(path, values[what])
    return path


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("objects", "to be a whole .npy file, got: .*[Oo]bject"),
        ("pickle", "to be a whole .npy file, got: .*pickle"),
        ("archive", "got: several arrays, where one is expected"),
        ("cut off", "to be a whole .npy file, got: "),
        ("empty", "to be a whole .npy file, got: |at least 2 rows"),
        ("text", "Expected `x` to hold real numbers, got text"),
        ("complex", "Expected `x` to hold real numbers, got complex numbers"),
        ("fields", "Expected `x` to hold real numbers, got "),
        ("columns", "to be in C order, row after row, got Fortran order"),
        ("scalar", r"to hold at least 2 rows and 1 column, got shape \(\)"),
        ("one row", r"to hold at least 2 rows and 1 column, got shape \(1, 2\)"),
        ("no columns", r"to hold at least 2 rows and 1 column, got shape \(9, 0\)"),
    ],
)
def test_arrays_that_are_no_rows_of_numbers_are_refused(tmp_path, what, message):
    path = broken_npy(tmp_path, what)
    with pytest.raises(ValueError, match=message):
        StreamingDataModule(path, [0], [1])


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", table())
    np.save(tmp_path / "z.npy", table(ROWS - 1))
    np.save(tmp_path / "image.npy", np.zeros((ROWS, 2, 2)))
    x, z, image = (tmp_path / f"{name}.npy" for name in ("x", "z", "image"))
    with pytest.raises(ValueError, match="same number of rows, got 3000 and 2999"):
        StreamingDataModule(x, z_path=z)
    with pytest.raises(ValueError, match="no column in common, got `0`, `1`"):
        StreamingDataModule(x, [0, 1, 2], z_path=x, z=[0, 1])
    with pytest.raises(ValueError, match="no column in common, got `1` in both"):
        StreamingDataModule(x, [0, 1], [1, 2])
    with pytest.raises(ValueError, match=r"columns of a table of shape \(N, D\), got shape"):
        StreamingDataModule(image, [0], z_path=x)
    with pytest.raises(ValueError, match="Expected `x` to give positions from 0 to 3, got 4"):
        StreamingDataModule(x, [4], [1])
    with pytest.raises(ValueError, match="Expected `z` to name columns where x and z lie in one"):
        StreamingDataModule(x, [0])
    with pytest.raises(ValueError, match="Expected `path` to end in one of"):
        StreamingDataModule(tmp_path / "x.csv", [0], [1])
    with pytest.raises(FileNotFoundError, match="no such file"):
        StreamingDataModule(tmp_path / "missing.npy", [0], [1])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["a"] * 9, "Expected column `b` of `z` to hold numbers, got .*string"),
        (pd.date_range("2020", periods=9), "to hold numbers, got timestamp"),
        (pd.Categorical(["u", "v", "w"] * 3), "`TableDataModule` encodes categories"),
    ],
)
def test_parquet_columns_that_are_no_numbers_are_refused(tmp_path, column, message):
    pd.DataFrame({"a": range(9), "b": column}).to_parquet(tmp_path / "p.parquet")
    with pytest.raises(ValueError, match=message):
        StreamingDataModule(tmp_path / "p.parquet", ["a"], ["b"])


def test_other_mistakes_with_parquet_files_are_refused(tmp_path):
    arguments, _ = save(tmp_path, "parquet", table())
    path = arguments[0]
    with pytest.raises(ValueError, match="Did you mean `other`"):
        StreamingDataModule(path, ["othr"], ["double"])
    with pytest.raises(ValueError, match="no column in common, got `row` in both"):
        StreamingDataModule(path, ["row"], ["double", "row"])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="to be a whole"):
        StreamingDataModule(path, ["row"], ["double"])
    twice = pyarrow.table([pyarrow.array([1, 2])] * 3, names=["a", "a", "b"])
    pyarrow.parquet.write_table(twice, tmp_path / "twice.parquet")
    with pytest.raises(ValueError, match="Expected the file to have one column `a`, got several"):
        StreamingDataModule(tmp_path / "twice.parquet", [0], ["b"])
    pyarrow.parquet.write_table(twice[:1].select([2, 1]), tmp_path / "one.parquet")
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        StreamingDataModule(tmp_path / "one.parquet", ["a"], ["b"])
