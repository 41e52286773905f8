"""The shipped configurations reach the truth on rows that nobody saw."""

from pathlib import Path

import pytest

from mine_lightning.cli import main

ROOT = Path(__file__).parents[1]


def reported(config: str, folder: Path, capsys: pytest.CaptureFixture, *more: str) -> float:
    """Run a configuration as the README says and return the estimate that it prints."""
    arguments = [
        "fit",
        f"--config={ROOT / 'configs' / config}",
        f"--trainer.logger.init_args.save_dir={folder}",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        *more,
    ]
    main(arguments)
    return float(capsys.readouterr().out.split("estimate (test rows)")[1].split()[0])


@pytest.mark.trained
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_first_command_is_within_a_twentieth_nat(seed: int, tmp_path, capsys) -> None:
    estimate = reported("gaussian.yaml", tmp_path, capsys, f"--seed_everything={seed}")
    assert estimate == pytest.approx(0.8304, abs=0.05)


@pytest.mark.trained
@pytest.mark.slow
def test_twenty_dimensions_are_within_a_seventh_of_a_nat(tmp_path, capsys) -> None:
    assert reported("gaussian_20d.yaml", tmp_path, capsys) == pytest.approx(2.0, abs=0.15)


@pytest.mark.trained
@pytest.mark.slow
def test_digits_tell_their_labels(tmp_path, capsys, monkeypatch) -> None:
    assert 2.0 <= reported("digits.yaml", tmp_path, capsys) <= 2.31


@pytest.mark.trained
@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_independent_data_share_nothing_and_nothing_is_clamped(seed, tmp_path, capsys) -> None:
    more = ["--data.init_args.correlation=0.0", f"--seed_everything={seed}"]
    assert abs(reported("gaussian.yaml", tmp_path, capsys, *more)) < 0.02
