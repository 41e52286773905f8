"""Pairs on disk: every row where it belongs, once, and never the whole file in memory."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningDataModule, Trainer, seed_everything

from mine_lightning import MutualInformationEstimator, PointwiseWriter, RankToNormal, Standardize
from mine_lightning.data import IndependentDraw, StreamingDataModule, TensorDataModule, modules
from mine_lightning.data.disk import streaming as streaming_module
from mine_lightning.data.disk.files import open_source
from mine_lightning.data.disk.windows import StreamLoader, evenly
from mine_lightning.data.loading.prefetch import Prefetcher
from mine_lightning.data.loading.stacks import Stacking
from mine_lightning.data.transforms import Identity
from shared import QUIET

ROWS = 3000
RAW = {"x_transform": Identity(), "z_transform": Identity()}
NAMES = ["row", "other", "double", "noise"]
X, Z = [0, 1], [2]
ON_CPU = {**QUIET, "accelerator": "cpu"}


def table(rows: int = ROWS, dtype: str = "float64") -> np.ndarray:
    """Rows that carry their own number: z is twice it."""
    noise = np.random.default_rng(0).normal(size=(rows, 2))
    number = np.arange(rows)
    columns = [number, noise[:, 0], 2 * number, noise[:, 1]]
    return np.stack(columns, axis=1).astype(dtype)


def save(folder: Path, kind: str, values: np.ndarray, group: int = 40) -> tuple[list, dict]:
    """Write the pairs in one of the three forms; return the arguments that open them."""
    if kind == "parquet":
        frame = pd.DataFrame(values, columns=NAMES)
        frame.to_parquet(folder / "pairs.parquet", row_group_size=group, index=False)
        return [folder / "pairs.parquet", ["row", "other"], ["double"]], {}
    if kind == "one file":
        np.save(folder / "pairs.npy", values)
        return [folder / "pairs.npy", X, Z], {}
    np.save(folder / "x.npy", values[:, X])
    np.save(folder / "z.npy", values[:, Z])
    return [folder / "x.npy"], {"z_path": folder / "z.npy"}


KINDS = ["one file", "two files", "parquet"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def module(folder: Path, kind: str = "one file", window: int = 700, **kwargs):
    """Return a set-up DataModule whose windows have few rows."""
    arguments, more = save(folder, kind, table())

    class Small(StreamingDataModule):
        window_rows = window

    options = {"batch_size": 64, "seed": 3, "val_fraction": 0.2, "test_fraction": 0.2, **RAW}
    data = Small(*arguments, **more, **(options | kwargs))
    data.setup()
    return data


def flat(loader) -> list[dict]:
    batches = []
    for item in loader:
        batches += item if isinstance(item, list) else [item]
    return batches


def numbers(batches: list[dict]) -> torch.Tensor:
    """Return the row numbers of the joint pairs."""
    return torch.cat([batch["joint"][0][:, 0] for batch in batches]).long()


def same(left: list[dict], right: list[dict]) -> bool:
    return len(left) == len(right) and all(
        torch.equal(a["joint"][0], b["joint"][0])
        and torch.equal(a["joint"][1], b["joint"][1])
        and torch.equal(a["marginal"], b["marginal"])
        for a, b in zip(left, right, strict=True)
    )


def with_loader(data, stack: int = 1, rank: int = 0, world_size: int = 1):
    data._place = lambda: (rank, world_size)
    loader = data.train_dataloader()
    loader.stacking = Stacking(stack)
    return loader


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


@every_kind
def test_splits_are_disjoint_seeded_blocks_of_the_shares_asked_for(tmp_path, kind):
    data = module(tmp_path, kind, test_fraction=0.1)
    names = np.array(data.split_of_rows())
    shares = [(names == name).mean() for name in ("train", "val", "test")]
    assert np.allclose(shares, [0.7, 0.2, 0.1], atol=1 / 64)
    changes = (names[1:] != names[:-1]).sum()
    assert 10 < changes < ROWS / 4
    assert names.tolist() == module(tmp_path, kind, test_fraction=0.1).split_of_rows()
    assert names.tolist() != module(tmp_path, kind, test_fraction=0.1, seed=4).split_of_rows()


@every_kind
def test_an_epoch_holds_every_training_row_once_with_partners_from_the_minibatch(tmp_path, kind):
    data = module(tmp_path, kind)
    train = np.flatnonzero(np.array(data.split_of_rows()) == "train")
    loader = data.train_dataloader()
    first, second = flat(loader), flat(loader)
    assert len(first) == len(second) == len(loader) == len(train) // 64
    for batches in (first, second):
        seen = numbers(batches)
        assert len(seen.unique()) == len(seen) == 64 * len(loader)
        assert np.isin(seen.numpy(), train).all()
    for batch in first:
        x, z = batch["joint"]
        assert torch.equal(z[:, 0], 2 * x[:, 0])
        assert not (batch["marginal"] == z).any()
        assert torch.equal(batch["marginal"].sort(0).values, z.sort(0).values)
    assert not same(first, second)
    assert same(first, flat(module(tmp_path, kind).train_dataloader()))


def test_rows_mix_beyond_their_block(tmp_path):
    data = module(tmp_path)
    blocks = data._blocks["train"].ranges
    for batch in flat(data.train_dataloader()):
        places = np.searchsorted(blocks[:, 0], numbers([batch]).numpy(), side="right")
        assert len(np.unique(places)) > 25


def test_partners_may_come_from_the_whole_window_and_are_never_the_row_itself(tmp_path):
    data = module(tmp_path, marginal=IndependentDraw())
    outside = 0
    for batch in flat(data.train_dataloader()):
        z, apart = batch["joint"][1], batch["marginal"]
        assert not (apart == z).any()
        outside += int((~torch.isin(apart, z)).sum())
    assert outside > 1000


@pytest.mark.parametrize("stack", [2, 3, 7])
def test_a_stack_holds_the_same_minibatches_in_the_same_order(tmp_path, stack):
    data = module(tmp_path)
    plain, stacked = with_loader(data), with_loader(data, stack)
    assert len(stacked) == -(-len(plain) // stack)
    for _ in range(2):
        assert same(flat(plain), flat(stacked))


@every_kind
@pytest.mark.parametrize("stack", [1, 3])
def test_a_restarted_loader_continues_and_reads_nothing_from_before(
    tmp_path, kind, stack, monkeypatch
):
    data = module(tmp_path, kind)
    whole = with_loader(data, stack)
    expected = [list(whole), list(whole)]
    wrap = (lambda item: item) if stack > 1 else (lambda item: [item])
    for stop in range(1, len(whole), 4):
        broken, resumed = with_loader(data, stack), with_loader(data, stack)
        iterator = iter(broken)
        for _ in range(stop):
            next(iterator)
        resumed.load_state_dict(broken.state_dict())
        del iterator  # which reads ahead
        rows = []
        read = resumed.read.source.read
        with monkeypatch.context() as patch:
            patch.setattr(
                resumed.read.source, "read", lambda r, f=read, s=rows: (s.append(r), f(r))[1]
            )
            rest = list(resumed)
        for got, want in zip(rest, expected[0][stop:], strict=True):
            assert same(wrap(got), wrap(want))
        windows = np.searchsorted(resumed.bounds, stop * stack, side="right") - 1
        assert len(rows) == len(resumed.bounds) - 1 - windows
        for got, want in zip(list(resumed), expected[1], strict=True):
            assert same(wrap(got), wrap(want))


def test_ranks_read_equal_disjoint_shares(tmp_path):
    data = module(tmp_path)
    ranks = [flat(with_loader(data, rank=rank, world_size=3)) for rank in range(3)]
    rows = [numbers(batches) for batches in ranks]
    assert len({len(seen) for seen in rows}) == 1
    together = torch.cat(rows)
    assert len(together.unique()) == len(together)
    assert len(together) > data._blocks["train"].rows - 3 * 64


@every_kind
def test_evaluation_sees_every_row_once_with_fixed_partners_from_its_window(tmp_path, kind):
    data = module(tmp_path, kind, window=320, eval_partners=9, eval_batch_size=40)
    rows = np.flatnonzero(np.array(data.split_of_rows()) == "val")
    loader = data.val_dataloader()
    batches = list(loader)
    assert len(batches) == len(loader)
    assert sorted(numbers(batches).tolist()) == rows.tolist()
    for batch in batches:
        partners = batch["marginal"][:, :, 0]
        assert partners.shape == (len(batch["joint"][0]), 9)
        assert not (partners == batch["joint"][1]).any()
        assert (partners.sort(1).values.diff(dim=1) > 0).all()
        assert np.isin(partners.numpy(), 2 * rows).all()
    assert same(batches, list(loader))
    beyond = torch.isin(batches[0]["marginal"], batches[0]["joint"][1])
    assert not beyond.all()


def test_evaluation_ranks_split_the_rows_without_padding(tmp_path):
    data = module(tmp_path, eval_batch_size=50)
    seen = []
    for rank in range(3):
        with_loader(data, rank=rank, world_size=3)
        seen.append(numbers(list(data.test_dataloader())))
    rows = np.flatnonzero(np.array(data.split_of_rows()) == "test")
    assert torch.cat(seen).sort().values.tolist() == rows.tolist()
    assert max(map(len, seen)) - min(map(len, seen)) <= 1


@every_kind
def test_prediction_follows_the_file(tmp_path, kind):
    data = module(tmp_path, kind, eval_batch_size=100)
    assert numbers(list(data.predict_dataloader())).tolist() == list(range(ROWS))
    assert data.rows_of_input() == list(range(ROWS))


@every_kind
def test_one_pass_gives_the_statistics_of_the_training_rows(tmp_path, kind):
    data = module(tmp_path, kind, x_transform=None, z_transform=Standardize())
    train = np.array(data.split_of_rows()) == "train"
    values = torch.from_numpy(table()[train])
    for transform, columns in ((data.x_transform, X), (data.z_transform, Z)):
        expected = Standardize().fit(values[:, columns])
        torch.testing.assert_close(transform.mean, expected.mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(transform.scale, expected.scale, rtol=1e-12, atol=1e-12)
    x = torch.cat([batch["joint"][0] for batch in flat(data.train_dataloader())])
    assert x.dtype == torch.float32
    assert x.mean(0).abs().max() < 0.02
    assert (x.std(0) - 1).abs().max() < 0.02


def test_statistics_survive_a_large_offset(tmp_path):
    values = table()
    values[:, 1] += 1e9
    arguments, _ = save(tmp_path, "one file", values)
    data = StreamingDataModule(*arguments, batch_size=64, seed=0)
    data.setup()
    train = np.array(data.split_of_rows()) == "train"
    assert data.x_transform.scale[1].item() == pytest.approx(values[train, 1].std(), rel=1e-7)


def test_other_transforms_are_fitted_on_training_rows(tmp_path, monkeypatch):
    data = module(tmp_path, x_transform=(given := RankToNormal()))
    train = np.array(data.split_of_rows()) == "train"
    expected = RankToNormal().fit(torch.from_numpy(table()[train][:, X]))
    assert torch.equal(data.x_transform.sorted, expected.sorted)
    assert not hasattr(given, "sorted")
    monkeypatch.setattr(streaming_module, "FIT_ROWS", 300)
    sample = module(tmp_path, x_transform=RankToNormal()).x_transform.sorted
    again = module(tmp_path, x_transform=RankToNormal()).x_transform.sorted
    assert 200 < sample.shape[1] < 400
    assert torch.equal(sample, again)
    assert torch.isin(sample, expected.sorted).all()


def test_images_of_one_number_each_and_vectors_are_pairs_too(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (500, 1, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", images.mean((1, 2, 3)))
    data = StreamingDataModule(
        tmp_path / "images.npy", z_path=tmp_path / "labels.npy", batch_size=32, seed=0
    )
    data.setup()
    batch = next(iter(data.train_dataloader()))
    assert batch["joint"][0].shape == (32, 1, 4, 4)
    assert batch["marginal"].shape == (32, 1)
    assert (data.x_dim, data.z_dim) == (16, 1)


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


def damaged(folder: Path, kind: str, row: int, column: int, value: float) -> tuple[list, dict]:
    values = table()
    values[row, column] = value
    return save(folder, kind, values)


@every_kind
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_and_infinite_values_are_refused_before_training(tmp_path, kind, value):
    arguments, more = damaged(tmp_path, kind, 1234, 1, value)
    data = StreamingDataModule(*arguments, **more, batch_size=64)
    name = "other" if kind == "parquet" else "1"
    with pytest.raises(ValueError, match=f"Expected `x` to be finite, got {value} in row 1234 of"):
        data.setup()
    with pytest.raises(ValueError, match=f"column `{name}`: leave such rows out"):
        data.setup()


@every_kind
def test_values_that_the_scan_did_not_see_are_refused_while_they_stream(tmp_path, kind):
    arguments, more = damaged(tmp_path, kind, 1234, 2, np.nan)
    seen = 0
    for seed in range(20):
        data = StreamingDataModule(*arguments, **more, batch_size=64, seed=seed, scan_rows=100)
        try:
            data.setup()
        except ValueError:
            continue
        seen += 1
        with pytest.raises(ValueError, match="Expected `z` to be finite, got nan in row 1234"):
            flat(data.predict_dataloader())
    assert seen > 5


def test_several_bad_values_are_counted(tmp_path):
    values = table()
    values[[10, 11, 20], 1] = np.nan
    np.save(tmp_path / "pairs.npy", values)
    data = StreamingDataModule(tmp_path / "pairs.npy", X, Z, batch_size=64, seed=0)
    with pytest.raises(ValueError, match=r"nan in row 1. of column `1`.*leave such rows out"):
        data.setup()


@every_kind
def test_constant_columns_are_refused(tmp_path, kind):
    values = table()
    values[:, 1] = 3.3
    arguments, more = save(tmp_path, kind, values)
    data = StreamingDataModule(*arguments, **more, batch_size=64)
    name = "other" if kind == "parquet" else "1"
    with pytest.raises(ValueError, match=f"Expected `x` to vary in every column.*column {name}:"):
        data.setup()


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


def test_values_with_holes_in_parquet_are_missing(tmp_path):
    frame = pd.DataFrame({"a": range(900), "b": pd.array([*range(899), None], dtype="Int64")})
    frame.to_parquet(tmp_path / "p.parquet")
    data = StreamingDataModule(tmp_path / "p.parquet", ["a"], ["b"], batch_size=16)
    with pytest.raises(ValueError, match="Expected `z` to be finite, got nan in row 899 of"):
        data.setup()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"buffer_mb": 0}, "Expected `buffer_mb` to be an integer of at least 1, got 0"),
        ({"scan_rows": 1}, "Expected `scan_rows` to be an integer of at least 2, got 1"),
        ({"batch_size": 2800}, "Expected at least 2800 rows for the train split, got 2... of the"),
        ({"val_fraction": 1e-4}, "Expected at least 2 rows for the val split, got 0 of the 3000"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path, arguments, message):
    files, _ = save(tmp_path, "one file", table())
    with pytest.raises(ValueError, match=message):
        StreamingDataModule(*files, **arguments).setup()


def test_a_data_module_is_built_from_a_configuration(tmp_path):
    arguments, more = save(tmp_path, "two files", table())
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningDataModule, "data")
    init_args = {"path": str(arguments[0]), "z_path": str(more["z_path"]), "x": [1], "seed": 0}
    config = {"class_path": "mine_lightning.StreamingDataModule", "init_args": init_args}
    data = parser.instantiate(parser.parse_object({"data": config})).data
    assert (data.x_dim, data.z_dim, data.x_columns, data.seed) == (1, 1, ["1"], 0)


def test_windows_of_evaluation_always_leave_a_partner():
    for rows in range(2, 200):
        for most in range(3, 20):
            sizes = np.diff(evenly(rows, most))
            assert sizes.sum() == rows
            assert 2 <= sizes.min() <= sizes.max() <= most


@pytest.mark.parametrize("where", ["fits", "does not fit"])
def test_windows_go_to_the_training_device_or_are_prefetched(tmp_path, where, monkeypatch):
    meta = torch.device("meta")
    monkeypatch.setattr(streaming_module, "training_device", lambda trainer: meta)
    monkeypatch.setattr(modules, "training_device", lambda trainer: meta)
    monkeypatch.setattr(streaming_module, "fits", lambda values, device: where == "fits")
    data = module(tmp_path)
    loader = data.train_dataloader()
    assert isinstance(loader, StreamLoader if where == "fits" else Prefetcher)
    assert next(iter(loader))["marginal"].device == meta
    wanted = meta if where == "fits" else torch.device("cpu")
    assert next(iter(data.val_dataloader()))["marginal"].device == wanted


def test_a_window_of_few_row_groups_is_reported(tmp_path):
    arguments, _ = save(tmp_path, "parquet", table(), group=40)

    class Small(StreamingDataModule):
        window_rows = 100

    with pytest.warns(UserWarning, match="among about 3 of 75 blocks.*`buffer_mb` to 369,"):
        Small(*arguments, batch_size=64, seed=0).setup()


def gaussian(folder: Path, rows: int = 20_000, seed: int = 0) -> Path:
    x, noise = np.random.default_rng(seed).normal(size=(2, rows)).astype("float32")
    np.save(folder / "gaussian.npy", np.stack([x, 0.8 * x + 0.6 * noise], axis=1))
    return folder / "gaussian.npy"


def fit(path: Path, steps: int, ckpt_path: str | None = None, seed: int = 0, **kwargs):
    seed_everything(seed, verbose=False)
    data = StreamingDataModule(path, [0], [1], seed=seed + 1, batch_size=128)
    model = MutualInformationEstimator(minibatches_per_step=2)
    trainer = Trainer(max_steps=steps, max_epochs=-1, **ON_CPU, **kwargs)
    trainer.fit(model, data, ckpt_path=ckpt_path)
    return model, data, trainer


@pytest.mark.trained
def test_training_from_disk_finds_what_training_from_memory_finds(seed, outcome, tmp_path):
    path = gaussian(tmp_path, seed=seed)
    model, data, trainer = fit(path, 600, seed=seed, enable_checkpointing=False)
    (streamed,) = trainer.test(model, data, verbose=False)
    values = torch.from_numpy(np.load(path))
    memory = TensorDataModule(values[:, :1], values[:, 1:], seed=seed + 1)
    (in_memory,) = trainer.test(model, memory, verbose=False)
    truth = -0.5 * np.log(1 - 0.8**2)
    outcome(streamed["test/mi"] - truth, -0.15, 0.15)
    outcome(streamed["test/mi"] - in_memory["test/mi"], -0.15, 0.15, of="difference")


def test_a_run_resumed_within_an_epoch_ends_with_the_same_weights(tmp_path):
    path = gaussian(tmp_path)
    options = {"enable_checkpointing": False, "limit_val_batches": 0}
    whole, *_ = fit(path, 20, **options)
    *_, trainer = fit(path, 12, **options)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    resumed, *_ = fit(path, 20, str(tmp_path / "half.ckpt"), **options)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_pointwise_values_are_written_in_the_order_of_the_file(tmp_path):
    path = gaussian(tmp_path, rows=2000)
    model, data, _ = fit(path, 20, enable_checkpointing=False)
    output = tmp_path / "pointwise.csv"
    writer = Trainer(callbacks=[PointwiseWriter(str(output))], **ON_CPU)
    values = torch.cat(writer.predict(model, data))
    frame = pd.read_csv(output)
    assert frame["row"].tolist() == list(range(2000))
    assert frame["split"].tolist() == data.split_of_rows()
    np.testing.assert_allclose(frame["pointwise_mi"], values.double(), rtol=1e-6)
    x, z = torch.from_numpy(np.load(path)).unsqueeze(2).unbind(1)
    with torch.no_grad():
        scores = model.critic(data.x_transform(x), data.z_transform(z)) - model.log_partition
    torch.testing.assert_close(values, scores, rtol=1e-4, atol=1e-5)
