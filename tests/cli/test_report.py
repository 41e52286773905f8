"""What a fit says in the end."""

import re
from pathlib import Path

import pytest

from mine_lightning.cli.report import notes
from runs import ROOT, fit


def test_fit_ends_with_a_readable_table(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit(ROOT / "configs/gaussian.yaml", tmp_path, "--seed_everything=7")
    printed = capsys.readouterr().out.strip().splitlines()
    lines = [line for line in printed if not line.startswith("note: ")][-7:]
    names = [line.split("  ")[0] for line in lines]
    assert names == [
        "estimate (test rows)", "standard error", "truth", "error", "seed", "logs", "curves"
    ]  # fmt: skip
    assert lines[2].endswith("0.8304 nats")
    assert lines[4].endswith("7")
    assert f"tensorboard --logdir {tmp_path}" in lines[6]


def test_what_speaks_against_the_estimate_of_a_fit_is_noted() -> None:
    assert notes(0.83, 0.01, 0.84, 0.83, improving=False) == []
    (cut,) = notes(0.676, 0.1, 0.7, 0.83, improving=True)
    assert (
        cut == "still improving: the last state is the best one: give more `--trainer.max_epochs`."
    )
    (off,) = notes(0.676, 0.017, 0.7, 0.830, improving=False)
    assert off.startswith("off the truth: by 9.1 standard errors")
    (fitted,) = notes(0.3, 0.1, 0.6, None, improving=False)
    assert fitted.startswith("overfit: 0.600 nats on training rows")
    (none,) = notes(0.1, 0.1, 0.1, None, improving=False)
    assert none.startswith("contains zero: the 95 % interval [-0.096, 0.296]")


def test_an_estimate_without_an_error_is_off_a_truth_that_it_misses() -> None:
    (off, *_) = notes(0.3, 0.0, None, 0.5, improving=False)
    assert off.startswith("off the truth: by inf standard errors")


def test_a_short_fit_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit(ROOT / "configs/gaussian.yaml", tmp_path, "--trainer.max_epochs=2")
    printed = capsys.readouterr().out
    assert "note: still improving" in printed
    assert "note: off the truth" in printed


def test_fit_reports_what_the_monitors_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    fit(ROOT / "configs/gan.yaml", tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["mi", "seed", "logs", "curves"]
    assert re.fullmatch(r"mi .* nats, standard error .* nats", lines[0])
