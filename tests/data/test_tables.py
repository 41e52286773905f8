import io
import os
import pickle
import re
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonargparse import ArgumentParser
from lightning import LightningDataModule
from sklearn.datasets import load_wine

from mine_lightning.data.reading import read_columns, read_table, select_columns
from mine_lightning.data.tables import TableDataModule

CLASS_PATH = "mine_lightning.data.tables.TableDataModule"
ROWS = 500


def numbers():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(ROWS, 3)) * 10.0 ** generator.integers(-9, 9, (ROWS, 3))
    return pd.DataFrame(values, columns=["a", "b", "c"]).assign(d=range(ROWS))


def write(frame, path):
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".npz":
        np.savez(path, **{name: frame[name].to_numpy() for name in frame})
    elif path.suffix == ".npy":
        np.save(path, frame.to_numpy())
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix.lower() == ".tsv" else ",")
    return path


@pytest.fixture
def table(tmp_path):
    return write(numbers(), tmp_path / "table.csv")


@pytest.mark.parametrize("suffix", [".csv", ".CSV", ".tsv", ".parquet", ".npz", ".npy"])
def test_every_file_type_gives_the_same_batches(tmp_path, suffix):
    path = write(numbers(), tmp_path / f"table{suffix}")
    data = TableDataModule(path, x=[0, "3"], z=[2], seed=0)
    data.setup()
    expected = numbers()
    assert torch.equal(data.load()[0], torch.tensor(expected[["a", "d"]].to_numpy()))
    assert torch.equal(data.load()[1], torch.tensor(expected[["c"]].to_numpy()))
    assert (data.x_dim, data.z_dim) == (2, 1)
    assert data.x_columns == (["0", "3"] if suffix == ".npy" else ["a", "d"])
    assert next(iter(data.test_dataloader()))["joint"][0].dtype == torch.float32


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".npz"])
def test_every_file_type_gives_the_same_categories(tmp_path, suffix):
    frame = pd.DataFrame({"hue": ["red", "blue"] * 9, "ripe": [True, False, False] * 6})
    if suffix == ".npz":
        np.savez(tmp_path / "table.npz", hue=frame["hue"].tolist(), ripe=frame["ripe"])
    else:
        write(frame, tmp_path / f"table{suffix}")
    data = TableDataModule(tmp_path / f"table{suffix}", x=["hue"], z=["ripe"])
    x, z = data.load()
    assert data.x_columns == ["hue=blue", "hue=red"]
    assert x.tolist() == [[0, 1], [1, 0]] * 9
    assert z.flatten().tolist() == [1, 0, 0] * 6


def test_wine(tmp_path):
    wine = load_wine(as_frame=True).frame
    path = write(wine, tmp_path / "wine.csv")
    columns = ["alcohol", "malic_acid"], ["color_intensity", "hue"]
    data = TableDataModule(path, *columns, batch_size=64)
    assert (data.x_dim, data.z_dim, len(data.split_of_rows())) == (2, 2, 178)
    assert np.array_equal(data.load()[0].numpy(), wine[columns[0]])


def test_categories_of_parquet(tmp_path):
    frame = numbers().assign(size=pd.Categorical(["S", "M"] * 250, categories=["S", "M", "L"]))
    path = write(frame, tmp_path / "table.parquet")
    assert TableDataModule(path, ["size"], ["a"]).x_columns == ["size=S", "size=M"]


def test_missing_cells(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,c\n1,u,\n,v,\n3,NA,\n4,u,7\nnan,v,\n6,v,\ninf,u,\n")
    message = "got 3 missing or infinite values in 3 of 7 rows: 3 in column `a`."
    with pytest.raises(ValueError, match=re.escape(message)):
        TableDataModule(path, ["a"], ["b"])
    with pytest.warns(UserWarning, match="Dropped 4 of 7 rows"):
        data = TableDataModule(path, ["a"], ["b"], missing="drop")
    assert data.kept_rows.tolist() == [0, 3, 5]
    assert data.dropped_rows == 4
    assert data.load()[0].flatten().tolist() == [1, 4, 6]
    assert data.load()[1].tolist() == [[1, 0], [1, 0], [0, 1]]


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


def test_text_in_a_column_of_numbers(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1.5,1\n?,2\n3,3\n")
    message = "Expected column `a` of `x` to hold numbers or categories, got numbers mixed with te"
    with pytest.raises(ValueError, match=re.escape(message)):
        TableDataModule(path, ["a"], ["b"])


def test_dates_are_not_numbers(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a,b,t\n2020-01-01,1,2020-01-01 10:00:00\n2020-01-02,2,2020-01-01 11:00:00\n")
    with pytest.raises(ValueError, match=r"Expected column `a` of `x` to hold .*, got date values"):
        TableDataModule(path, ["a"], ["b"])
    with pytest.raises(ValueError, match=r"Expected column `t` of `x` .*, got datetime64 values"):
        TableDataModule(path, ["t"], ["b"])


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


@pytest.mark.parametrize("form", ["[a,b]", "[a,1]", "['a','1']"])
def test_columns_from_the_command_line(table, form):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    args = [f"--data={CLASS_PATH}", f"--data.path={table}", "--data.z=[2]", "--data.batch_size=64"]
    config = parser.parse_args([*args, f"--data.init_args.x={form}"])
    data = TableDataModule(**config.data.init_args)
    assert (data.x_columns, data.z_columns, data.batch_size) == (["a", "b"], ["c"], 64)


def test_columns_from_yaml(table, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        f"data:\n  class_path: {CLASS_PATH}\n  init_args:\n    path: {table}\n"
        "    x: [a, 1]\n    z:\n    - c\n    missing: drop\n    true_mi: 0.5\n"
    )
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_subclass_arguments(LightningDataModule, "data")
    data = TableDataModule(**parser.parse_args([f"--config={config}"]).data.init_args)
    assert (data.x_columns, data.z_columns, data.true_mi) == (["a", "b"], ["c"], 0.5)


def correlated(rows=400):
    generator = np.random.default_rng(0)
    x = generator.normal(size=rows)
    return pd.DataFrame({"x": x, "z": 0.8 * x + 0.6 * generator.normal(size=rows)})


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


def test_a_mark_for_missing_far_down_is_named(tmp_path):
    """The types of columns are those of all rows, not of the first ones."""
    path = tmp_path / "table.csv"
    path.write_text("a,b\n" + "1.25,2\n" * 200_000 + "?,3\n")
    with pytest.raises(ValueError, match=re.escape("numbers mixed with text such as '?'")):
        TableDataModule(path, ["a"], ["b"])


def test_names_cannot_steer_a_terminal(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("\x1b[2Ja,\x1b]0;owned\x07b,hue\n1,2,\x1b[31mred\n2,1,blue\n")
    names = ["\\x1b[2Ja", "\\x1b]0;owned\\x07b", "hue"]
    assert read_table(path).columns.tolist() == names
    data = TableDataModule(path, [names[0]], ["hue"])
    assert [*data.x_columns, *data.z_columns] == [names[0], "hue=\\x1b[31mred", "hue=blue"]
    with pytest.raises(ValueError, match="Expected") as caught:
        TableDataModule(path, ["zzz"], ["hue"])
    assert str(caught.value).isprintable()


def test_the_index_of_pandas_is_no_column(tmp_path):
    frame = correlated().set_index(pd.Index(range(400), name="day") * 2)
    frame.to_parquet(tmp_path / "table.parquet")
    assert read_table(tmp_path / "table.parquet").columns.tolist() == ["x", "z"]
