import re

import numpy as np
import pandas as pd
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning import LightningDataModule
from sklearn.datasets import load_wine

from mine_lightning.data.reading import read_table
from mine_lightning.data.tables import TableDataModule
from table_files import numbers, write

CLASS_PATH = "mine_lightning.data.tables.TableDataModule"


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
