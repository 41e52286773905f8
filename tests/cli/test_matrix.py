"""``mine-lightning matrix`` as a person runs it."""

from pathlib import Path

import pandas as pd
import pytest

from mine_lightning.cli import main
from runs import SHORT


def test_a_matrix_is_printed_and_written(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    common = ["matrix", str(table), "--columns=alcohol,hue,ash", *SHORT]
    main([*common, f"--output={tmp_path}/pairs.csv"])
    assert "alcohol" in capsys.readouterr().out
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert pairs[["a", "b"]].values.tolist() == [
        ["alcohol", "hue"], ["alcohol", "ash"], ["hue", "ash"]
    ]  # fmt: skip
    main([*common[:2], "--columns=alcohol,hue", *SHORT, f"--output={tmp_path}/map.png"])
    assert (tmp_path / "map.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(SystemExit, match=r"Near it: `alcohol`|Did you mean `alcohol`"):
        main(["matrix", str(table), "--columns=alcool,hue"])
