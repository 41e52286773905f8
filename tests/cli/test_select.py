"""``mine-lightning select`` as a person runs it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mine_lightning.cli import main


def test_columns_are_chosen_for_a_target_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "rows.csv"
    a, b, c = rng.normal(size=(3, 300))
    label = np.where(a > 0, "yes", "no")
    pd.DataFrame({"b": b, "a": a, "label": label, "c": c}).to_csv(path, index=False)
    common = ["select", str(path), "--target=label", "--max_epochs=2", "--most=1"]
    main([*common, f"--output={tmp_path}/chosen.csv"])
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "a"
    chosen = pd.read_csv(tmp_path / "chosen.csv")
    assert chosen.columns.tolist() == ["column", "gain", "low", "high", "relevance"]
    assert chosen["column"].tolist() == ["a"]
    with pytest.raises(SystemExit, match=r"`label`|`a`"):
        main([*common, "--columns=a,label"])
    with pytest.raises(SystemExit, match=r"Did you mean `label`|Near it: `label`"):
        main(["select", str(path), "--target=lable"])
    with pytest.raises(SystemExit, match="to be another file than the input"):
        main([*common, f"--output={path}", "--overwrite"])
