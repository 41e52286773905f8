"""Files: nothing half-written, nothing overwritten, nothing executed."""

import os
import pickle
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from mine_lightning import MutualInformationEstimate, PointwiseWriter, TableDataModule
from mine_lightning.cli import main
from mine_lightning.data import read_table
from mine_lightning.support.files import check_output, write_table, written_whole
from shared import RESULT

ROOT = Path(__file__).parents[2]
QUICK = [
    "--trainer.accelerator=cpu",
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.max_epochs=2",
]
FRAME = pd.DataFrame(
    {"row": range(50_000), "pointwise_mi": np.random.default_rng(0).normal(size=50_000)}
)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small file system of one's own, where that is allowed."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_a_full_disk_leaves_no_part_of_a_table(mounted: Any, suffix: str) -> None:
    folder = mounted("size=64k")
    path = folder / f"values.{suffix}"
    with pytest.raises(OSError, match="No space left on device"):
        write_table(FRAME, path)
    assert files(folder) == []
    path.write_text("an earlier one")
    with pytest.raises(OSError, match="No space left on device"):
        write_table(FRAME, path)
    assert files(folder) == [path.name]
    assert path.read_text() == "an earlier one"


@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_a_full_disk_leaves_no_part_of_a_result(mounted: Any, suffix: str) -> None:
    folder = mounted("size=4k")
    (folder / "else").write_bytes(bytes(4096))
    with pytest.raises(OSError, match="No space left on device"):
        RESULT.save(folder / f"result.{suffix}")
    assert files(folder) == ["else"]


def test_a_read_only_directory_is_named_before_anything_is_computed(mounted: Any) -> None:
    folder = mounted("ro")
    message = "to be in a writable directory"
    with pytest.raises(ValueError, match=message):
        check_output(folder / "result.json", (".json",))
    with pytest.raises(ValueError, match=message):
        RESULT.save(folder / "result.json")
    with pytest.raises(ValueError, match=message):
        PointwiseWriter(str(folder / "values.csv"))
    arguments = ["--x=alcohol", "--z=hue", f"--output={folder}/result.json"]
    with pytest.raises(SystemExit, match=message):
        main(["estimate", str(ROOT / "examples/wine.csv"), *arguments])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("ro", "Read-only file system"),
        ("size=4k", "No space left"),
        ("size=16k", "No space left"),
        ("size=24k", "No space left"),
    ],
)
def test_a_log_directory_that_takes_nothing_ends_the_run_in_one_line(
    mounted: Any,
    options: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(ROOT)
    folder = mounted(options)
    where = f"--trainer.logger.init_args.save_dir={folder}/logs"
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--config=configs/table.yaml", where, *QUICK])
    assert message in str(stop.value.code)
    assert "\n" not in str(stop.value.code)
    assert "Traceback" not in capfd.readouterr().err
    assert not list(folder.rglob("*.ckpt"))


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("")
    write_table(FRAME[:3], tmp_path / "values.csv")
    modes = {path.name: path.stat().st_mode for path in tmp_path.iterdir()}
    assert modes["values.csv"] == modes["other.csv"]


def test_a_file_that_is_replaced_keeps_its_permissions_and_a_link_its_target(
    tmp_path: Path,
) -> None:
    path, link = tmp_path / "values.csv", tmp_path / "link.csv"
    path.write_text("before")
    path.chmod(0o600)
    link.symlink_to(path)
    write_table(FRAME[:3], link)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(pd.read_csv(path)) == 3
    assert files(tmp_path) == ["link.csv", "values.csv"]


def test_an_output_may_not_exist_be_an_input_or_lie_in_no_directory(tmp_path: Path) -> None:
    path, link = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("a")
    os.link(path, link)
    assert check_output(path, (".csv",)) == path
    with pytest.raises(ValueError, match="to be another file than the input"):
        check_output(path, (".csv",), inputs=["nowhere.csv", link])
    with pytest.raises(ValueError, match="Expected `output` not to exist"):
        check_output(path, (".csv",), overwrite=False)
    path.unlink()
    path.symlink_to(tmp_path / "nowhere" / "c.csv")
    with pytest.raises(ValueError, match="a file in an existing directory"):
        check_output(path, (".csv",))


def test_an_error_while_writing_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("before")

    def interrupted() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files(tmp_path) == ["file.txt"]
    assert path.read_text() == "before"


class Bomb:
    """Unpickled, it would write a file."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.proof, "executed")


@pytest.mark.parametrize("name", ["bomb.npz", "bomb.npy", "raw.npz", "raw.npy"])
def test_nothing_in_an_array_file_is_executed(name: str, tmp_path: Path) -> None:
    proof, path = tmp_path / "proof", tmp_path / name
    bomb = np.array([Bomb(proof)] * 3, dtype=object)
    if name == "bomb.npz":
        np.savez(path, result=bomb, x=bomb, y=np.arange(3.0))
    elif name == "bomb.npy":
        np.save(path, bomb, allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(Bomb(proof)))
    with pytest.raises(ValueError, match="Expected `path` to be a saved result"):
        MutualInformationEstimate.load(path)
    with pytest.raises(ValueError, match=r"to be a whole \.np. file"):
        read_table(path)
    with pytest.raises(ValueError, match=r"to be a whole \.np. file"):
        TableDataModule(path, x=["x"], z=["y"])
    assert not proof.exists()


def test_nothing_in_a_parquet_file_is_executed(tmp_path: Path) -> None:
    """Pickled bytes in a column and in the metadata stay bytes."""
    proof, path = tmp_path / "proof", tmp_path / "bomb.parquet"
    bomb = pickle.dumps(Bomb(proof))
    table = pyarrow.table({"a": [bomb] * 3, "b": [1.0, 2.0, 3.0]})
    metadata = {b"pandas": b"{}", b"ARROW:extension:name": b"arrow.py_extension_type",
                b"ARROW:extension:metadata": bomb}  # fmt: skip
    field = pyarrow.field("a", pyarrow.binary(), metadata=metadata)
    schema = pyarrow.schema([field, pyarrow.field("b", pyarrow.float64())])
    pyarrow.parquet.write_table(table.cast(schema), path)
    with pytest.raises(ValueError, match=r"to vary in every column|whole .parquet file"):
        TableDataModule(path, x=["a"], z=["b"])
    assert not proof.exists()


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pyarrow.array([[1.0], [2.0, 3.0], []]), "vectors of numbers of one length, got shapes"),
        (pyarrow.array([{"u": 1}, {"u": 2}, {"u": 3}]), "got mixed values such as"),
        (pyarrow.array([b"1", b"2", None]), "got numbers written as text such as '1'"),
        (pyarrow.array(["1", "2", "x"]), "got numbers mixed with text such as 'x'"),
        (pyarrow.array([1, 2, 3], pyarrow.timestamp("s")), "got datetime64 values such as"),
        (pyarrow.nulls(3), "3 missing or infinite values in 3 of 3 rows"),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_a_parquet_column_of_another_kind_is_named(
    column: Any, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mixed.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": column, "b": [1.0, 2.0, 3.0]}), path)
    with pytest.raises(ValueError, match=message):
        TableDataModule(path, x=["a"], z=["b"])


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.999])
def test_a_half_written_csv_is_refused_unless_it_ends_with_a_row(
    kept: float, tmp_path: Path
) -> None:
    """A file cut inside its last field is a whole file; no reader can tell."""
    text = (ROOT / "examples/wine.csv").read_text()
    cut = text[: int(kept * len(text))]
    cut = cut[: cut.rindex(",")].rsplit(",", 1)[0]
    path = tmp_path / "half.csv"
    path.write_text(cut)
    with pytest.raises(ValueError, match=r"to be a whole \.csv file, got: .*columns"):
        read_table(path)
