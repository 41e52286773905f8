"""Files of every kind: read to the last bit, or refused in one sentence."""

import io
import os
import pickle
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mine_lightning.data.reading import read_columns, read_table, select_columns
from table_files import correlated, numbers, write


def test_text_is_read_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).random(1000) * 10.0 ** np.arange(-150, 150, 0.3)
    path = write(pd.DataFrame({"a": values}), tmp_path / "table.csv")
    assert np.array_equal(read_table(path)["a"], values)


@pytest.mark.parametrize(
    "text",
    ["a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n", "\ufeffa,b\n1,2\n3,4\n", " a , b\n 1 , 2\n3, 4\n\n"],
)
def test_dialects(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode())
    frame = read_table(path)
    assert list(frame.columns) == ["a", "b"]
    assert frame.to_numpy().tolist() == [[1, 2], [3, 4]]


def test_quoted_cells_may_hold_separators_and_line_ends(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('"a, b",c\n"u, v",1\n"w\n""x""",2\n')
    assert read_table(path).to_dict("list") == {"a, b": ["u, v", 'w\n"x"'], "c": [1, 2]}


def test_arrays_of_npz_become_columns(tmp_path):
    np.savez(
        tmp_path / "table.npz",
        x=np.arange(12.0).reshape(3, 2, 2),
        z=np.arange(3, dtype=">i4"),
        w=np.ones((3, 1)),
        true_mi=0.5,
    )
    frame = read_table(tmp_path / "table.npz")
    assert list(frame.columns) == ["x_0", "x_1", "x_2", "x_3", "z", "w_0"]
    assert frame.iloc[1].tolist() == [4, 5, 6, 7, 1, 1]
    x, z = select_columns(frame, ["x"], ["z"])
    assert list(x.columns) == ["x_0", "x_1", "x_2", "x_3"]
    assert list(z.columns) == ["z"]


def test_fields_of_npy_become_columns(tmp_path):
    rows = np.array([(1.5, 2), (2.5, 3)], dtype=[("a", ">f4"), ("b", "i8")])
    np.save(tmp_path / "table.npy", rows)
    assert read_table(tmp_path / "table.npy").to_dict("list") == {"a": [1.5, 2.5], "b": [2, 3]}


def test_a_vector_of_npy_is_one_column(tmp_path):
    np.save(tmp_path / "table.npy", np.arange(3))
    assert read_table(tmp_path / "table.npy").to_dict("list") == {"0": [0, 1, 2]}


def npz(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def saved(save, *args, **kwargs):
    buffer = io.BytesIO()
    save(buffer, *args, **kwargs)
    return buffer.getvalue()


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("executed",)


PARQUET = saved(lambda file: numbers().to_parquet(file))
NPZ = saved(np.savez, a=np.arange(500.0), b=np.arange(500.0))
NPY = saved(np.save, np.arange(500.0))
OBJECTS = np.array([Malicious(), 1], dtype=object)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "to be a whole .csv file, got: Empty CSV file"),
        ("t.csv", b"a,b\n1,2\n3\n", "got: CSV parse error: Expected 2 columns, got 1: 3"),
        ("t.csv", b"a,b\n1,2\n3,4,5\n", "got: CSV parse error: Expected 2 columns, got 3: 3,4,5"),
        ("t.csv", b"a,b\n1,2,9\n3,4,9\n", "got: CSV parse error: Expected 2 columns, got 3: 1,2,9"),
        ("t.csv", b'a,b\n1,"u\n2,v\n', "got: an odd number of quotation marks."),
        (
            "t.csv",
            b"a;b\n1;2\n",
            "got: one column with ';' in its name, where ',' separates: read with `delimiter=';'`.",
        ),
        (
            "t.tsv",
            b"a,b\n1,2\n",
            "one column with ',' in its name, where '\\t' separates: read with `delimiter=','`.",
        ),
        (
            "t.csv",
            b"1.5,2\n3,4\n",
            "got: numbers in the first line, where the column names stand: ['1.5', '2'].",
        ),
        ("t.csv", b"a,b\n", "to hold rows, got none."),
        ("t.parquet", b"a,b\n1,2\n", "to be a whole .parquet file, got: "),
        ("t.parquet", b"", "to be a whole .parquet file, got: "),
        ("t.parquet", PARQUET[:-100], "to be a whole .parquet file, got: "),
        ("t.parquet", PARQUET[100:], "to be a whole .parquet file, got: "),
        ("t.npz", b"", "to be a whole .npz file, got: No data left in file"),
        ("t.npz", b"a,b\n1,2\n", "to be a whole .npz file, got: "),
        ("t.npz", NPZ[:-100], "to be a whole .npz file, got: "),
        ("t.npz", NPZ[:400] + b"0" + NPZ[401:], "to be a whole .npz file, got: Bad CRC-32"),
        ("t.npz", npz(a=NPY[:-8]), "to be a whole .npz file, got: "),
        ("t.npz", npz(a=NPY, b=saved(np.save, np.arange(3))), "of rows: {'a': 500, 'b': 3}."),
        ("t.npz", npz(), "to hold rows, got none."),
        ("t.npz", npz(a=saved(np.save, OBJECTS, allow_pickle=True)), "got: Object arrays cannot"),
        ("t.npy", saved(np.save, OBJECTS, allow_pickle=True), "got: Object arrays cannot"),
        ("t.npy", pickle.dumps(Malicious()), "to be a whole .npy file, got: "),
        ("t.npy", NPY[:-8], "to be a whole .npy file, got: "),
        ("t.npy", NPY[:20], "to be a whole .npy file, got: "),
        ("t.npy", saved(np.save, np.float64(3)), "got: an array without rows."),
        ("t.npy", saved(np.save, np.empty((0, 3))), "to hold rows, got none."),
        ("t.xlsx", b"PK", "to end in one of .csv, .tsv, .parquet, .npz, .npy, got "),
        ("table", b"a,b\n", "to end in one of .csv, .tsv, .parquet, .npz, .npy, got "),
    ],
    ids=lambda value: None if isinstance(value, str) else "content",  # archives hold the time
)
def test_broken_files(tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_table(name)
    assert f"'{name}'" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "executed").exists()


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Expected `path` to be a file, .* no such file\."):
        read_table(tmp_path / "t.csv")


def test_a_directory(tmp_path):
    (tmp_path / "t.csv").mkdir()
    for path in (tmp_path, tmp_path / "t.csv"):
        with pytest.raises(ValueError, match=r"Expected `path` to be a file, .* which is none\."):
            read_table(path)


def cut(content, place, length):
    """Leave out some bytes from the middle."""
    place %= len(content)
    return content[:place] + content[place + length % len(content) :]


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from([".csv", ".tsv", ".parquet", ".npz", ".npy"]),
    st.one_of(
        st.binary(max_size=60),
        st.text(alphabet='a1.5,;\t\n"\\ -e', max_size=60).map(str.encode),
        st.builds(cut, st.sampled_from([PARQUET, NPZ, NPY]), st.integers(0), st.integers(0)),
    ),
)
def test_any_bytes_give_a_table_or_a_line(tmp_path, suffix, content):
    path = tmp_path / f"table{suffix}"
    path.write_bytes(content)
    try:
        found = read_table(path)
    except ValueError as error:
        found = str(error).splitlines()
    assert len(found) > 0 if isinstance(found, pd.DataFrame) else len(found) == 1


@pytest.mark.parametrize(
    ("suffix", "text", "message"),
    [
        (
            ".csv",
            "a;b;c\n1,5;2;3\n2,5;3;4\n",
            "where ',' separates: read with `delimiter=';'`, `decimal=','`.",
        ),
        (".csv", "a;b\n1.5;2\n", "where ',' separates: read with `delimiter=';'`."),
        (".csv", "a;b\nx,y;2\n", "where ',' separates: read with `delimiter=';'`."),
        (".tsv", "a b,c\n1,2\n", "where '\\t' separates: read with `delimiter=','`."),
        (".csv", "a\tb\n1\t2\n", "read with `delimiter='\\t'`."),
        (".csv", "a|b;c|d\n1|2|3\n", "read with `delimiter='|'`."),
    ],
)
def test_another_delimiter_is_named(tmp_path, suffix, text, message):
    path = tmp_path / f"table{suffix}"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message)):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "reading", "message"),
    [
        ("t.csv", {"delimiter": ";;"}, "Expected `delimiter` to be one character, got ';;'."),
        ("t.csv", {"delimiter": ""}, "Expected `delimiter` to be one character, got ''."),
        ("t.csv", {"delimiter": '"'}, "Expected `delimiter` to be one character, got '\"'."),
        ("t.npy", {"delimiter": ","}, "Expected `delimiter` for .csv or .tsv, got it for .npy."),
        ("t.csv", {"decimal": "·"}, "Expected `decimal` to be '.' or ',', got '·'."),
        ("t.csv", {"thousands": "."}, "Expected `thousands` to be one mark that is not `decimal`"),
        ("t.csv", {"columns": ["c"]}, "Expected `columns` to name columns of the table, got 'c'."),
    ],
)
def test_mistaken_ways_of_reading_are_named(tmp_path, name, reading, message):
    path = tmp_path / name
    path.write_text("a,b\n1,2\n2,1\n")
    with pytest.raises(ValueError, match=re.escape(message)):
        read_table(path, **reading)


@pytest.mark.parametrize("wide", ["header", "row", "both"])
def test_lines_of_more_than_a_megabyte(tmp_path, wide):
    columns = 3 if wide == "row" else 60_000
    names = [f"{'methylation' if wide != 'row' else ''}_{place:08d}" for place in range(columns)]
    cells = ["0.5"] * (columns - 1) + ["x" * 2**21 if wide == "row" else "1.25"]
    lines = [names, cells, ["1.5"] * columns, *([["2"] * columns] if wide == "both" else [])]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(map(",".join, lines)))
    x, z = read_columns(path, {"x": [names[1]], "z": [0]}).values()
    assert x[names[1]].tolist()[:2] == z[names[0]].tolist()[:2] == [0.5, 1.5]
    assert read_table(path).shape == (len(lines) - 1, columns)


def test_the_index_of_pandas_is_no_column(tmp_path):
    frame = correlated().set_index(pd.Index(range(400), name="day") * 2)
    frame.to_parquet(tmp_path / "table.parquet")
    assert read_table(tmp_path / "table.parquet").columns.tolist() == ["x", "z"]
