"""Results in files."""

import json
from pathlib import Path

import numpy as np
import pytest

from mine_lightning.estimate.results import MutualInformationEstimate
from shared import PLAIN, RESULT


@pytest.mark.parametrize("suffix", ["json", "npz"])
@pytest.mark.parametrize("result", [RESULT, PLAIN], ids=["many columns", "two columns"])
def test_it_survives_a_file(result: MutualInformationEstimate, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"result.{suffix}"
    result.save(path)
    assert MutualInformationEstimate.load(path) == result


def test_json_holds_what_a_reader_looks_for(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    RESULT.save(path)
    stored = json.loads(path.read_text())
    assert stored["nats"] == RESULT.nats
    assert stored["interval"] == list(RESULT.interval())
    assert {"bits", "standard_error", "rows", "settings", "seed", "versions"} <= stored.keys()


def test_files_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.npz"
    RESULT.save(path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="no space"):
        RESULT.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Expected `output` to end in one of \.json, \.npz"):
        RESULT.save(tmp_path / "result.pkl")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "other.json").write_text('{"nats": 1}')
    for name in ("other.npz", "other.json"):
        with pytest.raises(ValueError, match="Expected `path` to be a saved result"):
            MutualInformationEstimate.load(tmp_path / name)
